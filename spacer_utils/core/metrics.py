"""Mean relative accuracy, number words, and the released reading of numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

THRESHOLDS = 1 - np.linspace(0.5, 0.95, 10)
"""Largest relative error that each of the 10 thresholds allows.

They are rounded to float64, so an error of exactly 0.20 or 0.45 misses its threshold: 8 against 10
scores 0.6, not 0.7."""


def mra(prediction: float, truth: float) -> float:
    """Mean relative accuracy, 0-1: the share of the 10 thresholds that the relative error meets
    (VSI-Bench).

    For a truth of 0 the absolute error counts, as in SPAR-Bench. NaN and infinity score 0.

    >>> mra(8, 10), mra(9, 10)
    (0.6, 0.9)
    """
    error = abs(prediction - truth) if truth == 0 else abs((prediction - truth) / truth)
    return float(np.mean(error <= THRESHOLDS))


def closeness(prediction: float, truth: float) -> float:
    """1 - relative error, 0-1: SpaceR's rule for regression. Equal numbers give exactly 1."""
    if prediction == truth:
        return 1.0
    return 1 - min(1.0, (abs(prediction - truth) + 1e-9) / (abs(truth) + 1e-9))


def released_closeness(prediction: float, truth: float) -> float:
    """``closeness`` as SpaceR's released code computes it, which gives NaN the full score."""
    return 1 - min(1.0, max(0.0, (abs(prediction - truth) + 1e-9) / (abs(truth) + 1e-9)))


def to_float(text: Any) -> float | None:
    """``float(text)``, or None where that fails."""
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return None


_UNITS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = {word: n for n, word in enumerate(_UNITS)} | {
    word: 10 * n for n, word in enumerate(_TENS, 2)
}
_SE_WORDS = {word: n for word, n in NUMBER_WORDS.items() if word != "zero"} | {
    "zero": 0,
    "a": 1,
    "an": 1,
}


def se_num(text: str) -> float | None:
    """SE-NUM (SpaceR's VSI-Bench): a number word, else the first unsigned decimal.

    Of several words the lower number wins, wherever it stands, and "zero", "a" and "an" come last.
    "a" and "an" are 1.

    >>> se_num("a chair at 3.5 m"), se_num("-3"), se_num("twenty-one")
    (1.0, 3.0, 1.0)
    """
    words = set(re.findall(r"\w+", text.lower()))
    if spoken := next((word for word in _SE_WORDS if word in words), None):
        return float(_SE_WORDS[spoken])
    digits = re.search(r"\d+(?:\.\d+)?", text)
    return float(digits[0]) if digits else None
