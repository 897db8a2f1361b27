"""The SpaceR-style dataset on disk: rooms -> clips -> candidate questions -> balanced choice -> rows, maps, videos, card, audit.

    python -m spacer_utils.data.dataset --profile smoke
    python -m spacer_utils.data.dataset --size paper --engine ray --workers 8
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import media, profiles
from ..files import iterate_jsonl, write_atomic, write_jsonl
from ..questions.view import WORDINGS, Candidate
from ..registry import QUESTIONS, SCENES
from ..scenes.procedural import shopping_list
from ..types import Scene, Split, WorkbookError
from ..video import film, read_clip, write_clip
from . import audit
from .balance import Choice, Letters, choose
from .engines import ENGINES, run
from .rows import MAPS, load
from .samples import ask, check, room_samples, sample, stream, text_rows, true_map, view_of

__all__ = ["MIXES", "build", "load", "room_samples", "text_rows"]

SPLITS: tuple[Split, ...] = ("train", "heldout", "real_layouts")
WORDING: dict[Split, tuple[str, ...]] = {"train": ("spacer",), "heldout": WORDINGS, "real_layouts": ("vsi",)}
WORK = ".work"
"""Folder of what finished rooms have left, so that a killed build goes on where it was."""
MIXES: dict[str, dict[str, int]] = {
    "paper": {
        "object_rel_direction_easy": 10205, "object_rel_direction_medium": 10205, "object_rel_direction_hard": 10204,
        "object_abs_distance": 15000, "obj_appearance_order": 15000, "object_size_estimation": 13002,
        "room_size_estimation": 1300, "object_rel_distance": 11335, "object_counting": 5064,
        "general_ocr": 7499, "general_regression": 7499, "general_image_choice": 14999,
        "general_free_form": 14999, "general_video_choice": 14999,
    },
}
"""Training rows of each type: 91,315 spatial, 29,997 image and 29,998 video (SpaceR-151k)."""
RICH = 6
"""Every second room has this many things that are the only one of their name: what most questions need."""
CROWDS = (5, 6, 7, 8)
"""Every fourth room has that many instances of its commonest category: counts that real rooms seldom show."""


@dataclass(frozen=True)
class Job:
    """One clip to film and ask about; plain data that travels to any worker."""

    split: Split
    index: int
    seed: int
    profile: profiles.Profile
    out: str
    work: str
    per_clip: int
    takes: int = 1
    """Clips of each room."""
    layouts: str | None = None

    @property
    def file(self) -> Path:
        return Path(self.work) / f"{self.split}-{self.index:06d}.json"

    def left(self) -> dict[str, Any]:
        """What the finished job left in the work folder."""
        row: dict[str, Any] = json.loads(self.file.read_text())
        return row


# ---------------------------------------------------------------------------------------------------------------- one clip


def scene_of(job: Job) -> Scene:
    """The room that a job is about: real ones in order, procedural ones by turns as they come, rich, rich, and crowded."""
    scene: Scene
    if job.split == "real_layouts":
        scenes = SCENES["real_layouts"](job.split, job.profile.data.real_rooms, job.seed, folder=job.layouts)
        scene = list(scenes)[job.index]
        return scene
    room = job.index // job.takes
    scene = next(iter(SCENES["procedural"](job.split, 1, job.seed, first=room_number(job.split, job.seed, room))))
    return scene


def room_number(split: Split, seed: int, room: int, tries: int = 1000) -> int:
    """Number of the procedural room that stands at place ``room``: the first of its own thousand that has what its turn wants."""
    wanted: Callable[[list[int]], bool] = (
        lambda counts: True, lambda counts: counts.count(1) >= RICH, lambda counts: counts.count(1) >= RICH,
        lambda counts: max(counts) == CROWDS[room // 4 % len(CROWDS)],
    )[room % 4]
    numbers = range(room * tries, (room + 1) * tries)
    return next((n for n in numbers if wanted(list(shopping_list(split, seed, n).values()))), numbers[0])


def do_clip(job: Job) -> str:
    """Film one clip, ask about it, and leave the result in the work folder; returns what went wrong, or nothing.

    A room that can't be used is reported and the others go on; a clip that is already there is not done again.
    """
    if job.file.exists():
        return str(job.left()["problem"])
    row: dict[str, Any] = {"problem": ""}
    take = job.index % job.takes
    try:
        frames, clip = film(scene_of(job), job.profile.data, job.seed + 7919 * take)
        clip = replace(clip, video_id=f"{clip.video_id}-take{take}") if take else clip
        check(clip)
        view = view_of(clip, job.profile)
        candidates = ask(view, job.seed, WORDING[job.split], job.per_clip)
        write_clip(frames, clip, Path(job.out) / "videos")
        row |= {"video_id": clip.video_id, "scene_id": clip.scene.scene_id, "source": clip.scene.source,
                "map": true_map(view).to_json(), "candidates": {t: [asdict(c) for c in found] for t, found in candidates.items()}}
    except WorkbookError as error:
        if isinstance(error.__cause__, OSError):
            raise
        row["problem"] = f"{job.split} room {job.index}: {error}"
    write_atomic(job.file, json.dumps(row))
    return str(row["problem"])


def candidates_of(row: Mapping[str, Any], question_type: str) -> list[Candidate]:
    """The candidates of one type that a clip left."""
    return [Candidate(**{**c, "categories": tuple(c["categories"]), "options": tuple(c["options"])})
            for c in row.get("candidates", {}).get(question_type, ())]


def do_media(job: tuple[Job, list[tuple[str, int]]]) -> None:
    """Make the pictures and clips that the chosen general questions about a clip need."""
    clip, chosen = job
    row, out = clip.left(), Path(clip.out)
    recipes = [m for t, k in chosen if (m := candidates_of(row, t)[k].media)]
    if recipes:
        media.make(recipes, read_clip(out / "videos" / f"{row['video_id']}.json"), out)


# --------------------------------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class Plan:
    """What one split shall hold."""

    targets: dict[str, int]
    """Question type -> rows."""
    per_clip: dict[str, int]
    """Question type -> rows about one clip at most."""
    jobs: list[Job]


def plan(split: Split, clips: int, profile: profiles.Profile, mix: Mapping[str, int] | None, **about: Any) -> Plan:
    """Targets of every type: ``questions_per_type`` from every clip, general types by ``general_rows``, or a fixed mix."""
    targets, per_clip = {}, {}
    for entry in QUESTIONS:
        share = entry.info.get("share")
        usual = round(share * profile.data.general_rows) if share else clips * profile.data.questions_per_type
        targets[entry.name] = usual if mix is None else mix.get(entry.name, 0)
        even = math.ceil(2 * targets[entry.name] / max(clips, 1))
        per_clip[entry.name] = even if share or mix is not None else profile.data.questions_per_type
    most = max(per_clip.values())
    return Plan(targets, per_clip, [Job(split, k, profile=profile, per_clip=most, **about) for k in range(clips)])


def build(profile: profiles.Profile, out: Path, seed: int = 0, workers: int = 1, real_layouts: Path | None = None,
          progress: Callable[[int, int], None] | None = None, *, engine: str = "local", mix: str | None = None,
          takes: int = 1) -> dict[str, Any]:
    """Write the whole dataset below ``out`` and return its audit; a killed build goes on where it was.

    Args:
        workers: processes; 1 or more give the same bytes.
        real_layouts: folder of the real rooms' metadata; None leaves that split out.
        progress: called with (clips done, clips in all).
        engine: ``local`` or ``ray`` (all machines must see ``out``).
        mix: name in ``MIXES`` for the training split; None takes ``questions_per_type`` of each type from every clip.
        takes: clips of each training room.

    Raises:
        WorkbookError: the disk refuses, or no room could be used.
    """
    out, data = Path(out).absolute(), profile.data
    work = out / WORK / _fingerprint(profile, seed, mix, takes)
    about: dict[str, Any] = {"seed": seed, "out": str(out), "work": str(work)}
    plans = {"train": plan("train", data.train_rooms * takes, profile, MIXES[mix] if mix else None, takes=takes, **about),
             "heldout": plan("heldout", data.heldout_rooms, profile, None, **about)}
    if real_layouts is not None:
        plans["real_layouts"] = plan("real_layouts", data.real_rooms, profile, None, layouts=str(real_layouts), **about)
    jobs = [job for p in plans.values() for job in p.jobs]
    problems = [p for p in run(do_clip, jobs, workers, engine, progress) if p]
    if len(problems) == len(jobs):
        raise WorkbookError(f"no room could be used: {problems[0] if problems else 'the profile asks for none'}")
    for split in SPLITS:
        if split in plans:
            _write_split(out / f"{split}.jsonl", plans[split], seed, partial(run, workers=workers, engine=engine))
        else:
            (out / f"{split}.jsonl").unlink(missing_ok=True)
    write_jsonl(out / MAPS, (row["map"] for job in jobs if not (row := job.left())["problem"]))
    _prune(jobs, out, work)
    found = audit.run(out, profile, problems)
    write_atomic(out / "README.md", audit.card(found))
    return found


def _write_split(path: Path, plan: Plan, seed: int, run: Callable[..., Any]) -> None:
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


def _rows(jobs: Iterable[Job], chosen: Iterable[list[tuple[str, int]]], seed: int) -> Iterator[dict[str, Any]]:
    letters: dict[str, Letters] = {}
    for job, picked in zip(jobs, chosen):
        row = job.left()
        for t, k in picked:
            rng = stream(seed, row["video_id"], f"letters {t} {k}")
            dealer = letters.setdefault(t, Letters())
            yield sample(candidates_of(row, t)[k], t, row["video_id"], row["scene_id"], row["source"], dealer, rng).to_row()


def _prune(jobs: Sequence[Job], out: Path, work: Path) -> None:
    """Remove media that no row of this build names, and what other builds left in the work folder."""
    known = {f"videos/{row['video_id']}" for job in jobs if not (row := job.left())["problem"]}
    known |= {row["path"].rsplit(".", 1)[0] for split in SPLITS if (out / f"{split}.jsonl").exists()
              for _, row in iterate_jsonl(out / f"{split}.jsonl")}
    for path in [p for folder in ("videos", "images") for p in sorted((out / folder).rglob("*")) if p.is_file()]:
        if path.relative_to(out).with_suffix("").as_posix() not in known:
            path.unlink()
    for folder in (out / WORK).iterdir():
        if folder != work:
            shutil.rmtree(folder)


def _fingerprint(profile: profiles.Profile, *settings: Any) -> str:
    """What the clips' results depend on: settings, question types, and the code that makes them."""
    package = profiles.PROJECT / "spacer_utils"
    code = sorted(p for folder in ("questions", "scenes", "render") for p in (package / folder).rglob("*.py"))
    modules = ("data/dataset", "data/samples", "data/balance", "video", "camera", "frames", "maps")
    code += [package / f"{name}.py" for name in modules]
    about = (asdict(profile.data), asdict(profile.frames), settings, QUESTIONS.names())
    digest = hashlib.blake2b(repr(about).encode(), digest_size=8)
    for path in code:
        digest.update(path.read_bytes())
    return digest.hexdigest()


SIZES: dict[str, dict[str, Any]] = {"profile": {}, "paper": {"mix": "paper", "takes": 2}}
"""What ``--size`` means besides the profile's own numbers."""


def shell_progress(every: float = 10.0) -> Callable[[int, int], None]:
    """Callback that writes one line with an estimate to standard error every few seconds."""
    begun = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= every or done >= total:
            told = now
            left = (now - begun) / done * (total - done)
            print(f"{done} of {total} clips, {done / (now - begun):.2f} per second, {left / 60:.1f} min left", file=sys.stderr)

    return tell


def main() -> None:
    """Shell entry: build one dataset, print where it is and which checks failed."""
    parser = argparse.ArgumentParser(prog="python -m spacer_utils.data.dataset", description=build.__doc__)
    parser.add_argument("--profile", default=None, help="default: cpu; gpu-lora for --size paper")
    parser.add_argument("--size", choices=SIZES, default="profile", help="paper: SpaceR-151k's mix, 1,300 rooms filmed twice")
    parser.add_argument("--rooms", type=int, help="training rooms, instead of the profile's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--real-layouts", type=Path, default=os.environ.get("REAL_LAYOUTS") or None)
    parser.add_argument("--out", type=Path, help="default: outputs/<profile>/data, outputs/<size>/data")
    a = parser.parse_args()
    profile = profiles.get(a.profile or ("gpu-lora" if a.size == "paper" else "cpu")).with_overrides(train_rooms=a.rooms)
    out = a.out or (profile.outputs if a.size == "profile" else profile.outputs.parent / a.size) / "data"
    found = build(profile, out, a.seed, a.workers, a.real_layouts, shell_progress(), engine=a.engine, **SIZES[a.size])
    print(f"{out}: " + ", ".join(f"{n['rows']} rows in {s}" for s, n in found["splits"].items()))
    print("\n".join(f"failed check: {line}" for line in found["failures"]) or "all checks passed")


if __name__ == "__main__":
    main()
