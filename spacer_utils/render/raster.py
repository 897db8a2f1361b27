"""Rasteriser: the nearest triangle at each pixel's centre, and its depth (numba).

Triangles are rasterised in homogeneous coordinates, so none has to be clipped. The clip coordinates
X, Y, W of a triangle's vertices form a 3 x 3 matrix. Its inverse times (x, y, 1) gives the three
vertices' weights divided by depth. The pixel is inside if all are non-negative, and their sum is
1 / depth (Olano and Greer, Triangle scan conversion using 2D homogeneous coordinates, 1997). Both
sides of a triangle are rendered.

Each pixel is computed independently in float64 with a fixed order of operations, so the result does
not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from .optics import NEAR, TINY, Cover, Floats, Ints

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function with numba; the result is cached on disk where that is possible.

    Without fast-math, so that results are equal on every machine. The cache notices edits of the
    kernel's own file only: constants of other modules must be passed as arguments.
    """
    compiled = partial(njit, nogil=True, error_model="numpy")
    try:
        return cast(F, compiled(function, cache=True))
    except RuntimeError:
        return cast(F, compiled(function))


def visible(
    vertices: Floats, faces: Ints, camera: Floats, width: int, height: int, threads: int = 1
) -> Cover:
    """Find the nearest triangle at each pixel of a camera.

    Args:
        vertices: (n, 3) metres.
        faces: (m, 3) vertices of each triangle.
        camera: (3, 4) matrix of ``optics.camera_rows``.
    """
    edges, bounds, index = set_up(project(vertices, camera), faces, width, height, NEAR, TINY)
    nearness, owner = np.empty((height, width)), np.empty((height, width), np.int32)
    in_bands(
        threads,
        height,
        lambda first, last: cover(edges, bounds, first, last, NEAR, nearness, owner),
    )
    return Cover(edges, index, nearness, owner)


def in_bands(threads: int, height: int, work: Callable[[int, int], None]) -> None:
    """Call ``work(first, last)`` on bands of rows, each on its own thread.

    Threads help because compiled kernels release the interpreter's lock.
    """
    if threads == 1:
        work(0, height)
        return
    cuts = [height * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, cuts[:-1], cuts[1:]))


@kernel
def project(vertices: Floats, camera: Floats) -> Any:
    """(n, 3) clip coordinates X, Y, W: pixel x * depth, pixel y * depth, depth in metres."""
    clip = np.empty_like(vertices)
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            clip[i, k] = ((camera[k, 0] * x + camera[k, 1] * y) + camera[k, 2] * z) + camera[k, 3]
    return clip


@kernel
def set_up(clip: Floats, faces: Ints, width: int, height: int, near: float, tiny: float) -> Any:
    """Edge functions (v, 9), pixel bounds (v, 4) and face index (v,) of the ``v`` triangles in
    view.

    Bounds are first and last column, first and last row. ``near`` and ``tiny`` are ``optics.NEAR``
    and ``optics.TINY``.
    """
    total = faces.shape[0]
    edges = np.empty((total, 9))
    bounds = np.empty((total, 4), np.int32)
    index = np.empty(total, np.int32)
    count = 0
    for t in range(total):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0, w0 = clip[a, 0], clip[a, 1], clip[a, 2]
        x1, y1, w1 = clip[b, 0], clip[b, 1], clip[b, 2]
        x2, y2, w2 = clip[c, 0], clip[c, 1], clip[c, 2]

        # Skip a triangle that lies wholly behind the camera or beyond one side of the picture.
        if w0 < near and w1 < near and w2 < near:
            continue
        if (x0 < 0 and x1 < 0 and x2 < 0) or (y0 < 0 and y1 < 0 and y2 < 0):
            continue
        if x0 > width * w0 and x1 > width * w1 and x2 > width * w2:
            continue
        if y0 > height * w0 and y1 > height * w1 and y2 > height * w2:
            continue

        # Bounds in pixels: the whole picture if the triangle reaches behind the camera.
        left, right, top, bottom = 0, width - 1, 0, height - 1
        if w0 > near and w1 > near and w2 > near:
            u0, u1, u2, v0, v1, v2 = x0 / w0, x1 / w1, x2 / w2, y0 / w0, y1 / w1, y2 / w2
            left = max(left, math.ceil(min(u0, u1, u2) - 0.5))
            right = min(right, math.floor(max(u0, u1, u2) - 0.5))
            top = max(top, math.ceil(min(v0, v1, v2) - 0.5))
            bottom = min(bottom, math.floor(max(v0, v1, v2) - 0.5))
            if right < left or bottom < top:
                continue

        # The inverse of the matrix of clip coordinates.
        e0, e1, e2 = y1 * w2 - y2 * w1, x2 * w1 - x1 * w2, x1 * y2 - x2 * y1
        det = (x0 * e0 + y0 * e1) + w0 * e2
        if abs(det) < tiny:
            continue
        inverse = 1.0 / det
        edges[count, 0], edges[count, 1], edges[count, 2] = e0 * inverse, e1 * inverse, e2 * inverse
        edges[count, 3] = (y2 * w0 - y0 * w2) * inverse
        edges[count, 4] = (x0 * w2 - x2 * w0) * inverse
        edges[count, 5] = (x2 * y0 - x0 * y2) * inverse
        edges[count, 6] = (y0 * w1 - y1 * w0) * inverse
        edges[count, 7] = (x1 * w0 - x0 * w1) * inverse
        edges[count, 8] = (x0 * y1 - x1 * y0) * inverse
        bounds[count, 0], bounds[count, 1] = left, right
        bounds[count, 2], bounds[count, 3] = top, bottom
        index[count] = t
        count += 1
    return edges[:count], bounds[:count], index[:count]


@kernel
def cover(
    edges: Floats, bounds: Ints, first: int, last: int, near: float, nearness: Floats, owner: Ints
) -> None:
    """Fill rows ``first`` to ``last - 1`` of ``nearness`` and ``owner``, see ``optics.Cover``."""
    nearness[first:last] = 0.0
    owner[first:last] = -1
    limit = 1.0 / near
    for t in range(edges.shape[0]):
        top, bottom = max(bounds[t, 2], first), min(bounds[t, 3], last - 1)
        left, right = bounds[t, 0], bounds[t, 1]
        a0, a1, a2 = edges[t, 0], edges[t, 3], edges[t, 6]
        for y in range(top, bottom + 1):
            # The part of the edge functions that is constant along a row.
            v = y + 0.5
            r0 = edges[t, 1] * v + edges[t, 2]
            r1 = edges[t, 4] * v + edges[t, 5]
            r2 = edges[t, 7] * v + edges[t, 8]
            for x in range(left, right + 1):
                u = x + 0.5
                e0, e1, e2 = a0 * u + r0, a1 * u + r1, a2 * u + r2

                # Inside the triangle, nearer than what is there, not before the near plane.
                if e0 >= 0 and e1 >= 0 and e2 >= 0:
                    value = (e0 + e1) + e2
                    if nearness[y, x] < value < limit:
                        nearness[y, x] = value
                        owner[y, x] = t
