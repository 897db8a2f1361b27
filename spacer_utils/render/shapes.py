"""Primitive solids of which furniture is built: boxes, lathed shapes, balls, tubes, cloth, leaves.

A ``Template`` is the mesh of a solid in the cube [-0.5, 0.5]^3 (a ``tube`` is in metres). It is
computed once per process. A ``Part`` is a template with a size, a place and a material. Thousands
of parts become one mesh in ``assemble``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .materials import Material

Floats = NDArray[np.float64]
Vec = tuple[float, float, float]
Profile = tuple[tuple[float, float], ...]
"""Section of a lathed solid, ``((radius, height), ...)``; radius 0-0.5, height 0-1.

The line runs along the outside from bottom to top, and back along the inside of a hollow solid.
"""

CREASE = math.cos(math.radians(50))
"""Cosine of the angle from which a lathed solid shows a sharp edge between two segments of its
profile. Smaller angles are shaded smoothly: the two segments share a normal there."""


@dataclass(frozen=True, eq=False)
class Template:
    """Unit mesh; ``n`` vertices, ``m`` triangles."""

    vertices: Floats
    """(n, 3)"""
    normals: Floats
    """(n, 3)"""
    inset: Floats
    """(n, 3) direction in which a bevel moves each vertex; zero for all but bevelled boxes."""
    tile_uv: Floats
    """(n, 2) texture position of a texture that repeats, in units of the part's size.

    Times the sizes along ``tile_axes`` it is in metres, so that a texture has the same scale on all
    parts.
    """
    tile_axes: NDArray[np.intp]
    """(n, 2) axes of the part whose sizes scale ``tile_uv``."""
    fit_uv: Floats
    """(n, 2) texture position if a single image covers the part."""
    faces: NDArray[np.int32]
    """(m, 3) vertices of each triangle."""


class Part(NamedTuple):
    """One solid of a piece of furniture; metres, z up, the front of the piece faces -y."""

    template: Template
    size: Vec
    at: Vec
    """Centre."""
    fill: Material
    turn: Floats | None = None
    """(3, 3) rotation about the part's own centre."""
    bevel: float = 0.0
    """Width of the bevelled edges of a box."""
    fit: bool = False
    """A single image covers the part; otherwise the texture repeats at metric scale."""


Parts = list[Part]


def turn_about(axis: str, degrees: float) -> Floats:
    """(3, 3) rotation about the axis ``x``, ``y`` or ``z``."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {
        "x": ((1, 0, 0), (0, c, -s), (0, s, c)),
        "y": ((c, 0, s), (0, 1, 0), (-s, 0, c)),
        "z": ((c, -s, 0), (s, c, 0), (0, 0, 1)),
    }
    return np.array(rows[axis], dtype=np.float64)


LYING = {"x": turn_about("y", 90), "y": turn_about("x", 90), "z": None}
"""Axis -> rotation that lays an upright solid along it; its top then faces +x or -y (the front)."""


def turned(parts: Iterable[Part], axis: str, degrees: float, pivot: Vec = (0, 0, 0)) -> Parts:
    """The parts after a common turn about the axis through ``pivot``."""
    turn = turn_about(axis, degrees)
    centre = np.array(pivot)
    return [
        p._replace(
            at=tuple((turn @ (np.array(p.at) - centre) + centre).tolist()),
            turn=turn if p.turn is None else turn @ p.turn,
        )
        for p in parts
    ]


Corner = tuple[int, int, int]
"""A corner of a box, as the signs of its x, y and z."""


def _corner(axes: tuple[int, int, int], signs: tuple[int, int, int]) -> Corner:
    """The corner with ``signs[k]`` along axis ``axes[k]``."""
    along = dict(zip(axes, signs))
    return along[0], along[1], along[2]


@cache
def _box_template(bevelled: bool) -> Template:
    """A cube with four vertices for each face, so that every face has its own normal."""
    place: dict[tuple[int, Corner], int] = {}  # (face's axis, corner) -> vertex
    corners: list[Corner] = []
    normals, axes, faces = [], [], []

    # Six faces, wound outwards.
    for axis, sign in product(range(3), (-1, 1)):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        quad = [len(corners) + k for k in range(4)]
        for su, sv in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner = _corner((axis, u, v), (sign, su, sv))
            place[axis, corner] = len(corners)
            corners.append(corner)
            normals.append(np.eye(3)[axis] * sign)
            axes.append(sorted((u, v)))
        faces.append(quad[::sign])

    # A bevel moves each face's corners inwards and fills the gaps between the faces.
    if bevelled:
        faces += _bevel_faces(place)

    triangles = [(q[0], q[k], q[k + 1]) for q in faces for k in range(1, len(q) - 1)]
    points, outward, tile_axes = np.array(corners) / 2, np.array(normals), np.array(axes)
    tile = np.take_along_axis(points, tile_axes, 1)
    inset = -2 * points * (outward == 0) if bevelled else np.zeros_like(points)
    return Template(
        points, outward, inset, tile, tile_axes, tile + 0.5, np.array(triangles, np.int32)
    )


def _bevel_faces(place: dict[tuple[int, Corner], int]) -> list[list[int]]:
    """Vertices of the twelve edge strips and eight corner triangles of a bevelled box.

    All are wound outwards. ``place`` gives the vertex of a face's corner.
    """
    faces = []

    # An edge strip joins two faces along one axis.
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for su, sv in product((-1, 1), repeat=2):
            low, high = (_corner((axis, u, v), (end, su, sv)) for end in (-1, 1))
            strip = [place[u, low], place[v, low], place[v, high], place[u, high]]
            faces.append(strip[:: su * sv])

    # A corner triangle joins three faces.
    for x, y, z in product((-1, 1), repeat=3):
        triple = [place[axis, (x, y, z)] for axis in range(3)]
        faces.append(triple[:: x * y * z])
    return faces


def box(
    x: float, y: float, z: float, at: Vec, fill: Material, bevel: float = 0.0, fit: bool = False
) -> Part:
    """Box with sides ``x``, ``y``, ``z`` centred at ``at``; bevelled edges are shaded as round."""
    bevel = min(bevel, 0.45 * min(x, y, z))
    return Part(_box_template(bevel > 0), (x, y, z), at, fill, None, bevel, fit)


def _signed_power(values: Floats, exponent: float) -> Floats:
    """Power of the absolute values, with the sign kept."""
    return np.sign(values) * np.abs(values) ** exponent


@lru_cache(maxsize=256)
def _lathe_template(profile: Profile, segments: int, roundness: float) -> Template:
    """The profile swept around the z axis; ``segments`` steps make a full turn."""
    # Normal of each segment of the profile, in (radius, height).
    line = np.array(profile, dtype=np.float64) - (0, 0.5)
    step = np.diff(line, axis=0)
    normal = np.stack([step[:, 1], -step[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12

    # Where two segments meet at a small angle, both get their mean normal there: a smooth edge.
    start, end = normal.copy(), normal.copy()
    for k in range(len(normal) - 1):
        if normal[k] @ normal[k + 1] > CREASE:
            total = normal[k] + normal[k + 1]
            end[k] = start[k + 1] = total / np.linalg.norm(total)

    # Two rings of vertices for each segment, because sharp edges need two normals.
    rings = np.stack([line[:-1], line[1:]], 1).reshape(-1, 2)
    ring_normals = np.stack([start, end], 1).reshape(-1, 2)

    # A superellipse around the axis, and the directions of its normals.
    angle = np.linspace(0, 2 * math.pi, segments + 1)
    around = np.stack([_signed_power(f(angle), roundness) for f in (np.cos, np.sin)], 1)
    outward = np.stack([_signed_power(f(angle), 2 - roundness) for f in (np.cos, np.sin)], 1)
    vertices = _swept(rings, around)
    normals = _swept(ring_normals, outward)

    # Texture positions: the angle, and the length along the profile.
    at_points = np.concatenate([[0], np.cumsum(np.linalg.norm(step, axis=1))])
    at_rings = at_points[np.repeat(np.arange(len(line)), 2)[1:-1]]
    tile = np.stack(np.broadcast_arrays(angle / 2, at_rings[:, None]), -1).reshape(-1, 2)

    # Triangles between the two rings of a segment, not between segments.
    within_segment = np.repeat(np.arange(len(rings) - 1) % 2 == 0, 2 * segments)
    faces = _grid_faces(len(rings), segments + 1)[within_segment]
    axes = np.tile(np.array([0, 2]), (len(vertices), 1))
    return Template(
        vertices,
        normals,
        np.zeros_like(vertices),
        tile,
        axes,
        vertices[:, :2] + 0.5,
        _with_area(vertices, faces),
    )


def _swept(line: Floats, around: Floats) -> Floats:
    """(P * D, 3) positions of P (radius, height) points in each of D (x, y) directions."""
    height = np.broadcast_to(line[:, 1, None, None], (len(line), len(around), 1))
    return np.concatenate([line[:, :1, None] * around, height], 2).reshape(-1, 3)


def _grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    """(2 * cells, 3) triangles of a (rows, columns) grid of vertices, two per cell, row by row."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    cell = np.array([[0, 1, columns + 1], [0, columns + 1, columns]])
    return np.asarray((corner[:, :, None] + cell).reshape(-1, 3), np.int32)


def _with_area(vertices: Floats, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """The triangles that are more than a line or a point."""
    edges = vertices[faces[:, 1:]] - vertices[faces[:, :1]]
    return np.asarray(faces[np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-9])


def lathe(
    profile: Profile,
    x: float,
    y: float,
    z: float,
    at: Vec,
    fill: Material,
    *,
    axis: str = "z",
    segments: int = 20,
    roundness: float = 1.0,
    fit: bool = False,
) -> Part:
    """Solid of revolution: a profile swept around an axis.

    Args:
        x, y, z: width, depth and height before it is laid along ``axis``, metres.
        axis: direction of the height; with ``y`` the top faces the front.
        segments: steps of a full turn.
        roundness: 1 for a circular section, 0.4 for a rounded rectangle.
        fit: see ``Part``.
    """
    return Part(
        _lathe_template(profile, segments, roundness), (x, y, z), at, fill, LYING[axis], 0.0, fit
    )


CYLINDER: Profile = ((0, 0), (0.5, 0), (0.5, 1), (0, 1))


def cylinder(
    diameter: float, height: float, at: Vec, fill: Material, axis: str = "z", segments: int = 14
) -> Part:
    """Closed cylinder centred at ``at``, its height along ``axis``."""
    return lathe(CYLINDER, diameter, diameter, height, at, fill, axis=axis, segments=segments)


def cone(
    bottom: float,
    top: float,
    height: float,
    at: Vec,
    fill: Material,
    axis: str = "z",
    segments: int = 20,
) -> Part:
    """Closed frustum with the diameters ``bottom`` and ``top``, centred at ``at``."""
    wide = max(bottom, top)
    profile = (
        (0.0, 0.0),
        (round(bottom / wide / 2, 2), 0.0),
        (round(top / wide / 2, 2), 1.0),
        (0.0, 1.0),
    )
    return lathe(profile, wide, wide, height, at, fill, axis=axis, segments=segments)


@cache
def _ball_template(flat: float, upright: float, around: int, rings: int) -> Template:
    """A superellipsoid on a grid of longitudes and latitudes."""
    u, v = np.meshgrid(
        np.linspace(-math.pi, math.pi, around + 1),
        np.linspace(-math.pi / 2, math.pi / 2, rings + 1),
    )

    def surface(e: float, f: float) -> Floats:
        ring = _signed_power(np.cos(v), f)
        return np.stack(
            [
                ring * _signed_power(np.cos(u), e),
                ring * _signed_power(np.sin(u), e),
                _signed_power(np.sin(v), f),
            ],
            -1,
        ).reshape(-1, 3)

    # The normals of a superellipsoid form one with complementary exponents.
    vertices = surface(flat, upright) / 2
    normals = surface(2 - flat, 2 - upright)
    faces = _grid_faces(rings + 1, around + 1)
    tile = np.stack([u, v], -1).reshape(-1, 2) / 2
    return Template(
        vertices,
        normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12),
        np.zeros_like(vertices),
        tile,
        np.tile(np.array([0, 2]), (len(vertices), 1)),
        vertices[:, [0, 2]] + 0.5,
        _with_area(vertices, faces),
    )


def ball(
    x: float,
    y: float,
    z: float,
    at: Vec,
    fill: Material,
    flat: float = 1.0,
    upright: float = 1.0,
    around: int = 16,
    rings: int = 8,
) -> Part:
    """Superellipsoid with the extents ``x``, ``y``, ``z``, centred at ``at``.

    Args:
        flat, upright: exponents of the outline seen from above and of the upright section; 1 is an
            ellipse, smaller is more like a rectangle.
        around, rings: steps around and from bottom to top.
    """
    return Part(_ball_template(flat, upright, around, rings), (x, y, z), at, fill)


@lru_cache(maxsize=512)
def _tube_template(path: tuple[Vec, ...], radius: float, segments: int) -> Template:
    """A circle swept along the path, with open ends; metres."""
    # Direction of the tube at each point.
    points = np.array(path, dtype=np.float64)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)

    # Two axes across it: one horizontal, unless the whole tube is upright.
    mostly_upright = np.ptp(points[:, 2]) >= 0.9 * np.ptp(points, axis=0).sum()
    side = np.cross(along, (1.0, 0.0, 0.0) if mostly_upright else (0.0, 0.0, 1.0))
    parallel = np.linalg.norm(side, axis=1) < 1e-6
    side[parallel] = np.cross(along[parallel], (0.6, 0.8, 0.0))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(side, along)

    # A ring of vertices around each point.
    angle = np.linspace(0, 2 * math.pi, segments + 1)
    cosine, sine = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    normals = cosine * side[:, None] + sine * other[:, None]
    vertices = (points[:, None] + radius * normals).reshape(-1, 3)
    tile = np.stack(
        np.broadcast_arrays(angle * radius, np.arange(len(points))[:, None] * 0.05), -1
    ).reshape(-1, 2)
    return Template(
        vertices,
        normals.reshape(-1, 3),
        np.zeros_like(vertices),
        tile,
        np.zeros((len(vertices), 2), np.intp),
        tile,
        _grid_faces(len(points), segments + 1),
    )


def tube(
    path: Iterable[Vec], diameter: float, fill: Material, segments: int = 8, at: Vec = (0, 0, 0)
) -> Part:
    """Bent rod through the points of ``path``, metres; ``at`` moves it."""
    return Part(_tube_template(tuple(path), diameter / 2, segments), (1.0, 1.0, 1.0), at, fill)


def arc(
    radius_x: float, radius_z: float, start: float, end: float, steps: int = 9
) -> list[tuple[float, float]]:
    """(x, z) points on an ellipse around the origin, from ``start`` to ``end`` degrees."""
    angles = [math.radians(start + (end - start) * k / (steps - 1)) for k in range(steps)]
    return [(radius_x * math.cos(a), radius_z * math.sin(a)) for a in angles]


@cache
def _sheet_template(folds: int, bend: float, taper: float) -> Template:
    """A thin sheet in the xz plane: with upright folds (cloth), or bent and tapered (a leaf)."""
    columns, rows = (folds * 6 if folds else 2) + 1, (2 if bend == 0 else 5)
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, columns), np.linspace(-0.5, 0.5, rows))

    # Depth of the sheet at (u, v).
    width = 1 - taper * (2 * np.abs(v + 0.1)) ** 2
    wave = 0.5 * np.sin(2 * math.pi * folds * u) if folds else -bend * (v + 0.5) ** 2
    vertices = np.stack([u * width, wave, v], -1).reshape(-1, 3)

    # Its derivatives give the normals.
    slope = math.pi * folds * np.cos(2 * math.pi * folds * u) if folds else np.zeros_like(u)
    lean = np.zeros_like(u) if folds else 2 * bend * (v + 0.5)
    normals = np.stack([slope, -np.ones_like(u), -lean], -1).reshape(-1, 3)
    tile = np.stack([u, v], -1).reshape(-1, 2)
    return Template(
        vertices,
        normals,
        np.zeros_like(vertices),
        tile,
        np.tile(np.array([0, 2]), (len(tile), 1)),
        tile + 0.5,
        _grid_faces(rows, columns),
    )


def drape(x: float, y: float, z: float, at: Vec, fill: Material, folds: int = 5) -> Part:
    """Hanging cloth with the extents ``x``, ``y``, ``z``; its folds are ``y`` deep."""
    return Part(_sheet_template(folds, 0.0, 0.0), (x, y, z), at, fill)


def leaf(
    width: float, length: float, root: Vec, fill: Material, azimuth: float, lean: float
) -> Part:
    """Curved leaf that grows from ``root``; ``width``, ``length`` in metres.

    It leans ``lean`` degrees from the vertical towards -y, then turns ``azimuth`` degrees about z.
    """
    turn = turn_about("z", azimuth) @ turn_about("x", lean)
    at = turn @ (0.0, 0.0, length / 2) + np.array(root)
    return Part(
        _sheet_template(0, 0.35, 0.9), (width, length, length), tuple(at.tolist()), fill, turn
    )


def legs(
    x: float,
    y: float,
    z: float,
    thick: float,
    fill: Material,
    inset: float = 0.0,
    round_: bool = False,
) -> Parts:
    """Four legs from the floor up to height ``z``, under a top of ``x`` by ``y``.

    Args:
        thick: side or diameter of a leg.
        inset: distance of the legs from the edges of the top.
        round_: cylinders instead of boxes.
    """
    dx, dy = x / 2 - thick / 2 - inset, y / 2 - thick / 2 - inset
    at = [(sx * dx, sy * dy, z / 2) for sx, sy in product((-1, 1), repeat=2)]
    return [
        cylinder(thick, z, c, fill, segments=10) if round_ else box(thick, thick, z, c, fill)
        for c in at
    ]
