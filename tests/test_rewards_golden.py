"""Set ``spacer`` against outputs of the paper's released reward code, row by row; map scores on the
benchmark's real rooms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spacer_utils import rewards
from spacer_utils.core import maps
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.registry import SCENES
from spacer_utils.rewards.map import read, score
from spacer_utils.rewards.matching import calibrated, compare
from spacer_utils.rewards.score_rewards import sample_of


@pytest.mark.slow
def test_rewards_equal_the_released_code(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_rewards.jsonl")
    for number, row in enumerate(rows, 1):
        terms = rewards.score(sample_of(row, number), row["completion"], "spacer").terms
        assert terms["accuracy_with_map"] == pytest.approx(
            row["accuracy_with_map"], rel=0, abs=1e-9
        ), number
        assert terms["format"] == row["format"], number
    assert len(rows) == 1000


def test_maps_equal_the_released_code(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_maps.jsonl")
    for number, row in enumerate(rows, 1):
        found = read(row["map_text"], row["categories"])
        assert json.dumps(found, sort_keys=True) == json.dumps(row["parsed"], sort_keys=True), (
            number
        )
        assert score(found, row["solution"]) == pytest.approx(row["score"], rel=0, abs=1e-9), number
    assert len(rows) == 1000


@pytest.mark.slow
def test_what_uninformative_maps_earn_on_real_rooms(real_layouts: Path) -> None:
    rng = np.random.default_rng(0)
    true = [maps.scan_cells(room) for room in SCENES["real_layouts"](folder=real_layouts)]
    drawn = {
        "centre": [{c: [[4, 4]] * len(places) for c, places in m.items()} for m in true],
        "random": [
            {c: rng.integers(0, 10, (len(places), 2)).tolist() for c, places in m.items()}
            for m in true
        ],
        "turned": [maps.turn(m, 1) for m in true],
        "mirrored": [maps.mirror(m) for m in true],
    }
    released = {
        kind: np.mean([score(guess, m) for guess, m in zip(guesses, true)])
        for kind, guesses in drawn.items()
    }
    # measured with the released code, there with the extent of the objects for the room's: .74,
    # .68, .66, .69
    assert released == pytest.approx(
        {"centre": 0.74, "random": 0.68, "turned": 0.66, "mirrored": 0.69}, abs=0.015
    )
    ours = {
        kind: [
            calibrated(compare(m, {c: [(x, y) for x, y in places] for c, places in guess.items()}))
            for guess, m in zip(drawn[kind], true)
        ]
        for kind in ("centre", "random")
    }
    assert np.abs(ours["centre"]).max() < 1e-9
    assert abs(np.mean(ours["random"])) < 3 * np.std(ours["random"]) / np.sqrt(len(true))


@pytest.mark.slow
def test_trainers_get_the_released_rewards_too(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_rewards.jsonl")
    functions, _ = rewards.trl_reward_functions({"accuracy_with_map": 1.0}, reward_set="spacer")
    samples = [sample_of(r, k) for k, r in enumerate(rows)]
    texts = [r["completion"] for r in rows]
    total = functions[0](completions=texts, sample=[s.to_json_text() for s in samples])
    assert [t or 0.0 for t in total] == pytest.approx(
        [r["accuracy_with_map"] for r in rows], abs=1e-9
    )
