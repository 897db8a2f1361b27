"""Renders a scene: colour, instance ids and metric depth from any pinhole camera."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.types import Scene, WorkbookError
from . import furniture, shell
from .assemble import assemble, join
from .optics import Cover, Floats, Image, Ints, Stage, camera_rows, cube_rows, ray_matrix

SHADOW_SIDE = 256
"""Texels along a side of one of the six faces of a lamp's shadow map."""
LAMP_HEIGHT = 0.9
"""Height of the lamps as a share of the ceiling's height."""

Visible = Callable[[Floats, Ints, Floats, int, int, int], Cover]
"""(vertices, faces, camera, width, height, threads) -> what each pixel sees; ``raster.visible``."""
Paint = Callable[[Stage, Cover, Floats, Floats, int], Image]
"""(stage, what is seen, eye, rays, threads) -> colour, ids, depth; ``shade.paint``."""


class Frame(NamedTuple):
    """One rendered view."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)"""
    ids: Ints
    """(H, W) instance id; 0 for walls, floor and ceiling."""
    depth: NDArray[np.float32]
    """(H, W) metres along the optical axis; 0 where nothing is seen."""


class Renderer:
    """A scene ready to be rendered: build it once, then render any number of views.

    Args:
        scene: every instance fills its box exactly.
        shadow: soft shadows; costs one shadow map for each room, once.
        threads: bands of rows rendered at the same time; the pixels don't depend on it. None reads
            ``NUMBA_NUM_THREADS``, else 1.

    Raises:
        WorkbookError: a category without a recipe, a box without volume, or an instance id that is
            not unique.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        shadow: bool = True,
        threads: int | None = None,
    ) -> None:
        _check(scene)
        self.threads = threads or int(os.environ.get("NUMBA_NUM_THREADS", "1"))
        self._visible, self._paint = self._passes()
        self.stage = _stage(scene)
        if shadow:
            self.stage = self.stage._replace(cubes=self._shadow_maps(_casters(scene, self.stage)))

    def render(self, pose: Floats, intrinsics: Any, width: int, height: int) -> Frame:
        """One view.

        Args:
            pose: (4, 4) camera-to-world, OpenCV axes (x right, y down, z forward), metres.
            intrinsics: (3, 3) pinhole matrix in pixels; the centre of the first pixel is (0.5,
                0.5).

        Raises:
            WorkbookError: the pose is not a finite 4 x 4 matrix.
        """
        pose = np.asarray(pose, np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise WorkbookError(
                f"camera pose of shape {pose.shape} with {np.isnan(pose).sum()} NaN: it must be a finite (4, 4) "
                "camera-to-world matrix. Leave this frame out."
            )
        mesh = self.stage.mesh
        seen = self._visible(
            mesh.vertices, mesh.faces, camera_rows(pose, intrinsics), width, height, self.threads
        )
        return Frame(
            *self._paint(
                self.stage, seen, pose[:3, 3].copy(), ray_matrix(pose, intrinsics), self.threads
            )
        )

    def _passes(self) -> tuple[Visible, Paint]:
        """What is seen, and how it is coloured; imported late, since loading numba takes long."""
        from .raster import visible
        from .shade import paint

        return visible, paint

    def _shadow_maps(self, casters: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Shadow maps of all lamps, see ``Stage.cubes``.

        Args:
            casters: (m,) triangles that cast shadows; each only in the light of its own lamp.
        """
        stage = self.stage
        cubes = np.zeros((len(stage.lamps), 6, SHADOW_SIDE, SHADOW_SIDE), np.float32)
        for number, lamp in enumerate(stage.lamps):
            faces = stage.mesh.faces[casters & (stage.lamp_of == number)]
            for face in range(6):
                rows = cube_rows(lamp, face, SHADOW_SIDE)
                cubes[number, face] = self._visible(
                    stage.mesh.vertices, faces, rows, *cubes.shape[2:], self.threads
                ).nearness
        return cubes


def _check(scene: Scene) -> None:
    """Raise on an instance that can't be rendered, naming it."""
    seen: set[int] = set()
    for o in scene.objects:
        numbers = (*o.box.center, *o.box.size, o.box.yaw)
        if not np.isfinite(numbers).all() or min(o.box.size) <= 0:
            raise WorkbookError(
                f"scene {scene.scene_id}: instance {o.instance_id} ({o.category}) has the box {o.box}. "
                "Sizes must be positive and all numbers finite; mend or drop it."
            )
        if o.instance_id < 1 or o.instance_id in seen:
            raise WorkbookError(
                f"scene {scene.scene_id}: instance id {o.instance_id} ({o.category}) is below 1 or taken. "
                "Number the instances 1, 2, 3, ..."
            )
        seen.add(o.instance_id)


def _stage(scene: Scene) -> Stage:
    """The scene's mesh with one lamp in every room; shadow maps are not filled in yet."""
    rooms = shell.outlines(scene)
    lamps = np.array(
        [(*_inner_point(outline), LAMP_HEIGHT * scene.ceiling_height) for outline in rooms]
    )
    mesh, lamp_of = shell.build(scene)

    # Add the furniture, each piece lit by the lamp of its room.
    if scene.objects:
        groups = [furniture.parts(o.category, o.box.size, o.seed) for o in scene.objects]
        pieces = assemble(
            groups, [o.box for o in scene.objects], [o.instance_id for o in scene.objects]
        )
        lamp = np.zeros(int(pieces.ids.max()) + 1, np.int32)
        for o in scene.objects:
            lamp[o.instance_id] = _room_of(o.box.center, rooms, lamps)
        mesh, lamp_of = join([mesh, pieces]), np.concatenate([lamp_of, lamp[pieces.ids]])

    no_shadows = np.zeros((len(lamps), 6, 1, 1), np.float32)
    return Stage(mesh, lamp_of, lamps, no_shadows)


def _casters(scene: Scene, stage: Stage) -> NDArray[np.bool_]:
    """(m,) triangles that cast shadows: furniture that stays below the lamps.

    An object as high as a lamp may enclose it and would darken the whole room.
    """
    top = stage.lamps[0, 2] - 0.05
    high = [o.instance_id for o in scene.objects if o.box.center[2] + o.box.size[2] / 2 > top]
    return (stage.mesh.ids > 0) & ~np.isin(stage.mesh.ids, high)


def _inner_point(outline: shell.Outline) -> shell.Point:
    """The point of a 15 x 15 grid that lies inside the outline and farthest from its walls."""
    corners = np.array(outline)
    axes = [np.linspace(low, high, 17)[1:-1] for low, high in zip(corners.min(0), corners.max(0))]
    points = np.stack(np.meshgrid(*axes), -1).reshape(-1, 1, 2)

    # Squared distance from each point to the nearest edge.
    edge = np.roll(corners, -1, 0) - corners
    from_corner = points - corners
    along = np.clip((from_corner * edge).sum(-1) / (edge * edge).sum(-1), 0, 1)
    gap2 = ((from_corner - along[..., None] * edge) ** 2).sum(-1).min(1)

    best = np.argmax(np.where(_inside(points[:, 0], corners), gap2, -1.0))
    x, y = points[best, 0]
    return float(x), float(y)


def _inside(points: Floats, corners: Floats) -> NDArray[np.bool_]:
    """(n,) which of (n, 2) points lie in the polygon with (k, 2) corners: even-odd rule."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = corners.T
    bx, by = np.roll(corners, -1, 0).T
    crosses = (ay > y) != (by > y)
    reach = ax + (y - ay) * (bx - ax) / np.where(by == ay, 1.0, by - ay)
    return np.asarray((crosses & (x < reach)).sum(1) % 2 == 1)


def _room_of(
    center: tuple[float, float, float], rooms: tuple[shell.Outline, ...], lamps: Floats
) -> int:
    """Index of the room that contains a point; outside all rooms, that with the nearest lamp."""
    point = np.array([center[:2]])
    inside = [
        k
        for k, outline in enumerate(rooms)
        if len(rooms) == 1 or _inside(point, np.array(outline))[0]
    ]
    return inside[0] if inside else int(np.argmin(((lamps[:, :2] - point) ** 2).sum(1)))
