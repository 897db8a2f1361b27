"""Edited maps and what follows from them, questions about absent objects, forgetting, and what maps
are worth in training."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.analysis import counterfactual as cf
from spacer_utils.analysis import scores, training_logs, training_maps
from spacer_utils.core.answers import parse
from spacer_utils.core.directions import SECTORS
from spacer_utils.core.map_reading import reading, steps
from spacer_utils.core.types import Sample
from spacer_utils.evaluation.evaluate import Prediction

MAP = {
    "tv": [[5, 5]],
    "bed": [[5, 9]],
    "lamp": [[1, 6]],
    "sofa": [[6, 5]],
    "chair": [[0, 0], [9, 5]],
    "desk": [[9, 9]],
}


def ask(
    kind: str,
    categories: tuple[str, ...],
    options: tuple[str, ...] = (),
    gold: str = "A",
    key: int = 1,
    room: str = "r0",
    cells: Any = MAP,
) -> Sample:
    listed = tuple(f"{letter}. {text}" for letter, text in zip("ABCD", options))
    return Sample(
        key,
        "?",
        "video",
        "multiple choice" if options else "numerical",
        listed,
        f"<answer>{gold}</answer>",
        "v.mp4",
        "test",
        kind,
        room,
        "v",
        categories,
        cells,
    )


LEFT = ask("object_rel_direction_easy", ("tv", "bed", "lamp"), ("right", "left"), gold="B")
NEAREST = ask(
    "object_rel_distance",
    ("tv", "bed", "lamp", "sofa", "chair"),
    ("bed", "lamp", "sofa", "chair"),
    "C",
    2,
)
COUNT = ask("object_counting", ("chair",), gold="2", key=3)


def said(**outputs: str) -> dict[str, Prediction]:
    return {k: Prediction(k, text, 1, False) for k, text in outputs.items()}


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (LEFT, "B"),
        (NEAREST, "C"),
        (COUNT, "2"),
        (
            ask(
                "object_rel_distance_farthest",
                ("tv", "bed", "lamp", "sofa", "chair"),
                ("bed", "lamp", "sofa", "chair"),
            ),
            None,
        ),
        (
            ask(
                "object_rel_distance_farthest", ("lamp", "bed", "tv", "desk"), ("bed", "tv", "desk")
            ),
            "C",
        ),
        (
            ask(
                "object_rel_direction_hard",
                ("tv", "bed", "lamp"),
                ("back-left", "front-left", "back-right", "front-right"),
            ),
            "B",
        ),
        (
            ask(
                "object_rel_direction_backward",
                ("tv", "bed", "lamp"),
                ("back-left", "front-left", "back-right", "front-right"),
            ),
            "C",
        ),
        (ask("object_rel_direction_medium", ("tv", "bed", "lamp"), ("back", "right", "left")), "C"),
        (
            ask("object_rel_direction_easy", ("tv", "bed", "chair"), ("left", "right")),
            None,
        ),  # two chairs
        (
            ask("object_rel_direction_easy", ("tv", "bed", "oven"), ("left", "right")),
            None,
        ),  # not drawn
        (ask("object_counting", ("oven",)), "0"),
        (ask("room_size_estimation", ()), None),
        *((replace(row, categories=()), None) for row in (LEFT, NEAREST, COUNT)),
    ],
)
def test_a_map_says_what_stands_in_it(sample: Sample, says: str | None) -> None:
    assert reading(sample, MAP) == says


@pytest.mark.parametrize(
    ("sample", "read"),
    [
        (
            LEFT,
            "{'tv': [[5, 5]], 'bed': [[5, 9]], 'lamp': [[1, 6]]} -> "
            "bed 5, 9-5, 5=right 0 up 4=g;lamp 1, 6-5, 5=left 4 up 1=l;l-g=f left;A right;B left=B",
        ),
        (
            NEAREST,
            "{'tv': [[5, 5]], 'bed': [[5, 9]], 'lamp': [[1, 6]], 'sofa': [[6, 5]], 'chair': [[9, 5]]} -> nearest;"
            "A bed 5, 9-5, 5=right 0 up 4=i A=i;B lamp 1, 6-5, 5=left 4 up 1=i A=i;"
            "C sofa 6, 5-5, 5=right 1 up 0=c C=c;D chair 9, 5-5, 5=right 4 up 0=i C=c",
        ),
        (
            ask(
                "object_rel_distance_farthest", ("lamp", "bed", "tv", "desk"), ("desk", "bed", "tv")
            ),
            "{'lamp': [[1, 6]], 'desk': [[9, 9]], 'bed': [[5, 9]], 'tv': [[5, 5]]} -> farthest;"
            "A desk 9, 9-1, 6=right 8 up 3=r A=r;B bed 5, 9-1, 6=right 4 up 3=k A=r;C tv 5, 5-1, 6=right 4 down 1=i A=r",
        ),
        (
            ask(
                "object_rel_direction_backward",
                ("lamp", "desk", "sofa"),
                ("front-left", "back-left"),
            ),
            "{'lamp': [[1, 6]], 'desk': [[9, 9]], 'sofa': [[6, 5]]} -> "
            "desk 9, 9-1, 6=right 8 up 3=n;sofa 6, 5-1, 6=right 5 down 1=x;x-n=k back-left;A front;B back-left=B",
        ),
        (
            ask("object_rel_direction_backward", ("lamp", "desk", "sofa")),
            "{'lamp': [[1, 6]], 'desk': [[9, 9]], 'sofa': [[6, 5]]} -> "
            "desk 9, 9-1, 6=right 8 up 3=n;sofa 6, 5-1, 6=right 5 down 1=x;x-n=k back-left",
        ),
        (COUNT, "chair {'chair': [[0, 0], [9, 5]]} -> 2"),
        (ask("object_counting", ("oven",)), "oven {} -> 0"),
        (ask("object_rel_direction_easy", ("tv", "bed", "oven")), ""),
        (ask("room_size_estimation", ()), ""),
        *((replace(row, categories=()), "") for row in (LEFT, NEAREST, COUNT)),
    ],
)
def test_a_map_is_read_step_by_step(sample: Sample, read: str) -> None:
    assert steps(sample, MAP) == read


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=5, max_size=5),
    st.sampled_from(
        [
            LEFT,
            NEAREST,
            *(
                replace(
                    LEFT,
                    question_type=f"object_rel_direction_{k}",
                    options=tuple(
                        f"{a}. {o}" for a, o in zip("ABCD", SECTORS[f"object_rel_direction_{k}"])
                    ),
                )
                for k in ("medium", "hard", "backward")
            ),
        ]
    ),
)
def test_the_steps_end_with_what_the_map_says(cells: list[list[int]], sample: Sample) -> None:
    drawn = dict(zip(sample.categories, ([c] for c in cells)))
    says = reading(sample, drawn)
    if says is not None:
        read = steps(sample, drawn)
        assert read.endswith(f"={says}") or re.search(f" {says}=.$", read)


def test_every_edit_turns_the_answer_and_changes_nothing_else() -> None:
    assert set(cf.edits(COUNT, seed=0)) == {"one added", "one removed"}
    assert set(cf.edits(LEFT, seed=0)) == {"mirrored", "two exchanged"}
    assert set(cf.edits(NEAREST, seed=0)) == {"two exchanged"}  # a mirror image keeps distances
    alone = ask("object_counting", ("tv",), gold="1")
    assert "tv" not in cf.edits(alone, seed=0)["one removed"]
    for sample in (LEFT, NEAREST, COUNT, alone, ask("object_counting", ("oven",), gold="0")):
        for name, cells in cf.edits(sample, seed=0).items():
            assert reading(sample, cells) not in (None, reading(sample, MAP))
            touched = {c for c in {*cells, *MAP} if cells.get(c) != MAP.get(c)}
            assert name == "mirrored" or touched <= set(sample.categories)
    assert cf.edits(COUNT, seed=0) == cf.edits(COUNT, seed=0)


def test_a_completion_is_begun_as_one_that_could_be_well_formed() -> None:
    cases = cf.cases([LEFT, NEAREST, COUNT, ask("room_size_estimation", (), key=9)], 3, seed=0)
    assert [c.edit for c in cases].count(cf.TRUE_MAP) == 3
    assert len({c.key for c in cases}) == len(cases) == 8
    answer = parse(cases[0].begun + "</think><answer>2</answer>")
    assert answer.well_formed
    assert answer.map_text is not None
    assert len({c.sample.problem_id for c in cf.cases([LEFT, NEAREST, COUNT], 2, seed=0)}) == 2


def test_answers_follow_stay_or_do_neither() -> None:
    rooms = [ask("object_counting", ("chair",), gold="2", key=k, room=f"r{k}") for k in range(8)]
    cases = cf.cases(rooms, 8, seed=0)
    follow = {
        c.key: Prediction(c.key, f"{c.begun}</think><answer>{c.says}</answer>", 1, False)
        for c in cases
    }
    stay = {
        c.key: Prediction(c.key, f"{c.begun}</think><answer>2</answer>", 1, False) for c in cases
    }
    always = {
        c.key: Prediction(c.key, f"{c.begun}</think><answer>3</answer>", 1, False) for c in cases
    }
    broken = {c.key: Prediction(c.key, f"{c.begun}</think><answer>chair", 1, True) for c in cases}
    table = {
        name: {
            r["map"]: r for r in cf.follow_table(cf.given_map_rows(name, cases, outputs), seed=0)
        }
        for name, outputs in (
            ("follow", follow),
            ("stay", stay),
            ("always", always),
            ("broken", broken),
        )
    }
    kinds = (cf.TRUE_MAP, "one added", "one removed")
    assert [table["follow"][k]["follows (%)"] for k in kinds] == [100, 100, 100]
    assert table["follow"]["one added"]["pull"] == table["follow"]["one added"]["pull low"] == 100
    assert [table["stay"][k]["follows (%)"] for k in kinds] == [100, 0, 0]
    assert table["stay"]["one added"]["stays (%)"] == 100
    assert (
        table["always"]["one added"]["follows (%)"] == 100
    )  # it says 3 after whatever map it is given: the edit does nothing
    assert table["always"]["one added"]["pull"] == 0
    assert table["broken"]["one added"]["neither (%)"] == 100
    assert table["follow"]["one added"]["rooms"] == 8


def test_own_maps_are_read_as_they_are_drawn() -> None:
    drawn = "<think><map>{'tv': [[5, 5]], 'bed': [[5, 9]], 'lamp': [[9, 6]]}</map></think><answer>A</answer>"
    (row,) = cf.own_map_rows(
        "m", [LEFT, ask("room_size_estimation", (), key=5)], said(**{"1": drawn, "5": drawn})
    )
    assert (row["says"], row["follows"], row["stays"]) == ("A", True, False)
    assert not cf.own_map_rows("m", [LEFT], said(**{"1": "<think></think><answer>A</answer>"}))
    (table,) = cf.follow_table([row], seed=0)
    assert table["low"] is None
    assert table["pull"] is None


def counted(model: str, gold: str, output: str, room: str = "r0") -> dict[str, Any]:
    return {
        "split": "heldout",
        "model": model,
        "question_type": "object_counting",
        "gold": gold,
        "scene_id": room,
        "output": f"<think></think><answer>{output}</answer>",
    }


def test_always_zero_is_no_evidence() -> None:
    rows = [
        counted("zero", "0", "0"),
        counted("zero", "3", "0", "r1"),
        counted("good", "0", "none"),
        counted("good", "0", "0", "r1"),
        counted("good", "4", "2"),
    ]
    table = {(r["model"], r["evidence"]): r for r in cf.absent_object_table(rows, seed=0)}
    assert (
        table["zero", "absent"]["answers 0 (%)"] == table["zero", "present"]["answers 0 (%)"] == 100
    )
    assert table["good", "absent"]["answers 0 (%)"] == 50
    assert table["good", "present"]["answers 0 (%)"] == 0
    assert table["good", "absent"]["low"] is not None
    assert table["good", "present"]["low"] is None
    only = cf.absent_object_table([counted("m", "3", "3")], seed=0)
    assert (only[0]["n"], only[0]["answers 0 (%)"]) == (0, None)


def test_as_many_questions_about_absent_objects_as_about_present_ones() -> None:
    samples = [ask("object_counting", ("tv",), gold=str(k % 3), key=k) for k in range(12)] + [LEFT]
    assert [s.gold == "0" for s in cf.absent_object_questions(samples, 3)] == [True] * 3 + [
        False
    ] * 3
    assert len(cf.absent_object_questions(samples, 50)) == 12


def test_forgetting_looks_at_general_questions_only() -> None:
    rows = [
        {"split": "heldout", "model": m, "scene_id": f"r{k}", "question_type": t, "score": v}
        for m, values in (("base", (1.0, 0.0)), ("sft", (0.5, 1.0)))
        for t, v in zip(("general_ocr", "object_counting"), values)
        for k in range(3)
    ]
    (row,) = scores.forgetting(rows, "heldout", seed=0)
    assert (row["model"], row["minus"], row["difference"], row["n"]) == ("sft", "base", -50, 3)
    assert not scores.forgetting(
        [r for r in rows if r["question_type"] == "object_counting"], "heldout", seed=0
    )


def rollout(step: int, cells: Any, accuracy: float = 1.0) -> dict[str, Any]:
    return {
        "step": step,
        "group": "3",
        "completion": f"<think><map>{cells}</map></think><answer>2</answer>",
        "terms": {"accuracy": accuracy},
        "advantage": 0.0,
    }


def test_the_centre_is_paid_nearly_as_well() -> None:
    centre = {c: [[4, 4]] * len(ps) for c, ps in MAP.items()}
    rows = [
        *(rollout(s, centre) for s in range(1, 11)),
        *(rollout(s, MAP, accuracy=0.0) for s in range(11, 21)),
    ]
    table = training_maps.map_scores_by_tenth(
        training_maps.map_scores_of_rollouts(rows, {"3": COUNT})
    )
    first, last = table[0], table[-1]
    assert first["map"] == first["centre"] == first["paid"] == first["centre paid"] > 0.5
    assert abs(first["map_calibrated"]) < 1e-9
    assert last["map"] == last["map_calibrated"] == pytest.approx(1.0)
    assert last["paid"] == last["centre paid"] == 0  # a wrong answer's map is not paid
    assert (first["n"], first["step"], last["tenth"]) == (2, 1.5, 10)
    assert {t["worked_out"] for t in table} == {0.0}
    assert [
        t["n"]
        for t in training_maps.map_scores_by_tenth(
            training_maps.map_scores_of_rollouts(
                [rollout(s, MAP) for s in range(1, 31)], {"3": COUNT}
            )
        )
    ] == [3] * 10
    assert not training_maps.map_scores_of_rollouts(
        [{**rollout(1, MAP), "completion": "<answer>2</answer>"}], {"3": COUNT}
    )
    assert not training_maps.map_scores_by_tenth([])
    assert not training_maps.map_scores_of_rollouts(
        [rollout(1, MAP), *[{**rollout(1, MAP), "completion": "<answer>2</answer>"}] * 200],
        {"3": COUNT},
    )
    assert not training_maps.advantage_correlations([])
    earned = training_logs.gain(
        training_maps.map_scores_of_rollouts(rows, {"3": COUNT}), "map_calibrated"
    )  # whatever the answers were
    assert (earned["first"], earned["last"]) == pytest.approx((0.0, 1.0), abs=1e-9)


def test_it_is_seen_which_answers_are_worked_out_on_the_map() -> None:
    size = ask("room_size_estimation", ())
    straight = rollout(1, MAP)
    worked = {**straight, "completion": straight["completion"].replace("</map>", "</map> two")}
    rows = [worked, straight, straight, worked, {**worked, "group": "4"}]
    found = training_maps.map_scores_of_rollouts(rows, {"3": COUNT, "4": size})
    assert [r["terms"].get("worked_out") for r in found] == [1.0, 0.0, 0.0, 1.0, None]
    assert training_maps.map_scores_by_tenth(found)[0]["worked_out"] == 0.5
    (only,) = training_maps.map_scores_by_tenth(found[-1:])
    assert "worked_out" not in only, "no question that a map answers"


def test_advantages_follow_what_is_paid_within_groups() -> None:
    far = {c: [[9, 9]] * len(ps) for c, ps in MAP.items()}
    drawn = [
        (MAP, 1.0),
        (MAP, 0.0),
        (far, 1.0),
        (far, 0.0),
    ]  # answers and maps have nothing to do with each other

    def run(paid: Any) -> dict[str, Any]:
        rows = [
            {
                **rollout(step, cells, accuracy),
                "advantage": paid(cells is MAP, accuracy) + 100 * step,
            }
            for step in (1, 2)
            for cells, accuracy in drawn
        ]
        return training_maps.advantage_correlations(
            training_maps.map_scores_of_rollouts(rows, {"3": COUNT})
        )

    answers, maps = run(lambda true, right: right), run(lambda true, right: true)
    assert answers == pytest.approx(
        {"advantage, answer": 1.0, "advantage, map": 0.0, "answer, map": 0.0}, abs=1e-9
    )
    assert maps == pytest.approx(
        {"advantage, answer": 0.0, "advantage, map": 1.0, "answer, map": 0.0}, abs=1e-9
    )
    behind_right = run(lambda true, right: right + (true and right))  # the paper's gate
    assert behind_right["advantage, answer"] > 0.9 > 0.4 > behind_right["advantage, map"] > 0
    assert run(lambda true, right: 0.0)["advantage, map"] is None
