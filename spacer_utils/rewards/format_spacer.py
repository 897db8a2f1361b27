"""The paper's format reward, which lets blocks repeat."""

from __future__ import annotations

import re

from ..core.registry import REWARDS
from ..core.types import Answer, Sample

_SEAM = re.compile(r"</think>\s*<answer>")


@REWARDS.register("format_spacer")
def format_spacer(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Released format: the whole completion matches ``<think>.*?</think>\\s*<answer>.*?</answer>``;
    1 or 0.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "Which?", "video", "multiple choice", (), "<answer>A</answer>", "", "")
    >>> format_spacer(question, parse("<think>hm</think><answer>A</answer><answer>B</answer>"))
    (1.0, 'matches')
    """
    text = answer.text
    # the same as fullmatch of that pattern, without its backtracking: any seam between the two
    # blocks will do
    matches = (
        text.startswith("<think>") and text.endswith("</answer>") and _SEAM.search(text) is not None
    )
    return float(matches), "matches" if matches else "does not match think, then answer"
