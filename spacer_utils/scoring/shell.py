"""``score-benchmark`` and ``list-benchmarks``: scoring from the shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import json_line, write_jsonl
from ..registry import BENCHMARKS
from ..types import BadRow
from .record import MISSING, PROFILES, Item, judge_row
from .report import Table, baselines, report


def parse_lines(lines: Iterable[str]) -> list[tuple[int, dict[str, Any]]]:
    """(line number from 1, row) of every line that isn't blank.

    Raises:
        BadRow: a line is not a JSON object.
    """
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadRow(f"line {number}: not JSON ({error}). Mend or remove the line.") from error
        if not isinstance(row, dict):
            raise BadRow(f"line {number}: a JSON {type(row).__name__}, not an object with the record's fields and output.")
        rows.append((number, row))
    if not rows:
        raise BadRow("standard input has no rows. Give JSONL: the published record's fields plus output, one row a line.")
    return rows


def score_lines(lines: Iterable[str], name: str, profile: str = "official", *, unwrap: str = "answer_tag",
                missing: str = "wrong") -> tuple[Table, list[tuple[int, Item]]]:
    """Report and (line number, item) of JSONL rows.

    Raises:
        BadRow: a row is broken; the message names its line.
        WorkbookError: no such benchmark or profile.
    """
    benchmark = BENCHMARKS[name]
    rows, items = parse_lines(lines), []
    for number, row in rows:
        try:
            items.append((number, judge_row(benchmark, row, profile, unwrap)))
        except BadRow as error:
            raise BadRow(f"line {number}: {error}") from error
    info = BENCHMARKS.entry(name).info
    table = {"benchmark": name, "version": info["version"], "unwrap": unwrap, "published_count": info["count"],
             **report(benchmark, [item for _, item in items], profile, missing),
             "baselines": baselines(benchmark, [row for _, row in rows], profile)}
    return table, items


def add_commands(commands: Any) -> None:
    """Add both subcommands to an ``argparse`` subparsers object; each sets ``run(arguments) -> exit code``."""
    score = commands.add_parser("score-benchmark", help="score JSONL rows (published fields plus output) on standard input")
    score.add_argument("name", help="see list-benchmarks")
    score.add_argument("--profile", choices=PROFILES, default="official")
    score.add_argument("--items", type=Path, help="write one JSON row per input row: score, parsed, reason")
    score.add_argument("--unwrap", choices=("answer_tag", "last_answer_tag", "none"), default="answer_tag")
    score.add_argument("--missing", choices=MISSING, default="wrong", help="rows without output: score 0, or leave the means")
    score.set_defaults(run=_score)
    commands.add_parser("list-benchmarks", help="name, licence, size and needs of every benchmark").set_defaults(run=_list)


def _score(arguments: argparse.Namespace) -> int:
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    table, items = score_lines(sys.stdin, arguments.name, arguments.profile, unwrap=arguments.unwrap, missing=arguments.missing)
    if arguments.items:
        write_jsonl(arguments.items, ({"line": number, **item.to_json()} for number, item in items))
    print(json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False))
    return 0


def listing() -> list[Table]:
    """One row per benchmark for ``list-benchmarks`` and the notebooks."""
    return [{"name": e.name, "description": e.description, "file": e.file, "tasks": len(e.value.tasks) or None,
             **{k: v for k, v in e.info.items() if k != "files"}} for e in BENCHMARKS]


def _list(_: argparse.Namespace) -> int:
    for row in listing():
        sys.stdout.write(json_line(row))
    return 0
