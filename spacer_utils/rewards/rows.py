"""Score other people's completions: JSONL in, JSONL out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from ..maps import is_place
from ..types import BadRow, MapCells, Sample, WorkbookError, map_frame
from .sets import RewardSet, resolve, score

MOST_OBJECTS = 1_000
"""Objects of one true map: no room has more, and the work grows with their number."""


def score_stream(lines: Iterable[bytes], out: TextIO, reward_set: str | RewardSet = "strict") -> None:
    """Write one row of terms, with reasons, for every non-blank line; flushed line by line.

    Output: ``line`` (number from 1), every term by name (null where it doesn't apply), ``total`` and ``reasons`` (term -> why).

    Raises:
        BadRow: a line is broken; the message names it, and everything before it has been written. Or there is no row.
    """
    rewards, empty = resolve(reward_set), True
    for number, line in enumerate(lines, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            row = read_row(line, number)
            found = score(sample_of(row, number), row["completion"], rewards)
            written = {"line": number, **found.terms, "total": found.total, "reasons": found.reasons}
            out.write(json.dumps(written, allow_nan=False) + "\n")
            out.flush()
            empty = False
    if empty:
        raise BadRow("standard input has no rows. Give JSONL: problem_type, solution and completion, one row a line.")


def read_row(line: bytes, number: int) -> dict[str, Any]:
    """The JSON object of one line, with text in the three fields that every row has."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _bad(number, f"not UTF-8 ({error.reason} at byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise _bad(number, f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise _bad(number, f"expected a JSON object, got {_kind(row)}")
    for field in ("problem_type", "solution", "completion"):
        if not isinstance(row.get(field), str):
            raise _bad(number, f"{field!r} must be text, got {_kind(row[field])}" if field in row else f"{field!r} is missing")
    return row


def sample_of(row: dict[str, Any], number: int) -> Sample:
    """The sample that a row describes; ``options``, ``cognitive_map`` and ``map_frame`` may be absent or null."""
    options = row.get("options")
    if options is not None and not (isinstance(options, list) and all(isinstance(o, str) for o in options)):
        raise _bad(number, f"'options' must be a list of texts, got {_kind(options)}")
    try:
        frame = map_frame(row.get("map_frame"))
    except WorkbookError as error:
        raise _bad(number, str(error)) from error
    return Sample(problem_id=number, problem="", data_type="video", problem_type=row["problem_type"],
                  options=tuple(options or ()), solution=row["solution"], path="", data_source="",
                  cognitive_map=_map(row.get("cognitive_map"), number), map_frame=frame)


def _map(cells: Any, number: int) -> MapCells | None:
    if cells is None:
        return None
    if not isinstance(cells, dict):
        raise _bad(number, f"'cognitive_map' must be an object {{category: [[x, y], ...]}}, got {_kind(cells)}")
    for category, places in cells.items():
        if not isinstance(places, list) or not all(map(is_place, places)):
            raise _bad(number, f"'cognitive_map' of {category!r} must be a list of [x, y] with two finite numbers each")
    if sum(map(len, cells.values())) > MOST_OBJECTS:
        raise _bad(number, f"'cognitive_map' has more than {MOST_OBJECTS:,} objects")
    return cells


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _bad(number: int, what: str) -> BadRow:
    return BadRow(f"line {number}: {what}. Mend or remove the line; the lines before it are scored.")
