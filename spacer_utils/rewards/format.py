"""Is the completion well formed?"""

from __future__ import annotations

from collections.abc import Callable

from ..core.answers import answer_of, number
from ..core.options import option, option_reader
from ..core.registry import REWARDS
from ..core.types import Answer, Sample


@REWARDS.register("format")
def format_(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Strict format: exactly one think block, then one answer block, nothing around them, a map
    only inside think, and an answer of the kind asked for; 1 or 0.

    Why the kind counts: by accuracy alone, a letter in place of a number earns as little as a wrong
    number. A group that answers with letters would then have no reason to go back to numbers.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "How many chairs?", "video", "numerical", (), "<answer>4</answer>", "", "")
    >>> format_(question, parse("<think>hm</think> <answer>7</answer> done"))
    (0.0, 'text outside the blocks')
    >>> format_(question, parse("<think>hm</think><answer>B</answer>"))
    (0.0, 'not a number')
    """
    problems = [*answer.problems] or [*_wrong_kind(sample, answer)]
    return float(not problems), "; ".join(problems) or "well formed"


def _wrong_kind(sample: Sample, answer: Answer) -> list[str]:
    """What the answer should be and is not: an option's letter if there are options, a number if
    one is asked for. Other answers may be anything."""
    read: Callable[[str], object]
    if sample.problem_type in ("numerical", "regression"):
        wanted, read = "a number", number
    elif sample.problem_type == "multiple choice" and option(sample.gold, sample.options):
        wanted, read = "an option's letter", option_reader(sample.gold, sample.options)
    else:
        return []
    given, reason = answer_of(answer)
    if given is None:
        return [reason]
    return [f"not {wanted}"] if read(given) is None else []
