"""Cameras, light, and the data that rasteriser and shader exchange."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .assemble import Mesh

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Image = tuple[NDArray[np.uint8], Ints, NDArray[np.float32]]
"""Colour (H, W, 3), instance ids (H, W) and depth (H, W) metres."""

NEAR = 0.02
"""Near plane, metres: nothing closer to the camera is rendered."""
TINY = 1e-12
"""Determinant below which a triangle counts as seen edge on, and is skipped."""
MARGIN = 2
"""Texels by which each face of a shadow cube extends beyond the cube's edge, for the filter."""


class Light(NamedTuple):
    """How surfaces are lit.

    Kernels get these numbers as arguments. A compiled kernel is cached, and would keep a global
    number's old value after an edit.
    """

    ambient: float = 0.46
    """Brightness without any lamp."""
    sky: float = 0.12
    """Share of the ambient light that depends on direction: surfaces that face up get most, and
    half as much difference along x makes neighbouring walls differ."""
    power: float = 0.58
    """Light of the lamp, divided by ``near + far * distance**2``."""
    near: float = 0.6
    far: float = 0.03
    gloss: float = 12.0
    """Brightness of the highlight on furniture, 0-255."""
    bias: float = 0.04
    """A surface is in shadow if something is nearer to the lamp by more than this, metres."""
    lift: float = 0.02
    """A point moves by this along its normal before its shadow is looked up, metres."""
    margin: float = float(MARGIN)
    """``MARGIN``, for the kernels."""


class Cover(NamedTuple):
    """The visibility buffer: which triangle each pixel shows; ``v`` triangles are in view."""

    edges: Floats
    """(v, 9) three edge functions: coefficients of x, y and 1 that give a vertex's weight /
    depth."""
    triangle: Ints
    """(v,) row of the triangle in the mesh."""
    nearness: Floats
    """(H, W) 1 / depth; 0 where nothing is seen."""
    owner: Ints
    """(H, W) row of ``edges``; -1 where nothing is seen."""


class Stage(NamedTuple):
    """A scene ready to be rendered: geometry and light."""

    mesh: Mesh
    lamp_of: Ints
    """(m,) lamp that lights each triangle."""
    lamps: Floats
    """(lamps, 3) positions, one lamp in each room; metres."""
    cubes: NDArray[np.float32]
    """(lamps, 6, S, S) shadow maps: 1 / distance along the face's axis to the first triangle that
    casts a shadow; S = 1 without shadows."""
    light: Light = Light()


def camera_rows(pose: Floats, intrinsics: Any) -> Floats:
    """(3, 4) matrix from homogeneous world metres to (pixel x * depth, pixel y * depth, depth)."""
    turn = pose[:3, :3].T
    view = np.concatenate([turn, -(turn @ pose[:3, 3:])], axis=1)
    return np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ view)


def ray_matrix(pose: Floats, intrinsics: Any) -> Floats:
    """(3, 3) matrix from a pixel (x, y, 1) to the world vector of depth 1 through it."""
    return np.ascontiguousarray(pose[:3, :3] @ np.linalg.inv(np.asarray(intrinsics, np.float64)))


def cube_rows(lamp: Floats, face: int, side: int) -> Floats:
    """(3, 4) ``camera_rows`` of one face of the shadow cube around a lamp.

    Args:
        face: 0 to 5 for +x, -x, +y, -y, +z, -z.
        side: texels along a side of the face.
    """
    axis, sign = divmod(face, 2)
    u, v = (k for k in range(3) if k != axis)
    rows = np.zeros((3, 4))
    rows[2, axis] = 1 - 2 * sign
    rows[0, u] = rows[1, v] = side / 2 - MARGIN
    rows[:2] += side / 2 * rows[2]
    rows[:, 3] = -rows[:, :3] @ lamp
    return rows
