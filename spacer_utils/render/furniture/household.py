"""Recipes for the toilet and for small objects: kitchen, bath, clothes, bags, toys."""

from __future__ import annotations

import math

from ..materials import BLACK, CHROME, DARK, WHITE, Look, Material, plain, textured
from ..shapes import CYLINDER, Parts, arc, ball, box, cylinder, drape, lathe, tube, turned
from .recipe import recipe, slab

BOWL = ((0, 0), (0.22, 0), (0.24, 0.08), (0.4, 0.45), (0.5, 1), (0.46, 1), (0.36, 0.5), (0, 0.16))
"""Profile of an open bowl on a small foot."""


@recipe("toilet", "floor", (0.4, 0.65, 0.76))
def toilet(x: float, y: float, z: float, look: Look) -> Parts:
    pan, seat = 0.5 * z, -0.14 * y
    section = (
        (0, 0),
        (0.34, 0),
        (0.3, 0.2),
        (0.3, 0.45),
        (0.46, 0.85),
        (0.5, 1),
        (0.38, 1),
        (0.3, 0.7),
        (0, 0.5),
    )
    ring = ((0.34, 0), (0.5, 0), (0.5, 1), (0.36, 1), (0.34, 0))
    return [
        lathe(section, 0.94 * x, 0.7 * y, pan, (0, seat, pan / 2), WHITE, segments=24),
        lathe(
            ring,
            0.98 * x,
            0.72 * y,
            0.05 * z,
            (0, seat, pan + 0.02 * z),
            plain(0.82, 0.84, 0.86),
            segments=24,
        ),
        *turned(
            [
                ball(
                    0.92 * x,
                    0.05 * y,
                    0.46 * z,
                    (0, 0.24 * y, pan + 0.22 * z),
                    plain(0.9, 0.91, 0.92),
                )
            ],
            "x",
            -6,
            (0, 0.24 * y, pan),
        ),
        box(0.5 * x, 0.4 * y, pan, (0, 0.2 * y, pan / 2), WHITE, 0.04),
        box(x, 0.28 * y, 0.48 * z, (0, 0.36 * y, 0.72 * z), WHITE, 0.03),
        box(1.04 * x, 0.3 * y, 0.05 * z, (0, 0.36 * y, 0.97 * z), plain(0.9, 0.9, 0.9), 0.012),
        cylinder(0.1 * x, 0.03 * z, (0, 0.36 * y, z), CHROME),
        ball(0.5 * x, 0.3 * y, 0.03, (0, seat, 0.36 * z), plain(0.55, 0.75, 0.85)),
    ]


@recipe("towel", "wall", (0.38, 0.12, 0.6))
def towel(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.vivid._replace(texture="weave")
    return [
        cylinder(0.22 * y, 1.14 * x, (0, 0, 0.97 * z), CHROME, "x", 8),
        drape(x, 0.3 * y, 0.98 * z, (0, -0.25 * y, 0.49 * z), cloth, 3),
        drape(x, 0.3 * y, 0.7 * z, (0, 0.25 * y, 0.63 * z), cloth.shade(0.8), 3),
        box(x, 0.5 * y, 0.03 * z, (0, 0, 0.985 * z), cloth),
        *(box(1.01 * x, 0.34 * y, 0.05 * z, (0, -0.25 * y, h * z), WHITE) for h in (0.1, 0.2)),
        *(
            box(0.03 * x, 0.6 * y, 0.05 * z, (s * 0.56 * x, 0.2 * y, 0.97 * z), CHROME)
            for s in (-1, 1)
        ),
    ]


@recipe("cup", "on-top", (0.12, 0.09, 0.1))
def cup(x: float, y: float, z: float, look: Look) -> Parts:
    grip = [(0.2 * x + 0.9 * px, 0.0, z / 2 + pz) for px, pz in arc(0.3 * x, 0.32 * z, -90, 90)]
    wall = ((0, 0), (0.4, 0), (0.46, 0.1), (0.5, 1), (0.45, 1), (0.42, 0.12), (0, 0.12))
    return [
        lathe(wall, 0.75 * x, y, z, (-0.12 * x, 0, z / 2), look.vivid),
        lathe(
            ((0, 0), (0.44, 0), (0.44, 1), (0, 1)),
            0.75 * x,
            y,
            0.02 * z,
            (-0.12 * x, 0, 0.8 * z),
            plain(0.3, 0.17, 0.08),
        ),
        tube(grip, 0.1 * x, look.vivid),
    ]


@recipe("bottle", "on-top", (0.08, 0.08, 0.28))
def bottle(x: float, y: float, z: float, look: Look) -> Parts:
    glass = look.pick((plain(0.1, 0.42, 0.2), plain(0.45, 0.25, 0.08), plain(0.3, 0.6, 0.85)))
    wall = (
        (0, 0),
        (0.48, 0),
        (0.5, 0.05),
        (0.5, 0.58),
        (0.36, 0.74),
        (0.18, 0.8),
        (0.17, 1),
        (0, 1),
    )
    return [
        lathe(wall, x, y, 0.92 * z, (0, 0, 0.46 * z), glass),
        lathe(
            ((0.5, 0), (0.5, 1)),
            1.02 * x,
            1.02 * y,
            0.26 * z,
            (0, 0, 0.3 * z),
            plain(0.95, 0.93, 0.85),
        ),
        cylinder(0.42 * x, 0.1 * z, (0, 0, 0.95 * z), look.vivid),
    ]


@recipe("bowl", "on-top", (0.24, 0.24, 0.1))
def bowl(x: float, y: float, z: float, look: Look) -> Parts:
    inside = [
        ball(
            0.26 * x,
            0.26 * y,
            0.6 * z,
            (0.2 * x * math.cos(k * 2.1), 0.2 * y * math.sin(k * 2.1), 0.75 * z),
            fill,
            around=12,
            rings=6,
        )
        for k, fill in enumerate(
            (plain(0.85, 0.15, 0.12), plain(0.95, 0.6, 0.1), plain(0.5, 0.72, 0.2))
        )
    ]
    return [
        lathe(
            BOWL,
            x,
            y,
            0.9 * z,
            (0, 0, 0.45 * z),
            look.tint(look.pick(((0.92, 0.92, 0.9), (0.35, 0.5, 0.75), (0.75, 0.6, 0.45))), 0.04),
            segments=24,
        ),
        *inside,
    ]


@recipe("pan", "on-top", (0.28, 0.48, 0.08))
def pan(x: float, y: float, z: float, look: Look) -> Parts:
    if x > y:
        upright = pan(y, x, z, look)
        return turned(upright, "z", 90)
    wide = min(x, 0.62 * y)
    grip = (
        (0, -y / 2 + 0.97 * wide, 0.7 * z),
        (0, -y / 2 + 1.1 * wide, 0.85 * z),
        (0, y / 2, 0.95 * z),
    )
    return [
        lathe(
            ((0, 0), (0.4, 0), (0.5, 1), (0.47, 1), (0.38, 0.14), (0, 0.14)),
            x,
            wide,
            0.8 * z,
            (0, (wide - y) / 2, 0.4 * z),
            plain(0.16, 0.16, 0.17),
            segments=24,
        ),
        lathe(
            CYLINDER,
            0.72 * x,
            0.72 * wide,
            0.03 * z,
            (0, (wide - y) / 2, 0.16 * z),
            plain(0.4, 0.4, 0.42),
        ),
        tube(grip, 0.35 * z, look.pick((BLACK, plain(0.6, 0.2, 0.12)))),
    ]


@recipe("cutting board", "on-top", (0.38, 0.26, 0.025))
@slab
def cutting_board(x: float, y: float, z: float, look: Look) -> Parts:
    wood = textured("lightwood", look.between(0.9, 1.05))
    stripes = [box(0.05 * x, y, 1.04 * z, (k * x, 0, z / 2), wood.shade(0.6)) for k in (-0.4, 0.16)]
    return [
        box(0.8 * x, y, z, (-0.1 * x, 0, z / 2), wood, 0.25 * z),
        *stripes,
        box(0.22 * x, 0.3 * y, z, (0.39 * x, 0, z / 2), wood, 0.25 * z),
        cylinder(0.08 * x, 1.06 * z, (0.43 * x, 0, z / 2), BLACK, segments=12),
    ]


@recipe("backpack", "floor", (0.36, 0.28, 0.46))
def backpack(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.vivid._replace(texture="fabric")
    dark = cloth.shade(0.55)
    straps = [
        tube(
            (
                (s * 0.22 * x, 0.26 * y, 0.86 * z),
                (s * 0.3 * x, 0.46 * y, 0.7 * z),
                (s * 0.32 * x, 0.48 * y, 0.45 * z),
                (s * 0.3 * x, 0.3 * y, 0.16 * z),
            ),
            0.09 * x,
            dark,
        )
        for s in (-1, 1)
    ]
    loop = [(0.5 * px, 0.1 * y, 0.9 * z + pz) for px, pz in arc(0.28 * x, 0.09 * z, 0, 180, 7)]
    flap = [(px, -0.3 * y, 0.66 * z + pz) for px, pz in arc(0.44 * x, 0.2 * z, 180, 0)]
    return [
        ball(x, 0.68 * y, 0.94 * z, (0, 0, 0.47 * z), cloth, 0.5, 0.45),
        ball(0.76 * x, 0.4 * y, 0.46 * z, (0, -0.28 * y, 0.28 * z), dark, 0.5, 0.5),
        box(0.5 * x, 0.02 * y, 0.02 * z, (0, -0.48 * y, 0.36 * z), WHITE),
        tube(loop, 0.05 * x, dark),
        tube(flap, 0.03 * x, BLACK),
        *straps,
    ]


@recipe("paper bag", "floor", (0.28, 0.16, 0.36))
def paper_bag(x: float, y: float, z: float, look: Look) -> Parts:
    paper = look.tint((0.76, 0.58, 0.38), 0.03)
    body = 0.8 * z
    loops = [
        tube(
            [(px, s * 0.44 * y, body + pz) for px, pz in arc(0.2 * x, 0.2 * z, 0, 180)],
            0.035 * x,
            plain(0.5, 0.34, 0.18),
        )
        for s in (-1, 1)
    ]
    return [
        *(box(x, 0.02 * y, body, (0, s * 0.49 * y, body / 2), paper) for s in (-1, 1)),
        *(box(0.02 * x, y, body, (s * 0.49 * x, 0, body / 2), paper.shade(0.85)) for s in (-1, 1)),
        box(x, y, 0.02 * z, (0, 0, 0.01 * z), paper),
        box(0.5 * x, 0.03 * y, 0.3 * z, (0, -0.5 * y, 0.36 * z), look.vivid),
        *loops,
    ]


@recipe("shoes", "floor", (0.26, 0.3, 0.13))
def shoes(x: float, y: float, z: float, look: Look) -> Parts:
    upper = look.tint(
        look.pick(((0.85, 0.2, 0.18), (0.15, 0.3, 0.7), (0.2, 0.2, 0.22), (0.45, 0.28, 0.15))), 0.04
    )
    parts: Parts = []
    for s in (-1, 1):
        at = s * 0.27 * x
        parts += [
            ball(0.42 * x, y, 0.26 * z, (at, 0, 0.13 * z), WHITE, 0.7, 0.4),
            ball(0.4 * x, 0.96 * y, 0.72 * z, (at, 0, 0.4 * z), upper, 0.7, 0.8),
            lathe(
                ((0, 0), (0.5, 0), (0.44, 1), (0.36, 1), (0.4, 0.3), (0, 0.2)),
                0.38 * x,
                0.48 * y,
                0.56 * z,
                (at, 0.22 * y, 0.72 * z),
                upper.shade(0.8),
            ),
            *(
                box(0.2 * x, 0.025 * y, 0.03 * z, (at, d * y, h * z), WHITE)
                for d, h in ((-0.04, 0.78), (-0.12, 0.74), (-0.2, 0.68))
            ),
        ]
    return parts


@recipe("coat hanger", "wall", (0.44, 0.06, 0.24))
def coat_hanger(x: float, y: float, z: float, look: Look) -> Parts:
    bar = look.pick((textured("wood"), textured("darkwood"), DARK))
    if z > 2 * x:
        return _coat_stand(x, y, z, bar)
    thick = 0.7 * min(y, 0.12 * x)
    hook = [(px, 0.0, 0.84 * z + pz) for px, pz in arc(0.08 * x, 0.14 * z, -60, 180, 8)]
    slope = ((0.48, 0.12), (0.3, 0.34), (0.1, 0.56), (0, 0.6))
    shoulders = [(-a * x, 0.0, h * z) for a, h in slope] + [
        (a * x, 0.0, h * z) for a, h in slope[2::-1]
    ]
    return [
        tube(shoulders, thick, bar),
        cylinder(0.6 * thick, 0.96 * x, (0, 0, 0.1 * z), bar, "x", 8),
        tube(((0, 0, 0.58 * z), (0.04 * x, 0, 0.72 * z)), 0.4 * thick, CHROME),
        tube(hook, 0.4 * thick, CHROME),
        box(0.04 * x, y, 0.03 * z, (0, 0, 0.6 * z), bar),
    ]


def _coat_stand(x: float, y: float, z: float, bar: Material) -> Parts:
    """Pole with feet and hooks; a coat hangs from one of them."""
    arms = [
        tube(
            (
                (0, 0, h * z),
                (0.3 * c * x, 0.3 * s * y, (h + 0.02) * z),
                (0.5 * c * x, 0.5 * s * y, (h + 0.07) * z),
            ),
            0.06 * x,
            bar,
        )
        for h in (0.7, 0.92)
        for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    feet = [
        tube(((0, 0, 0.12 * z), (0.5 * c * x, 0.5 * s * y, 0.0)), 0.07 * x, bar)
        for c, s in ((0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
    ]
    coat = lathe(
        ((0, 0), (0.5, 0), (0.44, 0.6), (0.2, 1), (0, 1)),
        0.5 * x,
        0.3 * y,
        0.4 * z,
        (0.3 * x, 0, 0.54 * z),
        plain(0.25, 0.3, 0.5),
    )
    return [cylinder(0.1 * x, 0.96 * z, (0, 0, 0.52 * z), bar), *arms, *feet, coat]


@recipe("guitar", "floor", (0.38, 0.14, 1.0))
def guitar(x: float, y: float, z: float, look: Look) -> Parts:
    wood = textured(look.pick(("wood", "lightwood")), 1.1)
    body = Material((0.95, 0.62, 0.32), wood.texture)
    front = -0.36 * y
    return [
        lathe(
            ((0, 0), (0.5, 0), (0.5, 1), (0, 1)),
            x,
            0.32 * z,
            0.7 * y,
            (0, 0, 0.17 * z),
            body,
            axis="y",
            segments=24,
        ),
        lathe(
            ((0, 0), (0.5, 0), (0.5, 1), (0, 1)),
            0.76 * x,
            0.24 * z,
            0.7 * y,
            (0, 0, 0.36 * z),
            body,
            axis="y",
            segments=24,
        ),
        cylinder(0.26 * x, 0.02 * y, (0, front, 0.3 * z), BLACK, "y", 16),
        box(0.14 * x, 0.2 * y, 0.52 * z, (0, front, 0.66 * z), textured("darkwood", 0.7)),
        box(
            0.2 * x, 0.2 * y, 0.12 * z, (0, front + 0.08 * y, 0.94 * z), textured("darkwood"), 0.01
        ),
        box(0.3 * x, 0.1 * y, 0.025 * z, (0, front, 0.15 * z), BLACK),
        *(
            box(0.008 * x, 0.02 * y, 0.74 * z, (k * 0.03 * x, front - 0.12 * y, 0.52 * z), WHITE)
            for k in (-1.5, -0.5, 0.5, 1.5)
        ),
        *(
            ball(
                0.05 * x, 0.1 * y, 0.02 * z, (s * 0.12 * x, front, h * z), CHROME, around=8, rings=4
            )
            for s in (-1, 1)
            for h in (0.91, 0.94, 0.97)
        ),
    ]


@recipe("ball", "floor", (0.24, 0.24, 0.24))
def toy_ball(x: float, y: float, z: float, look: Look) -> Parts:
    color = look.tint((0.92, 0.42, 0.1), 0.05)
    seam = ((0.49, 0), (0.503, 0.3), (0.503, 0.7), (0.49, 1))
    return [
        ball(x, y, z, (0, 0, z / 2), color, around=20, rings=12),
        *(
            lathe(seam, x, y, 0.03 * z, (0, 0, z / 2), BLACK, axis=axis, segments=24)
            for axis in ("x", "y", "z")
        ),
    ]
