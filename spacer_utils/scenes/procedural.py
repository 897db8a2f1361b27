"""Furnished rooms drawn from the statistics of real ones: one independent random stream per
room."""

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
) -> Iterator[Scene]:
    """Furnished rooms (or flats of 2-3 rooms) matched to the statistics of 288 real rooms.

    Room ``k`` depends on ``(split, seed, k)`` and the options alone, not on ``count`` or ``first``.
    """
    for index in range(first, first + count):
        yield room(split, seed, index, rooms=rooms, min_objects=min_objects, room_type=room_type)


def room(
    split: Split = "train",
    seed: int = 0,
    index: int = 0,
    *,
    rooms: int = 1,
    min_objects: int = 1,
    room_type: str | None = None,
) -> Scene:
    """Room number ``index`` of a split.

    Args:
        rooms: 1 for a single room, 2 or 3 for a flat whose rooms are joined by open doorways.
        min_objects: least number of objects in each room.
        room_type: one of ``contents.statistics()["room_types"]``; None draws it.

    Raises:
        WorkbookError: an option is out of range.
    """
    if rooms not in (1, 2, 3):
        raise WorkbookError(f"rooms={rooms}: a flat has 1, 2 or 3 rooms.")
    if room_type is not None and room_type not in contents.statistics()["room_types"]:
        raise WorkbookError(
            f"unknown room type {room_type!r}. Known: {', '.join(contents.statistics()['room_types'])}."
        )
    scene_id, rng, ceiling, lists = _begin(split, seed, index, rooms, min_objects, room_type)
    while True:
        plan = (
            flat(rng, [w.area for w in lists])
            if rooms > 1
            else Plan([outline_of(rng, lists[0].area)], [[]])
        )
        furnished = [
            furnish(rng, outline, ceiling, wanted, before_doors)
            for outline, wanted, before_doors in zip(plan.outlines, lists, plan.before_doors)
        ]
        if min(len(r.names) for r in furnished) >= min_objects:
            break
        lists = [contents.draw(rng, min_objects, room_type) for _ in range(rooms)]
    return _scene(
        scene_id, split, ceiling, lists[0].room_type, plan, furnished, int(rng.integers(2**31))
    )


def _begin(
    split: Split, seed: int, index: int, rooms: int, min_objects: int, room_type: str | None
) -> tuple[str, np.random.Generator, float, list[contents.Contents]]:
    """(scene id, the room's own random stream, ceiling height, shopping list of each room)."""
    scene_id = f"procedural-{split}-{seed}-{index:06d}" + ("" if rooms == 1 else f"-flat{rooms}")
    rng = np.random.default_rng([seed, crc32(scene_id.encode())])
    ceiling = round(float(rng.uniform(2.4, 3.0)), 2)
    return (
        scene_id,
        rng,
        ceiling,
        [contents.draw(rng, min_objects, room_type) for _ in range(rooms)],
    )


def shopping_list(split: Split, seed: int, index: int) -> dict[str, int]:
    """Category -> number of what room ``index`` is meant to hold: known in a fraction of the time
    that furnishing takes."""
    return _begin(split, seed, index, 1, 1, None)[3][0].counts


@dataclass(frozen=True)
class Plan:
    """Rooms before they are furnished."""

    outlines: list[Outline]
    before_doors: list[list[Footprint]]
    """Per room: floor before its doorways that must stay free."""

    @property
    def whole(self) -> Outline:
        """Outline of all rooms with the doorways between them, counter-clockwise; rooms stand side
        by side along x."""
        below: list[tuple[float, float]] = []
        above: list[tuple[float, float]] = []
        for k, outline in enumerate(self.outlines):
            (left, low), _, (right, high), _ = outline[:4]
            if k:
                door = doorway(self.outlines[k - 1], outline)
                below += [(below[-1][0], door[0]), (left, door[0])]
                above += [(above[-1][0], door[1]), (left, door[1])]
            below += [(left, low), (right, low)]
            above += [(left, high), (right, high)]
        return (*below, *above[::-1])


def doorway(left: Outline, right: Outline) -> tuple[float, float]:
    """(lowest, highest) y of the opening between two neighbouring rooms: the middle of the wall
    that they share."""
    middle = (max(left[0][1], right[0][1]) + min(left[2][1], right[2][1])) / 2
    return middle - DOORWAY / 2, middle + DOORWAY / 2


def flat(rng: np.random.Generator, areas: Sequence[float]) -> Plan:
    """Two or more rectangular rooms side by side along x; each shares at least 1.4 m of wall, with
    a doorway, with the next."""
    outlines: list[Outline] = []
    left = middle = reach = 0.0
    for floor_area in areas:
        half_x, half_y = _half_sides(rng, floor_area)
        if outlines:
            middle, reach = (
                (outlines[-1][2][1] + outlines[-1][0][1]) / 2,
                (outlines[-1][2][1] - outlines[-1][0][1]) / 2,
            )
        y = middle + float(rng.uniform(-1, 1)) * max(0.0, min(reach + half_y - 1.4, 1.5)) * bool(
            outlines
        )
        right = left + 2 * half_x
        outlines.append(
            ((left, y - half_y), (right, y - half_y), (right, y + half_y), (left, y + half_y))
        )
        left = right + WALL
    before: list[list[Footprint]] = [[] for _ in areas]
    for k, (one, two) in enumerate(itertools.pairwise(outlines)):
        y = sum(doorway(one, two)) / 2
        before[k].append((one[1][0] - DOOR_CLEARANCE / 2, y, DOOR_CLEARANCE / 2, DOORWAY / 2, 0.0))
        before[k + 1].append(
            (two[0][0] + DOOR_CLEARANCE / 2, y, DOOR_CLEARANCE / 2, DOORWAY / 2, 0.0)
        )
    return Plan(outlines, before)


def _half_sides(rng: np.random.Generator, floor_area: float) -> tuple[float, float]:
    """Half width and half depth, metres, of a rectangle of this area and random proportions."""
    aspect = 1.0 + min(1.6, float(rng.lognormal(-1.35, 0.85)))
    x, y = math.sqrt(floor_area * aspect) / 2, math.sqrt(floor_area / aspect) / 2
    return (x, y) if rng.random() < 0.5 else (y, x)


def outline_of(rng: np.random.Generator, floor_area: float) -> Outline:
    """Floor outline of the given area, centred at the origin: a rectangle, or in a sixth of the
    rooms an L."""
    x, y = _half_sides(rng, floor_area)
    if floor_area > 12 and rng.random() < 1 / 6:
        a, b = rng.uniform(0.25, 0.45, 2)
        grow = 1 / math.sqrt(1 - a * b)
        x, y = x * grow, y * grow
        corner = [(x - 2 * x * a, y), (x - 2 * x * a, y - 2 * y * b), (x, y - 2 * y * b)]
        sx, sy = rng.choice([-1, 1], 2)
        points = [(-x, y), (-x, -y), (x, -y), corner[2], corner[1], corner[0]]
        points = [(sx * px, sy * py) for px, py in points]
        return tuple(points) if area(points) > 0 else tuple(points[::-1])
    return ((-x, -y), (x, -y), (x, y), (-x, y))


def furnish(
    rng: np.random.Generator,
    outline: Outline,
    ceiling: float,
    wanted: contents.Contents,
    before_doors: Sequence[Footprint] = (),
) -> Room:
    """Place the shopping list: walls and doors, then furniture from large to small, then what rests
    on it."""
    room = Room.empty(outline, ceiling, before_doors)
    table = contents.statistics()["categories"]
    things = [
        (category, _size(rng, category, ceiling))
        for category, n in wanted.counts.items()
        for _ in range(n)
    ]
    for category, size in sorted(things, key=lambda t: (_stage(t[0]), -t[1][0] * t[1][1])):
        wall = table[category]["wall"]
        for shrink in (1.0, 0.9, 0.8):
            a, b, c = size
            if place(
                room,
                rng,
                category,
                (a * shrink, b * shrink, c),
                0.3 if wall is None else wall**1.6,
                _lean(rng),
            ):
                break
    return room


def _stage(category: str) -> int:
    if category == "door":
        return 0
    if category in ("tv", *RESTING, *CEILING):
        return 4
    if category in HANGING:
        return 1
    return 3 if category in ("chair", "stool", "office chair") else 2


def _size(rng: np.random.Generator, category: str, ceiling: float) -> tuple[float, float, float]:
    """Length, width and height, m: a Gaussian copula over the quantiles of the real boxes.

    Log-normals fit less well: many real boxes hold only the part of the thing that was scanned.
    """
    table = contents.statistics()
    about = table["categories"][category]
    lw, lh, wh = about["correlation"]
    root = np.linalg.cholesky(
        np.array([(1, lw, lh), (lw, 1, wh), (lh, wh, 1)]) * 0.97 + 0.03 * np.eye(3)
    )
    ranks = ndtr(root @ rng.standard_normal(3))
    length, width, height = (
        float(np.interp(u, table["size_levels"], q)) for u, q in zip(ranks, about["sizes"])
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
    """Angle off the room's axes of a thing that stands free, radians: most stand straight, some do
    not."""
    level = contents.statistics()["quantities"]["off the room's axes"]
    return math.radians(float(np.interp(rng.random(), np.linspace(0, 1, len(level)), level)))


def _scene(
    scene_id: str,
    split: Split,
    ceiling: float,
    kind: str,
    plan: Plan,
    furnished: Sequence[Room],
    seed: int,
) -> Scene:
    objects = [(n, b) for r in furnished for n, b in zip(r.names, r.boxes)]
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
