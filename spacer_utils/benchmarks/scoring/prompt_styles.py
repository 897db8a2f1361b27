"""SpaceR-Eval's prompt texts, character for character; a benchmark's official text is in its own
file."""

from __future__ import annotations

from collections.abc import Mapping

from ...core import prompts
from ...core.types import WorkbookError

STYLES = ("official", "spacer", "spacer_default")
"""``spacer`` is SpaceR-Eval's thinking prompt (VSI-Bench: with the map), ``spacer_default`` its
direct one."""
LETTER = "Answer with the option's letter from the given choices directly."
OBJECTS = (
    "ceiling light",
    "trash can",
    "bed",
    "heater",
    "closet",
    "pillow",
    "backpack",
    "chair",
    "refrigerator",
    "tv",
    "nightstand",
    "keyboard",
    "computer tower",
    "coat hanger",
    "table",
    "trash bin",
    "whiteboard",
    "monitor",
    "sofa",
    "clock",
    "computer mouse",
    "radiator",
    "telephone",
)
"""The categories that SpaceR-Eval's map prompt lists for every VSI-Bench question, whatever the
room."""
_ASK = {
    "spacer": {
        "choice": "Please provide only the single option letter (e.g., A, B, C, D, etc.) within the <answer> </answer> tags.",
        "number": "Please provide the numerical value (e.g., 42 or 3.1) within the <answer> </answer> tags.",
        "special": "First output the thinking process in <think> </think> tags and then output the answer in <answer> </answer> "
        "tags.",
    },
    "spacer_default": {
        "choice": LETTER,
        "number": "Please answer the question using a numerical value (e.g., 42 or 3.1).",
        "special": "Please output the answer directly.",
    },
}


def lines(*parts: str) -> str:
    return "\n".join(parts)


def lettered(options: Mapping[str, str], form: str = "{}. {}") -> list[str]:
    """One line per option, e.g. ``A. chair``."""
    return [form.format(letter, text) for letter, text in options.items()]


def spacer_choice(question: str, options: Mapping[str, str], style: str) -> str:
    """SpaceR-Eval's prompt of a multiple-choice question: the question, ``Options:``, one option a
    line."""
    return spacer_text(lines(question, "Options:", *lettered(options)), style)


def spacer_text(
    question: str,
    style: str,
    ask: str = "choice",
    *,
    before_ask: str = "\n",
    with_map: bool = False,
) -> str:
    """SpaceR-Eval's prompt around a question that already lists its options.

    Args:
        ask: ``choice``, ``number`` or ``special`` (SPAR-Bench's action lists).
        before_ask: what joins the template and the request; the harness is not uniform.
        with_map: VSI-Bench's map imagination template, whose request has a leading space.

    Raises:
        WorkbookError: no such style.
    """
    if style not in _ASK:
        raise WorkbookError(f"unknown prompt style {style!r}. Known: {', '.join(STYLES)}.")
    head = f"Question: {question}\n"
    if style == "spacer_default":
        return head + before_ask + _ASK[style][ask]
    if not with_map:
        return head + prompts.PONDER + prompts.TAGS + before_ask + _ASK[style][ask]
    tags = prompts.TAGS.replace("detailed reasoning", "detailed reasoning process")
    return (
        head
        + prompts.PONDER.rstrip()
        + prompts.map_instruction(OBJECTS)
        + tags
        + before_ask
        + " "
        + _ASK[style][ask]
    )
