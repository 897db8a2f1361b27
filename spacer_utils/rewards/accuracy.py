"""Is the answer right? One rule per problem type, each of which gives the gold answer exactly 1."""

from __future__ import annotations

from ..core.answers import answer_of, number, same_text
from ..core.metrics import closeness, mra
from ..core.options import option, option_reader
from ..core.registry import REWARDS
from ..core.text_overlap import free_form, transcription
from ..core.types import Answer, Sample

Found = tuple[float | None, str]


@REWARDS.register("accuracy")
def accuracy(sample: Sample, answer: Answer) -> Found:
    """Strict accuracy, 0-1, by problem type; no credit without exactly one think block, then
    exactly one answer block.

    Multiple choice: the letter, which must be among the options. Numerical: mean relative accuracy;
    a target of 0 is compared by absolute error. OCR: 1 - word error rate. Free-form: mean F of
    ROUGE-1/2/L. Regression: 1 - relative error.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "How many chairs?", "video", "numerical", (), "<answer>4</answer>", "", "")
    >>> accuracy(question, parse("<think>one, two</think><answer>three</answer>"))
    (0.6, '3 against 4')
    """
    rule = RULES.get(sample.problem_type)
    if rule is None:
        return None, f"no rule for problem type {sample.problem_type!r}"
    given, reason = answer_of(answer)
    return (0.0, reason) if given is None else rule(sample, given)


def _choice(sample: Sample, given: str) -> Found:
    gold = option(sample.gold, sample.options)
    if gold is None:
        right = same_text(given) == same_text(sample.gold)
        return float(right), "equal to the gold text" if right else "not the gold text"
    found = option_reader(sample.gold, sample.options)(given)
    if found is None:
        return 0.0, "not one of the options' letters"
    return float(found == gold), f"{found} against {gold}"


def _numbers(sample: Sample, given: str) -> tuple[float | None, float | None, str]:
    p, g = number(given), number(sample.gold)
    reason = (
        "the gold answer is no number"
        if g is None
        else "no number in the answer"
        if p is None
        else f"{p:g} against {g:g}"
    )
    return p, g, reason


def _numerical(sample: Sample, given: str) -> Found:
    p, g, reason = _numbers(sample, given)
    if p is None or g is None:
        return 0.0, reason
    return mra(p, g), reason + (", absolute error" if g == 0 else "")


def _regression(sample: Sample, given: str) -> Found:
    p, g, reason = _numbers(sample, given)
    if p is None or g is None:
        return 0.0, reason
    return closeness(p, g), reason


RULES = {
    "multiple choice": _choice,
    "numerical": _numerical,
    "OCR": lambda sample, given: transcription(sample.gold, given),
    "free-form": lambda sample, given: free_form(sample.gold, given),
    "regression": _regression,
}
