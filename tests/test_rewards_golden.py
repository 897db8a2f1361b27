"""Set ``spacer`` against outputs of the paper's released reward code, row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spacer_utils import rewards
from spacer_utils.files import read_jsonl
from spacer_utils.rewards.map import read, score
from spacer_utils.rewards.rows import sample_of


def test_rewards_equal_the_released_code(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_rewards.jsonl")
    for number, row in enumerate(rows, 1):
        terms = rewards.score(sample_of(row, number), row["completion"], "spacer").terms
        assert terms["accuracy_with_map"] == pytest.approx(row["accuracy_with_map"], rel=0, abs=1e-9), number
        assert terms["format"] == row["format"], number
    assert len(rows) == 1000


def test_maps_equal_the_released_code(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_maps.jsonl")
    for number, row in enumerate(rows, 1):
        found = read(row["map_text"], row["categories"])
        assert json.dumps(found, sort_keys=True) == json.dumps(row["parsed"], sort_keys=True), number
        assert score(found, row["solution"]) == pytest.approx(row["score"], rel=0, abs=1e-9), number
    assert len(rows) == 1000
