"""Questions about held-out procedural rooms, built by this workbook."""

from __future__ import annotations

from ..core.registry import BENCHMARKS
from .scoring.own_rows import OwnRows


@BENCHMARKS.register(
    "heldout",
    hub="",
    version="1",
    licence="Apache-2.0",
    count=None,
    size="a few MB of rendered video",
    needs="data/heldout.jsonl of a run (written by 02_questions)",
    files=("heldout.jsonl",),
)
class HeldOut(OwnRows):
    """Questions about held-out procedural rooms, built by this workbook."""
