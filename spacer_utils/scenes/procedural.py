"""Procedural rooms: random furnished rooms that match the statistics of real ones.

Each room has its own random stream, so rooms don't depend on each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from scipy.special import ndtr

from ..core.registry import SCENES
from ..core.types import Box, Scene, SceneObject, Split, WorkbookError
from . import contents
from .floor_plan import Footprint, Outline, area
from .placement import CEILING, DOOR_CLEARANCE, HANGING, HEIGHTS, RESTING, Room, place

WALL, DOORWAY = 0.12, 0.9
"""Thickness of the wall between two rooms of a flat and width of the opening in it, metres."""


@SCENES.register("procedural")
def rooms(
    split: Split = "train",
    count: int = 1,
    seed: int = 0,
    *,
    first: int = 0,
    rooms: int = 1,
    min_objects: int = 1,
    room_type: str | None = None,
    difficulty: str = "real",
) -> Iterator[Scene]:
    """Furnished rooms (or flats of 2-3 rooms) matched to the statistics of 288 real rooms, or easier.

    Room ``k`` depends on ``(split, seed, k)`` and the options alone, not on ``count`` or ``first``.
    """
    for index in range(first, first + count):
        yield room(
            split,
            seed,
            index,
            rooms=rooms,
            min_objects=min_objects,
            room_type=room_type,
            difficulty=difficulty,
        )


def room(
    split: Split = "train",
    seed: int = 0,
    index: int = 0,
    *,
    rooms: int = 1,
    min_objects: int = 1,
    room_type: str | None = None,
    difficulty: str = "real",
) -> Scene:
    """The procedural room, or flat, number ``index`` of a split.

    Args:
        rooms: 1 for a single room, 2 or 3 for a flat whose rooms are joined by open doorways.
        min_objects: least number of objects in each room.
        room_type: one of ``contents.statistics()["room_types"]``; None draws one at random.
        difficulty: one of ``contents.LEVELS``.

    Raises:
        WorkbookError: an option is out of range.
    """
    if rooms not in (1, 2, 3):
        raise WorkbookError(f"rooms={rooms}: a flat has 1, 2 or 3 rooms.")
    if room_type is not None and room_type not in contents.statistics()["room_types"]:
        raise WorkbookError(
            f"unknown room type {room_type!r}. Known: {', '.join(contents.statistics()['room_types'])}."
        )
    scene_id, rng, ceiling, wanted = _begin(
        split, seed, index, rooms, min_objects, room_type, difficulty
    )
    while True:
        # Walls first, then furniture.
        plan = (
            flat(rng, [w.area for w in wanted])
            if rooms > 1
            else FloorPlan([outline_of(rng, wanted[0].area)], [[]])
        )
        furnished = [
            furnish(rng, outline, ceiling, of_room, before_doors)
            for outline, of_room, before_doors in zip(plan.outlines, wanted, plan.before_doors)
        ]

        # Not everything finds a place: begin again if too little did.
        if min(len(r.names) for r in furnished) >= min_objects:
            break
        wanted = [contents.draw(rng, min_objects, room_type, difficulty) for _ in range(rooms)]

    look_seed = int(rng.integers(2**31))
    return _scene(scene_id, split, ceiling, wanted[0].room_type, plan, furnished, look_seed)


def _begin(
    split: Split,
    seed: int,
    index: int,
    rooms: int,
    min_objects: int,
    room_type: str | None,
    difficulty: str,
) -> tuple[str, np.random.Generator, float, list[contents.Contents]]:
    """(scene id, the scene's random stream, ceiling height in metres, contents of each room)."""
    scene_id = f"procedural-{split}-{seed}-{index:06d}"
    scene_id += "" if difficulty == "real" else f"-{difficulty}"
    scene_id += "" if rooms == 1 else f"-flat{rooms}"
    rng = np.random.default_rng([seed, crc32(scene_id.encode())])
    ceiling = round(float(rng.uniform(2.4, 3.0)), 2)
    wanted = [contents.draw(rng, min_objects, room_type, difficulty) for _ in range(rooms)]
    return scene_id, rng, ceiling, wanted


def planned_counts(split: Split, seed: int, index: int) -> dict[str, int]:
    """Category -> number of instances that room ``index`` of difficulty ``real`` is meant to hold.

    Much faster than furnishing the room, which may end up with fewer objects.
    """
    _, _, _, wanted = _begin(split, seed, index, 1, 1, None, "real")
    return wanted[0].counts


@dataclass(frozen=True)
class FloorPlan:
    """Outlines of a scene's rooms, before they are furnished."""

    outlines: list[Outline]
    """Of a flat: rooms side by side along x, from left to right."""
    before_doors: list[list[Footprint]]
    """For each room: the floor in front of its doorways that must stay free."""

    @property
    def whole(self) -> Outline:
        """Counter-clockwise outline of all rooms and the doorways between them."""
        below: list[tuple[float, float]] = []
        above: list[tuple[float, float]] = []
        for k, outline in enumerate(self.outlines):
            (left, low), _, (right, high), _ = outline[:4]

            # The passage from the previous room, then this room.
            if k:
                door = doorway(self.outlines[k - 1], outline)
                below += [(below[-1][0], door[0]), (left, door[0])]
                above += [(above[-1][0], door[1]), (left, door[1])]
            below += [(left, low), (right, low)]
            above += [(left, high), (right, high)]
        return (*below, *above[::-1])


def doorway(left: Outline, right: Outline) -> tuple[float, float]:
    """(lowest, highest) y of the opening in the middle of the wall that two neighbours share."""
    middle = (max(left[0][1], right[0][1]) + min(left[2][1], right[2][1])) / 2
    return middle - DOORWAY / 2, middle + DOORWAY / 2


def flat(rng: np.random.Generator, areas: Sequence[float]) -> FloorPlan:
    """Rectangular rooms of the given areas (m2), side by side along x.

    Neighbours share at least 1.4 m of wall, and a doorway in it.
    """
    outlines: list[Outline] = []
    left = middle = half_depth = 0.0
    for floor_area in areas:
        half_x, half_y = _half_sides(rng, floor_area)
        if outlines:
            (_, previous_low), _, (_, previous_high), _ = outlines[-1]
            middle = (previous_high + previous_low) / 2
            half_depth = (previous_high - previous_low) / 2

        # Shift along the shared wall; the first room has none, but draws its number too.
        most = max(0.0, min(half_depth + half_y - 1.4, 1.5))
        y = middle + float(rng.uniform(-1, 1)) * most * bool(outlines)

        right = left + 2 * half_x
        outlines.append(
            ((left, y - half_y), (right, y - half_y), (right, y + half_y), (left, y + half_y))
        )
        left = right + WALL

    # Keep the floor on both sides of each doorway free.
    before: list[list[Footprint]] = [[] for _ in areas]
    half = DOOR_CLEARANCE / 2
    for k, (one, two) in enumerate(itertools.pairwise(outlines)):
        y = sum(doorway(one, two)) / 2
        before[k].append((one[1][0] - half, y, half, DOORWAY / 2, 0.0))
        before[k + 1].append((two[0][0] + half, y, half, DOORWAY / 2, 0.0))
    return FloorPlan(outlines, before)


def _half_sides(rng: np.random.Generator, floor_area: float) -> tuple[float, float]:
    """Half width and half depth, metres, of a rectangle of this area and random proportions."""
    aspect = 1.0 + min(1.6, float(rng.lognormal(-1.35, 0.85)))
    x, y = math.sqrt(floor_area * aspect) / 2, math.sqrt(floor_area / aspect) / 2
    return (x, y) if rng.random() < 0.5 else (y, x)


def outline_of(rng: np.random.Generator, floor_area: float) -> Outline:
    """Counter-clockwise floor outline of the given area (m2), centred at the origin.

    A rectangle; one in six of the rooms above 12 m2 is an L.
    """
    x, y = _half_sides(rng, floor_area)
    if floor_area <= 12 or rng.random() >= 1 / 6:
        return ((-x, -y), (x, -y), (x, y), (-x, y))

    # Cut a corner out of a rectangle that is larger by as much.
    a, b = rng.uniform(0.25, 0.45, 2)
    grow = 1 / math.sqrt(1 - a * b)
    x, y = x * grow, y * grow
    cut_x, cut_y = x - 2 * x * a, y - 2 * y * b
    points = [(-x, y), (-x, -y), (x, -y), (x, cut_y), (cut_x, cut_y), (cut_x, y)]

    # Mirror it so that any of the four corners may be the missing one.
    sx, sy = rng.choice([-1, 1], 2)
    points = [(sx * px, sy * py) for px, py in points]
    return tuple(points) if area(points) > 0 else tuple(points[::-1])


def furnish(
    rng: np.random.Generator,
    outline: Outline,
    ceiling: float,
    wanted: contents.Contents,
    before_doors: Sequence[Footprint] = (),
) -> Room:
    """Place the wanted objects, stage by stage and the largest of a stage first.

    An object that finds no place is tried at 0.9 and 0.8 of its sides, then left out.
    """
    room = Room.empty(outline, ceiling, before_doors)
    table = contents.statistics()["categories"]

    # The size of every instance.
    things = [
        (category, _size(rng, category, ceiling))
        for category, n in wanted.counts.items()
        for _ in range(n)
    ]

    for category, size in sorted(things, key=lambda t: (_stage(t[0]), -t[1][0] * t[1][1])):
        wall_share = table[category]["wall"]
        at_wall = 0.3 if wall_share is None else wall_share**1.6
        length, width, height = size
        for shrink in (1.0, 0.9, 0.8):
            smaller = (length * shrink, width * shrink, height)
            if place(room, rng, category, smaller, at_wall, _lean(rng)):
                break
    return room


def _stage(category: str) -> int:
    """When a category is placed: doors, on walls, furniture, seats, on furniture or ceiling."""
    if category == "door":
        return 0
    if category in ("tv", *RESTING, *CEILING):
        return 4
    if category in HANGING:
        return 1
    return 3 if category in ("chair", "stool", "office chair") else 2


def _size(rng: np.random.Generator, category: str, ceiling: float) -> tuple[float, float, float]:
    """Draw longer side, shorter side and height, metres: a Gaussian copula over real quantiles.

    Log-normals fit less well: many real boxes hold only the part of the object that was scanned.
    """
    table = contents.statistics()
    about = table["categories"][category]

    # Correlated normal values; the identity's share keeps the matrix positive definite.
    lw, lh, wh = about["correlation"]
    correlation = np.array([(1, lw, lh), (lw, 1, wh), (lh, wh, 1)]) * 0.97 + 0.03 * np.eye(3)
    normal = np.linalg.cholesky(correlation) @ rng.standard_normal(3)

    # Their ranks 0-1, looked up in the quantiles of real sizes.
    length, width, height = (
        float(np.interp(rank, table["size_levels"], quantiles))
        for rank, quantiles in zip(ndtr(normal), about["sizes"])
    )

    low, high = HEIGHTS.get(category, (0.0, math.inf))
    if not low <= height <= high:
        height = rng.uniform(low, high)
    return (
        round(max(length, width), 3),
        round(min(length, width), 3),
        round(min(height, ceiling - 0.1), 3),
    )


def _lean(rng: np.random.Generator) -> float:
    """Draw an angle between a free-standing object and the room's axes, radians; mostly near 0."""
    quantiles = contents.statistics()["quantities"]["off the room's axes"]
    levels = np.linspace(0, 1, len(quantiles))
    return math.radians(float(np.interp(rng.random(), levels, quantiles)))


def _scene(
    scene_id: str,
    split: Split,
    ceiling: float,
    kind: str,
    plan: FloorPlan,
    furnished: Sequence[Room],
    seed: int,
) -> Scene:
    """The furnished rooms as one scene; ``seed`` fixes the order of its objects, too."""
    objects = [(n, b) for r in furnished for n, b in zip(r.names, r.boxes)]

    # Shuffled: instance ids must not follow the order of placing, large before small.
    order = sorted(range(len(objects)), key=lambda k: crc32(f"{seed}:{k}".encode()))
    single = len(plan.outlines) == 1
    return Scene(
        scene_id=scene_id,
        space_id=scene_id,
        source="procedural",
        split=split,
        polygon=_points(plan.outlines[0] if single else plan.whole),
        floor_area=round(sum(area(r.outline) for r in furnished), 4),
        ceiling_height=ceiling,
        room_type=kind,
        seed=seed,
        rooms=() if single else tuple(_points(o) for o in plan.outlines),
        objects=tuple(
            SceneObject(
                i, objects[k][0], _rounded(objects[k][1]), crc32(f"{scene_id}:{k}".encode())
            )
            for i, k in enumerate(order, 1)
        ),
    )


def _points(outline: Outline) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in outline)


def _rounded(box: Box) -> Box:
    x, y, z = (round(v, 4) for v in box.center)
    return Box((x, y, z), box.size, round(math.remainder(box.yaw, 2 * math.pi), 4))
