"""SG-RLVR for how objects stand to each other."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr_relations")
class SgRlvrRelations(Method):
    """Map reward on pairwise directions and distance order."""

    terms = {"accuracy": 1.0, "format": 1.0, "map_relations": 1.0}
    with_map = True
    compared_with = ("rlvr",)
    colour = "#5D3A9B"
