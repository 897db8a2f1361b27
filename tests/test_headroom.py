"""Pass@k and the correlation of answers with the things asked about, against numbers worked out by hand."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import pytest

from spacer_utils.analysis import headroom
from spacer_utils.core.types import Sample

SAMPLE = Sample(
    7,
    "Is the tv nearer?",
    "video",
    "multiple choice",
    ("A. yes", "B. no"),
    "<answer>A</answer>",
    "videos/a.mp4",
    "procedural",
    "object_rel_distance",
    scene_id="room",
    categories=("tv", "bed"),
    cognitive_map={"tv": [[1, 1]], "bed": [[8, 8]], "sofa": [[1, 8]]},
)


def completion(tv: str, sofa: str, letter: str) -> SimpleNamespace:
    cells = f"{{'tv': [[{tv}]], 'bed': [[8, 8]], 'sofa': [[{sofa}]]}}"
    return SimpleNamespace(output=f"<think><map>{cells}</map></think><answer>{letter}</answer>")


def test_pass_at_k_is_the_share_of_draws_with_a_right_answer() -> None:
    for right in range(6):
        answers = [True] * right + [False] * (5 - right)
        for k in range(1, 6):
            draws = [any(draw) for draw in combinations(answers, k)]
            assert headroom.pass_at_k(right, 5, k) == pytest.approx(sum(draws) / len(draws))


def test_things_that_the_question_does_not_ask_about_change_only_the_whole_map() -> None:
    outputs = [
        completion("1, 1", "1, 8", "A"),
        completion("1, 1", "8, 1", "A"),
        completion("9, 9", "1, 8", "B"),
        SimpleNamespace(output="<answer>A</answer>"),
    ]
    perfect, stray, wrong, none = headroom.sampled_rows([SAMPLE], {"7": outputs})
    assert perfect["map"] == pytest.approx(1.0)
    assert stray["map"] < 0.8
    assert stray["asked_map"] == pytest.approx(perfect["asked_map"])
    assert wrong["asked_map"] < perfect["asked_map"] / 2
    assert none["map"] == none["asked_map"] == 0.0
    assert [r["accuracy"] for r in (perfect, stray, wrong)] == [1.0, 1.0, 0.0]

    found = headroom.map_correlation([perfect, stray, wrong], seed=0)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["groups"] == 1


def test_correlation_is_within_groups_and_leaves_out_those_without_spread() -> None:
    def row(group: str, asked: float | None, accuracy: float) -> dict:
        return {"group": group, "asked_map": asked, "accuracy": accuracy}

    # between the groups the two go together, within them against each other
    rows = [row("a", 0.1, 1.0), row("a", 0.2, 0.0), row("b", 0.8, 1.0), row("b", 0.9, 0.0)]
    assert headroom.map_correlation(rows, seed=0)["correlation"] == pytest.approx(-1.0)
    flat = [row("c", 0.5, 1.0), row("c", 0.5, 0.0), row("d", None, 1.0), row("d", 0.2, 0.0)]
    assert headroom.map_correlation([*rows, *flat], seed=0)["groups"] == 2
    assert headroom.map_correlation(flat, seed=0)["correlation"] is None


def test_the_table_gives_every_type_the_same_weight() -> None:
    def rows(group: str, kind: str, accuracy: list[float]) -> list[dict]:
        return [{"group": group, "question_type": kind, "accuracy": a} for a in accuracy]

    table = headroom.by_question_type(
        [
            *rows("1", "counts", [1, 0, 0, 0]),
            *rows("2", "counts", [0, 0, 0, 0]),
            *rows("3", "sizes", [0.6, 0.6, 0.6, 0.6]),
        ],
        ks=(1, 4, 8),
    )
    counts, sizes, mean = table
    assert counts == {
        "question_type": "counts",
        "n": 2,
        "pass@1 (%)": 12.5,
        "pass@4 (%)": 50.0,
        "spread (%)": 50.0,
    }
    assert (sizes["pass@1 (%)"], sizes["spread (%)"]) == (100.0, 0.0)
    assert mean["pass@1 (%)"] == 56.25
    assert mean["n"] == 3
