"""ReVSI (arXiv 2604.24300): VSI-Bench asked anew, with answers of their own for each number of frames.

Fields, prompts and rule as the authors' tasks have them: lmms-eval 0.7.3 (pull request 1307) and
VLMEvalKit 302cbce (1526). The hub's card was not seen: size and licence are what others quote of
it, and the paper counts the questions of all frames only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..core.registry import BENCHMARKS
from .scoring.aggregate import Table, by_group, mean, micro, task_means
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    letter_of,
    number_text,
    options_of,
)
from .vsi_bench import asked, judged

SCENE_WIDE = ("room_size_estimation", "route_planning")
"""Tasks that 16 frames show too little for."""
NUMERIC = {
    "object_counting": ("object_counting_single", "object_counting_multiple"),
    "object_abs_distance": ("object_abs_distance",),
    "object_size_estimation": ("object_size_estimation",),
    "room_size_estimation": ("room_size_estimation_single", "room_size_estimation_multiple"),
}
TASKS = NUMERIC | {
    "object_rel_distance": ("object_rel_distance_closest", "object_rel_distance_farthest"),
    "object_rel_direction": (
        "object_rel_direction_forward_easy",
        "object_rel_direction_backward_easy",
        "object_rel_direction_forward_hard",
        "object_rel_direction_backward_hard",
    ),
    "route_planning": ("route_planning",),
}
"""Task -> the question types whose means it averages."""
NUMBERS = tuple(kind for kinds in NUMERIC.values() for kind in kinds)


def _budget(budget: str, count: int | None = None) -> Callable[[Any], Any]:
    """The decorator of one of the four subsets."""
    return BENCHMARKS.register(
        f"revsi_{budget}",
        hub="3dlg-hcvc/ReVSI",
        config=f"{budget}_frame",
        split="test",
        version="lmms-eval 0.7.3",
        licence="apache-2.0, not verified",
        count=count,
        size="381 scenes, 4.9 GB with all four subsets",
        needs=f"{budget}_frame/ of video.zip unpacked beside the annotations",
        files=(f"{budget}_frame/*.parquet", f"{budget}_frame.tsv"),
    )


def _sample(budget: str, chairs: str) -> tuple[dict[str, Any], ...]:
    """Three invented rows of a subset. How many chairs there are depends on the frames."""
    about = {"dataset": "scannet", "scene_id": "scene9000_00", "num_frames": budget}
    return (
        {
            **about,
            "id": 0,
            "question_type": "object_counting_single",
            "question": "How many chair(s) are in the scene?",
            "options": None,
            "ground_truth": chairs,
        },
        {
            **about,
            "id": 1,
            "question_type": "object_rel_distance_farthest",
            "question": "Which of these objects (sofa, tv, lamp, desk) is the farthest from the door?",
            "options": ["A. sofa", "B. tv", "C. lamp", "D. desk"],
            "ground_truth": "D",
        },
        {
            **about,
            "id": 2,
            "question_type": "object_rel_direction_backward_easy",
            "question": "If I stand by the bed with my back to the desk, where is the lamp?",
            "options": ["A. left", "B. right", "C. back"],
            "ground_truth": "C",
        },
    )


class Revsi(Benchmark):
    """What the four subsets share."""

    budget: ClassVar[str]
    tasks = tuple(kind for kinds in TASKS.values() for kind in kinds)
    task_field = "question_type"

    @classmethod
    def read(cls, row: Row) -> Question:
        """A row of the hub, or of the table that VLMEvalKit writes.

        Raises:
            ValueError: its answer holds for another number of frames.
        """
        if str(row["num_frames"]) != cls.budget:
            raise ValueError(
                f"num_frames is {row['num_frames']}, and these are the answers for {cls.budget}"
            )
        numeric, gold = row["question_type"] in NUMBERS, row["ground_truth"]
        return Question(
            row["question_type"],
            number_text(gold) if numeric else letter_of(gold),
            str(row.get("question", "")),
            {} if numeric else options_of(row.get("options")),
            (f"{cls.budget}_frame/{row.get('scene_id')}.mp4",),
            str(row.get("id", "")),
            {"dataset": str(row.get("dataset"))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        """SpaceR's styles are its prompts for VSI-Bench: the paper ran tuned models with the code of
        their authors."""
        return asked(q, style, "Answer the question using a single integer or decimal number.")

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """VSI-Bench's rules. The official one strips the text first: unlike there, an answer may
        stand behind a blank."""
        return judged(q, q.task in NUMBERS, text.strip(), scoring)

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        """Means of the question types become tasks first; those that are absent don't count as 0."""
        kinds = task_means(items)
        means = {task: mean(kinds.get(kind) for kind in TASKS[task]) for task in TASKS}
        tasks = {task: value for task, value in means.items() if value is not None}
        return {
            "macro": mean(tasks.values()),
            "numeric": mean(tasks.get(task) for task in NUMERIC),
            "multiple_choice": mean(v for task, v in tasks.items() if task not in NUMERIC),
            "micro": micro(items),
            "tasks": tasks,
            "dataset": by_group(items, "dataset"),
        }


@_budget("16")
class Revsi16(Revsi):
    """Clips of 16 frames with the answers that these show; letters by accuracy, numbers by MRA;
    macro over 5 tasks."""

    budget, frames = "16", 16
    tasks = tuple(kind for task in TASKS if task not in SCENE_WIDE for kind in TASKS[task])
    sample = _sample("16", "2")


@_budget("32")
class Revsi32(Revsi):
    """Clips of 32 frames with the answers that these show; macro over 7 tasks."""

    budget, frames = "32", 32
    sample = _sample("32", "3")


@_budget("64")
class Revsi64(Revsi):
    """Clips of 64 frames with the answers that these show; macro over 7 tasks."""

    budget, frames = "64", 64
    sample = _sample("64", "4")


@_budget("all", count=6808)
class RevsiAll(Revsi):
    """Whole clips with the answers that all frames show; macro over 7 tasks."""

    budget = "all"
    sample = _sample("all", "5")
