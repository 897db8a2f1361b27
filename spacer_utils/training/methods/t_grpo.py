"""Video-R1's T-GRPO."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("t_grpo")
class TGrpo(Method):
    """RLVR and the temporal term (Video-R1)."""

    terms = {"accuracy": 1.0, "format": 1.0, "temporal": 1.0}
    compared_with = ("rlvr",)
    colour = "#CC79A7"
