"""ViewSpatial-Bench (ZJU-REAL/ViewSpatial-Bench): directions seen by the camera and by a person in
the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.printed_lists import looks_listed
from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, by_group, macro, micro
from .scoring.prompt_styles import lettered, lines, spacer_choice
from .scoring.record import Benchmark, Item, Question, Row, Verdict, choice, options_of, several

ASK = "\nReply only to the corresponding option.\nAnswer:"


def in_lines(choices: Any) -> bool:
    """Whether the options are one text with a line for each, as published."""
    return isinstance(choices, str) and not looks_listed(choices)


@BENCHMARKS.register(
    "viewspatial",
    hub="lidingm/ViewSpatial-Bench",
    config=None,
    split="test",
    version="HEAD",
    licence="unverified",
    count=5712,
    size="COCO val2017 and ScanNet frames",
    needs="val2017.zip and scannetv2_val.zip unpacked",
    files=("ViewSpatial-Bench.json", "*.parquet", "*.jsonl"),
)
class ViewSpatial(Benchmark):
    """5,712 questions from the camera's and from a person's viewpoint; accuracy over questions."""

    tasks = (
        "Camera perspective - Relative Direction",
        "Camera perspective - Object View Orientation",
        "Person perspective - Object View Orientation",
        "Person perspective - Relative Direction",
        "Person perspective - Scene Simulation Relative Direction",
    )
    task_field = "question_type"
    sample = (
        {
            "question_type": "Camera perspective - Relative Direction",
            "image_path": ["ViewSpatial-Bench/scannetv2_val/scene9000_00/original_images/280.jpg"],
            "question": "Could you tell me the location of the counter in comparison to the refrigerator?",
            "answer": "A. right",
            "choices": "A. right\nB. front-up\nC. back-left\nD. front",
        },
        {
            "question_type": "Person perspective - Relative Direction",
            "image_path": ["ViewSpatial-Bench/val2017/000000000001.jpg"],
            "question": "Seen by the man, where is the dog?",
            "answer": "B. left",
            "choices": "A. right\nB. left",
        },
        {
            "question_type": "Person perspective - Scene Simulation Relative Direction",
            "image_path": [
                f"ViewSpatial-Bench/scannetv2_val/scene9001_00/original_images/{n}.jpg"
                for n in (0, 40)
            ],
            "question": "If you stand at the sofa facing the tv, where is the door?",
            "answer": "D. back",
            "choices": "A. right\nB. left\nC. front\nD. back",
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        gold = extract.last_line_letter(str(row["answer"]))
        if gold is None:
            raise ValueError(f"answer {row['answer']!r} names no option")
        listed, paths = row.get("choices", ""), several(row.get("image_path") or row.get("image"))
        return Question(
            row["question_type"],
            gold,
            str(row.get("question", "")),
            options_of(listed.split("\n") if in_lines(listed) else listed),
            tuple(p.removeprefix("ViewSpatial-Bench/") if isinstance(p, str) else p for p in paths),
            groups={"perspective": row["question_type"].split()[0].lower()},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        listed = row.get("choices", "")
        return q.text + (listed if in_lines(listed) else lines(*lettered(q.options))) + ASK

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return choice(extract.last_line_letter(text), q.gold, "first A-D of the last line")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {
            "micro": micro(items),
            "macro_types": macro(items),
            "perspective": by_group(items, "perspective"),
        }
