"""The decorator that files a recipe: how one category is put together out of parts, in a box of a
given size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..materials import Look
from ..shapes import Parts, Vec, turned

Mount = Literal["floor", "wall", "ceiling", "on-top"]
Build = Callable[[float, float, float, Look], Parts]
"""``(x, y, z, look) -> parts``: extents in metres; the floor is z = 0, the front faces -y; the
result is fitted to the box."""


class Recipe(NamedTuple):
    """A category that can be drawn."""

    build: Build
    mount: Mount
    """What holds it: the floor, a wall (its back is at +y), the ceiling, or another piece of
    furniture."""
    size: Vec
    """Typical extents (x, y, z), metres."""


RECIPES: dict[str, Recipe] = {}


def recipe(name: str, mount: Mount, size: Vec) -> Callable[[Build], Build]:
    """Files ``build`` as the way to draw ``name``."""

    def add(build: Build) -> Build:
        RECIPES[name] = Recipe(build, mount, size)
        return build

    return add


def slab(build: Build) -> Build:
    """Lets a recipe for something flat assume that it lies: a slab that stands or hangs is built
    lying and turned upright."""

    def turn(x: float, y: float, z: float, look: Look) -> Parts:
        if z <= min(x, y):
            return build(x, y, z, look)
        return (
            turned(build(x, z, y, look), "x", 90)
            if y <= x
            else turned(build(z, y, x, look), "y", 90)
        )

    return turn
