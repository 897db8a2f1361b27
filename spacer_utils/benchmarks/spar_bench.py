"""SPAR-Bench (fudan-zvg/spar, 1679885): 20 tasks from depth to imagined viewpoints."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import metrics
from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, mean, micro, task_means
from .scoring.prompt_styles import LETTER, lines, spacer_text
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    inline_options,
    letter_of,
    number,
    number_text,
    several,
)

LOW = tuple(
    f"{kind}_prediction_{pair}{views}"
    for views in ("", "_mv")
    for kind in ("depth", "distance")
    for pair in ("oc", "oo")
)
MIDDLE = ("view_change_infer", "position_matching", "camera_motion_infer")
HIGH = (
    "obj_spatial_relation_oo",
    "obj_spatial_relation_oc_mv",
    "obj_spatial_relation_oo_mv",
    "spatial_imagination_oc",
    "spatial_imagination_oo",
    "spatial_imagination_oc_mv",
    "spatial_imagination_oo_mv",
    "distance_infer_center_oo",
    "distance_infer_center_oo_mv",
)
SINGLE = tuple(t for t in (*LOW, *HIGH) if not t.endswith("_mv"))
AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
BOXES = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale, with the top-left corner as the origin "
    "of the image."
)


def actions(text: str) -> dict[str, float]:
    """``move_right:1.0,rotate_left:30`` as a dict; blanks are not trimmed from names.

    Raises:
        ValueError: anything else.
    """
    pairs = [part.split(":") for part in text.split(",")]
    return {name: float(value) for name, value in pairs}


def view_change(prediction: str, truth: str) -> float:
    """Mean MRA over five axes with the *prediction* as the denominator (the official argument
    order).

    An axis that neither moves scores 1, so standing still earns most of the score.

    Raises:
        ValueError: one of the two can't be read.

    >>> view_change("move_right:2.0", "move_right:1.0")
    0.82
    """
    moved, right = actions(prediction), actions(truth)
    return sum(
        metrics.mra(right.get(a, 0) - right.get(b, 0), moved.get(a, 0) - moved.get(b, 0))
        for a, b in AXES
    ) / len(AXES)


@BENCHMARKS.register(
    "spar_bench",
    hub="jasonzhango/SPAR-Bench",
    config=None,
    split="test",
    version="1679885",
    licence="unverified",
    count=7207,
    size="4 shards with embedded images; SPAR-Bench-Tiny has 1,000 rows",
    needs="the parquet shards",
    files=("data/test-*.parquet", "test-*.parquet", "*.jsonl"),
)
class SparBench(Benchmark):
    """7,207 questions of 20 tasks on one or several images; letters, distances and camera actions;
    macro over tasks."""

    tasks = (*LOW, *MIDDLE, *HIGH)
    task_field = "task"
    empty_is_missing = True
    sample = (
        {
            "id": 3,
            "img_type": "multi_view",
            "format_type": "select",
            "task": "position_matching",
            "source": "scannet",
            "image": ["image", "image"],
            "question": "Which box shows the same chair? A. left B. right C. top D. bottom",
            "answer": "C",
        },
        {
            "id": 4,
            "img_type": "single_view",
            "format_type": "fill",
            "task": "depth_prediction_oc",
            "source": "scannet",
            "image": ["image"],
            "question": "How far is the table, in meters?",
            "answer": "2.3",
        },
        {
            "id": 5,
            "img_type": "multi_view",
            "format_type": "fill",
            "task": "view_change_infer",
            "source": "scannet",
            "image": ["image", "image"],
            "question": "How did the camera move? Answer as action:value,action:value.",
            "answer": "move_right:0.4,move_forward:1.2,rotate_left:35.0",
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        task, answer, text = row["task"], row["answer"], str(row.get("question", ""))
        gold = (
            number_text(answer)
            if task in LOW
            else str(answer)
            if task == MIDDLE[0]
            else letter_of(answer)
        )
        options = {} if task in (*LOW, MIDDLE[0]) else inline_options(text)
        return Question(
            task, gold, text, options, several(row.get("image")), str(row.get("id", ""))
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        kind = "number" if q.task in LOW else "special" if q.task == MIDDLE[0] else "choice"
        extra = f"{BOXES if q.task in MIDDLE[1:] else ''}\n" if kind == "choice" else ""
        if style != "official":
            return spacer_text(q.text, style, kind, before_ask=f"\n{extra}")
        ask = {
            "number": "Please answer the question using a single word or phrase.",
            "choice": extra + LETTER,
            "special": "\n",
        }
        return lines("", q.text, ask[kind])

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        if q.task in LOW:
            found = extract.spar_num(text, last=q.task.endswith("_mv"))
            return number(None if found == -1 else found, q.gold, "SPAR-NUM")
        if q.task == MIDDLE[0]:
            try:
                return Verdict(
                    view_change(text, q.gold), text, "MRA of five axes, relative to the prediction"
                )
            except ValueError:
                return Verdict(0.0, None, "no action list")
        if not text:
            return Verdict(0.0, None, "empty answer: SPAR-MCA would credit it")
        right = extract.spar_mca(text, q.gold)
        first = text[0].upper() if text[0].upper() in "ABCDEF" else None
        return Verdict(
            float(right),
            q.gold if right else first,
            f"SPAR-MCA: {text[:20]!r} {'fits' if right else 'misses'} {q.gold}",
        )

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        tasks = task_means(items)
        multi = tuple(t for t in (*LOW, *MIDDLE, *HIGH) if t not in SINGLE)
        parts = {
            "low": LOW,
            "middle": MIDDLE,
            "middle_without_view_change": MIDDLE[1:],
            "high": HIGH,
            "single_view": SINGLE,
            "multi_view": multi,
        }
        levels = {name: mean(tasks.get(t) for t in part) for name, part in parts.items()}
        return {"macro_20_tasks": mean(tasks.values()), **levels, "micro": micro(items)}
