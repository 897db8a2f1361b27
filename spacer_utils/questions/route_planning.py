"""Turns of a robot that walks straight from object to object over free floor."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..registry import QUESTIONS
from ..types import SceneObject
from .geometry import Array, boundary_gap, footprint, ray_entry, sector, segment_clearances, turn, wall_clearance
from .view import Candidate, View, choice, draws

TURNS = {"turn left": (45.0, 135.0), "turn back": (135.0, 225.0), "turn right": (225.0, 315.0), "straight on": (315.0, 405.0)}
MARGIN = 10.0
"""Degrees to the nearest boundary between two turns: the right turns are the only ones that reach the goal."""
RADIUS, STOP = 0.2, 0.35
"""Metres: the robot's half width, and how far before an object it stops."""
LOW = 1.2
"""Metres: what begins above this height is no obstacle."""
TRIES = 60
TEMPLATE = ("You are a robot beginning at the {a} and facing the {b}. You want to navigate to the {goal}. You will perform the following "
            "actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn right.'): {actions} "
            "You have reached the final destination.")


@QUESTIONS.register("route_planning", problem_type="multiple choice", unit="", classes=str)
def route_planning(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Turns along a collision-free route over free floor, two to five moves; off in the paper's mix."""
    if view.clip.scene.rooms:
        return []  # doors between rooms aren't part of the outline
    ground = [o for o in view.singles if _bottom(o) < LOW]
    candidates = []
    for size in (3, 4):
        for stops in draws(rng, ground, size, TRIES):
            for facing in (stops[1], stops[-1]):
                candidates += _route(view, stops, facing, rng)
    return candidates


def _bottom(thing: SceneObject) -> float:
    return thing.box.center[2] - thing.box.size[2] / 2


def _route(view: View, stops: tuple[SceneObject, ...], facing: SceneObject, rng: np.random.Generator) -> list[Candidate]:
    """A route from the first stop through the others, or nothing where a leg is blocked or a turn is not clear-cut.

    The robot faces its first stop (then it goes there at once) or the last object named (then it first has to turn).
    """
    start, *rest = stops
    if facing is not rest[0]:
        rest = [o for o in rest if o is not facing]
    outline = np.array(view.clip.scene.polygon)
    here = _leave(start, facing)
    ahead: tuple[float, float] = facing.box.center[:2]
    answers: list[str] = []
    actions: list[str] = []
    for target in rest:
        if target is not facing or answers:
            angle = turn(here, ahead, target.box.center)
            name = sector(angle, TURNS)
            if name == "straight on" or boundary_gap(angle, TURNS) < MARGIN:
                return []
            answers.append(name)
            actions.append("[please fill in]")
        there = _stop(here, target)
        if not _free(view, here, there, target, outline):
            return []
        actions.append(f"Go forward until the {target.category}")
        here, ahead = there, (2 * there[0] - here[0], 2 * there[1] - here[1])
    return _ask(start, facing, rest, actions, answers, rng) if answers and 2 <= len(actions) <= 5 else []


def _leave(thing: SceneObject, towards: SceneObject) -> tuple[float, float]:
    """Where the robot stands that begins at a thing: before it, on the side of what it faces."""
    c, d = np.array(thing.box.center[:2]), np.array(towards.box.center[:2])
    back = ray_entry(d, c, footprint(thing.box))
    edge = d + (c - d) * back
    point = edge + (d - c) / max(float(np.linalg.norm(d - c)), 1e-9) * STOP
    return float(point[0]), float(point[1])


def _stop(here: tuple[float, float], target: SceneObject) -> tuple[float, float]:
    """Where a robot that heads for the middle of a thing stops."""
    h, c = np.array(here), np.array(target.box.center[:2])
    length = max(float(np.linalg.norm(c - h)), 1e-9)
    point = h + (c - h) * max(ray_entry(h, c, footprint(target.box)) - STOP / length, 0.0)
    return float(point[0]), float(point[1])


def _free(view: View, here: tuple[float, float], there: tuple[float, float], target: SceneObject, outline: Array) -> bool:
    """Whether the leg keeps the robot's width from walls and obstacles and is at least half a metre long."""
    obstacles = [footprint(o.box) for o in view.clip.scene.objects if _bottom(o) < LOW and o is not target]
    points = [np.array(here) + (np.array(there) - np.array(here)) * t for t in np.linspace(0, 1, 9)]
    return (float(np.hypot(there[0] - here[0], there[1] - here[1])) >= 0.5
            and all(wall_clearance(p, outline) >= RADIUS for p in points)
            and (not obstacles or float(segment_clearances(here, there, np.stack(obstacles)).min()) >= RADIUS))


def _ask(start: SceneObject, facing: SceneObject, rest: list[SceneObject], actions: list[str], answers: list[str],
         rng: np.random.Generator) -> list[Candidate]:
    answer = ", ".join(answers)
    others = [", ".join(p) for p in product(list(TURNS)[:3], repeat=len(answers)) if ", ".join(p) != answer]
    wrong = [others[int(i)] for i in rng.choice(len(others), min(3, len(others)), replace=False)]
    steps = " ".join(f"{k}. {action}" + ("." if k == len(actions) else "") for k, action in enumerate(actions, 1))
    problem = TEMPLATE.format(a=start.category, b=facing.category, goal=rest[-1].category, actions=steps)
    names = tuple(dict.fromkeys((start.category, facing.category, *(o.category for o in rest))))
    return [choice(problem, answer, (answer, *wrong), names, balance=answer, contexts=[f"to {rest[-1].category}", f"from {start.category}"])]
