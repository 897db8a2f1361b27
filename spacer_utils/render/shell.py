"""The shell of a room: floor, walls with door openings, ceiling and skirting; instance id 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.types import Scene
from .assemble import Mesh, join
from .materials import Look, Material, textured
from .textures import TILE, atlas

Point = tuple[float, float]
Outline = tuple[Point, ...]
Span = tuple[Point, Point]

DOOR_WIDTH, DOOR_HEIGHT = 0.9, 2.05
"""Opening between two rooms, metres."""
WALL_GAP = 0.35
"""Two rooms share a wall where their outlines are parallel and closer than this, metres."""
SKIRTING = 0.09
"""Height of the skirting board, metres."""
FLOORS = (
    textured("parquet"),
    textured("laminate"),
    textured("tile"),
    Material((0.72, 0.66, 0.58), "carpet"),
    Material((0.55, 0.6, 0.66), "carpet"),
)
WALLS = (
    (0.97, 0.95, 0.9),
    (0.9, 0.93, 0.95),
    (0.93, 0.95, 0.88),
    (0.97, 0.91, 0.84),
    (0.92, 0.9, 0.93),
    (0.86, 0.9, 0.93),
)


def outlines(scene: Scene) -> tuple[Outline, ...]:
    """Outlines of all rooms of the scene."""
    return scene.rooms or (scene.polygon,)


def openings(rooms: Sequence[Outline]) -> list[tuple[int, int, Point, Point]]:
    """Door openings of a flat: (room, edge of its outline, one end, other end).

    Every two rooms that share a wall have one doorway, in the middle of the longest stretch that
    they share. It gives two consecutive entries, one for each side of the wall.
    """
    found = []
    for i in range(len(rooms)):
        for j in range(i + 1, len(rooms)):
            shared = [
                s
                for m in range(len(rooms[i]))
                for n in range(len(rooms[j]))
                if (s := _shared(rooms[i], m, rooms[j], n))
            ]
            if shared:
                _, m, n, near, far = max(shared)  # the longest stretch
                found += [(i, m, *near), (j, n, *far)]
    return found


def _shared(
    one: Outline, m: int, two: Outline, n: int
) -> tuple[float, int, int, Span, Span] | None:
    """The stretch that edge ``m`` of one room shares with edge ``n`` of another, and its doorway.

    Returns:
        (shared length, m, n, opening on the first edge, opening on the second); None where the
        edges share no stretch, or one too short for a door.
    """
    # The second edge in coordinates along and across the first.
    (ax, ay), (bx, by) = one[m], one[(m + 1) % len(one)]
    length = math.hypot(bx - ax, by - ay)
    dx, dy = (bx - ax) / length, (by - ay) / length
    along, across = [], []
    for x, y in (two[n], two[(n + 1) % len(two)]):
        along.append((x - ax) * dx + (y - ay) * dy)
        across.append((x - ax) * dy - (y - ay) * dx)

    # Parallel, close, and long enough.
    low, high = max(0.0, min(along)), min(length, max(along))
    if (
        abs(across[0] - across[1]) > 0.02
        or abs(across[0]) > WALL_GAP
        or high - low < DOOR_WIDTH + 0.2
    ):
        return None

    # The opening in the middle; it runs the other way on the second edge.
    ends = [(low + high - DOOR_WIDTH) / 2, (low + high + DOOR_WIDTH) / 2]
    near = [(ax + dx * s, ay + dy * s) for s in ends]
    far = [(x + dy * across[0], y - dx * across[0]) for x, y in near]
    return high - low, m, n, (near[0], near[1]), (far[1], far[0])


def triangulate(outline: Outline) -> list[tuple[int, int, int]]:
    """Corners of the triangles that cover a simple counter-clockwise polygon (ear clipping)."""
    left = list(range(len(outline)))
    triangles = []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(outline, left, k)), 0)
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return [*triangles, (left[0], left[1], left[2])]


def _cross(o: Point, a: Point, b: Point) -> float:
    """Twice the signed area of the triangle; positive if counter-clockwise."""
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def _is_ear(outline: Outline, left: list[int], k: int) -> bool:
    """Whether corner ``left[k]`` and its neighbours form a triangle without another corner in it."""
    a, b, c = outline[left[k - 1]], outline[left[k]], outline[left[(k + 1) % len(left)]]
    if _cross(a, b, c) <= 1e-12:
        return False
    others = (outline[i] for i in left if outline[i] not in (a, b, c))
    return not any(
        _cross(a, b, p) >= 0 and _cross(b, c, p) >= 0 and _cross(c, a, p) >= 0 for p in others
    )


def _surface(
    points: Sequence[Sequence[float]],
    faces: Sequence[Sequence[int]],
    normal: Sequence[float],
    uv: Sequence[Point],
    fill: Material,
) -> Mesh:
    """A flat piece of the shell; ``uv`` is in metres."""
    count = len(faces)
    return Mesh(
        np.array(points, np.float64),
        np.tile(np.array(normal, np.float64), (len(points), 1)),
        np.array(uv, np.float64) / TILE,
        np.array(faces, np.int32),
        np.tile(np.array(fill.color, np.float32), (count, 1)),
        np.zeros(count, np.bool_),
        np.full(count, atlas().index[fill.texture], np.int32),
        np.zeros(count, np.int32),
    )


def _upright(a: Point, b: Point, low: float, high: float, fill: Material) -> Mesh:
    """Vertical rectangle over the segment from ``a`` to ``b``, facing to the left of it."""
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    normal = ((a[1] - b[1]) / length, (b[0] - a[0]) / length, 0.0)
    points = [(*a, low), (*b, low), (*b, high), (*a, high)]
    uv = [(0.0, low), (length, low), (length, high), (0.0, high)]
    return _surface(points, ((0, 1, 2), (0, 2, 3)), normal, uv, fill)


def _flat(outline: Outline, height: float, up: float, fill: Material) -> Mesh:
    """Horizontal polygon that faces up (1) or down (-1)."""
    return _surface(
        [(x, y, height) for x, y in outline], triangulate(outline), (0, 0, up), list(outline), fill
    )


def _wall(a: Point, b: Point, gap: Span | None, height: float, fill: Material) -> list[Mesh]:
    """Wall and skirting over one edge of a room, with a door opening at ``gap``."""
    stretches = [(a, b)] if gap is None else [(a, gap[0]), (gap[1], b)]
    pieces = [] if gap is None else [_upright(*gap, DOOR_HEIGHT, height, fill)]
    for start, end in stretches:
        if math.dist(start, end) > 0.01:
            pieces.append(_upright(start, end, SKIRTING, height, fill))
            pieces.append(_upright(start, end, 0.0, SKIRTING, Material((0.93, 0.93, 0.91))))
    return pieces


def _doorway(near: Span, far: Span) -> list[Mesh]:
    """Threshold, jambs and lintel between the openings on both sides of a wall."""
    if math.dist(near[0], far[1]) < 0.01:
        return []
    frame = Material((0.9, 0.88, 0.84))
    ring = (near[0], far[1], far[0], near[1])
    jambs = [
        _upright(near[0], far[1], 0.0, DOOR_HEIGHT, frame),
        _upright(far[0], near[1], 0.0, DOOR_HEIGHT, frame),
    ]
    return [
        *jambs,
        _flat(ring[::-1], 0.0, 1.0, textured("darkwood")),
        _flat(ring[::-1], DOOR_HEIGHT, -1.0, frame),
    ]


def build(scene: Scene) -> tuple[Mesh, NDArray[np.int32]]:
    """The shell's mesh and the room number of each of its triangles."""
    rooms = outlines(scene)
    gaps = openings(rooms)
    by_edge = {(room, edge): (a, b) for room, edge, a, b in gaps}
    meshes: list[Mesh] = []
    numbers: list[int] = []
    for number, outline in enumerate(rooms):
        # Floor and ceiling.
        look = Look([scene.seed, number])
        floor, wall = look.pick(FLOORS), look.tint(look.pick(WALLS), 0.02, "plaster")
        pieces = [
            _flat(outline, 0.0, 1.0, floor.shade(look.between(0.9, 1.0))),
            _flat(outline, scene.ceiling_height, -1.0, Material((0.98, 0.98, 0.97), "plaster")),
        ]

        # Walls, and the doorways to the rooms with higher numbers.
        for edge, start in enumerate(outline):
            end = outline[(edge + 1) % len(outline)]
            pieces += _wall(start, end, by_edge.get((number, edge)), scene.ceiling_height, wall)
        for first, second in zip(gaps[::2], gaps[1::2]):
            if first[0] == number:
                pieces += _doorway(first[2:], second[2:])

        meshes += pieces
        numbers += [number] * sum(len(p.faces) for p in pieces)
    return join(meshes), np.array(numbers, np.int32)
