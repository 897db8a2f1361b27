"""Supervised training on maps and answers."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sft_map")
class SftMap(Method):
    """Supervised on map, how it is read, and answer."""

    with_map = True
    compared_with = ("base", "base with map", "sft", "rlvr")
    colour = "#0072B2"
