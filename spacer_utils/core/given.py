"""What a user gives in place of generated rooms: published rows (``DATA``) and published benchmarks
(``BENCHMARKS``)."""

from __future__ import annotations

import os
from pathlib import Path

from .downloads import check_shards, fetch_command, is_hub_id, still_packed
from .folders import Record
from .row_files import MAPS, published_files
from .types import WorkbookError

HUB = "hub"
"""What ``BENCHMARKS`` may say instead of a folder."""


SETS = "Published sets: RUBBISHLIKE/SpaceR-151k (rooms and general rows), Video-R1/Video-R1-data."
MAPS_COMMAND = "python -m spacer_utils data maps --rows FILE --scans FOLDER"
"""What makes the maps that published rows lack."""


def data(value: str | None = None) -> str:
    """The published rows that a notebook is given: its parameter, else the environment variable
    ``SPACER_DATA``, which Make sets from ``DATA=``; empty for none. A folder as a whole path."""
    return _whole(value if value is not None else os.environ.get("SPACER_DATA", ""))


def benchmarks(value: str | None = None) -> str:
    """The same for benchmarks: ``SPACER_BENCHMARKS``, from ``BENCHMARKS=``.

    Raises:
        WorkbookError: neither a folder nor ``hub``.
    """
    text = value if value is not None else os.environ.get("SPACER_BENCHMARKS", "")
    if text and text != HUB and not Path(text).expanduser().is_dir():
        raise WorkbookError(
            f"BENCHMARKS={text} is no folder. Give a folder with a subfolder for each benchmark as published "
            "(VSI-Bench/, STI-Bench/, ...), or hub."
        )
    return text if text == HUB else _whole(text)


def describe_data(source: str) -> list[str]:
    """What the plan says of ``DATA`` without reading a row: files, maps, archives, a line each.

    Raises:
        WorkbookError: there is no such folder, no file of rows in it, or a shard is missing.
    """
    if not source:
        return []
    if is_hub_id(source):
        how = fetch_command(source, "FOLDER")
        return [
            f"DATA: {source} of the hub. Its rows are fetched, its archives are not: to train on clips, "
            f"{how}, unpack them, and give DATA=FOLDER"
        ]
    path = Path(source)
    if not path.exists():
        raise WorkbookError(f"DATA={source}: there is no such folder, and it is no hub id. {SETS}")
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else published_files(folder)
    if not files:
        raise WorkbookError(f"DATA={source} has no file of rows. {SETS}")
    check_shards(files)
    named = ", ".join(f"{f.name} ({f.stat().st_size / 1e6:,.1f} MB)" for f in files[:4])
    more = f" and {len(files) - 4} more" if len(files) > 4 else ""
    maps = any((f.parent / MAPS).is_file() for f in files)
    told = "with maps" if maps else f"no {MAPS}: methods that reward maps need it ({MAPS_COMMAND})"
    lines = [f"DATA: {folder.name}: {named}{more}; {told}"]
    return lines + [f"  not unpacked: {archive}" for archive in still_packed(folder)]


def _whole(text: str) -> str:
    path = Path(text).expanduser()
    return str(path.resolve()) if text and path.exists() else text


def needs_hub(source: str, published: str) -> bool:
    """Whether something of the two is asked of the hub."""
    return published == HUB or is_hub_id(source)


def written_from(folder: Path) -> str:
    """What the dataset of a folder was made of: the published folder (or hub id) as it was given;
    empty for generated rooms."""
    inputs = Record.of(folder).inputs
    return str(inputs.settings.get("source", "")) if inputs is not None else ""


def check_written(folder: Path, source: str, profile: str) -> None:
    """Check that the dataset of a folder is the one that ``DATA`` asks for. Without ``DATA``, any is.

    Raises:
        WorkbookError: it was made of something else.
    """
    there = written_from(folder)
    if source and folder.is_dir() and there != source:
        made = f"rows of {Path(there).name}" if there else "generated rooms"
        raise WorkbookError(
            f"outputs/{profile}/data holds {made}, not the rows of DATA={Path(source).name}. "
            f"Run: make nb02 PROFILE={profile} DATA={source}"
        )
