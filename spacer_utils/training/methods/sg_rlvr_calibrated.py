"""SG-RLVR that pays nothing for a map that knows nothing."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr_calibrated")
class SgRlvrCalibrated(Method):
    """Map reward above the best uninformative map."""

    terms = {"accuracy": 1.0, "format": 1.0, "map_calibrated": 1.0}
    with_map = True
    compared_with = ("base", "base with map", "rlvr", "sg_rlvr")
    colour = "#D55E00"
