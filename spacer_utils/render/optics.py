"""Cameras, light and the plain data that both backends share."""

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
"""Metres; nothing closer to the camera is drawn."""
TINY = 1e-12
"""Determinant below which a triangle is seen edge on."""
MARGIN = 2
"""Texels by which a face of a shadow map reaches over its cube's edge, for the filter."""


class Light(NamedTuple):
    """How surfaces are lit. Kernels get these numbers as arguments: what they compile in would
    outlive an edit in their cache."""

    ambient: float = 0.46
    """Light from everywhere."""
    sky: float = 0.12
    """Share of it by which what faces up is brighter; half of that for what faces +x, to tell walls
    from each other."""
    power: float = 0.58
    """Light of the lamp, divided by ``near + far * distance**2``."""
    near: float = 0.6
    far: float = 0.03
    gloss: float = 12.0
    """Height of the highlight on furniture, 0-255."""
    bias: float = 0.04
    """Metres by which a caster must be nearer to the lamp than what it shades."""
    lift: float = 0.02
    """Metres by which a point is lifted along its normal before its shadow is looked up."""
    margin: float = float(MARGIN)


class Cover(NamedTuple):
    """Which triangle each pixel sees; ``v`` triangles are in view."""

    edges: Floats
    """(v, 9) coefficients of x, y and 1 for each vertex's weight over depth."""
    triangle: Ints
    """(v,) row of the triangle in the mesh."""
    nearness: Floats
    """(H, W) 1 / depth, 0 where nothing is seen."""
    owner: Ints
    """(H, W) row in ``edges``, -1 where nothing is seen."""


class Stage(NamedTuple):
    """All that is drawn of a scene, and its light."""

    mesh: Mesh
    lamp_of: Ints
    """(m,) lamp that lights each triangle."""
    lamps: Floats
    """(lamps, 3) positions, one in each room."""
    cubes: NDArray[np.float32]
    """(lamps, 6, S, S) 1 / distance along the face's axis to the first caster; S = 1 without
    shadows."""
    light: Light = Light()


def camera_rows(pose: Floats, intrinsics: Any) -> Floats:
    """(3, 4) matrix from world metres to pixel position times depth, and depth."""
    turn = pose[:3, :3].T
    view = np.concatenate([turn, -(turn @ pose[:3, 3:])], axis=1)
    return np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ view)


def ray_matrix(pose: Floats, intrinsics: Any) -> Floats:
    """(3, 3) matrix from a pixel (x, y, 1) to the world vector of depth 1 through it."""
    return np.ascontiguousarray(pose[:3, :3] @ np.linalg.inv(np.asarray(intrinsics, np.float64)))


def cube_rows(lamp: Floats, face: int, side: int) -> Floats:
    """(3, 4) ``camera_rows`` of one face (+x, -x, +y, -y, +z, -z) of the cube around a lamp."""
    axis, sign = divmod(face, 2)
    u, v = (k for k in range(3) if k != axis)
    rows = np.zeros((3, 4))
    rows[2, axis] = 1 - 2 * sign
    rows[0, u] = rows[1, v] = side / 2 - MARGIN
    rows[:2] += side / 2 * rows[2]
    rows[:, 3] = -rows[:, :3] @ lamp
    return rows
