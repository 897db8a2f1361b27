"""Which turns take a robot to its goal, along straight legs from object to object."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..core.directions import boundary_gap, sector, turn_angle
from ..core.registry import QUESTIONS
from ..core.types import Scene, SceneObject
from .box_geometry import Array, footprint, leg_clearance, ray_entry, wall_clearance
from .view import Candidate, View, choice, draws

TURNS = {
    "turn left": (45.0, 135.0),
    "turn back": (135.0, 225.0),
    "turn right": (225.0, 315.0),
    "straight on": (315.0, 405.0),
}
MARGIN = 10.0
"""Least angle between a turn and the boundary to another kind of turn, degrees: only the right turn
may seem to lead to the goal."""
RADIUS, STOP, SHORTEST = 0.2, 0.35, 0.5
"""The robot's half width, the distance from an object at which it stops, and its shortest leg;
metres."""
LOW = 1.2
"""An object whose lower edge is above this height is no obstacle, metres."""
TRIES = 24
"""Most sets of three, and of four, objects that are tried."""
TEMPLATE = (
    "You are a robot beginning at the {a} and facing the {b}. You want to navigate to the {goal}. You will perform the "
    "following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn right.'): "
    "{actions} You have reached the final destination."
)


@QUESTIONS.register("route_planning", problem_type="multiple choice", unit="", classes=str)
def route_planning(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Turns along a collision-free route over free floor, two to five moves; off in the paper's
    mix."""
    if view.clip.scene.rooms:
        return []  # doors between rooms aren't part of the outline

    # The robot faces its first stop, or else the last object, which it then does not visit.
    ground = [o for o in view.singles if _bottom(o) < LOW]
    routes = [
        Route(
            view.clip.scene,
            stops[0],
            facing,
            [o for o in stops[1:] if o is stops[1] or o is not facing],
        )
        for size in (3, 4)
        for stops in draws(rng, ground, size, TRIES)
        for facing in (stops[1], stops[-1])
    ]
    return [_ask(route, answers, rng) for route in routes if (answers := route.turns())]


def _bottom(thing: SceneObject) -> float:
    """Height of the object's lower edge, metres."""
    return thing.box.center[2] - thing.box.size[2] / 2


@dataclass
class Route:
    """A robot's way: it begins at an object, faces another, and goes straight from stop to stop.

    It turns before each leg, except for the first if it faces its first stop.
    """

    scene: Scene
    start: SceneObject
    facing: SceneObject
    stops: list[SceneObject]

    def turns(self) -> list[str]:
        """The turn before each leg that needs one.

        Empty if no leg needs a turn, a turn is not clear, or a leg is blocked.
        """
        here = _stop(_middle(self.facing), self.start)
        ahead = _middle(self.facing)
        found = []
        for target in self.stops:
            # Turn towards the stop.
            if target is not self.facing:
                angle = turn_angle(here, ahead, _middle(target))
                name = sector(angle, TURNS)
                if name == "straight on" or boundary_gap(angle, TURNS) < MARGIN:
                    return []
                found.append(name)

            # Go there; it then looks on in the same direction.
            there = _stop(here, target)
            if not self.free(here, there, target):
                return []
            here, ahead = there, 2 * there - here
        return found

    def free(self, here: Array, there: Array, target: SceneObject) -> bool:
        """Whether a leg is long enough and the robot touches no wall and no object on it.

        The target itself is no obstacle.
        """
        if np.linalg.norm(there - here) < SHORTEST:
            return False
        points = here + (there - here) * np.linspace(0, 1, 9)[:, None]
        obstacles = [
            footprint(o.box) for o in self.scene.objects if _bottom(o) < LOW and o is not target
        ]
        return bool(
            (wall_clearance(points, np.array(self.scene.polygon)) >= RADIUS).all()
            and leg_clearance(here, there, np.array(obstacles)) >= RADIUS
        )

    def actions(self) -> list[str]:
        """The robot's actions in words, with a blank for each turn."""
        found = []
        for stop in self.stops:
            found += ["[please fill in]"] if stop is not self.facing else []
            found.append(f"Go forward until the {stop.category}")
        return found


def _middle(thing: SceneObject) -> Array:
    """(2,) centre of the object on the floor plan, metres."""
    return np.array(thing.box.center[:2])


def _stop(here: Array, target: SceneObject) -> Array:
    """(2,) place where a robot that heads for the object's centre stops before it, metres."""
    way = _middle(target) - here
    length = max(float(np.linalg.norm(way)), 1e-9)
    share = ray_entry(here, _middle(target), footprint(target.box)) - STOP / length
    point: Array = here + way * max(share, 0.0)
    return point


def _ask(route: Route, answers: list[str], rng: np.random.Generator) -> Candidate:
    """The question about a route whose right turns are ``answers``."""
    # Wrong options: other series of as many turns.
    answer = ", ".join(answers)
    others = [
        text
        for p in product(list(TURNS)[:3], repeat=len(answers))
        if (text := ", ".join(p)) != answer
    ]
    wrong = [others[int(i)] for i in rng.choice(len(others), min(3, len(others)), replace=False)]

    a, b, goal = route.start.category, route.facing.category, route.stops[-1].category
    actions = " ".join(f"{k}. {action}" for k, action in enumerate(route.actions(), 1)) + "."
    names = tuple(dict.fromkeys((a, b, *(o.category for o in route.stops))))
    return choice(
        TEMPLATE.format(a=a, b=b, goal=goal, actions=actions),
        answer,
        (answer, *wrong),
        names,
        balance=answer,
        contexts=(f"from {a}", f"to {goal}"),
    )
