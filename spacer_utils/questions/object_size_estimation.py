"""Longest dimension of an object."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from .view import Candidate, View, bin_name

TEMPLATE = (
    "What is the length of the longest dimension (length, width, or height) of the {object}, "
    "measured in centimeters?"
)
BINS = (50, 90, 130, 180)
"""Edges between the answer classes that the balancing makes equally frequent, centimetres."""


@QUESTIONS.register(
    "object_size_estimation",
    problem_type="numerical",
    unit="cm",
    classes=lambda gold: bin_name(float(gold), BINS),
)
def object_size_estimation(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Longest box axis of a unique object in whole centimetres."""
    candidates = []
    for thing in view.singles:
        size = round(100 * max(thing.box.size))
        if size >= 1:
            candidates.append(
                Candidate(
                    TEMPLATE.format(object=thing.category),
                    "numerical",
                    str(size),
                    (thing.category,),
                    balance=bin_name(size, BINS),
                )
            )
    return candidates
