"""Which of four categories is closest to, or farthest from, an object."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..core.registry import QUESTIONS
from ..core.types import SceneObject
from .view import Candidate, View, choice, draws

OPENING = "Measuring from the closest point of each object, "
TEMPLATES = {
    "spacer": OPENING + "which of the following objects ({options}) is the {extreme} the {target}?",
    "vsi": OPENING + "which of these objects ({options}) is the {extreme} the {target}?",
}
MARGIN, LARGE_MARGIN, LARGE_ROOM = 0.15, 0.30, 40.0
"""Least difference between any two of the four distances: 15 cm, and 30 cm in rooms above 40 m2."""
TRIES = 24
"""Most sets of four categories that are tried for each target."""


@QUESTIONS.register("object_rel_distance", problem_type="multiple choice", unit="", from_map=True)
def object_rel_distance(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Nearest of four categories to a unique object; of several instances the nearest counts."""
    return _ask(view, rng, wording, "closest to")


@QUESTIONS.register(
    "object_rel_distance_farthest", problem_type="multiple choice", unit="", from_map=True
)
def object_rel_distance_farthest(
    view: View, rng: np.random.Generator, wording: str
) -> list[Candidate]:
    """Farthest of four categories from a unique object; each category counts with its nearest
    instance."""
    return _ask(view, rng, wording, "farthest from")


def category_distances(view: View, target: SceneObject) -> dict[str, float]:
    """Category -> metres from its nearest instance to the target.

    Left out are categories whose nearest instance is never seen, and names that are ambiguous in
    the room.
    """
    row = view.distances[view.place[target.instance_id]]

    # Category -> (distance of the nearest instance, whether that instance is seen).
    nearest: dict[str, tuple[float, bool]] = {}
    for thing, distance in zip(view.objects, row):
        least, _ = nearest.get(thing.category, (np.inf, True))
        if thing.category != target.category and distance < least:
            nearest[thing.category] = (float(distance), view.is_seen(thing))
    return {c: d for c, (d, seen) in nearest.items() if seen and c in view.categories}


def _ask(view: View, rng: np.random.Generator, wording: str, extreme: str) -> list[Candidate]:
    margin = LARGE_MARGIN if view.clip.scene.floor_area > LARGE_ROOM else MARGIN
    pick = min if extreme == "closest to" else max
    candidates = []
    for target in view.singles:
        distances = category_distances(view, target)
        for options in draws(rng, sorted(distances), 4, TRIES):
            ranked = sorted(distances[o] for o in options)
            if all(b - a >= margin for a, b in pairwise(ranked)):
                answer = pick(options, key=distances.__getitem__)
                problem = TEMPLATES[wording].format(
                    options=", ".join(options), extreme=extreme, target=target.category
                )
                candidates.append(
                    choice(
                        problem,
                        answer,
                        options,
                        (target.category, *options),
                        contexts=(target.category,),
                    )
                )
    return candidates
