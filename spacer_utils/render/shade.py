"""Deferred shading: colour, instance id and depth of every visible pixel (numba)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .textures import LEVELS, SIDE

AMBIENT, POWER = 0.46, 0.62
"""Light from everywhere, and from the lamp at arm's length."""
GLOSS = 12.0
"""Height of the highlight, 0-255."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@njit(cache=True, nogil=True)
def texel(texels: Any, start: int, level: int, u: float, v: float, color: Floats) -> None:
    """Bilinear sample of one mip level into ``color``."""
    side = SIDE >> level
    x, y = (u - math.floor(u)) * side - 0.5, (v - math.floor(v)) * side - 0.5
    left, low = math.floor(x), math.floor(y)
    fx, fy = x - left, y - low
    x0, y0 = int(left) % side, int(low) % side
    x1, y1 = (x0 + 1) % side, (y0 + 1) % side
    for k in range(3):
        bottom = texels[start + (y0 * side + x0) * 3 + k] * (1 - fx) + texels[start + (y0 * side + x1) * 3 + k] * fx
        upper = texels[start + (y1 * side + x0) * 3 + k] * (1 - fx) + texels[start + (y1 * side + x1) * 3 + k] * fx
        color[k] = bottom * (1 - fy) + upper * fy


@njit(cache=True, nogil=True)
def lit_share(cube: Any, x: float, y: float, z: float) -> float:
    """Share of the lamp that reaches the offset (x, y, z) from it: 4 x 4 bilinear filter on a cube map of 1 / distance."""
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax >= ay and ax >= az:
        face, reach, u, v = (0 if x > 0 else 1), ax, y / ax, z / ax
    elif ay >= az:
        face, reach, u, v = (2 if y > 0 else 3), ay, x / ay, z / ay
    else:
        face, reach, u, v = (4 if z > 0 else 5), az, x / az, y / az
    side = cube.shape[1]
    px, py = (u * 0.5 + 0.5) * side - 0.5, (v * 0.5 + 0.5) * side - 0.5
    left, low = int(math.floor(px)), int(math.floor(py))
    fx, fy = px - left, py - low
    lit = 0.0
    for j in range(-1, 3):
        wy = 1 - fy if j == -1 else (fy if j == 2 else 1.0)
        for i in range(-1, 3):
            wx = 1 - fx if i == -1 else (fx if i == 2 else 1.0)
            if cube[face, min(max(low + j, 0), side - 1), min(max(left + i, 0), side - 1)] * (reach - 0.04) < 1.0:
                lit += wx * wy
    return lit / 9.0


@njit(cache=True, nogil=True)
def mip_level(edge: Floats, uv: Floats, a: int, b: int, c: int, w0: float, w1: float, w2: float, depth: float) -> int:
    """Level whose texels are about one pixel wide, from the exact derivatives of the texture position."""
    spread = 0.0
    for d in range(2):
        g0, g1, g2 = edge[d], edge[3 + d], edge[6 + d]
        total = g0 + g1 + g2
        q0, q1, q2 = (g0 - w0 * total) * depth, (g1 - w1 * total) * depth, (g2 - w2 * total) * depth
        du = q0 * uv[a, 0] + q1 * uv[b, 0] + q2 * uv[c, 0]
        dv = q0 * uv[a, 1] + q1 * uv[b, 1] + q2 * uv[c, 1]
        spread = max(spread, du * du + dv * dv)
    spread *= SIDE * SIDE
    level = 0
    while level < LEVELS - 1 and spread > 2.0:
        spread *= 0.25
        level += 1
    return level


@njit(cache=True, nogil=True)
def shade(vertices: Floats, normals: Floats, uv: Floats, faces: Ints, colors: Any, textures: Ints, ids: Ints, lamp_of: Ints,
          lamps: Floats, cubes: Any, texels: Any, offsets: Any, eye: Floats, edges: Floats, index: Ints, nearness: Floats,
          owner: Ints, first: int, last: int, rgb: Any, id_image: Ints, depth_image: Any) -> None:
    """Shades rows ``first`` to ``last - 1``; ``cubes`` (lamps, 6, S, S) holds the shadow maps, S = 1 for none."""
    color = np.empty(3)
    shadowed = cubes.shape[2] > 1
    for y in range(first, last):
        for x in range(owner.shape[1]):
            o = owner[y, x]
            if o < 0:
                rgb[y, x, 0] = rgb[y, x, 1] = rgb[y, x, 2] = 0
                id_image[y, x], depth_image[y, x] = 0, 0.0
                continue
            t = index[o]
            a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
            edge = edges[o]
            depth = 1.0 / nearness[y, x]
            id_image[y, x], depth_image[y, x] = ids[t], depth
            u, v = x + 0.5, y + 0.5
            w0 = (edge[0] * u + edge[1] * v + edge[2]) * depth
            w1 = (edge[3] * u + edge[4] * v + edge[5]) * depth
            w2 = 1.0 - w0 - w1
            color[0] = color[1] = color[2] = 255.0
            if textures[t] >= 0:
                level = mip_level(edge, uv, a, b, c, w0, w1, w2, depth)
                texel(texels, offsets[textures[t], level], level, w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0],
                      w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1], color)
            bright, shine = 1.0, 0.0
            if colors[t, 0] <= 1.0:
                px = w0 * vertices[a, 0] + w1 * vertices[b, 0] + w2 * vertices[c, 0]
                py = w0 * vertices[a, 1] + w1 * vertices[b, 1] + w2 * vertices[c, 1]
                pz = w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]
                nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
                ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
                nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
                ex, ey, ez = eye[0] - px, eye[1] - py, eye[2] - pz
                scale = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                if nx * ex + ny * ey + nz * ez < 0:
                    scale = -scale
                nx, ny, nz = nx * scale, ny * scale, nz * scale
                lamp = lamp_of[t]
                lx, ly, lz = lamps[lamp, 0] - px, lamps[lamp, 1] - py, lamps[lamp, 2] - pz
                square = lx * lx + ly * ly + lz * lz
                inverse = 1.0 / math.sqrt(square)
                facing = (nx * lx + ny * ly + nz * lz) * inverse
                bright = AMBIENT * (0.84 + 0.12 * nz + 0.04 * nx)
                if facing > 0:
                    share = 1.0
                    if shadowed:
                        share = lit_share(cubes[lamp], 0.02 * nx - lx, 0.02 * ny - ly, 0.02 * nz - lz)
                    bright += POWER * share * facing / (0.6 + 0.06 * square)
                    away = 1.0 / math.sqrt(ex * ex + ey * ey + ez * ez)
                    hx, hy, hz = lx * inverse + ex * away, ly * inverse + ey * away, lz * inverse + ez * away
                    glint = (nx * hx + ny * hy + nz * hz) / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
                    shine = GLOSS * share * max(glint, 0.0) ** 32
            for k in range(3):
                rgb[y, x, k] = int(min(max(color[k] * colors[t, k] * bright + shine + 0.5, 0.0), 255.0))
