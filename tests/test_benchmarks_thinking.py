"""Native reasoning models: what follows their thinking is scored, and thinking that never ends
earns nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.analysis import bench
from spacer_utils.analysis.bench import run_benchmark
from spacer_utils.benchmarks.scoring import judge_row, unwrap
from spacer_utils.benchmarks.scoring.extract import after_thinking
from spacer_utils.benchmarks.scoring.record import SCORINGS, read
from spacer_utils.benchmarks.scoring.score_benchmark import score_lines
from spacer_utils.core import profiles
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import WorkbookError
from spacer_utils.evaluation import evaluate

TAGS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<|think|>", "<|/think|>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<THINK>", "</Think>"),
    ("< think >", "</ think >"),
]


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_what_follows_the_last_closing_tag_is_the_answer(opening: str, closing: str) -> None:
    assert unwrap(f"{opening}Is it A? Or B.{closing}\n\nC", "think") == "C"
    assert (
        unwrap(f"Is it A? Or B.{closing}\n\nC\n", "think") == "C"
    )  # the chat template had opened it
    assert unwrap(f"{opening}A{closing}B{opening}A{closing} C", "think") == "C"
    assert after_thinking(f"{opening}Is it A? Or B.") is None
    assert after_thinking(f"{opening}A{closing} B {opening}or C") is None
    assert after_thinking(f"{opening}A{closing}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "C",
        "The answer is C.",
        "",
        " C\n",
        "I think C",
        "a < b",
        "[thinking aloud] C",
        "<Thought process>: C",
    ],
)
def test_a_text_without_tags_stays(text: str) -> None:
    assert unwrap(text, "think") == text


def test_an_answer_block_behind_the_thinking_is_opened() -> None:
    assert unwrap("<think><answer>A</answer>?</think><answer> B </answer>", "think") == "B"
    assert unwrap("<think><answer>A</answer>?</think>C", "think") == "C"
    assert unwrap("<answer>B</answer>", "think") == "B"


def think(
    name: str, output: str | None, scoring: str = "official", sample: int = 0, **changes: Any
) -> Any:
    return judge_row(
        BENCHMARKS[name],
        {**BENCHMARKS[name].sample[sample], **changes, "output": output},
        scoring,
        "think",
    )


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_every_benchmark_scores_what_follows(name: str, scoring: str) -> None:
    for row in BENCHMARKS[name].sample:
        if "mc_answer" in row or not (gold := read(BENCHMARKS[name], row).gold):
            continue
        whole = judge_row(
            BENCHMARKS[name],
            {**row, "output": f"A. or B? 7, no.\n</think>\n\n{gold}"},
            scoring,
            "think",
        )
        assert (whole.score, whole.unwrapped, whole.truncated, whole.unwrap) == (
            1.0,
            True,
            False,
            "think",
        )
        for cut in (
            f"<think>{gold}",
            f"<think>hm</think><think>{gold}",
            f"hm</think><answer>{gold}",
        ):
            item = judge_row(BENCHMARKS[name], {**row, "output": cut}, scoring, "think")
            assert (item.score, item.parsed, item.truncated, item.missing) == (
                0.0,
                None,
                True,
                False,
            )
            assert "never closed" in item.reason


def test_the_policy_is_chosen_and_named_everywhere(tmp_path: Path) -> None:
    row = {**BENCHMARKS["video_mme"].sample[0], "output": "<think>A or B?</think>C"}
    lines = [json.dumps(row).encode()]
    tables = {
        policy: score_lines(lines, "video_mme", unwrap=policy)[0]
        for policy in ("answer_tag", "think", "none")
    }
    assert {policy: (t["headline"], t["unwrap"]) for policy, t in tables.items()} == {
        "answer_tag": (0, "answer_tag"),
        "think": (100, "think"),
        "none": (0, "none"),
    }
    command = [
        sys.executable,
        "-m",
        "spacer_utils",
        "score-benchmark",
        "video_mme",
        "--unwrap",
        "think",
        "--items",
        str(tmp_path / "items.jsonl"),
    ]
    done = subprocess.run(command, input=lines[0], capture_output=True, check=True)
    assert (json.loads(done.stdout)["headline"], json.loads(done.stdout)["unwrap"]) == (
        100,
        "think",
    )
    item = json.loads((tmp_path / "items.jsonl").read_text())
    assert (item["unwrap"], item["unwrapped"], item["parsed"]) == ("think", True, "C")


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(WorkbookError, match=r"thoughts.*think"):
        judge_row(
            BENCHMARKS["pope"],
            {**BENCHMARKS["pope"].sample[0], "output": "yes"},
            "official",
            "thoughts",
        )


def test_unclosed_thinking_is_cut_whatever_the_policy() -> None:
    for policy in ("answer_tag", "none", "think"):
        for opening, _ in TAGS:
            item = judge_row(
                BENCHMARKS["pope"],
                {**BENCHMARKS["pope"].sample[0], "output": f"{opening}hm"},
                "official",
                policy,
            )
            assert (item.truncated, item.score) == (True, 0.0)


@given(st.text(alphabet="<>/think|[]A \n", max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert unwrap(text, "think") in text or unwrap(text, "think") == "None"
    assert think("video_mme", text).score in (0.0, 1.0)


@pytest.mark.parametrize(
    ("template", "outputs", "scores"),
    [
        ("assistant\n<think>\n", ["A or B?</think>C", "It is C, or"], [1.0, 0.0]),
        ("assistant\n<think>\n\n</think>\n\n", ["C", "It is C, or"], [1.0, 1.0]),
        ("assistant\n", ["<think>A</think>C", "C"], [1.0, 1.0]),
    ],
)
def test_a_checkpoint_whose_template_opens_the_thinking(
    template: str,
    outputs: list[str],
    scores: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An output that ends in its thinking holds no tag at all, because the prompt has it."""
    rows = [{**BENCHMARKS["video_mme"].sample[0], "question_id": str(n)} for n in range(2)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "invented1.mp4").write_bytes(b"clip")
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def generate(
        model: str, asked: list[evaluate.Item], *_: Any, **__: Any
    ) -> dict[str, evaluate.Prediction]:
        return {
            i.key: evaluate.Prediction(i.key, said, 9, n == 1)
            for n, (i, said) in enumerate(zip(asked, outputs))
        }

    monkeypatch.setattr(evaluate, "generate", generate)
    monkeypatch.setattr(bench, "_opening_of", lambda model: template)
    table = run_benchmark(
        "model", "video_mme", source, tmp_path / "out", profiles.get("cpu"), unwrap="think"
    )
    items = [
        json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()
    ]
    assert [i["score"] for i in items] == scores
    assert (table["unwrap"], {i["unwrap"] for i in items}) == ("think", {"think"})
    assert table["headline"] == 100 * sum(scores) / 2
