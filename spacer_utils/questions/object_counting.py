"""How many objects of a category are in the room, from 0 on."""

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
"""Common furniture that is also asked for in rooms without it, so that 0 can be right.

The counting questions of the SpaceR paper begin at two objects.
"""
HIGHEST = 8
"""Highest count that is asked for: higher ones are rare and hard to verify by eye."""


@QUESTIONS.register(
    "object_counting", problem_type="numerical", unit="", from_map=True, classes=str
)
def object_counting(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Number of instances of a category; kept if all are seen, and for categories that the room
    lacks (answer 0).

    A category counts as lacking only if the room has nothing that looks like it either: no question
    about radiators in a room with a heater.
    """
    scene = view.clip.scene
    candidates = []

    # Categories of the room.
    for category in view.categories:
        things = scene.instances(category)
        if len(things) <= HIGHEST and all(view.is_seen(o) for o in things):
            candidates.append(_ask(category, len(things)))

    # Up to eight categories that it lacks.
    missing = [c for c in ABSENT if not look_alikes(c) & set(scene.categories)]
    return candidates + [_ask(c, 0) for c in rng.permutation(missing)[:8].tolist()]


def _ask(category: str, count: int) -> Candidate:
    """The question, with a trait that balances how often a category is asked for and absent.

    Otherwise the name of a category could give away that the answer is 0.
    """
    return Candidate(
        TEMPLATE.format(category=category),
        "numerical",
        str(count),
        (category,),
        balance=str(count),
        traits={f"{category}|absent": (count == 0) - 1 / (HIGHEST + 1)},
    )
