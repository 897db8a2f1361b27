"""Where a hand-held camera goes in a room, and what it can be expected to see from there.

Poses are 4 x 4 camera-to-world matrices with OpenCV axes (x right, y down, z forward), metres.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from .scenes.geometry import CELL, Floats, Floor, contains, free_floor
from .types import Scene, WorkbookError

FIELD_OF_VIEW = 70.0
"""Horizontal, degrees: the main camera of a phone held upright to sideways spans 55 to 70."""
WALKING_SPEED = 0.8
"""Metres per second."""
CANDIDATES = 6
"""Spots or paths that are compared; the one that should see most objects is filmed."""
TRAJECTORIES = ("sweep", "walk")


def intrinsics(width: int, height: int) -> Floats:
    """(3, 3) pinhole matrix, pixels, principal point in the middle."""
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    return np.array([(focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1.0)])


def pose(eye: Floats, yaw: float, pitch: float, roll: float = 0.0) -> Floats:
    """(4, 4) camera at ``eye`` looking along ``yaw`` (about +z from +x) and ``pitch`` (up is positive); radians."""
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    down = np.cross(forward, right)
    result = np.eye(4)
    result[:3, 0] = math.cos(roll) * right + math.sin(roll) * down
    result[:3, 1] = math.cos(roll) * down - math.sin(roll) * right
    result[:3, 2], result[:3, 3] = forward, eye
    return result


def trajectory(scene: Scene, kind: str, frames: int, fps: float, width: int, height: int, rng: np.random.Generator) -> Floats:
    """(T, 4, 4) poses inside the free floor from which, as far as possible, every object is seen.

    ``sweep`` turns once around in place; ``walk`` goes through the room and turns once around meanwhile. A flat of several
    rooms is always walked.

    Raises:
        WorkbookError: unknown kind, or the room has no floor to stand on.
    """
    if kind not in TRAJECTORIES:
        raise WorkbookError(f"unknown trajectory {kind!r}. Known: {', '.join(TRAJECTORIES)}.")
    floor, standing = _standing(scene)
    matrix = intrinsics(width, height)
    eye_height = min(float(np.clip(rng.normal(1.5, 0.08), 1.3, 1.7)), scene.ceiling_height - 0.2)
    shaken = _hand(rng, frames)
    options = []
    for _ in range(CANDIDATES):
        walked = kind == "walk" or len(scene.rooms) > 1
        path = _path(floor, standing, frames, fps, rng, bool(scene.rooms)) if walked else _spot(floor, standing, frames, rng)
        yaw = rng.uniform(0, 2 * math.pi) + rng.choice([-1, 1]) * np.arange(frames) * 2 * math.pi / frames
        pitch = math.radians(rng.normal(-14, 3))
        poses = np.stack([pose(np.array([*path[k], eye_height]) + shaken[k, :3], yaw[k] + shaken[k, 3], pitch + shaken[k, 4],
                               shaken[k, 5]) for k in range(frames)])
        options.append((int(glimpsed(scene, poses, matrix, width, height).sum()), poses))
    return max(options, key=lambda o: o[0])[1]


def _standing(scene: Scene) -> tuple[Floor, Floats]:
    """The walkable floor (its largest part only) and its cell centres; in a crammed room the body shrinks."""
    for radius in (0.3, 0.22, 0.12, 0.06):
        floor = free_floor(scene, radius)
        floor.free = floor.largest()
        points = floor.points(floor.free)
        if len(points) >= 8:
            return floor, points
    raise WorkbookError(f"scene {scene.scene_id}: no floor to stand on among {len(scene.objects)} objects.")


def _hand(rng: np.random.Generator, frames: int) -> Floats:
    """(T, 6) smooth tremor: x, y, z in metres, then yaw, pitch, roll in radians."""
    noise = rng.standard_normal((frames + 2, 6))
    smooth = np.clip((noise[:-2] + 2 * noise[1:-1] + noise[2:]) / math.sqrt(6), -2.5, 2.5)
    tremor: Floats = smooth * np.array([0.012, 0.012, 0.012, 0.02, 0.02, 0.012])
    return tremor


def _spot(floor: Floor, standing: Floats, frames: int, rng: np.random.Generator) -> Floats:
    """(T, 2) the arm's circle around one spot; spots far from furniture are likelier."""
    picks = standing[rng.integers(len(standing), size=6)]
    spot: Floats = picks[int(np.argmax(_clearance(floor, picks)))]
    return np.tile(spot, (frames, 1))


def _clearance(floor: Floor, points: Floats) -> Floats:
    """Number of free cells within half a metre of each point."""
    cells = floor.points(floor.free)
    near = np.hypot(*(points[:, None] - cells[None]).transpose(2, 0, 1)) < 0.5
    count: Floats = near.sum(1, dtype=np.float64)
    return count


def _path(floor: Floor, standing: Floats, frames: int, fps: float, rng: np.random.Generator, whole: bool) -> Floats:
    """(T, 2) a smoothed walk over free cells between far-apart spots; at walking speed, or as fast as a ``whole`` flat needs."""
    stops = [int(rng.integers(len(standing)))]
    for _ in range(5 if whole else 3):
        gap = np.min(np.hypot(*(standing[:, None] - standing[stops][None]).transpose(2, 0, 1)), axis=1)
        stops.append(int(np.argmax(gap * rng.uniform(0.6, 1.0, len(gap)))))
    graph = _graph(floor)
    cells = [stops[0]]
    remaining = stops[1:]
    while remaining:
        distance, before = dijkstra(graph, indices=cells[-1], return_predecessors=True)
        goal = min(remaining, key=lambda s: distance[s])
        remaining.remove(goal)
        leg = [goal]
        while leg[-1] != cells[-1]:
            leg.append(int(before[leg[-1]]))
        cells += leg[-2::-1]
    points = standing[cells]
    if len(points) > 2:
        padded = np.concatenate([points[:1].repeat(2, 0), points, points[-1:].repeat(2, 0)])
        points = np.stack([np.convolve(padded[:, k], np.ones(5) / 5, "valid") for k in (0, 1)], 1)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    length = travelled[-1] if whole else min(travelled[-1], WALKING_SPEED * frames / fps)
    at = np.linspace(0, length, frames)
    return np.stack([np.interp(at, travelled, points[:, k]) for k in (0, 1)], 1)


def _graph(floor: Floor) -> coo_array:
    """Sparse graph of the free cells, eight neighbours, weights in metres; nodes in the order of ``Floor.points``."""
    index: npt.NDArray[np.int64] = np.full(floor.free.shape, -1)
    index[floor.free] = np.arange(int(floor.free.sum()))
    rows, columns, weights = [], [], []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = index[: index.shape[0] - dr, max(0, -dc): index.shape[1] - max(0, dc)]
        b = index[dr:, max(0, dc): index.shape[1] + min(0, dc)]
        both = (a >= 0) & (b >= 0)
        rows += [a[both], b[both]]
        columns += [b[both], a[both]]
        weights.append(np.full(2 * int(both.sum()), CELL * math.hypot(dr, dc)))
    n = int(floor.free.sum())
    return coo_array((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n)).tocsr()


def glimpsed(scene: Scene, poses: Floats, matrix: Floats, width: int, height: int) -> npt.NDArray[np.bool_]:
    """(N,) which objects have a point of their box in some frame with no other box before it; boxes only, no rendering."""
    if not scene.objects:
        return np.zeros(0, dtype=bool)
    center = np.array([o.box.center for o in scene.objects])
    half = np.array([o.box.size for o in scene.objects]) / 2
    yaw = np.array([o.box.yaw for o in scene.objects])
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.stack([np.stack([c, -s, 0 * c], -1), np.stack([s, c, 0 * c], -1), np.tile([0.0, 0, 1], (len(c), 1))], 1)
    local = np.array([(0, 0, 0), (0.6, 0, 0.6), (-0.6, 0, 0.6), (0, 0.6, 0.6), (0, -0.6, 0.6)])
    points = center[:, None] + np.einsum("nij,npj->npi", turn, local[None] * half[:, None])
    seen = np.zeros(len(center), dtype=bool)
    for pose_ in poses:
        view = (points - pose_[:3, 3]) @ pose_[:3, :3]
        depth = np.maximum(view[..., 2], 1e-6)
        x, y = matrix[0, 0] * view[..., 0] / depth + width / 2, matrix[1, 1] * view[..., 1] / depth + height / 2
        inside = (view[..., 2] > 0.2) & (x > 0) & (x < width) & (y > 0) & (y < height)
        inside[seen] = False
        which, point = np.nonzero(inside)
        if len(which):
            hidden = _hidden(pose_[:3, 3], points[which, point], which, center, half, turn)
            seen[which[~hidden]] = True
    return seen


def _hidden(eye: Floats, targets: Floats, owner: npt.NDArray[np.int64], center: Floats, half: Floats,
            turn: Floats) -> npt.NDArray[np.bool_]:
    """(M,) does the segment from ``eye`` to each target pass through a box that is not the target's own? Slab test."""
    start = np.einsum("nji,nj->ni", turn, eye - center)
    ray = np.einsum("nji,mj->mni", turn, targets - eye)
    ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    a, b = (-half - start) / ray, (half - start) / ray
    enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    hit = (enter < leave) & (enter > 0) & (enter < 0.98)
    hit[np.arange(len(owner)), owner] = False
    return np.asarray(hit.any(1))


def inside_room(scene: Scene, poses: Floats) -> bool:
    """Do all cameras stand within the outline?"""
    return bool(contains(scene.polygon, poses[:, :2, 3]).all())
