"""Deferred shading: colour, instance id and depth of every pixel after rasterising (numba)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .optics import Cover, Floats, Image, Ints, Light, Stage
from .raster import in_bands, kernel
from .textures import SIDE, atlas

UV, NORMAL = 3, 9
"""Columns of ``planes`` at which the texture position and the normal begin."""


def paint(stage: Stage, seen: Cover, eye: Floats, ray: Floats, threads: int = 1) -> Image:
    """Colour, instance ids and depth of a view.

    Args:
        seen: the visibility buffer of ``raster.visible``.
        eye: (3,) position of the camera, metres.
        ray: (3, 3) matrix of ``optics.ray_matrix``.
    """
    mesh, textures = stage.mesh, atlas()
    height, width = seen.owner.shape
    plane = planes(seen.edges, seen.triangle, mesh.faces, mesh.vertices, mesh.uv, mesh.normals, eye)
    image = (
        np.empty((height, width, 3), np.uint8),
        np.empty((height, width), np.int32),
        np.empty((height, width), np.float32),
    )
    in_bands(
        threads,
        height,
        lambda first, last: shade(
            plane,
            seen.triangle,
            mesh.colors,
            mesh.glows,
            mesh.textures,
            mesh.ids,
            stage.lamp_of,
            stage.lamps,
            stage.cubes,
            textures.texels,
            textures.offsets,
            SIDE,
            stage.light,
            eye,
            ray,
            seen.nearness,
            seen.owner,
            first,
            last,
            *image,
        ),
    )
    return image


@kernel
def texel(texels: Any, start: int, side: int, u: float, v: float, color: Floats) -> None:
    """Write a bilinear sample of a repeating image into ``color`` (3,).

    Args:
        start: first row of the image in ``texels``.
        side: texels along a side, a power of 2.
        u, v: texture position; the image spans 0 to 1.
    """
    # Position between four texel centres.
    x, y = u * side - 0.5, v * side - 0.5
    left, low = math.floor(x), math.floor(y)
    fx, fy = x - left, y - low

    # Rows of these four texels (the image repeats), and their weights.
    x0, y0 = int(left) & (side - 1), side * (int(low) & (side - 1))
    x1, y1 = (int(left) + 1) & (side - 1), side * ((int(low) + 1) & (side - 1))
    i, j, k, m = start + y0 + x0, start + y0 + x1, start + y1 + x0, start + y1 + x1
    p, q, r, s = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    for c in range(3):
        color[c] = (texels[i, c] * p + texels[j, c] * q) + (texels[k, c] * r + texels[m, c] * s)


@kernel
def lit_share(cubes: Any, lamp: int, x: float, y: float, z: float, light: Light) -> float:
    """Share of a lamp's light, 0-1, that reaches the offset (x, y, z) from it, metres.

    A 3 x 3 filter over the lamp's shadow maps gives soft edges.
    """
    # The face of the cube that the offset points to, and the position on it (-1 to 1).
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax >= ay and ax >= az:
        face, reach, u, v = (0 if x > 0 else 1), ax, y / ax, z / ax
    elif ay >= az:
        face, reach, u, v = (2 if y > 0 else 3), ay, x / ay, z / ay
    else:
        face, reach, u, v = (4 if z > 0 else 5), az, x / az, y / az

    # The same in texels, and the 1 / distance above which a texel is in shadow.
    half = cubes.shape[2] / 2
    px, py = u * (half - light.margin) + half - 1, v * (half - light.margin) + half - 1
    left, low = int(px), int(py)
    fx, fy = px - left, py - low
    limit = 1.0 / max(reach - light.bias, 1e-3)

    # Lit texels of a 3 x 3 block; the outer ones count by how far the position is from the middle.
    lit = 0.0
    for j in range(3):
        row = cubes[lamp, face, low + j]
        share = (
            (1 - fx) * (row[left] < limit) + (row[left + 1] < limit) + fx * (row[left + 2] < limit)
        )
        lit += share * (1 - fy if j == 0 else (fy if j == 2 else 1.0))
    return lit / 4.0


@kernel
def mip_level(
    plane: Floats, o: int, u: float, v: float, depth: float, side: int, levels: int
) -> int:
    """Mip level whose texels are about one pixel wide.

    Args:
        plane: coefficients of all triangles, see ``planes``; ``o`` is the triangle's row.
        u, v: texture position; ``side`` is the texels along a side of the largest image.
        levels: number of mip levels.
    """
    # Squared texels per pixel, along x or y, from the derivatives of the texture position.
    spread = 0.0
    for d in range(2):
        du = (plane[o, UV + d] - u * plane[o, d]) * depth
        dv = (plane[o, UV + 3 + d] - v * plane[o, d]) * depth
        spread = max(spread, du * du + dv * dv)
    spread *= side * side

    # Each level halves the texels.
    level = 0
    while level < levels - 1 and spread > 2.0:
        spread *= 0.25
        level += 1
    return level


@kernel
def glint(
    nx: float,
    ny: float,
    nz: float,
    lx: float,
    ly: float,
    lz: float,
    ex: float,
    ey: float,
    ez: float,
) -> float:
    """Blinn-Phong highlight: cosine between normal and half vector to the power of 32.

    Args:
        nx, ny, nz: unit normal.
        lx, ly, lz: unit direction to the lamp.
        ex, ey, ez: vector to the eye, any length.
    """
    # The half vector lies between the directions to the lamp and to the eye.
    away = 1.0 / math.sqrt(ex * ex + ey * ey + ez * ez)
    hx, hy, hz = lx + ex * away, ly + ey * away, lz + ez * away

    # Square of the cosine, squared four more times.
    dot = nx * hx + ny * hy + nz * hz
    power = dot * dot / (hx * hx + hy * hy + hz * hz + 1e-9)
    power *= power
    power *= power
    power *= power
    return power * power


@kernel
def planes(
    edges: Floats,
    index: Ints,
    faces: Ints,
    vertices: Floats,
    uv: Floats,
    normals: Floats,
    eye: Floats,
) -> Any:
    """(v, 18) linear functions over the picture for each triangle in view.

    Six functions of three coefficients each, of x, y and 1. They give 1 / depth, then u, v and the
    three components of the normal, all divided by depth.

    The normals of a triangle that is seen from behind are reversed, for the triangle as a whole:
    a decision for each pixel would darken the silhouette of rounded edges.
    """
    plane = np.empty((edges.shape[0], 18))
    for o in range(edges.shape[0]):
        a, b, c = faces[index[o], 0], faces[index[o], 1], faces[index[o], 2]

        # Is it seen from the side that its normals point to?
        towards = 0.0
        for k in range(3):
            towards += (normals[a, k] + normals[b, k] + normals[c, k]) * (eye[k] - vertices[a, k])
        side = 1.0 if towards >= 0 else -1.0

        # Each vertex's value times its edge function.
        for d in range(3):
            e0, e1, e2 = edges[o, d], edges[o, 3 + d], edges[o, 6 + d]
            plane[o, d] = e0 + e1 + e2
            for k in range(2):
                plane[o, UV + 3 * k + d] = e0 * uv[a, k] + e1 * uv[b, k] + e2 * uv[c, k]
            for k in range(3):
                plane[o, NORMAL + 3 * k + d] = side * (
                    e0 * normals[a, k] + e1 * normals[b, k] + e2 * normals[c, k]
                )
    return plane


@kernel
def shade(
    plane: Floats,
    index: Ints,
    colors: Any,
    glows: Any,
    textures: Ints,
    ids: Ints,
    lamp_of: Ints,
    lamps: Floats,
    cubes: Any,
    texels: Any,
    offsets: Any,
    side: int,
    light: Light,
    eye: Floats,
    ray: Floats,
    nearness: Floats,
    owner: Ints,
    first: int,
    last: int,
    rgb: Any,
    id_image: Ints,
    depth_image: Any,
) -> None:
    """Fill rows ``first`` to ``last - 1`` of ``rgb``, ``id_image`` and ``depth_image``.

    Args:
        plane: linear functions of ``planes``; ``index`` (v,) is the face of each of its rows.
        colors, glows, textures, ids: of the faces, see ``assemble.Mesh``.
        lamp_of, lamps, cubes, light: see ``optics.Stage``.
        texels, offsets, side: see ``textures.Atlas``; texels along a side of the largest images.
        eye: (3,) position of the camera, metres.
        ray: (3, 3) matrix of ``optics.ray_matrix``.
        nearness, owner: see ``optics.Cover``.
    """
    color = np.empty(3)
    shadowed = cubes.shape[2] > 1
    for y in range(first, last):
        v = y + 0.5
        for x in range(owner.shape[1]):
            # Nothing is seen here.
            o = owner[y, x]
            if o < 0:
                rgb[y, x, 0] = rgb[y, x, 1] = rgb[y, x, 2] = 0
                id_image[y, x], depth_image[y, x] = 0, 0.0
                continue

            # Instance id and depth.
            t, u = index[o], x + 0.5
            depth = 1.0 / nearness[y, x]
            id_image[y, x], depth_image[y, x] = ids[t], depth

            # Colour of the texture; white without one.
            color[0] = color[1] = color[2] = 255.0
            if textures[t] >= 0:
                tu = (plane[o, 3] * u + plane[o, 4] * v + plane[o, 5]) * depth
                tv = (plane[o, 6] * u + plane[o, 7] * v + plane[o, 8]) * depth
                level = mip_level(plane, o, tu, tv, depth, side, offsets.shape[1])
                texel(texels, offsets[textures[t], level], side >> level, tu, tv, color)

            # Light: a factor on the colour, and a highlight to add.
            bright, shine = 1.0, 0.0
            if not glows[t]:
                # Vector to the eye.
                ex = -(ray[0, 0] * u + ray[0, 1] * v + ray[0, 2]) * depth
                ey = -(ray[1, 0] * u + ray[1, 1] * v + ray[1, 2]) * depth
                ez = -(ray[2, 0] * u + ray[2, 1] * v + ray[2, 2]) * depth

                # Unit normal.
                nx = plane[o, 9] * u + plane[o, 10] * v + plane[o, 11]
                ny = plane[o, 12] * u + plane[o, 13] * v + plane[o, 14]
                nz = plane[o, 15] * u + plane[o, 16] * v + plane[o, 17]
                scale = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-30)
                nx, ny, nz = nx * scale, ny * scale, nz * scale

                # Vector to the lamp, and the cosine of its angle with the normal.
                lamp = lamp_of[t]
                lx = lamps[lamp, 0] - eye[0] + ex
                ly = lamps[lamp, 1] - eye[1] + ey
                lz = lamps[lamp, 2] - eye[2] + ez
                square = lx * lx + ly * ly + lz * lz
                inverse = 1.0 / math.sqrt(square)
                facing = (nx * lx + ny * ly + nz * lz) * inverse

                # Ambient light, then the lamp's if the surface faces it.
                bright = light.ambient * (1.0 + light.sky * (nz + 0.5 * nx - 1.0))
                if facing > 0:
                    share = 1.0
                    if shadowed:
                        share = lit_share(
                            cubes,
                            lamp,
                            light.lift * nx - lx,
                            light.lift * ny - ly,
                            light.lift * nz - lz,
                            light,
                        )
                    bright += light.power * share * facing / (light.near + light.far * square)
                    if ids[t] > 0:  # furniture; walls and floor have no highlight
                        ux, uy, uz = lx * inverse, ly * inverse, lz * inverse
                        power = glint(nx, ny, nz, ux, uy, uz, ex, ey, ez)
                        shine = light.gloss * share * power

            for k in range(3):
                value = color[k] * colors[t, k] * bright + shine
                rgb[y, x, k] = int(min(max(value + 0.5, 0.0), 255.0))
