"""SG-RLVR for maps turned by any angle."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr_aligned")
class SgRlvrAligned(Method):
    """Map reward up to turns that the video cannot decide: none of this workbook's maps."""

    terms = {"accuracy": 1.0, "format": 1.0, "map_aligned": 1.0}
    with_map = True
    compared_with = ("rlvr",)
    colour = "#8A6D00"
