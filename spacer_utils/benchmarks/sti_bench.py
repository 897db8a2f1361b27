"""STI-Bench (MINT-SJTU/STI-Bench): its overall score is quoted in three ways that differ by
points."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, by_group, macro, mean, micro, task_means
from .scoring.prompt_styles import lettered, lines, spacer_text
from .scoring.record import Benchmark, Item, Question, Row, Verdict, choice, letter_of, options_of

STATIC = ("Dimensional Measurement", "Spatial Relation", "3D Video Grounding")
DYNAMIC = (
    "Displacement & Path Length",
    "Speed & Acceleration",
    "Ego-Centric Orientation",
    "Trajectory Description",
    "Pose Estimation",
)
SR_SUB = tuple(t for t in (*STATIC, *DYNAMIC) if t not in ("3D Video Grounding", "Pose Estimation"))


def scene_type(video: str) -> str:
    """outdoor, indoor or desktop: the official script tells it from the file's name."""
    stem = video.split(".")[0]
    desktop = "desktop" if stem.isdigit() and len(stem) == 6 else "unknown"
    return "outdoor" if "camera" in video else "indoor" if video.startswith("scene") else desktop


@BENCHMARKS.register(
    "sti_bench",
    hub="MINT-SJTU/STI-Bench",
    config=None,
    split="train",
    version="HEAD 2025",
    licence="unverified",
    count=2064,
    size="about 300 videos",
    needs="video.zip unpacked to video/",
    files=("qa.parquet", "*.jsonl"),
)
class StiBench(Benchmark):
    """2,064 questions on sizes, motion and poses in 300 videos; official score is the mean over
    questions."""

    tasks = (*STATIC, *DYNAMIC)
    task_field = "Task"
    spacer_headline = "overall_macro8"
    sample = (
        {
            "Video": "scene0000_00.mp4",
            "Source": "scannet",
            "ID": 1,
            "Task": "Dimensional Measurement",
            "Question": "What is the height of the chair?",
            "Answer": "B",
            "time_start": 0.0,
            "time_end": 12.0,
            "Candidates": {"A": "0.5m", "B": "0.9m", "C": "1.4m", "D": "2.0m", "E": None},
        },
        {
            "Video": "000123.mp4",
            "Source": "omni6dpose",
            "ID": 2,
            "Task": "Displacement & Path Length",
            "Question": "How far does the camera travel?",
            "Answer": "E",
            "time_start": 1.0,
            "time_end": 4.5,
            "Candidates": {"A": "0.1m", "B": "0.2m", "C": "0.4m", "D": "0.6m", "E": "0.9m"},
        },
        {
            "Video": "segment_camera_1.mp4",
            "Source": "waymo",
            "ID": 3,
            "Task": "Trajectory Description",
            "Question": "How does the car move?",
            "Answer": "A",
            "time_start": 0.0,
            "time_end": 20.0,
            "Candidates": {
                "A": "straight on",
                "B": "to the left",
                "C": "to the right",
                "D": None,
                "E": None,
            },
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        video = str(row.get("Video", ""))
        span = f"From {row.get('time_start')} seconds to {row.get('time_end')} seconds. "
        return Question(
            row["Task"],
            letter_of(row["Answer"]),
            f"{span}{row.get('Question', '')}",
            options_of(row.get("Candidates")),
            (f"video/{video}",),
            str(row.get("ID", "")),
            {"scene": str(row.get("scene") or scene_type(video))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style != "official":
            return spacer_text(lines(q.text, *lettered(q.options, "{} {}")), style)
        span = f"From {row['time_start']} s to {row['time_end']} s. {row['Question']}"
        return lines(span, *lettered(q.options, "({}) {}"), "Please output only the option letter!")

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """Official: the last character of what STI-RX or the stripped text leaves; SpaceR: all of
        it must be the letter."""
        found = extract.sti_rx(text) or text.strip()
        token = found[-1:] if scoring == "official" else found
        return choice(token if token in tuple("ABCDE") else None, q.gold, "STI-RX")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        tasks, sub = task_means(items), [i for i in items if i.question.task in SR_SUB]
        nine = [*tasks.values(), macro(sub)]
        return {
            "overall_micro": micro(items),
            "overall_macro8": macro(items),
            "overall_nine_term": mean(nine),
            "sr_sub_micro": micro(sub),
            "sr_sub_macro": macro(sub),
            "static": mean(tasks.get(t) for t in STATIC),
            "dynamic": mean(tasks.get(t) for t in DYNAMIC),
            "scene": by_group(items, "scene"),
        }
