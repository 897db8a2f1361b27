"""HR-Bench 4K (DreamMr/HR-Bench): small details in large pictures, options in four rotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
    judged,
    letter_of,
)


def over_cycles(items: Iterable[Item]) -> float | None:
    """Mean of the rotations' accuracies. A question may be right in some of them only."""
    return mean(
        micro(part) for part in split_by(items, lambda i: i.question.groups["cycle"]).values()
    )


@BENCHMARKS.register(
    "hrbench_4k",
    hub="DreamMr/HR-Bench",
    config="hrbench_version_split",
    split="hrbench_4k",
    version="HEAD",
    licence="unverified",
    count=800,
    size="200 images of 4K, embedded",
    needs="hr_bench_4k.tsv or the parquet",
    files=("hr_bench_4k.tsv", "**/hrbench_4k-*.parquet", "*.jsonl"),
)
class HrBench4k(Benchmark):
    """200 questions in 4 rotations on 4K images; mean over rotations of accuracy."""

    tasks = ("single", "cross")
    task_field = "category"
    sample = tuple(
        {
            "index": n,
            "question": "What colour is the flag?",
            "A": options[0],
            "B": options[1],
            "C": options[2],
            "D": options[3],
            "answer": answer,
            "category": "single" if n < 2 else "cross",
            "cycle_category": str(n % 2),
            "image": "image",
        }
        for n, (answer, options) in enumerate(
            (
                ("A", ("red", "blue", "green", "white")),
                ("B", ("white", "red", "blue", "green")),
                ("C", ("green", "white", "red", "blue")),
                ("D", ("blue", "green", "white", "red")),
            )
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        return Question(
            row["category"],
            letter_of(row["answer"]),
            str(row.get("question", "")),
            columns(row),
            (row.get("image"),),
            str(row.get("index", "")),
            {"cycle": str(row.get("cycle_category", "0"))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        return lines(q.text, *lettered(q.options), "Answer the option letter directly.")

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """Rule-based inference; what it leaves open a judge reads (``judge_output``), else it is
        wrong.

        A reply that starts with yes or no is that of the authors' own judge: it decides alone
        whether the output is right.
        """
        reply = judged(row)
        if verdict := re.match("yes|no", reply, re.IGNORECASE):
            return Verdict(float(verdict[0].lower() == "yes"), text, "judge")
        found = vlmevalkit.hr_infer(text, q.options) or vlmevalkit.hr_infer(reply, q.options)
        return choice(found, q.gold, "inference")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        single, cross = (
            over_cycles(i for i in items if i.question.task == t) for t in ("single", "cross")
        )
        return {
            "mean_over_cycles": over_cycles(items),
            "fsp_single": single,
            "fcp_cross": cross,
            "mean_of_fsp_fcp": mean((single, cross)),
            "micro": micro(items),
            "cycle": {
                c: micro(p)
                for c, p in split_by(items, lambda i: i.question.groups["cycle"]).items()
            },
        }
