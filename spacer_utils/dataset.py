"""The SpaceR-style dataset: rooms -> clips -> candidate questions -> balanced choice -> JSONL files, maps, videos, card, audit.

    python -m spacer_utils.dataset --profile smoke --out outputs/smoke/data
    python -m spacer_utils.dataset --size paper --engine ray --workers 8
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from . import profiles
from .balance import Choice, Letters, choose, thin
from .engines import run
from .files import iterate_jsonl, write_atomic, write_jsonl
from .frames import sampling
from .questions.view import WORDINGS, Candidate, View
from .registry import QUESTIONS, SCENES
from .rows import MAPS, load
from .types import Clip, CognitiveMap, Sample, Scene, Split, WorkbookError

__all__ = ["build", "load", "room_samples", "text_rows"]

SPLITS: tuple[Split, ...] = ("train", "heldout", "real_layouts")
WORDING: dict[Split, tuple[str, ...]] = {"train": ("spacer",), "heldout": WORDINGS, "real_layouts": ("vsi",)}
SPARE = 6
"""Candidates kept per question that a room may give: what the balancing can choose from."""
WORK = ".work"
"""Folder of what finished rooms have left, so that a killed build goes on where it was."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """One room to film and ask about; plain data that travels to any worker."""

    split: Split
    index: int
    seed: int
    profile: profiles.Profile
    out: str
    work: str
    per_room: int
    layouts: str | None = None

    @property
    def file(self) -> Path:
        return Path(self.work) / f"{self.split}-{self.index:06d}.json"


def stream(seed: int, scene_id: str, question_type: str) -> np.random.Generator:
    """The random stream of one question type in one scene: no other type or scene shifts it."""
    return np.random.default_rng([seed, crc32(scene_id.encode()), crc32(question_type.encode())])


def view_of(clip: Clip, profile: profiles.Profile) -> View:
    """The clip as the profile's model is given it."""
    indices = sampling(profile.frames.sampling).indices(clip.num_frames, clip.fps, profile.frames.num_frames)
    return View(clip, tuple(sorted(set(indices))), profile.data.min_visible_share)


def ask(view: View, seed: int, wordings: Sequence[str], per_room: int,
        types: Collection[str] | None = None) -> dict[str, list[Candidate]]:
    """Candidates of every registered question type (or of ``types``), several for each of the ``per_room`` that may be chosen."""
    found = {}
    for entry in QUESTIONS:
        if types is not None and entry.name not in types:
            continue
        rng = stream(seed, view.clip.scene.scene_id, entry.name)
        wording = wordings[int(rng.integers(len(wordings)))]
        found[entry.name] = thin(entry.value(view, rng, wording), SPARE * per_room, rng)
    return found


def true_map(view: View, frame: str = "first-view", grid: int = 10) -> CognitiveMap:
    """The map of the objects that are seen in the given frames."""
    from . import maps

    clip = view.clip
    cells = maps.cells(replace(clip, scene=replace(clip.scene, objects=view.seen)), frame=frame, grid=grid)
    return CognitiveMap(clip.video_id, cells, tuple(cells))


def check(clip: Clip) -> None:
    """Refuse a clip that can't have true answers.

    Raises:
        WorkbookError: instance ids repeat, a box has no extent, or a pose or box is not finite; the message names the item.
    """
    scene = clip.scene
    ids = [o.instance_id for o in scene.objects]
    for o in scene.objects:
        where = f"scene {scene.scene_id}: {o.category} (instance {o.instance_id})"
        if ids.count(o.instance_id) > 1:
            raise WorkbookError(f"{where} shares its id with another object. Give every object its own instance_id.")
        if not np.isfinite([*o.box.center, *o.box.size, o.box.yaw]).all() or min(o.box.size) <= 0:
            raise WorkbookError(f"{where} has box {o.box}. Sizes must be positive and all numbers finite.")
    bad = [k for k, pose in enumerate(clip.poses) if not np.isfinite(pose).all()]
    if bad:
        raise WorkbookError(f"clip {clip.video_id}: pose of frame {bad[0]} is not finite. Film the room again or drop the frame.")


# ---------------------------------------------------------------------------------------------------------------- one room


def scene_of(job: Job) -> Scene:
    """The room that a job is about."""
    if job.split == "real_layouts":
        count = job.profile.data.real_rooms
        return list(SCENES["real_layouts"](job.split, count, job.seed, folder=job.layouts))[job.index]
    return next(iter(SCENES["procedural"](job.split, 1, job.seed, first=job.index)))


def do_room(job: Job) -> str:
    """Film one room, ask about it, and leave the result in the work folder; returns what went wrong, or nothing.

    A room that can't be used is reported and the others go on; a room that is already there is not done again.
    """
    if job.file.exists():
        return str(json.loads(job.file.read_text())["problem"])
    from .video import film, write_clip

    row: dict[str, Any] = {"problem": ""}
    try:
        frames, clip = film(scene_of(job), job.profile.data, job.seed)
        check(clip)
        view = view_of(clip, job.profile)
        candidates = ask(view, job.seed, WORDING[job.split], job.per_room)
        write_clip(frames, clip, Path(job.out) / "videos")
        row |= {"video_id": clip.video_id, "scene_id": clip.scene.scene_id, "source": clip.scene.source, "map": true_map(view).to_json(),
                "candidates": {t: [asdict(c) for c in found] for t, found in candidates.items()}}
    except WorkbookError as error:
        if isinstance(error.__cause__, OSError):
            raise
        row["problem"] = f"{job.split} room {job.index}: {error}"
    write_atomic(job.file, json.dumps(row))
    return str(row["problem"])


def candidates_of(row: Mapping[str, Any], question_type: str) -> list[Candidate]:
    """The candidates of one type that a room left."""
    return [Candidate(**{**c, "categories": tuple(c["categories"]), "options": tuple(c["options"])})
            for c in row.get("candidates", {}).get(question_type, ())]


def sample(candidate: Candidate, question_type: str, video_id: str, scene_id: str, source: str, letters: Letters,
           rng: np.random.Generator) -> Sample:
    """The row that a chosen candidate becomes."""
    options, answer = letters.deal(candidate, rng) if candidate.options else ((), candidate.answer)
    path = str(candidate.media.get("path", f"videos/{video_id}.mp4"))
    general = "general" in QUESTIONS.entry(question_type).info
    key = hashlib.blake2b(f"{path}|{candidate.problem}".encode(), digest_size=6)
    return Sample(
        problem_id=int.from_bytes(key.digest(), "big"), problem=candidate.problem, data_type=candidate.data_type,
        problem_type=candidate.problem_type, options=options, solution=f"<answer>{answer}</answer>", path=path, data_source=source,
        question_type=question_type, scene_id=scene_id, cognitive_map_id="" if general else video_id, categories=candidate.categories,
    )


def room_samples(clip: Clip, profile: profiles.Profile, seed: int = 0, wordings: Sequence[str] = ("spacer",),
                 types: Collection[str] | None = None) -> list[Sample]:
    """Questions about a single clip, map attached, at most ``questions_per_type`` of each type; no file is read or written.

    Letters and answers are balanced within the clip only: for a stream of fresh rooms.
    """
    view = view_of(clip, profile)
    per_room, letters = profile.data.questions_per_type, Letters()
    cells = true_map(view).cognitive_map
    rows = []
    for name, candidates in ask(view, seed, wordings, per_room, types).items():
        rng = stream(seed, clip.scene.scene_id, f"letters {name}")
        for candidate in [c for c in candidates if not c.media][:per_room]:
            row = sample(candidate, name, clip.video_id, clip.scene.scene_id, clip.scene.source, letters, rng)
            rows.append(replace(row, cognitive_map=cells if row.cognitive_map_id else None))
    return rows


def text_rows(samples: Iterable[Sample]) -> list[Sample]:
    """Rows without pictures: the true map as text before each question that a map can answer.

    They teach a small base model the geometry for almost nothing.
    """
    from .prompts import map_text

    return [replace(s, data_type="text", path="", problem=f"Map: {map_text(s.cognitive_map)}\n{s.problem}")
            for s in samples if s.cognitive_map and QUESTIONS.entry(s.question_type).info.get("from_map")]


# --------------------------------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class Plan:
    """How many rows of each type a split shall have."""

    targets: dict[str, int]
    per_room: dict[str, int]


def plan(profile: profiles.Profile, rooms: int, mix: Mapping[str, int] | None = None) -> Plan:
    """Targets of every registered type: by rooms and ``questions_per_type``, general types by ``general_rows``, or a fixed mix."""
    targets, per_room = {}, {}
    for entry in QUESTIONS:
        general = "general" in entry.info
        usual = round(entry.info["share"] * profile.data.general_rows) if general else rooms * profile.data.questions_per_type
        targets[entry.name] = usual if mix is None else mix.get(entry.name, 0)
        even = math.ceil(2 * targets[entry.name] / max(rooms, 1))
        per_room[entry.name] = even if general or mix else profile.data.questions_per_type
    return Plan(targets, per_room)


def build(profile: profiles.Profile, out: Path, seed: int = 0, workers: int = 1, real_layouts: Path | None = None,
          progress: Progress | None = None, *, engine: str = "local", mix: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Write the whole dataset below ``out`` and return its audit; a killed build goes on where it was.

    Args:
        workers: processes; 1 or more give the same bytes.
        real_layouts: folder of the real rooms' metadata; None leaves that split out.
        progress: called with (rooms done, rooms in all).
        engine: ``local`` or ``ray`` (all machines must see ``out``).
        mix: question type -> rows of the training split; None: ``questions_per_type`` of each from every room.

    Raises:
        WorkbookError: the disk refuses, or no room could be used.
    """
    from . import audit

    out = Path(out)
    counts: dict[Split, int] = {"train": profile.data.train_rooms, "heldout": profile.data.heldout_rooms}
    if real_layouts is not None:
        counts["real_layouts"] = profile.data.real_rooms
    plans = {split: plan(profile, rooms, mix if split == "train" else None) for split, rooms in counts.items()}
    work = out / WORK / _fingerprint(profile, seed, mix)
    jobs = [Job(split, k, seed, profile, str(out), str(work), max(plans[split].per_room.values()),
                str(real_layouts) if real_layouts else None) for split, rooms in counts.items() for k in range(rooms)]
    problems = [p for p in run(do_room, jobs, workers, engine, progress) if p]
    if len(problems) == len(jobs):
        raise WorkbookError(f"no room could be used: {problems[0] if problems else 'none was asked for'}")
    for split in SPLITS:
        mine = [j for j in jobs if j.split == split]
        if split in plans:
            chosen = choose(lambda mine=mine, t=plans[split].targets: _candidates(mine, t), plans[split].targets, plans[split].per_room, seed)
            run(do_media, list(zip(mine, _by_room(chosen, len(mine)))), workers, engine)
            write_jsonl(out / f"{split}.jsonl", _rows(mine, chosen, seed))
        else:
            (out / f"{split}.jsonl").unlink(missing_ok=True)
    write_jsonl(out / MAPS, (row["map"] for row in map(_left, jobs) if not row["problem"]))
    _prune(jobs, out, work)
    result = audit.run(out, profile, problems=problems)
    write_atomic(out / "README.md", audit.card(result))
    return result


def _left(job: Job) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(job.file.read_text())
    return row


def _candidates(jobs: Sequence[Job], types: Iterable[str]) -> Iterator[dict[str, list[Candidate]]]:
    for job in jobs:
        row = _left(job)
        yield {t: candidates_of(row, t) for t in types}


def _by_room(chosen: Mapping[str, Sequence[Choice]], rooms: int) -> list[list[tuple[str, int]]]:
    """For every room the (type, candidate) of the questions that were chosen from it."""
    table: list[list[tuple[str, int]]] = [[] for _ in range(rooms)]
    for t, choices in sorted(chosen.items()):
        for room, k in choices:
            table[room].append((t, k))
    return table


def do_media(job: tuple[Job, list[tuple[str, int]]]) -> None:
    """Make the pictures and clips that the chosen general questions of a room need."""
    from . import media
    from .video import read_clip

    room, chosen = job
    row = _left(room)
    recipes = [m for t, k in chosen if (m := candidates_of(row, t)[k].media)]
    if recipes:
        media.make(recipes, read_clip(Path(room.out) / "videos" / f"{row['video_id']}.json"), Path(room.out))


def _rows(jobs: Sequence[Job], chosen: Mapping[str, Sequence[Choice]], seed: int) -> Iterator[dict[str, Any]]:
    letters = {t: Letters() for t in chosen}
    for job, picked in zip(jobs, _by_room(chosen, len(jobs))):
        row = _left(job)
        for t, k in picked:
            rng = stream(seed, row["scene_id"], f"letters {t} {k}")
            yield sample(candidates_of(row, t)[k], t, row["video_id"], row["scene_id"], row["source"], letters[t], rng).to_row()


def _prune(jobs: Sequence[Job], out: Path, work: Path) -> None:
    """Remove media that no row of this build names, and what other builds left in the work folder."""
    rooms = {f"videos/{row['video_id']}" for row in map(_left, jobs) if not row["problem"]}
    named = {row["path"].rsplit(".", 1)[0] for split in SPLITS if (out / f"{split}.jsonl").exists()
             for _, row in iterate_jsonl(out / f"{split}.jsonl")}
    for path in [p for folder in ("videos", "images") for p in sorted((out / folder).rglob("*")) if p.is_file()]:
        if path.relative_to(out).with_suffix("").as_posix() not in rooms | named:
            path.unlink()
    for folder in (out / WORK).iterdir():
        if folder != work:
            shutil.rmtree(folder)


def _fingerprint(profile: profiles.Profile, seed: int, mix: Mapping[str, int] | None) -> str:
    """What the rooms' results depend on: settings, and the code that makes them."""
    code = sorted(p for folder in ("questions", "scenes", "render") for p in (profiles.PROJECT / "spacer_utils" / folder).rglob("*.py"))
    code += [profiles.PROJECT / "spacer_utils" / f for f in ("dataset.py", "balance.py", "video.py", "camera.py", "maps.py")]
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((asdict(profile.data), asdict(profile.frames), seed, mix, QUESTIONS.names())).encode())
    for path in code:
        digest.update(path.read_bytes())
    return digest.hexdigest()
