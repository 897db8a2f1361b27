"""Find and read files of rows in JSONL, JSON, parquet or from the hub, and say what is there where
they are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import loads
from pathlib import Path
from typing import Any

from . import profiles
from .files import UNREADABLE, iterate_jsonl
from .media_of import TURNS
from .types import BadRow, MissingArtifact, WorkbookError

MAPS = "cognitive_map.jsonl"
ROWS = (".jsonl", ".json", ".parquet")
"""Endings of files of rows."""
_NO_ROWS = re.compile(r"cognitive_map.*|dataset_infos?|.*config|fingerprint|audit|meta_?info.*")
EXPECTED = "one JSON object in each line, with problem, solution, problem_type, path (relative to its folder) and options"


def rows_file(folder: Path, split: str = "train") -> Path:
    """``<split>.jsonl`` of a folder.

    Raises:
        MissingArtifact: it isn't there, and a stage of the workbook writes it. BadRow: it isn't
            there in another's folder; the message says what is.
    """
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise _missing(path)
    return path


def published_files(folder: Path) -> list[Path]:
    """The files of rows of a set as it was published: at its top, and parquet files in ``data/``."""
    tops = [*folder.glob("*"), *folder.glob("data/*.parquet")]
    return sorted(
        p
        for p in tops
        if p.suffix in ROWS and p.is_file() and not _NO_ROWS.fullmatch(p.stem.lower())
    )


def remedy(folder: Path) -> str:
    """How to mend a dataset's folder: a notebook rebuilds the workbook's own; users mend theirs."""
    own = next(
        (
            p
            for p in profiles.PROFILES.values()
            if (p.outputs / "data").resolve() == folder.resolve()
        ),
        None,
    )
    return (
        f"Run: make nb02 PROFILE={own.name}"
        if own
        else "Put the files there, or name another folder."
    )


def _missing(path: Path) -> WorkbookError:
    """What to say where a file of rows isn't there."""
    own = remedy(path.parent)
    if "make" in own:
        return MissingArtifact(
            f"{path.parent.name}/{path.name}", "02_questions", own.removeprefix("Run: ")
        )
    if path.is_dir():
        return BadRow(f"{path} is a folder, {_beside(path)}. Give a file: {EXPECTED}.")
    if not path.parent.is_dir():
        return BadRow(f"{path.parent} is no folder. Give the folder that has {path.name}.")
    return BadRow(
        f"{path.parent} has no {path.name}, {_beside(path.parent)}. Expected: {path.name} with {EXPECTED}. "
        f"Convert a table with pandas: read_parquet(FILE).to_json({path.name!r}, orient='records', lines=True)"
    )


def no_rows(path: Path) -> BadRow:
    size = f" ({path.stat().st_size} bytes)" if path.is_file() else ""
    return BadRow(
        f"{path} has no rows{size}; {_beside(path.parent, path.name)}. Expected: {EXPECTED}."
    )


def _beside(folder: Path, but: str = "") -> str:
    """The files of a folder, and of those below it, that may hold rows."""
    kinds = (".jsonl", ".json", ".parquet", ".arrow", ".csv", ".tsv")
    there = sorted(
        str(p.relative_to(folder))
        for depth in ("*", "*/*")
        for p in folder.glob(depth)
        if p.suffix in kinds and p.name not in (but, MAPS)
    )
    if not there:
        return "and no other file of rows"
    more = f" and {len(there) - 6} more" if len(there) > 6 else ""
    return f"but {', '.join(there[:6])}{more}"


def numbered(source: Path | str) -> tuple[str, Iterator[tuple[int, Any]]]:
    """What messages call a row (``line`` or ``row``), and the rows with their numbers from 1."""
    path = Path(source)
    if path.suffix == ".parquet" and path.is_file():
        return "row", enumerate(_parquet(path), 1)
    if path.is_file():
        whole = _whole(path)
        return ("line", iterate_jsonl(path)) if whole is None else ("row", enumerate(whole, 1))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) and not path.suffix and not path.is_dir():
        from datasets import load_dataset

        return "row", enumerate(load_dataset(str(source), split="train"), 1)
    raise _missing(path)


def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow import parquet

    try:
        for batch in parquet.ParquetFile(path).iter_batches(256):
            yield from batch.to_pylist()
    except (ValueError, OSError, NotImplementedError) as error:  # those of pyarrow are among them
        raise BadRow(
            f"{path}: no parquet file that can be read ({error}). Download or write it again."
        ) from error


def _whole(path: Path) -> list[Any] | None:
    """The rows of a file that is one JSON value: a list, ``{"data": [...]}`` or a single row; None
    where each line is a row."""
    with open(path, "rb") as file:
        first = next((line for line in file if line.strip(b"\xef\xbb\xbf \t\r\n")), b"")
    if first.strip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return list(_json(path))
    try:
        value = loads(first)
    except UNREADABLE:
        value = None
    if value is not None and _wrapped(value) is None:
        return None
    try:
        value = loads(path.read_bytes())
    except UNREADABLE:  # reading line by line names the one that is broken
        return None
    return _wrapped(value) or [value]


def _wrapped(value: Any) -> list[Any] | None:
    """The list of rows in ``{"data": [...]}`` and the like; None for an object that is a row."""
    if not isinstance(value, dict) or {"problem", "question", *TURNS} & set(value):
        return None
    lists = [
        v
        for v in value.values()
        if isinstance(v, list) and v and all(isinstance(row, dict) for row in v)
    ]
    return lists[0] if len(lists) == 1 else None


def _json(path: Path) -> Any:
    try:
        return loads(path.read_bytes())
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadRow(f"{path}, line {line}: not UTF-8 ({error.reason}).") from error
    except UNREADABLE as error:
        raise BadRow(f"{path}: not JSON ({error}).") from error
