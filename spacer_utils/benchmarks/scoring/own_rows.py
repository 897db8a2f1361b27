"""Our own rows (``Sample`` rows plus ``output``) as a benchmark: held-out rooms and real layouts
are scored alike."""

from __future__ import annotations

from collections.abc import Sequence

from ...core import answers, metrics, prompts, text_overlap
from ...core.options import option, option_reader
from ...core.types import PROBLEM_TYPES, Sample
from . import extract
from .aggregate import Table, macro, micro, split_by
from .prompt_styles import lettered
from .record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    choice,
    letter_of,
    number,
    options_of,
    several,
)

NUMBERS = ("numerical", "regression")


def _solution(row: Row) -> str:
    return str(row["solution"]).replace("<answer>", "").replace("</answer>", "").strip()


def _number_text(gold: str) -> str:
    """A gold number in digits, read as the answers are.

    Raises:
        ValueError: there is none.
    """
    value = answers.number(gold)
    if value is None:
        raise ValueError(f"solution {gold!r} holds no number")
    return f"{value:.15g}"


class OwnRows(Benchmark):
    """``official``: our strict reading of letters and numbers; ``spacer``: SpaceR-Eval's of the
    same text."""

    sample = (
        {
            "problem_id": 0,
            "problem": "Which of these objects (chair, sofa, tv, lamp) is the closest to the door?",
            "data_type": "video",
            "problem_type": "multiple choice",
            "options": ["A. chair", "B. sofa", "C. tv", "D. lamp"],
            "solution": "<answer>B</answer>",
            "path": "videos/room_0000.mp4",
            "data_source": "procedural",
            "question_type": "object_rel_distance",
            "scene_id": "room_0000",
            "cognitive_map_id": "room_0000",
            "categories": ["chair", "sofa", "tv", "lamp", "door"],
        },
        {
            "problem_id": 1,
            "problem": "How many chair(s) are in this room?",
            "data_type": "video",
            "problem_type": "numerical",
            "options": [],
            "solution": "<answer>3</answer>",
            "path": "videos/room_0000.mp4",
            "data_source": "procedural",
            "question_type": "object_counting",
            "scene_id": "room_0000",
            "cognitive_map_id": "room_0000",
            "categories": ["chair"],
        },
        {
            "problem_id": 2,
            "problem": "What is written on the sign?",
            "data_type": "video",
            "problem_type": "OCR",
            "options": [],
            "solution": "<answer>exit</answer>",
            "path": "videos/room_0001.mp4",
            "data_source": "procedural",
            "question_type": "ocr",
            "scene_id": "room_0001",
            "cognitive_map_id": "",
            "categories": [],
        },
    )

    @staticmethod
    def read(row: Row) -> Question:
        kind, gold = row["problem_type"], _solution(row)
        if kind not in PROBLEM_TYPES:
            raise ValueError(f"unknown problem_type {kind!r}; known: {', '.join(PROBLEM_TYPES)}")
        options = options_of(row.get("options"))
        if kind == "multiple choice":
            gold = option(gold, lettered(options)) or letter_of(gold)
        elif kind in NUMBERS:
            gold = _number_text(gold)
        return Question(
            str(row.get("question_type") or kind),
            gold,
            str(row.get("problem", "")),
            options,
            several(row.get("path") or None),
            str(row.get("problem_id", "")),
            {"problem_type": kind, "scene": str(row.get("scene_id", ""))},
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        return prompts.user_text(
            Sample.from_row(dict(row)),
            "compact" if style == "official" else "spacer",
            with_map=False,
        )

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """Letters and numbers read as the strict rewards read them; the other problem types are the
        rewards' own."""
        kind, official = row["problem_type"], scoring == "official"
        if kind == "multiple choice":
            read = (
                option_reader(_solution(row), lettered(q.options)) if official else extract.se_mca
            )
            return choice(read(text), q.gold, "letter")
        if kind == "numerical":
            return number(
                answers.number(text) if official else metrics.se_num(text), q.gold, "number"
            )
        if len(text) > answers.MAX_ANSWER:
            return Verdict(0.0, text.strip() or None, "too long")
        value, reason = _of_text(kind, q.gold, text, official)
        return Verdict(value, text.strip() or None, reason)

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        kinds = split_by(items, lambda i: i.question.groups["problem_type"])
        rooms = split_by(items, lambda i: i.question.groups["scene"])
        return {
            "macro_question_types": macro(items),
            "micro": micro(items),
            "problem_type": {k: micro(v) for k, v in kinds.items()},
            "n_rooms": len(rooms),
        }


def _of_text(kind: str, gold: str, text: str, official: bool) -> tuple[float, str]:
    """Score of a transcription, a free text or a regression, and why: the rewards' own rules."""
    if kind == "OCR":
        return text_overlap.transcription(gold, text)
    if kind == "free-form":
        value = text_overlap.rouge(gold, text)
        return text_overlap.free_form(gold, text) if official else (value, f"ROUGE {value:.2f}")
    if official:
        found, truth, rule = answers.number(text), answers.number(gold), metrics.closeness
    else:
        found, truth = (metrics.to_float(t.replace(",", "")) for t in (text, gold))
        rule = metrics.released_closeness
    if found is None or truth is None:
        return 0.0, "no number in answer or solution"
    return rule(found, truth), f"{found:g} against {truth:g}"
