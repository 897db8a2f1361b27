"""Visibility buffer: which triangle covers each pixel centre, and how deep it lies (numba, any
number of threads).

Triangles are rasterised in homogeneous coordinates, so nothing is clipped: for the three vertices'
clip rows X, Y, W the inverse of that 3 x 3 matrix gives at pixel (x, y) each vertex's weight
divided by depth; all non-negative means inside, their sum is 1 / depth. Both sides of a triangle
are drawn, as a ray would hit them. Every pixel is computed by itself in float64 and in one written
order: the bits don't depend on threads, and ``numpy_backend`` repeats them.
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
    """Compiles a function, once per machine where the cache can be written.

    Not with fast-math, which would let bits depend on the machine. The cache notices edits of the
    kernel's own file only: numbers from elsewhere must come in as arguments.
    """
    compiled = partial(njit, nogil=True, error_model="numpy")
    try:
        return cast(F, compiled(function, cache=True))
    except RuntimeError:
        return cast(F, compiled(function))


def visible(
    vertices: Floats, faces: Ints, camera: Floats, width: int, height: int, threads: int = 1
) -> Cover:
    """What each pixel of a camera sees.

    Args:
        vertices: (n, 3) metres.
        faces: (m, 3)
        camera: (3, 4) rows of ``optics.camera_rows``.
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
    """Calls ``work(first, last)`` on bands of rows, on as many threads (kernels release the
    interpreter's lock)."""
    if threads == 1:
        work(0, height)
        return
    cuts = [height * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, cuts[:-1], cuts[1:]))


@kernel
def project(vertices: Floats, camera: Floats) -> Any:
    """(n, 3) clip coordinates X, Y, W: pixel position times depth, and depth in metres."""
    clip = np.empty_like(vertices)
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            clip[i, k] = ((camera[k, 0] * x + camera[k, 1] * y) + camera[k, 2] * z) + camera[k, 3]
    return clip


@kernel
def set_up(clip: Floats, faces: Ints, width: int, height: int, near: float, tiny: float) -> Any:
    """Edge functions (v, 9), pixel bounds (v, 4: x0, x1, y0, y1) and face index (v,) of the ``v``
    triangles in view."""
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
        if w0 < near and w1 < near and w2 < near:
            continue
        if (x0 < 0 and x1 < 0 and x2 < 0) or (y0 < 0 and y1 < 0 and y2 < 0):
            continue
        if x0 > width * w0 and x1 > width * w1 and x2 > width * w2:
            continue
        if y0 > height * w0 and y1 > height * w1 and y2 > height * w2:
            continue
        left, right, top, bottom = 0, width - 1, 0, height - 1
        if w0 > near and w1 > near and w2 > near:
            u0, u1, u2, v0, v1, v2 = x0 / w0, x1 / w1, x2 / w2, y0 / w0, y1 / w1, y2 / w2
            left = max(left, math.ceil(min(u0, u1, u2) - 0.5))
            right = min(right, math.floor(max(u0, u1, u2) - 0.5))
            top = max(top, math.ceil(min(v0, v1, v2) - 0.5))
            bottom = min(bottom, math.floor(max(v0, v1, v2) - 0.5))
            if right < left or bottom < top:
                continue
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
        bounds[count, 0], bounds[count, 1], bounds[count, 2], bounds[count, 3] = (
            left,
            right,
            top,
            bottom,
        )
        index[count] = t
        count += 1
    return edges[:count], bounds[:count], index[:count]


@kernel
def cover(
    edges: Floats, bounds: Ints, first: int, last: int, near: float, nearness: Floats, owner: Ints
) -> None:
    """Fills rows ``first`` to ``last - 1`` of 1 / depth and of the owning triangle's row in
    ``edges`` (-1: none)."""
    nearness[first:last] = 0.0
    owner[first:last] = -1
    limit = 1.0 / near
    for t in range(edges.shape[0]):
        top, bottom = max(bounds[t, 2], first), min(bounds[t, 3], last - 1)
        left, right = bounds[t, 0], bounds[t, 1]
        a0, a1, a2 = edges[t, 0], edges[t, 3], edges[t, 6]
        for y in range(top, bottom + 1):
            v = y + 0.5
            r0 = edges[t, 1] * v + edges[t, 2]
            r1 = edges[t, 4] * v + edges[t, 5]
            r2 = edges[t, 7] * v + edges[t, 8]
            for x in range(left, right + 1):
                u = x + 0.5
                e0, e1, e2 = a0 * u + r0, a1 * u + r1, a2 * u + r2
                if e0 >= 0 and e1 >= 0 and e2 >= 0:
                    value = (e0 + e1) + e2
                    if nearness[y, x] < value < limit:
                        nearness[y, x] = value
                        owner[y, x] = t
