"""Recipes for tables, cupboards, shelves, sinks and bathtubs."""

from __future__ import annotations

from ..materials import (
    BRASS,
    CHROME,
    DARK,
    GRAY,
    STEEL,
    VIVID,
    WHITE,
    Look,
    Material,
    plain,
    textured,
)
from ..shapes import CYLINDER, Parts, ball, box, cone, cylinder, lathe, legs, tube
from .recipe import recipe


def drawers(
    x: float,
    y: float,
    low: float,
    high: float,
    rows: int,
    columns: int,
    fill: Material,
    knob: Material,
) -> Parts:
    """Fronts and knobs of ``rows`` x ``columns`` drawers.

    They cover the front of a body ``x`` wide and ``y`` deep, from height ``low`` to ``high``.
    """
    parts: Parts = []
    width, height = x / columns, (high - low) / rows
    for column in range(columns):
        for row in range(rows):
            at = ((column - (columns - 1) / 2) * width, low + (row + 0.5) * height)
            parts.append(
                box(width - 0.03, 0.02, height - 0.03, (at[0], -y / 2, at[1]), fill, 0.006)
            )
            parts.append(
                cylinder(
                    0.022, min(0.16, 0.4 * width), (at[0], -y / 2 - 0.025, at[1]), knob, "x", 8
                )
            )
    return parts


def doors(
    x: float, y: float, low: float, high: float, count: int, fill: Material, knob: Material
) -> Parts:
    """``count`` door fronts with upright handles, two doors opening away from each other.

    They cover the front of a body ``x`` wide and ``y`` deep, from height ``low`` to ``high``.
    """
    parts: Parts = []
    width = x / count
    for k in range(count):
        at, side = (k - (count - 1) / 2) * width, 1 if k % 2 == 0 else -1
        parts += [
            box(width - 0.02, 0.02, high - low - 0.03, (at, -y / 2, (low + high) / 2), fill, 0.006),
            box(
                width - 0.14,
                0.012,
                high - low - 0.2,
                (at, -y / 2 - 0.012, (low + high) / 2),
                fill.shade(1.08),
                0.004,
            ),
            cylinder(
                0.022,
                min(0.3, 0.2 * (high - low)),
                (at + side * (width / 2 - 0.05), -y / 2 - 0.035, (low + high) / 2),
                knob,
                segments=8,
            ),
        ]
    return parts


@recipe("table", "floor", (1.3, 0.75, 0.74))
def table(x: float, y: float, z: float, look: Look) -> Parts:
    if abs(x - y) < 0.25 * x and look.chance(0.5):
        return [
            lathe(CYLINDER, x, y, 0.045, (0, 0, z - 0.022), look.wood, segments=28),
            cylinder(0.1, z, (0, 0, z / 2), look.wood),
            cone(0.5 * min(x, y), 0.35 * min(x, y), 0.05, (0, 0, 0.025), look.wood),
        ]
    return [
        box(x, y, 0.045, (0, 0, z - 0.022), look.wood, 0.01),
        box(0.88 * x, 0.84 * y, 0.09, (0, 0, z - 0.09), look.wood.shade(0.9)),
        *legs(x, y, z - 0.04, min(0.08, 0.1 * y), look.wood, 0.04),
    ]


@recipe("coffee table", "floor", (1.05, 0.58, 0.42))
def coffee_table(x: float, y: float, z: float, look: Look) -> Parts:
    top = look.wood if look.chance(0.6) else plain(0.6, 0.75, 0.78)
    return [
        box(x, y, 0.04, (0, 0, z - 0.02), top, 0.012),
        box(x - 0.1, y - 0.1, 0.025, (0, 0, 0.35 * z), look.wood),
        *legs(x, y, z - 0.03, 0.055, look.wood, 0.02),
        box(0.2 * x, 0.26 * y, 0.05, (0.15 * x, 0, 0.35 * z + 0.035), look.vivid),
    ]


@recipe("desk", "floor", (1.35, 0.65, 0.74))
def desk(x: float, y: float, z: float, look: Look) -> Parts:
    block = 0.32 * x
    at = (x - block) / 2
    fronts = [
        p._replace(at=(p.at[0] + at, p.at[1], p.at[2]))
        for p in drawers(block, y - 0.08, 0.04, z - 0.06, 3, 1, look.wood.shade(1.15), CHROME)
    ]
    return [
        box(x, y, 0.04, (0, 0, z - 0.02), look.wood, 0.008),
        box(0.04, y - 0.05, z - 0.04, (-x / 2 + 0.04, 0, z / 2 - 0.02), look.wood),
        box(x - 0.1, 0.02, 0.5 * z, (0, y / 2 - 0.06, 0.66 * z), look.wood.shade(0.85)),
        box(block, y - 0.08, z - 0.05, (at, 0, z / 2 - 0.02), look.wood.shade(0.9)),
        *fronts,
    ]


@recipe("nightstand", "floor", (0.5, 0.42, 0.55))
def nightstand(x: float, y: float, z: float, look: Look) -> Parts:
    body = y - 0.05
    return [
        *legs(x, body, 0.16 * z, 0.045, look.wood),
        box(x - 0.03, body, 0.8 * z, (0, 0, 0.56 * z), look.wood, 0.01),
        box(x, body + 0.03, 0.03, (0, 0, z - 0.015), look.wood, 0.008),
        *drawers(x - 0.05, body, 0.18 * z, 0.95 * z, 2, 1, look.wood.shade(1.15), BRASS),
    ]


@recipe("dresser", "floor", (1.2, 0.5, 0.85))
def dresser(x: float, y: float, z: float, look: Look) -> Parts:
    body = y - 0.05
    return [
        box(x - 0.03, body, z - 0.08, (0, 0, z / 2 + 0.02), look.wood, 0.008),
        box(x, body + 0.03, 0.03, (0, 0, z - 0.015), look.wood, 0.006),
        *legs(x - 0.04, body, 0.08, 0.06, look.wood),
        *drawers(x - 0.05, body, 0.09, z - 0.04, 3, 2, look.wood.shade(1.15), BRASS),
    ]


@recipe("cabinet", "floor", (0.95, 0.45, 0.95))
def cabinet(x: float, y: float, z: float, look: Look) -> Parts:
    body, paint = (
        y - 0.05,
        look.tint(look.pick(((0.88, 0.88, 0.85), (0.55, 0.66, 0.66), (0.5, 0.56, 0.68))), 0.04),
    )
    return [
        box(x - 0.03, body, z - 0.08, (0, 0, z / 2 + 0.03), paint, 0.008),
        box(x - 0.1, body - 0.06, 0.08, (0, 0, 0.04), DARK),
        box(x, body + 0.03, 0.035, (0, 0, z - 0.017), look.wood, 0.006),
        *doors(x - 0.04, body, 0.09, z - 0.05, max(2, round(x / 0.5)), paint, BRASS),
    ]


@recipe("wardrobe", "floor", (1.15, 0.6, 2.05))
def wardrobe(x: float, y: float, z: float, look: Look) -> Parts:
    body = y - 0.05
    return [
        box(x - 0.04, body, z, (0, 0, z / 2), look.wood, 0.008),
        box(x, body + 0.04, 0.06, (0, 0, z - 0.03), look.wood.shade(0.8), 0.01),
        box(x, body + 0.02, 0.08, (0, 0, 0.04), look.wood.shade(0.7)),
        *doors(
            x - 0.05, body, 0.09, z - 0.07, max(2, round(x / 0.55)), look.wood.shade(1.1), CHROME
        ),
    ]


@recipe("bookshelf", "floor", (0.95, 0.32, 1.8))
def bookshelf(x: float, y: float, z: float, look: Look) -> Parts:
    thick, shelves = 0.03, max(2, round(z / 0.36))
    step = (z - thick) / shelves
    parts = [box(thick, y, z, (s * (x - thick) / 2, 0, z / 2), look.wood) for s in (-1, 1)]
    parts += [
        box(x, 0.015, z, (0, y / 2 - 0.008, z / 2), look.wood.shade(0.7)),
        *(
            box(x - thick, y, thick, (0, 0, thick / 2 + k * step), look.wood)
            for k in range(shelves + 1)
        ),
    ]
    for k in range(shelves):
        wide, high = look.between(0.6, 0.95) * (x - 2 * thick), look.between(0.7, 0.88) * step
        side = look.pick((-1, 1)) * (x - 2 * thick - wide) / 2
        parts.append(
            box(
                wide,
                0.66 * y,
                high,
                (side, 0.06 * y, k * step + thick + high / 2),
                textured("books"),
                fit=True,
            )
        )
    return parts


@recipe("shoe rack", "floor", (0.75, 0.3, 0.6))
def shoe_rack(x: float, y: float, z: float, look: Look) -> Parts:
    parts = [
        box(0.025, 0.025, z, (sx * (x / 2 - 0.013), sy * (y / 2 - 0.013), z / 2), DARK)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    for level in range(3):
        low = (0.08 + 0.3 * level) * z
        parts += [
            cylinder(0.02, x, (0, d * y, low), CHROME, "x", 6) for d in (-0.38, -0.12, 0.12, 0.38)
        ]
        for k in range(3):
            color = look.tint(look.pick(VIVID), 0.05)
            for s in (-1, 1):
                at = (k - 1) * 0.31 * x + s * 0.06 * x
                parts += [
                    ball(
                        0.1 * x,
                        0.85 * y,
                        0.1 * z,
                        (at, -0.03 * y, low + 0.06 * z),
                        color,
                        0.8,
                        0.7,
                        10,
                        5,
                    ),
                    ball(
                        0.09 * x,
                        0.4 * y,
                        0.16 * z,
                        (at, 0.2 * y, low + 0.1 * z),
                        color.shade(0.8),
                        0.8,
                        0.7,
                        10,
                        5,
                    ),
                ]
    return parts


@recipe("tv stand", "floor", (1.5, 0.42, 0.48))
def tv_stand(x: float, y: float, z: float, look: Look) -> Parts:
    body = y - 0.04
    side = [
        p._replace(at=(p.at[0] + s * 0.33 * x, p.at[1], p.at[2]))
        for s in (-1, 1)
        for p in drawers(0.32 * x, body, 0.1 * z, 0.92 * z, 2, 1, look.wood.shade(1.15), CHROME)
    ]
    return [
        box(x, body, 0.04, (0, 0, z - 0.02), look.wood, 0.008),
        box(x, body, 0.04, (0, 0, 0.1 * z), look.wood, 0.008),
        *(box(0.32 * x, body, 0.85 * z, (s * 0.34 * x, 0, 0.52 * z), look.wood) for s in (-1, 1)),
        *legs(x, body, 0.1 * z, 0.05, DARK),
        box(0.34 * x, 0.02, 0.85 * z, (0, body / 2 - 0.01, 0.52 * z), look.wood.shade(0.4)),
        box(0.34 * x, body - 0.03, 0.02, (0, 0, 0.5 * z), look.wood),
        *side,
        box(0.22 * x, 0.5 * y, 0.12 * z, (0, -0.05, 0.6 * z), plain(0.1, 0.1, 0.12)),
    ]


@recipe("counter", "floor", (2.2, 0.65, 0.9))
def counter(x: float, y: float, z: float, look: Look) -> Parts:
    body, top = y - 0.06, min(0.05, 0.3 * z)
    fronts = look.tint(look.pick(((0.86, 0.88, 0.86), (0.3, 0.42, 0.5), (0.78, 0.62, 0.42))), 0.03)
    return [
        box(x - 0.02, body, z - top, (0, 0.02, (z - top) / 2), fronts),
        box(x, y, top, (0, 0, z - top / 2), textured("marble"), 0.006),
        box(x, 0.03, 0.1 * z, (0, y / 2 - 0.015, z + 0.03 * z), textured("marble")),
        *doors(x, body, 0.1 * z, 0.74 * z, max(2, round(x / 0.55)), fronts, CHROME),
        *drawers(x, body, 0.76 * z, z - top, 1, max(2, round(x / 0.55)), fronts, CHROME),
    ]


@recipe("sink", "floor", (0.6, 0.48, 0.95))
def sink(x: float, y: float, z: float, look: Look) -> Parts:
    rim = 0.86 * z
    spout = (
        (0, 0.34 * y, rim),
        (0, 0.34 * y, z - 0.03),
        (0, 0.24 * y, z - 0.01),
        (0, 0.08 * y, z - 0.02),
        (0, 0.02 * y, z - 0.06),
    )
    return [
        lathe(
            ((0, 0), (0.5, 0), (0.36, 0.1), (0.3, 0.5), (0.42, 1), (0, 1)),
            0.45 * x,
            0.5 * y,
            0.72 * z,
            (0, 0.1 * y, 0.36 * z),
            WHITE,
        ),
        lathe(
            (
                (0, 0),
                (0.2, 0),
                (0.42, 0.45),
                (0.5, 0.9),
                (0.5, 1),
                (0.43, 1),
                (0.34, 0.55),
                (0, 0.4),
            ),
            x,
            y,
            0.22 * z,
            (0, 0, rim - 0.11 * z),
            WHITE,
            segments=28,
            roundness=0.7,
        ),
        cylinder(0.06, 0.004, (0, 0, rim - 0.126 * z), GRAY),
        box(0.9 * x, 0.16 * y, 0.04 * z, (0, 0.42 * y, rim), WHITE, 0.01),
        tube(spout, 0.035, CHROME),
        *(cylinder(0.045, 0.06, (s * 0.2 * x, 0.38 * y, rim + 0.04), CHROME) for s in (-1, 1)),
    ]


@recipe("bathtub", "floor", (1.65, 0.75, 0.58))
def bathtub(x: float, y: float, z: float, look: Look) -> Parts:
    section = (
        (0, 0),
        (0.44, 0),
        (0.48, 0.85),
        (0.5, 0.88),
        (0.5, 1),
        (0.44, 1),
        (0.39, 0.4),
        (0.3, 0.25),
        (0, 0.24),
    )
    rim = 0.84 * z
    spout = (
        (-0.46 * x, 0, rim),
        (-0.46 * x, 0, z - 0.02),
        (-0.42 * x, 0, z),
        (-0.37 * x, 0, z - 0.05),
    )
    return [
        lathe(
            section,
            x,
            y,
            rim,
            (0, 0, rim / 2),
            plain(0.97, 0.97, 0.98),
            segments=36,
            roundness=0.45,
        ),
        lathe(
            CYLINDER,
            0.72 * x,
            0.7 * y,
            0.01,
            (0, 0, 0.45 * rim),
            plain(0.6, 0.82, 0.9),
            segments=28,
            roundness=0.5,
        ),
        tube(spout, 0.045, STEEL),
        *(cylinder(0.05, 0.06, (-0.46 * x, s * 0.18 * y, rim + 0.03), CHROME) for s in (-1, 1)),
    ]
