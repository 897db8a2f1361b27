"""The README is followed to the letter: additions work, commands and links exist, figures are the
committed study's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spacer_utils.analysis import readme_figure
from spacer_utils.analysis.published import REFERENCE
from spacer_utils.core.profiles import PROFILES, PROJECT
from spacer_utils.core.types import WorkbookError

README = (PROJECT / "README.md").read_text(encoding="utf-8")
ADDITIONS = dict(re.findall(r"```python\n# (spacer_utils/\S+)\n(.*?)```", README, re.DOTALL))
STUDY = REFERENCE / "cpu"
CONDITIONS = {
    "the base": "base",
    "the base, with a map": "base with map",
    "the base, given the true map": "base, true map",
    "the base, no video": "base, blind",
    "prior: training answers by frequency": "prior",
}
NUMBER = r"([-+]?\d+\.\d+)"

USE = """
import doctest, sys
import numpy as np
from spacer_utils import rewards
from spacer_utils.analysis import figures, scores
from spacer_utils.core import profiles, registry
from spacer_utils.dataset import samples
from spacer_utils.render import film
from spacer_utils.rewards import brevity
from spacer_utils.benchmarks.scoring.aggregate import report
from spacer_utils.benchmarks.scoring.record import judge_row
assert doctest.testmod(brevity).failed == 0
room = next(iter(registry.SCENES["empty_hall"]("train", 1, 0)))
profile = profiles.get("smoke")
_, clip = film.film(room, profile.data, 0)
asked = {s.question_type: s for s in samples.room_samples(clip, profile)}
assert asked["tallest_object"].gold == "90", asked
doors = registry.BENCHMARKS["door_count"]
items = [judge_row(doors, {**row, "output": f"There are {row['answer']}."}) for row in doors.sample]
assert report(doors, items)["headline"] == 100.0
score = rewards.score(asked["tallest_object"], "<think></think><answer>90</answer>")
assert score.terms["brevity"] == 1.0
assert "brevity" in registry.METHODS["rlvr_brief"].terms
assert figures.colour("rlvr_brief-full") == "#CC6677"
assert scores.comparisons(["rlvr-full", "rlvr_brief-full"]) == [("rlvr_brief-full", "rlvr-full")]
print("all five work")
"""


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the package with the README's five files in it."""
    shutil.copytree(
        PROJECT / "spacer_utils",
        tmp_path / "spacer_utils",
        ignore=shutil.ignore_patterns("nano_base", "__pycache__"),
    )
    assert {Path(name).parts[1] for name in ADDITIONS} == {
        "rewards",
        "training",
        "questions",
        "scenes",
        "benchmarks",
    }
    for name, code in ADDITIONS.items():
        (tmp_path / name).write_text(code)
    return tmp_path


@pytest.mark.slow
def test_the_five_additions_appear_and_work(extended: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "spacer_utils", "list"],
        cwd=extended,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("brevity", "tallest_object", "empty_hall", "door_count", "rlvr_brief"):
        assert f"\n{name} | " in f"\n{listed}"
    used = subprocess.run(
        [sys.executable, "-c", USE], cwd=extended, capture_output=True, text=True, check=False
    )
    assert used.stdout.strip() == "all five work", used.stderr[-2000:]


def test_an_addition_is_one_short_file_as_the_table_says() -> None:
    said = dict(
        re.findall(
            r"^\| a (reward|training method|question type|scene source|benchmark) \| 1 \| (\d+) \|$",
            README,
            re.MULTILINE,
        )
    )
    folders = {
        "reward": "rewards",
        "training method": "training",
        "question type": "questions",
        "scene source": "scenes",
        "benchmark": "benchmarks",
    }
    written = {
        Path(name).parts[1]: sum(bool(line.strip()) for line in code.splitlines())
        for name, code in ADDITIONS.items()
    }
    assert len(ADDITIONS) == 5
    assert {folders[what]: int(lines) for what, lines in said.items()} == written
    assert max(written.values()) <= 50


def test_links_and_targets_exist() -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)", README):
        assert (PROJECT / target).exists(), target
    makefile = (PROJECT / "Makefile").read_text()
    for goal in set(re.findall(r"make ([a-z][a-z-]+)", README)) - {"nb"}:
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), goal


def test_every_profile_and_notebook_is_listed() -> None:
    for name in PROFILES:
        assert f"| `{name}`" in README
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        assert f"notebooks/{path.name}" in README


def intervals(found: Any) -> Iterator[tuple[float, float, float]]:
    """Every (value, low, high) of a study's tables."""
    if isinstance(found, dict) and found.get("low") is not None:
        of = ("macro", "score", "difference", "map_calibrated")
        yield from ((found[k], found["low"], found["high"]) for k in of if k in found)
    for part in (
        found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    ):
        yield from intervals(part)


def test_the_study_table_is_the_committed_study() -> None:
    study = json.loads((STUDY / "summary.json").read_text())
    scores = {
        (r["split"], r["model"]): f"{r['macro']:.1f} ({r['low']:.1f} to {r['high']:.1f})"
        for r in study["summary"]
    }
    drawn = [r for r in study["maps"] if r["split"] == "heldout"]
    maps = {
        r["model"]: f"{r['map_calibrated']:.2f} ({r['low']:.2f} to {r['high']:.2f})" for r in drawn
    }
    minutes = {r["model"]: f"{r['seconds'] / 60:.1f}" for r in study["costs"]}
    table = README.split("| minutes a seed |\n|---|---|---|---|---|\n")[1].split("\n\n")[0]
    said = {}
    for line in table.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        said[CONDITIONS.get(name) or f"{name.strip('`')}-full"] = cells
    models = [m for split, m in scores if split == "heldout" and m != "base, shuffled"]
    assert said == {
        m: [scores["heldout", m], scores["real_layouts", m], maps.get(m, ""), minutes.get(m, "")]
        for m in models
    }


def test_the_picture_is_drawn_from_the_committed_study() -> None:
    path = STUDY / readme_figure.NAME
    assert f"]({path.relative_to(PROJECT)})" in README.split("\n## ")[0]
    assert path.stat().st_size <= readme_figure.MOST_BYTES
    with Image.open(path) as picture:
        assert picture.info["Source"] == readme_figure.digest(readme_figure.source(STUDY)), (
            "the study is another one: make readme-figures"
        )


def test_the_picture_shows_held_out_rooms_where_the_study_asked_them(tmp_path: Path) -> None:
    shutil.copy(STUDY / "example.json", tmp_path)
    steps = [{"step": k, "rewards/accuracy/mean": 0.2} for k in (1, 2)]
    curves = {"rlvr-full-s0": steps, "rlvr-full-s1": [{**r, "step": r["step"]} for r in steps]}
    (tmp_path / "curves.json").write_text(json.dumps(curves))
    assert readme_figure.source(tmp_path)["what"] == "rewards/accuracy/mean"
    for value, run in zip((30.0, 40.0), curves):
        curves[run].append({"step": 2, "heldout accuracy (%)": value})
    (tmp_path / "curves.json").write_text(json.dumps(curves))
    data = readme_figure.source(tmp_path)
    assert (data["what"], data["curves"]) == ("heldout accuracy (%)", {"rlvr-full": [[2, 35.0]]})
    (tmp_path / "example.json").unlink()
    with pytest.raises(WorkbookError, match="has no example"):
        readme_figure.source(tmp_path)


@pytest.mark.parametrize("page", ["README.md", "outputs/reference/cpu/README.md"])
def test_intervals_in_prose_stand_in_the_committed_study(page: str) -> None:
    known = list(intervals(json.loads((STUDY / "summary.json").read_text())))
    text = (
        (PROJECT / page)
        .read_text(encoding="utf-8")
        .split("## Beside the study")[0]
        .split("Does map imagination help?")[-1]
    )
    bounds = rf"{NUMBER} to {NUMBER}[);]"
    forms = (rf"{NUMBER}[^()|\d]{{0,40}} \({bounds}", rf"{NUMBER}, {bounds}")
    said = [triple for form in forms for triple in re.findall(form, " ".join(text.split()))]
    assert len(said) > 30
    for triple in said:
        near = 0.5 * 10.0 ** -len(triple[0].split(".")[1]) + 1e-9
        value, low, high = (float(v) for v in triple)
        # sizes, for "1.2 points below it (-5.1 to 2.9)": the interval has the difference's sign
        assert any(
            abs(abs(v) - abs(value)) < near and abs(a - low) < near and abs(b - high) < near
            for v, a, b in known
        ), triple
