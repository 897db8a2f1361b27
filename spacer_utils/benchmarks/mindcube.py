"""MindCube (mll-lab-nu/MindCube): what is where, seen from a few viewpoints."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, macro, micro
from .scoring.prompt_styles import spacer_text
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    inline_options,
    letter_of,
    several,
)

SETTINGS = ("around", "rotation", "translation", "among", "other")
TASK = """[Task]
Your task is to analyze the spatial arrangement of objects in the scene by examining the provided images, which show the scene \
from different viewpoints.
[Answer Instruction]
You only need to provide *ONE* correct answer selecting from the options listed below. For example, if you think the correct \
answer is 'A. Above' from 'A. Above B. Under C. Front D. Behind', your response should **only** be '<answer>A. Above</answer>'.

[Question]
"""


@BENCHMARKS.register(
    "mindcube",
    hub="MLL-Lab/MindCube",
    config="tinybench",
    split="test",
    version="before the data fixes of 2026-03-23",
    licence="unverified",
    count=1050,
    size="data.zip, 646 MB; the full set has 21,154 questions",
    needs="data.zip unpacked",
    files=(
        "data/raw/MindCube_tinybench.jsonl",
        "raw/MindCube_tinybench.jsonl",
        "MindCube_tinybench.jsonl",
        "*.jsonl",
        "*.parquet",
    ),
)
class MindCube(Benchmark):
    """1,050 (tiny) or 21,154 questions on scenes seen from a few viewpoints; accuracy without the
    translation setting."""

    sample = tuple(
        {
            "id": key,
            "category": ["spatial"],
            "type": "invented",
            "meta_info": [],
            "question": "What is to the left of the cup? A. lamp B. book C. vase D. door",
            "images": [f"other_all_image/{key}/front.png", f"other_all_image/{key}/left.png"],
            "gt_answer": answer,
        }
        for key, answer in (
            ("among_group003_q1_1_2", "B"),
            ("around_a1_q0", "D"),
            ("rotation_r7_q2", "A"),
            ("translation_t1_q1", "C"),
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        """The setting is the first of the names that the id contains."""
        key, text = str(row["id"]), str(row.get("question", ""))
        setting = next((s for s in SETTINGS if s in key.lower()), "other")
        return Question(
            setting,
            letter_of(row["gt_answer"]),
            text,
            inline_options(text),
            tuple(f"data/{p}" if isinstance(p, str) else p for p in several(row.get("images"))),
            key,
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        return TASK + q.text if style == "official" else spacer_text(q.text, style)

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return choice(extract.mindcube_letter(text), q.gold, "MindCube patterns")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {
            "micro_without_translation": micro(
                i for i in items if i.question.task != "translation"
            ),
            "micro_all": micro(items),
            "macro_settings": macro(items),
        }
