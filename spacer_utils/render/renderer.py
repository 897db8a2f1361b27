"""Renders a scene: colour, instance ids and metric depth from any pinhole camera."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..types import Scene
from . import furniture, numpy_backend, raster, shell
from .assemble import assemble, join
from .shade import shade
from .textures import atlas

Floats = NDArray[np.float64]

SHADOW_SIDE = 256
"""Texels along a side of one of the six faces of a lamp's shadow map."""


class Frame(NamedTuple):
    """One rendered view."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)"""
    ids: NDArray[np.int32]
    """(H, W) instance id; 0 where the room's shell is seen."""
    depth: NDArray[np.float32]
    """(H, W) metres along the optical axis; 0 where nothing is seen."""


class Renderer:
    """A scene made ready: build once, then render any number of views.

    Args:
        scene: what to draw; every instance fills its box exactly.
        shadow: soft shadows (costs one shadow map for each room, at the first view).
        backend: ``numba`` or the slow ``numpy`` with the same ids and depth.
        threads: bands of rows drawn at the same time; the bits don't depend on it.

    Raises:
        WorkbookError: a category that nobody can draw.
    """

    def __init__(self, scene: Scene, *, shadow: bool = True, backend: Literal["numba", "numpy"] = "numba",
                 threads: int | None = None) -> None:
        self.scene = scene
        self.backend = backend
        self.threads = threads or int(os.environ.get("NUMBA_NUM_THREADS", "1"))
        walls, self.lamp_of = shell.build(scene)
        self.mesh = walls
        rooms = shell.outlines(scene)
        centres = [_inner_point(outline) for outline in rooms]
        self.lamps = np.array([(x, y, 0.9 * scene.ceiling_height) for x, y in centres])
        if scene.objects:
            groups = [furniture.parts(o.category, o.box.size, o.seed) for o in scene.objects]
            things = assemble(groups, [o.box for o in scene.objects], [o.instance_id for o in scene.objects])
            self.mesh = join([walls, things])
            lamp = {o.instance_id: _room_of(o.box.center, rooms, self.lamps) for o in scene.objects}
            table = np.zeros(max(lamp) + 1, np.int32)
            table[list(lamp)] = list(lamp.values())
            self.lamp_of = np.concatenate([self.lamp_of, table[things.ids]])
        self.cubes = self._shadow_maps() if shadow else np.zeros((len(self.lamps), 6, 1, 1), np.float32)

    def render(self, pose: Floats, intrinsics: Floats, width: int, height: int) -> Frame:
        """One view.

        Args:
            pose: (4, 4) camera-to-world, OpenCV axes (x right, y down, z forward), metres.
            intrinsics: (3, 3) pinhole matrix in pixels; the centre of the first pixel is (0.5, 0.5).
        """
        pose = np.asarray(pose, np.float64)
        if self.backend == "numpy":
            return Frame(*numpy_backend.render(self, pose, intrinsics, width, height))
        camera = camera_rows(pose, intrinsics)
        edges, bounds, index = raster.set_up(raster.project(self.mesh.vertices, camera), self.mesh.faces, width, height)
        nearness, owner = np.empty((height, width)), np.empty((height, width), np.int32)
        frame = Frame(np.empty((height, width, 3), np.uint8), np.empty((height, width), np.int32),
                      np.empty((height, width), np.float32))
        mesh, image = self.mesh, atlas()

        def band(first: int, last: int) -> None:
            raster.cover(edges, bounds, first, last, nearness, owner)
            shade(mesh.vertices, mesh.normals, mesh.uv, mesh.faces, mesh.colors, mesh.textures, mesh.ids, self.lamp_of,
                  self.lamps, self.cubes, image.texels, image.offsets, np.ascontiguousarray(pose[:3, 3]), edges, index,
                  nearness, owner, first, last, *frame)

        if self.threads == 1:
            band(0, height)
        else:
            cuts = np.linspace(0, height, self.threads + 1).astype(int).tolist()
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(band, cuts[:-1], cuts[1:]))
        return frame

    def _shadow_maps(self) -> NDArray[np.float32]:
        """(lamps, 6, S, S) 1 / distance along the face's axis to the first caster; the shell and what holds a lamp cast none."""
        cubes = np.zeros((len(self.lamps), 6, SHADOW_SIDE, SHADOW_SIDE), np.float32)
        nearness, owner = np.empty(cubes.shape[2:]), np.empty(cubes.shape[2:], np.int32)
        around = {o.instance_id for o in self.scene.objects if o.box.center[2] + o.box.size[2] / 2 > self.lamps[0, 2] - 0.05}
        casts = (self.mesh.ids > 0) & ~np.isin(self.mesh.ids, list(around))
        for number, lamp in enumerate(self.lamps):
            faces = self.mesh.faces[casts & (self.lamp_of == number)]
            for face in range(6):
                clip = raster.project(self.mesh.vertices, _cube_rows(lamp, face, SHADOW_SIDE))
                edges, bounds, _ = raster.set_up(clip, faces, SHADOW_SIDE, SHADOW_SIDE)
                raster.cover(edges, bounds, 0, SHADOW_SIDE, nearness, owner)
                cubes[number, face] = nearness
        return cubes


def camera_rows(pose: Floats, intrinsics: Any) -> Floats:
    """(3, 4) matrix from world metres to pixel position times depth, and depth."""
    turn = pose[:3, :3].T
    view = np.concatenate([turn, -(turn @ pose[:3, 3:])], axis=1)
    return np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ view)


def _cube_rows(lamp: Floats, face: int, side: int) -> Floats:
    """(3, 4) matrix of one face of the cube around a lamp, in the layout that ``shade.lit_share`` reads."""
    axis, sign = divmod(face, 2)
    u, v = [k for k in range(3) if k != axis]
    rows = np.zeros((3, 4))
    rows[2, axis] = 1 - 2 * sign
    rows[0, u] = rows[1, v] = side / 2
    rows[:2] += side / 2 * rows[2]
    rows[:, 3] = -rows[:, :3] @ lamp
    return rows


def _inner_point(outline: shell.Outline) -> shell.Point:
    """The point of a 15 x 15 grid that lies deepest inside the outline."""
    corners = np.array(outline)
    axes = [np.linspace(low, high, 17)[1:-1] for low, high in zip(corners.min(0), corners.max(0))]
    points = np.stack(np.meshgrid(*axes), -1).reshape(-1, 1, 2)
    edge = np.roll(corners, -1, 0) - corners
    rel = points - corners
    along = np.clip((rel * edge).sum(-1) / (edge * edge).sum(-1), 0, 1)
    gap = np.sqrt(((rel - along[..., None] * edge) ** 2).sum(-1)).min(1)
    inside = _inside(points[:, 0], corners)
    x, y = points[np.argmax(np.where(inside, gap, -1.0)), 0]
    return float(x), float(y)


def _inside(points: Floats, corners: Floats) -> NDArray[np.bool_]:
    """Even-odd rule for (n, 2) points."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = corners.T
    bx, by = np.roll(corners, -1, 0).T
    crosses = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = ax + (y - ay) * (bx - ax) / (by - ay)
    return np.asarray((crosses & (x < reach)).sum(1) % 2 == 1)


def _room_of(center: tuple[float, float, float], rooms: tuple[shell.Outline, ...], lamps: Floats) -> int:
    """Room that holds a point, or the one with the nearest lamp."""
    if len(rooms) == 1:
        return 0
    point = np.array([center[:2]])
    inside = [k for k, outline in enumerate(rooms) if _inside(point, np.array(outline))[0]]
    return inside[0] if inside else int(np.argmin(((lamps[:, :2] - point) ** 2).sum(1)))
