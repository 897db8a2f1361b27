"""A published set of rows (SpaceR-151k, SR-91k, Video-R1-260k, or one laid out like them) in place
of generated rooms: read, checked, split, and written where the notebooks look for their data.

Nothing is copied but the rows: ``media`` in the written folder is a link to the published one. What
can't be used is left out, counted and named.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

import numpy as np

from ..core import clip_reader, downloads, folders, pictures
from ..core.files import MEDIA, inside, write_atomic, write_jsonl
from ..core.frames import sample_indices
from ..core.given import SETS
from ..core.profiles import Profile
from ..core.row_files import EXPECTED, MAPS, ROWS, published_files
from ..core.rows import is_general, load
from ..core.types import CognitiveMap, Sample, WorkbookError
from ..scenes import scans
from . import audit, card
from .build import PUBLISHED
from .shortcuts import table
from .wordings import named

WRITES = ("train.jsonl", "heldout.jsonl", MAPS, "README.md", "audit.json", MEDIA)
"""What is written beside the record."""
EVALUATION = re.compile(r"(heldout|test|val|validation|dev)([-_.].*)?")
"""Names of files whose rows are never trained on."""
HELD_OUT = 0.1
"""Share of the rooms and media that is kept out of training, if the set has no file for it."""
FEWEST = 4
"""Rooms (and as many media of other kinds) that are held out of a small set, up to a third of it."""
EVALUATED = "media of the evaluation"
STATES = ("used", "media not there", "room of VSI-Bench", EVALUATED)
"""What becomes of a row that can be read."""
SCANNET = re.compile(r"scene\d{4}_\d{2}")
OPENED = 40
"""Media that are opened to see whether they can be read. All of them would take hours."""
MOST_PLACES = 60
"""Folders right below the published one that are tried as the root of the rows' paths."""


@dataclass
class Published:
    """What a published folder holds; nothing is written yet."""

    folder: Path
    name: str
    """The folder's name or the hub id, as it was given."""
    files: list[str] = field(default_factory=list)
    train: list[Sample] = field(default_factory=list)
    heldout: list[Sample] = field(default_factory=list)
    """Rows of files for evaluation; paths are relative to ``folder``."""
    read: int = 0
    broken: list[str] = field(default_factory=list)
    """A line for each row that can't be read."""
    again: int = 0
    """Rows that stand in the set a second time."""
    lost: dict[str, int] = field(default_factory=dict)
    """Medium that is not there, as its rows name it -> rows."""
    leaked: dict[str, int] = field(default_factory=dict)
    """Medium of a room of VSI-Bench -> rows."""
    shared: int = 0
    """Rows to train on about rooms and media that rows for evaluation are about too."""
    packed: list[str] = field(default_factory=list)
    """Archives that were not unpacked, with the commands that do it."""
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(source, data type, media or what became of them) -> rows."""

    @property
    def rows(self) -> list[Sample]:
        return [*self.train, *self.heldout]

    def left_out(self) -> list[dict[str, Any]]:
        """A row for each reason to leave rows out, with the first example and what to do."""
        found = []

        def tell(what: str, rows: int, example: str, remedy: str) -> None:
            if rows:
                found.append({"left out": what, "rows": rows, "first": example, "remedy": remedy})

        lost, leaked = next(iter(self.lost), ""), next(iter(self.leaked), "")
        packed = "unpack the archives named below" if self.packed else "put the files there"
        tell(
            "broken", len(self.broken), next(iter(self.broken), "")[:200], "mend or remove the row"
        )
        tell("media not there", sum(self.lost.values()), lost, packed)
        tell("rooms of VSI-Bench", sum(self.leaked.values()), leaked, "none: they are its test")
        tell(EVALUATED, self.shared, "", "none: they are held out")
        tell("a second time in the set", self.again, "", "none: counted once")
        return found

    def by_source(self) -> list[dict[str, Any]]:
        """Per source and data type: rows, and what became of their media."""
        table = []
        for source, data_type in sorted({key[:2] for key in self.counts}):
            row = {"source": source or "(none named)", "data type": data_type}
            counted = {state: self.counts[source, data_type, state] for state in STATES}
            table.append({**row, "rows": sum(counted.values()), **counted})
        return sorted(table, key=lambda row: -row["rows"])

    def in_words(self) -> str:
        """What was left out, in one line."""
        reasons = [
            f"{row['rows']} {row['left out']}" + (f" ({row['first']})" if row["first"] else "")
            for row in self.left_out()
        ]
        if self.packed:
            reasons.append(f"not unpacked: {'; '.join(self.packed[:3])}")
        return "; ".join(reasons) or "nothing"


def read(source: str, progress: Callable[[int, int], None] | None = None) -> Published:
    """Read a published set: every file of rows at its top (or in ``data/``), maps beside them.

    Args:
        source: a folder, one file of rows, or a hub id (``owner/name``).
        progress: called with (files read, files in all).

    Raises:
        WorkbookError: no such folder or hub dataset, no file of rows, a missing shard, or no row
            that can be used. The message is one line.
    """
    path = Path(source).expanduser()
    if downloads.is_hub_id(source):
        path, name = downloads.snapshot(source), source
    elif path.exists():
        path = path.resolve()
        name = path.name
    else:
        raise WorkbookError(
            f"DATA={source}: there is no such folder, and it is no hub id (owner/name). {SETS}"
        )
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else published_files(folder)
    packed = downloads.still_packed(folder)
    if not files:
        what = f"; not unpacked: {packed[0]}" if packed else ""
        raise WorkbookError(
            f"DATA={name} has no file of rows ({', '.join(ROWS)}){what}. Expected: {EXPECTED}."
        )
    downloads.check_shards(files)
    found = Published(folder, name, [f.relative_to(folder).as_posix() for f in files])
    found.packed = packed
    places = _Places(folder)
    seen: set[tuple[str, str, str, str]] = set()
    for done, file in enumerate(files, 1):
        problems: list[str] = []
        samples = load(file, problems)
        found.read += len(samples) + len(problems)
        found.broken += [line.removeprefix(f"{folder}{os.sep}") for line in problems]
        held = EVALUATION.fullmatch(file.stem) is not None
        for sample in samples:
            _take(found, named(sample), places, file, held, seen)
        if progress:
            progress(done, len(files))
    _keep_apart(found)
    if not found.rows:
        raise WorkbookError(
            f"DATA={name}: none of its {found.read} rows can be used: {found.in_words()}."
        )
    return found


def _take(
    found: Published,
    sample: Sample,
    places: _Places,
    file: Path,
    held: bool,
    seen: set[tuple[str, str, str, str]],
) -> None:
    """File one row under what becomes of it."""
    key = (sample.path, sample.problem, "|".join(sample.options), sample.gold)
    if key in seen:
        found.again += 1
        return
    seen.add(key)
    about = (sample.data_source, sample.data_type)
    space = _space(sample)
    if _names(sample) & scans.benchmark_names():
        found.leaked[sample.path] = found.leaked.get(sample.path, 0) + 1
        found.counts[(*about, "room of VSI-Bench")] += 1
        return
    where = places.of(sample.path, file.parent) if sample.path else ""
    if where is None:
        found.lost[sample.path] = found.lost.get(sample.path, 0) + 1
        found.counts[(*about, "media not there")] += 1
        return
    found.counts[(*about, "used")] += 1
    number = len(found.train) + len(found.heldout) + 1
    whole = replace(
        sample,
        problem_id=number,
        path=where,
        scene_id=sample.scene_id or space or f"text-{number}",
        cognitive_map_id=sample.cognitive_map_id if sample.cognitive_map else "",
    )
    (found.heldout if held else found.train).append(whole)


def _keep_apart(found: Published) -> None:
    """Leave out rows to train on about what rows for evaluation are about. A set that has only files
    for evaluation is one to train on."""
    if not found.train:
        found.train, found.heldout = found.heldout, []
    held = {s.scene_id for s in found.heldout}
    for s in found.train:
        if s.scene_id in held:
            found.shared += 1
            found.counts[s.data_source, s.data_type, "used"] -= 1
            found.counts[s.data_source, s.data_type, EVALUATED] += 1
    found.train = [s for s in found.train if s.scene_id not in held]


class _Places:
    """Where the paths of rows begin: the published folder, the one of the rows, or one below it
    into which an archive was unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        below = sorted(p for p in folder.iterdir() if p.is_dir())
        self.roots = [folder, *below[:MOST_PLACES]]
        self.known: dict[str, str | None] = {}

    def of(self, path: str, beside: Path) -> str | None:
        """A medium's path relative to the published folder; None where it is not there, or leaves
        the folder."""
        if path not in self.known:
            self.known[path] = self._find(path, beside)
        return self.known[path]

    def _find(self, path: str, beside: Path) -> str | None:
        for root in dict.fromkeys([*self.roots[:1], beside, *self.roots[1:]]):
            try:
                file = inside(self.folder, (root / path).relative_to(self.folder).as_posix())
            except (WorkbookError, ValueError):
                continue
            if file.is_file() and file.stat().st_size:
                if root in self.roots:  # most rows of a file begin at the same place
                    self.roots.remove(root)
                    self.roots.insert(0, root)
                return file.relative_to(self.folder.resolve()).as_posix()
        return None


def _space(sample: Sample) -> str:
    """The physical space that a medium shows: ScanNet's room, else the medium itself."""
    for part in reversed(PurePosixPath(sample.path).parts):
        if scan := SCANNET.match(part):
            return f"scannet-{scan[0].rsplit('_', 1)[0]}"
    return str(PurePosixPath(sample.path).with_suffix("")) if sample.path else ""


def _names(sample: Sample) -> set[str]:
    """The names that a row may give to a room, as ``scans.benchmark_names`` writes them."""
    path = PurePosixPath(sample.path)
    parts = {path.stem, *path.parts[:-1], sample.scene_id}
    names = {f"{release}-{part}" for release in scans.RELEASES for part in parts if part}
    return names | {_space(sample), sample.scene_id}


# -------------------------------------------------------------------------------------- what is written


def take(
    profile: Profile,
    source: str,
    out: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> audit.Finding:
    """Write a published set's rows to ``out`` as a dataset of ours; returns its audit.

    Rooms and media of a tenth of the set are held out, at most as many as the profile asks questions
    of a split, unless the set has a file for evaluation. A dataset of ours that stands there is
    replaced; its clips stay.

    Raises:
        WorkbookError: as ``read``, and where everything is about one medium. Nothing is changed.
    """
    found = read(source, progress)
    train, heldout = found.train, found.heldout
    if not heldout:
        train, heldout = _split(train, profile.evaluation.questions, seed)
    if not train or not heldout:
        raise WorkbookError(
            f"DATA={found.name}: its {len(found.rows)} usable rows are about one medium, and some must be held out "
            f"from training. Left out: {found.in_words()}."
        )
    out = Path(out).absolute()
    files = {name: found.folder / name for name in [*found.files, *_maps_beside(found)]}
    settings = {"source": source, "name": found.name, "seed": seed}
    used = {"rows": len(found.rows), "lost media": len(found.lost), "held out": len(heldout)}
    inputs = folders.Inputs.of(PUBLISHED, {**settings, **used}, files, out)
    with folders.held(out):
        record = folders.begin(out, inputs, WRITES, overwrite=True)
        record.add(WRITES)
        _link(out / MEDIA, found.folder)
        write_jsonl(out / "train.jsonl", _written(train))
        write_jsonl(out / "heldout.jsonl", _written(heldout))
        write_jsonl(out / MAPS, _maps(found.rows))
        report = _audit(found, profile, out, {"train": train, "heldout": heldout})
        write_atomic(out / "README.md", _readme(report))
        write_atomic(out / "audit.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        record.finish()
    return report


def _maps_beside(found: Published) -> list[str]:
    """The files of maps, of all folders that hold rows."""
    beside = dict.fromkeys(f"{Path(name).parent.as_posix()}/{MAPS}" for name in found.files)
    return [name.removeprefix("./") for name in beside if (found.folder / name).is_file()]


def _link(link: Path, folder: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(folder, target_is_directory=True)


def _split(samples: Sequence[Sample], most: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Rows to train on, and rows about rooms and media that no row of the former is about.

    Rooms with maps, rooms without and general media are drawn from in turn, so that all three are
    asked about where the set has them.
    """
    kinds: dict[str, dict[str, int]] = {}
    for s in samples:
        kind = "general" if is_general(s.question_type) else "mapped" if s.cognitive_map else "bare"
        scenes = kinds.setdefault(kind, {})
        scenes[s.scene_id] = scenes.get(s.scene_id, 0) + 1
    chosen: set[str] = set()
    for kind, scenes in sorted(kinds.items()):
        names = [name for name in sorted(scenes) if name not in chosen]
        rng = np.random.default_rng([seed, crc32(f"held out {kind}".encode())])
        if len(names) < 2:
            continue
        fewest = min(FEWEST, len(names) // 3) or len(names) // 2
        rows = 0
        for taken, k in enumerate(rng.permutation(len(names))):
            enough = taken >= max(fewest, math.ceil(HELD_OUT * len(names))) or rows >= most
            if taken >= fewest and enough:
                break
            chosen.add(names[k])
            rows += scenes[names[k]]
    everywhere = sorted({s.scene_id for s in samples})
    if not chosen and len(everywhere) > 1:  # one of each kind
        chosen.add(everywhere[-1])
    return (
        [s for s in samples if s.scene_id not in chosen],
        [s for s in samples if s.scene_id in chosen],
    )


def _written(samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    for s in samples:
        yield {**s.to_row(), "path": f"{MEDIA}/{s.path}" if s.path else ""}


def _maps(samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    """The maps of these rows, each once."""
    maps = {
        s.cognitive_map_id: CognitiveMap(
            s.cognitive_map_id, s.cognitive_map, tuple(s.cognitive_map), s.map_frame, s.map_grid
        )
        for s in samples
        if s.cognitive_map is not None and s.cognitive_map_id
    }
    # Make takes an empty file for one that a crash has left.
    nothing = CognitiveMap("no row has a map", {}, ())
    return (drawn.to_json() for drawn in maps.values() or [nothing])


def _audit(
    found: Published, profile: Profile, out: Path, splits: dict[str, list[Sample]]
) -> audit.Finding:
    """What ``audit.run`` says of generated rows, as far as rows without a scene can be checked."""
    rows = found.rows
    rooms = {s.scene_id for s in rows if not is_general(s.question_type)}
    mapped = {s.scene_id for s in rows if s.cognitive_map}
    report: audit.Finding = {
        "profile": profile.name,
        "published": {
            "name": found.name,
            "files": found.files,
            "rows": found.read,
            "used": len(rows),
            "media": len({s.path for s in rows if s.path}),
            "lost media": len(found.lost),
            "rooms": len(rooms),
            "rooms with a map": len(mapped),
            "by source": found.by_source(),
            "left out": found.left_out(),
            "packed": found.packed,
            "opened": min(OPENED, len({s.path for s in rows if s.path})),
            "unreadable": _unreadable(found.folder, rows),
            "benchmark rooms": len(found.leaked),
        },
        "problems": [],
        "splits": {split: audit.counts(mine) for split, mine in splits.items()},
        "balance": [
            {"split": split, **row} for split, mine in splits.items() for row in audit.balance(mine)
        ],
        "answerable": [],
        "oracle": [],
        "second reader": [],
        "shortcuts": [{"split": "train", **row} for row in table(splits["train"])],
        "wanted": {},
        "lost files": {},
        "leaks": audit.leaks(
            {split: {s.scene_id for s in mine} for split, mine in splits.items()},  # type: ignore[misc]
            {split: {audit.question_key(s) for s in mine} for split, mine in splits.items()},  # type: ignore[misc]
        ),
        "benchmark rooms in train": [],
        "failures": [],
    }
    return report


def _unreadable(folder: Path, samples: Sequence[Sample]) -> list[dict[str, str]]:
    """Of ``OPENED`` media, evenly spread over the set, those that can't be read, and why."""
    media = sorted({(s.data_type, s.path) for s in samples if s.path})
    found = []
    for k in sample_indices(len(media), min(OPENED, len(media))) if media else []:
        data_type, path = media[k]
        try:
            if data_type == "image":
                pictures.read_image(folder / path)
            else:
                clip_reader.read(folder / path, lambda clip: [len(clip.stamps) // 2], lambda f: f)
        except WorkbookError as error:
            found.append({"medium": path, "why": str(error).replace(f"{folder}{os.sep}", "")})
    return found


def _readme(report: audit.Finding) -> str:
    about = report["published"]
    return (
        f"# Rows of {about['name']}\n\n{about['used']} of {about['rows']} published rows, in the fields of this workbook; "
        f"`{MEDIA}` leads to the published folder. Its licence holds for them.\n\n"
        f"{card.markdown(about['by source'])}\n## Left out\n\n{card.markdown(about['left out'])}"
    )
