"""Reinforcement learning with verifiable rewards."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("rlvr")
class Rlvr(Method):
    """GRPO with accuracy and format."""

    terms = {"accuracy": 1.0, "format": 1.0}
    compared_with = ("base",)
    colour = "#E69F00"
