"""Statistics of evaluations: counts, chance, floors of maps, and intervals only where rooms
differ."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_utils.analysis import map_stats, scores
from spacer_utils.analysis import published as reference
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import Sample
from spacer_utils.evaluation.evaluate import Prediction

Row = dict[str, Any]


def choice(
    key: int, options: int, question_type: str = "object_rel_distance", room: str = "r0"
) -> Sample:
    listed = tuple(f"{letter}. thing {letter}" for letter in "ABCD"[:options])
    return Sample(
        key,
        "Which?",
        "video",
        "multiple choice" if options else "numerical",
        listed,
        f"<answer>{'A' if options else '4'}</answer>",
        "v.mp4",
        "test",
        question_type,
        room,
    )


def row(score: float, room: str = "r0", **more: Any) -> Row:
    return {
        "split": "heldout",
        "model": "base",
        "key": "1",
        "scene_id": room,
        "question_type": "count",
        "score": score,
        "parsed": True,
        "missing": False,
        "truncated": False,
        **more,
    }


def test_summary_counts_as_benchmark_reports_do() -> None:
    samples = [choice(k, 4, room=f"r{k}") for k in range(4)]
    texts = ("<answer>A</answer>", "<answer>sofa</answer>", "<think>so", None)
    outputs = {
        str(s.problem_id): Prediction("", t, 3, t.endswith("so"))
        for s, t in zip(samples, texts)
        if t is not None
    }
    (table,) = scores.summary(scores.score_rows("heldout", "base", samples, outputs), seed=0)
    assert {k: v for k, v in table.items() if k.startswith("n_") or k == "truncated"} == {
        "n_expected": 4,
        "n_scored": 3,
        "n_missing": 1,
        "n_unparsed": 2,
        "truncated": 1,
    }
    assert table["macro"] == 25


def test_one_room_has_no_interval() -> None:
    one, two = [row(1.0), row(0.0)], [row(1.0), row(0.0, "r1")]
    for rows, known in ((one, False), (two, True)):
        both = [*rows, *({**r, "model": "sft"} for r in rows)]
        tables = [
            *scores.summary(rows, seed=0),
            *scores.by_type(rows, seed=0),
            scores.paired(both, "heldout", "sft", "base", seed=0),
        ]
        assert [(t["low"] is not None, t["high"] is not None) for t in tables] == [
            (known, known)
        ] * 3


def test_interval_is_over_rooms_not_questions() -> None:
    rows = [row(float(k % 2), f"r{k % 2}") for k in range(200)]
    (table,) = scores.summary(rows, seed=0)
    assert (table["macro"], table["low"], table["high"]) == (50, 0, 100)


def test_chance_is_one_over_the_number_of_options() -> None:
    samples = [choice(1, 4), choice(2, 2), choice(3, 0, "object_counting")]
    assert scores.chance(samples) == {"object_rel_distance": pytest.approx(37.5)}


def test_published_scores_name_benchmark_setting_and_source() -> None:
    for published in reference.PUBLISHED:
        assert published["benchmark"] in BENCHMARKS.names()
        assert 0 < published["score (%)"] < 100
        assert all(published[field] for field in ("model", "setting", "source"))
    assert len({tuple(p.values()) for p in reference.PUBLISHED}) == len(reference.PUBLISHED)


def test_floor_of_maps() -> None:
    true: Any = [{"chair": [[1, 2], [7, 7]], "table": [[8, 1]], "bed": [[2, 8]]}]
    floor = map_stats.floor_of(true, seed=3, frame="scan")
    assert set(floor) == {
        "perfect",
        "centre",
        "random cells",
        "turned 90°",
        "mirrored",
        "noise of 1 cell",
        "noise of 2 cells",
    }
    assert all(
        set(terms) == set(map_stats.MAP_TERMS) and all(len(v) == 1 for v in terms.values())
        for terms in floor.values()
    )
    assert all(values == [1.0] for values in floor["perfect"].values())
    assert (
        floor["centre"]["map"][0] > floor["centre"]["map_calibrated"][0]
    )  # the released rule pays for knowing nothing
    assert floor["turned 90°"]["map_calibrated"][0] < floor["turned 90°"]["map_aligned"][0] == 1.0
    assert floor["mirrored"]["map_calibrated"][0] < 1.0
    assert floor["noise of 1 cell"]["map"][0] > floor["noise of 2 cells"]["map"][0]
    assert floor == map_stats.floor_of(true, seed=3, frame="scan")
    assert floor["random cells"] != map_stats.floor_of(true, seed=4)["random cells"]
    turned = map_stats.floor_of(true, seed=3)[
        "turned 90°"
    ]  # on maps drawn as the first frame looks, nothing is left to turn
    assert (
        turned["map_aligned"] == turned["map_calibrated"] == floor["turned 90°"]["map_calibrated"]
    )
