"""Materials of furniture parts, and the random choices that make instances look different."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
Color = tuple[float, float, float]


class Material(NamedTuple):
    """A colour that is multiplied with a texture."""

    color: Color
    """Red, green and blue; 1 is full."""
    texture: str = ""
    """Name in ``textures``; empty for a plain colour."""
    glows: bool = False
    """Emits light: neither lamp nor shadow changes it."""

    def shade(self, factor: float) -> Material:
        """The same material, darker or brighter."""
        r, g, b = self.color
        return self._replace(color=(r * factor, g * factor, b * factor))


def plain(r: float, g: float, b: float) -> Material:
    """A colour without texture."""
    return Material((r, g, b))


def lit(r: float, g: float, b: float, texture: str = "") -> Material:
    """A material that emits light."""
    return Material((r, g, b), texture, True)


def textured(name: str, tint: float = 1.0) -> Material:
    """A texture, brighter or darker by the factor ``tint``."""
    return Material((tint, tint, tint), name)


WHITE, IVORY, GRAY = plain(0.95, 0.95, 0.94), plain(0.93, 0.9, 0.82), plain(0.5, 0.5, 0.53)
DARK, BLACK, CHROME = plain(0.2, 0.2, 0.22), plain(0.07, 0.07, 0.08), plain(0.78, 0.79, 0.82)
BRASS, GLOW = plain(0.82, 0.68, 0.36), lit(1.5, 1.42, 1.15)
STEEL = textured("metal")

CLOTH: tuple[Color, ...] = (
    (0.74, 0.22, 0.2),
    (0.22, 0.38, 0.64),
    (0.3, 0.5, 0.33),
    (0.82, 0.72, 0.52),
    (0.45, 0.45, 0.48),
    (0.24, 0.27, 0.34),
    (0.86, 0.8, 0.7),
    (0.55, 0.33, 0.52),
    (0.9, 0.62, 0.2),
)
VIVID: tuple[Color, ...] = (
    (0.85, 0.16, 0.16),
    (0.12, 0.36, 0.8),
    (0.1, 0.58, 0.3),
    (0.95, 0.6, 0.1),
    (0.55, 0.2, 0.65),
    (0.1, 0.6, 0.65),
)


class Look:
    """Random choices for one instance, from its own random stream.

    Each choice is drawn when its recipe first asks for it: the order of calls fixes the result.
    """

    def __init__(self, seed: list[int]) -> None:
        self.rng = np.random.default_rng(seed)

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``."""
        return options[int(self.rng.random() * len(options))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        return float(low + (high - low) * self.rng.random())

    def tint(self, color: Color, spread: float = 0.05, texture: str = "") -> Material:
        """``color`` moved by up to ``spread`` in each channel."""
        r, g, b = (min(1.0, max(0.03, c + self.between(-spread, spread))) for c in color)
        return Material((r, g, b), texture)

    @cached_property
    def wood(self) -> Material:
        """The wood of this instance, the same for all its parts."""
        tint = self.between(0.88, 1.08)
        return textured(self.pick(("wood", "darkwood", "lightwood")), tint)

    @cached_property
    def cloth(self) -> Material:
        """The upholstery of this instance, the same for all its parts."""
        return self.tint(self.pick(CLOTH), 0.05, "fabric")

    @cached_property
    def vivid(self) -> Material:
        """A saturated colour for small objects, the same for all parts of this instance."""
        return self.tint(self.pick(VIVID), 0.05)
