"""Recipes for seats and beds, their textiles, and the piano."""

from __future__ import annotations

import math

from ..materials import BLACK, CHROME, DARK, WHITE, Look, Material, plain, textured
from ..shapes import Parts, ball, box, cylinder, lathe, legs, tube, turned
from .recipe import recipe, slab


@recipe("chair", "floor", (0.48, 0.5, 0.9))
def chair(x: float, y: float, z: float, look: Look) -> Parts:
    seat, thick = 0.5 * z, 0.09 * x
    padded = look.chance(0.5)
    top = (
        box(x, y, 0.07, (0, 0, seat), look.cloth, 0.025)
        if padded
        else box(x, y, 0.04, (0, 0, seat), look.wood, 0.01)
    )
    rise = z - seat
    back = [
        box(
            thick,
            thick * 0.8,
            rise,
            (s * (x - thick) / 2, y / 2 - thick / 2, seat + rise / 2),
            look.wood,
        )
        for s in (-1, 1)
    ]
    back.append(box(x - 0.02, 0.03, 0.2 * rise, (0, y / 2 - 0.02, z - 0.1 * rise), look.wood, 0.01))
    if look.chance(0.5):
        back += [
            box(0.03, 0.02, 0.8 * rise, (s * x, y / 2 - 0.02, seat + 0.4 * rise), look.wood)
            for s in (-0.28, -0.1, 0.1, 0.28)
        ]
    elif padded:
        back.append(
            box(
                x - 2 * thick,
                0.05,
                0.6 * rise,
                (0, y / 2 - 0.03, z - 0.42 * rise),
                look.cloth,
                0.02,
            )
        )
    else:
        back += [
            box(x - thick, 0.02, 0.12 * rise, (0, y / 2 - 0.02, seat + h * rise), look.wood, 0.006)
            for h in (0.3, 0.55)
        ]
    return [
        *legs(x, y, seat, thick, look.wood, 0.01),
        top,
        *turned(back, "x", -5, (0, y / 2, seat)),
    ]


@recipe("office chair", "floor", (0.64, 0.64, 1.05))
def office_chair(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.tint(
        look.pick(((0.12, 0.12, 0.14), (0.12, 0.12, 0.14), (0.16, 0.22, 0.4), (0.4, 0.1, 0.12))),
        0.02,
        "fabric",
    )
    seat = 0.46 * z
    parts = [
        cylinder(0.07, seat, (0, 0, seat / 2), CHROME),
        cylinder(0.13, 0.1, (0, 0, 0.1), BLACK),
    ]
    for spoke in range(5):
        arm = [
            box(0.46 * x, 0.055, 0.045, (0.24 * x, 0, 0.09), BLACK, 0.01),
            ball(0.08, 0.08, 0.08, (0.46 * x, 0, 0.04), BLACK),
        ]
        parts += turned(arm, "z", 72 * spoke + 18)
    parts += [
        box(0.8 * x, 0.76 * y, 0.1, (0, -0.04 * y, seat + 0.03), cloth, 0.04),
        *turned(
            [
                box(
                    0.74 * x,
                    0.08,
                    0.92 * (z - seat),
                    (0, 0.36 * y, seat + 0.54 * (z - seat)),
                    cloth,
                    0.035,
                )
            ],
            "x",
            -8,
            (0, 0.36 * y, seat),
        ),
    ]
    for side in (-0.43, 0.43):
        parts += [
            box(0.04, 0.06, 0.2 * z, (side * x, 0.02, seat + 0.11 * z), BLACK),
            box(0.08, 0.46 * y, 0.045, (side * x, -0.02, seat + 0.22 * z), BLACK, 0.015),
        ]
    return parts


def _seats(x: float, y: float, z: float, look: Look, seats: int) -> Parts:
    """Sofa or armchair: arms, a back, and two cushions for each seat."""
    arm, seat = min(0.2, 0.14 * x), 0.44 * z
    width = (x - 2 * arm) / seats
    light = look.cloth.shade(1.12)
    parts = [
        *legs(x, y, 0.12 * z, 0.06, textured("darkwood"), 0.06),
        box(x - 0.1, y - 0.1, 0.3 * z, (0, 0, 0.26 * z), look.cloth, 0.03),
        box(x, 0.24 * y, 0.88 * z, (0, 0.38 * y, 0.54 * z), look.cloth, 0.07),
    ]
    parts += [
        box(arm, y, 0.64 * z, (s * (x - arm) / 2, 0, 0.42 * z), look.cloth, 0.07) for s in (-1, 1)
    ]
    for k in range(seats):
        at = (k - (seats - 1) / 2) * width
        parts.append(
            box(width - 0.015, 0.74 * y, 0.2 * z, (at, -0.11 * y, seat + 0.06 * z), light, 0.05)
        )
        cushion = box(width - 0.03, 0.2 * y, 0.5 * z, (at, 0.19 * y, seat + 0.32 * z), light, 0.07)
        parts += turned([cushion], "x", -10, cushion.at)
    return parts


@recipe("sofa", "floor", (1.9, 0.9, 0.8))
def sofa(x: float, y: float, z: float, look: Look) -> Parts:
    return _seats(x, y, z, look, max(2, round((x - 0.3) / 0.65)))


@recipe("armchair", "floor", (0.92, 0.88, 0.86))
def armchair(x: float, y: float, z: float, look: Look) -> Parts:
    return _seats(x, y, z, look, 1)


@recipe("stool", "floor", (0.38, 0.38, 0.55))
def stool(x: float, y: float, z: float, look: Look) -> Parts:
    top = look.wood if look.chance(0.6) else look.cloth
    parts = [
        lathe(((0, 0), (0.46, 0), (0.5, 0.4), (0.47, 1), (0, 1)), x, y, 0.06, (0, 0, z - 0.03), top)
    ]
    for k in range(4):
        c, s = math.cos(math.pi * (0.25 + k / 2)), math.sin(math.pi * (0.25 + k / 2))
        parts.append(
            tube(
                ((0.33 * x * c, 0.33 * y * s, z - 0.05), (0.5 * x * c, 0.5 * y * s, 0.0)),
                0.04,
                look.wood,
                6,
            )
        )
    ring = ((0.41, 0), (0.45, 0), (0.45, 1), (0.41, 1), (0.41, 0))
    return [*parts, lathe(ring, x, y, 0.025, (0, 0, 0.32 * z), look.wood)]


@recipe("bed", "floor", (1.5, 2.1, 0.95))
def bed(x: float, y: float, z: float, look: Look) -> Parts:
    top = min(0.6, 0.62 * z)
    cover = look.cloth._replace(texture=look.pick(("fabric", "fabric", "stripes")))
    parts = [
        *legs(x, y, 0.2 * top, 0.08, look.wood),
        box(x, y, 0.4 * top, (0, 0, 0.36 * top), look.wood, 0.01),
        box(x, 0.07, z, (0, y / 2 - 0.035, z / 2), look.wood, 0.02),
        box(x, 0.06, 0.85 * top, (0, -y / 2 + 0.03, 0.43 * top), look.wood, 0.015),
        box(
            x - 0.06,
            y - 0.16,
            0.4 * top,
            (0, 0, 0.72 * top),
            WHITE._replace(texture="fabric"),
            0.05,
        ),
        box(x - 0.02, 0.62 * y, 0.22 * top, (0, -0.16 * y, 0.86 * top), cover, 0.05),
        box(x - 0.01, 0.13 * y, 0.08 * top, (0, 0.11 * y, 0.96 * top), WHITE, 0.02),
    ]
    pillows = (-0.25, 0.25) if x > 1.15 else (0.0,)
    wide = 0.42 * x if x > 1.15 else 0.7 * x
    return parts + [
        ball(wide, 0.2 * y, 0.22 * top, (p * x, 0.34 * y, top), WHITE, 0.5, 0.8) for p in pillows
    ]


@recipe("mattress", "floor", (1.4, 2.0, 0.25))
@slab
def mattress(x: float, y: float, z: float, look: Look) -> Parts:
    cloth, seam = Material((0.95, 0.95, 0.97), "fabric"), look.tint((0.35, 0.5, 0.8), 0.05)
    tufts = [
        ball(
            0.06,
            0.06,
            0.03,
            ((i / 4 - 0.5) * x, (j / 5 - 0.5) * y, z - 0.004),
            seam,
            around=8,
            rings=4,
        )
        for i in (1, 2, 3)
        for j in (1, 2, 3, 4)
    ]
    return [
        box(x - 0.02, y - 0.02, z, (0, 0, z / 2), cloth, 0.06),
        *tufts,
        *(box(x, y, 0.12 * z, (0, 0, h * z), seam, 0.01) for h in (0.2, 0.8)),
    ]


@recipe("pillow", "on-top", (0.5, 0.35, 0.18))
@slab
def pillow(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.cloth._replace(texture=look.pick(("fabric", "stripes", "weave")))
    return [
        ball(x, y, z, (0, 0, z / 2), cloth, 0.3, 1.2),
        box(x, y, 0.05 * z, (0, 0, z / 2), cloth.shade(0.75), 0.02 * z),
        *(
            ball(
                0.09 * x,
                0.09 * y,
                0.14 * z,
                (sx * 0.47 * x, sy * 0.47 * y, z / 2),
                cloth.shade(0.75),
                around=8,
                rings=4,
            )
            for sx in (-1, 1)
            for sy in (-1, 1)
        ),
    ]


@recipe("blanket", "on-top", (0.9, 0.7, 0.2))
def blanket(x: float, y: float, z: float, look: Look) -> Parts:
    cloth = look.cloth._replace(texture="weave")
    layers = [
        box(
            x * (1 - 0.04 * k),
            y * (1 - 0.05 * k),
            z / 4,
            (0.012 * x * (k % 2), 0, z * (k + 0.5) / 4),
            cloth,
            z / 10,
        )
        for k in range(4)
    ]
    fringe = [
        box(
            0.012 * x,
            0.05 * y,
            0.02 * z,
            ((k / 12 - 0.5) * x * 0.9, -0.52 * y, 0.1 * z),
            cloth.shade(1.2),
        )
        for k in range(13)
    ]
    return layers + fringe


@recipe("piano", "floor", (1.45, 0.62, 1.2))
def piano(x: float, y: float, z: float, look: Look) -> Parts:
    body = look.pick((plain(0.05, 0.05, 0.06), plain(0.05, 0.05, 0.06), textured("darkwood", 0.8)))
    shelf = 0.56 * z
    return [
        box(x, 0.5 * y, z, (0, 0.25 * y, z / 2), body, 0.01),
        box(x, 0.5 * y, 0.09 * z, (0, -0.25 * y, shelf - 0.045 * z), body, 0.01),
        box(
            0.92 * x, 0.3 * y, 0.025, (0, -0.3 * y, shelf + 0.012), textured("pianokeys"), fit=True
        ),
        box(0.92 * x, 0.012, 0.03, (0, -0.46 * y, shelf), WHITE),
        *(
            box(0.07, y * 0.46, shelf, (s * (x / 2 - 0.04), -0.24 * y, shelf / 2), body, 0.01)
            for s in (-1, 1)
        ),
        *(
            box(0.04 * x, 0.5 * y, 0.13 * z, (s * 0.48 * x, -0.25 * y, shelf), body, 0.008)
            for s in (-1, 1)
        ),
        box(0.5 * x, 0.02, 0.16 * z, (0, -0.02 * y, 0.78 * z), DARK),
        box(0.34 * x, 0.012, 0.13 * z, (0, -0.04 * y, 0.79 * z), WHITE),
        *(
            box(0.02 * x, 0.1 * y, 0.02 * z, (s * x, -0.05 * y, 0.05 * z), plain(0.8, 0.66, 0.3))
            for s in (-0.06, 0, 0.06)
        ),
    ]
