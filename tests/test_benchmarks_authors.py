"""Rules, denominators and judges' replies where the authors' scripts differ from what one would
write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spacer_utils.benchmarks.scoring import judge_row, report
from spacer_utils.benchmarks.scoring.record import read
from spacer_utils.benchmarks.scoring.score_benchmark import score_lines
from spacer_utils.core.registry import BENCHMARKS

Row = dict[str, Any]


def score(
    name: str, output: str | None, scoring: str = "official", sample: int = 0, **changes: Any
) -> float | None:
    row = {**BENCHMARKS[name].sample[sample], **changes, "output": output}
    value: float | None = BENCHMARKS[name].score(row, scoring)["score"]
    return value


def table_of(name: str, rows: list[Row], scoring: str = "official", **how: Any) -> Row:
    return score_lines([json.dumps(row).encode() for row in rows], name, scoring, **how)[0]


# ------------------------------------------------------------------------ Video-MME, LongVideoBench


@pytest.mark.parametrize(
    ("output", "official", "spacer"),
    [
        ("C", "C", "C"),
        ("The best answer is C", "C", "C"),
        ("The answer is: C", "C", "C"),
        ("The correct answer is B.", "B", "B"),
        ("Answer: C", "A", "C"),
        ("Option: C", "C", "C"),
        ("Best answer: C", "B", "C"),
        ("Best option: D", "B", "D"),
        ("The best option is D", "D", "D"),
        ("The correct option is D", "D", "D"),
        ("(C)", "C", "C"),
        ("c", None, None),
        ("no idea", None, None),
        ("", None, None),
        ("As I see it, C", "A", "A"),
        ("My Answer is D", "A", "A"),
        ("The best option isThe correct option is C", "C", "C"),
        ("Best answer:Best option: C", "C", "C"),
    ],
)
def test_video_mme_letters(output: str, official: str | None, spacer: str | None) -> None:
    for scoring, letter in (("official", official), ("spacer", spacer)):
        item = judge_row(
            BENCHMARKS["video_mme"],
            {**BENCHMARKS["video_mme"].sample[0], "output": output},
            scoring,
        )
        assert item.parsed == letter
        assert item.score == float(letter == "C")


def video_mme(*outputs: tuple[str, str | None]) -> list[Row]:
    sample = {row["duration"]: row for row in BENCHMARKS["video_mme"].sample}
    return [{**sample[kind], "answer": "C", "output": said} for kind, said in outputs]


def test_video_mme_is_right_over_answered_officially() -> None:
    rows = video_mme(
        ("short", "C"),
        ("short", "no idea"),
        ("medium", "D"),
        ("medium", ""),
        ("medium", "C"),
        ("long", "hm"),
    )
    official, spacer = (table_of("video_mme", rows, scoring) for scoring in ("official", "spacer"))
    assert official["headline"] == pytest.approx(100 * 2 / 3)
    assert official["per_variant"]["duration"] == {"short": 100, "medium": 50, "long": 0}
    assert {task: t["score"] for task, t in official["per_task"].items()} == {
        "Counting Problem": 100,
        "Spatial Reasoning": 50,
        "OCR Problems": 0,
    }
    assert (
        official["counts"]["n_scored"],
        official["counts"]["n_unparsed"],
        official["counts"]["n_not_scored"],
    ) == (6, 3, 0)
    assert spacer["headline"] == pytest.approx(100 * 2 / 6)
    assert (official["unanswered"], spacer["unanswered"]) == ("left out", "wrong")


def test_video_mme_without_any_answer_scores_nothing() -> None:
    assert table_of("video_mme", video_mme(("short", "no idea"), ("long", "?")))["headline"] == 0


def test_an_output_that_is_missing_or_cut_off_does_not_raise_the_mean() -> None:
    cut = {**video_mme(("short", "I see a"))[0], "truncated": True}
    for row in (*video_mme(("short", None)), *video_mme(("short", "<answer>hm")), cut):
        assert table_of("video_mme", [*video_mme(("short", "C")), row])["headline"] == 50
    assert (
        table_of("video_mme", video_mme(("short", "C"), ("short", None)), missing="drop")[
            "headline"
        ]
        == 100
    )


def test_rows_say_that_they_are_unanswered() -> None:
    (row,) = video_mme(("short", "no idea"))
    assert [
        judge_row(BENCHMARKS["video_mme"], row, p).to_json()["unanswered"]
        for p in ("official", "spacer")
    ] == [True, False]
    unread = judge_row(
        BENCHMARKS["vsi_bench"], {**BENCHMARKS["vsi_bench"].sample[0], "output": "no idea"}
    )
    assert (unread.score, unread.unanswered) == (0.0, False)


@pytest.mark.parametrize(
    ("output", "official", "spacer"),
    [
        ("Answer: C", 0, 1),
        ("Option: C", 1, 1),
        ("Best answer: C", 1, 1),
        ("The best option is C", 1, 1),
        ("C", 1, 1),
    ],
)
def test_longvideobench_has_no_bare_prefixes(output: str, official: int, spacer: int) -> None:
    assert [score("longvideobench", output, p) for p in ("official", "spacer")] == [
        official,
        spacer,
    ]


# -------------------------------------------------------------------------------------- TempCompass


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Correct", 1),
        ("Correct.", 1),
        ("  Correct\n", 1),
        ("Incorrect", 0),
        ("Incorrect. The Correct answer is A.", 0),
        ("Correct, although Incorrect in part", 1),
        ("The prediction is Correct.", 1),
        ("The prediction is Incorrect.", 0),
        ("Correctness: Incorrect", 1),
        ("It is Correct, not Incorrect", 0),
        ("correct", 0),
        ("I cannot tell", 0),
    ],
)
@pytest.mark.parametrize("sample", [0, 1, 2])
def test_tempcompass_verdicts(reply: str, right: int, sample: int) -> None:
    assert score("tempcompass", "he dribbles", sample=sample, judge_output=reply) == right


def test_what_the_rule_reads_needs_no_judge() -> None:
    assert score("tempcompass", "A", judge_output="Incorrect") == 1
    assert score("tempcompass", "B", judge_output="Correct") == 0


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("A. dunking", 1),
        ("Answer: A. dunking", 1),
        ("Reasoning: he jumps.\nAnswer: A. dunking", 1),
        ("Answer: A", 0),
        ("A.", 0),
        ("  Answer:   A. dunking  ", 1),
        ("Answer: B. passing", 0),
        ("A. dunking\nReasoning: B. is not shown.", 0),
        ("Answer: A. dunking\nReasoning: B. is not shown.", 1),
        ("Answer: B. passing\nAnswer: A. dunking", 1),
        ("Answer: A. dunking\nAnswer: B. passing", 0),
        ("Answer: A. dunking\nThe Answer above is sure", 0),
        ("Answer: A. dunking, A. indeed", 0),
        ("Answer: A. dunking or B. passing", 0),
        ("Answer: A. dunking in the U.S.A.", 0),
        ("Reasoning: B. is wrong\nAnswer: A. dunking", 1),
        ("None of the choices are correct", 0),
        ("Answer: None of the choices are correct", 0),
    ],
)
def test_tempcompass_captions(reply: str, right: int) -> None:
    assert score("tempcompass", "a man dunks", sample=3, judge_output=reply) == right


@pytest.mark.parametrize("reply", ["", None, "invalid_request_error"])
def test_a_caption_whose_judge_failed_is_not_scored(reply: str | None) -> None:
    assert score("tempcompass", "a man dunks", sample=3, judge_output=reply) is None


def test_tempcompass_compares_a_sentence_up_to_its_colon() -> None:
    row = {
        "question": "Which?\nOption 1: He says: go.\nOption 2: He waits.",
        "answer": "Option 1: He says: go.",
        "dim": "order",
    }
    said = {
        "Option 1: He says: go.": 1,
        "He says": 1,
        "He says: go.": 0,
        "1": 1,
        "(1) He says": 1,
        "He waits.": 0,
    }
    for text, right in said.items():
        assert BENCHMARKS["tempcompass"].score({**row, "output": text})["score"] == right, text


# ------------------------------------------------------------------------ the other judges' replies


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("(C)", 1),
        ("(Z)", 0),
        ("(A)", 0),
        ("C", 0),
        ("The answer is (C)", 0),
        ("(C) 3", 0),
        (None, 0),
    ],
)
def test_blink_takes_the_judges_reply_whole(reply: str | None, right: int) -> None:
    assert score("blink", "the third", sample=1, judge_output=reply) == right


@pytest.mark.parametrize(
    ("output", "reply", "right"),
    [
        ("no idea", "Yes", 1),
        ("no idea", "yes, it does", 1),
        ("no idea", "No", 0),
        ("A", "No.", 0),
        ("B", "Yes", 1),
        ("no idea", "A", 1),
        ("no idea", "B", 0),
        ("A", None, 1),
        ("A", "I can't say", 1),
        ("no idea", "I can't say", 0),
    ],
)
def test_hrbench_takes_a_yes_or_no_as_its_authors_do(
    output: str, reply: str | None, right: int
) -> None:
    assert score("hrbench_4k", output, judge_output=reply) == right


# --------------------------------------------------------------------------------------------- POPE


CUT = [
    "The image shows a",
    "<think>there may be a dog",
    "Yes, there is a",
    "No, there",
    "<answer>Yes",
    "I see",
]


@pytest.mark.parametrize("output", CUT)
@pytest.mark.parametrize("gold", ["yes", "no"])
def test_pope_reads_a_cut_output_one_way(output: str, gold: str) -> None:
    benchmark = BENCHMARKS["pope"]
    row = {**benchmark.sample[0], "answer": gold, "output": output, "truncated": True}
    item = judge_row(benchmark, row)
    table = report(benchmark, [item])["per_variant"]
    said = {"Yes, there is a": "yes", "No, there": "no"}.get(output)
    assert (item.parsed, item.score) == (said, float(said == gold))
    assert table["accuracy"] == 100 * (said == gold)
    assert table["yes_ratio"] == 100 * (said == "yes")
    assert table["recall"] == (100.0 * (said == "yes") if gold == "yes" else None)
    assert table["precision"] == (100.0 * (gold == "yes") if said == "yes" else None)


def test_pope_accuracy_follows_from_its_confusion() -> None:
    benchmark = BENCHMARKS["pope"]
    outputs = [*CUT, "Yes", "no", "None", "", "There is a dog.", None]
    rows = [
        {**benchmark.sample[0], "answer": gold, "output": said, "truncated": cut}
        for said in outputs
        for gold in ("yes", "no")
        for cut in (False, True)
    ]
    items = [judge_row(benchmark, row) for row in rows]
    table = report(benchmark, items)["per_variant"]
    positive = len(rows) / 2
    true = table["recall"] / 100 * positive
    said_yes = table["yes_ratio"] / 100 * len(rows)
    true_negative = sum(i.score or 0 for i in items if i.question.gold == "no")
    assert table["accuracy"] == pytest.approx(100 * (true + true_negative) / len(rows))
    assert table["precision"] == pytest.approx(100 * true / said_yes)
    assert table["f1"] == pytest.approx(100 * 2 * true / (said_yes + positive))


def test_every_benchmark_can_be_scored_both_ways() -> None:
    for name in BENCHMARKS.names():
        for row in BENCHMARKS[name].sample:
            if read(BENCHMARKS[name], row).gold:
                assert table_of(name, [{**row, "output": "?"}])["unanswered"] == (
                    "left out" if name == "video_mme" else "wrong"
                )
