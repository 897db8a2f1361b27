"""Furniture: what can be drawn, how large it is, what holds it, and the parts that one instance is made of."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from ...types import Box, WorkbookError
from ..assemble import Mesh, assemble
from ..materials import Look
from ..shapes import Parts, Vec
from . import appliances, decor, household, seating, storage  # noqa: F401  (each files its recipes)
from .recipe import RECIPES, Mount, Recipe

ALIASES = {"closet": "wardrobe", "cushion": "pillow", "radiator": "heater", "trash can": "trash bin", "washing machine": "washer"}
"""Second names: drawn like the other category."""
CATEGORIES: tuple[str, ...] = tuple(sorted((*RECIPES, *ALIASES)))
"""Everything that can be drawn."""
ENOUGH = 5
"""Real boxes that a category needs before its statistics count."""
SPREAD = 0.08
"""Standard deviation of the logarithm of a size that has no statistics."""
EXTREME = 1.5
"""Sampled sizes stay within this many standard deviations of the real mean."""
TALL = {"stove": (0.85, 0.95), "lamp": (1.3, 1.75), "chair": (0.78, 1.0), "refrigerator": (1.5, 1.95), "door": (1.95, 2.1),
        "plant": (0.5, 1.2), "counter": (0.85, 0.95), "toilet": (0.7, 0.82)}
"""Whole objects: real boxes of these are often cut off (the cooktop of a stove, a seat under a table), so heights are ours (choice)."""


def _recipe(category: str) -> Recipe:
    try:
        return RECIPES[ALIASES.get(category, category)]
    except KeyError:
        raise WorkbookError(f"no furniture called {category!r}. Known: {', '.join(CATEGORIES)}. Add a recipe to spacer_utils/render/furniture "
                            "or leave the object out.") from None


MOUNT: dict[str, Mount] = {name: _recipe(name).mount for name in CATEGORIES}
"""Category -> what holds it: ``floor``, ``wall`` (back at +y), ``ceiling`` or ``on-top``."""


@lru_cache(maxsize=4096)
def parts(category: str, size: Vec, seed: int) -> Parts:
    """Parts of one instance, about as large as ``size``; ``assemble`` makes the fit exact.

    Raises:
        WorkbookError: nobody can draw the category; the message lists what there is.
    """
    return _recipe(category).build(*size, Look([seed, zlib.crc32(category.encode())]))


def build(category: str, size: Vec, seed: int) -> Mesh:
    """Mesh of one instance that fills ``size`` (x, y, z in metres) exactly, centred on the origin, its front facing -y.

    Raises:
        WorkbookError: nobody can draw the category.
    """
    return assemble([parts(category, size, seed)], [Box((0.0, 0.0, 0.0), size)], [1])


@lru_cache(maxsize=1)
def _statistics() -> dict[str, dict[str, Any]]:
    text = files("spacer_utils").joinpath("assets/layout_statistics.json").read_text()
    categories: dict[str, dict[str, Any]] = json.loads(text)["categories"]
    return categories


def nominal_size(category: str, rng: np.random.Generator) -> Vec:
    """Random extents (x, y, z), metres, from the log-normal statistics of real boxes where they have the category.

    The statistics call the longer horizontal side the length; it lies along x, or along y for what is deeper than wide (bed,
    toilet, ...).

    Raises:
        WorkbookError: nobody can draw the category.
    """
    recipe = _recipe(category)
    row = _statistics().get(category)
    if row is None or row["instances"] < ENOUGH:
        return tuple(np.exp(np.log(recipe.size) + SPREAD * np.clip(rng.standard_normal(3), -EXTREME, EXTREME)).tolist())
    lw, lh, wh = row["correlation"]
    values, vectors = np.linalg.eigh(np.array([[1, lw, lh], [lw, 1, wh], [lh, wh, 1]]))
    draw = np.clip(vectors @ (np.sqrt(np.maximum(values, 0)) * rng.standard_normal(3)), -EXTREME, EXTREME)
    length, width, z = np.exp(np.array(row["mu"]) + np.array(row["sd"]) * draw).tolist()
    if category in TALL:
        z = float(rng.uniform(*TALL[category]))
    long, short = max(length, width), min(length, width)
    return (long, short, z) if recipe.size[0] >= recipe.size[1] else (short, long, z)
