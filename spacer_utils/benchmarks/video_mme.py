"""Video-MME: four-option questions on short, medium and long videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.registry import BENCHMARKS
from .scoring import extract, subtitles
from .scoring.aggregate import Table, by_group, macro, micro
from .scoring.prompt_styles import lettered, lines, spacer_choice
from .scoring.record import Benchmark, Item, Question, Row, Verdict, choice, letter_of, options_of

KINDS = (
    "Temporal Perception",
    "Spatial Perception",
    "Attribute Perception",
    "Action Recognition",
    "Object Recognition",
    "OCR Problems",
    "Counting Problem",
    "Temporal Reasoning",
    "Spatial Reasoning",
    "Action Reasoning",
    "Object Reasoning",
    "Information Synopsis",
)
ASK = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only the letter "
    "(A, B, C, or D) of the correct option."
)
PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
"""What the authors' script takes off an output. Two commas are missing in its list, so that four
prefixes stand joined."""


@BENCHMARKS.register(
    "video_mme",
    hub="lmms-lab/Video-MME",
    config="videomme",
    split="test",
    version="HEAD",
    licence="unverified",
    count=2700,
    size="900 videos, on the order of 100 GB",
    needs="videos_chunked_*.zip unpacked to data/, subtitle.zip to subtitle/",
    files=("videomme/test-*.parquet", "test-*.parquet", "*.jsonl"),
)
class VideoMme(Benchmark):
    """2,700 questions on 900 videos of three lengths; accuracy over the questions answered (SpaceR:
    over all)."""

    tasks = KINDS
    task_field = "task_type"
    over_answered = ("official",)
    sample = tuple(
        {
            "video_id": f"{n:03d}",
            "duration": duration,
            "domain": "Knowledge",
            "sub_category": "Humanity & History",
            "url": f"https://www.youtube.com/watch?v=invented{n}",
            "videoID": f"invented{n}",
            "question_id": f"{n:03d}-1",
            "task_type": kind,
            "question": "What stands on the table?",
            "options": ["A. A cup.", "B. A lamp.", "C. A book.", "D. A vase."],
            "answer": answer,
        }
        for n, (duration, kind, answer) in enumerate(
            (
                ("short", "Counting Problem", "C"),
                ("medium", "Spatial Reasoning", "A"),
                ("long", "OCR Problems", "D"),
            ),
            1,
        )
    )

    @staticmethod
    def expand(row: Row) -> Iterator[Row]:
        """An older revision has a row per video with its questions nested."""
        outer = {key: value for key, value in row.items() if key != "questions"}
        yield from (
            ({**outer, **question} for question in row["questions"])
            if row.get("questions")
            else (row,)
        )

    @staticmethod
    def read(row: Row) -> Question:
        groups = {
            name: str(row[name]) for name in ("duration", "domain", "sub_category") if row.get(name)
        }
        return Question(
            row["task_type"],
            letter_of(row["answer"]),
            str(row.get("question", "")),
            options_of(row.get("options")),
            (f"data/{row.get('videoID')}.mp4",),
            str(row.get("question_id", "")),
            groups,
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_choice(q.text, q.options, style)
        return lines(ASK, q.text, *lettered(q.options), "The best answer is:")

    @staticmethod
    def subtitled(q: Question, row: Row, folder: Path, times: Sequence[float]) -> str:
        """The official text with the subtitles of the frames at ``times`` (seconds); 156 of the 900
        videos have none."""
        path = folder / "subtitle" / f"{row['videoID']}.srt"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        said = subtitles.at_frames(subtitles.read_srt(text), times)
        return lines(
            *(["This video's subtitles are listed below:", *said] if said else []),
            VideoMme.prompt(q, row, "official"),
        )

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        prefixes = PREFIXES if scoring == "official" else extract.PREFIXES
        return choice(extract.abcd_first(text, prefixes=prefixes), q.gold, "ABCD-first")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        return {
            "micro": micro(items),
            "macro_task_types": macro(items),
            **{name: by_group(items, name) for name in ("duration", "domain", "sub_category")},
        }
