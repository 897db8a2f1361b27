"""``DATA`` and ``BENCHMARKS``: what the plan and Make make of them, and what notebooks ask for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT
from kit.published_kit import pack, row, small_set, touch_media, write_rows

from spacer_utils.__main__ import main
from spacer_utils.core import given, profiles
from spacer_utils.core.types import WorkbookError
from spacer_utils.dataset import published_rows
from spacer_utils.workbook import book, dag, forecast

SMOKE = profiles.get("smoke")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SPACER_DATA", "SPACER_BENCHMARKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs/smoke"


def test_a_notebook_refuses_data_that_notebook_02_has_not_read(
    tmp_path: Path, outputs: Path
) -> None:
    one, other = small_set(tmp_path / "one"), small_set(tmp_path / "other", rooms=4)
    published_rows.take(SMOKE, str(one), outputs / "data")
    asked = book.start("04_sft_baseline", "smoke", 0, data=str(one))
    assert asked.need("data/train.jsonl").is_file()
    assert book.start("04_sft_baseline", "smoke", 0).need("data/train.jsonl").is_file()
    with pytest.raises(WorkbookError) as caught:
        book.start("04_sft_baseline", "smoke", 0, data=str(other)).need("data/train.jsonl")
    assert "holds rows of one, not the rows of DATA=other. Run: make nb02" in str(caught.value)


def test_the_environment_gives_what_the_parameter_does_not(
    tmp_path: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_DATA", str(tmp_path))
    assert book.start("02_questions", "smoke", 0).data == str(tmp_path)
    assert book.start("02_questions", "smoke", 0, data="").data == ""
    assert book.start("02_questions", "smoke", 0, data="owner/name").data == "owner/name"


def test_the_plan_says_what_a_set_and_a_folder_of_benchmarks_hold(
    tmp_path: Path,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [row(k) for k in range(1, 4)]
    write_rows(tmp_path / "set/SR-91k.jsonl", rows)
    touch_media(tmp_path / "set/videos", rows)
    pack(tmp_path / "set", "videos")
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setenv("SPACER_DATA", str(tmp_path / "set"))
    monkeypatch.setenv("SPACER_BENCHMARKS", str(tmp_path / "benchmarks"))
    assert main(["plan", "--profile", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "DATA: set: SR-91k.jsonl" in said
    assert "no cognitive_map.jsonl: methods that reward maps need it" in said
    assert "not unpacked: videos.tar.gz: cd . && tar -xf videos.tar.gz" in said
    assert "BENCHMARKS: 0 of " in said
    assert "hf download nyu-visionx/VSI-Bench --repo-type dataset" in said


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SPACER_DATA", "/nowhere/at/all", "there is no such folder, and it is no hub id"),
        ("SPACER_BENCHMARKS", "/nowhere", "BENCHMARKS=/nowhere is no folder"),
    ],
)
def test_the_plan_refuses_what_is_not_there_in_one_line(
    name: str,
    value: str,
    says: str,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["plan", "--profile", "smoke"]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert len(told.strip().splitlines()) == 1


def test_a_new_file_in_the_set_is_a_reason_to_read_it_again(tmp_path: Path, outputs: Path) -> None:
    folder = small_set(tmp_path / "set")
    settings = {"SEED": "0", "REAL_LAYOUTS": "", "DATA": str(folder), "BENCHMARKS": ""}
    (outputs / ".settings").mkdir(parents=True)
    for name, value in settings.items():
        (outputs / ".settings" / name).write_text(f"{value}\n")
    published_rows.take(SMOKE, str(folder), outputs / "data")
    executed = outputs / "executed/02_questions.ipynb"
    executed.parent.mkdir()
    executed.write_text("{}")
    later = executed.stat().st_mtime + 100
    os.utime(executed, (later, later))

    def reason(**changed: str) -> str:
        rows = forecast.states(SMOKE, {**settings, **changed})
        return next(r["reason"] for r in rows if r["notebook"] == "02_questions")

    assert reason() == "up to date"
    assert reason(DATA="") == f"DATA: {folder} -> none"
    os.utime(folder / "SpaceR-151k.jsonl", (later + 9, later + 9))
    assert reason() == "SpaceR-151k.jsonl is newer"


def test_dependency_lines_know_both_settings() -> None:
    text = dag.makefile()
    rules = {
        line.split(":")[0].rsplit("/", 1)[-1]: line
        for line in text.splitlines()
        if line.startswith("$(OUT)/executed/")
    }
    assert "$(OUT)/.settings/DATA" in rules["02_questions.ipynb"]
    assert "$(DATA_FILES)" in rules["02_questions.ipynb"]
    for name in ("04_sft_baseline", "05_sg_rlvr_lora", "06_sg_rlvr_full", "08_cognitive_maps"):
        assert "$(OUT)/.settings/DATA" in rules[f"{name}.ipynb"]
    assert "$(BENCHMARKS_FILES)" in rules["09_benchmarks.ipynb"]
    assert "$(OUT)/.settings/BENCHMARKS" in rules["09_benchmarks.ipynb"]
    assert text.index("DATA_FILES =") < text.index("$(OUT)/executed/")  # rules expand at once


def test_make_writes_a_setting_only_when_it_changes(tmp_path: Path) -> None:
    small_set(tmp_path / "set")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "SPACER_", "MFLAGS"))}

    def asked(*arguments: str) -> str:
        done = subprocess.run(
            ["make", str(setting), "PROFILE=smoke", *arguments],
            cwd=PROJECT,
            env={**clean, "SPACER_OUTPUTS": str(tmp_path / "out"), "SPACER_CLAIMED": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    setting = tmp_path / "out/smoke/.settings/DATA"
    assert "Nothing to be done" not in asked(f"DATA={tmp_path / 'set'}")
    assert setting.read_text() == f"{tmp_path / 'set'}\n"
    assert "up to date" in asked(f"DATA={tmp_path / 'set'}")
    asked("DATA=RUBBISHLIKE/SpaceR-151k")
    assert setting.read_text() == "RUBBISHLIKE/SpaceR-151k\n"
    asked()
    assert setting.read_text() == "\n"
    clean["DATA"] = "somebody's own"  # an environment's DATA means other things
    assert "up to date" in asked()
    assert "without blanks in its path" in asked("DATA=a folder")


def test_only_a_hub_id_asks_for_the_network(tmp_path: Path) -> None:
    assert given.needs_hub("owner/name", "")
    assert given.needs_hub("", "hub")
    assert not given.needs_hub(str(tmp_path), str(tmp_path))


def test_a_launched_run_may_leave_out_broken_media() -> None:
    from spacer_utils.training import launch

    line = launch.command(profiles.get("gpu-full"), "sft", "full", 0, "drop")
    assert line[line.index("--broken-media") + 1] == "drop"
    assert "--broken-media" not in launch.command(profiles.get("gpu-full"), "sft", "full", 0)
