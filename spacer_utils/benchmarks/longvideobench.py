"""LongVideoBench (longvideobench/LongVideoBench): referring questions on long subtitled videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..core.registry import BENCHMARKS
from .scoring import extract, subtitles
from .scoring.aggregate import Table, by_group, macro, micro
from .scoring.prompt_styles import LETTER, lettered, lines, spacer_text
from .scoring.record import LETTERS, Benchmark, Item, Question, Row, Verdict, choice, options_of

PERCEPTION = ("S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A")
RELATION = ("E3E", "O3O", "SSS", "SOS", "SAA", "T3E", "T3O", "TOS", "TAA")
PREFIXES = extract.PREFIXES[:8]
"""lmms-eval's list, which has neither "Answer:" nor "Option:"; its rule is by one of the
benchmark's authors."""


@BENCHMARKS.register(
    "longvideobench",
    hub="longvideobench/LongVideoBench",
    config=None,
    split="validation",
    version="HEAD",
    licence="CC-BY-NC-SA-4.0, gated",
    count=1337,
    size="752 videos (3,763 with the test split)",
    needs="accepted terms on the hub; videos.tar.part.* and subtitles.tar unpacked",
    files=("validation-*.parquet", "lvb_val.json", "*.jsonl"),
)
class LongVideoBench(Benchmark):
    """1,337 validation questions on 752 videos of up to an hour; accuracy over questions, never a
    random guess."""

    tasks = (*PERCEPTION, *RELATION)
    task_field = "question_category"
    sample = (
        {
            "video_id": "abc",
            "id": "abc_0",
            "video_path": "abc.mp4",
            "subtitle_path": "abc_en.json",
            "question": "What is on the desk?",
            "option0": "a cup",
            "option1": "a lamp",
            "option2": "a book",
            "option3": "a vase",
            "option4": "N/A",
            "correct_choice": 2,
            "duration": 412.6,
            "duration_group": 600,
            "question_category": "T2O",
            "topic_category": "KH-Knowledge-History",
            "starting_timestamp_for_subtitles": 0.0,
        },
        {
            "video_id": "abd",
            "id": "abd_0",
            "video_path": "abd.mp4",
            "subtitle_path": "abd_en.json",
            "question": "What comes next?",
            "option0": "a door",
            "option1": "a window",
            "option2": "a stair",
            "option3": "a wall",
            "option4": "a lift",
            "correct_choice": 4,
            "duration": 12.0,
            "duration_group": 15,
            "question_category": "SSS",
            "topic_category": "LT-Life-Travel",
            "starting_timestamp_for_subtitles": 0.0,
        },
        {
            "video_id": "abe",
            "id": "abe_0",
            "video_path": "abe.mp4",
            "subtitle_path": "abe_en.json",
            "question": "Who enters?",
            "option0": "a man",
            "option1": "a dog",
            "option2": "N/A",
            "option3": "N/A",
            "option4": "N/A",
            "correct_choice": 0,
            "duration": 1800.0,
            "duration_group": 3600,
            "question_category": "S2E",
            "topic_category": "LT-Life-Travel",
            "starting_timestamp_for_subtitles": 3.5,
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        """The test split's correct_choice is -1: its answers are hidden."""
        options = options_of(row.get("candidates")) or options_of(
            [row[f"option{k}"] for k in range(5) if row.get(f"option{k}") not in (None, "N/A")]
        )
        index = int(row["correct_choice"])
        if index >= max(len(options), 1) and options:
            raise ValueError(f"correct_choice {index} is not among {len(options)} options")
        groups = (
            {"duration_group": str(int(row["duration_group"]))}
            if row.get("duration_group") is not None
            else {}
        )
        return Question(
            row["question_category"],
            LETTERS[index] if index >= 0 else "",
            str(row.get("question", "")),
            options,
            (f"videos/{row.get('video_path') or str(row.get('video_id')) + '.mp4'}",),
            str(row.get("id", "")),
            groups | {"topic_category": str(row.get("topic_category", ""))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        """Official text without the subtitles; see ``subtitled``."""
        if style != "official":
            return spacer_text(
                lines(q.text, "Options:", *lettered(q.options), ""), style, before_ask=""
            )
        return lines(f"Question: {q.text}", *lettered(q.options), LETTER)

    @staticmethod
    def subtitled(q: Question, row: Row, folder: Path, times: Sequence[float]) -> str:
        """The official input: a mark for every frame at ``times`` (seconds), subtitles among them,
        then question and options."""
        said = json.loads((folder / "subtitles" / row["subtitle_path"]).read_text(encoding="utf-8"))
        spoken = subtitles.read_json(
            said, float(row.get("starting_timestamp_for_subtitles") or 0), float(row["duration"])
        )
        return lines(
            *subtitles.interleave(spoken, times), LongVideoBench.prompt(q, row, "official")
        )

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        prefixes = PREFIXES if scoring == "official" else extract.PREFIXES
        return choice(extract.abcd_first(text, "ABCDE", prefixes), q.gold, "ABCD-first")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        perception = micro(i for i in items if i.question.task in PERCEPTION)
        relation = micro(i for i in items if i.question.task in RELATION)
        return {
            "micro": micro(items),
            "macro_categories": macro(items),
            "perception": perception,
            "relation": relation,
            "duration_group": by_group(items, "duration_group"),
            "topic_category": by_group(items, "topic_category"),
        }
