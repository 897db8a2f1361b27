"""SG-RLVR with map and answer credited apart."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr_parts")
class SgRlvrParts(Method):
    """The rewards of sg_rlvr_dense, the map's tokens and the answer's credited apart."""

    # map_calibrated three times, as in sg_rlvr_dense: where rewards are not scaled by the group,
    # the weight says how much a map counts beside an answer
    terms = {"accuracy": 1.0, "format": 1.0, "map_calibrated": 3.0}
    with_map = True
    gate = "format"
    credit = "parts"
    compared_with = ("base", "base with map", "rlvr", "sg_rlvr", "sg_rlvr_dense")
    colour = "#AA4499"
