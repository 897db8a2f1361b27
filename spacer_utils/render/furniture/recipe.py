"""The decorator that files a recipe: how one category is put together out of parts, in a box of a given size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..materials import Look
from ..shapes import Parts, Vec

Mount = Literal["floor", "wall", "ceiling", "on-top"]
Build = Callable[[float, float, float, Look], Parts]
"""``(x, y, z, look) -> parts``: extents in metres; the floor is z = 0, the front faces -y; the result is fitted to the box."""


class Recipe(NamedTuple):
    """A category that can be drawn."""

    build: Build
    mount: Mount
    """What holds it: the floor, a wall (its back is at +y), the ceiling, or another piece of furniture."""
    size: Vec
    """Typical extents (x, y, z), metres: used where the real statistics lack the category, and for which way is long."""


RECIPES: dict[str, Recipe] = {}


def recipe(name: str, mount: Mount, size: Vec) -> Callable[[Build], Build]:
    """Files ``build`` as the way to draw ``name``."""

    def add(build: Build) -> Build:
        RECIPES[name] = Recipe(build, mount, size)
        return build

    return add
