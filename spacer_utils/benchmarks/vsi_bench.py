"""VSI-Bench (arXiv 2412.14171): official rule vision-x-nyu/thinking-in-space, 51e089c."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import metrics
from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, by_group, mean, micro, task_means
from .scoring.prompt_styles import LETTER, lettered, lines, spacer_text
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    first_of,
    letter_of,
    number,
    number_text,
    options_of,
)

NUMERIC = (
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
)
DIRECTION = (
    "object_rel_direction_easy",
    "object_rel_direction_medium",
    "object_rel_direction_hard",
)


def asked(q: Question, style: str, post: str) -> str:
    """The prompt, official or SpaceR's.

    Args:
        post: the official sentence behind a question without options.
    """
    options = lines("Options:", *lettered(q.options))
    if style != "official":
        return spacer_text(
            lines(q.text, options) if q.options else q.text,
            style,
            "choice" if q.options else "number",
            with_map=True,
        )
    ask = (options, LETTER) if q.options else (post,)
    return lines("These are frames of a video.", q.text, *ask)


def judged(q: Question, numeric: bool, text: str, scoring: str) -> Verdict:
    """Mean relative accuracy of a number, or whether the letter is right."""
    official = scoring == "official"
    if numeric:
        parsed = metrics.to_float(extract.ft(text)) if official else metrics.se_num(text)
        return number(parsed, q.gold, "FT" if official else "SE-NUM")
    return choice(
        extract.ft(text) if official else extract.se_mca(text),
        q.gold,
        "FT" if official else "SE-MCA",
    )


@BENCHMARKS.register(
    "vsi_bench",
    hub="nyu-visionx/VSI-Bench",
    config="full",
    split="test",
    version="51e089c",
    licence="apache-2.0",
    count=5130,
    size="288 videos, 5.7 GB",
    needs="arkitscenes.zip, scannet.zip and scannetpp.zip unpacked beside the annotations",
    files=("full/*.parquet", "test-*.parquet", "test.jsonl", "VSI-Bench.tsv"),
)
class VsiBench(Benchmark):
    """5,130 questions on 288 indoor videos; letters by accuracy, numbers by MRA; macro over 8
    tasks."""

    tasks = (*NUMERIC, "object_rel_distance", *DIRECTION, "route_planning", "obj_appearance_order")
    task_field = "question_type"
    sample = (
        {
            "id": 0,
            "dataset": "arkitscenes",
            "scene_name": "00000001",
            "question_type": "object_counting",
            "question": "How many table(s) are in this room?",
            "ground_truth": "4",
            "options": None,
            "pruned": False,
        },
        {
            "id": 1,
            "dataset": "scannet",
            "scene_name": "scene9000_00",
            "question_type": "object_rel_distance",
            "question": "Which of these objects (chair, sofa, tv, table) is the closest to the door?",
            "ground_truth": "B",
            "options": ["A. chair", "B. sofa", "C. tv", "D. table"],
            "pruned": False,
        },
        {
            "id": 2,
            "dataset": "scannetpp",
            "scene_name": "0a0a0a0a0a",
            "question_type": "object_rel_direction_easy",
            "question": "If I stand by the bed and face the desk, is the lamp to my left or my right?",
            "ground_truth": "A",
            "options": ["A. left", "B. right"],
            "pruned": True,
        },
        {
            "id": 3,
            "dataset": "scannet",
            "scene_name": "scene9000_00",
            "question_type": "room_size_estimation",
            "question": "What is the size of this room (in square meters)?",
            "ground_truth": "18.6",
            "options": None,
            "pruned": False,
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        """Hub rows, and those of VLMEvalKit's TSV (``answer``, ``candidates``, ``video``)."""
        numeric, gold = row["question_type"] in NUMERIC, first_of(row, "ground_truth", "answer")
        video = row.get("video") or f"{row.get('dataset')}/{row.get('scene_name')}.mp4"
        return Question(
            row["question_type"],
            number_text(gold) if numeric else letter_of(gold),
            str(row.get("question", "")),
            {} if numeric else options_of(row.get("options", row.get("candidates"))),
            (video,),
            str(row.get("id", row.get("index", ""))),
            {"dataset": str(row.get("dataset"))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        return asked(q, style, "Please answer the question using a single word or phrase.")

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        return judged(q, q.task in NUMERIC, text, scoring)

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        """The three difficulties of relative direction become one task first; those that are absent
        don't count as 0."""
        tasks = task_means(items)
        direction = mean(tasks.pop(task, None) for task in DIRECTION)
        tasks |= {} if direction is None else {"object_rel_direction": direction}
        return {
            "macro_8_tasks": mean(tasks.values()),
            "numeric": mean(tasks.get(t) for t in NUMERIC),
            "multiple_choice": mean(v for t, v in tasks.items() if t not in NUMERIC),
            "micro": micro(items),
            "tasks": tasks,
            "dataset": by_group(items, "dataset"),
        }
