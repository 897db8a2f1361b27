"""Supervised training on answers."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sft")
class Sft(Method):
    """Supervised on the answer."""

    compared_with = ("base",)
    colour = "#56B4E9"
