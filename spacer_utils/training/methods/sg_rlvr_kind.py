"""sg_rlvr_dense that pays for the kind of answer."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("sg_rlvr_kind")
class SgRlvrKind(Method):
    """sg_rlvr_dense with a term for answers of the kind asked for."""

    # map_calibrated three times: within a group, map scores spread a quarter as far as accuracy
    # (0.10 and 0.38), whose chance drowned them
    terms = {"accuracy": 1.0, "format": 1.0, "answer_kind": 1.0, "map_calibrated": 3.0}
    with_map = True
    gate = "format"
    compared_with = ("base", "base with map", "rlvr", "rlvr_kind", "sg_rlvr", "sg_rlvr_dense")
    colour = "#AA4499"
