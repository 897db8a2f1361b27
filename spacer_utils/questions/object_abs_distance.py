"""Least distance between two objects."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..core.registry import QUESTIONS
from .view import Candidate, View, bin_name

OPENING = "Measuring from the closest point of each object, what is the "
TEMPLATES = {
    "spacer": OPENING + "direct distance between the {a} and the {b} (in meters)?",
    "vsi": OPENING + "distance between the {a} and the {b} (in meters)?",
}
LEAST = 0.2
"""Least distance that is asked about, metres: of a shorter one, an answer with one decimal says
nothing."""
BINS = (0.8, 1.4, 2.0, 2.8, 3.8)
"""Edges between the answer classes that the balancing makes equally frequent, metres."""


@QUESTIONS.register(
    "object_abs_distance",
    problem_type="numerical",
    unit="m",
    classes=lambda gold: bin_name(float(gold), BINS),
)
def object_abs_distance(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Least distance between the boxes of two unique objects, metres with one decimal; at least 0.2
    m."""
    candidates = []
    for pair in combinations(view.singles, 2):
        distance = view.distance(*pair)
        if distance >= LEAST:
            a, b = (pair[k].category for k in rng.permutation(2))
            candidates.append(
                Candidate(
                    TEMPLATES[wording].format(a=a, b=b),
                    "numerical",
                    f"{distance:.1f}",
                    (a, b),
                    balance=bin_name(round(distance, 1), BINS),
                )
            )
    return candidates
