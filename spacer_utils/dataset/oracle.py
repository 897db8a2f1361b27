"""Recomputes every numeric answer by other means, for the audit.

It shares no code with ``questions.box_geometry``: boxes are sampled on their surfaces, floors are
rasterised, and instances are counted in the visibility table.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..core.types import Box, Clip, Sample

STEP = 0.04
"""Largest distance between neighbouring samples of a surface, metres."""
Array = npt.NDArray[np.float64]


def surface(box: Box, step: float = STEP) -> Array:
    """(n, 3) points on the six faces of a box, at most ``step`` metres apart."""
    # A grid through the box, of which only the points on its faces are kept.
    axes = [np.linspace(-s / 2, s / 2, max(2, int(np.ceil(s / step)) + 1)) for s in box.size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    shell = grid[(np.isclose(np.abs(grid), np.array(box.size) / 2)).any(1)]

    # Turned about z as complex numbers, and moved to the box.
    turned = (shell[:, 0] + 1j * shell[:, 1]) * np.exp(1j * box.yaw)
    points: Array = np.stack([turned.real, turned.imag, shell[:, 2]], 1) + np.array(box.center)
    return points


def inside(points: Array, box: Box) -> bool:
    """Whether any of (n, 3) points lies in the box."""
    moved = points - np.array(box.center)
    turned = (moved[:, 0] + 1j * moved[:, 1]) * np.exp(-1j * box.yaw)
    local = np.stack([turned.real, turned.imag, moved[:, 2]], 1)
    return bool((np.abs(local) <= np.array(box.size) / 2 + 1e-9).all(1).any())


def distance(a: Box, b: Box) -> float:
    """Least distance between two boxes, metres; too large by less than ``STEP``, and 0 where they
    meet."""
    p, q = surface(a), surface(b)
    if inside(p, b) or inside(q, a):
        return 0.0
    return float(cKDTree(p).query(q)[0].min())


def floor_area(clip: Clip, cells: int = 400) -> float:
    """Floor area in square metres, by counting the cells of a grid whose centre is in a room.

    Args:
        cells: cells along each side of the grid.
    """
    # Centres of the cells, as complex numbers.
    rooms = [np.array(r) for r in clip.scene.rooms or (clip.scene.polygon,)]
    low, high = np.concatenate(rooms).min(0), np.concatenate(rooms).max(0)
    sides = (high - low) / cells
    x, y = (low[k] + (np.arange(cells) + 0.5) * sides[k] for k in (0, 1))
    middle = x[:, None] + 1j * y[None]

    # The outline turns once around a point inside, and not at all around one outside.
    covered = np.zeros(middle.shape, bool)
    for room in rooms:
        corners = room[:, 0] + 1j * room[:, 1]
        turns = sum(
            np.angle((b - middle) / (a - middle)) for a, b in zip(corners, np.roll(corners, -1))
        )
        covered |= np.abs(turns) > np.pi
    return float(covered.sum() * sides[0] * sides[1])


def longest(points: Array) -> float:
    """Longest side of the smallest upright box around (n, 3) points, metres.

    The smallest of the boxes at 360 angles, a quarter of a degree apart.
    """
    angles = np.radians(np.arange(0, 90, 0.25))
    a = np.ptp(points[:, :2] @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    b = np.ptp(points[:, :2] @ np.stack([-np.sin(angles), np.cos(angles)]), axis=0)
    best = int(np.argmin(a * b))
    return float(max(a[best], b[best], np.ptp(points[:, 2])))


def opinion(sample: Sample, clip: Clip) -> tuple[float, float] | None:
    """(value, tolerance) of a numeric question in the unit of its answer; None for questions that
    are not recomputed."""
    things = clip.scene.objects
    boxes = [[o.box for o in things if o.category == c] for c in sample.categories]
    if sample.question_type == "object_counting":
        ids = [
            i
            for i in clip.visible_share
            if any(o.instance_id == i and o.category == sample.categories[0] for o in things)
        ]
        return float(len(ids)), 0.0
    if sample.question_type == "object_abs_distance":
        return distance(boxes[0][0], boxes[1][0]), 0.05 + STEP
    if sample.question_type == "object_size_estimation":
        return 100 * longest(surface(boxes[0][0])), 1.0
    if sample.question_type == "room_size_estimation":
        return floor_area(clip), 0.05 + 0.01 * clip.scene.floor_area
    if sample.question_type == "general_regression" and sample.categories:
        frame = re.search(r"-f(\d+)\.", sample.path)
        ids = [o.instance_id for o in things if o.category == sample.categories[0]]
        return (100 * clip.visible_share[ids[0]][int(frame.group(1))], 0.06) if frame else None
    return None
