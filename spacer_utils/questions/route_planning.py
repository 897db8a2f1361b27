"""Turns of a robot that walks straight from object to object over free floor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..core.directions import boundary_gap, sector, turn
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
"""Degrees to the nearest boundary between two turns: the right turns are the only ones that reach
the goal."""
RADIUS, STOP, SHORTEST = 0.2, 0.35, 0.5
"""Metres: the robot's half width, how far before an object it stops, and its shortest leg."""
LOW = 1.2
"""Metres: what begins above this height is no obstacle."""
TRIES = 24
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
    return thing.box.center[2] - thing.box.size[2] / 2


@dataclass
class Route:
    """A robot that begins at an object, faces another, and goes straight to one stop after the
    other.

    Where it faces its first stop it goes there at once; else it first has to turn.
    """

    scene: Scene
    start: SceneObject
    facing: SceneObject
    stops: list[SceneObject]

    def turns(self) -> list[str]:
        """The turn before each leg that needs one; empty where none does, a turn isn't clear-cut or
        a leg is blocked."""
        here = _stop(_middle(self.facing), self.start)
        ahead = _middle(self.facing)
        found = []
        for target in self.stops:
            if target is not self.facing:
                angle = turn(here, ahead, _middle(target))
                name = sector(angle, TURNS)
                if name == "straight on" or boundary_gap(angle, TURNS) < MARGIN:
                    return []
                found.append(name)
            there = _stop(here, target)
            if not self.free(here, there, target):
                return []
            here, ahead = there, 2 * there - here
        return found

    def free(self, here: Array, there: Array, target: SceneObject) -> bool:
        """Whether a leg is at least half a metre long and keeps the robot's width from walls and
        obstacles."""
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
        """What the robot does, the turns left open."""
        found = []
        for stop in self.stops:
            found += ["[please fill in]"] if stop is not self.facing else []
            found.append(f"Go forward until the {stop.category}")
        return found


def _middle(thing: SceneObject) -> Array:
    return np.array(thing.box.center[:2])


def _stop(here: Array, target: SceneObject) -> Array:
    """Where a robot that heads for the middle of a thing stops before it."""
    way = _middle(target) - here
    share = ray_entry(here, _middle(target), footprint(target.box)) - STOP / max(
        float(np.linalg.norm(way)), 1e-9
    )
    point: Array = here + way * max(share, 0.0)
    return point


def _ask(route: Route, answers: list[str], rng: np.random.Generator) -> Candidate:
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
