"""Recipes: functions that build one category of furniture from parts, and their register."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..materials import Look
from ..shapes import Parts, Vec, turned

Mount = Literal["floor", "wall", "ceiling", "on-top"]
Build = Callable[[float, float, float, Look], Parts]
"""``(x, y, z, look) -> parts`` of a piece with these extents, metres.

The floor is z = 0 and the front faces -y. The parts need not fill the extents exactly:
``assemble`` scales them.
"""


class Recipe(NamedTuple):
    """How one category of furniture is built."""

    build: Build
    mount: Mount
    """Where it belongs: on the floor, on a wall (its back at +y), under the ceiling, or on top of
    furniture."""
    size: Vec
    """Typical extents (x, y, z), metres."""


RECIPES: dict[str, Recipe] = {}


def recipe(name: str, mount: Mount, size: Vec) -> Callable[[Build], Build]:
    """Decorator that registers a function as the recipe of the category ``name``."""

    def add(build: Build) -> Build:
        RECIPES[name] = Recipe(build, mount, size)
        return build

    return add


def slab(build: Build) -> Build:
    """Decorator for a flat object whose recipe assumes that it lies.

    If the smallest extent is not the height, the object is built lying and then turned upright.
    """

    def turn(x: float, y: float, z: float, look: Look) -> Parts:
        if z <= min(x, y):
            return build(x, y, z, look)
        if y <= x:
            return turned(build(x, z, y, look), "x", 90)
        return turned(build(z, y, x, look), "y", 90)

    return turn
