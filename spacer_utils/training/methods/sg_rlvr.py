"""The paper's SG-RLVR."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr")
class SgRlvr(Method):
    """RLVR and map imagination, the paper's reward."""

    terms = {"accuracy": 1.0, "format": 1.0, "map": 1.0}
    with_map = True
    compared_with = ("base", "base with map", "sft", "sft_map", "rlvr")
    colour = "#009E73"
