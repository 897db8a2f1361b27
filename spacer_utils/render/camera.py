"""Where a hand-held camera goes in a room, and what it can be expected to see from there.

Poses are (T, 4, 4) camera-to-world matrices with OpenCV axes (x right, y down, z forward), metres.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from ..core.types import Scene, WorkbookError
from ..scenes.floor_plan import CELL, Floats, contains, free_floor

FIELD_OF_VIEW = 70.0
"""Horizontal, degrees: the main camera of a phone spans 55 to 70."""
EYE_HEIGHT, PITCH = (1.5, 0.08), (-18.0, 4.0)
"""Mean and deviation: metres above the floor, degrees above the horizon."""
NOD = 12.0
"""Degrees by which the camera looks up and down meanwhile, once or twice."""
WALKING_SPEED = 0.8
"""Metres per second."""
CANDIDATES = 8
"""Spots or paths that are compared: seen objects and frames that show one count, as shares."""
TRAJECTORIES = ("sweep", "walk")
_PROBES = np.array([(0, 0, 0), (0.6, 0, 0.6), (-0.6, 0, 0.6), (0, 0.6, 0.6), (0, -0.6, 0.6)])
"""Points of a box, in units of its half sides, of which one in view makes the object count as
glimpsed."""
_SAME_SPOT = 0.06
"""Cameras nearer than this share their occlusion test, metres."""


def intrinsics(width: int, height: int) -> Floats:
    """(3, 3) pinhole matrix, pixels, principal point in the middle."""
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    return np.array([(focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1.0)])


def poses(eyes: Floats, yaw: Floats, pitch: Floats, roll: Floats) -> Floats:
    """Cameras at (T, 3) ``eyes`` that look along ``yaw`` (about +z from +x) and ``pitch`` (up is
    positive); (T,) radians."""
    zero = np.zeros_like(yaw)
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], 1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), zero], 1)
    down = np.stack([np.cos(yaw) * np.sin(pitch), np.sin(yaw) * np.sin(pitch), -np.cos(pitch)], 1)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    result = np.tile(np.eye(4), (len(eyes), 1, 1))
    result[:, :3, 0], result[:, :3, 1] = c * right + s * down, c * down - s * right
    result[:, :3, 2], result[:, :3, 3] = forward, eyes
    return result


def trajectory(
    scene: Scene,
    kind: str,
    frames: int,
    fps: float,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> Floats:
    """Poses inside the free floor from which, as far as possible, every object is seen.

    ``sweep`` turns once around in place, to the right: the few frames that a model is given of it
    hardly overlap, and would leave open which way it went, and with it left and right of the whole
    room. It begins square to a random wall: from frames this small no model of the nano's size told
    in 800 steps by how much a turn began askew. ``walk`` goes through the room and turns once
    around meanwhile, either way. A flat of several rooms is always walked, with a turn for each.
    The first frame of a walk looks along a random room axis within 30 degrees, so that a map turned
    to the axis nearest to the first view is never a toss-up.

    Raises:
        WorkbookError: unknown kind, or the room has no floor to stand on.
    """
    if kind not in TRAJECTORIES:
        raise WorkbookError(f"unknown trajectory {kind!r}. Known: {', '.join(TRAJECTORIES)}.")
    ground = Ground(scene)
    matrix = intrinsics(width, height)
    eye_height = min(float(np.clip(rng.normal(*EYE_HEIGHT), 1.3, 1.7)), scene.ceiling_height - 0.2)
    turns = max(1, len(scene.rooms))
    best, most = np.empty((0, 4, 4)), -1.0
    for _ in range(CANDIDATES):
        still = kind == "sweep" and not scene.rooms
        path = (
            ground.spot(rng, frames) if still else ground.path(rng, frames, fps, bool(scene.rooms))
        )
        shake = _hand(rng, frames)
        start = rng.integers(4) * math.pi / 2 + (
            0.0 if still else rng.uniform(-math.pi / 6, math.pi / 6)
        )
        way = rng.choice([-1, 1])
        yaw = start + (-1 if still else way) * np.arange(frames) * 2 * math.pi * turns / frames
        nod = np.sin(
            np.arange(frames) * 2 * math.pi * rng.integers(1, 3) / frames
            + rng.uniform(0, 2 * math.pi)
        )
        pitch = np.radians(rng.normal(*PITCH) + NOD * nod)
        eyes = np.column_stack([path, np.full(frames, eye_height)]) + shake[:, :3]
        option = poses(eyes, yaw + shake[:, 3], pitch + shake[:, 4], shake[:, 5])
        seen = glimpsed(scene, option[:: max(1, frames // 16)], matrix, width, height)
        score = float(seen.any(0).mean() + seen.any(1).mean())
        if score > most:
            best, most = option, score
    return best


def _hand(rng: np.random.Generator, frames: int) -> Floats:
    """(T, 6) smooth tremor: x, y, z in metres, then yaw, pitch, roll in radians."""
    noise = rng.standard_normal((frames + 2, 6))
    smooth = np.clip((noise[:-2] + 2 * noise[1:-1] + noise[2:]) / math.sqrt(6), -2.5, 2.5)
    tremor: Floats = smooth * np.array([0.012, 0.012, 0.012, 0.02, 0.02, 0.012])
    return tremor


class Ground:
    """Where a person can stand in a scene: the largest connected part of its free floor.

    Raises:
        WorkbookError: there is none, even for a very thin person.
    """

    def __init__(self, scene: Scene) -> None:
        for radius in (0.3, 0.22, 0.12, 0.06):
            self.floor = free_floor(scene, radius)
            self.floor.free = self.floor.largest()
            self.points = self.floor.points(self.floor.free)
            if len(self.points) >= 8:
                return
        raise WorkbookError(
            f"scene {scene.scene_id}: no floor to stand on among {len(scene.objects)} objects."
        )

    def spot(self, rng: np.random.Generator, frames: int) -> Floats:
        """(T, 2) one place, the roomiest of a few."""
        picks = rng.integers(len(self.points), size=6)
        return np.tile(self.points[picks[int(np.argmax(self.room[picks]))]], (frames, 1))

    def path(self, rng: np.random.Generator, frames: int, fps: float, whole: bool) -> Floats:
        """(T, 2) a smoothed walk between far-apart places, at walking speed, or as fast as a
        ``whole`` flat demands."""
        stops = [int(rng.integers(len(self.points)))]
        nearest = np.full(len(self.points), np.inf)
        for _ in range(5 if whole else 3):
            nearest = np.minimum(nearest, np.hypot(*(self.points - self.points[stops[-1]]).T))
            stops.append(int(np.argmax(nearest * rng.uniform(0.6, 1.0, len(nearest)))))
        points = self.points[self._visit(stops)]
        padded = np.concatenate([points[:1].repeat(2, 0), points, points[-1:].repeat(2, 0)])
        points = np.stack([np.convolve(padded[:, k], np.ones(5) / 5, "valid") for k in (0, 1)], 1)
        travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        at = np.linspace(
            0, travelled[-1] if whole else min(travelled[-1], WALKING_SPEED * frames / fps), frames
        )
        path = np.stack([np.interp(at, travelled, points[:, k]) for k in (0, 1)], 1)
        astray = np.flatnonzero(~self.floor.is_free(path))
        for k in astray:
            path[k] = self.points[np.argmin(np.hypot(*(self.points - path[k]).T))]
        return path

    def _visit(self, stops: list[int]) -> list[int]:
        """Nodes of a walk from the first stop to the others, always to the nearest next."""
        walk, remaining = stops[:1], stops[1:]
        while remaining:
            distance, before = dijkstra(self.graph, indices=walk[-1], return_predecessors=True)
            goal = min(remaining, key=lambda stop: distance[stop])
            remaining.remove(goal)
            leg = [goal]
            while leg[-1] != walk[-1]:
                leg.append(int(before[leg[-1]]))
            walk += leg[-2::-1]
        return walk

    @functools.cached_property
    def room(self) -> Floats:
        """(N,) cells between each place and the nearest obstacle."""
        reach: Floats = ndimage.distance_transform_edt(np.pad(self.floor.free, 1))[1:-1, 1:-1][
            self.floor.free
        ]
        return reach

    @functools.cached_property
    def graph(self) -> csr_array:
        """Sparse graph of the places, eight neighbours, weights in metres."""
        index: npt.NDArray[np.int64] = np.full(self.floor.free.shape, -1)
        index[self.floor.free] = np.arange(len(self.points))
        rows, columns, weights = [], [], []
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = index[: index.shape[0] - dr, max(0, -dc) : index.shape[1] - max(0, dc)]
            b = index[dr:, max(0, dc) : index.shape[1] + min(0, dc)]
            both = (a >= 0) & (b >= 0)
            rows += [a[both], b[both]]
            columns += [b[both], a[both]]
            weights.append(np.full(2 * int(both.sum()), CELL * math.hypot(dr, dc)))
        shape = (len(self.points), len(self.points))
        return coo_array(
            (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=shape
        ).tocsr()


def glimpsed(
    scene: Scene, cameras: Floats, matrix: Floats, width: int, height: int
) -> npt.NDArray[np.bool_]:
    """(T, N) in which frames a point of each object's box is in view with no other box before it;
    boxes only, no rendering."""
    center = np.array([o.box.center for o in scene.objects]).reshape(-1, 3)
    half = np.array([o.box.size for o in scene.objects]).reshape(-1, 3) / 2
    yaw = np.array([o.box.yaw for o in scene.objects])
    c, s, zero = np.cos(yaw), np.sin(yaw), np.zeros(len(yaw))
    turn = np.array([(c, -s, zero), (s, c, zero), (zero, zero, zero + 1)]).transpose(2, 0, 1)
    points = center[:, None] + np.einsum("nij,npj->npi", turn, _PROBES[None] * half[:, None])
    view = (points[None] - cameras[:, None, None, :3, 3]) @ cameras[:, None, :3, :3]
    depth = np.maximum(view[..., 2], 1e-6)
    x, y = (
        matrix[0, 0] * view[..., 0] / depth + width / 2,
        matrix[1, 1] * view[..., 1] / depth + height / 2,
    )
    inside = (view[..., 2] > 0.2) & (x > 0) & (x < width) & (y > 0) & (y < height)
    eye, hidden = np.full(3, np.inf), np.zeros(points.shape[:2], dtype=bool)
    for k, camera in enumerate(cameras):
        if np.abs(camera[:3, 3] - eye).max() > _SAME_SPOT:
            eye = camera[:3, 3]
            hidden = _hidden(eye, points, center, half, turn)
        inside[k] &= ~hidden
    return np.asarray(inside.any(2))


def _hidden(
    eye: Floats, points: Floats, center: Floats, half: Floats, turn: Floats
) -> npt.NDArray[np.bool_]:
    """(N, P) does the segment from ``eye`` to each point of object n pass through another object's
    box? Slab test."""
    start = np.einsum("nji,nj->ni", turn, eye - center)
    ray = np.einsum("nji,mpj->mpni", turn, points - eye)
    inverse = 1 / np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    a, b = (-half - start) * inverse, (half - start) * inverse
    enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    hit = (enter < leave) & (enter > 0) & (enter < 0.98)
    own = np.arange(len(center))
    hit[own, :, own] = False
    return np.asarray(hit.any(2))


def inside_room(scene: Scene, cameras: Floats) -> bool:
    """Do all cameras stand within the outline?"""
    return bool(contains(scene.polygon, cameras[:, :2, 3]).all())
