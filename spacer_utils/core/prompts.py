"""From a sample to chat messages and the text that supervised training imitates.

Three styles: ``spacer`` is the text of SpaceR's released training, to the byte; ``workbook`` has the
same sentences on lines of their own; ``compact`` says them in a few words for the nano base, whose
context is short. What benchmarks ask is another matter (``benchmarks.scoring.prompt_styles``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .map_reading import steps
from .types import MapCells, Sample, WorkbookError

MAP_EXAMPLE = "{'table': [[0, 3], [5, 7]], 'chair': [[9, 3]], 'window': [[6, 5]]}"
PONDER = (
    "Please think about this question as if you were a human pondering deeply. "
    "Engage in an internal dialogue using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', "
    "'let's break it down', etc, or other natural language thought expressions "
    "It's encouraged to include self-reflection or verification in the reasoning process. "
)
TAGS = (
    "Provide your detailed reasoning between the <think> </think> tags, "
    "and then give your final answer between the <answer> </answer> tags."
)
SPACER_POST = {
    "multiple choice": "Please provide only the single option letter (e.g., A, B, C, D, etc.) "
    "within the <answer> </answer> tags.",
    "numerical": "Please provide the numerical value (e.g., 42 or 3.14) within the <answer> </answer> tags.",
    "OCR": "Please transcribe text from the image/video clearly and provide your text answer within the <answer> </answer> tags.",
    "free-form": "Please provide your text answer within the <answer> </answer> tags.",
    "regression": "Please provide the numerical value (e.g., 42 or 3.14) within the <answer> </answer> tags.",
}
RELEASED_NUMBER = (
    "Please provide the numerical value (e.g., 42 or 3.1) within the <answer> </answer> tags."
)
"""The released training asks for a ``numerical`` answer with another example than for a
``regression``."""
STYLES = ("spacer", "workbook", "compact")
SPECIAL = re.compile(r"<\|[^\s<>|]{1,40}\|>")
"""Special tokens of this family's tokenizers: turns, media, ends."""


def map_instruction(object_list: tuple[str, ...], grid: int = 10) -> str:
    """SpaceR's map imagination paragraph for the categories of one scene."""
    return (
        "\nIf generating a cognitive map for the video can help you answer the question, you could follow the below steps "
        "to generate a cognitive map in <map> </map> tags\n"
        "[Steps] Identify specific objects within the **video scene**, understand the spatial arrangement of the scene, and "
        f"estimate the center point of each object, assuming the entire scene is represented by a {grid}x{grid} grid. "
        "These information should be summarized in <map> </map> tags.\n"
        f"[Rule]1. We provide the categories to care about in this scene: {list(object_list)}. "
        "Focus ONLY on these categories for the entire video scene.\n"
        "2. Estimate the center location of each instance within the provided categories, assuming the entire scene is "
        f"represented by a {grid}x{grid} grid, considering the information from all frames.\n"
        "3. If a category contains multiple instances across all frames, include all of them.\n"
        f"Present the map using dict format. Here is an example: <map>{MAP_EXAMPLE}</map>.\n"
        "If you generate a cognitive map, please put it in <map> </map> tags. "
    )


def special_token(text: str, special: Collection[str] = ()) -> str:
    """The first special token in a text, for example the place of an image; empty without one.

    Args:
        special: further special tokens to look for.

    >>> special_token("Where is <|video_pad|>?"), special_token("a </s> b", ["</s>"]), special_token("1 < 2")
    ('<|video_pad|>', '</s>', '')
    """
    found = SPECIAL.search(text)
    return found[0] if found else next((token for token in special if token and token in text), "")


def user_text(sample: Sample, style: str = "spacer", with_map: bool = False) -> str:
    """The text part of the user turn.

    ``with_map`` asks for a cognitive map. A sample that has no map is never asked for one.
    """
    options = "\nOptions:\n" + "\n".join(sample.options) if sample.options else ""
    objects = tuple(sample.cognitive_map or ())
    if style == "compact":
        ask = f"\nMap: {', '.join(objects)}." if with_map and objects else ""
        return f"{sample.problem}{options}{ask}"
    if style not in STYLES:
        raise WorkbookError(f"unknown prompt style {style!r}. Known: {', '.join(STYLES)}.")
    ask = map_instruction(objects, sample.map_grid) if with_map and objects else ""
    if style == "spacer":
        return _released(sample, ask)
    return f"Question: {sample.problem}{options}\n{PONDER}{ask}{TAGS}\n{SPACER_POST[sample.problem_type]}"


def _released(sample: Sample, ask: str) -> str:
    """The user text of SpaceR's ``SG-RLVR.py``: no line before ``Options:``, one after the last
    option, and another sentence on tags where a map is asked for (``ask``)."""
    choice = sample.problem_type == "multiple choice"
    options = "Options:\n" + "".join(f"{o}\n" for o in sample.options) if choice else ""
    ponder, tags = PONDER, TAGS
    if ask:
        ponder, tags = PONDER.rstrip() + ask, TAGS.replace("reasoning", "reasoning process")
    numerical = sample.problem_type == "numerical"
    post = RELEASED_NUMBER if numerical else SPACER_POST[sample.problem_type]
    return f"Question: {sample.problem}{options}\n{ponder}{tags} {post}"


def messages(
    sample: Sample, style: str = "spacer", with_map: bool = False, media: str | None = None
) -> list[dict[str, Any]]:
    """Chat messages of one sample: its media first, then the text.

    ``media`` replaces the sample's path (an absolute path, or a key of a frame store).
    """
    path = media if media is not None else sample.path
    content: list[dict[str, Any]] = []
    if sample.data_type != "text" and path:
        content.append({"type": sample.data_type, sample.data_type: path})
    content.append({"type": "text", "text": user_text(sample, style, with_map)})
    return [{"role": "user", "content": content}]


def map_text(cells: MapCells) -> str:
    """``{'chair': [[1, 2]]}``: the dict as SpaceR prints it.

    Instances of a category stand in the order of their cells: of all equal maps, the one that can
    be learned.
    """
    return str(
        {category: sorted(list(cell) for cell in points) for category, points in cells.items()}
    )


def after_map(cells: MapCells) -> str:
    """The completion up to the end of this map. Its reading and the answer are still to be
    written."""
    return f"<think><map>{map_text(cells)}</map>"


def target(sample: Sample, with_map: bool = False, read: bool = True) -> str:
    """The completion that supervised training imitates. The think block holds the map, if it is
    asked for, and the steps of its reading.

    ``read=False`` leaves the steps out: for a model that can't compute yet they would be noise.
    """
    thought = ""
    if with_map and sample.cognitive_map:
        reading = steps(sample, sample.cognitive_map) if read else ""
        thought = f"<map>{map_text(sample.cognitive_map)}</map>{reading and ' '}{reading}"
    return f"<think>{thought}</think><answer>{sample.gold}</answer>"
