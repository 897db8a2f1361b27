"""Geometry of upright boxes on the floor plan: distances, turns, sectors, and a robot's path.

An angle is in degrees, counter-clockwise. A footprint is the (4, 2) corners of a box, metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..core.types import Box

Array = npt.NDArray[np.float64]
Point = Sequence[float] | Array


def footprint(box: Box) -> Array:
    """(4, 2) corners of the box seen from above, counter-clockwise; metres."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    local = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * np.array(box.size[:2])
    corners: Array = local @ np.array([[c, s], [-s, c]]) + np.array(box.center[:2])
    return corners


def plan_distances(a: Array, b: Array) -> Array:
    """(n, m) distances between convex quadrilaterals (n, 4, 2) and (m, 4, 2); 0 where they
    overlap."""
    # The shortest line between two convex shapes begins or ends in a corner.
    distance = np.minimum(_corner_distances(a, b), _corner_distances(b, a).T)
    distance[~(_apart(a, b) | _apart(b, a).T)] = 0.0
    return distance


def _corner_distances(corners: Array, shapes: Array) -> Array:
    """(n, m) least distance from any corner of n shapes to any edge of m others."""
    # (n, m, corner, edge, 2) from each edge's start to each corner.
    edges = np.roll(shapes, -1, axis=1) - shapes
    from_start = corners[:, None, :, None, :] - shapes[None, :, None, :, :]

    # Nearest point of the edge, as a share of it.
    length2 = np.maximum((edges**2).sum(-1), 1e-12)[None, :, None]
    along = (from_start * edges[None, :, None]).sum(-1) / length2
    gap = from_start - np.clip(along, 0.0, 1.0)[..., None] * edges[None, :, None]

    nearest: Array = np.sqrt((gap**2).sum(-1).min(axis=(2, 3)))
    return nearest


def _apart(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    """(n, m) whether the normal of an edge of the first shape separates the two shapes."""
    edges = np.roll(a, -1, axis=1) - a
    normals = np.stack([-edges[..., 1], edges[..., 0]], axis=-1)

    # Intervals that both shapes cover along each normal.
    own, other = np.einsum("iad,icd->iac", normals, a), np.einsum("iad,jcd->ijac", normals, b)
    low, high = own.min(-1)[:, None], own.max(-1)[:, None]
    separated: npt.NDArray[np.bool_] = ((other.min(-1) > high) | (other.max(-1) < low)).any(-1)
    return separated


def surface_distances(boxes: Sequence[Box]) -> Array:
    """(n, n) least distances between upright boxes, metres; exact.

    The gap on the floor plan and the gap in height don't depend on each other, so the distance is
    their hypotenuse.
    """
    if not boxes:
        return np.zeros((0, 0))
    shapes = np.stack([footprint(b) for b in boxes])
    plan_gap = plan_distances(shapes, shapes)

    middle = np.array([b.center[2] for b in boxes])
    half = np.array([b.size[2] / 2 for b in boxes])
    height_gap = np.maximum(np.abs(middle[:, None] - middle) - half[:, None] - half, 0.0)

    distances: Array = np.hypot(plan_gap, height_gap)
    return distances


def leg_clearance(start: Point, stop: Point, shapes: Array) -> float:
    """Metres from a straight leg of a path to the nearest of (n, 4, 2) footprints; infinite if n is
    0."""
    leg = np.array([[start, stop, stop, start]], dtype=float)
    return float(plan_distances(leg, shapes).min()) if len(shapes) else np.inf


def ray_entry(origin: Array, target: Array, shape: Array) -> float:
    """Share (0-1) of the way from ``origin`` to ``target`` at which it enters a convex (k, 2)
    polygon; 1 if it never does."""
    edges = np.roll(shape, -1, axis=0) - shape
    outward = np.stack([edges[:, 1], -edges[:, 0]], axis=-1)

    # The ray crosses edge k's line inwards at share height / speed; it is in after the last one.
    height, speed = ((shape - origin) * outward).sum(-1), outward @ (target - origin)
    entering = speed < 0
    share = float((height[entering] / speed[entering]).max()) if entering.any() else 1.0
    return min(max(share, 0.0), 1.0)


def wall_clearance(points: Array, outline: Array) -> Array:
    """(n,) metres from (n, 2) points to the walls of an (m, 2) floor outline; negative outside."""
    # Nearest point of each edge, as a share of it.
    edges = np.roll(outline, -1, axis=0) - outline
    from_start = points[:, None] - outline
    length2 = np.maximum((edges**2).sum(-1), 1e-12)
    along = np.clip((from_start * edges).sum(-1) / length2, 0.0, 1.0)

    distance = np.sqrt(((from_start - along[..., None] * edges) ** 2).sum(-1).min(1))
    signed: Array = np.where(contains(points, outline), distance, -distance)
    return signed


def contains(points: Array, outline: Array) -> npt.NDArray[np.bool_]:
    """(n,) which (n, 2) points lie in an (m, 2) outline: even-odd rule."""
    x, y = points[:, :1], points[:, 1:]
    a, b = outline, np.roll(outline, -1, axis=0)

    # Edges that cross the point's height, and where they do.
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    height = np.where(crosses, b[:, 1] - a[:, 1], 1.0)
    crossing_x = a[:, 0] + (y - a[:, 1]) / height * (b[:, 0] - a[:, 0])

    # Inside, an odd number of them lies to the right.
    inside: npt.NDArray[np.bool_] = ((x < crossing_x) & crosses).sum(1) % 2 == 1
    return inside
