"""Which published benchmarks a folder has, and what to do for those that it lacks.

Nothing but names of files is read. Whether the media of the rows are there is found where they are
answered (``analysis.bench.run_benchmark``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.downloads import check_shards, fetch_command, snapshot, still_packed
from ...core.given import HUB
from ...core.registry import BENCHMARKS
from ...core.types import WorkbookError
from .load import files_of


@dataclass(frozen=True)
class Place:
    """One benchmark in a folder of benchmarks."""

    name: str
    folder: Path | None
    """Where its published files lie; None where they can't be used."""
    state: str
    """``there``, ``not there``, ``incomplete`` or ``on the hub``."""
    said: str
    """Its files; else in one line what is wrong and what to do."""

    def row(self) -> dict[str, Any]:
        """For a table: the benchmark, its state, size and licence, and what to do."""
        info = BENCHMARKS.entry(self.name).info
        return {
            "benchmark": self.name,
            "state": self.state,
            "questions": info["count"],
            "size": info["size"],
            "licence": info["licence"],
            "files, or how to get them": self.said,
        }


def published() -> list[str]:
    """The benchmarks that others have published, by name."""
    return [entry.name for entry in BENCHMARKS if entry.info["hub"]]


def survey(
    source: str, names: Sequence[str] | None = None, shown: str | None = None
) -> list[Place]:
    """Every published benchmark in a folder with a subfolder for each, or on the hub.

    A subfolder may have the benchmark's name here (``vsi_bench``) or on the hub (``VSI-Bench``).

    Args:
        shown: how messages name the folder; None: by its last part, which no machine differs in.
    """
    return [_place(source, name, shown or Path(source).name) for name in names or published()]


def folder_of(place: Place) -> Path:
    """The folder with a benchmark's files; one of the hub is fetched first.

    Raises:
        WorkbookError: the hub can't be reached, or a shard is missing.
    """
    if place.state != "on the hub":
        assert place.folder is not None
        return place.folder
    folder = snapshot(BENCHMARKS.entry(place.name).info["hub"])
    check_shards(files_of(place.name, folder))
    return folder


def lines(source: str) -> list[str]:
    """What the plan says of ``BENCHMARKS``: a line for each benchmark."""
    if not source:
        return []
    places = survey(source, shown=source)
    there = sum(place.state in ("there", "on the hub") for place in places)
    head = (
        f"BENCHMARKS: {there} of {len(places)} in {source if source == HUB else Path(source).name}"
    )
    told = [head]
    for place in places:
        row = place.row()
        size = f"{row['questions'] or '?'} questions, {row['size']}, licence {row['licence']}"
        told.append(f"  {place.name:<19} {place.state:<11} {size}; {place.said}")
    return told


def _place(source: str, name: str, shown: str) -> Place:
    info = BENCHMARKS.entry(name).info
    if source == HUB:
        return Place(name, None, "on the hub", f"{info['hub']}; needs {info['needs']}")
    root = Path(source)
    wanted = {_plain(name), _plain(info["hub"].split("/")[-1]), _plain(info["hub"])}
    folder = next(
        (p for p in sorted(root.iterdir()) if p.is_dir() and _plain(p.name) in wanted), None
    )
    if folder is None:
        own = info["hub"].split("/")[-1]
        how = f"{fetch_command(info['hub'], f'{shown}/{own}')}; needs {info['needs']}"
        return Place(name, None, "not there", how)
    try:
        files = files_of(name, folder)
        check_shards(files)
    except WorkbookError as error:
        why = str(error).replace(str(root), shown)
        how = fetch_command(info["hub"], f"{shown}/{folder.name}")
        return Place(name, None, "incomplete", f"{why} ({how})")
    said = ", ".join(f.relative_to(folder).as_posix() for f in files[:2])
    said += f" and {len(files) - 2} more" if len(files) > 2 else ""
    if packed := still_packed(folder):
        said += f"; not unpacked: {'; '.join(packed[:2])}"
    return Place(name, folder, "there", said)


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())
