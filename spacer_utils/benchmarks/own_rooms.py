"""Questions about rooms that this workbook builds: held-out procedural ones, and copies of real layouts."""

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


@BENCHMARKS.register(
    "real_layouts",
    hub="",
    version="1",
    licence="Apache-2.0",
    count=None,
    size="a few MB of rendered video",
    needs="data/real_layouts.jsonl of a run, whose layouts are read from the folder in REAL_LAYOUTS",
    files=("real_layouts.jsonl",),
)
class RealLayouts(OwnRows):
    """Questions about rooms that copy real scans' layouts, built by this workbook."""
