"""EmbSpatial-Bench (mengfeidu/EmbSpatial-Bench): its authors publish no extraction rule,
lmms-eval's stands in."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, by_group, macro, micro
from .scoring.prompt_styles import lettered, lines, spacer_choice
from .scoring.record import Benchmark, Item, Question, Row, Verdict, choice, letter_of, options_of

ASK = "Note: You only need to respond with A, B, C, D without providing any additional information."


@BENCHMARKS.register(
    "embspatial",
    hub="FlagEval/EmbSpatial-Bench",
    config=None,
    split="test",
    version="HEAD",
    licence="unverified",
    count=3640,
    size="images embedded",
    needs="the parquet or Phineas476/EmbSpatial-Bench's JSON",
    files=("data/test-*.parquet", "test-*.parquet", "*.tsv", "*.json", "*.jsonl"),
)
class EmbSpatial(Benchmark):
    """3,640 questions on six spatial relations in embodied scenes; accuracy over questions."""

    tasks = ("mp3d", "ai2thor", "scannet")
    task_field = "data_source"
    sample = tuple(
        {
            "data_source": source,
            "scene_id": "invented",
            "question_id": f"{source}_{n}",
            "relation": relation,
            "image": "image",
            "question": "From your perspective, which object in the image is at the shortest distance?",
            "answer_options": ["garage door", "cabinet", "table", "cart"],
            "answer": answer,
            "objects": [{"name": "table", "bbox": [0, 396, 640, 84]}],
        }
        for n, (source, relation, answer) in enumerate(
            (("mp3d", "close", 2), ("ai2thor", "left", 0), ("scannet", "under", 3))
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        return Question(
            row["data_source"],
            letter_of(row["answer"]),
            str(row.get("question", "")),
            options_of(row.get("answer_options")),
            (row.get("image"),),
            str(row.get("question_id", "")),
            {"relation": str(row.get("relation", ""))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        return lines(ASK, q.text, *lettered(q.options, "{}) {}"))

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return choice(extract.first_letter(text), q.gold, "first letter of the text")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {
            "micro": micro(items),
            "macro_sources": macro(items),
            "relation": by_group(items, "relation"),
        }
