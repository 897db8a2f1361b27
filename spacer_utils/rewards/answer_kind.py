"""Is the answer of the kind that was asked for?"""

from __future__ import annotations

from collections.abc import Callable

from ..core.answers import answer_of, number
from ..core.options import option, option_reader
from ..core.registry import REWARDS
from ..core.types import Answer, Sample


@REWARDS.register("answer_kind")
def answer_kind(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """1 for an option's letter where options are given and for a number where one is asked for,
    else 0; None for words.

    A wrong letter and a letter where a number is wanted earn the same accuracy, nothing, and both
    are well formed: where a whole group of completions answers a number with letters, no other term
    leads back.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "How many chairs?", "video", "numerical", (), "<answer>4</answer>", "", "")
    >>> [answer_kind(question, parse(f"<think></think><answer>{a}</answer>")) for a in ("7", "B")]
    [(1.0, 'a number'), (0.0, 'not a number')]
    """
    read: Callable[[str], object]
    if sample.problem_type in ("numerical", "regression"):
        wanted, read = "a number", number
    elif sample.problem_type == "multiple choice" and option(sample.gold, sample.options):
        wanted, read = "an option's letter", option_reader(sample.gold, sample.options)
    else:
        return None, "words are of any kind"
    given, reason = answer_of(answer)
    if given is None:
        return 0.0, reason
    return (0.0, f"not {wanted}") if read(given) is None else (1.0, wanted)
