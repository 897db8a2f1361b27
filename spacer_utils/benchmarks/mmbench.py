"""MMBench, English development split: every question asked with its options in every rotation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

from ..core.printed_lists import as_python
from ..core.registry import BENCHMARKS
from .scoring import vlmevalkit
from .scoring.aggregate import Table, mean, micro, split_by
from .scoring.prompt_styles import lettered, lines, spacer_choice
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    columns,
    is_absent,
    judged,
    letter_of,
)


def circular(items: Iterable[Item]) -> float | None:
    """Share of base questions whose every rotation is right (with chances: the product of them)."""
    groups = split_by(
        (i for i in items if i.score is not None), lambda i: i.question.groups["base"]
    )
    return mean(prod(i.score or 0.0 for i in group) for group in groups.values())


def _circular_by(items: Sequence[Item], key: Callable[[Item], str]) -> Table:
    return {name: circular(part) for name, part in sorted(split_by(items, key).items()) if name}


@BENCHMARKS.register(
    "mmbench",
    hub="lmms-lab/MMBench",
    config="en",
    split="dev",
    version="1.0",
    licence="unverified",
    count=4329,
    size="1,164 base questions, images embedded",
    needs="the parquet or MMBench_DEV_EN.tsv",
    files=("en/dev-*.parquet", "dev-*.parquet", "*.tsv", "*.jsonl"),
)
class MmBench(Benchmark):
    """1,164 questions in rotated copies; a question counts when every rotation is answered
    rightly."""

    sample = tuple(
        {
            "index": index,
            "question": "Where is the cup?",
            "hint": "nan",
            "answer": answer,
            "A": options[0],
            "B": options[1],
            "C": options[2],
            "D": "nan",
            "category": "spatial_relationship",
            "image": "image",
            "source": "invented",
            "L2-category": "finegrained_perception (cross-instance)",
            "comment": "nan",
            "split": "dev",
        }
        for index, answer, options in (
            (241, "A", ("left", "right", "below")),
            (1000241, "C", ("right", "below", "left")),
            (2000241, "B", ("below", "left", "right")),
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        hint = "" if is_absent(row.get("hint")) else f"Hint: {row['hint']}\n"
        gold = "" if is_absent(row["answer"]) else letter_of(row["answer"])
        return Question(
            str(row.get("category", "")),
            gold,
            f"{hint}Question: {row.get('question', '')}",
            columns(row),
            (row.get("image"),),
            str(row["index"]),
            {
                "base": str(int(as_python(row["index"])) % 1_000_000),
                "l2": str(row.get("L2-category") or ""),
            },
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text.replace("Question: ", ""), q.options, style)
        return lines(
            q.text,
            "Options:",
            *lettered(q.options),
            "Please select the correct answer from the options above. ",
            "",
        )

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """Rule-based inference; what it leaves open a judge reads (``judge_output``), else it is
        wrong."""
        found = vlmevalkit.mmb_infer(text, q.options) or vlmevalkit.mmb_infer(
            judged(row), q.options
        )
        return choice(found, q.gold, "inference")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {
            "circular": circular(items),
            "vanilla": micro(items),
            "circular_category": _circular_by(items, lambda i: i.question.task),
            "circular_l2": _circular_by(items, lambda i: i.question.groups["l2"]),
        }
