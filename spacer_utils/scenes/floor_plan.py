"""Footprints, walls and free floor: the plane geometry that rooms, cameras and routes share.

A footprint is a rectangle on the floor: ``(x, y, half length, half width, yaw)``, metres and
radians. N footprints are an (N, 5) array.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..core.types import Box, Scene

Floats = npt.NDArray[np.float64]
Outline = Sequence[tuple[float, float]]
Footprint = tuple[float, float, float, float, float]
_SIGNS = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
_FOUR = ndimage.generate_binary_structure(2, 1)
CELL = 0.1
"""Side of a cell of the free-floor grid, metres."""
BODY_RADIUS = 0.22
"""Radius of a person (or robot) who walks through the room, metres."""
HEADROOM = 1.7
"""An object whose lower edge is above this height does not block the floor, metres."""
RUG_HEIGHT = 0.04
"""An object whose top is below this height can be walked over, metres."""


def footprint(box: Box) -> Footprint:
    """The footprint row of an upright box."""
    return box.center[0], box.center[1], box.size[0] / 2, box.size[1] / 2, box.yaw


def footprints(boxes: Iterable[Box]) -> Floats:
    """(N, 5) footprint rows."""
    return np.array([footprint(b) for b in boxes], dtype=np.float64).reshape(-1, 5)


def corners(rects: Floats) -> Floats:
    """(N, 4, 2) corners, counter-clockwise, of (N, 5) footprints."""
    c, s = np.cos(rects[:, 4]), np.sin(rects[:, 4])
    local = _SIGNS[None] * rects[:, None, 2:4]
    x = local[..., 0] * c[:, None] - local[..., 1] * s[:, None]
    y = local[..., 0] * s[:, None] + local[..., 1] * c[:, None]
    return np.stack([x, y], -1) + rects[:, None, :2]


def overlaps(a: Floats, b: Floats, margin: float = 0.0) -> npt.NDArray[np.bool_]:
    """(K, M): are footprints of ``a`` (K, 5) and ``b`` (M, 5) closer than ``margin`` metres?

    Separating axis test; exact for margin 0, and with a margin it may call corners too close.
    """
    delta = b[None, :, :2] - a[:, None, :2]
    apart = np.zeros(delta.shape[:2], dtype=bool)
    turn = b[None, :, 4] - a[:, None, 4]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))

    # Two rectangles are apart if they are so along one of the four side directions.
    for own, other, yaw in (
        (a[:, None], b[None], a[:, None, 4]),
        (b[None], a[:, None], b[None, :, 4]),
    ):
        c, s = np.cos(yaw), np.sin(yaw)
        along = np.abs(delta[..., 0] * c + delta[..., 1] * s)
        across = np.abs(delta[..., 1] * c - delta[..., 0] * s)
        apart |= along >= own[..., 2] + other[..., 2] * cos + other[..., 3] * sin + margin
        apart |= across >= own[..., 3] + other[..., 2] * sin + other[..., 3] * cos + margin
    return ~apart


def contains(outline: Outline, points: Floats, slack: float = 1e-6) -> npt.NDArray[np.bool_]:
    """Which (..., 2) points lie in the outline or at most ``slack`` metres outside it."""
    return inward(outline, points) >= -slack


def inward(outline: Outline, points: Floats) -> Floats:
    """Distance of (..., 2) points to the outline, metres; negative outside."""
    px, py = points[..., 0], points[..., 1]
    inside = np.zeros(px.shape, dtype=bool)
    nearest = np.full(px.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(outline, (*outline[1:], outline[0])):
        # Even-odd rule: count the edges that a ray to the right crosses.
        if y0 != y1:
            inside ^= ((y0 > py) != (y1 > py)) & (px < (x1 - x0) * (py - y0) / (y1 - y0) + x0)

        # Squared distance to the nearest point of the edge, which is the share t along it.
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        t = np.clip(((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / max(length2, 1e-12), 0, 1)
        gap2 = (px - x0 - t * (x1 - x0)) ** 2 + (py - y0 - t * (y1 - y0)) ** 2
        nearest = np.minimum(nearest, gap2)
    distance: Floats = np.where(inside, 1, -1) * np.sqrt(nearest)
    return distance


def area(outline: Outline) -> float:
    """Signed area, square metres; positive when counter-clockwise."""
    x, y = np.asarray(outline, dtype=np.float64).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def walls(outline: Outline) -> list[tuple[Floats, Floats, Floats, float]]:
    """(start, unit direction, unit normal into the room, length) of each edge.

    The outline must be counter-clockwise.
    """
    result = []
    points = np.asarray(outline, dtype=np.float64)
    for start, end in zip(points, np.roll(points, -1, axis=0)):
        length = float(np.hypot(*(end - start)))
        direction = (end - start) / length
        result.append((start, direction, np.array([-direction[1], direction[0]]), length))
    return result


def facing(x: Floats, y: Floats) -> Floats:
    """Yaw of a box whose front (its own -y side) faces the direction ``(x, y)``."""
    return np.arctan2(x, -y)


def bounding_rectangle(points: Floats) -> tuple[float, float, float]:
    """(long side, short side, yaw of the long side) of the smallest rectangle around (N, 2) points.

    Metres and radians; the yaw is searched in steps of one degree.
    """
    # Extent of the points along and across each of 90 directions.
    yaws = np.radians(np.arange(90))
    along = points @ np.stack([np.cos(yaws), np.sin(yaws)])
    across = points @ np.stack([-np.sin(yaws), np.cos(yaws)])
    a, b = np.ptp(along, axis=0), np.ptp(across, axis=0)

    # The smallest area wins.
    best = int(np.argmin(a * b))
    if a[best] >= b[best]:
        return float(a[best]), float(b[best]), float(yaws[best])
    return float(b[best]), float(a[best]), float(yaws[best] + math.pi / 2)


@dataclass
class Floor:
    """Grid of the floor that marks where the centre of a body may stand; rows run along y."""

    x0: float
    y0: float
    """Corner of the first cell, metres."""
    free: npt.NDArray[np.bool_]
    """(rows, columns)"""

    @classmethod
    def of_outline(cls, outline: Outline, radius: float = BODY_RADIUS) -> Floor:
        """The floor of an empty room: free where the walls are at least ``radius`` away."""
        points = np.asarray(outline, dtype=np.float64)
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        xs = np.arange(x0 + CELL / 2, x1, CELL)
        ys = np.arange(y0 + CELL / 2, y1, CELL)
        centres = np.stack(np.meshgrid(xs, ys), -1)
        return cls(float(x0), float(y0), inward(outline, centres) >= radius)

    def covered(self, rect: Sequence[float], radius: float = BODY_RADIUS) -> npt.NDArray[np.bool_]:
        """Cells whose centre lies in the footprint grown by ``radius`` on all four sides."""
        rows, columns = self.free.shape
        dx = self.x0 + (np.arange(columns) + 0.5) * CELL - rect[0]
        dy = (self.y0 + (np.arange(rows) + 0.5) * CELL - rect[1])[:, None]

        # Offsets in the rectangle's own axes, compared with its grown half sides.
        c, s = math.cos(rect[4]), math.sin(rect[4])
        return (np.abs(dx * c + dy * s) < rect[2] + radius) & (
            np.abs(dy * c - dx * s) < rect[3] + radius
        )

    def largest(self) -> npt.NDArray[np.bool_]:
        """The largest connected part of the free cells (four neighbours)."""
        labels, count = ndimage.label(self.free, _FOUR)
        if count == 0:
            return np.zeros_like(self.free)

        # Label 0 is what is not free.
        cells = np.bincount(labels.ravel())[1:]
        return np.asarray(labels == 1 + int(np.argmax(cells)))

    def is_free(self, points: Floats) -> npt.NDArray[np.bool_]:
        """(N,) is the cell of each (N, 2) point free? A point off the grid is not."""
        rows = np.floor((points[:, 1] - self.y0) / CELL).astype(np.int64)
        columns = np.floor((points[:, 0] - self.x0) / CELL).astype(np.int64)
        on_grid = (
            (rows >= 0)
            & (rows < self.free.shape[0])
            & (columns >= 0)
            & (columns < self.free.shape[1])
        )
        cells = self.free[np.where(on_grid, rows, 0), np.where(on_grid, columns, 0)]
        free: npt.NDArray[np.bool_] = on_grid & cells
        return free

    def points(self, cells: npt.NDArray[np.bool_]) -> Floats:
        """(N, 2) centres of the marked cells, metres."""
        rows, columns = np.nonzero(cells)
        return np.stack([self.x0 + (columns + 0.5) * CELL, self.y0 + (rows + 0.5) * CELL], 1)


def blocks_floor(box: Box) -> bool:
    """Does the box keep people off its footprint?"""
    bottom = box.center[2] - box.size[2] / 2
    return bottom < HEADROOM and bottom + box.size[2] > RUG_HEIGHT


def free_floor(scene: Scene, radius: float = BODY_RADIUS) -> Floor:
    """Where the centre of a body may stand between the scene's furniture; ``radius`` in metres."""
    floor = Floor.of_outline(scene.polygon, radius)
    for o in scene.objects:
        if blocks_floor(o.box):
            floor.free &= ~floor.covered(footprint(o.box), radius)
    return floor
