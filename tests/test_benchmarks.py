"""Every benchmark: its published record, its rule in both scorings, its sample, prompts and the
shell around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.benchmarks import spar_bench, tempcompass
from spacer_utils.benchmarks.scoring import baselines, judge_row, mra, report
from spacer_utils.benchmarks.scoring.load import load, media_file, synthetic
from spacer_utils.benchmarks.scoring.prompt_styles import STYLES
from spacer_utils.benchmarks.scoring.record import (
    SCORINGS,
    inline_options,
    letter_of,
    options_of,
    read,
)
from spacer_utils.benchmarks.scoring.score_benchmark import listing, score_lines
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import BadRow, WorkbookError

NAMES = (
    "vsi_bench",
    "vsi_bench_debiased",
    "revsi_16",
    "revsi_32",
    "revsi_64",
    "revsi_all",
    "sti_bench",
    "spar_bench",
    "video_mme",
    "tempcompass",
    "longvideobench",
    "wemath",
    "viewspatial",
    "pope",
    "mmbench",
    "blink",
    "mindcube",
    "embspatial",
    "mmstar",
    "hrbench_4k",
    "heldout",
    "real_layouts",
)
Row = dict[str, Any]


def gold_rows(name: str) -> list[Row]:
    """The sample, each row with the output that should score 1 (captions with a judge's reply)."""
    benchmark = BENCHMARKS[name]
    rows = [{**row, "output": read(benchmark, row).gold} for row in benchmark.sample]
    return [
        {**row, "judge_output": f"Answer: {row['mc_answer']}"} if row.get("mc_answer") else row
        for row in rows
    ]


def score(
    name: str, output: str | None, scoring: str = "official", sample: int = 0, **changes: Any
) -> float | None:
    row = {**BENCHMARKS[name].sample[sample], **changes, "output": output}
    value: float | None = BENCHMARKS[name].score(row, scoring)["score"]
    return value


def lines(rows: list[Row]) -> list[bytes]:
    return [json.dumps(row).encode() + b"\n" for row in rows]


# ----------------------------------------------------------------------------------------- contract


def test_all_benchmarks_are_registered() -> None:
    assert set(NAMES) <= set(BENCHMARKS.names())


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("name", NAMES)
def test_gold_scores_one_and_others_less(name: str, scoring: str) -> None:
    benchmark = BENCHMARKS[name]
    for row in gold_rows(name):
        right = judge_row(benchmark, row, scoring)
        if right.question.gold:
            assert right.score == 1.0, (row, right.reason)
            assert right.parsed is not None
            wrapped = judge_row(
                benchmark,
                {**row, "output": f"<think>A. or 7</think>\n<answer>{row['output']}</answer>"},
                scoring,
            )
            assert wrapped.score == 1.0
            assert wrapped.unwrapped
            if "judge_output" not in row:
                wrong = "no" if right.question.gold == "yes" else "yes, Z"
                assert (judge_row(benchmark, {**row, "output": wrong}, scoring).score or 0.0) < 1.0
        else:
            assert right.score is None


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_output_is_wrong_and_counted(name: str) -> None:
    rows = gold_rows(name)
    scored = [n for n, row in enumerate(rows) if read(BENCHMARKS[name], row).gold]
    rows[scored[-1]] = {**rows[scored[-1]], "output": None}
    del rows[scored[0]]["output"]
    table = report(BENCHMARKS[name], [judge_row(BENCHMARKS[name], row) for row in rows])
    assert table["counts"]["n_missing"] == 2
    assert table["counts"]["n_expected"] == len(rows)
    assert table["counts"]["n_scored"] == len(scored) - 2
    assert table["headline"] is None or table["headline"] < 100
    for task in table["per_task"].values():
        assert {"score", "n_expected", "n_scored", "n_missing", "n_unparsed", "truncated"} <= set(
            task
        )


@pytest.mark.parametrize("name", NAMES)
def test_an_unclosed_answer_tag_is_wrong_and_truncated(name: str) -> None:
    benchmark = BENCHMARKS[name]
    for row in gold_rows(name):
        item = judge_row(benchmark, {**row, "output": f"<think>x</think><answer>{row['output']}"})
        assert item.truncated
        assert not item.score


@pytest.mark.parametrize("name", NAMES)
@given(
    output=st.one_of(
        st.text(max_size=80),
        st.sampled_from(
            [
                "",
                " ",
                "nan",
                "inf",
                "-1e999",
                "（A）",
                "</s>",
                "A</s>",
                "0",
                "<answer></answer>",
                "<answer>nan</answer>",
                "move_right:nan",
                "A" * 5000,
                "\x00",
                "1" * 400,
                "a:b:c",
                ",",
                ":",
                ") ",
            ]
        ),
    )
)
def test_any_text_scores_between_zero_and_one(name: str, output: str) -> None:
    for scoring in SCORINGS:
        items = [
            judge_row(BENCHMARKS[name], {**row, "output": output}, scoring)
            for row in BENCHMARKS[name].sample
        ]
        assert all(item.score is None or 0.0 <= item.score <= 1.0 for item in items)
        json.dumps([item.to_json() for item in items], allow_nan=False)
        json.dumps(report(BENCHMARKS[name], items, scoring), allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_sample_loads_as_published(name: str, tmp_path: Path) -> None:
    rows = load(name, synthetic(name, tmp_path))
    questions = [read(BENCHMARKS[name], row) for row in rows]
    expected = [read(BENCHMARKS[name], row) for row in BENCHMARKS[name].sample]
    if name == "vsi_bench_debiased":
        expected = [q for q in expected if q.gold]
    assert [(q.task, q.gold, q.options) for q in questions] == [
        (q.task, q.gold, q.options) for q in expected
    ]
    files = [media_file(medium, tmp_path) for question in questions for medium in question.media]
    assert all(
        path and (b"ftyp" in path.read_bytes()[:16]) == (path.suffix == ".mp4") for path in files
    )
    with pytest.raises(WorkbookError, match="holds none of"):
        load(name, tmp_path / "empty")


@pytest.mark.parametrize("name", NAMES)
def test_prompts_name_question_and_options(name: str) -> None:
    for row in BENCHMARKS[name].sample:
        question = read(BENCHMARKS[name], row)
        for style in STYLES:
            text = BENCHMARKS[name].prompt(question, row, style)
            assert "None" not in text
            assert all(option.split(": ")[-1] in text for option in question.options.values()), (
                style,
                text,
            )
            assert ("<think>" in text) == (
                style == "spacer" or (style == "spacer_default" and name in NAMES[-2:])
            )


@pytest.mark.parametrize("name", NAMES)
def test_baselines_are_shares(name: str) -> None:
    for table in baselines(BENCHMARKS[name], gold_rows(name)).values():
        assert table["headline"] is None or 0 <= table["headline"] <= 100


def test_listing_tells_what_a_full_run_needs() -> None:
    rows = {row["name"]: row for row in listing()}
    assert set(NAMES) <= set(rows)
    assert "gated" in rows["longvideobench"]["licence"]
    assert all(row["needs"] and row["size"] and row["description"] for row in rows.values())


@pytest.mark.parametrize("name", NAMES)
def test_information_is_complete(name: str) -> None:
    info = BENCHMARKS.entry(name).info
    assert {"hub", "version", "licence", "count", "size", "needs", "files"} <= set(info)
    assert len(BENCHMARKS[name].sample) >= 3


# ------------------------------------------------------------------------------------- golden rules


@pytest.mark.parametrize(
    ("prediction", "truth", "value"),
    [
        ("move_right:1.0,rotate_up:5", "move_right:1.0,rotate_up:5", 1.0),
        ("move_right:0", "move_right:1.0", 0.8),
        ("move_left:1.0", "move_right:1.0", 0.8),
        ("move_right:2.0", "move_right:1.0", 0.82),
        ("move_right:0.5", "move_right:1.0", 0.80),
        ("move_right:0.3", "move_right:0.2", 0.88),
        ("move_right:0.2", "move_right:0.3", 0.82),
        ("move_right:1.0, move_forward:2.0", "move_right:1.0,move_forward:2.0", 0.8),
        ("", "move_right:1.0", 0),
        ("The camera moved right.", "move_right:1.0", 0),
    ],
)
@pytest.mark.parametrize("scoring", SCORINGS)
def test_spar_view_change_table(prediction: str, truth: str, value: float, scoring: str) -> None:
    assert score("spar_bench", prediction, scoring, sample=2, answer=truth) == pytest.approx(
        value, abs=1e-12
    )


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("C", 1),
        ("c", 1),
        ("C.", 1),
        ("C D", 1),
        ("Chair", 1),
        ("(C)", 0),
        (" C", 0),
        ("The answer is C", 0),
        ("B", 0),
    ],
)
def test_spar_letters(output: str, value: int) -> None:
    assert score("spar_bench", output) == value


def test_spar_empty_output_is_missing_though_its_rule_would_credit_it() -> None:
    item = judge_row(BENCHMARKS["spar_bench"], {**BENCHMARKS["spar_bench"].sample[0], "output": ""})
    assert (item.score, item.missing) == (0.0, True)
    assert score("spar_bench", "<answer></answer>") == 0


@pytest.mark.parametrize(
    ("task", "output", "answer", "value"),
    [
        ("depth_prediction_oc", "-3", "3", 1),
        ("depth_prediction_oc", "1,200", "1", 1),
        ("depth_prediction_oc_mv", "1,200", "200", 1),
        ("depth_prediction_oc", "no", "1", 0),
        ("depth_prediction_oc_mv", "no", "1", 0),
        ("depth_prediction_oo", "10^2", "10", 1),
        ("distance_prediction_oo", "8", 10, 0.6),
        ("distance_prediction_oo", "0", 0, 1),
    ],
)
def test_spar_numbers(task: str, output: str, answer: Any, value: float) -> None:
    assert score("spar_bench", output, sample=1, task=task, answer=answer) == pytest.approx(value)


@pytest.mark.parametrize(
    ("output", "official", "spacer"),
    [
        ("3", 3, 3),
        ("3 meters", 3, 3),
        ("There are 3 chairs", None, 3),
        ("three", None, 3),
        ("1,200", None, 1),
        ("-3", -3, 3),
        ("twenty-one", None, 1),
        ("a chair at 3.5 m", None, 1),
        ("<think>9</think><answer>four</answer>", None, 4),
        ("1e1", 10, 1),
        ("nan", None, None),
        ("inf", None, None),
    ],
)
def test_vsi_numbers_by_scoring(output: str, official: float | None, spacer: float | None) -> None:
    for scoring, value, rule in (("official", official, "FT"), ("spacer", spacer, "SE-NUM")):
        item = judge_row(
            BENCHMARKS["vsi_bench"],
            {**BENCHMARKS["vsi_bench"].sample[0], "output": output},
            scoring,
        )
        assert item.parsed == value
        assert item.score == (0 if value is None else pytest.approx(mra(value, 4)))
        assert item.reason.startswith(rule)


@pytest.mark.parametrize(
    ("output", "official", "spacer"),
    [
        ("A", 1, 1),
        ("A. chair", 1, 1),
        ("a", 1, 1),
        ("a.", 1, 0),
        ("A..", 1, 0),
        (" A", 0, 1),
        ("Answer: A", 0, 1),
        ("(A)", 0, 0),
        ("The answer is A", 0, 0),
        ("A\nbecause", 0, 0),
        ("A:", 0, 0),
        ("<answer>A</answer>", 1, 1),
        ("<answer>A</answer> or B", 1, 1),
    ],
)
def test_vsi_letters_by_scoring(output: str, official: int, spacer: int) -> None:
    for scoring, value in (("official", official), ("spacer", spacer)):
        assert score("vsi_bench", output, scoring, sample=1, ground_truth="A") == value


@pytest.mark.parametrize(
    ("output", "count", "letter"),
    [
        ("4", 1.0, 0),
        (" 4. ", 1.0, 0),  # stripped first; VSI-Bench's rule reads nothing here
        ("\n5 chairs", 0.6, 0),  # an error of 25 % meets 6 of the 10 thresholds
        ("4\nchairs", 0.0, 0),
        ("four", 0.0, 0),
        ("about 4", 0.0, 0),
        ("nan", 0.0, 0),
        ("inf", 0.0, 0),
        ("-4", 0.0, 0),
        ("1_0", 0.0, 0),
        ("D", 0.0, 1),
        (" d. desk", 0.0, 1),
        ("D.. because", 0.0, 1),
        ("D)", 0.0, 0),
        ("Answer: D", 0.0, 0),
        ("", 0.0, 0),
    ],
)
def test_revsi_scores_as_its_authors_do(output: str, count: float, letter: int) -> None:
    assert score("revsi_64", output, ground_truth="4") == pytest.approx(count)
    assert score("revsi_64", output, sample=1) == letter


def test_revsi_has_answers_for_each_number_of_frames(tmp_path: Path) -> None:
    budgets = ("16", "32", "64", "all")
    for budget in budgets:  # one folder holds all four, as published
        synthetic(f"revsi_{budget}", tmp_path)
    rows = {budget: load(f"revsi_{budget}", tmp_path) for budget in budgets}
    question = {budget: read(BENCHMARKS[f"revsi_{budget}"], rows[budget][0]) for budget in budgets}
    assert len({q.text for q in question.values()}) == 1
    assert [q.gold for q in question.values()] == ["2", "3", "4", "5"]
    assert question["32"].media == ("32_frame/scene9000_00.mp4",)
    with pytest.raises(
        BadRow, match=r"row 1: .*num_frames is 32, and these are the answers for 16"
    ):
        load("revsi_16", tmp_path / "32_frame" / "sample.parquet")


def test_revsi_asks_nothing_about_whole_scenes_with_16_frames() -> None:
    few, more = set(BENCHMARKS["revsi_16"].tasks), set(BENCHMARKS["revsi_32"].tasks)
    assert more - few == {
        "room_size_estimation_single",
        "room_size_estimation_multiple",
        "route_planning",
    }
    assert len(more) == 13
    assert more == set(BENCHMARKS["revsi_64"].tasks) == set(BENCHMARKS["revsi_all"].tasks)
    table = report(BENCHMARKS["revsi_16"], [judge_row(BENCHMARKS["revsi_16"], row) for row in
                   [{**BENCHMARKS["revsi_16"].sample[0], "question_type": kind, "ground_truth": "2"
                     if "rel" not in kind else "A", "output": "2"} for kind in few]])  # fmt: skip
    assert not table["partial"]
    assert table["headline"] == pytest.approx(60)


def test_revsi_reads_the_table_of_vlmevalkit(tmp_path: Path) -> None:
    (tmp_path / "32_frame.tsv").write_text(
        "id\tdataset\tscene_id\tnum_frames\tquestion_type\tquestion\toptions\tground_truth\tvideo\n"
        "7\tscannet\tscene9000_00\t32\troute_planning\tWhich?\t['A. Turn Left', 'B. Turn Back']\tB\tscene9000_00.mp4\n"
        "8\tscannet\tscene9000_00\t32\tobject_size_estimation\tHow long?\t\t120\tscene9000_00.mp4\n"
    )
    questions = [read(BENCHMARKS["revsi_32"], row) for row in load("revsi_32", tmp_path)]
    assert [(q.key, q.gold, q.options) for q in questions] == [
        ("7", "B", {"A": "Turn Left", "B": "Turn Back"}),
        ("8", "120", {}),
    ]


@pytest.mark.parametrize(
    ("name", "output", "truth", "value"),
    [
        ("embspatial", "(C) table", 2, 1),
        ("embspatial", "The answer is C", 2, 0),
        ("embspatial", "c", 2, 1),
        ("embspatial", "**C**", 2, 0),
        ("viewspatial", "It is a left view", "A. right", 1),
        ("viewspatial", "so\nB. left", "B. left", 1),
        ("viewspatial", "B\n", "B. left", 0),
        ("mmstar", "Option C", "C", 1),
        ("mmstar", "The answer is C", "C", 1),
        ("mmstar", "Answer: C", "C", 0),
        ("mmstar", "a street", "A", 1),
        ("mindcube", "I considered A. and B. so C", "B", 1),
        ("mindcube", "A or B", "A", 1),
        ("mindcube", "c", "C", 0),
        ("wemath", "Because C", "B", 1),
        ("wemath", "The answer is C", "C", 0),
        ("wemath", "<Answer>: <<C. 5 cm>>", "C", 1),
        ("video_mme", "As seen in the video, B", "A", 1),
        ("video_mme", "Best option: D", "B", 1),
        ("longvideobench", "Answer: C", "A", 1),
        ("blink", "I pick (A)", "(A)", 1),
        ("blink", "(A) or (B)", "(A)", 0),
        ("hrbench_4k", "B it is, as far as I can see here", "B", 1),
        ("mmbench", "It is B.", "B", 1),
        ("mmbench", "A cup is below", "A", 0),
        ("pope", "No, there isn't", "no", 1),
        ("pope", "None", "no", 0),
    ],
)
def test_official_rules(name: str, output: str, truth: Any, value: int) -> None:
    field = {"mindcube": "gt_answer", "longvideobench": "correct_choice"}.get(name, "answer")
    truth = "ABCDE".index(truth) if name == "longvideobench" else truth
    assert score(name, output, **{field: truth}) == value


@pytest.mark.parametrize(
    ("output", "official", "spacer"),
    [
        ("The answer is C", 1, 0),
        ("A 3.5m", 0, 0),
        ("C", 1, 1),
        ("C.", 1, 1),
        ("(c)", 1, 1),
        ("Option c", 1, 1),
        ("", 0, 0),
        ("c", 0, 0),
        ("Ans='C'", 1, 1),
        ("answer C is correct", 1, 1),
    ],
)
def test_sti_rules(output: str, official: int, spacer: int) -> None:
    assert score("sti_bench", output, "official", Answer="C") == official
    assert score("sti_bench", output, "spacer", Answer="C") == spacer


@pytest.mark.parametrize(
    "output", ["A", "A.", "A) dunking", "A. dunking a basketball", "A. other", "A</s>", " A\n"]
)
def test_tempcompass_choice_right(output: str) -> None:
    assert score("tempcompass", output) == 1


@pytest.mark.parametrize("output", ["a", "(A)", "Answer: A", "A dunking", "B", ""])
def test_tempcompass_choice_without_judge_wrong(output: str) -> None:
    assert score("tempcompass", output) == 0


@pytest.mark.parametrize(
    "output",
    [
        "Option 2",
        "2",
        "2.",
        "Option 2.",
        "Option 2: A man is dunking a basketball.",
        "A man is dunking a basketball.",
        "(2) A man is dunking a basketball.",
    ],
)
def test_tempcompass_caption_right(output: str) -> None:
    assert score("tempcompass", output, sample=2) == 1


@pytest.mark.parametrize("output", ["B", "The second", "1", "Option 1", ""])
def test_tempcompass_caption_wrong(output: str) -> None:
    assert score("tempcompass", output, sample=2) == 0


@pytest.mark.parametrize(
    ("output", "answer", "value"),
    [
        ("Yes.", "yes", 1),
        ("not sure", "no", 1),
        ("Nope", "no", 1),
        ("no", "yes", 0),
        ("It is", "yes", 0),
    ],
)
def test_tempcompass_yes_no(output: str, answer: str, value: int) -> None:
    assert score("tempcompass", output, sample=1, answer=answer) == value


def test_tempcompass_judge() -> None:
    assert score("tempcompass", "a caption", sample=3) is None
    assert score("tempcompass", "a caption", sample=3, judge_output="Answer: A. dunking") == 1
    assert score("tempcompass", "a caption", sample=3, judge_output="Answer: B. passing") == 0
    assert (
        score("tempcompass", "a caption", sample=3, judge_output="Answer: A. dunking or B. passing")
        == 0
    )
    assert score("tempcompass", "It is (A)", judge_output="Correct") == 1
    assert score("tempcompass", "It is (A)", judge_output="Incorrect") == 0


def test_tempcompass_strips_only_officially() -> None:
    assert [score("tempcompass", "A\n", scoring) for scoring in SCORINGS] == [1, 0]


def test_rows_without_an_answer_are_not_scored_nor_unparsed() -> None:
    for output, missing in (("A", False), (None, True)):
        item = judge_row(BENCHMARKS["blink"], {**BENCHMARKS["blink"].sample[2], "output": output})
        assert (item.score, item.missing) == (None, missing)
        counts = report(BENCHMARKS["blink"], [item])["counts"]
        assert (
            counts["n_scored"],
            counts["n_unparsed"],
            counts["n_missing"] + counts["n_not_scored"],
        ) == (0, 0, 1)


def test_tempcompass_reads_the_file_that_spacer_evaluates() -> None:
    row = {
        "problem": "What does the man do?",
        "problem_type": "multiple choice",
        "options": ["A. dunks", "B. passes"],
        "solution": "<answer>B</answer>",
        "path": "videos/1.mp4",
        "output": "<think></think><answer>B</answer>",
    }
    assert BENCHMARKS["tempcompass"].score(row, "spacer")["score"] == 1
    assert tempcompass.TempCompass.prompt(
        read(BENCHMARKS["tempcompass"], row), row, "spacer_default"
    ) == (
        "Question: What does the man do?Options:\nA. dunks\nB. passes\n\n Please provide only the single option letter (e.g., A, "
        "B, C, D, etc.)."
    )


@pytest.mark.parametrize(
    ("output", "said", "parsed"),
    [
        ("", "yes", None),
        ("?", "yes", None),
        ("None", "yes", None),
        ("There is a dog.", "yes", None),
        ("NO", "yes", "yes"),
        ("Yes.", "yes", "yes"),
        ("no\n", "yes", "yes"),
        ("No, none", "no", "no"),
        ("It is not", "no", "no"),
    ],
)
def test_pope_takes_what_is_no_answer_for_yes_and_counts_it_as_unparsed(
    output: str, said: str, parsed: str | None
) -> None:
    items = [
        judge_row(BENCHMARKS["pope"], {**BENCHMARKS["pope"].sample[n], "output": output})
        for n in (0, 1)
    ]
    assert [i.score for i in items] == [said == "yes", said == "no"]
    assert [i.parsed for i in items] == [parsed, parsed]
    table = report(BENCHMARKS["pope"], items)
    assert table["counts"]["n_unparsed"] == (0 if parsed else 2)
    assert table["per_variant"]["yes_ratio"] == 100 * (said == "yes")


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("vsi_bench", "?"),
        ("vsi_bench", "3."),
        ("embspatial", "The answer is B"),
        ("mmstar", "three"),
        ("spar_bench", "three"),
        ("hrbench_4k", "Cannot determine the answer"),
        ("heldout", "the sofa"),
    ],
)
@pytest.mark.parametrize("scoring", SCORINGS)
def test_what_is_no_option_letter_is_unparsed(name: str, output: str, scoring: str) -> None:
    row = next(row for row in BENCHMARKS[name].sample if read(BENCHMARKS[name], row).options)
    item = judge_row(BENCHMARKS[name], {**row, "output": output}, scoring)
    assert (item.score, item.parsed) == (0.0, None)


def test_an_output_that_pandas_calls_nan_is_missing() -> None:
    item = judge_row(
        BENCHMARKS["vsi_bench"], {**BENCHMARKS["vsi_bench"].sample[0], "output": float("nan")}
    )
    assert (item.score, item.missing) == (0.0, True)


def test_vsi_reads_the_table_of_vlmevalkit(tmp_path: Path) -> None:
    (tmp_path / "VSI-Bench-Debiased.tsv").write_text(
        "index\tquestion\tcandidates\tanswer\tquestion_type\tvideo\n"
        "7\tWhich?\t['A. chair', 'B. sofa']\tB\tobject_rel_distance\tscannet/scene9000_00.mp4\n"
        "8\tHow many?\t\t4\tobject_counting\tscannet/scene9000_00.mp4\n"
    )
    rows = load("vsi_bench_debiased", tmp_path)
    questions = [read(BENCHMARKS["vsi_bench_debiased"], row) for row in rows]
    assert [(q.key, q.gold, q.options) for q in questions] == [
        ("7", "B", {"A": "chair", "B": "sofa"}),
        ("8", "4", {}),
    ]
    assert questions[0].media == ("scannet/scene9000_00.mp4",)


@pytest.mark.parametrize(
    ("mark", "kept"),
    [
        (False, 1),
        (True, 0),
        ("False", 1),
        ("True", 0),
        (None, 1),
        (1, 0),
        (1.0, 0),
        (float("nan"), 1),
    ],
)
def test_the_mark_of_pruned_rows_may_be_text(mark: Any, kept: int) -> None:
    assert len(list(BENCHMARKS["vsi_bench_debiased"].expand({"pruned": mark}))) == kept


def test_longvideobench_never_guesses() -> None:
    assert score("longvideobench", "no idea") == 0
    assert score("longvideobench", "C", correct_choice=-1) is None
    assert score("longvideobench", "E", sample=1) == 1


def test_own_rows_are_read_strictly() -> None:
    assert score("heldout", "(B)") == score("heldout", "B. sofa") == 1
    assert score("heldout", "E") == 0
    assert score("heldout", "twenty-one", sample=1, solution="<answer>21</answer>") == 1
    assert score("heldout", "1,200", sample=1, solution="<answer>1200</answer>") == 1
    assert score("heldout", "twenty-one", "spacer", sample=1, solution="<answer>1</answer>") == 1
    assert score("heldout", "exit sign", sample=2) == 0
    for kind, solution in (("regression", "4"), ("free-form", "a red chair")):
        assert (
            score(
                "heldout",
                solution,
                sample=2,
                problem_type=kind,
                solution=f"<answer>{solution}</answer>",
            )
            == 1
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([1, 2, 3, 4], "B. 2"),
        (["A. a", "B. b", None], "B. b"),
        (float("nan"), "B"),
        ([1.5, None, "c", "d"], "C"),
    ],
)
def test_own_options_may_be_anything_that_options_are(options: Any, said: str) -> None:
    assert score("heldout", said, options=options, solution=f"<answer>{said[0]}</answer>") == 1
    assert score("heldout", "D. or A", options=options, solution=f"<answer>{said[0]}</answer>") == 0


@pytest.mark.parametrize("kind", ["regression", "numerical", "OCR", "free-form"])
@pytest.mark.parametrize("scoring", SCORINGS)
def test_own_solutions_may_be_numbers(kind: str, scoring: str) -> None:
    assert score(
        "heldout", "3.5", scoring, sample=1, problem_type=kind, solution=3.5
    ) == pytest.approx(1)


NAN = float("nan")


def test_tempcompass_takes_what_is_absent_for_absent() -> None:
    rows = [
        {
            **row,
            "mc_question": NAN,
            "mc_answer": NAN,
            "problem": NAN,
            "aspect": NAN,
            "judge_output": NAN,
        }
        for row in BENCHMARKS["tempcompass"].sample[:3]
    ]
    assert [read(BENCHMARKS["tempcompass"], row).task for row in rows] == [
        "multi-choice",
        "yes_no",
        "caption_matching",
    ]
    assert "aspect" not in read(BENCHMARKS["tempcompass"], rows[0]).groups
    for row, said in zip(rows, ("no idea", "perhaps", "?")):
        item = judge_row(BENCHMARKS["tempcompass"], {**row, "output": said})
        assert (item.score, item.parsed) == (0.0, None)
    assert score("tempcompass", "a caption", sample=3, judge_output=NAN) is None


@pytest.mark.parametrize("name", ["hrbench_4k", "mmbench"])
@pytest.mark.parametrize(("reply", "right"), [(NAN, 0), (None, 0), ("nan", 0), ("A", 1)])
def test_a_gap_where_a_judge_replied_names_no_option(name: str, reply: Any, right: int) -> None:
    """Written out, it would hold the options "a" and "an"."""
    assert (
        score(name, "no idea", A="an", B="xyz", C="uvw", D="rst", answer="A", judge_output=reply)
        == right
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge_output": "Answer: A", "mc_answer": NAN}, "broken"),
        ({"judge_output": 1, "mc_answer": "A. dunking"}, "broken"),
        ({"judge_output": "x"}, "no field 'mc_answer'"),
    ],
)
def test_a_field_that_only_the_rule_reads_is_named_too(changes: Row, message: str) -> None:
    row = {
        "question": "Describe it. Generated Caption:",
        "answer": "A. dunking",
        "output": "a man",
        **changes,
    }
    with pytest.raises(BadRow, match=f"line 1: .*{message}"):
        score_lines(lines([row]), "tempcompass")


@pytest.mark.parametrize(
    ("mark", "truncated"),
    [
        ("false", False),
        ("False", False),
        (NAN, False),
        (None, False),
        (0, False),
        ("", False),
        ("true", True),
        (True, True),
        ("True", True),
        (1, True),
        (1.0, True),
        (np.True_, True),
    ],
)
def test_the_mark_of_cut_outputs_may_be_text(mark: Any, truncated: bool) -> None:
    row = {**BENCHMARKS["heldout"].sample[0], "output": "B", "truncated": mark}
    assert judge_row(BENCHMARKS["heldout"], row).truncated == truncated


def test_baselines_know_nothing_of_the_model() -> None:
    benchmark = BENCHMARKS["tempcompass"]
    judged = [
        {**row, "output": "?", "judge_output": "Correct", "truncated": True}
        for row in benchmark.sample
    ]
    assert baselines(benchmark, judged) == baselines(benchmark, benchmark.sample)


# ----------------------------------------------------------------------------- forms of the records


@pytest.mark.parametrize(
    "options",
    [
        ["A. left", "B. right"],
        ("left", "right"),
        {"A": "left", "B": "right", "C": None},
        '["A. left", "B. right"]',
        "['left', 'right']",
        np.array(["(A) left", "(B) right"], dtype=object),
        {"B": "right", "A": "left", "C": float("nan")},
        ["A) left", "B) right"],
        ["A: left", "B: right", None],
    ],
)
def test_options_in_every_form(options: Any) -> None:
    assert options_of(options) == {"A": "left", "B": "right"}


@pytest.mark.parametrize(
    "options", [["A. left", None, "C. right"], ["left", "", "right"], ["left", "nan", "right"]]
)
def test_an_absent_option_keeps_the_letters_behind_it(options: Any) -> None:
    assert options_of(options) == {"A": "left", "C": "right"}


@pytest.mark.parametrize(
    "answer", ["B", "b", "(B)", "B.", "B. right", "B) right", 1, 1.0, "1", np.int64(1), " B "]
)
def test_letters_in_every_form(answer: Any) -> None:
    assert letter_of(answer) == "B"


@pytest.mark.parametrize("answer", ["", "right", None, -1, 99, True, float("nan"), [], "AB"])
def test_what_is_no_letter(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        letter_of(answer)


def test_inline_options() -> None:
    assert inline_options("Where? (A) left (B) right") == {"A": "left", "B": "right"}
    assert inline_options("Options: A: a street, B: a room") == {"A": "a street", "B": "a room"}
    assert inline_options("A. Moore asks: which? B. none") == {
        "A": "Moore asks: which?",
        "B": "none",
    }
    assert inline_options("no options") == {}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sti_bench", {"Candidates": '{"A": "0.5m", "B": "0.9m"}'}),
        ("sti_bench", {"Candidates": None}),
        ("vsi_bench", {"ground_truth": 4}),
        ("vsi_bench", {"ground_truth": 4.0}),
        ("embspatial", {"answer": "2"}),
        ("embspatial", {"answer": "C", "answer_options": np.array(["a", "b", "c", "d"])}),
        ("video_mme", {"answer": "c"}),
        ("viewspatial", {"choices": ["A. right", "B. left"]}),
        ("viewspatial", {"image_path": '["val2017/1.jpg"]'}),
        ("mmbench", {"hint": None, "D": None}),
        ("mmbench", {"index": "241"}),
        ("hrbench_4k", {"cycle_category": 0}),
        (
            "longvideobench",
            {"candidates": ["a", "b", "c"], **{f"option{n}": None for n in range(5)}},
        ),
        ("wemath", {"option": None, "A": "1", "B": "2", "C": None}),
    ],
)
def test_records_in_other_forms(name: str, changes: Row) -> None:
    row = {**BENCHMARKS[name].sample[0], **changes}
    gold = read(BENCHMARKS[name], row).gold
    assert BENCHMARKS[name].score({**row, "output": gold}, "official")["score"] == 1


def test_pope_repository_rows() -> None:
    row = {
        "question_id": 1,
        "image": "COCO_val2014_000000310196.jpg",
        "text": "Is there a snowboard in the image?",
        "label": "yes",
    }
    assert BENCHMARKS["pope"].score({**row, "output": "Yes"}, "official")["score"] == 1


def test_older_layouts_load(tmp_path: Path) -> None:
    outer = {"video_id": "001", "duration": "short", "videoID": "x"}
    question = {
        "question_id": "001-1",
        "task_type": "OCR Problems",
        "question": "?",
        "options": ["A. a", "B. b"],
        "answer": "B",
    }
    (tmp_path / "nested.jsonl").write_text(
        json.dumps({**outer, "questions": [question, question]}) + "\n"
    )
    assert [r["answer"] for r in load("video_mme", tmp_path)] == ["B", "B"]
    nested = {
        "7": {
            "action": [{"question": "Is he dunking?", "answer": "yes"}],
            "speed": [{"question": "Fast?", "answer": "no"}],
        }
    }
    (tmp_path / "yes_no.json").write_text(json.dumps(nested))
    assert [(r["video_id"], r["dim"]) for r in load("tempcompass", tmp_path / "yes_no.json")] == [
        ("7", "action"),
        ("7", "speed"),
    ]
    (tmp_path / "test.jsonl").write_text(
        "".join(
            json.dumps({**r, "pruned": n > 0}) + "\n"
            for n, r in enumerate(BENCHMARKS["vsi_bench"].sample)
        )
    )
    assert len(load("vsi_bench", tmp_path)) == 4
    assert len(load("vsi_bench_debiased", tmp_path)) == 1
    with pytest.raises(BadRow, match=r"test.jsonl, row 1: the row has no field"):
        load("pope", tmp_path / "test.jsonl")


VSI = {"question_type": "route_planning", "ground_truth": "A", "options": ["A. Übergang", "B. b"]}
TABLE = "question_type\tground_truth\toptions\nroute_planning\tA\t['A. Übergang', 'B. b']\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", json.dumps(VSI) + "\n"),
        ("a.json", json.dumps([VSI])),
        ("b.json", json.dumps(VSI) + "\n\n"),
        ("a.tsv", TABLE),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_files_may_begin_with_a_byte_order_mark(
    name: str, text: str, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding=encoding)
    (row,) = load("vsi_bench", tmp_path / name)
    assert read(BENCHMARKS["vsi_bench"], row).options == {"A": "Übergang", "B": "b"}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tsv", TABLE.encode("latin-1"), "row 1: .*utf-8"),
        ("a.json", "[" * 100_000, "line 1: not JSON"),
        ("a.json", b"\xff", "line 1: not UTF-8"),
        ("a.jsonl", json.dumps(VSI) + "\n" + "[" * 100_000, "line 2: not JSON"),
        ("a.jsonl", json.dumps(VSI) + "\n\xff", "line 2: not UTF-8"),
        ("a.jsonl", json.dumps(VSI) + "\n[1]\n", "row 2: not a record"),
        ("a.json", "[1]", "row 1: not a record"),
        ("a.parquet", b"junk", "row 1: can't be read"),
        ("a.parquet", b"PAR1" + b"\0" * 99 + b"PAR1", "row 1: can't be read"),
    ],
)
def test_what_cannot_be_read_is_named(
    name: str, data: bytes | str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode("latin-1"))
    with pytest.raises(BadRow, match=rf"{name}, {message}"):
        load("vsi_bench", tmp_path / name)


@pytest.mark.parametrize(
    "data", [b"{", b"[1]", b"\xff", b'{"1": 3}', b'{"1": {"eval_dim": []}}', b"[" * 100_000]
)
def test_a_broken_file_beside_the_rows_is_named(data: bytes, tmp_path: Path) -> None:
    synthetic("tempcompass", tmp_path)
    (tmp_path / "meta_info.json").write_bytes(data)
    with pytest.raises(WorkbookError, match=r"meta_info.json.*(Download|remove)"):
        load("tempcompass", tmp_path)


# -------------------------------------------------------------------------------------------- shell


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken\n", "line 3: not JSON"),
        (b"[1]\n", "line 3: a JSON list"),
        (b'{"output": "A"}\n', "line 3: the row has no field 'quest"),
        (b"\xff\n", "line 3: not UTF-8"),
        (
            b'{"question_type": "made_up", "ground_truth": "A", "output": "A"}\n',
            "line 3: unknown task 'made",
        ),
        (
            b'{"question_type": "route_planning", "ground_truth": "A", "output": 5}\n',
            "line 3: output is int",
        ),
        (
            b'{"question_type": "object_counting", "ground_truth": "many", "output": "5"}\n',
            "line 3: a field of the row is broken",
        ),
        (
            b'{"question_type": "route_planning", "output": "5"}\n',
            "line 3: the row has no field 'ground_truth'",
        ),
        (b"[" * 100_000 + b"\n", "line 3: not JSON"),
        (
            b'{"question_type": null, "ground_truth": "A", "output": "A"}\n',
            "line 3: unknown task None",
        ),
    ],
)
def test_broken_lines_are_named(line: bytes, message: str) -> None:
    rows = lines([dict(BENCHMARKS["vsi_bench"].sample[0])])
    with pytest.raises(BadRow, match=message):
        score_lines([*rows, b"\n", line], "vsi_bench")


def test_no_rows_is_an_error() -> None:
    with pytest.raises(BadRow, match="no rows"):
        score_lines([b"\n"], "vsi_bench")


@pytest.mark.parametrize("name", [*NAMES[:16], "heldout"])
def test_unknown_tasks_are_refused(name: str) -> None:
    benchmark = BENCHMARKS[name]
    field = benchmark.task_field or {"pope": "category", "tempcompass": "dim"}.get(name)
    if field:
        with pytest.raises(BadRow, match="unknown"):
            benchmark.score({**benchmark.sample[0], field: "made up", "output": "A"}, "official")


@pytest.mark.slow
def test_shell_end_to_end(tmp_path: Path) -> None:
    rows = [
        {**BENCHMARKS["vsi_bench"].sample[n], "output": o}
        for n, o in enumerate(("4", "<answer>C</answer>", None))
    ]
    command = [
        sys.executable,
        "-m",
        "spacer_utils",
        "score-benchmark",
        "vsi_bench",
        "--scoring",
        "spacer",
        "--items",
        str(tmp_path / "items.jsonl"),
    ]
    done = subprocess.run(command, input=b"".join(lines(rows)), capture_output=True, check=True)
    table = json.loads(done.stdout)
    assert table["profile"] == "spacer"
    assert table["counts"] == {
        "n_expected": 3,
        "n_scored": 2,
        "n_missing": 1,
        "n_unparsed": 0,
        "truncated": 0,
        "n_not_scored": 0,
    }
    assert table["headline"] == pytest.approx(100 / 3)
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [(i["line"], i["score"], i["parsed"]) for i in items] == [
        (1, 1.0, 4.0),
        (2, 0.0, "C"),
        (3, 0.0, None),
    ]
    assert all(i["reason"] for i in items)
    broken = subprocess.run(command, input=b"{}\n", capture_output=True)
    assert broken.returncode == 2
    assert b"line 1" in broken.stderr


def test_missing_outputs_may_leave_the_means_as_spacer_eval_has_it() -> None:
    rows = lines([{**BENCHMARKS["vsi_bench"].sample[0], "output": o} for o in ("4", None)])
    assert score_lines(rows, "vsi_bench")[0]["headline"] == 50
    table = score_lines(rows, "vsi_bench", missing="drop")[0]
    assert (table["headline"], table["counts"]["n_missing"]) == (100, 1)


def test_unwrapping_can_be_chosen() -> None:
    rows = lines(
        [{**BENCHMARKS["vsi_bench"].sample[1], "output": "<answer>A</answer><answer>B</answer>"}]
    )
    scores = [
        score_lines(rows, "vsi_bench", unwrap=u)[0]["headline"]
        for u in ("answer_tag", "last_answer_tag", "none")
    ]
    assert scores == [0, 100, 0]


def test_spar_levels_partition_the_tasks() -> None:
    assert len(spar_bench.LOW) == 8
    assert len(spar_bench.HIGH) == 9
    assert len(set(spar_bench.SparBench.tasks)) == 20
    assert len(spar_bench.SINGLE) == 8


def test_half_a_character_is_written_as_well(tmp_path: Path) -> None:
    line = b'{"question": "?", "answer": "yes", "output": "yes \\ud800"}\n'
    command = [
        sys.executable,
        "-m",
        "spacer_utils",
        "score-benchmark",
        "tempcompass",
        "--items",
        str(tmp_path / "items.jsonl"),
    ]
    subprocess.run(command, input=line, capture_output=True, check=True)
    assert json.loads((tmp_path / "items.jsonl").read_text())["parsed"] == "yes \ud800"


@pytest.mark.parametrize("name", NAMES)
def test_rows_need_no_more_than_their_rule_uses(name: str) -> None:
    needed = {
        "vsi": ("question_type", "ground_truth"),
        "sti": ("Task", "Answer"),
        "spar": ("task", "answer"),
        "revsi": ("question_type", "ground_truth", "num_frames"),
        "video": ("task_type", "answer"),
        "tempcompass": ("question", "answer"),
        "long": ("question_category", "correct_choice"),
        "wemath": ("key", "ID", "answer"),
        "viewspatial": ("question_type", "answer"),
        "pope": ("answer",),
        "mmbench": ("index", "answer", "A", "B", "C"),
        "blink": ("sub_task", "answer", "choices"),
        "mindcube": ("id", "gt_answer"),
        "embspatial": ("data_source", "answer"),
        "mmstar": ("category", "answer"),
        "hrbench": ("category", "answer", "A", "B"),
        "heldout": ("problem_type", "solution", "options"),
        "real": ("problem_type", "solution", "options"),
    }
    fields = next(value for key, value in needed.items() if name.startswith(key))
    row = {field: BENCHMARKS[name].sample[0][field] for field in fields}
    gold = read(BENCHMARKS[name], row).gold
    assert BENCHMARKS[name].score({**row, "output": gold}, "official")["score"] == 1
    for field in fields[:2]:
        if field not in ("options", "A"):
            with pytest.raises(BadRow, match="no field"):
                BENCHMARKS[name].score({k: v for k, v in row.items() if k != field}, "official")


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys, spacer_utils.__main__, spacer_utils.analysis.bench; from spacer_utils.core.registry import BENCHMARKS as b; "
        "b.names(); "
        "print([m for m in ('torch', 'transformers', 'pandas', 'datasets', 'pyarrow', 'PIL') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_items_may_go_to_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [
        sys.executable,
        "-m",
        "spacer_utils",
        "score-benchmark",
        "vsi_bench",
        "--items",
        str(pipe),
    ]
    rows = lines([{**BENCHMARKS["vsi_bench"].sample[0], "output": "4"}])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.writelines(rows)
        process.stdin.close()
        assert json.loads(pipe.read_text())["score"] == 1
    assert process.returncode == 0
    assert pipe.is_fifo()
