"""Score other people's completions: JSONL in, JSONL out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from ..core import options
from ..core.files import filled_lines, json_of
from ..core.maps import read_cells, read_grid
from ..core.types import BadRow, MapCells, Sample, WorkbookError, map_frame
from .sets import RewardSet, resolve, score

MOST_OBJECTS = 1_000
"""Most objects of one true map: no room has more, and the work grows with their number."""
MOST_TOLD = 20
"""Broken lines that an error names; the others are counted."""
QUESTION = ("problem_type", "solution", "options", "cognitive_map", "map_frame", "map_grid")
"""What completions of one ``problem_id`` have in common."""


def score_stream(
    lines: Iterable[bytes], out: TextIO, reward_set: str | RewardSet = "strict"
) -> None:
    """Write one row of terms, with reasons, for every sound line; flushed line by line.

    Output: ``line`` (number from 1), every term by name (null where it doesn't apply), ``total``
    and ``reasons`` (term -> why).

    Raises:
        BadRow: lines are broken, or there is no row. The message names the first ``MOST_TOLD``; all
            others are scored.
    """
    rewards, scored = resolve(reward_set), 0
    broken: list[BadRow] = []
    asked: dict[str, tuple[int, str]] = {}

    # Each line by itself.
    for number, line in filled_lines(lines):
        if number == 1 and line.lstrip().startswith(b"["):
            raise BadRow("line 1: a JSON list. Give one row in each line: jq -c '.[]'")
        try:
            row = read_row(line, number)
            sample = sample_of(row, number)
            _same_question(row, number, asked)
        except BadRow as error:
            broken.append(error)
            continue
        found = score(sample, row["completion"], rewards)
        written = {"line": number, **found.terms, "total": found.total, "reasons": found.reasons}
        out.write(json.dumps(written, allow_nan=False) + "\n")
        out.flush()
        scored += 1

    # What went wrong.
    if broken:
        more = f"\n... and {len(broken) - MOST_TOLD} more" if len(broken) > MOST_TOLD else ""
        told = "\n".join(map(str, broken[:MOST_TOLD]))
        raise BadRow(
            f"{told}{more}\n{len(broken)} lines are not scored, {scored} are. Mend or remove them."
        )
    if not scored:
        raise BadRow(
            "standard input has no rows. Give JSONL: problem_type, solution and completion, one row a line."
        )


def _same_question(row: dict[str, Any], number: int, asked: dict[str, tuple[int, str]]) -> None:
    """Refuse a ``problem_id`` that stood before another question; several completions of one
    question may share it."""
    name = row.get("problem_id")
    if name is None:
        return
    question = json.dumps([row.get(field) for field in QUESTION], sort_keys=True)
    line, before = asked.setdefault(json.dumps(name), (number, question))
    if before != question:
        raise _bad(number, f"'problem_id' {name!r} is that of another question in line {line}")


def read_row(line: bytes, number: int) -> dict[str, Any]:
    """The JSON object of one line, with text in the three fields that every row has."""
    try:
        row = json_of(line)
    except BadRow as error:
        raise _bad(number, str(error)) from error
    if not isinstance(row, dict):
        raise _bad(number, f"expected a JSON object, got {_kind(row)}")
    for field in ("problem_type", "solution", "completion"):
        if not isinstance(row.get(field), str):
            raise _bad(
                number,
                f"{field!r} must be text, got {_kind(row[field])}"
                if field in row
                else f"{field!r} is missing",
            )
    return row


def sample_of(row: dict[str, Any], number: int) -> Sample:
    """The sample that a row describes; ``options``, ``cognitive_map``, ``map_frame`` and
    ``map_grid`` may be absent or null."""
    given = row.get("options")
    if given is not None and not (
        isinstance(given, list) and all(isinstance(o, str) for o in given)
    ):
        raise _bad(number, f"'options' must be a list of texts, got {_kind(given)}")
    try:
        choices = options.read(given)
        frame = map_frame(row.get("map_frame"))
        grid = read_grid(row.get("map_grid", row.get("grid")))
        sample = Sample(
            problem_id=number,
            problem="",
            data_type="video",
            problem_type=row["problem_type"],
            options=tuple(choices.lines()),
            solution=row["solution"],
            path="",
            data_source="",
            cognitive_map=_map(row.get("cognitive_map"), grid),
            map_frame=frame,
            map_grid=grid,
        )
        if choices.texts and sample.problem_type == "multiple choice" and sample.gold:
            choices.gold(sample.gold)  # refused where it is none of them
    except WorkbookError as error:
        raise _bad(number, str(error)) from error
    return sample


def _map(value: Any, grid: int) -> MapCells | None:
    if value is None:
        return None
    try:
        cells = read_cells(value, grid)
    except BadRow as error:
        raise BadRow(f"'cognitive_map' {error}") from error
    if sum(map(len, cells.values())) > MOST_OBJECTS:
        raise BadRow(f"'cognitive_map' has more than {MOST_OBJECTS:,} objects")
    return cells


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _bad(number: int, what: str) -> BadRow:
    return BadRow(f"line {number}: {what}")
