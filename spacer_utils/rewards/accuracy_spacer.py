"""Accuracy as the paper's released code computes it, errors included."""

from __future__ import annotations

from ..core.answers import MAX_ANSWER, block
from ..core.metrics import THRESHOLDS, released_closeness, se_num, to_float
from ..core.registry import REWARDS
from ..core.text_overlap import rouge, word_errors
from ..core.types import Answer, Sample

_ALLOWED = tuple(THRESHOLDS.tolist())


@REWARDS.register("accuracy_spacer")
def accuracy_spacer(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Released accuracy, 0-1, of the first answer block: "A." is wrong, "a 3.5 m" is 1, any answer
    meets a negative target.

    Deviation: an answer over ``MAX_ANSWER`` characters scores 0.

    >>> from spacer_utils.core.answers import parse
    >>> question = Sample(1, "How long?", "video", "numerical", (), "<answer>1</answer>", "", "")
    >>> accuracy_spacer(question, parse("<answer>a chair of 3.5 m</answer>"))
    (1.0, '1 against 1')
    """
    given, gold = answer.answer or "", block(sample.solution, "answer") or ""
    if len(given) > MAX_ANSWER:
        return 0.0, f"the answer is longer than {MAX_ANSWER:,} characters"
    kind = sample.problem_type
    if kind == "multiple choice":
        return float(given == gold), "equal" if given == gold else "not equal to the gold text"
    if kind == "numerical":
        return _numerical(se_num(given), to_float(gold))
    if kind == "OCR":
        errors = word_errors(gold, given)
        return 1 - errors, f"word error rate {errors:.2f}"
    if kind == "free-form":
        value = rouge(gold, given)
        return value, f"ROUGE {value:.2f}"
    if kind == "regression":
        return _regression(to_float(given.replace(",", "")), to_float(gold.replace(",", "")))
    return 0.0, f"no rule for problem type {kind!r}"


def _numerical(p: float | None, g: float | None) -> tuple[float, str]:
    """Share of the thresholds that (|p - g|)/g does not exceed. A negative target makes it
    negative, so that every answer gets 1.
    """
    if p is None or g is None or g == 0:
        return (
            0.0,
            "no number in answer or solution"
            if p is None or g is None
            else "a target of 0 can't be met",
        )
    error = abs(p - g) / g
    return sum(error <= allowed for allowed in _ALLOWED) / len(_ALLOWED), f"{p:g} against {g:g}"


def _regression(p: float | None, g: float | None) -> tuple[float, str]:
    """1 - relative error, between 0 and 1; NaN gets the full score, as in the released code."""
    if p is None or g is None:
        return 0.0, "no number in answer or solution"
    return released_closeness(p, g), f"{p:g} against {g:g}"
