"""Recipes for machines: screens, computers, kitchen and laundry."""

from __future__ import annotations

from ..materials import (
    BLACK,
    CHROME,
    DARK,
    GRAY,
    STEEL,
    WHITE,
    Look,
    Material,
    lit,
    plain,
    textured,
)
from ..shapes import Parts, arc, ball, box, cylinder, lathe, tube, turned
from .recipe import recipe

SCREEN, DESKTOP = lit(1, 1, 1, "screen"), lit(1, 1, 1, "desktop")
"""Screens: a television that is off and reflects a little, and a computer's desktop."""
TORUS = (
    (0.38, 0.5),
    (0.4, 0.15),
    (0.44, 0),
    (0.48, 0.15),
    (0.5, 0.5),
    (0.48, 0.85),
    (0.44, 1),
    (0.4, 0.85),
    (0.38, 0.5),
)
"""Profile of a ring."""


def _white_or_steel(look: Look) -> Material:
    """The finish of a large kitchen machine."""
    return look.pick((WHITE, STEEL))


@recipe("tv", "wall", (1.0, 0.09, 0.6))
def tv(x: float, y: float, z: float, look: Look) -> Parts:
    return [
        box(x, 0.5 * y, z, (0, -0.2 * y, z / 2), BLACK, 0.006),
        box(0.5 * x, 0.6 * y, 0.5 * z, (0, 0.2 * y, z / 2), DARK),
        box(0.95 * x, 0.05 * y, 0.92 * z, (0, -0.46 * y, 0.51 * z), SCREEN, fit=True),
    ]


@recipe("monitor", "on-top", (0.56, 0.19, 0.46))
def monitor(x: float, y: float, z: float, look: Look) -> Parts:
    low, high = 0.24 * z, 0.76 * z
    return [
        box(x, 0.16 * y, high, (0, -0.1 * y, low + high / 2), BLACK, 0.006),
        box(0.93 * x, 0.03 * y, 0.88 * high, (0, -0.19 * y, low + 0.52 * high), DESKTOP, fit=True),
        box(0.1 * x, 0.1 * y, 0.5 * z, (0, 0.1 * y, 0.27 * z), GRAY),
        box(0.44 * x, y, 0.035 * z, (0, 0, 0.02 * z), GRAY, 0.004),
    ]


@recipe("keyboard", "on-top", (0.44, 0.16, 0.03))
def keyboard(x: float, y: float, z: float, look: Look) -> Parts:
    body = look.pick((plain(0.3, 0.3, 0.33), plain(0.95, 0.95, 0.95)))
    return [
        box(x, y, 0.75 * z, (0, 0, 0.38 * z), body, 0.2 * z),
        box(0.94 * x, 0.82 * y, 0.3 * z, (0, 0, 0.85 * z), Material(body.color, "keys"), fit=True),
    ]


@recipe("computer mouse", "on-top", (0.065, 0.11, 0.04))
def computer_mouse(x: float, y: float, z: float, look: Look) -> Parts:
    shell, keys = look.pick(
        ((plain(0.16, 0.16, 0.18), GRAY), (plain(0.93, 0.93, 0.93), plain(0.62, 0.64, 0.68)))
    )
    buttons = [
        ball(0.4 * x, 0.5 * y, 1.1 * z, (s * 0.22 * x, -0.2 * y, 0.42 * z), keys, 0.8, 0.9)
        for s in (-1, 1)
    ]
    return [
        ball(x, 0.94 * y, 1.8 * z, (0, 0.03 * y, 0.05 * z), shell, 0.75, 0.9),
        *buttons,
        box(0.96 * x, 0.9 * y, 0.08 * z, (0, 0, 0), BLACK),
        cylinder(0.26 * z, 0.14 * x, (0, -0.28 * y, 0.86 * z), plain(0.9, 0.2, 0.15), "x", 10),
    ]


@recipe("laptop", "on-top", (0.36, 0.28, 0.24))
def laptop(x: float, y: float, z: float, look: Look) -> Parts:
    metal = look.pick((plain(0.7, 0.71, 0.74), plain(0.22, 0.22, 0.24)))
    lid = [
        box(x, 0.014, z, (0, 0, z / 2), metal, 0.004),
        box(0.93 * x, 0.004, 0.88 * z, (0, -0.009, 0.52 * z), DESKTOP, fit=True),
    ]
    return [
        box(x, 0.82 * y, 0.016, (0, -0.09 * y, 0.008), metal, 0.004),
        box(0.88 * x, 0.4 * y, 0.004, (0, 0.02 * y, 0.018), textured("keys", 0.6), fit=True),
        box(0.28 * x, 0.2 * y, 0.003, (0, -0.34 * y, 0.017), GRAY),
        *(
            p._replace(at=(p.at[0], p.at[1] + 0.3 * y, p.at[2] + 0.01))
            for p in turned(lid, "x", -16)
        ),
    ]


@recipe("computer tower", "floor", (0.2, 0.44, 0.43))
def computer_tower(x: float, y: float, z: float, look: Look) -> Parts:
    front = -0.49 * y
    return [
        box(x, 0.96 * y, z, (0, 0.02 * y, z / 2), plain(0.14, 0.14, 0.16), 0.008),
        box(0.92 * x, 0.03 * y, 0.96 * z, (0, front, z / 2), DARK, 0.006),
        *(
            box(
                0.76 * x,
                0.02 * y,
                0.07 * z,
                (0, front - 0.02 * y, h * z),
                plain(0.42, 0.42, 0.46),
                0.003,
            )
            for h in (0.88, 0.78)
        ),
        cylinder(0.2 * x, 0.03 * y, (0, front - 0.015 * y, 0.62 * z), lit(0.2, 1.2, 1.4), "y", 12),
        *(
            box(0.7 * x, 0.02 * y, 0.012 * z, (0, front - 0.015 * y, (0.12 + 0.05 * k) * z), GRAY)
            for k in range(7)
        ),
    ]


@recipe("printer", "on-top", (0.52, 0.42, 0.36))
def printer(x: float, y: float, z: float, look: Look) -> Parts:
    shell = look.pick((WHITE, WHITE, plain(0.28, 0.28, 0.3)))
    sheet = [box(0.6 * x, 0.01 * y, 0.34 * z, (0, 0.3 * y, 0.94 * z), plain(0.98, 0.98, 1.0))]
    return [
        box(x, 0.9 * y, 0.5 * z, (0, 0.05 * y, 0.28 * z), shell, 0.02),
        box(0.96 * x, 0.7 * y, 0.26 * z, (0, 0.12 * y, 0.64 * z), shell.shade(0.85), 0.02),
        box(0.7 * x, 0.2 * y, 0.16 * z, (0, -0.34 * y, 0.4 * z), BLACK),
        box(0.62 * x, 0.4 * y, 0.02 * z, (0, -0.34 * y, 0.34 * z), plain(0.98, 0.98, 1.0)),
        box(0.8 * x, 0.3 * y, 0.04 * z, (0, -0.4 * y, 0.1 * z), DARK, 0.005),
        *turned(sheet, "x", -18, sheet[0].at),
        box(0.3 * x, 0.02 * y, 0.1 * z, (0.25 * x, -0.24 * y, 0.68 * z), lit(0.25, 0.6, 1.02)),
        ball(
            0.04 * x,
            0.02 * y,
            0.04 * x,
            (0.4 * x, -0.41 * y, 0.45 * z),
            lit(0.2, 1.1, 0.3),
            around=8,
            rings=4,
        ),
    ]


@recipe("telephone", "on-top", (0.24, 0.2, 0.13))
def telephone(x: float, y: float, z: float, look: Look) -> Parts:
    shell = look.pick((plain(0.14, 0.14, 0.16), plain(0.75, 0.12, 0.12), plain(0.9, 0.88, 0.8)))
    body = [
        box(x, 0.9 * y, 0.35 * z, (0, 0, 0.3 * z), shell, 0.05 * x),
        box(
            0.46 * x,
            0.5 * y,
            0.06 * z,
            (0.2 * x, -0.12 * y, 0.48 * z),
            textured("buttons"),
            fit=True,
        ),
        box(0.44 * x, 0.18 * y, 0.06 * z, (0.2 * x, 0.28 * y, 0.48 * z), plain(0.55, 0.8, 0.6)),
    ]
    handset = [
        box(0.17 * x, 0.72 * y, 0.2 * z, (-0.3 * x, 0, 0.78 * z), shell.shade(0.85), 0.03 * x),
        *(
            ball(
                0.24 * x,
                0.28 * y,
                0.4 * z,
                (-0.3 * x, s * 0.36 * y, 0.65 * z),
                shell.shade(0.85),
                0.7,
                0.7,
            )
            for s in (-1, 1)
        ),
    ]
    return turned(body, "x", 8) + turned(handset, "x", 8)


@recipe("headphones", "on-top", (0.19, 0.09, 0.2))
def headphones(x: float, y: float, z: float, look: Look) -> Parts:
    arch = [(px, 0.0, 0.4 * z + pz) for px, pz in arc(0.4 * x, 0.57 * z, 0, 180)]
    color = look.vivid
    return [
        tube(arch, 0.07 * x, BLACK),
        *(cylinder(y, 0.1 * x, (s * 0.44 * x, 0, 0.28 * z), color, "x", 18) for s in (-1, 1)),
        *(
            lathe(TORUS, y, y, 0.14 * x, (s * 0.33 * x, 0, 0.28 * z), BLACK, axis="x")
            for s in (-1, 1)
        ),
    ]


@recipe("power strip", "floor", (0.3, 0.08, 0.06))
def power_strip(x: float, y: float, z: float, look: Look) -> Parts:
    cable = (
        (0.34 * x, 0, 0.4 * z),
        (0.44 * x, 0.02 * y, 0.35 * z),
        (0.48 * x, 0.2 * y, 0.2 * z),
        (0.5 * x, 0.45 * y, 0.15 * z),
    )
    return [
        box(0.86 * x, 0.8 * y, 0.8 * z, (-0.07 * x, 0, 0.4 * z), plain(0.9, 0.9, 0.88), 0.1 * z),
        box(0.74 * x, 0.5 * y, 0.12 * z, (-0.1 * x, 0, 0.82 * z), textured("sockets"), fit=True),
        box(0.06 * x, 0.3 * y, 0.25 * z, (0.31 * x, 0, 0.88 * z), lit(1.3, 0.15, 0.1)),
        tube(cable, 0.2 * z, DARK),
    ]


@recipe("refrigerator", "floor", (0.7, 0.7, 1.75))
def refrigerator(x: float, y: float, z: float, look: Look) -> Parts:
    shell, split, body = _white_or_steel(look), 0.62 * z, y - 0.1
    parts = [
        box(x, body, z, (0, 0.03, z / 2), shell.shade(0.85), 0.01),
        box(x - 0.03, body - 0.1, 0.05, (0, 0, 0.025), BLACK),
    ]
    for low, high, grip in ((0.05, split - 0.01, split - 0.3), (split + 0.01, z, split + 0.24)):
        parts += [
            box(x, 0.06, high - low, (0, 0.03 - body / 2 - 0.03, (low + high) / 2), shell, 0.02),
            box(0.03, 0.04, 0.22 * z, (-0.4 * x, -body / 2 - 0.05, grip), DARK, 0.008),
        ]
    return parts


def _control_panel(x: float, front: float, height: float, fill: Material) -> Parts:
    """Four knobs and a display of the material ``fill`` in a row across the front."""
    return [
        *(
            cylinder(0.04, 0.035, (k * x, front - 0.02, height), DARK, "y", 12)
            for k in (-0.38, -0.24, 0.24, 0.38)
        ),
        box(0.2 * x, 0.02, 0.05, (0, front - 0.005, height), fill),
    ]


@recipe("stove", "floor", (0.7, 0.62, 0.9))
def stove(x: float, y: float, z: float, look: Look) -> Parts:
    hobs = [
        part
        for sx, sy, d in ((-1, -1, 0.36), (1, -1, 0.28), (-1, 1, 0.28), (1, 1, 0.36))
        for part in (
            lathe(
                TORUS,
                d * x,
                d * x,
                0.02,
                (sx * 0.23 * x, sy * 0.22 * y, z),
                plain(0.75, 0.2, 0.14),
                segments=18,
            ),
            cylinder(0.16 * x, 0.016, (sx * 0.23 * x, sy * 0.22 * y, z), GRAY),
        )
    ]
    top = box(x, y, min(0.03, 0.4 * z), (0, 0, z - min(0.015, 0.2 * z)), BLACK, 0.006)
    if z < 0.35:
        return [box(x, y, 0.6 * z, (0, 0, 0.3 * z), STEEL), top, *hobs]
    shell, front = _white_or_steel(look), -y / 2 + 0.04
    return [
        box(x, y - 0.08, z - 0.02, (0, 0.02, z / 2), shell, 0.008),
        top,
        *hobs,
        *_control_panel(x, front, z - 0.09, lit(0.2, 0.9, 1.05)),
        box(0.84 * x, 0.03, 0.5 * z, (0, front, 0.46 * z), shell.shade(0.9), 0.008),
        box(0.66 * x, 0.02, 0.3 * z, (0, front - 0.012, 0.42 * z), BLACK, 0.008),
        cylinder(0.028, 0.74 * x, (0, front - 0.04, 0.66 * z), CHROME, "x", 8),
        box(0.84 * x, 0.02, 0.1 * z, (0, front, 0.1 * z), shell.shade(0.9), 0.006),
    ]


@recipe("oven", "floor", (0.6, 0.58, 0.6))
def oven(x: float, y: float, z: float, look: Look) -> Parts:
    front = -y / 2 + 0.05
    return [
        box(x, y - 0.06, z, (0, 0.02, z / 2), STEEL, 0.008),
        box(0.94 * x, 0.03, 0.7 * z, (0, front, 0.38 * z), plain(0.16, 0.16, 0.17), 0.01),
        box(0.72 * x, 0.02, 0.44 * z, (0, front - 0.01, 0.34 * z), plain(0.42, 0.2, 0.08), 0.01),
        *(box(0.68 * x, 0.012, 0.01, (0, front - 0.02, h * z), GRAY) for h in (0.26, 0.36, 0.46)),
        cylinder(0.03, 0.82 * x, (0, front - 0.05, 0.66 * z), CHROME, "x", 8),
        *_control_panel(x, front, 0.86 * z, lit(1.1, 0.4, 0.15)),
    ]


@recipe("microwave", "on-top", (0.52, 0.38, 0.3))
def microwave(x: float, y: float, z: float, look: Look) -> Parts:
    shell, front = look.pick((plain(0.86, 0.86, 0.87), plain(0.14, 0.14, 0.15))), -0.46 * y
    return [
        box(x, 0.92 * y, z, (0, 0.03 * y, z / 2), shell, 0.01),
        box(0.66 * x, 0.04 * y, 0.84 * z, (-0.14 * x, front, z / 2), BLACK, 0.008),
        box(
            0.5 * x,
            0.02 * y,
            0.56 * z,
            (-0.16 * x, front - 0.025 * y, z / 2),
            plain(0.3, 0.32, 0.34),
            0.004,
        ),
        box(0.03 * x, 0.08 * y, 0.74 * z, (0.2 * x, front - 0.05 * y, z / 2), CHROME, 0.005),
        box(
            0.22 * x, 0.03 * y, 0.5 * z, (0.37 * x, front, 0.36 * z), textured("buttons"), fit=True
        ),
        box(0.2 * x, 0.03 * y, 0.16 * z, (0.37 * x, front, 0.8 * z), lit(0.2, 1.1, 0.6)),
    ]


@recipe("washer", "floor", (0.62, 0.6, 0.86))
def washer(x: float, y: float, z: float, look: Look) -> Parts:
    body, front, ring = y - 0.08, 0.04 - y / 2, 0.7 * min(x, 0.78 * z)
    rim = ((0.32, 0), (0.5, 0), (0.5, 0.5), (0.44, 1), (0.36, 1), (0.32, 0.3))
    return [
        box(x, body, z, (0, 0.02, z / 2), WHITE, 0.015),
        box(0.98 * x, 0.03, 0.15 * z, (0, front, 0.9 * z), plain(0.8, 0.82, 0.85), 0.006),
        lathe(
            rim,
            ring,
            ring,
            0.07,
            (0, front - 0.03, 0.44 * z),
            plain(0.66, 0.68, 0.72),
            axis="y",
            segments=28,
        ),
        ball(0.7 * ring, 0.06, 0.7 * ring, (0, front - 0.01, 0.44 * z), plain(0.12, 0.16, 0.24)),
        cylinder(0.09 * z, 0.04, (0.3 * x, front - 0.02, 0.9 * z), DARK, "y"),
        box(0.24 * x, 0.02, 0.07 * z, (0, front - 0.012, 0.9 * z), lit(0.15, 0.5, 1.05)),
        box(0.24 * x, 0.02, 0.09 * z, (-0.32 * x, front - 0.008, 0.9 * z), WHITE, 0.005),
    ]


@recipe("dishwasher", "floor", (0.62, 0.6, 0.86))
def dishwasher(x: float, y: float, z: float, look: Look) -> Parts:
    shell, front = _white_or_steel(look), 0.05 - y / 2
    return [
        box(x, y - 0.08, z, (0, 0.03, z / 2), DARK, 0.006),
        box(0.96 * x, 0.04, 0.72 * z, (0, front, 0.46 * z), shell, 0.01),
        box(0.96 * x, 0.04, 0.13 * z, (0, front, 0.91 * z), BLACK, 0.006),
        cylinder(0.035, 0.8 * x, (0, front - 0.05, 0.76 * z), CHROME, "x", 8),
        *(box(0.03, 0.03, 0.03, (s * 0.38 * x, front - 0.03, 0.76 * z), CHROME) for s in (-1, 1)),
        *(
            cylinder(
                0.025, 0.01, (k * 0.09 * x, front - 0.022, 0.91 * z), lit(0.3, 0.9, 1.1), "y", 8
            )
            for k in (-2, -1, 0, 1, 2)
        ),
        box(0.9 * x, 0.03, 0.07 * z, (0, front + 0.04, 0.05 * z), BLACK),
    ]


@recipe("kettle", "on-top", (0.22, 0.16, 0.24))
def kettle(x: float, y: float, z: float, look: Look) -> Parts:
    shell = look.pick((CHROME, plain(0.8, 0.15, 0.14), plain(0.92, 0.92, 0.92)))
    width = 0.62 * x
    grip = (
        (0.2 * x, 0, 0.84 * z),
        (0.42 * x, 0, 0.82 * z),
        (0.48 * x, 0, 0.6 * z),
        (0.42 * x, 0, 0.3 * z),
        (0.26 * x, 0, 0.24 * z),
    )
    spout = ((-0.2 * x, 0, 0.5 * z), (-0.36 * x, 0, 0.62 * z), (-0.48 * x, 0, 0.76 * z))
    return [
        lathe(
            ((0, 0), (0.5, 0), (0.5, 0.1), (0.46, 0.6), (0.34, 1), (0, 1)),
            width,
            y,
            0.86 * z,
            (0, 0, 0.46 * z),
            shell,
        ),
        cylinder(1.05 * y, 0.06 * z, (0, 0, 0.03 * z), BLACK),
        ball(0.4 * x, 0.6 * y, 0.12 * z, (0, 0, 0.88 * z), BLACK),
        ball(0.1 * x, 0.1 * x, 0.1 * z, (0, 0, 0.95 * z), BLACK),
        tube(grip, 0.09 * x, BLACK),
        tube(spout, 0.12 * x, shell),
    ]


def _blades(diameter: float, at: tuple[float, float, float], fill: Material, count: int) -> Parts:
    """Blades of a fan around ``at``, facing the front."""
    blade = [
        box(
            0.26 * diameter,
            0.015 * diameter,
            0.44 * diameter,
            (at[0], at[1], at[2] + 0.23 * diameter),
            fill,
            0.008,
        )
    ]
    return [
        p
        for k in range(count)
        for p in turned(turned(blade, "z", 12, at), "y", 360 * k / count, at)
    ]


@recipe("fan", "floor", (0.42, 0.36, 1.1))
def fan(x: float, y: float, z: float, look: Look) -> Parts:
    shell, wide = look.pick((WHITE, plain(0.15, 0.15, 0.17))), min(0.98 * x, 0.5 * z)
    hub = (0.0, -0.1 * y, z - wide / 2)
    spoke = [box(0.012, 0.012, 0.48 * wide, (0, -0.28 * y, hub[2] + 0.24 * wide), CHROME)]
    spokes = [p for k in range(12) for p in turned(spoke, "y", 30 * k, hub)]
    return [
        lathe(TORUS, wide, wide, 0.4 * y, hub, shell, axis="y", segments=28),
        *_blades(0.86 * wide, hub, plain(0.3, 0.55, 0.85), 4),
        *spokes,
        cylinder(0.2 * wide, 0.3 * y, (0, 0.08 * y, hub[2]), shell, "y"),
        cylinder(0.05, hub[2], (0, 0.1 * y, hub[2] / 2), shell),
        cylinder(0.9 * min(x, y), 0.04, (0, 0, 0.02), shell),
    ]


@recipe("exhaust fan", "wall", (0.32, 0.13, 0.32))
def exhaust_fan(x: float, y: float, z: float, look: Look) -> Parts:
    if z < min(x, y):
        return turned(exhaust_fan(x, z, y, look), "x", 90)
    wide, middle = 0.88 * min(x, z), z / 2
    spokes = [
        box(0.96 * wide, 0.06 * y, 0.02 * z, (0, -0.4 * y, middle + k * 0.16 * wide), WHITE)
        for k in (-2, -1, 1, 2)
    ]
    return [
        box(x, 0.5 * y, z, (0, 0.25 * y, middle), WHITE, 0.02 * x),
        cylinder(wide, 0.1 * y, (0, -0.05 * y, middle), BLACK, "y", 24),
        *_blades(0.86 * wide, (0, -0.12 * y, middle), GRAY, 5),
        lathe(
            TORUS,
            1.08 * wide,
            1.08 * wide,
            0.5 * y,
            (0, -0.2 * y, middle),
            plain(0.8, 0.8, 0.8),
            axis="y",
            segments=24,
        ),
        cylinder(0.22 * wide, 0.2 * y, (0, -0.36 * y, middle), WHITE, "y"),
        *spokes,
    ]


@recipe("heater", "wall", (1.1, 0.13, 0.55))
def heater(x: float, y: float, z: float, look: Look) -> Parts:
    shell, fins = plain(0.96, 0.96, 0.95), max(4, round(x / 0.07))
    pitch = x / fins
    return [
        *(
            box(
                0.72 * pitch,
                0.8 * y,
                0.9 * z,
                ((k + 0.5) * pitch - x / 2, -0.1 * y, 0.55 * z),
                shell,
                0.3 * pitch,
            )
            for k in range(fins)
        ),
        *(cylinder(0.06 * z, x, (0, 0, h * z), shell.shade(0.85), "x", 8) for h in (0.16, 0.92)),
        *(box(0.02, 0.6 * y, 0.12 * z, (s * 0.42 * x, 0.2 * y, 0.06 * z), GRAY) for s in (-1, 1)),
        ball(0.08 * z, 0.5 * y, 0.14 * z, (0.48 * x, 0, 0.16 * z), DARK),
    ]
