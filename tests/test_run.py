"""The runner, the plan, the lock and what notebooks call: a workbook of two tiny notebooks stands
for the real one."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import numpy as np
import pytest
from conftest import PROJECT

from spacer_utils.__main__ import main
from spacer_utils.analysis import figures
from spacer_utils.core import claim, profiles, progress
from spacer_utils.core.command_options import setting
from spacer_utils.core.types import MissingArtifact, WorkbookError
from spacer_utils.training import launch
from spacer_utils.workbook import book as run
from spacer_utils.workbook import dag, forecast, manifest, runner

CELLS = {
    "00_first": (
        ["data/a.txt"],
        [],
        'book.record(answer=42, name="<b>")\n(book.out / "data").mkdir(parents=True, exist_ok=True)\n'
        '(book.out / "data" / "a.txt").write_text(f"made with {SEED}")\nbook.progress("counting")(3, 3)\n'
        'import warnings; warnings.warn("of a library")',
    ),
    "01_second": (
        [],
        ["data/a.txt"],
        'text = book.need("data/a.txt").read_text()\nassert MODE != "fail", "as asked"\nbook.record(text=text)',
    ),
}


def tiny(folder: Path, name: str, code: str, reads: list[str], writes: list[str]) -> None:
    block = {
        "question": "Does it run?",
        "reads": reads,
        "writes": writes,
        "minutes": {"smoke": 0.1},
        "disk_mb": {"smoke": 1},
        "hardware": "any",
        "paper": "none",
    }
    setup = f'from spacer_utils.workbook.book import start\n\nbook = start("{name}", PROFILE, SEED)'
    parameters = 'PROFILE = "smoke"  # size\nSEED = 0  # seed\nMODE = ""  # what to do'
    cells = [
        nbformat.v4.new_markdown_cell(f"# {name[:2]} Tiny\n\n**Does it run?**"),
        nbformat.v4.new_code_cell(parameters),
        nbformat.v4.new_code_cell(setup),
        nbformat.v4.new_markdown_cell("## Work"),
        nbformat.v4.new_code_cell(code),
        nbformat.v4.new_code_cell(
            'book.found("The answer is {answer}." if "answer" in book.metrics else "It read {text}.")'
        ),
    ]
    cells[1].metadata["tags"] = ["parameters"]
    raw = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "spacer": block,
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        },
    )
    (folder / f"{name}.ipynb").write_text(nbformat.writes(raw))


@pytest.fixture
def workbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two notebooks and an outputs folder of their own; returns ``outputs/smoke``."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for name, (writes, reads, code) in CELLS.items():
        tiny(notebooks, name, code, reads, writes)
    monkeypatch.setattr(dag, "NOTEBOOKS", notebooks)
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs" / "smoke"


# ---------------------------------------------------------------------------------------- execution


@pytest.mark.slow
def test_a_notebook_appears_whole_with_its_manifest(
    workbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runner.execute("00", "smoke", {"SEED": 3})
    facts = manifest.read(workbook, "00_first")
    assert facts["state"] == "done"
    assert facts["metrics"] == {"answer": 42, "name": "<b>"}
    assert facts["parameters"] == {"PROFILE": "smoke", "SEED": 3}
    assert facts["outputs"]["data/a.txt"] != "missing"
    assert {
        "git",
        "versions",
        "hardware",
        "seconds",
        "peak_memory_mb",
        "notebook_sha256",
    } <= facts.keys()
    assert sorted(p.name for p in path.parent.iterdir()) == ["00_first.ipynb"], (
        "no partial file is left"
    )
    assert f"counting [{'#' * 20}] 3/3" in capsys.readouterr().out, "progress reaches the terminal"
    assert "of a library" in (workbook / "logs" / "00.log").read_text(), "warnings go to the log"
    assert "of a library" not in path.read_text().split("outputs")[-1]
    assert "counting" not in path.read_text().split("outputs")[-1], "and not the notebook"
    again = runner.execute("00", "smoke", {"SEED": 3}).read_text()
    assert again == path.read_text(), "two equal runs give equal notebooks"


@pytest.mark.slow
def test_a_failed_notebook_says_where_and_the_next_run_goes_on(workbook: Path) -> None:
    with pytest.raises(
        MissingArtifact, match=r"data/a.txt \(written by 00_first\). Run: make nb00 PROFILE=smoke"
    ):
        runner.execute("01", "smoke")
    assert not (workbook / "executed").exists(), "nothing was started"
    runner.execute("00", "smoke")
    with pytest.raises(runner.NotebookFailed) as caught:
        runner.execute("01", "smoke", {"MODE": "fail"})
    message = str(caught.value)
    assert "\n" not in message
    assert "01_second failed: cell" in message
    assert "(Work): AssertionError: as asked" in message
    assert "same make again" in message
    names = {p.name for p in (workbook / "executed").iterdir()}
    assert "01_second.failed.ipynb" in names
    assert "01_second.ipynb" not in names
    assert manifest.read(workbook, "01_second")["state"] == "failed"
    runner.execute("01", "smoke")
    assert {p.name for p in (workbook / "executed").iterdir()} == {
        "00_first.ipynb",
        "01_second.ipynb",
    }


@pytest.mark.slow
def test_no_other_program_can_take_the_ports_of_a_kernel(workbook: Path) -> None:
    """It has none: it listens on sockets in a private folder that is gone with it."""
    code = (
        "from pathlib import Path\nfrom ipykernel.kernelapp import IPKernelApp\napp = IPKernelApp.instance()\n"
        "folder = Path(app.ip).parent\nassert app.transport == 'ipc'\nassert folder.stat().st_mode & 0o077 == 0\n"
        "book.record(text=str(folder))"
    )
    tiny(dag.NOTEBOOKS, "02_listens", code, [], [])
    runner.execute("02", "smoke")
    assert not Path(manifest.read(workbook, "02_listens")["metrics"]["text"]).exists()


@pytest.mark.slow
def test_a_killed_kernel_is_reported_in_one_line(workbook: Path) -> None:
    tiny(
        dag.NOTEBOOKS, "02_dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", [], []
    )
    with pytest.raises(runner.NotebookFailed, match="kernel died"):
        runner.execute("02", "smoke")
    assert manifest.read(workbook, "02_dies")["state"] == "failed"


@pytest.mark.slow
def test_the_end_of_a_run_prints_no_interrupt(
    workbook: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even where the kernel is slow to come back from the last request, as on a busy
    machine."""
    code = (
        "import time\nsession = get_ipython().kernel.session\nsend = session.send\n"
        "def slow(stream, message, *args, **kwargs):\n    sent = send(stream, message, *args, **kwargs)\n"
        "    time.sleep(2 * (message == 'kernel_info_reply'))\n    return sent\n"
        "session.send = slow\nbook.record(text=1)"
    )
    tiny(dag.NOTEBOOKS, "02_slow", code, [], [])
    runner.execute("02", "smoke")
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def wait_until(there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for what a process does; fail when it ends without having done it."""
    while not there():
        assert process.poll() is None, f"the process ended with {process.returncode}"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_leaves_nothing_half_written(workbook: Path) -> None:
    tiny(
        dag.NOTEBOOKS,
        "02_slow",
        "import time\n(book.out / 'started').write_text('')\ntime.sleep(60)",
        [],
        [],
    )
    code = (
        f"from spacer_utils.workbook import dag, runner; from pathlib import Path; dag.NOTEBOOKS = Path({str(dag.NOTEBOOKS)!r}); "
        "runner.execute('02', 'smoke')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, start_new_session=True)
    wait_until((workbook / "started").exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (workbook / "executed" / "02_slow.ipynb").exists()
    tiny(dag.NOTEBOOKS, "02_slow", "pass\nbook.record(text=1)", [], [])
    assert runner.execute("02", "smoke").exists()


@pytest.mark.slow
def test_a_full_disk_is_a_clear_error(workbook: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
        "from spacer_utils.__main__ import main; from spacer_utils.workbook import dag; "
        f"from pathlib import Path; dag.NOTEBOOKS = Path({str(dag.NOTEBOOKS)!r}); "
        "raise SystemExit(main(['notebook', '00', '--profile', 'smoke']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert "space" in done.stderr
    assert not (workbook / "executed" / "00_first.ipynb").exists()


def test_unknown_notebook_profile_and_parameter_are_refused(workbook: Path) -> None:
    for arguments, message in (
        (("99", "smoke"), "no notebook '99'"),
        (("00", "huge"), "unknown profile 'huge'"),
        (
            ("00", "smoke", {"SEDE": 1}),
            "00_first has no parameter SEDE. It has: PROFILE, SEED, MODE",
        ),
    ):
        with pytest.raises(WorkbookError, match=message):
            runner.execute(*arguments)
    assert not workbook.exists()


def test_too_little_disk_is_said_before_anything_starts(
    workbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        runner.shutil, "disk_usage", lambda _: type("usage", (), {"free": 500_000})()
    )
    with pytest.raises(
        WorkbookError, match=r"0 MB free and this step needs about 1 MB.*SPACER_OUTPUTS"
    ):
        runner.execute("00", "smoke")
    assert not workbook.exists()


def test_the_command_line_reads_values_and_reports_errors(
    workbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setting("SEED=3") == ("SEED", 3)
    assert setting("MODE=fail") == ("MODE", "fail")
    assert main(["notebook", "01", "--profile", "smoke"]) == 2
    assert capsys.readouterr().err.startswith("error: outputs/smoke/data/a.txt")


# --------------------------------------------------------------------------------------------- plan


def test_a_profile_that_does_not_fit_names_the_nearest_that_does() -> None:
    full = profiles.get("gpu-full")
    with pytest.raises(
        WorkbookError,
        match=r"needs 640 GB of memory \(here: 25\) and 8 GPUs \(here: 0\). The nearest profile that fits is cpu",
    ):
        forecast.check(full, 25.0, [])
    with pytest.raises(WorkbookError, match="fits is gpu-lora"):
        forecast.check(full, 1000.0, [80.0])
    with pytest.raises(WorkbookError, match=r"GPUs of 75 GB \(here: 24 GB\).*is gpu-24gb"):
        forecast.check(profiles.get("gpu-lora"), 1000.0, [24.0])
    with pytest.raises(WorkbookError, match="No profile fits"):
        forecast.check(profiles.get("smoke"), 1.0, [])
    forecast.check(full, 1000.0, [80.0] * 8)


def test_the_plan_gives_state_and_reason(
    workbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[tuple[str, str]]:
        return [(r["state"], r["reason"]) for r in forecast.states(profiles.get("smoke"))]

    assert states() == [("to run", "never run"), ("to run", "never run")]
    (workbook / "executed").mkdir(parents=True)
    (workbook / "data").mkdir()
    (workbook / "data" / "a.txt").write_text("a")
    for name in CELLS:
        (workbook / "executed" / f"{name}.ipynb").write_text("{}")
    assert states() == [("done", "up to date"), ("done", "up to date")]
    (workbook / "data" / "a.txt").unlink()
    assert states() == [("to run", "data/a.txt is gone"), ("to run", "after 00_first")]
    (workbook / "data" / "a.txt").write_text("a")
    later = time.time() + 5
    os.utime(dag.NOTEBOOKS / "01_second.ipynb", (later, later))
    assert states()[1] == ("to run", "01_second.ipynb is newer")
    (workbook / "executed" / "01_second.failed.ipynb").write_text("{}")
    assert states()[1][0] == "failed"
    forecast.print_plan(profiles.get("smoke"))
    assert "1 of 2 notebooks will run" in capsys.readouterr().out


def test_make_reproduce_says_first_what_will_run(
    workbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke = profiles.get("smoke")
    manifest.write(workbook, "00_first", {"state": "done", "seconds": 90.0})
    manifest.write(workbook, "01_second", {"state": "done", "seconds": 30.0})
    forecast.print_brief(smoke)
    assert capsys.readouterr().out.splitlines() == [
        "profile smoke: 2 notebooks will run, about 2:00",
        "  00 01 (why: make plan)",
    ]
    (workbook / "executed").mkdir(parents=True)
    (workbook / "data").mkdir()
    (workbook / "data" / "a.txt").write_text("a")
    for name in CELLS:
        (workbook / "executed" / f"{name}.ipynb").write_text("{}")
    forecast.print_brief(smoke)
    assert capsys.readouterr().out == "profile smoke: every notebook is up to date\n"


def test_the_plan_counts_appendices_only_when_they_are_asked_for(
    workbook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dag.NOTEBOOKS / "01_second.ipynb").rename(dag.NOTEBOOKS / "A1_second.ipynb")
    assert [(r["state"], r["reason"]) for r in forecast.states(profiles.get("smoke"))] == [
        ("to run", "never run"),
        ("asked", "only by make nbA1 or make reports"),
    ]
    forecast.print_plan(profiles.get("smoke"))
    assert "1 of 2 notebooks will run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--seed=abc", "error: argument --seed: 'abc' is not a whole number"),
        ("--seed=-1", "error: argument --seed: -1 is less than 0"),
        ("--real-layouts=/nowhere", "REAL_LAYOUTS names a folder that does not exist"),
    ],
)
def test_the_plan_refuses_settings_that_notebooks_would(
    option: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["plan", "--profile", "smoke", option])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert says in capsys.readouterr().err


def test_the_plan_shows_what_a_changed_setting_will_run_again(workbook: Path) -> None:
    (workbook / "executed").mkdir(parents=True)
    (workbook / "data").mkdir()
    (workbook / "data" / "a.txt").write_text("a")
    (workbook / ".settings").mkdir()
    (workbook / ".settings" / "SEED").write_text("0\n")
    for name in CELLS:
        (workbook / "executed" / f"{name}.ipynb").write_text("{}")

    def reasons(**settings: str) -> list[str]:
        return [r["reason"] for r in forecast.states(profiles.get("smoke"), settings)]

    assert reasons(SEED="0", REAL_LAYOUTS="rooms") == ["up to date", "up to date"], (
        "a parameter that no notebook has"
    )
    assert reasons(SEED="3") == ["SEED: 0 -> 3", "SEED: 0 -> 3"]
    later = time.time() + 5
    os.utime(workbook / ".settings" / "SEED", (later, later))
    assert reasons(SEED="0") == ["SEED is newer", "after 00_first"], (
        "changed, and not all notebooks have run since"
    )


def test_disk_use_is_summed_by_folder(workbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workbook / "data").mkdir(parents=True)
    (workbook / "data" / "x").write_bytes(b"0" * 2_000_000)
    forecast.print_usage(workbook.parent)
    assert "2.0 MB    smoke/data" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------- DAG


def test_a_notebook_reaches_modules_through_modules_and_registries(tmp_path: Path) -> None:
    package = tmp_path / "spacer_utils"
    (package / "rewards").mkdir(parents=True)
    (package / "core").mkdir()
    for name, text in {
        "__init__.py": "",
        "a.py": "from . import b",
        "b.py": "def f():\n    from .c import g",
        "c.py": "from .core.registry import REWARDS",
        "core/registry.py": "",
        "d.py": "",
        "rewards/__init__.py": "",
        "rewards/one.py": "from ..d import x",
    }.items():
        (package / name).write_text(text)
    found = dag.reached(["from spacer_utils import a"], package)
    assert found == tuple(
        f"spacer_utils/{n}"
        for n in (
            "a.py",
            "b.py",
            "c.py",
            "core/registry.py",
            "d.py",
            "rewards/__init__.py",
            "rewards/one.py",
        )
    )
    assert dag.reached(["from spacer_utils.d import x"], package) == ("spacer_utils/d.py",)
    assert "spacer_utils/rewards/one.py" in dag.reached(
        ["from spacer_utils.core import registry\nregistry.ALL"], package
    )


def test_only_notebooks_that_plot_depend_on_the_plots() -> None:
    reaching = {
        n.number for n in dag.notebooks() if "spacer_utils/analysis/figures.py" in n.modules
    }
    assert {"01", "02", "03", "07"} <= reaching
    assert "00" not in reaching
    assert not any("spacer_utils/workbook/report.py" in n.modules for n in dag.notebooks())


def test_dependency_lines_name_parameters_inputs_and_lost_artefacts(workbook: Path) -> None:
    rules = [line for line in dag.makefile().splitlines() if line.startswith("$(OUT)/executed/")]
    first, second = rules
    assert "$(OUT)/.settings/SEED" in first
    assert "$(if $(shell find $(OUT)/data/a.txt -maxdepth 0 -size +0 2>/dev/null),,FORCE)" in first
    assert second.startswith("$(OUT)/executed/01_second.ipynb:")
    assert "$(OUT)/executed/00_first.ipynb" in second


def test_a_file_that_is_no_notebook_is_named(workbook: Path) -> None:
    (dag.NOTEBOOKS / "03_broken.ipynb").write_text("{}")
    with pytest.raises(WorkbookError, match=r"03_broken.ipynb is not a notebook of this workbook"):
        dag.notebooks()


# --------------------------------------------------------------------------------------------- Make


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ("MAKEFLAGS", "MAKELEVEL", "SPACER_CLAIMED", "MFLAGS")
    }
    return subprocess.run(
        ["make", *arguments, f"PY={sys.executable}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**clean, **environment},
    )


@pytest.mark.slow
def test_a_gpu_is_measured_on_the_nano_study_too_when_asked() -> None:
    assert "--name h200" in (plain := make("-n", "gpu-bench", "NAME=h200").stdout)
    assert "spacer_utils train" not in plain
    asked = make("-n", "gpu-bench", "NANO=1").stdout
    assert "notebook A1 --profile gpu-small" in asked
    assert "train --profile gpu-small" in asked
    assert "spacer_utils study --profile gpu-small" in asked


def test_a_study_may_be_longer_than_the_notebooks(tmp_path: Path) -> None:
    """Its runs stand in a folder of their own, and a changed length renews what they depend on."""

    def lines(goal: str, *arguments: str) -> list[str]:
        asked = make(
            "-n",
            goal,
            "PROFILE=smoke",
            "METHODS=rlvr",
            "SEEDS=0",
            *arguments,
            SPACER_OUTPUTS=str(tmp_path),
            SPACER_CLAIMED="1",
        )
        return [
            line.strip()
            for line in asked.stdout.splitlines()
            if "spacer_utils train" in line or ("printf" in line and "RL_STEPS" in line)
        ]

    setting = tmp_path / "smoke/.settings/RL_STEPS"
    for steps, option in (("", ""), ("7", " --set rl_steps=7")):
        renewed, trained = lines("study", f"RL_STEPS={steps}")
        assert renewed.endswith(f"printf '%s\\n' '{steps}' > {setting}")
        assert trained.endswith(f"--out {tmp_path / 'smoke/study'} --overwrite{option}")
    setting.parent.mkdir(parents=True)
    setting.write_text("7\n")
    assert not lines(str(setting), "RL_STEPS=7")
    assert lines(str(setting), "RL_STEPS=8")


def test_make_alone_prints_every_target() -> None:
    text = make().stdout
    for target in (
        "setup",
        "reproduce",
        "nbNN",
        "plan",
        "profiles",
        "list",
        "lab",
        "reports",
        "serve",
        "data",
        "test",
        "test-fast",
        "lint",
        "format",
        "bench",
        "base",
        "study",
        "du",
        "clean",
        "clean-all",
        "lock",
    ):
        assert f"\n  {target} " in text, target


def test_make_knows_the_profiles_and_dry_runs_without_writing(tmp_path: Path) -> None:
    wrong = make("reproduce", "PROFILE=huge")
    assert wrong.returncode
    assert "unknown profile 'huge'. Known: smoke cpu" in wrong.stderr
    assert "unknown notebook 'nb13'. Known: nb00 nb01" in make("nb13", "PROFILE=smoke").stderr
    dry = make("-n", "reproduce", "PROFILE=smoke", SPACER_OUTPUTS=str(tmp_path))
    assert [
        line.split()[4] for line in dry.stdout.splitlines() if "-m spacer_utils notebook" in line
    ][:3] == [
        "00_start_here",
        "01_scenes_and_video",
        "02_questions",
    ]
    assert not list(tmp_path.iterdir())


def test_two_makes_at_once_are_refused(tmp_path: Path) -> None:
    held = claim.claim(tmp_path / "smoke" / ".lock")
    try:
        second = make("nb00", "PROFILE=smoke", SPACER_OUTPUTS=str(tmp_path))
        assert second.returncode
        assert (
            f"another make (process {os.getpid()}) is working on {tmp_path / 'smoke'}"
            in second.stderr
        )
    finally:
        os.close(held)


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            str(PROJECT / "spacer_utils" / "core" / "claim.py"),
            str(lock),
            "sleep",
            "60",
        ]
    )
    wait_until(lambda: lock.exists() and bool(lock.read_text().strip()), holder)
    with pytest.raises(BlockingIOError):
        claim.claim(lock)
    holder.kill()
    holder.wait()
    os.close(claim.claim(lock))


def test_clean_asks_and_keeps_on_no(tmp_path: Path) -> None:
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "x").write_text("")
    kept = make("clean", "PROFILE=smoke", SPACER_OUTPUTS=str(tmp_path))
    assert kept.returncode
    assert (tmp_path / "smoke" / "x").exists()
    assert make("clean", "PROFILE=smoke", "YES=1", SPACER_OUTPUTS=str(tmp_path)).returncode == 0
    assert not (tmp_path / "smoke").exists()


# --------------------------------------------------------------------------------- inside notebooks


def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> run.Book:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    return run.start("03_rewards_by_hand", "smoke", 1, train_rooms=5, width=None)


def test_start_replaces_profile_fields_and_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = book(tmp_path, monkeypatch)
    assert started.profile.data.train_rooms == 5
    assert started.out == tmp_path / "smoke"
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert "train_rooms=5" in text
    assert str(tmp_path) not in text
    with pytest.raises(WorkbookError, match="unknown profile field"):
        run.start("03_rewards_by_hand", "smoke", 1, rooms=5)


@pytest.mark.parametrize(
    ("seed", "overrides", "says"),
    [
        ("abc", {}, "SEED must be a whole number from 0 on, not 'abc'"),
        (-1, {}, "SEED must be"),
        (True, {}, "SEED must be"),
        (0, {"rl_steps": "x"}, "rl_steps must be a whole number from 1 on, not 'x'"),
        (0, {"rl_steps": -1}, "rl_steps must be"),
        (0, {"rl_steps": 2.5}, "rl_steps must be"),
        (0, {"sft_lr": "fast"}, "sft_lr must be a number above 0"),
        (0, {"sft_lr": float("nan")}, "sft_lr must be"),
        (0, {"model": 3}, "model must be a text"),
        (0, {"blind": 1}, "blind must be True or False"),
    ],
)
def test_start_refuses_values_that_cannot_be(
    seed: object, overrides: dict[str, object], says: str
) -> None:
    with pytest.raises(WorkbookError, match=says):
        run.start("00_first", "smoke", seed, **overrides)
    run.start("00_first", "smoke", 0, rl_steps=3, sft_lr=1, model="here", blind=False)


def test_sentences_take_recorded_numbers_and_escape_text() -> None:
    values: dict[str, Any] = {
        "n": 3,
        "share": np.float64(0.5),
        "none": None,
        "name": "<script>*x*</script>",
    }
    assert run.fill("{n} of {share:.1f}, {none:.2f}", values) == "3 of 0.5, n/a"
    assert run.fill("{name}", values) == r"&lt;script&gt;\*x\*&lt;/script&gt;"
    with pytest.raises(WorkbookError, match="never recorded"):
        run.fill("{other}", values)


def test_tables_escape_every_cell_and_align_numbers() -> None:
    text = run.html_table(
        [{"a<b": "<img src=x onerror=alert(1)>", "n": 0.5}, {"a<b": None, "n": 12.25}], "<caption>"
    )
    assert "<img" not in text
    assert "&lt;img" in text
    assert '<td class="number">12.25</td>' in text
    assert "<th>a&lt;b</th>" in text
    assert "&lt;caption&gt;" in text
    assert run.html_table([{"n": 1234.5}, {"n": float("nan")}, {"n": True}]).count("–") == 1
    small = run.html_table([{"n": 0.064}, {"n": -0.02}, {"n": 0.00078}, {"n": 0.00002}])
    assert re.findall(r'"number">([^<n]+)<', small) == ["0.064", "-0.020", "0.001", "2e-05"]
    mixed = run.html_table([{"n": 1234.5}, {"n": 1.5e-3}, {"n": -2e-4}, {"n": 0.0}, {"n": 1e-17}])
    assert re.findall(r'"number">([^<n]+)<', mixed) == ["1,234", "0.0015", "-0.0002", "0", "0"]


def test_checks_show_all_and_raise_on_the_failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = book(tmp_path, monkeypatch)
    started.checks({"two is two": True})
    with pytest.raises(
        WorkbookError, match="1 of 2 checks of 03_rewards_by_hand do not hold: one is two"
    ):
        started.checks({"two is two": True, "one is two": False})
    assert "✗" in capsys.readouterr().out


def test_a_figure_needs_a_caption_and_alternative_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = book(tmp_path, monkeypatch)
    figure = figures.dots({"a": [1.0]}, xlabel="x")
    for caption, alt in (("", "alt"), ("caption", " ")):
        with pytest.raises(WorkbookError, match="no caption or no alt text"):
            started.figure(figure, caption, alt)


def test_need_names_who_writes_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        MissingArtifact,
        match=r"data/train.jsonl \(written by 02_questions\). Run: make nb02 PROFILE=smoke",
    ):
        book(tmp_path, monkeypatch).need("data/train.jsonl")


def test_real_layouts_come_from_parameter_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REAL_LAYOUTS", raising=False)
    assert run.real_layouts(None) is None
    assert run.real_layouts(str(tmp_path)) == tmp_path
    monkeypatch.setenv("REAL_LAYOUTS", str(tmp_path / "none"))
    with pytest.raises(WorkbookError, match="does not exist"):
        run.real_layouts(None)


def test_progress_is_a_clean_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(progress.LOG, str(log))
    told = progress.Progress("03 rooms")
    for k in range(1, 101):
        told(k, 100)
    lines = log.read_text().splitlines()
    assert lines == [f"03 rooms [{'#' * 20}] 100/100, done in 0:00"]
    assert progress.clock(3725) == "1:02:05"


def test_progress_is_a_bar_in_a_kernel_and_not_where_one_was_only_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ipykernel.kernelbase  # noqa: F401
    import IPython

    monkeypatch.delenv(progress.LOG, raising=False)
    progress.Progress("03 rooms")(2, 2)
    done = f"03 rooms [{'#' * 20}] 2/2, done in 0:00"
    assert capsys.readouterr().err == f"{done}\n"

    class Cell:
        shown: ClassVar[list[str]] = []

        def update(self, data: dict[str, str], raw: bool) -> None:
            self.shown.append(data["text/plain"])

    def display(data: dict[str, str], **_: object) -> Cell:
        Cell.shown.append(data["text/plain"])
        return Cell()

    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress.Progress, "OFTEN", 0.0)
    told = progress.Progress("03 rooms")
    told(1, 2)
    told(2, 2)
    assert Cell.shown == [f"03 rooms [{'#' * 10}{'-' * 10}] 1/2, 0:00 left", ""]


def test_the_bar_of_a_terminal_stays_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.delenv(progress.LOG, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress.Progress, "OFTEN", 0.0)
    told = progress.Progress("03 rooms")
    for k in (1, 2):
        told(k, 2)
    first, last = terminal.getvalue().split("\r\x1b[K")[1:]
    assert first == f"03 rooms [{'#' * 10}{'-' * 10}] 1/2, 0:00 left"
    assert last == f"03 rooms [{'#' * 20}] 2/2, done in 0:00\n"


def test_make_shows_a_notebooks_bar_as_a_terminal_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    lines = [progress.bar("05 sft", k, 2, 1.0) for k in (1, 2)]
    log.write_text("")
    with manifest.Watch(log):
        log.write_text("\n".join([*lines, "a warning"]) + "\n")
    assert capsys.readouterr().out.splitlines() == [*lines, "a warning"]


# ---------------------------------------------------------------------------------------- launching


def test_a_launched_run_is_the_command_that_people_type_with_what_was_changed() -> None:
    profile = profiles.get("gpu-full").with_overrides(rl_steps=7, model="here")
    line = launch.command(profile, "sg_rlvr", "full", 3)
    assert line[1:5] == ["-m", "accelerate.commands.launch", "--num_processes", "8"]
    assert line[line.index("--method") + 1] == "sg_rlvr"
    assert {line[k + 1] for k, word in enumerate(line) if word == "--set"} == {
        "rl_steps=7",
        "model='here'",
    }


def test_a_launched_run_is_followed_and_its_end_is_told() -> None:
    seen: list[tuple[int, int]] = []
    launch.follow(
        [
            sys.executable,
            "-c",
            "from spacer_utils.core.progress import Progress; told = Progress('sft'); "
            "told(1, 2); print('step 7/9 of something else'); told(2, 2)",
        ],
        lambda *a: seen.append(a),
    )
    assert seen == [(1, 2), (2, 2)]
    with pytest.raises(WorkbookError, match="ended with status 3: no such data"):
        launch.follow([sys.executable, "-c", "print('no such data'); raise SystemExit(3)"])


# ----------------------------------------------------------------------------------------- manifest


def test_digests_follow_content_and_name_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text("1")
    one = manifest.digest(tmp_path, ["a", "a/*.json", "b"])
    assert one["b"] == "missing"
    assert manifest.digest(tmp_path, ["a"])["a"] == one["a"]
    (tmp_path / "a" / "x.json").write_text("2")
    assert manifest.digest(tmp_path, ["a"])["a"] != one["a"]


def test_a_damaged_manifest_reads_as_none(tmp_path: Path) -> None:
    manifest.path(tmp_path, "00_x").parent.mkdir()
    manifest.path(tmp_path, "00_x").write_text('{"state": ')
    assert manifest.read(tmp_path, "00_x") == {}
    manifest.write(tmp_path, "00_x", {"state": "done"})
    assert json.loads(manifest.path(tmp_path, "00_x").read_text()) == {"state": "done"}


def test_parallel_make_knows_the_rule_of_a_numbered_goal(tmp_path: Path) -> None:
    planned = make(
        "nb03", "PROFILE=smoke", "-n", "-j2", f"PY={sys.executable}", SPACER_OUTPUTS=str(tmp_path)
    )
    assert "No rule" not in planned.stderr
    assert planned.returncode == 0, planned.stderr
    assert "spacer_utils notebook 03_rewards_by_hand" in planned.stdout
