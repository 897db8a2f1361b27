"""Reward answers that need the order of the frames (T-GRPO, from Video-R1)."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.registry import REWARDS
from ..core.types import Answer, Sample


def bonuses(accuracies: Sequence[float | None], shuffled: float | None) -> list[float | None]:
    """One bonus per completion of a group: 0.3 for accuracy over 0.1, if the group's mean is at
    least 0.8 x the shuffled mean.

    Args:
        shuffled: mean accuracy of the same prompt's rollouts on shuffled frames; None where there
            are none (no video).

    >>> bonuses([1.0, 0.0], shuffled=0.5), bonuses([1.0, 0.0], shuffled=0.7)
    ([0.3, 0.0], [0.0, 0.0])
    """
    if shuffled is None:
        return [None] * len(accuracies)
    values = [a or 0.0 for a in accuracies]
    ordered = sum(values) >= 0.8 * shuffled * len(values)
    return [0.3 if ordered and a > 0.1 else 0.0 for a in values]


@REWARDS.register("temporal", group=bonuses)
def temporal(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Temporal bonus, 0 or 0.3: needs rollouts on shuffled frames (``temporal.bonuses``), so None
    for one row.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "Which?", "video", "multiple choice", (), "<answer>A</answer>", "", "")
    >>> temporal(question, parse("<think></think><answer>A</answer>"))
    (None, 'needs rollouts on shuffled frames')
    """
    return None, "needs rollouts on shuffled frames"
