"""What a camera sees of boxes and walls, from poses alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.types import Box, Clip
from .box_geometry import Array, contains


def project(clip: Clip, frame: int, points: npt.ArrayLike) -> tuple[Array, Array]:
    """Pixels (n, 2) and depths (n,) in metres of points (n, 3); a point behind the camera has depth
    <= 0."""
    pose, k = np.array(clip.poses[frame]), np.array(clip.intrinsics)
    local = (np.asarray(points, dtype=float) - pose[:3, 3]) @ pose[:3, :3]
    depth = local[:, 2]
    flat = local[:, :2] / np.where(np.abs(depth) < 1e-6, 1e-6, depth)[:, None]
    return flat * [k[0, 0], k[1, 1]] + k[:2, 2], depth


def eye(clip: Clip, frame: int) -> Array:
    """(3,) the camera's place, metres."""
    place: Array = np.array(clip.poses[frame])[:3, 3]
    return place


def yaws(clip: Clip) -> Array:
    """(T,) heading in degrees, unwrapped; a turn to the left grows it."""
    ahead = np.array(clip.poses)[:, :3, 2]
    heading: Array = np.degrees(np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0])))
    return heading


def into_box(points: Array, box: Box) -> Array:
    """Points (n, 3) in the box's own frame, metres from its centre."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    local: Array = (np.asarray(points, dtype=float) - np.array(box.center)) @ np.array(
        [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    )
    return local


def distance_to_box(point: Array, box: Box) -> float:
    """Metres from a point to the box's surface; 0 inside."""
    gap = np.maximum(np.abs(into_box(point[None], box)[0]) - np.array(box.size) / 2, 0)
    return float(np.linalg.norm(gap))


def blocked(start: Array, stop: Array, box: Box) -> bool:
    """Whether the straight line between two points meets the box (slabs)."""
    a, b = into_box(np.stack([start, stop]), box)
    half, step = np.array(box.size) / 2, b - a
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    near, far = np.sort(np.stack([(-half - a) / step, (half - a) / step]), axis=0)
    return bool(max(near.max(), 0.0) <= min(far.min(), 1.0))


def panel_corners(
    clip: Clip, frame: int, rng: np.random.Generator, aspect: float, tries: int = 12
) -> Array | None:
    """(4, 3) corners of a panel on a wall that the frame shows whole, large and unhidden; None
    where it shows no such place.

    Clockwise from the top left as the camera sees it. Pixels are tried rather than walls: most
    walls are out of view.
    """
    if clip.scene.source == "scans":
        return None  # the outline of a scan is not where its walls are
    outline = np.array(clip.scene.polygon)
    edges = np.roll(outline, -1, axis=0) - outline
    for _ in range(tries):
        middle, side = _on_wall(
            clip,
            frame,
            rng.uniform((0.25, 0.2), (0.75, 0.7)) * [clip.width, clip.height],
            outline,
            edges,
        )
        length = float(np.linalg.norm(edges[side]))
        along = edges[side] / length
        reach = (
            float(np.linalg.norm(middle - eye(clip, frame))) * clip.width / clip.intrinsics[0][0]
        )
        width = min(float(rng.uniform(0.36, 0.55)) * reach, 1.6, length - 0.2)
        if (
            width < 0.3
            or not 0.4 + width / aspect / 2
            < middle[2]
            < clip.scene.ceiling_height - 0.1 - width / aspect / 2
        ):
            continue
        # Seen from inside a counter-clockwise outline the wall runs from left to right against its
        # direction.
        place = float(
            np.clip((middle[:2] - outline[side]) @ along, width / 2 + 0.1, length - width / 2 - 0.1)
        )
        left = outline[side] + along * (place + width / 2) + np.array([-along[1], along[0]]) * 0.03
        right, top, low = (
            left - along * width,
            middle[2] + width / aspect / 2,
            middle[2] - width / aspect / 2,
        )
        corners = np.array([(*left, top), (*right, top), (*right, low), (*left, low)])
        if _shows(clip, frame, corners):
            return corners
    return None


def _on_wall(
    clip: Clip, frame: int, pixel: Array, outline: Array, edges: Array
) -> tuple[Array, int]:
    """Where the line of sight through a pixel first meets the outline's walls (taken to be of any
    height), and which one."""
    pose, start = np.array(clip.poses[frame]), eye(clip, frame)
    ray = pose[:3, :3] @ np.linalg.solve(np.array(clip.intrinsics), [*pixel, 1.0])
    across = ray[0] * edges[:, 1] - ray[1] * edges[:, 0]
    across = np.where(np.abs(across) < 1e-9, 1e-9, across)
    gap = outline - start[:2]
    far = (gap[:, 0] * edges[:, 1] - gap[:, 1] * edges[:, 0]) / across
    share = (gap[:, 0] * ray[1] - gap[:, 1] * ray[0]) / across
    far = np.where((far > 0) & (share >= 0) & (share <= 1), far, np.inf)
    side = int(np.argmin(far))
    return start + min(float(far[side]), 1e3) * ray, side


def _shows(clip: Clip, frame: int, corners: Array) -> bool:
    pixels, depth = project(clip, frame, corners)
    size = np.array([clip.width, clip.height])
    if (depth < 0.3).any() or (pixels < 0.02 * size).any() or (pixels > 0.98 * size).any():
        return False
    wide, high = (
        pixels[1, 0] - pixels[0, 0],
        min(pixels[3, 1] - pixels[0, 1], pixels[2, 1] - pixels[1, 1]),
    )
    if wide < 0.3 * clip.width or high < 0.08 * clip.height:
        return False
    rim = np.concatenate([corners, (corners + np.roll(corners, -1, axis=0)) / 2])
    start, targets = eye(clip, frame), np.concatenate([rim, corners.mean(0, keepdims=True)])
    lines = (
        start + (targets[:, None] - start) * np.array([0.25, 0.5, 0.75])[None, :, None]
    ).reshape(-1, 3)
    return bool(
        contains(lines[:, :2], np.array(clip.scene.polygon)).all()
        and not any(blocked(start, t, o.box) for t in targets for o in clip.scene.objects)
    )
