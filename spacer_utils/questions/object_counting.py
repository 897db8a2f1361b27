"""How many of a category: 0, 1 and more."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from .view import Candidate, View, look_alikes

TEMPLATE = "How many {category}(s) are in this room?"
ABSENT = (
    "backpack",
    "bathtub",
    "bed",
    "bookshelf",
    "chair",
    "coffee table",
    "desk",
    "door",
    "lamp",
    "microwave",
    "mirror",
    "monitor",
    "nightstand",
    "pillow",
    "plant",
    "radiator",
    "refrigerator",
    "sofa",
    "stool",
    "table",
    "toilet",
    "trash bin",
    "tv",
    "window",
)
"""Common furniture that is asked for where the room has none (evidence removal; the paper asks from
two on)."""
HIGHEST = 8
"""Counts above it are rare and hard to verify by eye."""


@QUESTIONS.register(
    "object_counting", problem_type="numerical", unit="", from_map=True, classes=str
)
def object_counting(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Number of instances of a category; kept if all are seen, and for categories that the room
    lacks (answer 0).

    Nothing that looks like one of a lacking category may stand there: no radiator is missed where a
    heater hangs.
    """
    scene = view.clip.scene
    candidates = []
    for category in view.categories:
        things = scene.instances(category)
        if len(things) <= HIGHEST and all(view.is_seen(o) for o in things):
            candidates.append(_ask(category, len(things)))
    missing = [c for c in ABSENT if not look_alikes(c) & set(scene.categories)]
    return candidates + [_ask(c, 0) for c in rng.permutation(missing)[:8].tolist()]


def _ask(category: str, count: int) -> Candidate:
    # A category that is often asked for in vain must be asked for where it stands too: the name
    # must not betray the 0.
    return Candidate(
        TEMPLATE.format(category=category),
        "numerical",
        str(count),
        (category,),
        balance=str(count),
        traits={f"{category}|absent": (count == 0) - 1 / (HIGHEST + 1)},
    )
