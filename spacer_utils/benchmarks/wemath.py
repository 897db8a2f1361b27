"""We-Math testmini (We-Math/We-Math): problems with their sub-steps, scored per group of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import prod

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, micro, split_by
from .scoring.prompt_styles import lines, spacer_choice
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    columns,
    letter_of,
    options_of,
)

KEYS = ("2steps_1", "2steps_2", "2steps_multi", "3steps_1", "3steps_2", "3steps_3", "3steps_multi")
ASK = (
    "Now, we require you to solve a multiple-choice math question. Please briefly describe your thought process and provide "
    "the final answer(option)."
)
SHAPE = (
    "Regarding the format, please answer following the template below, and be sure to include two <> symbols:\n"
    "<Thought process>: <<your thought process>> <Answer>: <<your option>>"
)


def complete_groups(items: Iterable[Item]) -> list[tuple[list[float], float]]:
    """(scores of the sub-steps, score of the whole problem) of every group that has all its scored
    rows."""
    found = []
    for group in split_by(
        (i for i in items if i.score is not None), lambda i: i.question.groups["group"]
    ).values():
        scores = {i.question.task: i.score or 0.0 for i in group}
        keys = [key for key in KEYS if key[0] == group[0].question.task[0]]
        if all(key in scores for key in keys):
            found.append(([scores[key] for key in keys[:-1]], scores[keys[-1]]))
    return found


def four_levels(groups: Sequence[tuple[list[float], float]]) -> Table:
    """Insufficient knowledge, inadequate generalisation, complete mastery, rote memorisation,
    strict and loose, and the scores.

    Written with products, so that scores between 0 and 1 (chances) give expected values.
    """
    n = len(groups)
    if not n:
        return dict.fromkeys(("score_strict", "score_loose")) | {"n_groups": 0}
    ik = sum((1 - prod(s)) * (1 - m) for s, m in groups)
    ig = sum(prod(s) * (1 - m) for s, m in groups)
    table: Table = {}
    levels: Table = {"IK": ik / n, "IG": ig / n}
    for name, mastery in (
        ("strict", sum(prod(s) * m for s, m in groups)),
        ("loose", sum((1 - prod(1 - x for x in s)) * m for s, m in groups)),
    ):
        solved = sum(m for _, m in groups)
        table[f"score_{name}"] = (mastery + 0.5 * ig) / n
        levels |= {
            f"CM_{name}": mastery / n,
            f"RM_{name}": (solved - mastery) / solved if solved else None,
        }
    return {**table, "levels": levels, "n_groups": n}


@BENCHMARKS.register(
    "wemath",
    hub="We-Math/We-Math",
    config=None,
    split="testmini",
    version="HEAD",
    licence="unverified",
    count=1740,
    size="1,740 images, embedded",
    needs="the testmini parquet",
    files=("testmini-*.parquet", "*.parquet", "*.tsv", "*.json", "*.jsonl"),
)
class WeMath(Benchmark):
    """525 problems in 1,740 rows with their sub-steps; strict and loose score over groups."""

    tasks = KEYS
    task_field = "key"
    sample = tuple(
        {
            "ID": group,
            "split": "testmini",
            "knowledge concept": "Area of Circles",
            "question": f"Invented question, part {key}.",
            "option": "A. 200.96;B. 3215.36;C. 6280;D. 32; E. No correct answer",
            "answer": answer,
            "image_path": "image",
            "key": key,
            "question number": n,
            "knowledge concept description": "Area of circles: half the circumference times the radius.",
        }
        for n, (group, key, answer) in enumerate(
            (
                ("2steps_1", "2steps_1", "B"),
                ("2steps_1", "2steps_2", "A"),
                ("2steps_1", "2steps_multi", "C"),
                ("3steps_165", "3steps_3", "B"),
            )
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        parts = re.split(r";\s*(?=[A-H]\.)", str(row["option"])) if row.get("option") else ()
        return Question(
            row["key"],
            letter_of(row["answer"]),
            str(row.get("question", "")),
            options_of(parts) or columns(row),
            (row.get("image_path"),),
            str(row.get("question number", "")),
            {"group": str(row["ID"])},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        listed = row.get("option") or "; ".join(f"{k}. {v}" for k, v in q.options.items())
        return lines(ASK, f"Question: {q.text}", f"Option: {listed}", SHAPE)

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return choice(extract.after_answer(text), q.gold, "text after Answer")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        """Rows of incomplete groups count in the step means only."""
        step = {
            name: micro(i for i in items if i.question.task in keys)
            for name, keys in (
                ("S1", [k for k in KEYS if "multi" not in k]),
                ("S2", ["2steps_multi"]),
                ("S3", ["3steps_multi"]),
            )
        }
        return {**four_levels(complete_groups(items)), **step, "micro": micro(items)}
