"""Furniture: what can be drawn, what holds it, and the parts that one instance is made of."""

from __future__ import annotations

import zlib

from ...core.types import Box, WorkbookError
from ..assemble import Mesh, assemble
from ..materials import Look
from ..shapes import Parts, Vec
from . import appliances, decor, household, seating, storage  # noqa: F401  (each files its recipes)
from .recipe import RECIPES, Mount, Recipe

ALIASES = {
    "closet": "wardrobe",
    "cushion": "pillow",
    "radiator": "heater",
    "trash can": "trash bin",
    "washing machine": "washer",
}
"""Second names: drawn like the other category."""
CATEGORIES: tuple[str, ...] = tuple(sorted((*RECIPES, *ALIASES)))
"""Everything that can be drawn."""


def _recipe(category: str) -> Recipe:
    try:
        return RECIPES[ALIASES.get(category, category)]
    except KeyError:
        raise WorkbookError(
            f"no furniture called {category!r}. Known: {', '.join(CATEGORIES)}. Add a recipe to "
            "spacer_utils/render/furniture or leave the object out."
        ) from None


MOUNT: dict[str, Mount] = {name: _recipe(name).mount for name in CATEGORIES}
"""Category -> what holds it: ``floor``, ``wall`` (back at +y), ``ceiling`` or ``on-top``."""


def parts(category: str, size: Vec, seed: int) -> Parts:
    """Parts of one instance, about as large as ``size``; ``assemble`` makes the fit exact.

    Raises:
        WorkbookError: nobody can draw the category; the message lists what there is.
    """
    return _recipe(category).build(*size, Look([seed, zlib.crc32(category.encode())]))


def build(category: str, size: Vec, seed: int) -> Mesh:
    """Mesh of one instance that fills ``size`` (x, y, z in metres) exactly, centred on the origin,
    its front facing -y.

    Raises:
        WorkbookError: nobody can draw the category.
    """
    return assemble([parts(category, size, seed)], [Box((0.0, 0.0, 0.0), size)], [1])
