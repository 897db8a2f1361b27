"""Procedural textures, computed once per process into one array with all mip levels.

Row 0 of an image is its bottom (v = 0). A texture repeats every ``TILE`` metres on a surface;
pictures and screens cover their part with a single image instead.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Paint = Callable[[Floats, Floats, np.random.Generator], Any]

SIDE = 256
"""Texels along one side of an image."""
TILE = 1.4
"""Side of one repetition of a texture, metres."""
LEVELS = 7
"""Mip levels: 256, 128, ... 4."""

PAINTS: dict[str, Paint] = {}


def texture(paint: Paint) -> Paint:
    """Decorator that registers a texture under its function's name.

    The function ``paint(x, y, rng)`` gets (SIDE, SIDE) texel positions in 0-1. It returns colours
    (SIDE, SIDE, 3), or grey values (SIDE, SIDE), in 0-255.
    """
    PAINTS[paint.__name__.rstrip("_")] = paint
    return paint


def noise(rng: np.random.Generator, *octaves: tuple[int, float]) -> Floats:
    """(SIDE, SIDE) sum of value noises that repeat seamlessly.

    Args:
        octaves: (cells per side, amplitude) of each noise.
    """
    total = np.zeros((SIDE, SIDE))
    for cells, amplitude in octaves:
        # Random values on a grid whose last row and column repeat the first.
        knots = np.pad(rng.standard_normal((cells, cells)), ((0, 1), (0, 1)), mode="wrap")

        # Smooth interpolation between them, along one axis and then the other.
        at = np.linspace(0, cells, SIDE, endpoint=False)
        low = at.astype(int)
        t = at - low
        t = t * t * (3 - 2 * t)
        rows = knots[low] * (1 - t)[:, None] + knots[low + 1] * t[:, None]
        total += amplitude * (rows[:, low] * (1 - t) + rows[:, low + 1] * t)
    return total


def _grain(color: tuple[int, int, int], rings: int, depth: float) -> Paint:
    """Wood grain with so many rings, brighter and darker by ``depth``."""

    def paint(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
        wave = np.sin(2 * math.pi * rings * y + 2.2 * noise(rng, (4, 1), (8, 0.5)))
        return np.array(color) + (depth * wave + noise(rng, (64, 4)))[..., None]

    return paint


PAINTS["wood"] = _grain((168, 112, 64), 7, 14)
PAINTS["darkwood"] = _grain((98, 60, 38), 8, 10)
PAINTS["lightwood"] = _grain((216, 186, 142), 7, 9)


@texture
def parquet(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    planks = 7
    plank = (x * planks).astype(int)
    half = ((y + rng.random(planks)[plank]) * 2 % 2).astype(int)
    bright = rng.uniform(0.82, 1.08, (planks, 2))[plank, half]
    grain = 7 * np.sin(90 * x + 2.5 * noise(rng, (8, 1), (16, 0.6))) + noise(rng, (64, 4))
    image = np.array([178, 130, 84]) * bright[..., None] + grain[..., None]
    return np.where((x * planks % 1 < 0.05)[..., None], image * 0.6, image)


@texture
def laminate(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = (
        np.array([206, 196, 178])
        + (6 * np.sin(60 * x + 2 * noise(rng, (6, 1), (12, 0.5))) + noise(rng, (64, 3)))[..., None]
    )
    return np.where((x * 5 % 1 < 0.04)[..., None], image * 0.72, image)


@texture
def tile(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = 228 + noise(rng, (8, 3), (64, 2))
    return np.where((x * 4 % 1 < 0.05) | (y * 4 % 1 < 0.05), 150, image)


@texture
def carpet(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return 168 + noise(rng, (16, 4), (64, 10), (128, 9))


@texture
def plaster(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return 236 + noise(rng, (16, 2), (64, 2), (128, 2))


@texture
def fabric(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    checks = (np.indices((SIDE, SIDE)).sum(0) // 2) % 2
    return 212 + 16 * checks + noise(rng, (64, 7), (128, 5))


@texture
def weave(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return (
        140
        + 100 * np.abs(np.sin(x * math.pi * 24) * np.sin(y * math.pi * 24))
        + noise(rng, (64, 6))
    )


@texture
def stripes(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return np.where(x * 8 % 1 < 0.4, 150, 250) + noise(rng, (128, 5))


@texture
def marble(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return 218 + 18 * np.sin(2 * math.pi * 3 * x + 3 * noise(rng, (4, 1), (8, 0.6), (16, 0.4)))


@texture
def metal(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return (
        np.array([188, 191, 196])
        + (3 * noise(rng, (128, 4)).mean(0) + noise(rng, (128, 2)))[..., None]
    )


@texture
def brick(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    row = (y * 16).astype(int)
    column = x * 6 + 0.5 * (row % 2)
    bright = rng.uniform(0.8, 1.1, (16, 8))[row, column.astype(int) % 6]
    image = np.array([168, 84, 66]) * bright[..., None]
    return np.where(((y * 16 % 1 < 0.14) | (column % 1 < 0.06))[..., None], 190, image)


@texture
def wicker(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    over = np.sin(2 * math.pi * 14 * x) * np.sign(np.sin(2 * math.pi * 14 * y))
    return np.array([186, 142, 88]) + (40 * over + noise(rng, (64, 6)))[..., None]


@texture
def books(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.full((SIDE, SIDE, 3), 34.0)
    left = 0
    while left < SIDE:
        width, top = int(rng.integers(9, 22)), int(SIDE * rng.uniform(0.74, 0.98))
        color = rng.integers(30, 230, 3)
        image[:top, left : left + width - 2] = color
        image[int(top * 0.75) : int(top * 0.75) + 12, left : left + width - 2] = np.minimum(
            color + 80, 255
        )
        left += width
    return image


@texture
def landscape(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.array([120, 170, 225]) + 60 * (1 - y)[..., None]
    image[y < 0.45 + 0.12 * np.sin(7 * x)] = (70, 120, 60)
    image[y < 0.25 + 0.06 * np.sin(11 * x + 1)] = (45, 85, 40)
    return image


@texture
def abstract(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.broadcast_to(np.array([240.0, 232, 215]), (SIDE, SIDE, 3)).copy()
    for _ in range(9):
        cx, cy, radius = rng.random(), rng.random(), rng.uniform(0.08, 0.25)
        image[np.hypot(x - cx, y - cy) < radius] = rng.integers(20, 240, 3)
    return image


@texture
def portrait(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.broadcast_to(np.array([70.0, 60, 80]), (SIDE, SIDE, 3)).copy()
    image[np.hypot((x - 0.5) / 0.2, (y - 0.62) / 0.25) < 1] = (225, 180, 150)
    image[np.hypot((x - 0.5) / 0.4, (y - 0.05) / 0.38) < 1] = (150, 40, 50)
    return image


@texture
def outside(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.array([170, 205, 245]) + 40 * y[..., None] + noise(rng, (4, 8), (8, 5))[..., None]
    image[y < 0.3 + 0.05 * np.sin(9 * x)] = (110, 155, 95)
    return image


@texture
def screen(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.broadcast_to(np.array([20.0, 24, 34]), (SIDE, SIDE, 3)).copy()
    image[y > 0.1 + 0.8 * x] = (34, 42, 58)
    return image


@texture
def desktop(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.broadcast_to(np.array([50.0, 120, 190]), (SIDE, SIDE, 3)).copy()
    image[y < 0.07] = (30, 30, 40)
    for left, right, low, high in ((0.08, 0.5, 0.25, 0.88), (0.45, 0.9, 0.4, 0.8)):
        inside = (x > left) & (x < right) & (y > low) & (y < high)
        image[inside] = (240, 240, 245)
        image[inside & (y > high - 0.07)] = (90, 95, 110)
    return image


@texture
def keys(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    cap = (x * 15 % 1 > 0.2) & (y * 5 % 1 > 0.22)
    return np.where(cap, 235, 90).astype(np.float64)


@texture
def buttons(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    cap = (np.abs(x * 3 % 1 - 0.5) < 0.3) & (np.abs(y * 4 % 1 - 0.5) < 0.3)
    return np.where(cap, 225, 60).astype(np.float64)


@texture
def sockets(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    hole = np.hypot((x * 5 % 1 - 0.5) / 0.4, (y - 0.5) / 0.36) < 1
    return np.where(hole, 70, 240).astype(np.float64)


@texture
def pianokeys(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    key = (x * 28).astype(int)
    black = (np.abs(x * 28 % 1 - 0.5) > 0.28) & (y > 0.4) & ~np.isin(key % 7, (2,))
    return np.where(black | (x * 28 % 1 < 0.08), 20, 245).astype(np.float64)


@texture
def slats(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    return np.where(y * 10 % 1 < 0.35, 70, 225).astype(np.float64)


@texture
def rug(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    ring = (np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) * 14).astype(int) % 4
    palette = np.array([[250, 240, 225], [150, 150, 150], [250, 240, 225], [95, 95, 95]])
    image = palette[ring] + noise(rng, (64, 8), (128, 6))[..., None]
    image[np.abs(x - 0.5) + np.abs(y - 0.5) < 0.14] = (95, 95, 95)
    return image


@texture
def clockface(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    image = np.full((SIDE, SIDE), 248.0)
    for hour in range(12):
        angle = hour * math.pi / 6
        image[
            np.hypot(x - 0.5 - 0.38 * math.sin(angle), y - 0.5 - 0.38 * math.cos(angle)) < 0.04
        ] = 25
    image[(np.abs(x - 0.5) < 0.022) & (y > 0.48) & (y < 0.82)] = 15
    image[(np.abs(y - 0.5) < 0.028) & (x > 0.48) & (x < 0.74)] = 15
    return image


@dataclass(frozen=True, eq=False)
class Atlas:
    """All textures at all mip levels in one array."""

    texels: NDArray[np.uint8]
    """(texels, 3) the images one after the other, each row by row."""
    offsets: NDArray[np.int64]
    """(textures, LEVELS) row of ``texels`` at which each image begins."""
    index: dict[str, int]
    """Name of a texture -> row of ``offsets``; the empty name (no texture) is -1."""


@cache
def atlas() -> Atlas:
    """All textures; computed at the first call."""
    at = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(at, at)
    pieces: list[NDArray[np.uint8]] = []
    offsets = np.zeros((len(PAINTS), LEVELS), np.int64)
    position = 0
    for row, (name, paint) in enumerate(PAINTS.items()):
        image = paint(x, y, np.random.default_rng(zlib.crc32(name.encode())))
        image = np.broadcast_to(image[..., None] if image.ndim == 2 else image, (SIDE, SIDE, 3))
        for level in range(LEVELS):
            pieces.append(np.clip(image, 0, 255).astype(np.uint8).reshape(-1, 3))
            offsets[row, level] = position
            position += len(pieces[-1])

            # The next level has half the side: means of four texels.
            image = (
                image[0::2, 0::2] + image[1::2, 0::2] + image[0::2, 1::2] + image[1::2, 1::2]
            ) / 4
    index = {"": -1, **{name: row for row, name in enumerate(PAINTS)}}
    return Atlas(np.concatenate(pieces), offsets, index)
