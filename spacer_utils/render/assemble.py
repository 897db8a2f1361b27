"""Turns the parts of all furniture into one triangle mesh, in vectorised steps."""

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
    """Triangles and their surface properties; ``n`` vertices, ``m`` triangles."""

    vertices: Floats
    """(n, 3) metres."""
    normals: Floats
    """(n, 3) unit length."""
    uv: Floats
    """(n, 2) texture position; one image spans 0 to 1 and repeats."""
    faces: NDArray[np.int32]
    """(m, 3) vertices of each triangle."""
    colors: NDArray[np.float32]
    """(m, 3) factor on the texture's colour."""
    glows: NDArray[np.bool_]
    """(m,) emits light: not shaded."""
    textures: NDArray[np.int32]
    """(m,) row of the texture atlas, -1 for none."""
    ids: NDArray[np.int32]
    """(m,) instance id; 0 for walls, floor and ceiling."""


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh out of several."""
    columns = {
        f.name: np.concatenate([getattr(m, f.name) for m in meshes])
        for f in fields(Mesh)
        if f.name != "faces"
    }

    # Faces count vertices, so each mesh's faces move by the vertices before it.
    before = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    faces = np.concatenate([m.faces + np.int32(n) for m, n in zip(meshes, before)])
    return Mesh(faces=faces, **columns)


def assemble(groups: Sequence[Parts], boxes: Sequence[Box], ids: Sequence[int]) -> Mesh:
    """Mesh of many pieces of furniture, each scaled and turned to fill its box exactly.

    Args:
        groups: the parts of each piece, at least one.
        boxes: the box of each piece.
        ids: the instance id of each piece.
    """
    parts = [part for group in groups for part in group]
    templates = [part.template for part in parts]

    # For every vertex: which part it belongs to, and that part's size, place and bevel.
    vertex_counts = np.array([len(t.vertices) for t in templates])
    part_of = np.repeat(np.arange(len(parts)), vertex_counts)
    size = np.array([p.size for p in parts])[part_of]
    at = np.array([p.at for p in parts])[part_of]
    bevel = np.array([p.bevel for p in parts])[part_of, None]

    # Scale the unit templates; normals scale inversely.
    scaled = np.concatenate([t.vertices for t in templates]) * size
    vertices = scaled + np.concatenate([t.inset for t in templates]) * bevel
    normals = np.concatenate([t.normals for t in templates]) / size

    # Turn the parts that are turned, then move every part to its place.
    turns = np.array([np.eye(3) if p.turn is None else p.turn for p in parts])
    is_turned = np.array([p.turn is not None for p in parts])[part_of]
    if is_turned.any():
        matrices = turns[part_of[is_turned]]
        vertices[is_turned] = _rotate(matrices, vertices[is_turned])
        normals[is_turned] = _rotate(matrices, normals[is_turned])
    vertices += at

    # Fit each piece to its box.
    group_of = np.repeat(
        np.arange(len(groups)), [sum(len(p.template.vertices) for p in g) for g in groups]
    )
    vertices, normals = _fit(vertices, normals, group_of, boxes)

    # Faces count vertices, so each part's faces move by the vertices before it.
    face_counts = np.array([len(t.faces) for t in templates])
    before = np.repeat(np.cumsum(vertex_counts) - vertex_counts, face_counts)
    faces = np.concatenate([t.faces for t in templates]) + before[:, None].astype(np.int32)

    # Properties of a part, repeated for each of its faces.
    index = atlas().index
    part_ids = np.repeat(np.array(ids, np.int32), [len(g) for g in groups])
    return Mesh(
        vertices,
        normals,
        _texture_positions(parts, size, at, part_of),
        faces,
        np.repeat(np.array([p.fill.color for p in parts], np.float32), face_counts, axis=0),
        np.repeat(np.array([p.fill.glows for p in parts]), face_counts),
        np.repeat(np.array([index[p.fill.texture] for p in parts], np.int32), face_counts),
        np.repeat(part_ids, face_counts),
    )


def _rotate(matrices: Floats, vectors: Floats) -> Floats:
    """(n, 3) products of (n, 3, 3) matrices with (n, 3) vectors.

    Written out, because the last bits of a BLAS product differ from machine to machine.
    """
    return (
        matrices[:, :, 0] * vectors[:, :1]
        + matrices[:, :, 1] * vectors[:, 1:2]
        + matrices[:, :, 2] * vectors[:, 2:]
    )


def _texture_positions(parts: Parts, size: Floats, at: Floats, part_of: NDArray[np.intp]) -> Floats:
    """(n, 2) texture positions of all vertices: in metres / ``TILE``, or one image for the part."""
    # Tiled: position on the surface, so that neighbouring parts don't show the same pattern.
    axes = np.concatenate([p.template.tile_axes for p in parts])
    tile = np.concatenate([p.template.tile_uv for p in parts]) * np.take_along_axis(size, axes, 1)
    metric = (tile + np.take_along_axis(at, axes, 1)) / TILE

    # Fitted: one image covers the part.
    fitted = np.concatenate([p.template.fit_uv for p in parts])
    is_fitted = np.array([p.fit for p in parts])[part_of, None]
    return np.where(is_fitted, fitted, metric)


def _fit(
    vertices: Floats, normals: Floats, group_of: NDArray[np.intp], boxes: Sequence[Box]
) -> tuple[Floats, Floats]:
    """Vertices and unit normals after each group is stretched to its box, turned and moved there.

    Args:
        group_of: (n,) group of each vertex, ascending; ``boxes[g]`` is the box of group ``g``.
    """
    # Stretch each group's extent to the box's size.
    starts = np.searchsorted(group_of, np.arange(len(boxes)))
    low, high = np.minimum.reduceat(vertices, starts), np.maximum.reduceat(vertices, starts)
    scale = np.array([b.size for b in boxes]) / (high - low)
    vertices = (vertices - ((low + high) / 2)[group_of]) * scale[group_of]
    normals = normals / scale[group_of]
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12

    # Turn it by the box's yaw and move it to the box's centre.
    yaw = [b.yaw for b in boxes]
    turn = np.array(
        [[[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]] for a in yaw]
    )[group_of]
    centers = np.array([b.center for b in boxes])[group_of]
    return _rotate(turn, vertices) + centers, _rotate(turn, normals)
