"""MMStar (MMStar-Benchmark/MMStar): questions that can't be answered without the picture."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, by_group, mean, micro, split_by
from .scoring.prompt_styles import LETTER, lettered, lines, spacer_text
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    columns,
    inline_options,
    letter_of,
)


@BENCHMARKS.register(
    "mmstar",
    hub="Lin-Chen/MMStar",
    config="val",
    split="val",
    version="HEAD",
    licence="unverified",
    count=1500,
    size="1,500 images, embedded",
    needs="the parquet file",
    files=("mmstar.parquet", "*.parquet", "*.tsv", "*.jsonl"),
)
class MmStar(Benchmark):
    """1,500 questions in 6 categories and 18 sub-categories; official accuracy over questions."""

    tasks = (
        "coarse perception",
        "fine-grained perception",
        "instance reasoning",
        "logical reasoning",
        "science & technology",
        "math",
    )
    task_field = "category"
    sample = tuple(
        {
            "index": n,
            "question": "Which option describes the picture?\nOptions: A: a street, B: a room, C: a beach, D: a wood",
            "image": "image",
            "answer": answer,
            "category": category,
            "l2_category": sub,
            "meta_info": {"source": "invented", "split": "val", "image_path": f"images/{n}.jpg"},
        }
        for n, (answer, category, sub) in enumerate(
            (
                ("A", "coarse perception", "image scene and topic"),
                ("D", "math", "geometry"),
                ("C", "fine-grained perception", "localization"),
            )
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        text = str(row.get("question", ""))
        return Question(
            row["category"],
            letter_of(row["answer"]),
            text,
            columns(row) or inline_options(text),
            (row.get("image"),),
            str(row.get("index", "")),
            {"l2_category": str(row.get("l2_category", ""))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        text = lines(q.text, "Options:", *lettered(q.options)) if columns(row) else q.text
        return lines(text, LETTER.rstrip(".")) if style == "official" else spacer_text(text, style)

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return choice((extract.position_letter(text) or "").upper(), q.gold, "position rule")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        sub = by_group(items, "l2_category")
        by_category = {
            name: mean(by_group(part, "l2_category").values())
            for name, part in split_by(items, lambda i: i.question.task).items()
        }
        return {
            "micro": micro(items),
            "macro_18_subcategories": mean(sub.values()),
            "macro_categories": mean(
                micro(part) for part in split_by(items, lambda i: i.question.task).values()
            ),
            "l2_category": sub,
            "category_by_subcategory": by_category,
        }
