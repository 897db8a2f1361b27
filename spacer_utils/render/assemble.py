"""Turns parts into one triangle mesh for a whole room, in a single vectorised step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..core.types import Box
from .shapes import Parts
from .textures import TILE, atlas

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with what the shader needs; ``n`` vertices, ``m`` triangles."""

    vertices: Floats
    """(n, 3) metres."""
    normals: Floats
    """(n, 3) unit length."""
    uv: Floats
    """(n, 2) texture position; 1 is one image."""
    faces: NDArray[np.int32]
    """(m, 3)"""
    colors: NDArray[np.float32]
    """(m, 3) tint."""
    glows: NDArray[np.bool_]
    """(m,) shines by itself."""
    textures: NDArray[np.int32]
    """(m,) row of the atlas, -1 for plain."""
    ids: NDArray[np.int32]
    """(m,) instance id; 0 for the room shell."""


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh out of several."""
    shift = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    columns = {
        f.name: np.concatenate([getattr(m, f.name) for m in meshes])
        for f in fields(Mesh)
        if f.name != "faces"
    }
    faces = np.concatenate([m.faces + np.int32(s) for m, s in zip(meshes, shift)])
    return Mesh(faces=faces, **columns)


def assemble(groups: Sequence[Parts], boxes: Sequence[Box], ids: Sequence[int]) -> Mesh:
    """Mesh of many pieces of furniture: group ``i`` is scaled and turned to fill ``boxes[i]``
    exactly.

    Args:
        groups: parts of each piece, not empty.
        boxes: where each piece stands.
        ids: instance id of each piece.
    """
    parts = [part for group in groups for part in group]
    templates = [part.template for part in parts]
    counts = np.array([len(t.vertices) for t in templates])
    of_part = np.repeat(np.arange(len(parts)), counts)
    size = np.array([p.size for p in parts])[of_part]
    at = np.array([p.at for p in parts])[of_part]
    bevel = np.array([p.bevel for p in parts])[of_part, None]
    vertices = (
        np.concatenate([t.vertices for t in templates]) * size
        + np.concatenate([t.inset for t in templates]) * bevel
    )
    normals = np.concatenate([t.normals for t in templates]) / size
    turns = np.array([np.eye(3) if p.turn is None else p.turn for p in parts])
    askew = np.array([p.turn is not None for p in parts])[of_part]
    if askew.any():
        matrices = turns[of_part[askew]]
        vertices[askew] = _rotate(matrices, vertices[askew])
        normals[askew] = _rotate(matrices, normals[askew])
    vertices += at
    group_of = np.repeat(
        np.arange(len(groups)), [sum(len(p.template.vertices) for p in g) for g in groups]
    )
    vertices, normals = _fit(vertices, normals, group_of, boxes)
    repeat = np.array([len(t.faces) for t in templates])
    faces = np.concatenate([t.faces for t in templates])
    faces = faces + np.repeat(np.cumsum(counts) - counts, repeat)[:, None].astype(np.int32)
    index = atlas().index
    return Mesh(
        vertices,
        normals,
        _texture_positions(parts, size, at, of_part),
        faces,
        np.repeat(np.array([p.fill.color for p in parts], np.float32), repeat, axis=0),
        np.repeat(np.array([p.fill.glows for p in parts]), repeat),
        np.repeat(np.array([index[p.fill.texture] for p in parts], np.int32), repeat),
        np.repeat(np.repeat(np.array(ids, np.int32), [len(g) for g in groups]), repeat),
    )


def _rotate(matrices: Floats, vectors: Floats) -> Floats:
    """Row-wise product, written out so that its bits don't depend on a BLAS."""
    return (
        matrices[:, :, 0] * vectors[:, :1]
        + matrices[:, :, 1] * vectors[:, 1:2]
        + matrices[:, :, 2] * vectors[:, 2:]
    )


def _texture_positions(parts: Parts, size: Floats, at: Floats, of_part: NDArray[np.intp]) -> Floats:
    """Metric positions, except for parts that one image covers."""
    axes = np.concatenate([p.template.tile_axes for p in parts])
    tile = np.concatenate([p.template.tile_uv for p in parts]) * np.take_along_axis(size, axes, 1)
    fit = np.concatenate([p.template.fit_uv for p in parts])
    covered = np.array([p.fit for p in parts])[of_part, None]
    return np.where(covered, fit, (tile + np.take_along_axis(at, axes, 1)) / TILE)


def _fit(
    vertices: Floats, normals: Floats, group_of: NDArray[np.intp], boxes: Sequence[Box]
) -> tuple[Floats, Floats]:
    """Stretches every group to its box along the box's own axes, then turns and moves it there."""
    starts = np.searchsorted(group_of, np.arange(len(boxes)))
    low, high = np.minimum.reduceat(vertices, starts), np.maximum.reduceat(vertices, starts)
    scale = np.array([b.size for b in boxes]) / (high - low)
    vertices = (vertices - ((low + high) / 2)[group_of]) * scale[group_of]
    normals = normals / scale[group_of]
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12
    yaw = [b.yaw for b in boxes]
    turn = np.array(
        [[[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]] for a in yaw]
    )[group_of]
    return _rotate(turn, vertices) + np.array([b.center for b in boxes])[group_of], _rotate(
        turn, normals
    )
