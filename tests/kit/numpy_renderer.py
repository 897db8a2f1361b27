"""The rasteriser and shader in numpy alone, the oracle of the compiled ones: slow, with the same ids
and depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacer_utils.render.optics import NEAR, TINY, Cover, Floats, Image, Ints, Light, Stage
from spacer_utils.render.renderer import Paint, Renderer, Visible
from spacer_utils.render.textures import LEVELS, SIDE, atlas


class NumpyRenderer(Renderer):
    """``Renderer`` with the functions below in place of the compiled ones."""

    def _passes(self) -> tuple[Visible, Paint]:
        return visible, paint


def visible(
    vertices: Floats, faces: Ints, camera: Floats, width: int, height: int, threads: int = 1
) -> Cover:
    """What each pixel of a camera sees; arguments as ``raster.visible`` (one thread, whatever is
    asked)."""
    x, y, z = vertices.T
    clip = np.stack([((row[0] * x + row[1] * y) + row[2] * z) + row[3] for row in camera], 1)
    edges, bounds, index = _set_up(clip, faces, width, height)
    nearness, owner = np.zeros((height, width)), np.full((height, width), -1, np.int32)
    u, v = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    for t, (left, right, top, bottom) in enumerate(bounds.tolist()):
        window = (slice(top, bottom + 1), slice(left, right + 1))
        weights = [
            edges[t, 3 * k] * u[window[1]]
            + (edges[t, 3 * k + 1] * v[window[0]] + edges[t, 3 * k + 2])
            for k in range(3)
        ]
        near = (weights[0] + weights[1]) + weights[2]
        wins = (near > nearness[window]) & (near < 1.0 / NEAR)
        for weight in weights:
            wins &= weight >= 0
        nearness[window][wins] = near[wins]
        owner[window][wins] = t
    return Cover(edges, index, nearness, owner)


def _set_up(clip: Floats, faces: Ints, width: int, height: int) -> tuple[Floats, Ints, Ints]:
    """Edge functions, pixel bounds and index of the triangles in view, as ``raster.set_up``."""
    x, y, w = (clip[:, k][faces] for k in range(3))
    behind = (w < NEAR).all(1)
    beside = (x < 0).all(1) | (y < 0).all(1) | (x > width * w).all(1) | (y > height * w).all(1)
    index = np.nonzero(~(behind | beside))[0]
    x, y, w = x[index], y[index], w[index]
    before = (w > NEAR).all(1)
    scale = np.where(w > NEAR, w, 1.0)
    u, v = x / scale, y / scale
    low = [
        np.where(before, np.maximum(np.ceil(c.min(1) - 0.5), 0), 0).astype(np.int32) for c in (u, v)
    ]
    high = [
        np.where(before, np.minimum(np.floor(c.max(1) - 0.5), n - 1), n - 1).astype(np.int32)
        for c, n in ((u, width), (v, height))
    ]
    rows = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        rows.append(
            [
                y[:, i] * w[:, j] - y[:, j] * w[:, i],
                x[:, j] * w[:, i] - x[:, i] * w[:, j],
                x[:, i] * y[:, j] - x[:, j] * y[:, i],
            ]
        )
    det = (x[:, 0] * rows[0][0] + y[:, 0] * rows[0][1]) + w[:, 0] * rows[0][2]
    keep = (np.abs(det) >= TINY) & (high[0] >= low[0]) & (high[1] >= low[1])
    edges = np.stack([c[keep] * (1.0 / det[keep]) for row in rows for c in row], 1)
    return (
        edges,
        np.stack([low[0], high[0], low[1], high[1]], 1)[keep],
        index[keep].astype(np.int32),
    )


def paint(stage: Stage, seen: Cover, eye: Floats, ray: Floats, threads: int = 1) -> Image:
    """Colours what ``visible`` found; arguments as ``shade.paint``."""
    mesh = stage.mesh
    height, width = seen.owner.shape
    rows, columns = np.nonzero(seen.owner >= 0)
    owner = seen.owner[rows, columns]
    face = seen.triangle[owner]
    depth = 1.0 / seen.nearness[rows, columns]
    pixel = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], 1)
    edges = seen.edges[owner].reshape(-1, 3, 3)
    weights = (edges @ pixel[:, :, None])[:, :, 0] * depth[:, None]
    corners = mesh.faces[face]
    uv = (weights[:, :, None] * mesh.uv[corners]).sum(1)
    slope = (edges[:, :, :2] - weights[:, :, None] * edges[:, :, :2].sum(1, keepdims=True)) * depth[
        :, None, None
    ]
    spread = ((mesh.uv[corners].transpose(0, 2, 1) @ slope) ** 2).sum(1).max(1) * SIDE * SIDE
    level = np.clip(np.ceil(np.log2(np.maximum(spread, 1e-12) / 2) / 2), 0, LEVELS - 1).astype(int)
    normal = (weights[:, :, None] * mesh.normals[corners]).sum(1)
    behind = (mesh.normals[corners].sum(1) * (eye - mesh.vertices[corners[:, 0]])).sum(1) < 0
    normal[behind] *= -1
    tint = mesh.colors[face].astype(np.float64)
    bright, shine = _light(stage, face, normal, -(pixel @ ray.T) * depth[:, None], eye)
    glows = mesh.glows[face]
    bright, shine = np.where(glows, 1.0, bright), np.where(glows, 0.0, shine)
    rgb, ids = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.int32)
    depth_image = np.zeros((height, width), np.float32)
    color = _texels(mesh.textures[face], level, uv) * tint * bright[:, None] + shine[:, None]
    rgb[rows, columns] = np.clip(color + 0.5, 0, 255).astype(np.uint8)
    ids[rows, columns], depth_image[rows, columns] = mesh.ids[face], depth
    return rgb, ids, depth_image


def _texels(row: Ints, level: NDArray[np.int_], uv: Floats) -> Floats:
    """(n, 3) bilinear samples; white where ``row`` is -1."""
    image = atlas()
    side = (SIDE >> level)[:, None]
    at = uv * side - 0.5
    low = np.floor(at).astype(int)
    share = at - low
    start = image.offsets[row, level]
    total = np.zeros((len(uv), 3))
    for dy in (0, 1):
        for dx in (0, 1):
            corner = (low + np.array([dx, dy])) & (side - 1)
            part = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            total += image.texels[start + corner[:, 1] * side[:, 0] + corner[:, 0]] * part[:, None]
    return np.where((row >= 0)[:, None], total, 255.0)


def _light(
    stage: Stage, face: Ints, normal: Floats, to_eye: Floats, eye: Floats
) -> tuple[Floats, Floats]:
    """Brightness and highlight of each pixel."""
    normal = normal / np.sqrt((normal * normal).sum(1, keepdims=True) + 1e-30)
    lamp, light = stage.lamp_of[face], stage.light
    to_lamp = stage.lamps[lamp] - eye + to_eye
    square = (to_lamp * to_lamp).sum(1)
    beam = to_lamp / np.sqrt(square)[:, None]
    facing = np.maximum((normal * beam).sum(1), 0.0)
    shadowed = stage.cubes.shape[2] > 1
    share = (
        _lit_share(stage.cubes, lamp, light.lift * normal - to_lamp, light)
        if shadowed
        else np.ones(len(face))
    )
    half = beam + to_eye / np.sqrt((to_eye * to_eye).sum(1))[:, None]
    power = ((normal * half).sum(1) ** 2 / ((half * half).sum(1) + 1e-9)) ** 16
    bright = light.ambient * (1.0 + light.sky * (normal[:, 2] + 0.5 * normal[:, 0] - 1.0))
    bright += light.power * share * facing / (light.near + light.far * square)
    return bright, light.gloss * share * power * (facing > 0) * (stage.mesh.ids[face] > 0)


def _lit_share(cubes: NDArray[np.float32], lamp: Ints, offset: Floats, light: Light) -> Floats:
    """Share of the lamp that reaches each (n, 3) offset from it, as ``shade.lit_share``."""
    axis = np.argmax(np.abs(offset), axis=1)
    along = np.take_along_axis(offset, axis[:, None], 1)[:, 0]
    reach = np.abs(along)
    across = (
        np.take_along_axis(offset, np.array([[1, 2], [0, 2], [0, 1]])[axis], 1) / reach[:, None]
    )
    half = cubes.shape[2] / 2
    at = across * (half - light.margin) + half - 1
    low = at.astype(int)
    share = at - low
    limit = 1.0 / np.maximum(reach - light.bias, 1e-3)
    edge = [np.stack([1 - share[:, k], np.ones(len(at)), share[:, k]]) for k in (0, 1)]
    lit = np.zeros(len(at))
    for dy in range(3):
        for dx in range(3):
            lit += (
                edge[1][dy]
                * edge[0][dx]
                * (cubes[lamp, 2 * axis + (along < 0), low[:, 1] + dy, low[:, 0] + dx] < limit)
            )
    return lit / 4.0
