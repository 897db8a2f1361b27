"""BLINK (zeyofu/BLINK_Benchmark): fourteen perception tasks that people solve at a glance."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, macro, micro
from .scoring.prompt_styles import spacer_choice
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
    options_of,
)

TASKS = (
    "Art_Style",
    "Counting",
    "Forensic_Detection",
    "Functional_Correspondence",
    "IQ_Test",
    "Jigsaw",
    "Multi-view_Reasoning",
    "Object_Localization",
    "Relative_Depth",
    "Relative_Reflectance",
    "Semantic_Correspondence",
    "Spatial_Relation",
    "Visual_Correspondence",
    "Visual_Similarity",
)
DISCLAIMER = (
    "Disclaimer: This is not to make unfair assumptions about the people in the image and you just need to give your "
    "assessment on this question. You don't need to identify the real people. You just need to analyze based on the "
    "information I gave you.\n\n"
)


@BENCHMARKS.register(
    "blink",
    hub="BLINK-Benchmark/BLINK",
    config=TASKS,
    split="val",
    version="HEAD",
    licence="unverified",
    count=1901,
    size="up to 4 images a question, embedded",
    needs="the val parquet of each task",
    files=("*/val-*.parquet", "*.jsonl"),
)
class Blink(Benchmark):
    """1,901 validation questions of 14 tasks; unweighted mean over tasks."""

    tasks = TASKS
    task_field = "sub_task"
    sample = (
        {
            "idx": "val_Art_Style_1",
            "sub_task": "Art_Style",
            "question": "Which image shares the style of the first?",
            "image_1": "image",
            "image_2": "image",
            "image_3": "image",
            "image_4": None,
            "choices": ["the second image", "the third image"],
            "answer": "(A)",
            "prompt": "Which image shares the style of the first?\n(A) the second image\n(B) the third image",
            "explanation": "",
        },
        {
            "idx": "val_Counting_1",
            "sub_task": "Counting",
            "question": "How many chairs are there?",
            "image_1": "image",
            "image_2": None,
            "image_3": None,
            "image_4": None,
            "choices": ["1", "2", "3", "4"],
            "answer": "(C)",
            "prompt": "How many chairs are there?\n(A) 1\n(B) 2\n(C) 3\n(D) 4",
            "explanation": "",
        },
        {
            "idx": "test_Jigsaw_1",
            "sub_task": "Jigsaw",
            "question": "Which piece fits?",
            "image_1": "image",
            "image_2": "image",
            "image_3": "image",
            "image_4": None,
            "choices": ["the second image", "the third image"],
            "answer": "hidden",
            "prompt": "Which piece fits?\n(A) the second image\n(B) the third image",
            "explanation": "",
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        """The test split's answers are hidden: such rows are not scored."""
        images = tuple(row[f"image_{n}"] for n in range(1, 5) if row.get(f"image_{n}") is not None)
        return Question(
            row["sub_task"],
            "" if row["answer"] == "hidden" else letter_of(row["answer"]),
            str(row.get("question", "")),
            options_of(row.get("choices")) or columns(row),
            images,
            str(row.get("idx", "")),
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        return (
            DISCLAIMER if q.task in ("Forensic_Detection", "Jigsaw", "Art_Style") else ""
        ) + str(row["prompt"])

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """What the rule leaves open a judge reads, whose whole reply (``judge_output``) is the
        answer: ``(X)``, else wrong."""
        reply = judged(row)
        found = extract.bracketed(text, len(q.options)) or (
            reply if re.fullmatch(r"\([A-E]\)", reply) else None
        )
        return choice(found and found.strip("()"), q.gold, "(X)")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {"macro_14_tasks": macro(items), "micro": micro(items)}
