"""Recipes for crates, boxes, baskets, buckets, bins and suitcases."""

from __future__ import annotations

from ..materials import CHROME, DARK, GRAY, WHITE, Look, plain, textured
from ..shapes import Parts, arc, box, cylinder, lathe, tube
from .recipe import recipe


@recipe("crate", "floor", (0.42, 0.32, 0.3))
def crate(x: float, y: float, z: float, look: Look) -> Parts:
    wood, slat = textured("lightwood", look.between(0.85, 1.05)), 0.24 * z
    parts = [
        box(0.1 * x, 0.1 * y, z, (sx * 0.44 * x, sy * 0.44 * y, z / 2), wood.shade(0.85))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    for low in (0.14, 0.5, 0.86):
        parts += [box(x, 0.04 * y, slat, (0, s * 0.48 * y, low * z), wood) for s in (-1, 1)]
        parts += [box(0.04 * x, y, slat, (s * 0.48 * x, 0, low * z), wood) for s in (-1, 1)]
    return [*parts, box(0.92 * x, 0.92 * y, 0.04 * z, (0, 0, 0.04 * z), wood.shade(0.6))]


@recipe("box", "floor", (0.42, 0.36, 0.32))
def carton(x: float, y: float, z: float, look: Look) -> Parts:
    paper = look.tint((0.74, 0.56, 0.36), 0.04)
    return [
        box(x, y, z, (0, 0, z / 2), paper),
        box(0.14 * x, 1.01 * y, 1.01 * z, (0, 0, z / 2), plain(0.86, 0.77, 0.58)),
        box(0.22 * x, 0.02 * y, 0.2 * z, (-0.3 * x, -y / 2, 0.7 * z), WHITE),
    ]


@recipe("basket", "floor", (0.36, 0.28, 0.24))
def basket(x: float, y: float, z: float, look: Look) -> Parts:
    reed = textured("wicker", look.between(0.85, 1.1))
    arch = [(px, 0.0, 0.66 * z + pz) for px, pz in arc(0.46 * x, 0.34 * z, 0, 180)]
    return [
        lathe(
            ((0, 0), (0.4, 0), (0.5, 1), (0.44, 1), (0.36, 0.1), (0, 0.1)),
            x,
            y,
            0.7 * z,
            (0, 0, 0.35 * z),
            reed,
            roundness=0.6,
        ),
        lathe(
            ((0.44, 0), (0.5, 0.3), (0.5, 0.7), (0.44, 1)),
            x,
            y,
            0.08 * z,
            (0, 0, 0.68 * z),
            reed.shade(0.7),
            roundness=0.6,
        ),
        tube(arch, 0.05 * x, reed.shade(0.8)),
    ]


@recipe("bucket", "floor", (0.3, 0.3, 0.28))
def bucket(x: float, y: float, z: float, look: Look) -> Parts:
    color = look.tint(look.pick(((0.12, 0.4, 0.82), (0.85, 0.18, 0.16), (0.95, 0.75, 0.1))), 0.04)
    arch = [(px, 0.0, 0.72 * z + pz) for px, pz in arc(0.48 * x, 0.28 * z, 0, 180)]
    return [
        lathe(
            ((0, 0), (0.34, 0), (0.48, 1), (0.44, 1), (0.32, 0.06), (0, 0.06)),
            x,
            y,
            0.76 * z,
            (0, 0, 0.38 * z),
            color,
        ),
        lathe(
            ((0.44, 0), (0.5, 0), (0.5, 1), (0.44, 1)),
            x,
            y,
            0.06 * z,
            (0, 0, 0.74 * z),
            color.shade(0.8),
        ),
        tube(arch, 0.03 * x, CHROME),
    ]


@recipe("trash bin", "floor", (0.32, 0.28, 0.42))
def trash_bin(x: float, y: float, z: float, look: Look) -> Parts:
    color = look.pick((plain(0.13, 0.14, 0.15), plain(0.13, 0.14, 0.15), plain(0.3, 0.33, 0.36)))
    side = look.pick((1.0, 1.0, 0.4))
    bag = lathe(
        ((0.4, 0), (0.5, 0.4), (0.47, 1), (0.42, 1), (0.4, 0)),
        x,
        y,
        0.1 * z,
        (0, 0, 0.95 * z),
        plain(0.85, 0.87, 0.9),
        roundness=side,
    )
    return [
        lathe(
            ((0, 0), (0.35, 0), (0.46, 1), (0.43, 1), (0.33, 0.1), (0, 0.1)),
            x,
            y,
            0.95 * z,
            (0, 0, 0.475 * z),
            color,
            roundness=side,
        ),
        bag,
        cylinder(0.6 * min(x, y), 0.05 * z, (0, 0, 0.7 * z), look.tint((0.8, 0.8, 0.75), 0.1)),
    ]


@recipe("suitcase", "floor", (0.48, 0.28, 0.68))
def suitcase(x: float, y: float, z: float, look: Look) -> Parts:
    shell = look.vivid
    body = 0.78 * z
    return [
        box(x, 0.94 * y, body, (0, 0, 0.06 * z + body / 2), shell, 0.05),
        box(1.01 * x, 0.06 * y, 1.01 * body, (0, 0, 0.06 * z + body / 2), DARK, 0.02),
        *(
            box(
                0.04 * x,
                0.03 * y,
                0.85 * body,
                (k * x, -0.48 * y, 0.06 * z + body / 2),
                shell.shade(0.7),
                0.004,
            )
            for k in (-0.3, -0.1, 0.1, 0.3)
        ),
        *(
            cylinder(0.022, 0.2 * z, (s * 0.2 * x, 0.3 * y, 0.9 * z), GRAY, segments=8)
            for s in (-1, 1)
        ),
        box(0.48 * x, 0.035, 0.04 * z, (0, 0.3 * y, 0.98 * z), DARK, 0.01),
        *(
            cylinder(0.1 * z, 0.12 * y, (sx * 0.4 * x, sy * 0.3 * y, 0.05 * z), DARK, "y", 10)
            for sx in (-1, 1)
            for sy in (-1, 1)
        ),
    ]
