"""Where things stand: on walls, on furniture, along walls or free, without overlap and with floor
left to walk."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..core.types import Box
from .floor_plan import (
    BODY_RADIUS,
    CELL,
    HEADROOM,
    RUG_HEIGHT,
    Floats,
    Floor,
    Footprint,
    Outline,
    contains,
    corners,
    facing,
    footprint,
    footprints,
    overlaps,
    walls,
)

SIT = ("bed", "sofa", "armchair", "mattress")
TOP = (
    "table",
    "desk",
    "counter",
    "nightstand",
    "coffee table",
    "dresser",
    "cabinet",
    "tv stand",
    "washer",
)
RESTING: dict[str, tuple[str, ...]] = {
    "pillow": SIT,
    "cushion": ("sofa", "armchair", "bed"),
    "blanket": ("bed", "sofa"),
    **dict.fromkeys(
        ("monitor", "keyboard", "computer mouse", "laptop", "telephone", "headphones"),
        ("table", "desk", "counter"),
    ),
    **dict.fromkeys(("cup", "bowl", "bottle", "table lamp", "printer"), TOP),
    **dict.fromkeys(
        ("kettle", "pan", "cutting board", "microwave"), ("counter", "table", "cabinet", "washer")
    ),
}
"""Category -> what it may rest on; it is never put on the floor."""
HANGING: dict[str, float] = {
    "window": 0.9,
    "whiteboard": 0.9,
    "mirror": 1.0,
    "clock": 1.8,
    "towel": 1.0,
    "coat hanger": 1.5,
    "picture": 1.3,
    "tv": 1.0,
    "heater": 0.12,
    "radiator": 0.12,
    "curtain": 0.1,
    "exhaust fan": 2.0,
    "door": 0.0,
    "fireplace": 0.0,
}
"""Category that belongs on a wall -> height of its lower edge, metres."""
CEILING = ("ceiling light",)
DEEP = ("bed", "toilet", "computer tower", "computer mouse", "shoes", "mattress")
"""Categories whose longer side runs from front to back; in all others it runs from left to
right."""
HEIGHTS = {
    "stove": (0.85, 0.95),
    "oven": (0.85, 0.95),
    "counter": (0.85, 0.95),
    "chair": (0.72, 1.05),
    "door": (1.9, 2.2),
    "bed": (0.5, 1.3),
    "sofa": (0.6, 1.0),
    "toilet": (0.6, 0.85),
    "bookshelf": (0.9, 2.2),
}
"""Lowest and highest believable height, metres, of things whose real boxes often hold a part only
(a stove's top plate)."""
SURFACE = {"bed": 0.6, "sofa": 0.6, "armchair": 0.6, "counter": 0.93}
"""Share of the height of the drawn furniture at which things rest; 1 for all others."""
TRIES = 40
"""Candidate places that are tried at once."""
DOOR_CLEARANCE = 0.8
"""Floor kept free in front of a door, metres."""
GAP = 0.01
RADII = (BODY_RADIUS, BODY_RADIUS + CELL / 2)
"""Bodies for which the floor must stay in one piece: the second makes sure of it whatever grid is
laid over the room; metres."""


@dataclass
class Room:
    """A room being furnished; ``boxes`` grows in step with ``names``."""

    outline: Outline
    ceiling: float
    floors: list[Floor]
    """What is left to walk on, for each of ``RADII``."""
    names: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    keepouts: list[Footprint] = field(default_factory=list)
    """Footprints in front of doors and passages where nothing may stand."""

    @classmethod
    def empty(cls, outline: Outline, ceiling: float, keepouts: Iterable[Footprint] = ()) -> Room:
        return cls(
            outline, ceiling, [Floor.of_outline(outline, r) for r in RADII], keepouts=list(keepouts)
        )

    def add(self, category: str, box: Box) -> None:
        self.names.append(category)
        self.boxes.append(box)

    def of(self, categories: Iterable[str]) -> list[Box]:
        wanted = set(categories)
        return [b for n, b in zip(self.names, self.boxes) if n in wanted]

    def clear(self, rects: Floats, bottom: float, top: float, on: Box | None = None) -> Floats:
        """Those of the (K, 5) footprints that lie inside and, between these heights, touch nothing
        placed so far."""
        rects = rects[self._inside(corners(rects))]
        others = [
            footprint(b)
            for b in self.boxes
            if b is not on
            and b.center[2] - b.size[2] / 2 < top - 1e-9
            and b.center[2] + b.size[2] / 2 > bottom + 1e-9
        ]
        if on is None:
            others += self.keepouts
        if len(rects) and others:
            rects = rects[~overlaps(rects, np.array(others), GAP).any(1)]
        return rects

    def _inside(self, points: Floats) -> npt.NDArray[np.bool_]:
        """(K,) which footprints, given by their (K, 4, 2) corners, lie in the room."""
        if len(self.outline) == 4:  # a convex room: on the inner side of every wall
            start, normal = self._walls
            return np.asarray((points @ normal.T >= np.sum(start * normal, 1) - 1e-9).all((1, 2)))
        middles = (points + np.roll(points, 1, axis=1)) / 2
        return np.asarray(contains(self.outline, np.concatenate([points, middles], 1)).all(1))

    @functools.cached_property
    def _walls(self) -> tuple[Floats, Floats]:
        found = walls(self.outline)
        return np.array([w[0] for w in found]), np.array([w[2] for w in found])


def face_room(category: str, box: Box, outline: Outline) -> Box:
    """The same box with its sides named so that a front exists: the front (own -y) looks away from
    the nearest wall.

    The longer side becomes x, or y for ``DEEP`` categories; a nearly square box may turn by a
    quarter.
    """
    length, width, height = box.size
    square = max(length, width) < 1.25 * min(length, width) and category not in HANGING
    distances = [
        float((np.array(box.center[:2]) - start) @ normal) for start, _, normal, _ in walls(outline)
    ]
    normal = walls(outline)[int(np.argmin(distances))][2]
    best, best_score = box, -math.inf
    for quarter in range(4):
        sides = (length, width) if quarter % 2 == 0 else (width, length)
        yaw = box.yaw + quarter * math.pi / 2
        if not square and (sides[1] > sides[0]) != (category in DEEP):
            continue
        score = float(np.array([math.sin(yaw), -math.cos(yaw)]) @ normal)
        if score > best_score + 1e-9:
            best, best_score = (
                Box(box.center, (*sides, height), math.remainder(yaw, 2 * math.pi)),
                score,
            )
    return best


def place(
    room: Room,
    rng: np.random.Generator,
    category: str,
    size: tuple[float, float, float],
    at_wall: float,
    lean: float,
) -> bool:
    """Put one thing of ``size`` (length, width, height; m) into the room; False when there is no
    room for it.

    Args:
        at_wall: probability of standing against a wall.
        lean: angle off the room's axes for a thing that stands free, radians.
    """
    sides = (size[1], size[0]) if category in DEEP else (size[0], size[1])
    if category in RESTING:
        return _rest(room, rng, category, (*sides, size[2]), lean)
    if category in CEILING:
        return _settle(
            room,
            category,
            _anywhere(room, rng, sides, 0.0),
            (*sides, size[2]),
            room.ceiling - size[2] - 0.005,
        )
    if (
        category == "tv"
        and rng.random() < 0.6
        and _rest(room, rng, category, (*sides, size[2]), lean)
    ):
        return True
    if category in HANGING:
        bottom = max(0.0, min(HANGING[category], room.ceiling - size[2] - 0.05))
        return _settle(
            room,
            category,
            _along_walls(room, rng, sides, min(lean, 0.06)),
            (*sides, size[2]),
            bottom,
        )
    partner = _beside(room, rng, category, sides)
    candidates = [_along_walls(room, rng, sides, min(lean, 0.4))] if rng.random() < at_wall else []
    if partner is not None:
        candidates.insert(0 if rng.random() < 0.75 else len(candidates), partner)
    candidates.append(_anywhere(room, rng, sides, lean))
    return any(_settle(room, category, rects, (*sides, size[2]), 0.0) for rects in candidates)


def _settle(
    room: Room, category: str, rects: Floats, size: tuple[float, float, float], bottom: float
) -> bool:
    """Take the first candidate that is clear and leaves the floor walkable."""
    for rect in room.clear(rects, bottom, bottom + size[2])[:6]:
        box = Box((float(rect[0]), float(rect[1]), bottom + size[2] / 2), size, float(rect[4]))
        if bottom < HEADROOM and bottom + size[2] > RUG_HEIGHT:
            left = [
                replace(f, free=f.free & ~f.covered(rect, radius))
                for f, radius in zip(room.floors, RADII)
            ]
            if not all(_walkable(f, room.keepouts) for f in left):
                continue
            room.floors = left
        room.add(category, box)
        if category == "door":
            reach = size[1] / 2 + DOOR_CLEARANCE / 2
            room.keepouts.append(
                (
                    float(rect[0] + math.sin(rect[4]) * reach),
                    float(rect[1] - math.cos(rect[4]) * reach),
                    size[0] / 2,
                    DOOR_CLEARANCE / 2,
                    float(rect[4]),
                )
            )
        return True
    return False


def _walkable(floor: Floor, before_doors: Iterable[Footprint]) -> bool:
    """One connected floor, but for slivers, that is large enough to stand in and reaches every
    door."""
    total = int(floor.free.sum())
    largest = floor.largest()
    held = int(largest.sum())
    if held < 30 or held < 0.95 * total:
        return False
    return all((largest & floor.covered(k, 0.0)).any() for k in before_doors)


def _along_walls(
    room: Room, rng: np.random.Generator, sides: tuple[float, float], lean: float
) -> Floats:
    """Candidates with the back to a wall, longer walls more often."""
    edges = [e for e in walls(room.outline) if e[3] > sides[0] + 0.02]
    if not edges:
        return np.empty((0, 5))
    start, direction, normal = (np.array([e[k] for e in edges]) for k in range(3))
    length = np.array([e[3] for e in edges])
    pick = rng.choice(len(edges), TRIES, p=length / length.sum())
    along, gap = rng.random(TRIES), rng.uniform(0.004, 0.05, TRIES)
    turn = lean * rng.choice([-1, 1], TRIES)
    reach = sides[0] / 2 * np.abs(np.cos(turn)) + sides[1] / 2 * np.abs(np.sin(turn))
    depth = sides[0] / 2 * np.abs(np.sin(turn)) + sides[1] / 2 * np.abs(np.cos(turn))
    along = reach + along * (length[pick] - 2 * reach)
    xy = start[pick] + direction[pick] * along[:, None] + normal[pick] * (depth + gap)[:, None]
    return _rows(xy[:, 0], xy[:, 1], sides, facing(*normal[pick].T) + turn)


def _rows(x: Floats, y: Floats, sides: tuple[float, float], yaw: Floats) -> Floats:
    """(K, 5) footprints of one size."""
    return np.column_stack(
        [x, y, np.full_like(x, sides[0] / 2), np.full_like(x, sides[1] / 2), yaw]
    )


def _anywhere(
    room: Room, rng: np.random.Generator, sides: tuple[float, float], lean: float
) -> Floats:
    points = np.asarray(room.outline)
    low, high = points.min(0), points.max(0)
    yaws = rng.integers(4, size=TRIES) * math.pi / 2 + lean * rng.choice([-1, 1], TRIES)
    xy = rng.uniform(low, high, (TRIES, 2))
    return _rows(xy[:, 0], xy[:, 1], sides, yaws)


_PARTNERS = {
    "chair": (("table", "desk"), "round"),
    "stool": (("table", "counter"), "round"),
    "office chair": (("desk", "table"), "round"),
    "nightstand": (("bed",), "side"),
    "table": (("sofa",), "front"),
    "coffee table": (("sofa",), "front"),
    "lamp": (("sofa", "bed"), "side"),
    "dishwasher": (("counter", "refrigerator"), "side"),
    "stove": (("counter",), "side"),
}
"""Category -> (what it keeps company with, on which side of it)."""


def _beside(
    room: Room, rng: np.random.Generator, category: str, sides: tuple[float, float]
) -> Floats | None:
    """Candidates next to a partner: around it (facing it), at its side (facing as it does) or in
    front of it."""
    partners, side = _PARTNERS.get(category, ((), ""))
    hosts = room.of(partners)
    if not hosts:
        return None
    n = TRIES // 2
    hx, hy, half_x, half_y, host_yaw = footprints(hosts)[rng.integers(len(hosts), size=n)].T
    quarter = {
        "round": rng.integers(4, size=n),
        "side": 1 + 2 * rng.integers(2, size=n),
        "front": np.zeros(n),
    }[side]
    half, span = (
        np.where(quarter % 2 == 0, half_y, half_x),
        np.where(quarter % 2 == 0, half_x, half_y),
    )
    gap = rng.uniform(0.3, 0.6, n) if side == "front" else rng.uniform(0.02, 0.2, n)
    outward = host_yaw + (quarter - 1) * math.pi / 2
    shift = rng.uniform(-1, 1, n) * np.maximum(0, span - sides[0] / 2)
    if side == "side":
        shift = (half_y - sides[1] / 2) * np.where(quarter == 1, 1, -1)
    distance = half + gap + (sides[0] if side == "side" else sides[1]) / 2
    c, s = np.cos(outward), np.sin(outward)
    yaw = facing(-c, -s) + rng.normal(0, 0.12, n) if side == "round" else host_yaw
    return _rows(hx + c * distance - s * shift, hy + s * distance + c * shift, sides, yaw)


def _rest(
    room: Room,
    rng: np.random.Generator,
    category: str,
    size: tuple[float, float, float],
    lean: float,
) -> bool:
    """Put the thing on top of a supporting piece, within its edges and clear of what else rests
    there."""
    supports = RESTING.get(category, TOP)
    hosts = [(n, b) for n, b in zip(room.names, room.boxes) if n in supports]
    for k in rng.permutation(len(hosts)):
        name, host = hosts[int(k)]
        turn = lean * float(rng.choice([-1, 1]))
        across, along = abs(math.sin(turn)), math.cos(turn)
        dx = host.size[0] / 2 - size[0] / 2 * along - size[1] / 2 * across
        dy = host.size[1] / 2 - size[0] / 2 * across - size[1] / 2 * along
        top = host.center[2] - host.size[2] / 2 + host.size[2] * SURFACE.get(name, 1.0) + 0.002
        if min(dx, dy) < 0 or top > 1.5:
            continue
        u, v = rng.uniform(-1, 1, (2, TRIES // 3))
        v = np.abs(v) if category in ("monitor", "tv", "pillow", "table lamp") else v
        v = -np.abs(v) if category == "keyboard" else v
        c, s = math.cos(host.yaw), math.sin(host.yaw)
        x, y = host.center[0] + c * u * dx - s * v * dy, host.center[1] + s * u * dx + c * v * dy
        clear = room.clear(
            _rows(x, y, size[:2], np.full_like(x, host.yaw + turn)), top, top + size[2], on=host
        )
        if len(clear):
            room.add(
                category,
                Box(
                    (float(clear[0, 0]), float(clear[0, 1]), top + size[2] / 2),
                    size,
                    host.yaw + turn,
                ),
            )
            return True
    return False
