"""In which direction an object is for someone who stands by a second and faces a third."""

from __future__ import annotations

import numpy as np

from ..core.directions import MARGIN, SECTORS, Sectors, boundary_gap, sector, turn_angle
from ..core.registry import QUESTIONS
from ..core.types import SceneObject
from .box_geometry import footprint
from .view import Candidate, View, choice, draws

OPENING = "If I am standing by the {a} and facing the {b}, is the {c} "
QUADRANTS = (
    "to my front-left, front-right, back-left, or back-right? The directions refer to the quadrants of a Cartesian "
    "plane (if I am standing at the origin and facing along the positive y-axis)."
)
TEMPLATES = {
    "object_rel_direction_easy": OPENING + "to the left or the right of the {b}?",
    "object_rel_direction_medium": OPENING
    + "to my left, right, or back? An object is to my back if I would have to turn at "
    "least 135 degrees in order to face it.",
    "object_rel_direction_hard": OPENING + QUADRANTS,
    "object_rel_direction_backward": OPENING.replace("facing the", "facing directly away from the")
    + QUADRANTS,
}
LARGEST_FOOTPRINT, LEAST_GAP = 1.0, 1.0
"""Largest footprint of each object, square metres; least distance between the surfaces of any two,
metres. Both as in the benchmark ReVSI."""
TRIES = 150
"""Most triples of objects that are tried."""


@QUESTIONS.register(
    "object_rel_direction_easy", problem_type="multiple choice", unit="", from_map=True, classes=str
)
def object_rel_direction_easy(
    view: View, rng: np.random.Generator, wording: str
) -> list[Candidate]:
    """Left or right of the object that one faces."""
    return _ask(view, rng, "object_rel_direction_easy")


@QUESTIONS.register(
    "object_rel_direction_medium",
    problem_type="multiple choice",
    unit="",
    from_map=True,
    classes=str,
)
def object_rel_direction_medium(
    view: View, rng: np.random.Generator, wording: str
) -> list[Candidate]:
    """Left, right or back (135 degrees or more)."""
    return _ask(view, rng, "object_rel_direction_medium")


@QUESTIONS.register(
    "object_rel_direction_hard", problem_type="multiple choice", unit="", from_map=True, classes=str
)
def object_rel_direction_hard(
    view: View, rng: np.random.Generator, wording: str
) -> list[Candidate]:
    """One of four quadrants."""
    return _ask(view, rng, "object_rel_direction_hard")


@QUESTIONS.register(
    "object_rel_direction_backward",
    problem_type="multiple choice",
    unit="",
    from_map=True,
    classes=str,
)
def object_rel_direction_backward(
    view: View, rng: np.random.Generator, wording: str
) -> list[Candidate]:
    """One of four quadrants for someone who turns their back to the second object."""
    return _ask(view, rng, "object_rel_direction_backward")


def _ask(view: View, rng: np.random.Generator, kind: str) -> list[Candidate]:
    sectors, backward = SECTORS[kind], kind.endswith("backward")
    small = [o for o in view.singles if o.box.size[0] * o.box.size[1] <= LARGEST_FOOTPRINT]
    candidates = []
    for a, b, c in draws(rng, small, 3, TRIES):
        answer = direction(view, a, b, c, sectors, backward)
        if answer is not None:
            names = (a.category, b.category, c.category)
            problem = TEMPLATES[kind].format(a=names[0], b=names[1], c=names[2])
            candidates.append(
                choice(
                    problem,
                    answer,
                    tuple(sectors),
                    names,
                    balance=answer,
                    contexts=[f"{role} {name}" for role, name in zip("abc", names)],
                )
            )
    return candidates


def direction(
    view: View, a: SceneObject, b: SceneObject, c: SceneObject, sectors: Sectors, backward: bool
) -> str | None:
    """Sector of ``c`` for someone who stands at ``a`` and faces ``b``; None if it is not clear.

    Args:
        backward: face away from ``b`` instead.
    """
    if min(view.distance(a, b), view.distance(a, c), view.distance(b, c)) < LEAST_GAP:
        return None
    half_turn = 180.0 if backward else 0.0
    angle = turn_angle(a.box.center, b.box.center, c.box.center) + half_turn
    answer = sector(angle, sectors)
    corners = [
        turn_angle(a.box.center, b.box.center, corner) + half_turn for corner in footprint(c.box)
    ]

    # Clear: at most two of the box's eight corners lie in another sector. Each corner of the
    # footprint is two corners of the box, one above the other.
    strays = 2 * sum(sector(corner, sectors) != answer for corner in corners)
    return answer if boundary_gap(angle, sectors) >= MARGIN and strays <= 2 else None
