"""Where objects stand in a room: on walls, on furniture, along walls or free.

Objects never overlap, and the free floor stays connected.
"""

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
"""Category -> categories that it may rest on; it is never put on the floor."""
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
"""Category that belongs on a wall -> height of its lower edge above the floor, metres."""
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
"""Lowest and highest believable height, metres.

Only for categories whose published boxes often hold just a part (the top plate of a stove).
"""
SURFACE = {"bed": 0.6, "sofa": 0.6, "armchair": 0.6, "counter": 0.93}
"""Height of the surface on which other objects rest, as a share of the piece's height; 1 for all
other categories."""
TRIES = 40
"""Random candidate footprints that are checked together."""
DOOR_CLEARANCE = 0.8
"""Floor kept free in front of a door, metres."""
GAP = 0.01
"""Least distance between two objects at the same height, metres."""
RADII = (BODY_RADIUS, BODY_RADIUS + CELL / 2)
"""Body radii for which the free floor must stay connected, metres.

Half a cell more than a body needs keeps the floor connected on any other grid over the room, too.
"""


@dataclass
class Room:
    """A room while it is furnished; ``boxes[i]`` is the box of category ``names[i]``."""

    outline: Outline
    ceiling: float
    """Height, metres."""
    floors: list[Floor]
    """Free floor for each of ``RADII``."""
    names: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    keepouts: list[Footprint] = field(default_factory=list)
    """Footprints in front of doors and passages that must stay empty."""

    @classmethod
    def empty(cls, outline: Outline, ceiling: float, keepouts: Iterable[Footprint] = ()) -> Room:
        """The room without any object."""
        floors = [Floor.of_outline(outline, radius) for radius in RADII]
        return cls(outline, ceiling, floors, keepouts=list(keepouts))

    def add(self, category: str, box: Box) -> None:
        """Put an object where the box says, without any check."""
        self.names.append(category)
        self.boxes.append(box)

    def of(self, categories: Iterable[str]) -> list[Box]:
        """Boxes of the objects of these categories."""
        wanted = set(categories)
        return [b for n, b in zip(self.names, self.boxes) if n in wanted]

    def clear(self, rects: Floats, bottom: float, top: float, on: Box | None = None) -> Floats:
        """The footprints at which an object would lie in the room and touch no other object.

        Args:
            rects: (K, 5) candidate footprints.
            bottom, top: heights between which the object extends, metres.
            on: box that the object rests on; None for an object that stands on the floor, which
                must also stay clear of ``keepouts``.
        """
        rects = rects[self._inside(corners(rects))]

        # Objects that share a height with the new one.
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
        # A room with four walls is convex: inside is on the inner side of every wall.
        if len(self.outline) == 4:
            start, normal = self._walls
            return np.asarray((points @ normal.T >= np.sum(start * normal, 1) - 1e-9).all((1, 2)))

        # In an L-shaped room, the middle of a side can be outside although its ends are inside.
        middles = (points + np.roll(points, 1, axis=1)) / 2
        return np.asarray(contains(self.outline, np.concatenate([points, middles], 1)).all(1))

    @functools.cached_property
    def _walls(self) -> tuple[Floats, Floats]:
        """(W, 2) starts and (W, 2) inward normals of the walls."""
        found = walls(self.outline)
        return np.array([w[0] for w in found]), np.array([w[2] for w in found])


def face_room(category: str, box: Box, outline: Outline) -> Box:
    """The same box in space, with its axes chosen so that its front faces away from the nearest
    wall.

    The front is the box's own -y side. Its longer side becomes x, or y for ``DEEP`` categories;
    in a nearly square box either side may.
    """
    length, width, height = box.size
    square = max(length, width) < 1.25 * min(length, width) and category not in HANGING

    # Direction from the nearest wall into the room.
    distances = [
        float((np.array(box.center[:2]) - start) @ normal) for start, _, normal, _ in walls(outline)
    ]
    normal = walls(outline)[int(np.argmin(distances))][2]

    # Of the four quarter turns that keep the box in place, take the one that faces there best.
    best, best_score = box, -math.inf
    for quarter in range(4):
        sides = (length, width) if quarter % 2 == 0 else (width, length)
        yaw = box.yaw + quarter * math.pi / 2
        if not square and (sides[1] > sides[0]) != (category in DEEP):
            continue
        score = float(np.array([math.sin(yaw), -math.cos(yaw)]) @ normal)
        if score > best_score + 1e-9:
            best = Box(box.center, (*sides, height), math.remainder(yaw, 2 * math.pi))
            best_score = score
    return best


def place(
    room: Room,
    rng: np.random.Generator,
    category: str,
    size: tuple[float, float, float],
    at_wall: float,
    lean: float,
) -> bool:
    """Add one object to the room; False when no place was found for it.

    Args:
        size: longer side, shorter side, height; metres.
        at_wall: probability of trying a place against a wall.
        lean: angle between a free-standing object and the room's axes, radians.
    """
    sides = (size[1], size[0]) if category in DEEP else (size[0], size[1])
    extent = (*sides, size[2])

    # On furniture.
    if category in RESTING:
        return _rest(room, rng, category, extent, lean)

    # Under the ceiling.
    if category in CEILING:
        rects = _anywhere(room, rng, sides, 0.0)
        return _settle(room, category, rects, extent, room.ceiling - size[2] - 0.005)

    # A TV stands on furniture or hangs on a wall.
    if category == "tv" and rng.random() < 0.6 and _rest(room, rng, category, extent, lean):
        return True

    # On a wall.
    if category in HANGING:
        bottom = max(0.0, min(HANGING[category], room.ceiling - size[2] - 0.05))
        rects = _along_walls(room, rng, sides, min(lean, 0.06))
        return _settle(room, category, rects, extent, bottom)

    # On the floor: beside a partner, against a wall, or anywhere, in this order of preference.
    partner = _beside(room, rng, category, sides)
    candidates = [_along_walls(room, rng, sides, min(lean, 0.4))] if rng.random() < at_wall else []
    if partner is not None:
        candidates.insert(0 if rng.random() < 0.75 else len(candidates), partner)
    candidates.append(_anywhere(room, rng, sides, lean))
    return any(_settle(room, category, rects, extent, 0.0) for rects in candidates)


def _settle(
    room: Room, category: str, rects: Floats, size: tuple[float, float, float], bottom: float
) -> bool:
    """Add the object at the first candidate footprint that is clear and keeps the floor walkable.

    Args:
        rects: (K, 5) candidate footprints.
        bottom: height of the object's lower side, metres.
    """
    for rect in room.clear(rects, bottom, bottom + size[2])[:6]:
        box = Box((float(rect[0]), float(rect[1]), bottom + size[2] / 2), size, float(rect[4]))

        # What blocks the floor must leave the rest of it connected.
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
            room.keepouts.append(_before_door(rect, size))
        return True
    return False


def _before_door(rect: Floats, size: tuple[float, float, float]) -> Footprint:
    """Footprint of the floor in front of a door that must stay empty."""
    reach = size[1] / 2 + DOOR_CLEARANCE / 2
    x = float(rect[0] + math.sin(rect[4]) * reach)
    y = float(rect[1] - math.cos(rect[4]) * reach)
    return x, y, size[0] / 2, DOOR_CLEARANCE / 2, float(rect[4])


def _walkable(floor: Floor, before_doors: Iterable[Footprint]) -> bool:
    """Whether nearly all free floor is one connected part that reaches every door."""
    total = int(floor.free.sum())
    largest = floor.largest()
    held = int(largest.sum())
    if held < 30 or held < 0.95 * total:
        return False
    return all((largest & floor.covered(k, 0.0)).any() for k in before_doors)


def _along_walls(
    room: Room, rng: np.random.Generator, sides: tuple[float, float], lean: float
) -> Floats:
    """(K, 5) random candidate footprints with the back to a wall; long walls get more of them."""
    edges = [e for e in walls(room.outline) if e[3] > sides[0] + 0.02]
    if not edges:
        return np.empty((0, 5))
    start, direction, normal = (np.array([e[k] for e in edges]) for k in range(3))
    length = np.array([e[3] for e in edges])

    # Wall, position along it, gap behind the object and turn of each candidate.
    pick = rng.choice(len(edges), TRIES, p=length / length.sum())
    along, gap = rng.random(TRIES), rng.uniform(0.004, 0.05, TRIES)
    turn = lean * rng.choice([-1, 1], TRIES)

    # Half extents of the turned object along the wall and away from it.
    half_along = sides[0] / 2 * np.abs(np.cos(turn)) + sides[1] / 2 * np.abs(np.sin(turn))
    half_deep = sides[0] / 2 * np.abs(np.sin(turn)) + sides[1] / 2 * np.abs(np.cos(turn))

    along = half_along + along * (length[pick] - 2 * half_along)
    away = (half_deep + gap)[:, None]
    xy = start[pick] + direction[pick] * along[:, None] + normal[pick] * away
    return _rows(xy[:, 0], xy[:, 1], sides, facing(*normal[pick].T) + turn)


def _rows(x: Floats, y: Floats, sides: tuple[float, float], yaw: Floats) -> Floats:
    """(K, 5) footprints that share their sides."""
    return np.column_stack(
        [x, y, np.full_like(x, sides[0] / 2), np.full_like(x, sides[1] / 2), yaw]
    )


def _anywhere(
    room: Room, rng: np.random.Generator, sides: tuple[float, float], lean: float
) -> Floats:
    """(K, 5) random candidate footprints all over the room."""
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
"""Category -> (partners that it likes to stand by, on which of their sides)."""


def _beside(
    room: Room, rng: np.random.Generator, category: str, sides: tuple[float, float]
) -> Floats | None:
    """(K, 5) candidate footprints by a partner in the room; None where it has none.

    ``round`` is any side of the partner, facing it. ``side`` is left or right of it and ``front``
    is before it, both facing as the partner does.
    """
    partners, side = _PARTNERS.get(category, ((), ""))
    hosts = room.of(partners)
    if not hosts:
        return None
    n = TRIES // 2
    hx, hy, half_x, half_y, host_yaw = footprints(hosts)[rng.integers(len(hosts), size=n)].T

    # Side of the partner in quarter turns: 0 is its front. Both random arrays are drawn whatever
    # the side: leaving one out would change the rooms of every seed.
    quarter = {
        "round": rng.integers(4, size=n),
        "side": 1 + 2 * rng.integers(2, size=n),
        "front": np.zeros(n),
    }[side]
    outward = host_yaw + (quarter - 1) * math.pi / 2
    front_or_back = quarter % 2 == 0
    half = np.where(front_or_back, half_y, half_x)
    span = np.where(front_or_back, half_x, half_y)

    # Distance between the centres, and shift along the partner's side.
    gap = rng.uniform(0.3, 0.6, n) if side == "front" else rng.uniform(0.02, 0.2, n)
    shift = rng.uniform(-1, 1, n) * np.maximum(0, span - sides[0] / 2)
    if side == "side":  # backs in one line, as a nightstand by a bed's head
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
    """Add the object on top of a piece of furniture, within its edges and clear of others on it."""
    supports = RESTING.get(category, TOP)
    hosts = [(n, b) for n, b in zip(room.names, room.boxes) if n in supports]
    for k in rng.permutation(len(hosts)):
        name, host = hosts[int(k)]
        turn = lean * float(rng.choice([-1, 1]))

        # How far the centre may be from the host's centre, and the height of the host's surface.
        sine, cosine = abs(math.sin(turn)), math.cos(turn)
        dx = host.size[0] / 2 - size[0] / 2 * cosine - size[1] / 2 * sine
        dy = host.size[1] / 2 - size[0] / 2 * sine - size[1] / 2 * cosine
        top = host.center[2] - host.size[2] / 2 + host.size[2] * SURFACE.get(name, 1.0) + 0.002
        if min(dx, dy) < 0 or top > 1.5:
            continue

        # Random places on the surface: screens and pillows at the back, a keyboard at the front.
        u, v = rng.uniform(-1, 1, (2, TRIES // 3))
        v = np.abs(v) if category in ("monitor", "tv", "pillow", "table lamp") else v
        v = -np.abs(v) if category == "keyboard" else v
        c, s = math.cos(host.yaw), math.sin(host.yaw)
        x = host.center[0] + c * u * dx - s * v * dy
        y = host.center[1] + s * u * dx + c * v * dy

        # The first clear one is taken.
        yaw = host.yaw + turn
        rects = _rows(x, y, size[:2], np.full_like(x, yaw))
        clear = room.clear(rects, top, top + size[2], on=host)
        if len(clear):
            center = (float(clear[0, 0]), float(clear[0, 1]), top + size[2] / 2)
            room.add(category, Box(center, size, yaw))
            return True
    return False
