"""Trajectories of a hand-held camera in a room, and a quick test of what it sees.

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
"""Mean and standard deviation: metres above the floor, degrees above the horizon."""
NOD = 12.0
"""Amplitude of the slow up and down of the view, degrees; one or two periods in a clip."""
WALKING_SPEED = 0.8
"""Metres per second."""
CANDIDATES = 8
"""Random trajectories that are compared; the one that sees most is taken."""
TRAJECTORIES = ("sweep", "walk")
_PROBES = np.array([(0, 0, 0), (0.6, 0, 0.6), (-0.6, 0, 0.6), (0, 0.6, 0.6), (0, -0.6, 0.6)])
"""Points of a box that are tested for visibility, in units of its half sides."""
_SAME_SPOT = 0.06
"""Cameras nearer to each other than this share one occlusion test, metres."""


def intrinsics(width: int, height: int) -> Floats:
    """(3, 3) pinhole matrix, pixels, principal point in the middle."""
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    return np.array([(focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1.0)])


def poses(eyes: Floats, yaw: Floats, pitch: Floats, roll: Floats) -> Floats:
    """(T, 4, 4) poses from positions and angles.

    Args:
        eyes: (T, 3) positions, metres.
        yaw: (T,) direction of view about +z, from +x; radians.
        pitch: (T,) angle above the horizon, radians.
        roll: (T,) turn about the direction of view, radians.
    """
    # The camera's axes without roll.
    zero = np.zeros_like(yaw)
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], 1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), zero], 1)
    down = np.stack([np.cos(yaw) * np.sin(pitch), np.sin(yaw) * np.sin(pitch), -np.cos(pitch)], 1)

    # Roll turns right and down about forward.
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
    """(T, 4, 4) poses above the free floor that see as many of the objects as possible.

    ``sweep`` stays in one place and turns once around, always to the right. The direction is fixed
    because the few frames that a model gets hardly overlap: they would not show whether the camera
    turned left or right, and so not which side of the room is left. The first view is parallel to a
    room axis: with small frames, a model of the nano's size had not learnt in 800 steps to read the
    angle of a first view in between.

    ``walk`` goes through the room and turns once around on the way, left or right. The first view
    is within 30 degrees of a room axis, so that the room axis nearest to it is never in doubt: that
    axis is a cognitive map's. A flat of several rooms is always walked, with one turn per room.

    Raises:
        WorkbookError: unknown kind, or the room has no floor to stand on.
    """
    if kind not in TRAJECTORIES:
        raise WorkbookError(f"unknown trajectory {kind!r}. Known: {', '.join(TRAJECTORIES)}.")
    ground = Ground(scene)
    matrix = intrinsics(width, height)
    eye_height = min(float(np.clip(rng.normal(*EYE_HEIGHT), 1.3, 1.7)), scene.ceiling_height - 0.2)
    still = kind == "sweep" and not scene.rooms
    turns = max(1, len(scene.rooms))
    best, most = np.empty((0, 4, 4)), -1.0
    for _ in range(CANDIDATES):
        # Positions.
        path = (
            ground.spot(rng, frames) if still else ground.path(rng, frames, fps, bool(scene.rooms))
        )
        tremor = _tremor(rng, frames)
        eyes = np.column_stack([path, np.full(frames, eye_height)]) + tremor[:, :3]

        # Direction of view: a steady turn.
        axis = rng.integers(4) * math.pi / 2
        start = axis + (0.0 if still else rng.uniform(-math.pi / 6, math.pi / 6))
        either_way = rng.choice([-1, 1])
        way = -1 if still else either_way
        yaw = start + way * np.arange(frames) * 2 * math.pi * turns / frames

        # Up and down: a sine with one or two periods.
        periods, phase = rng.integers(1, 3), rng.uniform(0, 2 * math.pi)
        nod = np.sin(np.arange(frames) * 2 * math.pi * periods / frames + phase)
        pitch = np.radians(rng.normal(*PITCH) + NOD * nod)

        # Score: share of objects seen at all, plus share of frames that show any object.
        candidate = poses(eyes, yaw + tremor[:, 3], pitch + tremor[:, 4], tremor[:, 5])
        seen = glimpsed(scene, candidate[:: max(1, frames // 16)], matrix, width, height)
        score = float(seen.any(0).mean() + seen.any(1).mean())
        if score > most:
            best, most = candidate, score
    return best


def _tremor(rng: np.random.Generator, frames: int) -> Floats:
    """(T, 6) smooth tremor of the hand: x, y, z in metres, then yaw, pitch, roll in radians."""
    noise = rng.standard_normal((frames + 2, 6))
    smooth = np.clip((noise[:-2] + 2 * noise[1:-1] + noise[2:]) / math.sqrt(6), -2.5, 2.5)
    tremor: Floats = smooth * np.array([0.012, 0.012, 0.012, 0.02, 0.02, 0.012])
    return tremor


class Ground:
    """Where a person can stand in a scene: the largest connected part of its free floor.

    ``points`` (N, 2) are the centres of its grid cells, metres.

    Raises:
        WorkbookError: there is none, even for a body radius of 6 cm.
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
        """(T, 2) one place for all frames: of six random ones that with most space around it."""
        picks = rng.integers(len(self.points), size=6)
        roomiest = picks[int(np.argmax(self.clearance[picks]))]
        return np.tile(self.points[roomiest], (frames, 1))

    def path(self, rng: np.random.Generator, frames: int, fps: float, whole: bool) -> Floats:
        """(T, 2) a smooth walk between places that are far apart.

        Args:
            whole: walk to the end, as fast as that takes; otherwise at ``WALKING_SPEED``, and no
                further than the clip's time allows.
        """
        # Stops: each is far from all before it, with some chance.
        stops = [int(rng.integers(len(self.points)))]
        nearest = np.full(len(self.points), np.inf)
        for _ in range(5 if whole else 3):
            nearest = np.minimum(nearest, np.hypot(*(self.points - self.points[stops[-1]]).T))
            stops.append(int(np.argmax(nearest * rng.uniform(0.6, 1.0, len(nearest)))))

        # The walk from cell to cell, smoothed by a mean over five.
        points = self.points[self._visit(stops)]
        padded = np.concatenate([points[:1].repeat(2, 0), points, points[-1:].repeat(2, 0)])
        points = np.stack([np.convolve(padded[:, k], np.ones(5) / 5, "valid") for k in (0, 1)], 1)

        # One position per frame, at constant speed.
        travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        length = travelled[-1] if whole else min(travelled[-1], WALKING_SPEED * frames / fps)
        at = np.linspace(0, length, frames)
        path = np.stack([np.interp(at, travelled, points[:, k]) for k in (0, 1)], 1)

        # Smoothing may cut a corner: such positions go back to the nearest free cell.
        for k in np.flatnonzero(~self.floor.is_free(path)):
            path[k] = self.points[np.argmin(np.hypot(*(self.points - path[k]).T))]
        return path

    def _visit(self, stops: list[int]) -> list[int]:
        """Rows of ``points`` along a walk from the first stop to the others, the nearest first."""
        walk, remaining = stops[:1], stops[1:]
        while remaining:
            distance, before = dijkstra(self.graph, indices=walk[-1], return_predecessors=True)
            goal = min(remaining, key=lambda stop: distance[stop])
            remaining.remove(goal)

            # Follow the predecessors back from the goal, then append the way in walking order.
            leg = [goal]
            while leg[-1] != walk[-1]:
                leg.append(int(before[leg[-1]]))
            walk += leg[-2::-1]
        return walk

    @functools.cached_property
    def clearance(self) -> Floats:
        """(N,) distance from each of ``points`` to the nearest cell that is not free, in cells."""
        padded = np.pad(self.floor.free, 1)
        distance: Floats = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
        return distance[self.floor.free]

    @functools.cached_property
    def graph(self) -> csr_array:
        """(N, N) sparse graph of ``points`` with their eight neighbours; weights in metres."""
        index: npt.NDArray[np.int64] = np.full(self.floor.free.shape, -1)
        index[self.floor.free] = np.arange(len(self.points))
        rows, columns, weights = [], [], []

        # One pass per direction, over the pairs of a cell and its neighbour there.
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
    """(T, N) which of N objects each of T cameras sees, judged from the boxes without rendering.

    An object is seen if one of a few points of its box is in the picture and no other box is
    between it and the camera.

    Args:
        cameras: (T, 4, 4) poses.
        matrix: (3, 3) intrinsics, pixels.
    """
    # (N, P, 3) points of each box.
    center = np.array([o.box.center for o in scene.objects]).reshape(-1, 3)
    half = np.array([o.box.size for o in scene.objects]).reshape(-1, 3) / 2
    yaw = np.array([o.box.yaw for o in scene.objects])
    c, s, zero = np.cos(yaw), np.sin(yaw), np.zeros(len(yaw))
    turn = np.array([(c, -s, zero), (s, c, zero), (zero, zero, zero + 1)]).transpose(2, 0, 1)
    points = center[:, None] + np.einsum("nij,npj->npi", turn, _PROBES[None] * half[:, None])

    # (T, N, P) whether each point lies in the picture.
    view = (points[None] - cameras[:, None, None, :3, 3]) @ cameras[:, None, :3, :3]
    depth = np.maximum(view[..., 2], 1e-6)
    x = matrix[0, 0] * view[..., 0] / depth + width / 2
    y = matrix[1, 1] * view[..., 1] / depth + height / 2
    inside = (view[..., 2] > 0.2) & (x > 0) & (x < width) & (y > 0) & (y < height)

    # Drop the points that another box hides; the test is repeated once the camera has moved.
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
    """(N, P) whether another object's box hides a point of object n from ``eye``: slab test.

    Args:
        points: (N, P, 3) points of each object.
        center, half, turn: (N, 3) centres, (N, 3) half sides and (N, 3, 3) rotations of the boxes.
    """
    # Eye and rays to all points in each box's own axes.
    start = np.einsum("nji,nj->ni", turn, eye - center)
    ray = np.einsum("nji,mpj->mpni", turn, points - eye)

    # (N, P, N) share of the ray at which it enters and leaves each box.
    inverse = 1 / np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    a, b = (-half - start) * inverse, (half - start) * inverse
    enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    hit = (enter < leave) & (enter > 0) & (enter < 0.98)

    # An object does not hide itself.
    own = np.arange(len(center))
    hit[own, :, own] = False
    return np.asarray(hit.any(2))


def inside_room(scene: Scene, cameras: Floats) -> bool:
    """Whether all (T, 4, 4) cameras stand within the room's outline."""
    return bool(contains(scene.polygon, cameras[:, :2, 3]).all())
