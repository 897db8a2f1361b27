"""Cognitive maps for published rows, made from the user's own copy of the scans.

SpaceR-91k names the videos of its rooms, and their maps were never released (issue 18 of the SpaceR
repository asks for them). The videos are scans of ScanNet, so the maps can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..core import maps
from ..core.files import write_jsonl
from ..core.row_files import MAPS
from ..core.rows import is_general, load
from ..core.types import Clip, CognitiveMap, MapFrame, Sample, WorkbookError
from ..scenes import scans

FILES: dict[MapFrame, str] = {"scan": MAPS, "first-view": "cognitive_map_first_view.jsonl"}
"""Axes of the maps -> the file that they are written to. The paper's have the scan's axes."""


@dataclass
class Report:
    """What was written, and what was not."""

    maps: int = 0
    rows: int = 0
    """Rows that have a map now."""
    absent: dict[str, int] = field(default_factory=dict)
    """Video whose scan is not on disk -> rows about it."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Video whose scan can't be used -> why."""
    benchmark: list[str] = field(default_factory=list)
    """Videos of VSI-Bench's rooms, which no model should be trained on."""

    def lines(self) -> list[str]:
        """The report for a reader, a line for each thing."""
        found = [f"{self.maps} maps for {self.rows} rows"]
        if self.absent:
            named = _some(list(self.absent))
            found.append(
                f"{sum(self.absent.values())} rows about {len(self.absent)} videos have no map: their scans "
                f"are not in the folder ({named})"
            )
        if self.damaged:
            reasons = _some([f"{video}: {why}" for video, why in self.damaged.items()])
            found.append(f"{len(self.damaged)} scans can't be used ({reasons})")
        if self.benchmark:
            found.append(
                f"{len(self.benchmark)} videos show rooms of VSI-Bench ({_some(self.benchmark)}): do not train on them"
            )
        return found


def write(
    rows: Path,
    folder: Path,
    release: str = "scannet",
    out: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write the maps of all videos that published rows ask about, with the scan's axes and with those
    of the first view.

    Maps hold every annotated object of a scan but walls, floors and ceilings.

    Args:
        rows: the published file, for example ``SR-91k.jsonl``.
        folder: where the scans were downloaded to.
        release: which dataset that is, see ``scenes.scans.RELEASES``.
        out: folder for the files of ``FILES``; None: beside the rows.
        overwrite: replace such files.
        progress: called with (videos done, videos in all).

    Raises:
        WorkbookError: the rows or the folder can't be read, no row's scan is there, or the files are
            there already.
    """
    out = out or rows.parent
    there = [name for name in FILES.values() if (out / name).exists()]
    if there and not overwrite:
        raise WorkbookError(
            f"{out / there[0]} is there already. Choose another --out, or replace it with --overwrite."
        )
    reader = scans.open_dataset(release, folder)
    on_disk = set(scans.scan_ids(release, folder))
    videos = _videos(load(rows))
    report, drawn = Report(), list[tuple[CognitiveMap, ...]]()

    for done, (video, count) in enumerate(videos.items(), 1):
        if progress:
            progress(done, len(videos))
        scan_id = _scan_of(video, on_disk)
        if scan_id is None:
            report.absent[video] = count
            continue
        try:
            drawn.append(maps_of(reader, release, scan_id, video))
        except WorkbookError as error:
            report.damaged[video] = str(error)
            continue
        report.rows += count
        space = scans.space_of(reader, release, scan_id)
        if {f"{release}-{scan_id}", space} & scans.benchmark_names():
            report.benchmark.append(video)

    if not drawn:
        raise WorkbookError(f"{rows}: no map could be made. {'; '.join(report.lines()[1:])}.")
    for k, name in enumerate(FILES.values()):
        write_jsonl(out / name, [of_video[k].to_json() for of_video in drawn])
    report.maps = len(drawn)
    return report


def maps_of(reader: Any, release: str, scan_id: str, video: str) -> tuple[CognitiveMap, ...]:
    """The maps of one scan, one for every entry of ``FILES``.

    Raises:
        WorkbookError: damaged files, or no frame with a pose; the message names the scan.
    """
    scene = scans.read_scan(reader, release, scan_id, "train")
    with scans.named_errors(release, scan_id):
        pose = _first_pose(reader, release, scan_id)
    clip = Clip(video, scene, 1.0, 1, 1, intrinsics=(), poses=(pose,), visible_share={})
    found = []
    for frame in FILES:
        cells = maps.cells(clip, frame)
        found.append(CognitiveMap(video, cells, tuple(cells), frame))
    return tuple(found)


def _first_pose(reader: Any, release: str, scan_id: str) -> Any:
    """(4, 4) rows: from the first frame's camera to the scene."""
    options = scans.RELEASES[release].frames
    frames = reader.get_frames(scan_id, items=("world_to_camera",), **options)
    if not len(frames.indices):
        raise WorkbookError("no frame with a camera pose. Leave the scan out.")
    ground = scans.surface(reader, release, scan_id)
    to_world = np.linalg.inv(frames.world_to_camera[0].astype(np.float64))
    return tuple(map(tuple, (ground.align @ to_world).tolist()))


def _videos(samples: Sequence[Sample]) -> dict[str, int]:
    """Video -> rows about rooms that name it."""
    found: dict[str, int] = {}
    for s in samples:
        if s.data_type == "video" and s.path and not is_general(s.question_type):
            found[s.path] = found.get(s.path, 0) + 1
    return found


def _scan_of(video: str, on_disk: set[str]) -> str | None:
    """The scan that a video's path names: by its file, else by one of its folders."""
    path = PurePosixPath(video)
    return next((name for name in (path.stem, *reversed(path.parts)) if name in on_disk), None)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
