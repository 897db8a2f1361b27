"""Encourage answers of middle length, where the group shows that they can be right."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import REWARDS
from ..core.types import Answer, Sample

PAPER_LIMIT = 1_024
"""Most completion tokens in the paper; its range of 320 to 512 and its bonus of 0.2 are for them."""


def bonuses(
    accuracies: Sequence[float | None], tokens: Sequence[int], limit: int = PAPER_LIMIT
) -> list[float]:
    """One bonus per completion of a group: 0.2 for 320 to 512 tokens and an accuracy over 0.1.

    At least two completions must have such an accuracy. Range and bonus scale with ``limit``, the
    most tokens that a completion may have.

    >>> bonuses([1.0, 0.6, 0.0], [400, 100, 400])
    [0.2, 0.0, 0.0]
    """
    scale = limit / PAPER_LIMIT
    right = [(a or 0.0) > 0.1 for a in accuracies]
    return [
        0.2 * scale if sum(right) > 1 and r and 320 * scale <= n <= 512 * scale else 0.0
        for r, n in zip(right, tokens)
    ]


@REWARDS.register("length", group=bonuses)
def length(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Paper's length bonus, 0 or 0.2: needs the group's accuracies and token counts
    (``length.bonuses``), so None for one row.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "Which?", "video", "multiple choice", (), "<answer>A</answer>", "", "")
    >>> length(question, parse("<think></think><answer>A</answer>"))
    (None, 'needs the whole group and its token counts')
    """
    return None, "needs the whole group and its token counts"
