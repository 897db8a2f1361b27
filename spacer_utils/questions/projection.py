"""Where boxes and walls are in a picture, from the camera's pose alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.types import Box, Clip
from .box_geometry import Array, contains


def project(clip: Clip, frame: int, points: npt.ArrayLike) -> tuple[Array, Array]:
    """Pixels (n, 2) and depths (n,) of world points (n, 3), in metres; depth <= 0 is behind the
    camera."""
    pose, k = np.array(clip.poses[frame]), np.array(clip.intrinsics)
    local = (np.asarray(points, dtype=float) - pose[:3, 3]) @ pose[:3, :3]
    depth = local[:, 2]
    flat = local[:, :2] / np.where(np.abs(depth) < 1e-6, 1e-6, depth)[:, None]
    return flat * [k[0, 0], k[1, 1]] + k[:2, 2], depth


def eye(clip: Clip, frame: int) -> Array:
    """(3,) position of the camera, metres."""
    place: Array = np.array(clip.poses[frame])[:3, 3]
    return place


def yaws(clip: Clip) -> Array:
    """(T,) direction of view on the floor plan, degrees: increasing to the left, without jumps."""
    ahead = np.array(clip.poses)[:, :3, 2]
    heading: Array = np.degrees(np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0])))
    return heading


def into_box(points: Array, box: Box) -> Array:
    """Points (n, 3) in the box's own axes, metres from its centre."""
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
    """Whether the straight line between two points meets the box: slab test."""
    a, b = into_box(np.stack([start, stop]), box)
    half, step = np.array(box.size) / 2, b - a
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    near, far = np.sort(np.stack([(-half - a) / step, (half - a) / step]), axis=0)
    return bool(max(near.max(), 0.0) <= min(far.min(), 1.0))


def panel_corners(
    clip: Clip, frame: int, rng: np.random.Generator, aspect: float, tries: int = 12
) -> Array | None:
    """(4, 3) corners of a random panel on a wall that is wholly visible and large in the frame.

    Clockwise from the top left as the camera sees it; None if no try finds a place. A try begins
    with a random pixel, because most walls are out of view.

    Args:
        aspect: width over height of the panel.
    """
    if clip.scene.source == "scans":
        return None  # the outline of a scan is not where its walls are
    outline = np.array(clip.scene.polygon)
    edges = np.roll(outline, -1, axis=0) - outline
    for _ in range(tries):
        # The wall behind a random pixel.
        pixel = rng.uniform((0.25, 0.2), (0.75, 0.7)) * [clip.width, clip.height]
        middle, side = _on_wall(clip, frame, pixel, outline, edges)
        length = float(np.linalg.norm(edges[side]))
        along = edges[side] / length

        # The panel covers about half of the picture's width, and fits on the wall.
        distance = float(np.linalg.norm(middle - eye(clip, frame)))
        picture_width = distance * clip.width / clip.intrinsics[0][0]
        width = min(float(rng.uniform(0.36, 0.55)) * picture_width, 1.6, length - 0.2)
        half_height = width / aspect / 2
        highest = clip.scene.ceiling_height - 0.1 - half_height
        if width < 0.3 or not 0.4 + half_height < middle[2] < highest:
            continue

        # Its corners, 3 cm before the wall. The outline is counter-clockwise, so that seen from
        # inside, an edge runs from right to left.
        at_edge = (middle[:2] - outline[side]) @ along
        place = float(np.clip(at_edge, width / 2 + 0.1, length - width / 2 - 0.1))
        inward = np.array([-along[1], along[0]])
        left = outline[side] + along * (place + width / 2) + inward * 0.03
        right = left - along * width
        top, low = middle[2] + half_height, middle[2] - half_height
        corners = np.array([(*left, top), (*right, top), (*right, low), (*left, low)])
        if _shows(clip, frame, corners):
            return corners
    return None


def _on_wall(
    clip: Clip, frame: int, pixel: Array, outline: Array, edges: Array
) -> tuple[Array, int]:
    """(3,) point where the ray through a pixel first meets a wall, and the edge of that wall.

    Walls are taken to be infinitely high.
    """
    # The ray in world coordinates; 1 is a depth of 1 m.
    pose, start = np.array(clip.poses[frame]), eye(clip, frame)
    ray = pose[:3, :3] @ np.linalg.solve(np.array(clip.intrinsics), [*pixel, 1.0])

    # Intersections with the lines of all edges: how far along the ray, and which share of the edge.
    across = ray[0] * edges[:, 1] - ray[1] * edges[:, 0]
    across = np.where(np.abs(across) < 1e-9, 1e-9, across)
    gap = outline - start[:2]
    far = (gap[:, 0] * edges[:, 1] - gap[:, 1] * edges[:, 0]) / across
    share = (gap[:, 0] * ray[1] - gap[:, 1] * ray[0]) / across

    # The nearest that lies before the camera and within its edge.
    far = np.where((far > 0) & (share >= 0) & (share <= 1), far, np.inf)
    side = int(np.argmin(far))
    return start + min(float(far[side]), 1e3) * ray, side


def _shows(clip: Clip, frame: int, corners: Array) -> bool:
    """Whether the frame shows a panel with these (4, 3) corners whole, large and unhidden."""
    # Whole.
    pixels, depth = project(clip, frame, corners)
    size = np.array([clip.width, clip.height])
    if (depth < 0.3).any() or (pixels < 0.02 * size).any() or (pixels > 0.98 * size).any():
        return False

    # Large.
    wide = pixels[1, 0] - pixels[0, 0]
    high = min(pixels[3, 1] - pixels[0, 1], pixels[2, 1] - pixels[1, 1])
    if wide < 0.3 * clip.width or high < 0.08 * clip.height:
        return False

    # No wall between the camera and the corners, the middles of the edges, and the centre.
    rim = np.concatenate([corners, (corners + np.roll(corners, -1, axis=0)) / 2])
    start, targets = eye(clip, frame), np.concatenate([rim, corners.mean(0, keepdims=True)])
    shares = np.array([0.25, 0.5, 0.75])[None, :, None]
    on_lines = (start + (targets[:, None] - start) * shares).reshape(-1, 3)
    if not contains(on_lines[:, :2], np.array(clip.scene.polygon)).all():
        return False

    # No object either.
    return not any(blocked(start, t, o.box) for t in targets for o in clip.scene.objects)
