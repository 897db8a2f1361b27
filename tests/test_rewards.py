"""Rewards by hand: what the released rules do in their corners and ours don't, gates, groups, TRL's
calling convention."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from spacer_utils import rewards
from spacer_utils.core import answers, maps, numerals
from spacer_utils.core.answers import parse
from spacer_utils.core.registry import REWARDS
from spacer_utils.core.text_overlap import rouge, word_errors
from spacer_utils.core.types import MapCells, Sample, WorkbookError
from spacer_utils.rewards import RewardSet, length, temporal
from spacer_utils.rewards import map as released_map
from spacer_utils.rewards.sets import GATES

TRUE: MapCells = {"tv": [[8, 1]], "chair": [[1, 2], [3, 8]], "trash bin": [[6, 6]]}
MODULES = [
    answers,
    maps,
    numerals,
    *(
        importlib.import_module(f"spacer_utils.rewards.{m.name}")
        for m in pkgutil.iter_modules(importlib.import_module("spacer_utils.rewards").__path__)
    ),
]


def sample(
    problem_type: str, gold: str, cells: MapCells | None = None, options: tuple[str, ...] = ()
) -> Sample:
    return Sample(
        1,
        "?",
        "video",
        problem_type,
        options,
        f"<answer>{gold}</answer>",
        "",
        "",
        cognitive_map=cells,
    )  # type: ignore[arg-type]


def said(answer: str, cells: Any = None) -> str:
    inside = "" if cells is None else f"<map>{cells}</map>"
    return f"<think>hm {inside}</think><answer>{answer}</answer>"


def accuracy(problem_type: str, gold: str, answer: str, reward_set: str) -> float | None:
    return rewards.score(sample(problem_type, gold), said(answer), reward_set).terms["accuracy"]


@pytest.mark.parametrize(
    "module",
    MODULES,
    ids=lambda m: m.__name__,
)
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_every_reward_has_an_example() -> None:
    for entry in REWARDS:
        assert ">>>" in (entry.value.__doc__ or ""), entry.name


@pytest.mark.parametrize(
    ("gold", "answer", "spacer", "strict"),
    [
        ("1", "a 3.5 m", 1.0, 0.0),  # "a" is read as 1
        ("3.5", "a 3.5 m", 0.0, 1.0),
        ("21", "twenty one", 0.0, 1.0),  # "one" stands first in the list of number words
        ("1", "twenty one", 1.0, 0.0),
        ("21", "twenty-one", 0.0, 1.0),
        ("1200", "1,200", 0.0, 1.0),
        ("1", "1,200", 1.0, 0.0),
        ("-2", "5", 1.0, 0.0),  # any answer meets a negative target
        ("-2", "-2", 1.0, 1.0),
        ("0", "0", 0.0, 1.0),  # no answer meets a target of 0
        ("0", "0.3", 0.0, 0.5),
        ("3", "-3", 1.0, 0.0),  # the sign is not read
        ("10", "8", 0.6, 0.6),  # float64: an error of 0.2 misses its own threshold
        ("10", "5.5", 0.1, 0.1),
        ("10", "9", 0.9, 0.9),
        ("10", "9.5", 1.0, 1.0),
        ("10", "20", 0.0, 0.0),
        ("10", "about ten metres", 1.0, 1.0),
        ("10", "no idea", 0.0, 0.0),
        ("ten", "10", 0.0, 1.0),
        ("10", "hundred " * 155, 0.0, 0.0),
        ("10", "nan", 0.0, 0.0),
        ("10", "", 0.0, 0.0),
    ],
)
def test_numerical(gold: str, answer: str, spacer: float, strict: float) -> None:
    assert accuracy("numerical", gold, answer, "spacer") == pytest.approx(spacer)
    assert accuracy("numerical", gold, answer, "strict") == pytest.approx(strict)


@pytest.mark.parametrize(
    ("gold", "answer", "spacer", "strict"),
    [
        ("A", "A", 1.0, 1.0),
        ("A", " A ", 1.0, 1.0),
        ("A", "A.", 0.0, 1.0),
        ("A", "(A)", 0.0, 1.0),
        ("A", "a", 0.0, 1.0),
        ("A", "A. chair", 0.0, 1.0),
        ("A", "B", 0.0, 0.0),
        ("A", "", 0.0, 0.0),
        ("", "", 1.0, 1.0),
        ("A. chair", "A", 0.0, 1.0),
        ("B. A chair", "B", 0.0, 1.0),
        ("B. A chair", "B. A chair", 1.0, 1.0),
        ("left", "left", 1.0, 1.0),
        ("left", "right", 0.0, 0.0),
    ],
)
def test_multiple_choice(gold: str, answer: str, spacer: float, strict: float) -> None:
    assert accuracy("multiple choice", gold, answer, "spacer") == spacer
    assert accuracy("multiple choice", gold, answer, "strict") == strict


@pytest.mark.parametrize(
    ("problem_type", "gold", "answer", "spacer", "strict"),
    [
        ("multiple choice", "A", "A", "equal", "A against A"),
        ("multiple choice", "A", "B", "not equal to the gold text", "B against A"),
        ("multiple choice", "red", "red", "equal", "equal to the gold text"),
        ("multiple choice", "red", "blue", "not equal to the gold text", "not the gold text"),
        ("numerical", "4", "3", "3 against 4", "3 against 4"),
        ("numerical", "0", "3", "a target of 0 can't be met", "3 against 0, absolute error"),
        ("numerical", "4", "none", "no number in answer or solution", "no number in the answer"),
        (
            "numerical",
            "none",
            "4",
            "no number in answer or solution",
            "the gold answer is no number",
        ),
        ("regression", "4", "3", "3 against 4", "3 against 4"),
        ("regression", "4", "none", "no number in answer or solution", "no number in the answer"),
        ("OCR", "one two", "one six", "word error rate 0.50", "word error rate 0.50"),
        ("free-form", "red", "red", "ROUGE 0.67", "equal to the gold text"),
        ("free-form", "a red chair", "a blue door", "ROUGE 0.22", "ROUGE 0.22"),
    ],
)
def test_the_reason_says_what_was_compared(
    problem_type: str, gold: str, answer: str, spacer: str, strict: str
) -> None:
    asked, given_ = sample(problem_type, gold), parse(said(answer))
    assert rewards.term("accuracy_spacer", asked, given_)[1] == spacer
    assert rewards.term("accuracy", asked, given_)[1] == strict


def test_a_letter_that_is_no_option_is_no_answer() -> None:
    value, reason = rewards.term(
        "accuracy",
        sample("multiple choice", "B", options=("A. left", "B. right")),
        parse(said("C")),
    )
    assert (value, reason) == (0.0, "not one of the options' letters")


@pytest.mark.parametrize(
    ("gold", "answer", "spacer", "strict"),
    [
        ("2", "2", 1.0, 1.0),
        ("2", "1", 0.5, 0.5),
        ("2", "9", 0.0, 0.0),
        ("1,000", "1000", 1.0, 1.0),
        ("2", "2 m", 0.0, 1.0),
        ("0", "0", 0.0, 1.0),
        ("2", "nan", 1.0, 0.0),  # max(0, nan) is 0
        ("2", "inf", 0.0, 0.0),
        ("2", "", 0.0, 0.0),
        ("x", "2", 0.0, 0.0),
        ("-2", "-1", 0.5, 0.5),
    ],
)
def test_regression(gold: str, answer: str, spacer: float, strict: float) -> None:
    assert accuracy("regression", gold, answer, "spacer") == pytest.approx(spacer, abs=1e-8)
    assert accuracy("regression", gold, answer, "strict") == pytest.approx(strict, abs=1e-8)


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("two red chairs", "two red chairs", 1.0),
        ("two red chairs", "two  red\nchairs", 1.0),
        ("two red chairs", "two chairs", 2 / 3),
        ("two red chairs", "red two chairs", 1 / 3),
        ("two", "two two", 0.0),
        ("two", "one two three four", 0.0),
        ("two red", "two red chairs", 0.5),
        ("two", "", 0.0),
        ("", "", 1.0),
        ("", "x", 0.0),
        ("Two", "two", 0.0),
    ],
)
def test_transcription(gold: str, answer: str, value: float) -> None:
    for name in ("spacer", "strict"):
        assert accuracy("OCR", gold, answer, name) == pytest.approx(value)


def test_free_form_gives_gold_the_maximum_in_strict_only() -> None:
    assert accuracy("free-form", "chair", "chair", "spacer") == pytest.approx(
        2 / 3
    )  # one word has no pairs of words
    assert accuracy("free-form", "chair", "Chair.", "strict") == 1.0
    assert accuracy("free-form", "椅子", "椅子", "spacer") == 0.0
    assert accuracy("free-form", "椅子", "椅子", "strict") == 1.0
    for name in ("spacer", "strict"):
        value = accuracy("free-form", "the chairs stand here", "the chair stands there", name)
        assert value == pytest.approx((0.75 + 2 / 3 + 0.75) / 3)


WORDS = st.lists(
    st.sampled_from(
        [
            "the",
            "red",
            "chairs",
            "chair",
            "stands",
            "near",
            "nearest",
            "a",
            "tables",
            "7",
            "running",
            "runs",
        ]
    ),
    max_size=12,
)


@given(WORDS, WORDS)
def test_rouge_equals_the_library(a: list[str], b: list[str]) -> None:
    found = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True).score(
        " ".join(a), " ".join(b)
    )
    assert rouge(" ".join(a), " ".join(b)) == pytest.approx(
        sum(f.fmeasure for f in found.values()) / 3, abs=1e-12
    )


@given(WORDS, WORDS)
def test_word_errors_equal_the_table(a: list[str], b: list[str]) -> None:
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    assert word_errors(" ".join(a), " ".join(b)) == pytest.approx(
        min(1.0, row[-1] / max(1, len(a)))
    )


@pytest.mark.parametrize(
    ("text", "spacer", "strict"),
    [
        (said("A"), 1, 1),
        (said("A", TRUE), 1, 1),
        ("<think></think>\n <answer></answer>", 1, 0),
        (said("A") + " ", 0, 1),  # white space around the blocks
        (said("A") + "<answer>B</answer>", 1, 0),
        ("<think>x</think>" + said("A"), 1, 0),
        (said("A") + " done", 0, 0),
        ("<think>x</think><map>{}</map><answer>A</answer>", 0, 0),
        ("<answer>A</answer>", 0, 0),
        ("<think>x</think><answer>A<map>{}</map></answer>", 1, 0),
        ("<think></answer>", 0, 0),
        ("<think></think><answer></answe>", 0, 0),
        ("<think></think><answer>", 0, 0),
        ("<think></answer></think><answer>", 0, 0),
    ],
)
def test_format(text: str, spacer: float, strict: float) -> None:
    question = sample("multiple choice", "A")
    assert rewards.score(question, text, "spacer").terms["format"] == spacer
    assert rewards.score(question, text, "strict").terms["format"] == strict


# ----------------------------------------------------------------------------------- maps and gates


def total(
    answer: str,
    cells: Any,
    reward_set: str | RewardSet,
    problem_type: str = "numerical",
    gold: str = "10",
    true: MapCells | None = TRUE,
) -> float | None:
    return rewards.score(sample(problem_type, gold, true), said(answer, cells), reward_set).terms[
        "accuracy_with_map"
    ]


def test_the_released_gate() -> None:
    assert total("10", TRUE, "spacer") == pytest.approx(2.0)
    assert total("8", TRUE, "spacer") == pytest.approx(1.6)
    assert total("7", TRUE, "spacer") == pytest.approx(0.5)  # .5 is not over .5
    assert total("10", "nothing", "spacer") == 0.0  # an unreadable map voids a right answer
    assert total("10", "{}", "spacer") == 0.0
    assert (
        total("10", TRUE, "spacer", true=None) == 0.0
    )  # so does one for a video without a true map
    assert total("10", None, "spacer") == 1.0
    assert (
        total("red", TRUE, "spacer", "OCR", "red") == 1.0
    )  # other problem types never look at the map
    assert (
        total("10", TRUE, "spacer", true={}) == 2.0
    )  # nothing drawn for nothing there is a perfect map
    assert total("10", "{'tv': [[1, 1]]}", "spacer", true={"tv": []}) == 0.0
    crossed = sample("multiple choice", "A", TRUE)
    assert (
        rewards.score(crossed, "</map><map>" + said("A"), "spacer").terms["accuracy_with_map"]
        == 0.0
    )
    huge = said("A", "{'tv': [[1, " + "9" * 400 + "]]}")
    assert rewards.score(crossed, huge, "spacer").terms["accuracy_with_map"] == 0.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "{'tv': [(1, 2)], 'lamp': [[3, 4)]}",
            {"tv": [[1, 2], [3, 4]]},
        ),  # crossed brackets are no literal
        ("trash bin bag 1, 2", {"bin bag": [[1, 2]]}),  # the later name reaches further
        ("bin bag 1, 2; trash bin 3, 4", {"bin bag": [[1, 2]], "trash bin": [[3, 4]]}),
        ("tv 1 2 " + "9" * 400, {"tv": [[1, 2]]}),  # a number without a partner is never converted
        ("{'tv': (1, 2)}", {"tv": [[1, 2]]}),
        ("{'tv': [1, 2]}", {}),
        (
            "{'tv': ['1, 2, 3', '4']}",
            {"tv": [[1, 2]]},
        ),  # a text's first two numbers; one alone is no place
        (
            "{'tv': [([1, 2],), [[3, 4]], ['5']]}",
            {"tv": [[1, 2], [3, 4]]},
        ),  # a pair inside a list of one
        ("{'tv': [['<3>', '(4)'], ['x', '1'], [None, 1]]}", {"tv": [[3, 4]]}),
        (
            "{0x" + "f" * 3600 + ": [[1, 2]], 'tv': [[3, 4]]}",
            {"tv": [[3, 4]]},
        ),  # a key with more digits than Python writes
        ("{(0x" + "f" * 3600 + ",): [[1, 2]], 'tv': [[3, 4]]}", {"tv": [[3, 4]]}),
    ],
)
def test_corners_of_the_released_parser(text: str, found: dict[str, list[list[int]]]) -> None:
    assert released_map.read(text, ("tv", "trash bin", "bin bag")) == found


def test_bounds_of_the_released_score() -> None:
    far = [[9, 9]] * (released_map.MATCHED + 1)
    late, never = (
        released_map.score({"tv": [*far, last]}, {"tv": [[1, 2]]}) for last in ([1, 2], [9, 9])
    )
    assert late == never
    with pytest.raises(OverflowError):  # although the near pair would be matched
        released_map.score({"tv": [[1, 2], [10**200, 1]]}, {"tv": [[1, 2]]})


def test_the_strict_gates() -> None:
    gates = {g: RewardSet(g, {"accuracy_with_map": 1.0}, gate=g) for g in GATES}
    assert [total("10", TRUE, gates[g]) for g in gates] == [2.0, 2.0, 2.0]
    assert [total("0", TRUE, gates[g]) for g in gates] == [0.0, 1.0, 1.0]
    assert [total("7", TRUE, gates[g]) for g in gates] == [0.5, 1.5, 1.5]
    loose = "so " + said("0", TRUE)
    scored = [
        rewards.score(sample("numerical", "10", TRUE), loose, g).terms["accuracy_with_map"]
        for g in gates.values()
    ]
    assert scored == [0.0, 0.0, 1.0]
    outside = f"<think></think><map>{TRUE}</map><answer>10</answer>"
    scored = [
        rewards.score(sample("numerical", "10", TRUE), outside, g).terms["accuracy_with_map"]
        for g in gates.values()
    ]
    assert scored == [1.0, 1.0, 1.0]
    with pytest.raises(WorkbookError, match="correct, format, none"):
        total("10", TRUE, RewardSet("x", {}, gate="open"))  # type: ignore[arg-type]


def test_a_bad_map_never_costs_anything_in_strict() -> None:
    for cells in (
        "nothing",
        "{}",
        "{'tv': [[1, 8]]}",
        "{'tv': [[99, 99]]}",
        maps.mirror(TRUE),
        "{'lamp': [[1, 1]]}",
    ):
        for problem_type, gold in (("numerical", "10"), ("OCR", "red"), ("multiple choice", "B")):
            for text in (gold, "4"):
                with_map, without = (
                    total(text, c, "strict", problem_type, gold) for c in (cells, None)
                )
                assert (with_map or 0) >= (without or 0)
    assert total("10", TRUE, "strict", true=None) == 1.0
    assert total("10", TRUE, "strict", true={}) == 1.0


def test_totals() -> None:
    strict = rewards.score(sample("numerical", "10", TRUE), said("10", TRUE))
    assert strict.total == 3.0
    assert strict.terms == {
        "accuracy": 1.0,
        "format": 1.0,
        "map": 1.0,
        "map_calibrated": 1.0,
        "map_aligned": 1.0,
        "map_relations": 1.0,
        "accuracy_with_map": 2.0,
        "length": None,
        "temporal": None,
    }
    assert set(strict.reasons) == set(strict.terms)
    assert all(strict.reasons.values())
    assert rewards.score(
        sample("numerical", "10", TRUE), said("10", TRUE), "spacer"
    ).total == pytest.approx(3.0)
    weighted = RewardSet("half", {"accuracy": 0.5, "format": 0.25, "map_calibrated": 2.0})
    assert rewards.score(
        sample("numerical", "10", TRUE), said("10", TRUE), weighted
    ).total == pytest.approx(2.75)


@pytest.mark.parametrize(
    ("problem_type", "gold", "given", "kind"),
    [
        ("numerical", "10", "10", 1.0),
        ("numerical", "10", "0.2 m", 1.0),
        ("numerical", "10", "three", 1.0),
        ("numerical", "10", "A", 0.0),
        ("numerical", "10", "A.6", 0.0),
        ("numerical", "10", "", 0.0),
        ("regression", "2.5", "B", 0.0),
        ("regression", "2.5", "7", 1.0),
        ("multiple choice", "B", "A", 1.0),
        ("multiple choice", "B", "(b)", 1.0),
        ("multiple choice", "B", "2", 0.0),
        ("multiple choice", "B", "Z", 0.0),
        ("OCR", "red", "4", 1.0),
        ("free-form", "a chair", "4", 1.0),
        ("riddle", "4", "4", 1.0),
    ],
)
def test_the_kind_of_an_answer_is_not_its_truth(
    problem_type: str, gold: str, given: str, kind: float
) -> None:
    asked = sample(
        problem_type,
        gold,
        options=("A. chair", "B. sofa") if problem_type == "multiple choice" else (),
    )
    assert rewards.term("format", asked, parse(said(given)))[0] == kind


def test_an_unknown_problem_type() -> None:
    strange = sample("essay", "A", TRUE)
    assert rewards.score(strange, said("A", TRUE), "spacer").terms["accuracy_with_map"] == 0.0
    strict = rewards.score(strange, said("A", TRUE))
    assert strict.terms["accuracy"] is strict.terms["accuracy_with_map"] is None
    assert "essay" in strict.reasons["accuracy"]
    assert strict.total == 1.0


def test_unknown_names_are_errors_that_list_the_known() -> None:
    with pytest.raises(WorkbookError, match="strict, spacer"):
        rewards.score(sample("OCR", "x"), "x", "paper")
    with pytest.raises(WorkbookError, match="map_calibrated"):
        rewards.term("beauty", sample("OCR", "x"), parse("x"))
    with pytest.raises(WorkbookError, match="map_calibrated"):
        rewards.trl_reward_functions({"beauty": 1.0})


# -------------------------------------------------------------------------------------- group terms


def test_length() -> None:
    assert length.bonuses([1.0, 1.0, 1.0, 1.0], [319, 320, 512, 513]) == [0.0, 0.2, 0.2, 0.0]
    assert length.bonuses([1.0, 0.1, 0.0, None], [400] * 4) == [0.0] * 4  # only one is right
    assert length.bonuses([1.0, 0.11, 0.1, None], [400] * 4) == [0.2, 0.2, 0.0, 0.0]
    assert length.bonuses([1.0, 1.0], [80, 79], limit=256) == [0.05, 0.0]
    assert length.bonuses([], []) == []


def test_temporal() -> None:
    assert temporal.bonuses([1.0, 0.1, 0.0], shuffled=0.4) == [0.3, 0.0, 0.0]
    assert temporal.bonuses([1.0, 0.6], shuffled=1.0) == [0.3, 0.3]  # a mean of .8 is enough
    assert temporal.bonuses([1.0, 0.58], shuffled=1.0) == [0.0, 0.0]
    assert temporal.bonuses([0.0, 0.0], shuffled=0.0) == [0.0, 0.0]
    assert temporal.bonuses([1.0, None], shuffled=None) == [None, None]
    assert temporal.bonuses([None, 1.0], shuffled=0.5) == [0.0, 0.3]


# ------------------------------------------------------------------------------------ TRL's adapter


def call(
    terms: dict[str, float],
    completions: list[Any],
    samples: list[Sample],
    reward_set: str = "strict",
    gate: Any = None,
    **columns: Any,
) -> dict[str, list[float | None]]:
    functions, weights = rewards.trl_reward_functions(terms, gate, reward_set)
    assert weights == list(terms.values())
    texts = [s.to_json_text() for s in samples]
    return {
        f.__name__: f(
            prompts=[""] * len(texts),
            completions=completions,
            sample=texts,
            trainer_state=None,
            **columns,
        )
        for f in functions
    }


def test_adapter_takes_texts_and_messages() -> None:
    one = sample("numerical", "10", TRUE)
    forms = [
        said("10", TRUE),
        [{"role": "assistant", "content": said("10", TRUE)}],
        [{"role": "assistant", "content": [{"type": "text", "text": said("10", TRUE)}]}],
    ]
    assert call({"accuracy": 1.0, "format": 0.5, "map": 1.0}, forms, [one] * 3) == {
        "accuracy": [1.0] * 3,
        "format": [1.0] * 3,
        "map": [1.0] * 3,
    }


def test_adapter_gates_and_clips_maps() -> None:
    one, none = sample("numerical", "10", TRUE), sample("numerical", "10")
    texts = [
        said("10", TRUE),
        said("0", TRUE),
        said("10", maps.mirror(TRUE)),
        said("10"),
        said("10", TRUE),
    ]
    found = call({"map_calibrated": 1.0}, texts, [one, one, one, one, none])["map_calibrated"]
    assert found == [1.0, 0.0, 0.0, 0.0, None]
    assert rewards.term("map_calibrated", one, parse(texts[2]))[0] < 0  # type: ignore[operator]
    assert call({"map_calibrated": 1.0}, texts[:2], [one, one], gate="none")["map_calibrated"] == [
        1.0,
        1.0,
    ]


def test_adapter_sets() -> None:
    one = sample("multiple choice", "A", TRUE)
    terms = {"accuracy": 1.0, "format": 1.0, "accuracy_with_map": 1.0}
    found = call(terms, [said("A."), said("A", TRUE) + "<answer>"], [one] * 2, "spacer")
    assert found == {
        "accuracy": [0.0, 1.0],
        "format": [1.0, 0.0],
        "accuracy_with_map": [0.0, pytest.approx(2.0)],
    }
    functions, weights = rewards.trl_reward_functions(reward_set="spacer")
    assert [f.__name__ for f in functions] == ["accuracy_with_map", "format", "length", "temporal"]
    assert weights == [1.0] * 4


def test_groups_are_rows_with_the_same_sample_wherever_they_stand() -> None:
    a, b = sample("numerical", "10", TRUE), sample("numerical", "20")
    texts = [said("10"), said("20"), said("10"), said("0")]
    found = call(
        {"length": 1.0, "temporal": 1.0},
        texts,
        [a, b, a, b],
        completion_ids=[[0] * 400] * 4,
        shuffled_accuracy=[0.5, None, 0.5, None],
    )
    assert found == {"length": [0.2, 0.0, 0.2, 0.0], "temporal": [0.3, None, 0.3, None]}


def test_the_released_group_terms_compare_accuracies_with_the_maps_bonus() -> None:
    one = sample("numerical", "10", TRUE)
    texts = [said("10", "nothing"), said("10"), said("10")]  # the first is void in the released set
    columns: dict[str, Any] = {"completion_ids": [[0] * 400] * 3, "shuffled_accuracy": [1.0] * 3}
    assert call({"length": 1.0}, texts, [one] * 3, "spacer", **columns)["length"] == [0.0, 0.2, 0.2]
    assert call({"length": 1.0}, texts, [one] * 3, "strict", **columns)["length"] == [0.2, 0.2, 0.2]
    assert call({"temporal": 1.0}, texts, [one] * 3, "spacer", **columns)["temporal"] == [
        0.0,
        0.0,
        0.0,
    ]
    assert call({"temporal": 1.0}, texts, [one] * 3, "strict", **columns)["temporal"] == [
        0.3,
        0.3,
        0.3,
    ]


@given(st.permutations(range(8)))
def test_a_permutation_of_the_batch_permutes_the_rewards(order: list[int]) -> None:
    samples = [
        sample("numerical", "10", TRUE),
        sample("multiple choice", "A", TRUE),
        sample("OCR", "red chair"),
        sample("regression", "2"),
    ]
    rows = [
        (samples[k // 2], text, n)
        for k, (text, n) in enumerate(
            zip(
                [
                    said("10", TRUE),
                    said("8"),
                    said("A", maps.turn(TRUE, 1)),
                    said("B"),
                    said("red"),
                    "red",
                    said("2"),
                    said("2", TRUE),
                ],
                [400, 400, 350, 20, 500, 500, 330, 512],
            )
        )
    ]
    terms = dict.fromkeys(
        (
            "accuracy",
            "map",
            "map_calibrated",
            "map_aligned",
            "map_relations",
            "accuracy_with_map",
            "format",
            "length",
            "temporal",
        ),
        1.0,
    )

    def values(chosen: list[tuple[Sample, str, int]]) -> dict[str, list[float | None]]:
        return call(
            terms,
            [t for _, t, _ in chosen],
            [s for s, _, _ in chosen],
            completion_ids=[[0] * n for _, _, n in chosen],
            shuffled_accuracy=[0.2] * len(chosen),
        )

    straight, shuffled = values(rows), values([rows[k] for k in order])
    assert shuffled == {name: [column[k] for k in order] for name, column in straight.items()}
