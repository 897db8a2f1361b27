"""Plane geometry of upright boxes: exact distances between surfaces, turns, sectors, and a robot's
straight legs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..core.types import Box

Array = npt.NDArray[np.float64]
Point = Sequence[float] | Array


def footprint(box: Box) -> Array:
    """(4, 2) corners of the box seen from above, counter-clockwise, metres."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    local = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * np.array(box.size[:2])
    corners: Array = local @ np.array([[c, s], [-s, c]]) + np.array(box.center[:2])
    return corners


def plan_distances(a: Array, b: Array) -> Array:
    """(n, m) distances between the areas of convex quadrilaterals (n, 4, 2) and (m, 4, 2); 0 where
    they overlap."""
    distance = np.minimum(_corner_distances(a, b), _corner_distances(b, a).T)
    distance[~(_apart(a, b) | _apart(b, a).T)] = 0.0
    return distance


def _corner_distances(corners: Array, shapes: Array) -> Array:
    """(n, m) from the corners of n shapes to the nearest edge of m others."""
    edges = np.roll(shapes, -1, axis=1) - shapes
    reach = corners[:, None, :, None, :] - shapes[None, :, None, :, :]
    along = (reach * edges[None, :, None]).sum(-1) / np.maximum((edges**2).sum(-1), 1e-12)[
        None, :, None
    ]
    gap = reach - np.clip(along, 0.0, 1.0)[..., None] * edges[None, :, None]
    nearest: Array = np.sqrt((gap**2).sum(-1).min(axis=(2, 3)))
    return nearest


def _apart(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    """(n, m) whether a normal of an edge of the first shape separates the two (separating axes)."""
    edges = np.roll(a, -1, axis=1) - a
    normals = np.stack([-edges[..., 1], edges[..., 0]], axis=-1)
    own, other = np.einsum("iad,icd->iac", normals, a), np.einsum("iad,jcd->ijac", normals, b)
    low, high = own.min(-1)[:, None], own.max(-1)[:, None]
    separated: npt.NDArray[np.bool_] = ((other.min(-1) > high) | (other.max(-1) < low)).any(-1)
    return separated


def surface_distances(boxes: Sequence[Box]) -> Array:
    """(n, n) least distances in metres between upright boxes; exact: prisms are closest where plan
    and height gaps are."""
    if not boxes:
        return np.zeros((0, 0))
    shapes = np.stack([footprint(b) for b in boxes])
    plan = plan_distances(shapes, shapes)
    middle = np.array([b.center[2] for b in boxes])
    half = np.array([b.size[2] / 2 for b in boxes])
    rise = np.maximum(np.abs(middle[:, None] - middle) - half[:, None] - half, 0.0)
    distances: Array = np.hypot(plan, rise)
    return distances


def leg_clearance(start: Point, stop: Point, shapes: Array) -> float:
    """Distance from a straight leg to the nearest of n convex quadrilaterals (n, 4, 2), metres;
    infinite without any."""
    leg = np.array([[start, stop, stop, start]], dtype=float)
    return float(plan_distances(leg, shapes).min()) if len(shapes) else np.inf


def ray_entry(origin: Array, target: Array, shape: Array) -> float:
    """Share (0-1) of the way from ``origin`` to ``target`` at which the ray enters a convex shape;
    1 if it never does."""
    edges = np.roll(shape, -1, axis=0) - shape
    outward = np.stack([edges[:, 1], -edges[:, 0]], axis=-1)
    height, speed = ((shape - origin) * outward).sum(-1), outward @ (target - origin)
    entering = speed < 0
    share = float((height[entering] / speed[entering]).max()) if entering.any() else 1.0
    return min(max(share, 0.0), 1.0)


def wall_clearance(points: Array, outline: Array) -> Array:
    """(n,) distances in metres from points (n, 2) to the outline (m, 2) of a floor; negative
    outside."""
    edges = np.roll(outline, -1, axis=0) - outline
    reach = points[:, None] - outline
    along = np.clip((reach * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-12), 0.0, 1.0)
    distance = np.sqrt(((reach - along[..., None] * edges) ** 2).sum(-1).min(1))
    signed: Array = np.where(contains(points, outline), distance, -distance)
    return signed


def contains(points: Array, outline: Array) -> npt.NDArray[np.bool_]:
    """(n,) whether the outline (m, 2) holds the points (n, 2): even-odd rule."""
    x, y = points[:, :1], points[:, 1:]
    a, b = outline, np.roll(outline, -1, axis=0)
    above = (a[:, 1] > y) != (b[:, 1] > y)
    height = np.where(above, b[:, 1] - a[:, 1], 1.0)
    held: npt.NDArray[np.bool_] = (
        (x < a[:, 0] + (y - a[:, 1]) / height * (b[:, 0] - a[:, 0])) & above
    ).sum(1) % 2 == 1
    return held
