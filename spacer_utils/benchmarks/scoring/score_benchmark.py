"""``score-benchmark``: published rows plus ``output`` in, one report out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from ...core.files import filled_lines, json_of, write_atomic
from ...core.registry import BENCHMARKS
from ...core.types import BadRow
from .aggregate import Table, baselines, report
from .extract import UNWRAPPING
from .record import MISSING, Item, judge_row


def score_stream(
    lines: Iterable[bytes],
    out: TextIO,
    name: str,
    scoring: str = "official",
    *,
    unwrap: str = UNWRAPPING[0],
    missing: str = MISSING[0],
    items: Path | None = None,
) -> None:
    """Score ``lines``; the report goes to ``out``, one JSON row per scored line to ``items``.

    Raises:
        BadRow: a line is broken; the message names it.
    """
    table, found = score_lines(lines, name, scoring, unwrap=unwrap, missing=missing)
    if items:
        rows = ({"line": number, **item.to_json()} for number, item in found)
        # escaped, because a model's text may hold half a character, which UTF-8 can't write
        write_atomic(items, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    out.write(json.dumps(table, indent=1, allow_nan=False) + "\n")


def score_lines(
    lines: Iterable[bytes],
    name: str,
    scoring: str = "official",
    *,
    unwrap: str = UNWRAPPING[0],
    missing: str = MISSING[0],
) -> tuple[Table, list[tuple[int, Item]]]:
    """Report and (line number, item) of JSONL rows.

    Raises:
        BadRow: a row is broken; the message names its line.
        WorkbookError: no such benchmark or scoring.
    """
    benchmark, info = BENCHMARKS[name], BENCHMARKS.entry(name).info
    items = []
    for number, line in filled_lines(lines):
        try:
            items.append((number, judge_row(benchmark, read_row(line), scoring, unwrap)))
        except BadRow as error:
            raise BadRow(f"line {number}: {error}") from error
    if not items:
        raise BadRow(
            "standard input has no rows. Give JSONL: the published record's fields plus output, one row a line."
        )
    scored = [item for _, item in items]
    table = {
        "benchmark": name,
        "version": info["version"],
        "published_count": info["count"],
        "unwrap": unwrap,
        **report(benchmark, scored, scoring, missing),
        "baselines": baselines(benchmark, [i.row for i in scored], scoring),
    }
    return table, items


def read_row(line: bytes) -> dict[str, Any]:
    """The JSON object of one line.

    Raises:
        BadRow: not UTF-8, not JSON, or not an object.
    """
    try:
        row = json_of(line)
    except BadRow as error:
        raise BadRow(f"{error}. Mend or remove the line.") from error
    if not isinstance(row, dict):
        raise BadRow(
            f"a JSON {type(row).__name__}, not an object with the record's fields and output."
        )
    return row


def listing() -> list[Table]:
    """One row per benchmark: name, description, file, and what its decorator says."""
    return [
        {
            "name": e.name,
            "description": e.description,
            "file": e.file,
            **{k: v for k, v in e.info.items() if k != "files"},
        }
        for e in BENCHMARKS
    ]
