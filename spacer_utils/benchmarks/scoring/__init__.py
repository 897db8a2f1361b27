"""How model outputs become scores: the error measure, named extractors, one neutral record,
reports. Needs no torch."""

from __future__ import annotations

from ...core.metrics import mra
from .aggregate import baselines, report
from .extract import EXTRACTORS, unwrap
from .record import Benchmark, Item, Question, Verdict, judge_row

__all__ = [
    "EXTRACTORS",
    "Benchmark",
    "Item",
    "Question",
    "Verdict",
    "baselines",
    "judge_row",
    "mra",
    "report",
    "unwrap",
]
