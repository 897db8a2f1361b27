"""RLVR that pays for the kind of answer."""

from __future__ import annotations

from ...core.registry import METHODS
from ..method import Method


@METHODS.register("rlvr_kind")
class RlvrKind(Method):
    """RLVR with a term for answers of the kind asked for."""

    terms = {"accuracy": 1.0, "format": 1.0, "answer_kind": 1.0}
    compared_with = ("rlvr",)
    colour = "#F0E442"
