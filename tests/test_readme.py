"""The README is followed to the letter: its four additions work, its commands and links exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spacer_utils.profiles import PROFILES, PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
ADDITIONS = dict(re.findall(r"```python\n# (spacer_utils/\S+)\n(.*?)```", README, re.DOTALL))

USE = """
import doctest, sys
import numpy as np
from spacer_utils import profiles, registry, rewards, video
from spacer_utils.data import samples
from spacer_utils.rewards import brevity
from spacer_utils.scoring.report import report
from spacer_utils.scoring.record import judge_row
assert doctest.testmod(brevity).failed == 0
room = next(iter(registry.SCENES["empty_hall"]("train", 1, 0)))
profile = profiles.get("smoke")
_, clip = video.film(room, profile.data, 0)
asked = {s.question_type: s for s in samples.room_samples(clip, profile)}
assert asked["tallest_object"].gold == "90", asked
doors = registry.BENCHMARKS["door_count"]
items = [judge_row(doors, {**row, "output": f"There are {row['answer']}."}) for row in doors.sample]
assert report(doors, items)["headline"] == 100.0
score = rewards.score(asked["tallest_object"], "<think></think><answer>90</answer>")
assert score.terms["brevity"] == 1.0
print("all four work")
"""


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the package with the README's four files in it."""
    shutil.copytree(
        PROJECT / "spacer_utils", tmp_path / "spacer_utils", ignore=shutil.ignore_patterns("nano_base", "__pycache__")
    )
    assert {Path(name).parts[1] for name in ADDITIONS} == {"rewards", "questions", "scenes", "benchmarks"}
    for name, code in ADDITIONS.items():
        (tmp_path / name).write_text(code)
    return tmp_path


@pytest.mark.slow
def test_the_four_additions_appear_and_work(extended: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "spacer_utils", "list"], cwd=extended, capture_output=True, text=True, check=True
    ).stdout
    for name in ("brevity", "tallest_object", "empty_hall", "door_count"):
        assert f"\n{name} | " in f"\n{listed}"
    used = subprocess.run([sys.executable, "-c", USE], cwd=extended, capture_output=True, text=True, check=False)
    assert used.stdout.strip() == "all four work", used.stderr[-2000:]


def test_an_addition_is_one_short_file_as_the_table_says() -> None:
    said = dict(re.findall(r"^\| a (reward|question type|scene source|benchmark) \| 1 \| (\d+) \|$", README, re.MULTILINE))
    folders = {"reward": "rewards", "question type": "questions", "scene source": "scenes", "benchmark": "benchmarks"}
    written = {Path(name).parts[1]: sum(bool(line.strip()) for line in code.splitlines()) for name, code in ADDITIONS.items()}
    assert len(ADDITIONS) == 4
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
