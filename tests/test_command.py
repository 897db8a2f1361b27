"""The command line: every command explains itself, and an option means the same in all of them."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import PROJECT

from spacer_utils import __main__ as command
from spacer_utils.core import registry
from spacer_utils.core.command_options import OPTIONS
from spacer_utils.core.profiles import PROFILES
from spacer_utils.core.types import WorkbookError

TOP = command.parser()
COMMANDS: dict[str, argparse.ArgumentParser] = next(
    action.choices for action in TOP._actions if isinstance(action, argparse._SubParsersAction)
)
LISTED = [
    *("data", "train", "evaluate", "bench", "score-rewards", "score-benchmark"),
    *("study", "export", "list", "plan"),
]
"""What the help lists; Make also runs and reports notebooks."""


def test_the_commands_are_these() -> None:
    hidden = ["notebook", "report", "found", "share", "readme-figures"]
    assert [*COMMANDS] == [*LISTED, *hidden]
    listed = re.findall(r"^    ([a-z-]+)\b", TOP.format_help(), re.MULTILINE)
    assert listed == LISTED


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_written_for_people(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([*name.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "``" not in text
    assert "spacer_utils." not in text
    if name:
        assert f"examples:\n  {TOP.prog} {name}" in text
        assert not [a for a in COMMANDS[name]._actions if not a.help]


def test_an_option_means_the_same_everywhere() -> None:
    seen: dict[str, tuple[object, ...]] = {}
    for parser in COMMANDS.values():
        for action in parser._actions:
            for flag in action.option_strings:
                said = (action.help or "").split(" (")[0]
                meaning = (action.type, action.choices, action.nargs, action.metavar, said)
                assert seen.setdefault(flag, meaning) == meaning, flag
    assert seen.keys() - {"-h", "--help"} == OPTIONS.keys()
    assert seen["--profile"][1] == tuple(PROFILES)


def test_the_choices_are_those_of_the_package() -> None:
    from spacer_utils.benchmarks.scoring import extract, prompt_styles, record
    from spacer_utils.dataset import build, workers
    from spacer_utils.rewards import sets
    from spacer_utils.scenes import scans
    from spacer_utils.training import plan

    for flag, known in {
        "--engine": workers.ENGINES,
        "--missing": record.MISSING,
        "--release": scans.RELEASES,
        "--rewards": sets.SETS,
        "--scoring": record.SCORINGS,
        "--size": build.SIZES,
        "--style": prompt_styles.STYLES,
        "--unwrap": extract.UNWRAPPING,
        "--vllm": plan.VLLM_MODES,
    }.items():
        assert OPTIONS[flag]["choices"] == tuple(known), flag


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["nothing"],
        *([name, "--nothing"] for name in COMMANDS),
        ["train", "--meth", "sft"],
        ["train", "--method", "sft", "--set", "rl_steps"],
        ["train", "--method", "sft", "--profile", "huge"],
        ["list", "nothing"],
    ],
)
def test_what_cannot_be_understood_ends_with_2_and_one_line(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(given)
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (WorkbookError("no room"), 2, "error: no room\n"),
        (KeyboardInterrupt(), 130, "interrupted; "),
    ],
)
def test_ends(
    error: BaseException,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(command, "run_list", fail)
    fail.__name__ = "run_list"
    assert command.main(["list"]) == code
    assert capsys.readouterr().err.startswith(says)


def test_a_failed_check_and_an_interrupted_run_have_their_own_status() -> None:
    from spacer_utils.analysis.bench import NoMedia
    from spacer_utils.training.checkpoints import Interrupted
    from spacer_utils.workbook.runner import NotebookFailed

    assert (NoMedia.exit_code, NotebookFailed.exit_code, Interrupted.exit_code) == (1, 1, 130)


def test_the_list_has_a_line_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    listed = [tuple(line.split(" | ")[:2]) for line in capsys.readouterr().out.splitlines()]
    assert listed == [(entry.name, entry.file) for every in registry.ALL for entry in every]


def test_the_console_script_is_the_same_function() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"spacer": "spacer_utils.__main__:main"}


def test_help_needs_no_heavy_package() -> None:
    code = (
        "import sys, spacer_utils.__main__ as m; m.parser().format_help(); "
        "print([n for n in ('torch', 'numpy', 'numba', 'scipy', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_names_a_command_that_is_gone() -> None:
    gone = re.compile(
        r"spacer_utils\.(training|evaluation|analysis|dataset|workbook)\.[a-z_]+ (--|plan|check)"
        r"|list-(scenes|questions|rewards|benchmarks|methods)\b"
    )
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.ipynb", "*.sh", "*.yaml", "Makefile"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [
        name
        for name in files
        if (PROJECT / name).is_file()
        and name not in ("tests/test_command.py", "CHANGELOG.md")
        and gone.search((PROJECT / name).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_seed_below_zero_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["train", "--method", "sft", "--seed", "-1"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: argument --seed: -1 is less than 0. See: ")
