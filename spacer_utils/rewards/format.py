"""Is the completion well formed?"""

from __future__ import annotations

from ..core.registry import REWARDS
from ..core.types import Answer, Sample


@REWARDS.register("format")
def format_(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Strict format: exactly one think block, then one answer block, nothing around them, a map
    only inside think; 1 or 0.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "Which?", "video", "multiple choice", (), "<answer>A</answer>", "", "")
    >>> format_(question, parse("<think>hm</think> <answer>A</answer> done"))
    (0.0, 'text outside the blocks')
    """
    return float(answer.well_formed), "; ".join(answer.problems) or "well formed"
