"""VSI-Bench-Debiased (arXiv 2511.04655): the rows of VSI-Bench that text alone doesn't answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..core.registry import BENCHMARKS
from .scoring.record import Question, Row, is_true
from .vsi_bench import VsiBench


@BENCHMARKS.register(
    "vsi_bench_debiased",
    hub="nyu-visionx/VSI-Bench",
    config="debiased",
    split="test",
    version="51e089c",
    licence="apache-2.0",
    count=None,
    size="288 videos, 5.7 GB",
    needs="as vsi_bench",
    files=(
        "debiased/*.parquet",
        "test_debiased.parquet",
        "VSI-Bench-Debiased.tsv",
        "full/*.parquet",
        "test-*.parquet",
        "test.jsonl",
    ),
)
class VsiBenchDebiased(VsiBench):
    """VSI-Bench without the rows that iterative bias pruning took out; scored as VSI-Bench."""

    @staticmethod
    def expand(row: Row) -> Iterator[Row]:
        """Where only the full file is at hand, its rows that are not marked ``pruned``."""
        if not is_true(row.get("pruned")):
            yield row

    @staticmethod
    def read(row: Row) -> Question:
        """A row marked ``pruned`` isn't part of this set: scored alone it is left out, and counted
        as such."""
        question = VsiBench.read(row)
        return replace(question, gold="") if is_true(row.get("pruned")) else question
