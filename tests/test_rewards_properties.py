"""What holds for every reward and any text: gold is best, nothing raises, time is linear, maps are
judged as promised."""

from __future__ import annotations

import ast
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from bench_rewards import slow_accuracy, slow_read, slow_score
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from spacer_utils import rewards
from spacer_utils.core import maps
from spacer_utils.core.answers import Points, parse
from spacer_utils.core.prompts import target
from spacer_utils.core.registry import REWARDS
from spacer_utils.core.types import MapCells, MapFrame, Sample
from spacer_utils.rewards import RewardSet
from spacer_utils.rewards.map import read, score
from spacer_utils.rewards.map_aligned import aligned, aligned_metric
from spacer_utils.rewards.matching import _least_totals, calibrated, closeness, compare, matched

CATEGORIES = ("tv", "bed", "chair", "trash bin", "table", 'men\'s shoes, (old): "x"')
CELL = st.lists(st.integers(0, 9), min_size=2, max_size=2)
CELLS = st.dictionaries(
    st.sampled_from(CATEGORIES), st.lists(CELL, min_size=1, max_size=4), min_size=1
)
GOLDS = {
    "multiple choice": "B",
    "numerical": "3.5",
    "OCR": "EXIT only",
    "free-form": "near the red door",
    "regression": "0.35",
}
OPTIONS = ("A. chair", "B. sofa", "C. tv", "D. table")
MAP_TERMS = ("map", "map_calibrated", "map_aligned", "map_relations")
PARTS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<map>",
        "</map>",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        "'",
        '"',
        "tv",
        "Trash Bin",
        "chair",
        "[[1, 2]]",
        "(3, 4)",
        "-5",
        "1e9",
        "twenty",
        "a",
        "B.",
        "3.5",
        "nan",
        "9" * 400,
        "\\",
        "\x00",
        "\ud800",
        "é",
        "\n",
        " ",
        "str{",
        "None",
        "EXIT",
    ]
)
TEXTS = st.one_of(
    st.lists(PARTS, max_size=40).map("".join),
    st.text(max_size=60),
    st.tuples(
        st.lists(PARTS, max_size=15).map("".join), st.lists(PARTS, max_size=5).map("".join)
    ).map(lambda t: f"<think><map>{t[0]}</map></think><answer>{t[1]}</answer>"),
)


def sample(problem_type: Any, cells: MapCells | None, gold: str | None = None) -> Sample:
    options = OPTIONS if problem_type == "multiple choice" else ()
    solution = f"<answer>{GOLDS[problem_type] if gold is None else gold}</answer>"
    return Sample(1, "?", "video", problem_type, options, solution, "", "", cognitive_map=cells)


def drawn(cells: Any) -> str:
    return f"<think><map>{cells}</map></think><answer>B</answer>"


def term(name: str, true: MapCells, cells: Any) -> float | None:
    return rewards.term(name, sample("multiple choice", true), parse(drawn(cells)))[0]


# --------------------------------------------------------------------------------------- any reward


@given(st.sampled_from(sorted(GOLDS)), CELLS)
@example("OCR", {"tv": [[0, 1], [4, 0], [0, 6]]})
@example("OCR", {"tv": [[1, 7], [5, 9], [5, 9], [7, 7]], "bed": [[1, 0], [5, 9], [1, 0]]})
def test_gold_scores_the_maximum(problem_type: str, cells: MapCells) -> None:
    gold = rewards.score(
        sample(problem_type, cells), target(sample(problem_type, cells), with_map=True)
    )
    assert gold.total == 3.0
    assert all(
        gold.terms[name] == 1.0 for name in ("accuracy", "format", "map_calibrated", "map_aligned")
    )
    assert gold.terms["map"] == pytest.approx(1.0)
    assert gold.terms["map_relations"] in (1.0, None)
    if problem_type in ("multiple choice", "numerical"):
        released = rewards.score(
            sample(problem_type, cells),
            target(sample(problem_type, cells), with_map=True),
            "spacer",
        )
        assert released.total == pytest.approx(3)


@given(
    st.sampled_from(sorted(GOLDS)),
    CELLS,
    CELLS,
    st.sampled_from(["B", "3.5", "4", "EXIT", "red", "0.35", ""]),
)
def test_no_completion_beats_gold(
    problem_type: str, cells: MapCells, other: MapCells, text: str
) -> None:
    found = rewards.score(
        sample(problem_type, cells), f"<think><map>{other}</map></think><answer>{text}</answer>"
    )
    assert found.total <= 3.0
    assert all(
        value is None or value <= 1.0 + 1e-12
        for name, value in found.terms.items()
        if name != "accuracy_with_map"
    )


SPACE = st.text(alphabet=" \n\t", max_size=3)


@given(st.sampled_from(sorted(GOLDS)), CELLS, CELLS, SPACE, SPACE)
def test_white_space_inside_tags_changes_nothing(
    problem_type: str, cells: MapCells, other: MapCells, a: str, b: str
) -> None:
    plain = f"<think><map>{other}</map></think><answer>{GOLDS[problem_type]}</answer>"
    spaced = (
        f"<think>{a}<map>{b}{other}{a}</map>{b}</think><answer>{a}{GOLDS[problem_type]}{b}</answer>"
    )
    for name in ("strict", "spacer"):
        one, two = (
            rewards.score(sample(problem_type, cells), text, name) for text in (plain, spaced)
        )
        assert one.terms == two.terms


@given(
    CELLS,
    TEXTS,
    st.sampled_from(["B", "C", ""]),
    st.sampled_from(["correct", "format", "none"]),
    st.sampled_from(MAP_TERMS),
)
def test_a_map_never_costs_anything_in_strict(
    cells: MapCells, text: str, said: str, gate: Any, map_term: str
) -> None:
    assume(not any(f"{tag}>" in text for tag in ("think", "answer")))
    rule = RewardSet(
        "rule", {"accuracy_with_map": 1.0, "format": 1.0}, gate=gate, map_term=map_term
    )
    true = sample("multiple choice", cells)
    with_map = rewards.score(true, f"<think><map>{text}</map></think><answer>{said}</answer>", rule)
    without = rewards.score(true, f"<think></think><answer>{said}</answer>", rule)
    assert with_map.total >= without.total or "<map>" in text or "</map>" in text


def check_any_text(text: str, problem_type: str, cells: MapCells | None) -> None:
    for name in ("strict", "spacer"):
        found = rewards.score(sample(problem_type, cells), text, name)
        assert all(v is None or math.isfinite(v) for v in (*found.terms.values(), found.total))
        assert all(
            0 <= v <= 1
            for n, v in found.terms.items()
            if v is not None and n in ("accuracy", "format", "map")
        )
        assert 0 <= found.total <= 3.0 + 1e-9
        json.dumps(found.reasons)


@given(TEXTS, st.sampled_from(sorted(GOLDS)), st.one_of(st.none(), st.just({}), CELLS))
def test_any_text_gets_finite_rewards(text: str, problem_type: str, cells: MapCells | None) -> None:
    check_any_text(text, problem_type, cells)
    assert rewards.score(sample(problem_type, cells), text) == rewards.score(
        sample(problem_type, cells), text
    )


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from(sorted(GOLDS)), st.one_of(st.none(), st.just({}), CELLS))
def test_ten_thousand_texts_get_finite_rewards(
    text: str, problem_type: str, cells: MapCells | None
) -> None:
    check_any_text(text, problem_type, cells)


LENGTHS = (8_000, 19_900, 1_000_000)
FRAGMENTS = (
    "<map>",
    "</map>",
    "<answer>",
    "</answer>",
    "</think>\n",
    "</think>\n<answer>",
    "<",
    "a ",
    "twenty-",
    "9",
    "9 ",
    "1,",
    "1,000,",
    "[",
    "(",
    "{",
    "'",
    "'chair': ",
    "chair ",
    "[1, 2], ",
    "(1, 2), ",
    "1 2 ",
    " ",
    "\n",
    "-",
    "::",
    "\\",
    "\x00",
    "\u0130",
    "\ufdfa",
    "A. B ",
)
ENVELOPES = (
    "{}",
    "<think></think><answer>{}</answer>",
    "<think><map>{}</map></think><answer>B</answer>",
    "<think><map>{{'chair': [{}]}}</map></think><answer>B</answer>",
    "<think>{}</think><answer>B</answer>",
)


def long_texts(fragment: str, length: int) -> Iterator[tuple[Sample, str]]:
    """Rows with a completion of many repeated fragments, in every envelope and for every problem
    type."""
    cells: MapCells = {"chair": [[1, 2], [3, 4], [8, 8]], "table": [[5, 5]], "tv": [[0, 9]]}
    filling = (fragment * (length // len(fragment) + 1))[:length]
    for envelope in ENVELOPES:
        for problem_type in GOLDS:
            yield sample(problem_type, cells), envelope.format(filling)


@pytest.mark.slow
@pytest.mark.parametrize("fragment", FRAGMENTS)
@pytest.mark.parametrize(
    "length", LENGTHS, ids=["within an answer's limit", "within a map's limit", "1 MB"]
)
def test_long_texts_do_not_hang(fragment: str, length: int) -> None:
    # A pattern that backtracks takes minutes on a megabyte; how fast the others are,
    # ``bench_rewards.py`` prints.
    for row, text in long_texts(fragment, length):
        for name in ("strict", "spacer"):
            start = time.process_time()
            rewards.score(row, text, name)
            assert time.process_time() - start < 5, (row.problem_type, name, text[:60])


def test_long_texts_are_bounded_with_a_reason() -> None:
    long = "word " * 2_000
    for problem_type in ("OCR", "free-form", "numerical"):
        for name in ("strict", "spacer"):
            found = rewards.score(
                sample(problem_type, None, "word"), f"<think></think><answer>{long}</answer>", name
            )
            assert found.terms["accuracy"] == 0.0
            assert "8,192" in found.reasons["accuracy"]


def test_rewards_know_no_clock_no_network_no_chance() -> None:
    package = Path(rewards.__file__).parent
    for path in [
        *package.glob("*.py"),
        package.parent / "core" / "answers.py",
        package.parent / "core" / "maps.py",
    ]:
        found = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = [
            n
            for node in found
            for n in (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        ]
        forbidden = {
            "random",
            "time",
            "datetime",
            "os",
            "socket",
            "requests",
            "urllib",
            "torch",
            "uuid",
        }
        assert not {n.split(".")[0] for n in names} & forbidden, path.name


# --------------------------------------------------------------------------------------- map scores


@given(CELLS, st.sampled_from([[4, 4], [5, 5], [4, 5], [5, 4], [4.5, 4.5]]))
def test_the_centre_map_has_calibrated_score_0(cells: MapCells, centre: list[float]) -> None:
    assume(any(not 4 <= v <= 5 for places in cells.values() for place in places for v in place))
    middle = {c: [centre] * len(places) for c, places in cells.items()}
    assert term("map_calibrated", cells, middle) == pytest.approx(0, abs=1e-9)
    assert term("map_aligned", cells, middle) == pytest.approx(0, abs=1e-9)
    more = {c: [centre] * (len(places) + 1) for c, places in cells.items()}
    assert term("map_calibrated", cells, more) == pytest.approx(0, abs=1e-9)
    assert term("map_calibrated", cells, {}) == 0


def guess(true: MapCells, rng: np.random.Generator) -> Points:
    """A map with the right counts and uniformly random cells."""
    return {
        c: [(float(x), float(y)) for x, y in rng.integers(0, 10, (len(places), 2))]
        for c, places in true.items()
    }


def test_random_maps_have_calibrated_score_0_on_average() -> None:
    rng = np.random.default_rng(1)
    means = []
    for _ in range(40):
        true = {
            c: rng.integers(0, 10, (rng.integers(1, 5), 2)).tolist()
            for c in CATEGORIES[: rng.integers(2, 6)]
        }
        scores = [calibrated(compare(true, guess(true, rng))) for _ in range(40)]
        means.append(np.mean(scores))
    assert abs(np.mean(means)) < 3 * np.std(means) / math.sqrt(len(means))
    assert abs(np.mean(means)) < 0.02
    assert np.std(means) < 0.08  # 40 draws each: no single truth is off by much


def test_random_maps_of_one_category_have_calibrated_score_0_on_average() -> None:
    for true in (
        {"tv": [[7, 2]]},
        {"chair": [[0, 0], [9, 9]]},
        {"chair": [[2, 2], [2, 7], [7, 7]]},
    ):
        rng = np.random.default_rng(2)
        scores = [calibrated(compare(true, guess(true, rng))) for _ in range(3000)]
        assert abs(np.mean(scores)) < 4 * np.std(scores) / math.sqrt(len(scores))


def test_no_cell_beats_the_true_one() -> None:
    cells = [(x, y) for x in range(10) for y in range(10)]
    for true in cells[:55]:  # the other half is the same by symmetry
        scores = {
            (x, y): calibrated(compare({"tv": [list(true)]}, {"tv": [(float(x), float(y))]}))
            for x, y in cells
        }
        assert scores.pop(true) == 1.0
        assert max(scores.values()) < 1.0


def test_a_wilder_map_does_not_exceed_a_truth_that_stands_in_the_middle() -> None:
    true: MapCells = {"tv": [[5, 6]], "table": [[4, 5]]}
    assert term("map_calibrated", true, true) == 1.0
    assert term("map_calibrated", true, {"tv": [[5, 6]], "table": [[3, 3]]}) == 1.0


def test_damage_lowers_the_calibrated_score_step_by_step() -> None:
    true: MapCells = {"tv": [[8, 1]], "chair": [[1, 2], [3, 8]], "table": [[6, 6]], "bed": [[0, 9]]}
    perfect = term("map_calibrated", true, true)
    shifted = term("map_calibrated", true, {**true, "tv": [[7, 1]]})
    missing = term("map_calibrated", true, {**true, "tv": []})
    doubled = term("map_calibrated", true, {**true, "tv": [[8, 1], [8, 1]]})
    unknown = term("map_calibrated", true, {**true, "lamp": [[1, 1]]})
    off = term("map_calibrated", true, {**true, "tv": [[8, 1], [8, 10]]})
    mirrored = term("map_calibrated", true, maps.mirror(true))
    assert perfect == 1.0
    for worse in (shifted, missing, doubled, unknown, off):
        assert 0.5 < (worse or 0) < 1
    assert unknown == pytest.approx(5 / 6)
    assert (mirrored or 0) < 0.2


def test_coordinates_off_the_grid_are_invalid_not_truncated() -> None:
    true: MapCells = {"tv": [[0, 9]]}
    assert term("map", true, "{'tv': [[-0.6, 9]]}") == 1.0  # released: truncated to 0
    for cells in ("{'tv': [[-0.6, 9]]}", "{'tv': [[0, 9.4]]}", "{'tv': [[0, 10]]}"):
        assert term("map_calibrated", true, cells) == 0.0
    assert 0.5 < (term("map_calibrated", true, "{'tv': [[0.4, 8.6]]}") or 0) < 1


def test_pairs_are_matched_best_not_nearest_first() -> None:
    true: MapCells = {"chair": [[0, 0], [3, 0]]}
    # released: 2 goes with 3, so that 9 is left for 0
    assert score({"chair": [[2, 0], [9, 0]]}, true) == pytest.approx(
        (2 - (1 + 9) / math.sqrt(200)) / 2
    )
    assert matched([(2, 0), (9, 0)], [(0, 0), (3, 0)]) == [(0, 0), (1, 1)]
    assert closeness([(2, 0), (9, 0)], [(0, 0), (3, 0)], math.sqrt(200)) == pytest.approx(
        2 - (2 + 6) / math.sqrt(200)
    )


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_matchings_have_the_least_total_distance(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, places = rng.random((k, 2)), rng.random((n, 2))
    table = np.hypot(*np.moveaxis(points[:, None] - places, -1, 0))
    least = table[linear_sum_assignment(table)].sum()
    pairs = matched(points.tolist(), places.tolist())
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == min(k, n)
    assert sum(table[i, j] for i, j in pairs) == pytest.approx(least)
    assert _least_totals(np.stack([table, table])) == pytest.approx([least, least])


TAGS = ("<map>", "</map>", "{'tv': [[1, 1]]}")


@pytest.mark.parametrize(
    "true", [{}, {"tv": []}, {"tv": [[1, 1]]}], ids=["no object", "an empty category", "a tv"]
)
def test_the_released_gate_takes_tags_in_any_order(true: MapCells) -> None:
    orders = ["".join(parts) for n in range(5) for parts in product(TAGS, repeat=n)]
    texts = [f"<think>{order}</think><answer>5</answer>" for order in orders]
    room = replace(sample("numerical", true), solution="<answer>5</answer>")
    released = [
        slow_accuracy(
            {
                "problem_type": "numerical",
                "solution": room.solution,
                "completion": text,
                "cognitive_map": true,
            }
        )
        for text in texts
    ]
    assert [
        rewards.score(room, text, "spacer").terms["accuracy_with_map"] for text in texts
    ] == pytest.approx(released)
    (function,) = rewards.trl_reward_functions({"accuracy_with_map": 1.0}, reward_set="spacer")[0]
    assert function(completions=texts, sample=[room.to_json_text()] * len(texts)) == pytest.approx(
        released
    )
    assert released[orders.index("</map><map>")] == (0.0 if true.get("tv") else 2.0)


@given(CELLS, CELLS, st.integers(1, 3))
def test_aligned_is_invariant_to_quarter_turns(
    cells: MapCells, other: MapCells, turns: int
) -> None:
    assert term("map_aligned", cells, maps.turn(other, turns)) == pytest.approx(
        term("map_aligned", cells, other), abs=1e-9
    )
    assert term("map_aligned", cells, maps.turn(cells, turns)) == pytest.approx(1.0)


@given(CELLS)
def test_aligned_never_takes_a_mirror_image_for_the_room(cells: MapCells) -> None:
    assume(
        not any(4 <= x <= 5 and 4 <= y <= 5 for places in cells.values() for x, y in places)
    )  # there every guess is as good
    mirrored = maps.mirror(cells)
    value = term("map_aligned", cells, mirrored) or 0
    turned = [{c: sorted(p) for c, p in maps.turn(mirrored, k).items()} for k in range(4)]
    symmetric = {c: sorted(p) for c, p in cells.items()} in turned
    assert value == pytest.approx(1.0) if symmetric else value < 1


def test_a_first_view_map_is_never_turned() -> None:
    turned = compare({"tv": [[8, 1]], "bed": [[1, 1]]}, {"tv": [(8.0, 8.0)], "bed": [(8.0, 1.0)]})
    assert aligned(turned) == (1.0, 3)
    assert aligned(turned, frame="first-view") == (calibrated(turned), 0)
    room = sample("OCR", {"tv": [[8, 1]], "bed": [[1, 1]]})
    answer = parse(drawn({"tv": [[8, 8]], "bed": [[8, 1]]}))
    scores = {
        frame: rewards.term("map_aligned", replace(room, map_frame=frame), answer)[0]
        for frame in get_args(MapFrame)
    }
    assert scores == {"scan": 1.0, "first-view": rewards.term("map_calibrated", room, answer)[0]}


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=5),
    st.floats(0, 6.3),
    st.floats(-9, 9),
)
def test_metric_maps_may_be_moved_rigidly_but_not_mirrored(
    places: list[tuple[float, float]], angle: float, shift: float
) -> None:
    true: Points = {c: [p] for c, p in zip(CATEGORIES, places)}
    array = np.array(places)
    assume(np.linalg.svd(array - array.mean(0))[1].min() > 1)  # not on one line
    moved = (
        array @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        + shift
    )
    assert aligned_metric(
        {c: [tuple(p)] for c, p in zip(CATEGORIES, moved.tolist())}, true
    ) == pytest.approx(1.0)
    assert (
        aligned_metric({c: [(-x, y)] for c, (x, y) in zip(CATEGORIES, moved.tolist())}, true)
        < 0.999
    )
    assert (
        aligned_metric({c: [(2 * x, 2 * y)] for c, (x, y) in zip(CATEGORIES, moved.tolist())}, true)
        < 0.999
    )
    assert aligned_metric({}, true) == 0.0


def test_a_released_map_of_an_empty_room_must_be_empty() -> None:
    assert score({}, {}) == 1.0
    assert score({"tv": [(1, 1)]}, {}) == 0.0
    room = Sample(
        1,
        "",
        "video",
        "numerical",
        (),
        "<answer>1</answer>",
        "",
        "",
        cognitive_map={"tv": [[1, 1]]},
    )
    reason = rewards.term("map", room, parse("<think><map>none</map></think><answer>1</answer>"))
    assert reason == (0.0, "nothing readable in the map")


def test_aligned_metric_counts_instances_and_what_is_not_there() -> None:
    true = {"tv": [(1.0, 1.0)], "bed": [(3.0, 1.0)], "chair": [(1.0, 4.0), (2.0, 4.0)]}
    assert aligned_metric(true, true) == pytest.approx(1.0)
    assert aligned_metric({**true, "sofa": [(0.0, 0.0)] * 2}, true) == pytest.approx(4 / 6)
    one = {**true, "tv": [(1.0, 1.0)] * 4}  # one of four is right
    assert aligned_metric(one, true) == pytest.approx((1 / 4 + 3) / 4)
    assert aligned_metric({c: true[c] for c in ("tv", "bed")}, true) == pytest.approx(2 / 4)


@given(CELLS, st.integers(0, 1), st.integers(0, 1), st.sampled_from([0.5, 1, 2]))
def test_relations_are_free_of_place_and_size(
    cells: MapCells, dx: int, dy: int, scale: float
) -> None:
    half = {
        c: [[x // 2, y // 2] for x, y in places] for c, places in cells.items()
    }  # so that all fits the grid when doubled
    moved = {c: [[x * scale + dx, y * scale + dy] for x, y in places] for c, places in half.items()}
    assert term("map_relations", half, moved) in (None, pytest.approx(1.0))


@pytest.mark.slow
def test_relations_see_turns_mirrors_and_what_is_missing() -> None:
    true: MapCells = {"tv": [[8, 1]], "bed": [[1, 2]], "table": [[4, 6]], "lamp": [[2, 8]]}
    turned, opposite = (term("map_relations", true, maps.turn(true, k)) for k in (1, 2))
    assert turned == pytest.approx(0.5)  # directions at right angles, order of distances kept
    assert opposite == pytest.approx(0.0)  # directions opposite, order kept
    assert (term("map_relations", true, maps.mirror(true)) or 0) < 0.7
    assert term("map_relations", true, {c: [[4, 4]] for c in true}) == 0.0
    assert term("map_relations", true, {**true, "lamp": []}) == pytest.approx(0.5)  # 3 of 6 pairs
    assert term("map_relations", true, {**true, "sofa": [[1, 1]]}) == pytest.approx(
        0.6
    )  # 6 of 10 pairs
    assert term("map_relations", true, {"tv": [[8, 1]]}) == 0.0
    assert term("map_relations", {"tv": [[1, 1]]}, {"tv": [[1, 1]]}) is None
    near: MapCells = {"tv": [[4, 4]], "bed": [[5, 4]], "lamp": [[9, 9]], "sofa": [[0, 0]]}
    exchanged = term("map_relations", near, {**near, "tv": near["bed"], "bed": near["tv"]})
    assert exchanged == pytest.approx(
        0.6, abs=0.05
    )  # neighbours count as much as others: 0.77 without that pair's direction
    together = {"tv": [[1, 1]], "bed": [[1, 1]], "lamp": [[5, 5]]}
    assert (
        term("map_relations", together, {"tv": [[1, 1]], "bed": [[2, 2]]}) == 0.0
    )  # the two drawn stand on one spot
    rng = np.random.default_rng(3)
    guesses = [
        term("map_relations", true, {c: [rng.integers(0, 10, 2).tolist()] for c in true}) or 0.0
        for _ in range(1000)
    ]
    assert abs(np.mean(guesses)) < 4 * np.std(guesses) / math.sqrt(1000)


def test_a_perfect_map_of_a_crowded_room_is_perfect() -> None:
    crowd = [[x, y] for x in range(10) for y in range(10)]
    assert (
        term("map_relations", {"tv": [[1, 1]], "chair": crowd}, {"tv": [[1, 1]], "chair": crowd})
        == 1.0
    )
    assert (
        term(
            "map_relations",
            {"chair": [[0, 0]] * 100, "tv": crowd},
            {"chair": [[0, 0]] * 100, "tv": crowd},
        )
        == 1.0
    )


def test_a_crowd_of_one_category_is_soon_scored() -> None:
    true: MapCells = {"chair": [[k % 10, k // 10 % 10] for k in range(700)]}
    start = time.process_time()
    assert term("map_calibrated", true, "none") == 0.0
    assert time.process_time() - start < 0.5, "nothing drawn, nothing to calibrate"
    assert term("map_calibrated", true, true) == 1.0
    assert time.process_time() - start < 10


def test_map_terms_say_when_they_do_not_apply() -> None:
    for name in MAP_TERMS:
        assert rewards.term(name, sample("OCR", None), parse(drawn("{}"))) == (
            None,
            "the sample has no map",
        )
    assert rewards.term("map", sample("OCR", {}), parse(drawn("{}")))[0] == 1.0
    for name in MAP_TERMS[1:]:
        assert rewards.term(name, sample("OCR", {"tv": []}), parse(drawn("{}"))) == (
            None,
            "the sample's map is empty",
        )


def test_more_pairs_than_anyone_can_write_are_bounded() -> None:
    true: MapCells = {"tv": [[1, 2], [3, 4]]}
    many = "{'tv': [" + ", ".join(["[1, 2]"] * 2_000) + "]}"
    assert 0 < (term("map", true, many) or 0) < 0.002
    assert abs(term("map_calibrated", true, many) or 0) < 0.01


# ------------------------------------------------------------------------------ the released parser

MAP_PARTS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        "'",
        '"',
        "tv",
        "TV",
        "trash bin",
        "bin",
        "bin bag",
        " ",
        "\n",
        "1",
        "-3",
        "4.5",
        "-0.6",
        "05",
        "1.",
        "1e3",
        "True",
        "lamp",
        "#",
        "\\",
        "[[1, 2]]",
        "[(3, 4)]",
        "(5, 6)",
        "'7, 8'",
        "[9]",
        "{'tv': ",
        "nan",
        "1_0",
    ]
)
VALUES = st.sampled_from(
    [
        "[[1, 2]]",
        "[]",
        "[(1,2),(3,4)]",
        "(1,2)",
        "[1, 2]",
        "[[1,2],[3]]",
        "'1, 2'",
        "['1, 2']",
        "[['1','2']]",
        "([1,2],[3,4])",
        "[[1.7,-0.6]]",
        "[[1,2,3]]",
        "[[[1,2]]]",
        "[[True,2]]",
        "[[None,2]]",
        "{'a':1}",
        "[(1,2], [3,4)]",
        "[[1e2, 3]]",
        "[[1,2] [3,4]]",
        "[((1,2))]",
        "[(5), 2]",
        "[['nan',1]]",
        "[[' 4 ','<5>']]",
        "[[1,2],]",
        "[[-0, 00]]",
        "12",
        "[[1,2]]]",
    ]
)
KEYS = st.sampled_from(
    [
        "'tv'",
        '"tv"',
        "tv",
        "' TV '",
        "'<bin>'",
        "'bin bag'",
        "'trash bin'",
        "'lamp'",
        "5",
        "'t(1,2)'",
    ]
)
DICTS = st.lists(st.tuples(KEYS, VALUES), max_size=4).map(
    lambda rows: "{" + ", ".join(f"{k}: {v}" for k, v in rows) + "}"
)


@given(
    st.one_of(
        DICTS,
        st.lists(MAP_PARTS, max_size=14).map("".join),
        DICTS.map(lambda t: f"str{{{t}}}"),
        st.tuples(DICTS, st.integers(0, 60)).map(lambda t: t[0][: t[1]]),
    )
)
def test_the_fast_reading_is_the_plain_one(text: str) -> None:
    names = ["tv", "trash bin", "Bin", "bin bag"]
    true: MapCells = {
        "tv": [[1, 2], [5, 5]],
        "trash bin": [[3, 3]],
        "Bin": [[0, 0]],
        "bin bag": [[9, 9], [1, 1], [2, 2]],
    }
    found = read(text, names)
    assert found == slow_read(text, names)
    assert score(found, true) == pytest.approx(slow_score(found, true), abs=1e-12)


def test_every_registered_reward_takes_any_sample() -> None:
    for entry in REWARDS:
        for problem_type in GOLDS:
            value, reason = entry.value(sample(problem_type, None), parse(""))
            assert value is None or 0 <= value <= 1
            assert reason
