"""The whole study in ``smoke`` through Make and papermill, twice; then what a user may break, and
how it goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from spacer_utils.core import profiles
from spacer_utils.workbook import dag, manifest

PROJECT = profiles.PROJECT
SHARED = Path(os.environ.get("SPACER_SHARED", PROJECT.parent / "shared"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # the whole study, on a busy machine too


def make(
    goal: str, outputs: Path, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """``make GOAL PROFILE=smoke`` with this Python and an outputs folder of its own."""
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SPACER_CLAIMED", "REAL_LAYOUTS")
    }
    done = subprocess.run(
        ["make", goal, "PROFILE=smoke", f"PY={sys.executable}", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**clean, "SPACER_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"},
    )
    if check and done.returncode:
        pytest.fail(f"make {goal}: {done.stdout[-1500:]}\n{done.stderr[-3000:]}")
    return done


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of one ``make reproduce PROFILE=smoke``, with real layouts where they are at hand,
    and the appendix."""
    outputs = tmp_path_factory.mktemp("study")
    layouts = SHARED / "data" / "real_layouts"
    make(
        "reproduce",
        outputs,
        "nbA1",
        "-j2",
        *([f"REAL_LAYOUTS={layouts}"] if layouts.is_dir() else []),
    )
    return outputs


def executed(outputs: Path) -> list[Path]:
    return sorted((outputs / "smoke" / "executed").glob("*.ipynb"))


def figures(outputs: Path) -> dict[str, Any]:
    """Key figures of every notebook, but for what depends on the machine."""
    found = {n.name: manifest.read(outputs / "smoke", n.name) for n in dag.notebooks()}
    return {
        name: facts["metrics"] for name, facts in found.items() if facts and name != "00_start_here"
    }


def test_every_notebook_ran_and_wrote_what_it_says(study: Path) -> None:
    assert [p.stem for p in executed(study)] == [n.name for n in dag.notebooks()]
    for n in dag.notebooks():
        facts = manifest.read(study / "smoke", n.name)
        assert facts["state"] == "done"
        assert facts["metrics"], n.name
        assert "missing" not in facts["outputs"].values()
        assert "missing" not in facts["inputs"].values()


def test_no_time_and_no_path_stands_in_an_executed_notebook(study: Path) -> None:
    for path in executed(study):
        raw = nbformat.read(str(path), as_version=4)
        text = json.dumps([c.get("outputs", []) for c in raw.cells])
        for word in (str(study), str(PROJECT), str(Path.home())):
            assert word not in text, (path.name, word)
        assert not re.search(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d", text), path.name
        assert "papermill" not in raw.metadata


def test_reports_are_whole_and_small(study: Path) -> None:
    reports = study / "smoke" / "reports"
    for n in dag.notebooks():
        page = (reports / f"{n.name}.html").read_text()
        interactive = 'class="plot"' in page
        assert len(page) < (3_000_000 if interactive else 1_000_000), (n.name, len(page))
        assert not re.findall(r'<img alt=""', page), f"{n.name}: a figure without alternative text"
        assert "<article" not in page
    index = (reports / "index.html").read_text()
    assert f"{len(dag.notebooks())} of {len(dag.notebooks())} done" in index


def test_a_second_make_does_nothing(study: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns
        for p in [*executed(study), *(study / "smoke" / "reports").iterdir()]
    }
    layouts = (study / "smoke" / ".settings" / "REAL_LAYOUTS").read_text().strip()
    again = make("reproduce", study, f"REAL_LAYOUTS={layouts}")
    assert "starts" not in again.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_touching_the_plots_runs_only_what_plots(study: Path) -> None:
    layouts = (study / "smoke" / ".settings" / "REAL_LAYOUTS").read_text().strip()
    source = PROJECT / "spacer_utils" / "analysis" / "figures.py"
    before = source.stat()
    try:
        os.utime(source)  # make's -W would not reach the inner make that holds the lock
        dry = make("reproduce", study, "-n", f"REAL_LAYOUTS={layouts}")
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    runs = re.findall(r"spacer_utils notebook (\S+)", dry.stdout)
    assert "00_start_here" not in runs
    plotting = {
        n.name
        for n in dag.notebooks()
        if "spacer_utils/analysis/figures.py" in n.modules and not n.name.startswith("A")
    }
    assert plotting <= set(runs)
    assert not re.findall(
        r"spacer_utils notebook", make("reproduce", study, "-n", f"REAL_LAYOUTS={layouts}").stdout
    )


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study that a test may damage."""
    shutil.copytree(study / "smoke", tmp_path / "smoke", copy_function=shutil.copy2)
    return tmp_path


def runner(outputs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spacer_utils", "notebook", *arguments, "--profile", "smoke"],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SPACER_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"},
    )


def test_a_lost_artefact_is_named_and_make_writes_it_again(copy: Path) -> None:
    (copy / "smoke" / "data" / "heldout.jsonl").unlink()
    done = runner(copy, "08")
    assert done.returncode == 2
    assert (
        "data/heldout.jsonl (written by 02_questions). Run: make nb02 PROFILE=smoke" in done.stderr
    )
    assert "02_questions" in re.findall(
        r"spacer_utils notebook (\S+)", make("nb08", copy, "-n").stdout
    )


def test_a_corrupt_clip_is_named_and_the_notebook_goes_on_once_it_is_mended(copy: Path) -> None:
    smoke = copy / "smoke"
    shutil.rmtree(smoke / "frames", ignore_errors=True)
    shutil.rmtree(smoke / "eval", ignore_errors=True)
    kept = {p: p.read_bytes() for p in (smoke / "data" / "videos").rglob("*.mp4")}
    for path, data in kept.items():
        path.write_bytes(data[: len(data) // 3])
    done = runner(copy, "08")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert ".mp4" in last
    assert "failed: cell" in last
    assert "Traceback" not in last
    assert (smoke / "executed" / "08_cognitive_maps.failed.ipynb").exists()
    for path, data in kept.items():
        path.write_bytes(data)
    assert runner(copy, "08").returncode == 0
    assert not (smoke / "executed" / "08_cognitive_maps.failed.ipynb").exists()


def test_two_runs_from_clean_have_identical_figures(study: Path, tmp_path: Path) -> None:
    layouts = (study / "smoke" / ".settings" / "REAL_LAYOUTS").read_text().strip()
    make(
        "nb08", tmp_path, "nb07", "-j2", f"REAL_LAYOUTS={layouts}"
    )  # data, every training run, curves and evaluation
    again = {p.name: p for p in executed(tmp_path)}
    assert {name[:2] for name in again} == {"02", "04", "05", "06", "07", "08"}
    first = figures(study)
    assert figures(tmp_path) == {name: first[name] for name in figures(tmp_path)}
    for one in executed(study):
        if one.name in again:
            assert one.read_text() == again[one.name].read_text(), one.name
