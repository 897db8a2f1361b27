"""The SpaceR-style dataset on disk: rooms -> clips -> candidate questions -> balanced choice ->
rows, maps, videos, card, audit.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..core import folders, profiles
from ..core.files import MEND, iterate_jsonl, write_atomic, write_jsonl
from ..core.registry import QUESTIONS, SCENES
from ..core.row_files import MAPS
from ..core.rows import load
from ..core.types import SPLITS, Split, WorkbookError
from ..questions.view import Candidate
from ..scenes import contents, scans
from . import audit, card
from .balance import Choice, Letters, choose
from .clips import Job, candidates_of, do_clip, do_media, media_names
from .samples import room_samples, sample, stream, text_rows
from .workers import run

__all__ = ["MIXES", "build", "load", "room_samples", "text_rows"]

WRITES = (*(f"{split}.jsonl" for split in SPLITS), MAPS, "README.md", "audit.json")
"""Files that a build writes beside the media."""
WORK = ".work"
"""Folder of the results of finished rooms, with which a killed build goes on."""
FINGERPRINT = "[0-9a-f]" * 16
"""Glob pattern of a build's own folder in ``WORK``. A dataset's folder that has one is ours."""
MIXES: dict[str, dict[str, int]] = {
    "paper": {
        "object_rel_direction_easy": 10907,
        "object_rel_direction_medium": 8800,
        "object_rel_direction_hard": 10907,
        "object_abs_distance": 15000,
        "obj_appearance_order": 15000,
        "object_size_estimation": 11702,
        "room_size_estimation": 2600,
        "object_rel_distance": 11335,
        "object_counting": 5064,
        "general_ocr": 7499,
        "general_regression": 7499,
        "general_image_choice": 14999,
        "general_free_form": 11699,
        "general_video_choice": 18299,
    },
}
"""Training rows of each type from ``MIX_ROOMS`` rooms: 91,315 spatial, 29,997 image and 29,998
video (SpaceR-151k)."""
PUBLISHED = "published rows"
"""Kind of record of a folder that ``published_rows.take`` has written. A build may replace it."""
MIX_ROOMS = 1300
UNEVEN = 3
"""Most rows of one type from one clip, as a multiple of an even share of the type's rows."""


# ---------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class SplitPlan:
    """What to put in one split."""

    targets: dict[str, int]
    """Question type -> rows."""
    per_clip: dict[str, int]
    """Question type -> rows about one clip at most."""
    jobs: list[Job]


def plan(
    split: Split,
    clips: int,
    profile: profiles.Profile,
    mix: Mapping[str, int] | None,
    sources: Sequence[Mapping[str, Any]] = (),
    **about: Any,
) -> SplitPlan:
    """Targets of every type: ``questions_per_type`` from every clip, general types by
    ``general_rows``, or a fixed mix.

    Args:
        sources: fields of the jobs that differ from one clip to the next.
    """
    targets, per_clip = {}, {}
    for entry in QUESTIONS:
        share = entry.info.get("share")
        usual = (
            round(share * profile.data.general_rows)
            if share
            else clips * profile.data.questions_per_type
        )
        targets[entry.name] = usual if mix is None else mix.get(entry.name, 0)
        even = math.ceil(UNEVEN * targets[entry.name] / max(clips, 1))
        per_clip[entry.name] = even if share or mix is not None else profile.data.questions_per_type
    most = max(per_clip.values())
    return SplitPlan(
        targets,
        per_clip,
        [
            Job(
                split, k, profile=profile, per_clip=most, **about, **(sources[k] if sources else {})
            )
            for k in range(clips)
        ],
    )


def mix_for(name: str, rooms: int) -> dict[str, int]:
    """A mix for so many training rooms: rows in proportion."""
    return {t: round(n * rooms / MIX_ROOMS) for t, n in MIXES[name].items()}


def plans_of(
    profile: profiles.Profile,
    mix: str | None,
    takes: int,
    layouts: Path | None,
    scanned: tuple[str, Path] | None,
    **about: Any,
) -> dict[str, SplitPlan]:
    """Split -> what to put in it."""
    data = profile.data
    wanted = mix_for(mix, data.train_rooms) if mix else None

    # Training and held-out rooms: scans, or procedural ones.
    if scanned:
        release, folder = scanned
        reader = scans.open_dataset(release, folder)
        plans = {}
        for split, most, counts in (
            ("train", data.train_rooms, wanted),
            ("heldout", data.heldout_rooms, None),
        ):
            found = scans.usable_scans(reader, release, folder, split, about["seed"])[:most]  # type: ignore[arg-type]
            sources = [
                {
                    "scan": (release, str(folder), scan_id),
                    "scan_state": scans.state_of(release, folder, scan_id),
                }
                for scan_id in found
            ]
            plans[split] = plan(split, len(found), profile, counts, sources, **about)  # type: ignore[arg-type]
    else:
        contents.level_of(data.difficulty)  # an unknown one is told before any room is tried
        plans = {
            "train": plan("train", data.train_rooms * takes, profile, wanted, takes=takes, **about),
            "heldout": plan("heldout", data.heldout_rooms, profile, None, **about),
        }

    # Real layouts, for evaluation.
    if layouts is not None:
        rooms = SCENES["real_layouts"](
            "real_layouts", data.real_rooms, about["seed"], folder=layouts
        )
        sources = [{"scene": scene} for scene in rooms]
        plans["real_layouts"] = plan("real_layouts", len(sources), profile, None, sources, **about)
    return plans


def build(
    profile: profiles.Profile,
    out: Path,
    seed: int = 0,
    workers: int = 1,
    real_layouts: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    engine: str = "local",
    mix: str | None = None,
    takes: int = 1,
    scanned: tuple[str, Path] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the whole dataset below ``out`` and return its audit; a killed build goes on where it
    was.

    Args:
        workers: processes; 1 or more give the same bytes.
        real_layouts: folder of the real rooms' metadata; None leaves that split out.
        progress: called with (clips done, clips in all).
        engine: ``local`` or ``ray`` (all machines must see ``out``).
        mix: name in ``MIXES`` for the training split; None takes ``questions_per_type`` of each
            type from every clip.
        takes: clips of each training room.
        scanned: (``scannet``, ``scannetpp`` or ``arkitscenes``, its folder): train and hold out
            real scans, with their own frames, instead of procedural rooms. The rooms of VSI-Bench
            are never among them.
        overwrite: replace a finished dataset of other settings.

    Raises:
        WorkbookError: the real rooms can't be read, ``out`` holds what no build has made or a
            finished dataset of other settings, another process builds there, the disk refuses, or
            no room could be used.
    """
    # What to make, and all that decides it.
    out = Path(out).absolute()
    work = out / WORK / _fingerprint(profile, seed, mix, takes, scanned)
    plans = plans_of(
        profile, mix, takes, real_layouts, scanned, seed=seed, out=str(out), work=str(work)
    )
    inputs = _inputs(
        out,
        profile,
        {split: p.jobs for split, p in plans.items()},
        seed=seed,
        mix=mix,
        takes=takes,
        scanned=scanned and scanned[0],
        types=QUESTIONS.names(),
        code=_code(),
    )

    # Make it. A folder without a record is empty, or of an old build: ``_claim`` refuses others.
    _claim(out, work)
    with folders.held(out):
        known = folders.Record.of(out).inputs is not None
        record = folders.begin(out, inputs, WRITES if known else (), overwrite=overwrite)
        record.add([f"{split}.jsonl" for split in plans] + [MAPS, "README.md", "audit.json"])
        on_workers = partial(run, workers=workers, engine=engine)
        found = _made(profile, out, work, plans, seed, mix, on_workers, progress)
        record.finish()
    return found


def _inputs(
    out: Path, profile: profiles.Profile, jobs: Mapping[str, Sequence[Job]], **settings: Any
) -> folders.Inputs:
    """All that the dataset's content depends on."""
    rooms = {
        f"rooms of {split}": _digest(job.file.name for job in mine) for split, mine in jobs.items()
    }
    about = {
        "profile": {"data": asdict(profile.data), "frames": asdict(profile.frames)},
        **settings,
        **rooms,
    }
    return folders.Inputs.of("dataset", about, {}, out)


def _digest(names: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(names).encode(), digest_size=8).hexdigest()


def _made(
    profile: profiles.Profile,
    out: Path,
    work: Path,
    plans: Mapping[str, SplitPlan],
    seed: int,
    mix: str | None,
    run: Callable[..., Any],
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Make the whole dataset; returns its audit."""
    # Film the clips and ask about them.
    jobs = [job for p in plans.values() for job in p.jobs]
    problems = [p for p in run(do_clip, jobs, progress=progress) if p]
    if len(problems) == len(jobs):
        raise WorkbookError(
            f"no room could be used: {problems[0] if problems else 'the profile asks for none'}"
        )

    # Choose the questions of each split, and write rows and maps.
    for split, mine in plans.items():
        _write_split(out / f"{split}.jsonl", mine, seed, run)
    write_jsonl(out / MAPS, (row["map"] for job in jobs if not (row := job.left())["problem"]))
    _prune(jobs, out, work)

    # Check what was written.
    found = audit.run(out, profile, problems, mix_for(mix, profile.data.train_rooms) if mix else {})
    write_atomic(out / "README.md", card.readme(found))
    return found


def _claim(out: Path, work: Path) -> None:
    """Make the work folder. It tells the next build that it may replace what ``out`` holds.

    Raises:
        WorkbookError: ``out`` holds what no build has made, or can't be written.
    """
    try:
        taken = (about := folders.Record.of(out).inputs) is not None and about.kind == PUBLISHED
        if out.exists() and any(out.iterdir()) and not (_works(out) or taken):
            raise WorkbookError(
                f"{out} holds files that no build of a dataset has made, and a build would replace some of them. "
                "Name a new or an empty folder."
            )
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkbookError(
            f"could not write {out}: {error.strerror}. Nothing was changed. {MEND}"
        ) from error


def _works(out: Path) -> list[Path]:
    """The folders of all builds in ``WORK``."""
    return [folder for folder in (out / WORK).glob(FINGERPRINT) if folder.is_dir()]


def _write_split(path: Path, plan: SplitPlan, seed: int, run: Callable[..., Any]) -> None:
    """Choose the rows of one split, make their media, and write them."""

    def candidates() -> Iterator[dict[str, list[Candidate]]]:
        for job in plan.jobs:
            row = job.left()
            yield {t: candidates_of(row, t) for t in plan.targets}

    chosen = _by_clip(choose(candidates, plan.targets, plan.per_clip, seed), len(plan.jobs))
    run(do_media, list(zip(plan.jobs, chosen)))
    write_jsonl(path, _rows(plan.jobs, chosen, seed))


def _by_clip(chosen: Mapping[str, Sequence[Choice]], clips: int) -> list[list[tuple[str, int]]]:
    """For every clip the (type, candidate) of the questions that were chosen from it."""
    table: list[list[tuple[str, int]]] = [[] for _ in range(clips)]
    for question_type, choices in sorted(chosen.items()):
        for clip, k in choices:
            table[clip].append((question_type, k))
    return table


def _rows(
    jobs: Iterable[Job], chosen: Iterable[list[tuple[str, int]]], seed: int
) -> Iterator[dict[str, Any]]:
    letters: dict[str, Letters] = {}
    for job, picked in zip(jobs, chosen):
        row = job.left()
        for t, k in picked:
            rng = stream(seed, row["video_id"], f"letters {t} {k}")
            dealer = letters.setdefault(t, Letters())
            yield sample(
                candidates_of(row, t)[k],
                t,
                row["video_id"],
                row["scene_id"],
                row["source"],
                dealer,
                rng,
            ).to_row()


def _prune(jobs: Sequence[Job], out: Path, work: Path) -> None:
    """Remove media of earlier builds that no row names, and earlier builds' work folders."""
    # Media that builds have made, and those that this build needs.
    made = {
        name
        for folder in _works(out)
        for file in folder.glob("*.json")
        for name in media_names(file)
    }
    known = {f"videos/{row['video_id']}" for job in jobs if not (row := job.left())["problem"]}
    known |= {
        row["path"].rsplit(".", 1)[0]
        for split in SPLITS
        if (out / f"{split}.jsonl").exists()
        for _, row in iterate_jsonl(out / f"{split}.jsonl")
    }

    # Whole files and torn ones; what no build has made stays.
    for path in [
        p
        for folder in ("videos", "images")
        for p in sorted((out / folder).rglob("*"))
        if p.is_file()
    ]:
        whole = path.with_name(folders.TORN.sub(r"\1", path.name))
        name = whole.relative_to(out).with_suffix("").as_posix()
        if name in made and (name not in known or path != whole):
            path.unlink()
    for folder in _works(out):
        if folder != work:
            shutil.rmtree(folder)
    for file in set(work.iterdir()) - {job.file for job in jobs}:
        file.unlink()


def _fingerprint(profile: profiles.Profile, *settings: Any) -> str:
    """Digest of what the clips' results depend on: settings, question types, code, statistics."""
    about = (asdict(profile.data), asdict(profile.frames), settings, QUESTIONS.names(), _code())
    return hashlib.blake2b(repr(about).encode(), digest_size=8).hexdigest()


def _code() -> str:
    """Digest of the code and statistics that make a dataset."""
    package = profiles.PROJECT / "spacer_utils"
    code = sorted(
        p for folder in ("questions", "scenes", "render") for p in (package / folder).rglob("*.py")
    )
    modules = (
        "dataset/clips",
        "dataset/samples",
        "dataset/balance",
        "core/mp4",
        "core/frames",
        "core/clip_listing",
        "core/clip_reader",
        "core/clip_sizes",
        "core/maps",
        "core/pictures",
        "dataset/signs",
        "core/types",
    )
    code += [
        *(package / f"{name}.py" for name in modules),
        package / "assets" / "layout_statistics.json",
    ]
    digest = hashlib.blake2b(digest_size=8)
    for path in code:
        digest.update(path.read_bytes())
    return digest.hexdigest()


SIZES: dict[str, dict[str, Any]] = {"profile": {}, "paper": {"mix": "paper", "takes": 2}}
"""What ``--size`` means besides the profile's own numbers."""
