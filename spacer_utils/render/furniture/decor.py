"""Recipes for lights, plants, wall decoration, rugs, fireplaces, doors and windows."""

from __future__ import annotations

from ..materials import (
    BLACK,
    BRASS,
    CHROME,
    DARK,
    GLOW,
    GRAY,
    IVORY,
    WHITE,
    Look,
    lit,
    plain,
    textured,
)
from ..shapes import CYLINDER, Parts, ball, box, cylinder, drape, lathe, leaf
from .recipe import recipe

LAMPSHADE = lit(1.05, 0.98, 0.74, "fabric")
SHADE = ((0.5, 0), (0.34, 1))
VASE = ((0, 0), (0.42, 0), (0.5, 0.06), (0.3, 0.2), (0.46, 0.5), (0.4, 0.75), (0.12, 1), (0, 1))
POT = ((0, 0), (0.34, 0), (0.44, 0.86), (0.5, 0.88), (0.5, 1), (0.42, 1), (0.4, 0.84), (0, 0.84))


@recipe("lamp", "floor", (0.4, 0.4, 1.55))
def lamp(x: float, y: float, z: float, look: Look) -> Parts:
    wide = min(x, y)
    top = min(0.3, 0.35 * z)
    stem = look.pick((DARK, BRASS, CHROME))
    return [
        cylinder(0.7 * wide, 0.03, (0, 0, 0.015), stem, segments=20),
        cylinder(0.03, z - 0.6 * top, (0, 0, z / 2 - 0.3 * top), stem, segments=8),
        lathe(SHADE, x, y, top, (0, 0, z - top / 2), LAMPSHADE, segments=24),
        ball(0.3 * wide, 0.3 * wide, 0.5 * top, (0, 0, z - 0.5 * top), GLOW),
    ]


@recipe("table lamp", "on-top", (0.3, 0.3, 0.46))
def table_lamp(x: float, y: float, z: float, look: Look) -> Parts:
    return [
        lathe(VASE, 0.55 * x, 0.55 * y, 0.6 * z, (0, 0, 0.3 * z), look.vivid),
        cylinder(0.06 * x, 0.3 * z, (0, 0, 0.6 * z), BRASS, segments=8),
        lathe(SHADE, x, y, 0.42 * z, (0, 0, 0.79 * z), LAMPSHADE, segments=24),
        ball(0.3 * x, 0.3 * y, 0.2 * z, (0, 0, 0.8 * z), GLOW),
    ]


@recipe("ceiling light", "ceiling", (0.6, 0.4, 0.14))
def ceiling_light(x: float, y: float, z: float, look: Look) -> Parts:
    if x > 1.8 * y or y > 1.8 * x:
        return [
            box(x, y, 0.4 * z, (0, 0, 0.8 * z), GRAY, 0.1 * z),
            box(0.96 * x, 0.86 * y, 0.6 * z, (0, 0, 0.35 * z), GLOW, 0.2 * z),
        ]
    return [
        lathe(CYLINDER, 0.5 * x, 0.5 * y, 0.2 * z, (0, 0, 0.9 * z), CHROME),
        lathe(
            ((0, 0), (0.3, 0.1), (0.46, 0.5), (0.5, 1), (0, 1)),
            x,
            y,
            0.8 * z,
            (0, 0, 0.4 * z),
            GLOW,
            segments=24,
        ),
        lathe(((0.47, 0), (0.5, 0), (0.5, 1), (0.47, 1)), x, y, 0.1 * z, (0, 0, 0.76 * z), CHROME),
    ]


@recipe("plant", "floor", (0.5, 0.5, 0.8))
def plant(x: float, y: float, z: float, look: Look) -> Parts:
    clay = look.pick((plain(0.75, 0.4, 0.25), plain(0.92, 0.92, 0.9), plain(0.3, 0.33, 0.37)))
    pot = 0.34 * z
    wide = min(0.8 * min(x, y), 1.1 * pot)
    green = look.tint((0.16, 0.5, 0.18), 0.05)
    leaves = [
        leaf(
            look.between(0.13, 0.2) * z,
            look.between(0.5, 0.68) * z,
            (0, 0, 0.9 * pot),
            green.shade(look.between(0.8, 1.25)),
            137.5 * k,
            look.between(5, 52),
        )
        for k in range(18)
    ]
    return [
        lathe(POT, wide, wide, pot, (0, 0, pot / 2), clay),
        cylinder(0.8 * wide, 0.02 * z, (0, 0, 0.85 * pot), plain(0.22, 0.15, 0.1)),
        *leaves,
    ]


@recipe("door", "wall", (0.95, 0.1, 2.02))
def door(x: float, y: float, z: float, look: Look) -> Parts:
    frame, leaf_x, knob = 0.08 * x, 0.86 * x, look.pick((BRASS, CHROME))
    wood = textured(look.pick(("wood", "darkwood", "wood")), 1.05)
    panels = [
        box(0.3 * x, 0.14 * y, h * z, (s * 0.2 * x, -0.26 * y, at * z), wood.shade(1.25), 0.01)
        for s in (-1, 1)
        for at, h in ((0.27, 0.36), (0.72, 0.4))
    ]
    return [
        box(leaf_x, 0.4 * y, 0.96 * z, (0, 0, 0.48 * z), wood, 0.004),
        *(box(frame, y, z, (s * (x - frame) / 2, 0, z / 2), IVORY, 0.006) for s in (-1, 1)),
        box(x, y, frame, (0, 0, z - frame / 2), IVORY, 0.006),
        *panels,
        ball(0.07, 0.3 * y, 0.07, (0.37 * x, -0.34 * y, 0.48 * z), knob),
        box(0.12 * x, 0.08 * y, 0.02, (0.33 * x, -0.46 * y, 0.48 * z), knob),
    ]


@recipe("window", "wall", (1.2, 0.16, 1.1))
def window(x: float, y: float, z: float, look: Look) -> Parts:
    bar = min(0.08, 0.1 * min(x, z))
    panes = max(1, round(x / 0.7))
    return [
        box(x, 0.4 * y, z, (0, 0.25 * y, z / 2), lit(1.05, 1.05, 1.05, "outside"), fit=True),
        *(
            box(bar, 0.8 * y, z, (s * (x - bar) / 2, 0.05 * y, z / 2), WHITE, 0.008)
            for s in (-1, 1)
        ),
        *(box(x, 0.8 * y, bar, (0, 0.05 * y, h), WHITE, 0.008) for h in (bar / 2, z - bar / 2)),
        *(
            box(0.6 * bar, 0.6 * y, z, ((k / panes - 0.5) * x, 0.1 * y, z / 2), WHITE)
            for k in range(1, panes)
        ),
        box(x, 0.5 * y, 0.5 * bar, (0, 0.1 * y, 0.55 * z), WHITE),
        box(1.04 * x, y, 0.5 * bar, (0, 0, 0), WHITE, 0.008),
    ]


@recipe("curtain", "wall", (0.9, 0.16, 2.1))
def curtain(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.cloth
    return [
        drape(x, 0.7 * y, 0.97 * z, (0, 0, 0.485 * z), cloth, max(3, round(x / 0.13))),
        cylinder(0.035, 1.1 * x, (0, 0, 0.98 * z), textured("darkwood"), "x", 8),
        *(
            ball(0.07, 0.07, 0.07, (s * 0.55 * x, 0, 0.98 * z), textured("darkwood"))
            for s in (-1, 1)
        ),
    ]


@recipe("picture", "wall", (0.75, 0.04, 0.58))
def picture(x: float, y: float, z: float, look: Look) -> Parts:
    frame = look.pick((BLACK, plain(0.78, 0.62, 0.3), textured("darkwood")))
    border = 0.07 * min(x, z)
    image = textured(look.pick(("landscape", "abstract", "portrait")), 1.0)
    return [
        box(x, 0.8 * y, z, (0, 0.1 * y, z / 2), frame, 0.2 * border),
        box(x - 2 * border, 0.1 * y, z - 2 * border, (0, -0.33 * y, z / 2), WHITE),
        box(x - 3.4 * border, 0.1 * y, z - 3.4 * border, (0, -0.42 * y, z / 2), image, fit=True),
    ]


@recipe("mirror", "wall", (0.7, 0.05, 0.9))
def mirror(x: float, y: float, z: float, look: Look) -> Parts:
    frame, glass = look.pick((BRASS, CHROME, textured("lightwood"))), plain(0.74, 0.86, 0.94)
    glints = [
        box(0.05 * x, 0.04 * y, 0.4 * z, (k * x, -0.44 * y, z / 2), plain(0.93, 0.98, 1.0))
        for k in (-0.16, -0.06)
    ]
    if look.chance(0.5):
        return [
            lathe(CYLINDER, x, z, 0.8 * y, (0, 0.1 * y, z / 2), frame, axis="y", segments=28),
            lathe(
                CYLINDER,
                0.88 * x,
                0.9 * z,
                0.1 * y,
                (0, -0.35 * y, z / 2),
                glass,
                axis="y",
                segments=28,
            ),
            *glints,
        ]
    return [
        box(x, 0.8 * y, z, (0, 0.1 * y, z / 2), frame, 0.02 * x),
        box(0.88 * x, 0.1 * y, 0.9 * z, (0, -0.35 * y, z / 2), glass),
        *glints,
    ]


@recipe("clock", "wall", (0.34, 0.05, 0.34))
def clock(x: float, y: float, z: float, look: Look) -> Parts:
    rim = look.pick((BLACK, BLACK, plain(0.7, 0.15, 0.15), textured("wood")))
    return [
        lathe(CYLINDER, x, z, 0.8 * y, (0, 0.1 * y, z / 2), rim, axis="y", segments=28),
        lathe(
            CYLINDER,
            0.86 * x,
            0.86 * z,
            0.15 * y,
            (0, -0.35 * y, z / 2),
            textured("clockface"),
            axis="y",
            segments=28,
            fit=True,
        ),
    ]


@recipe("whiteboard", "wall", (1.7, 0.07, 1.1))
def whiteboard(x: float, y: float, z: float, look: Look) -> Parts:
    edge = 0.03 * min(x, z) + 0.01
    pens = [
        cylinder(0.02, 0.09 * x, ((0.1 * k - 0.1) * x, -0.3 * y, 0.03 * z), plain(*c), "x", 8)
        for k, c in enumerate(((0.85, 0.1, 0.1), (0.1, 0.25, 0.8), (0.1, 0.6, 0.2)))
    ]
    scribble = [
        box(
            look.between(0.12, 0.3) * x,
            0.02 * y,
            0.014 * z,
            (-0.22 * x, -0.19 * y, (0.82 - 0.09 * k) * z),
            plain(0.12, 0.25, 0.75),
        )
        for k in range(5)
    ]
    chart = [
        box(
            0.04 * x,
            0.02 * y,
            h * z,
            ((0.14 + 0.07 * k) * x, -0.19 * y, (0.34 + h / 2) * z),
            plain(0.85, 0.15, 0.12),
        )
        for k, h in enumerate((0.14, 0.26, 0.2, 0.38))
    ]
    return [
        box(x, 0.5 * y, z, (0, 0.25 * y, z / 2), plain(0.62, 0.64, 0.67), 0.1 * edge),
        box(x - 2 * edge, 0.2 * y, z - 2 * edge, (0, -0.08 * y, z / 2), plain(1.0, 1.0, 1.0)),
        *scribble,
        *chart,
        box(0.6 * x, 0.5 * y, 0.02 * z, (0, -0.25 * y, 0.01 * z), GRAY),
        *pens,
    ]


@recipe("rug", "floor", (1.8, 1.25, 0.015))
def rug(x: float, y: float, z: float, look: Look) -> Parts:
    color = look.tint(
        look.pick(((0.8, 0.2, 0.2), (0.2, 0.35, 0.7), (0.25, 0.5, 0.35), (0.75, 0.5, 0.2))),
        0.05,
        "rug",
    )
    return [
        box(0.96 * x, y, z, (0, 0, z / 2), color, fit=True),
        *(
            box(0.02 * x, 0.98 * y, 0.6 * z, (s * 0.49 * x, 0, 0.3 * z), plain(0.93, 0.9, 0.82))
            for s in (-1, 1)
        ),
    ]


@recipe("fireplace", "wall", (1.5, 0.5, 1.2))
def fireplace(x: float, y: float, z: float, look: Look) -> Parts:
    stone = look.pick((textured("brick"), textured("brick", 0.85), textured("marble")))
    mantel, front = 0.1 * z, -0.4 * y
    flames = [
        ball(0.1 * x, 0.12 * y, h * z, (k * x, -0.1 * y, (0.16 + h / 2) * z), plain(*c))
        for k, h, c in (
            (-0.1, 0.2, (1.4, 0.5, 0.1)),
            (0.0, 0.32, (1.5, 0.75, 0.15)),
            (0.1, 0.22, (1.4, 0.4, 0.05)),
        )
    ]
    return [
        *(
            box(0.24 * x, 0.84 * y, z - mantel, (s * 0.36 * x, 0.08 * y, (z - mantel) / 2), stone)
            for s in (-1, 1)
        ),
        box(0.5 * x, 0.84 * y, 0.32 * z, (0, 0.08 * y, 0.74 * z), stone),
        box(0.5 * x, 0.1 * y, 0.6 * z, (0, 0.42 * y, 0.3 * z), BLACK),
        box(
            x,
            y,
            mantel,
            (0, 0, z - mantel / 2),
            textured("lightwood") if stone.texture == "brick" else WHITE,
            0.02,
        ),
        box(0.9 * x, y, 0.06 * z, (0, 0, 0.03 * z), GRAY, 0.01),
        *(
            cylinder(0.09 * z, 0.36 * x, (0, front * d, 0.1 * z + 0.02), textured("darkwood"), "x")
            for d in (0.1, 0.5)
        ),
        *flames,
    ]
