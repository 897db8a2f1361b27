"""Plane geometry of upright boxes: exact distances between surfaces, turns, sectors, and a robot's straight legs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..types import Box

Array = npt.NDArray[np.float64]
Point = Sequence[float]


def footprint(box: Box) -> Array:
    """(4, 2) corners of the box seen from above, counter-clockwise, metres."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    local = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * np.array(box.size[:2])
    return local @ np.array([[c, s], [-s, c]]) + np.array(box.center[:2])


def polygon_distances(shapes: Array) -> Array:
    """(n, n) distances between the areas of n convex quadrilaterals (n, 4, 2); 0 where they overlap."""
    edges = np.roll(shapes, -1, axis=1) - shapes
    reach = shapes[:, None, :, None, :] - shapes[None, :, None, :, :]
    length2 = np.maximum((edges**2).sum(-1), 1e-12)
    along = np.clip((reach * edges[None, :, None]).sum(-1) / length2[None, :, None], 0.0, 1.0)
    vertex_to_edge = np.linalg.norm(reach - along[..., None] * edges[None, :, None], axis=-1).min(axis=(2, 3))
    distance = np.minimum(vertex_to_edge, vertex_to_edge.T)
    distance[_overlap(shapes, edges)] = 0.0
    return distance


def _overlap(shapes: Array, edges: Array) -> npt.NDArray[np.bool_]:
    """(n, n) whether no edge normal of either shape separates the two (separating axes)."""
    normals = np.stack([-edges[..., 1], edges[..., 0]], axis=-1)
    shadows = np.einsum("iad,jcd->ijac", normals, shapes)
    own = np.einsum("iad,icd->iac", normals, shapes)
    low, high = own.min(-1)[:, None], own.max(-1)[:, None]
    apart = ((shadows.min(-1) > high) | (shadows.max(-1) < low)).any(-1)
    return ~(apart | apart.T)


def surface_distances(boxes: Sequence[Box]) -> Array:
    """(n, n) least distances in metres between upright boxes; exact: prisms are closest where plan and height gaps are."""
    if not boxes:
        return np.zeros((0, 0))
    plan = polygon_distances(np.stack([footprint(b) for b in boxes]))
    middle = np.array([b.center[2] for b in boxes])
    half = np.array([b.size[2] / 2 for b in boxes])
    rise = np.maximum(np.abs(middle[:, None] - middle) - half[:, None] - half, 0.0)
    return np.hypot(plan, rise)


def turn(origin: Point, ahead: Point, target: Point) -> float:
    """Degrees in (-180, 180] to turn at ``origin`` from facing ``ahead`` to facing ``target``; left is positive."""
    ax, ay = ahead[0] - origin[0], ahead[1] - origin[1]
    bx, by = target[0] - origin[0], target[1] - origin[1]
    return float(np.degrees(np.arctan2(ax * by - ay * bx, ax * bx + ay * by)))


def sector(angle: float, sectors: dict[str, tuple[float, float]]) -> str:
    """Name of the sector whose [start, stop) holds the angle, degrees counter-clockwise from ahead; stop may exceed 180."""
    return next(name for name, (start, stop) in sectors.items() if (angle - start) % 360 < stop - start)


def boundary_gap(angle: float, sectors: dict[str, tuple[float, float]]) -> float:
    """Degrees from the angle to the nearest sector boundary."""
    return min(abs((angle - edge + 180) % 360 - 180) for edges in sectors.values() for edge in edges)


def segment_clearances(start: Point, stop: Point, shapes: Array) -> Array:
    """(n,) distances from a straight leg to n convex quadrilaterals (n, 4, 2), metres."""
    leg = np.array([start, stop, stop, start], dtype=float)
    return polygon_distances(np.concatenate([leg[None], shapes]))[0, 1:]


def ray_entry(origin: Point, target: Point, shape: Array) -> float:
    """Share (0-1) of the way from ``origin`` to ``target`` at which the ray enters a convex shape; 1 if it never does."""
    o, d = np.array(origin, dtype=float), np.array(target, dtype=float) - np.array(origin, dtype=float)
    edges = np.roll(shape, -1, axis=0) - shape
    outward = np.stack([edges[:, 1], -edges[:, 0]], axis=-1)
    height, speed = ((shape - o) * outward).sum(-1), outward @ d
    entering = speed < 0
    share = float((height[entering] / speed[entering]).max()) if entering.any() else 1.0
    return min(max(share, 0.0), 1.0)


def wall_clearance(point: Point, polygon: Array) -> float:
    """Distance in metres from a point to the outline (n, 2); negative outside."""
    p, a = np.array(point, dtype=float), np.asarray(polygon, dtype=float)
    edge = np.roll(a, -1, axis=0) - a
    along = np.clip(((p - a) * edge).sum(-1) / np.maximum((edge**2).sum(-1), 1e-12), 0, 1)
    distance = float(np.linalg.norm(p - a - along[:, None] * edge, axis=-1).min())
    return distance if contains(p, a) else -distance


def contains(point: Point, polygon: Array) -> bool:
    """Whether the outline (n, 2) holds the point (even-odd rule)."""
    a = np.asarray(polygon, dtype=float)
    b = np.roll(a, -1, axis=0)
    above = (a[:, 1] > point[1]) != (b[:, 1] > point[1])
    height = np.where(above, b[:, 1] - a[:, 1], 1.0)
    crossing = a[:, 0] + (point[1] - a[:, 1]) / height * (b[:, 0] - a[:, 0])
    return bool(((point[0] < crossing) & above).sum() % 2)
