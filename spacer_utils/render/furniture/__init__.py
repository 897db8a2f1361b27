"""Furniture: the categories that can be rendered, and the parts of each instance."""

from __future__ import annotations

import zlib

from ...core.types import Box, WorkbookError
from ..assemble import Mesh, assemble
from ..materials import Look
from ..shapes import Parts, Vec
from . import (  # noqa: F401  (each files its recipes)
    appliances,
    containers,
    decor,
    household,
    seating,
    storage,
)
from .recipe import RECIPES, Mount, Recipe

ALIASES = {
    "closet": "wardrobe",
    "cushion": "pillow",
    "radiator": "heater",
    "trash can": "trash bin",
    "washing machine": "washer",
}
"""Category -> category with the same look, whose recipe it uses."""
CATEGORIES: tuple[str, ...] = tuple(sorted((*RECIPES, *ALIASES)))
"""All categories that can be rendered."""


def _recipe(category: str) -> Recipe:
    """The recipe of a category, also of one in ``ALIASES``."""
    try:
        return RECIPES[ALIASES.get(category, category)]
    except KeyError:
        raise WorkbookError(
            f"no furniture called {category!r}. Known: {', '.join(CATEGORIES)}. Add a recipe to "
            "spacer_utils/render/furniture or leave the object out."
        ) from None


MOUNT: dict[str, Mount] = {name: _recipe(name).mount for name in CATEGORIES}
"""Category -> what it stands on or hangs from, see ``Recipe.mount``."""


def parts(category: str, size: Vec, seed: int) -> Parts:
    """Parts of one instance, about as large as ``size`` (metres); ``assemble`` makes it exact.

    Raises:
        WorkbookError: the category has no recipe; the message lists those that have.
    """
    return _recipe(category).build(*size, Look([seed, zlib.crc32(category.encode())]))


def build(category: str, size: Vec, seed: int) -> Mesh:
    """Mesh of one instance, centred at the origin, its front facing -y.

    Args:
        size: extents along x, y and z that the mesh fills exactly, metres.

    Raises:
        WorkbookError: the category has no recipe.
    """
    return assemble([parts(category, size, seed)], [Box((0.0, 0.0, 0.0), size)], [1])
