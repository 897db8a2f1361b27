"""Film one clip of a dataset, ask about it, and leave the result in the work folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..core import profiles
from ..core.files import inside, sha256, write_atomic
from ..core.registry import SCENES
from ..core.types import Clip, Scene, Split, WorkbookError
from ..questions.view import WORDINGS, Candidate
from ..render import scan_film
from ..render.film import film, read_clip, write_clip
from ..scenes import scans
from ..scenes.procedural import planned_counts
from . import signs
from .samples import ask, check, true_map, view_of

WORDING: dict[Split, tuple[str, ...]] = {
    "train": ("spacer",),
    "heldout": WORDINGS,
    "real_layouts": ("vsi",),
}
TURNS = ((0, False), (9, False), (6, True), (4, True))
"""What the rooms of a dataset must have, in a cycle of four: at least so many categories with a
single instance, which most questions need, and whether one category is a crowd (see ``CROWDS``)."""
CROWDS = (5, 6, 7, 8, 6, 7, 8)
"""Instances of the commonest category of each crowded room, in a cycle. Real rooms seldom show such
counts."""

ROOM_TRIES = 1000
"""How many procedural rooms are tried for each place of a dataset."""


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
    scene: Scene | None = None
    """A real layout instead of a procedural room."""
    scan: tuple[str, str, str] | None = None
    """(release, folder, scan): a real scan instead of a procedural room."""
    scan_state: str = ""
    """Digest of the scan's files."""

    @property
    def file(self) -> Path:
        """File of the finished job's result. Its name depends on the real room and the number of
        questions, so that changed ones are done again."""
        about = repr((self.per_clip, self.scene, self.scan, self.scan_state)).encode()
        return (
            Path(self.work)
            / f"{self.split}-{self.index:06d}-{hashlib.blake2b(about, digest_size=8).hexdigest()}.json"
        )

    def left(self) -> dict[str, Any]:
        """What the finished job left in the work folder."""
        row: dict[str, Any] = json.loads(self.file.read_text())
        return row


def scene_of(job: Job) -> Scene:
    """The room of a job: a real one as it was read, or a procedural one. Of rooms like real ones,
    those are taken that ``TURNS`` asks for."""
    if job.scene is not None:
        return job.scene
    room, difficulty = job.index // job.takes, job.profile.data.difficulty
    number = room_number(job.split, job.seed, room) if difficulty == "real" else room
    scenes = SCENES["procedural"](job.split, 1, job.seed, first=number, difficulty=difficulty)
    scene: Scene = next(iter(scenes))
    return scene


def room_number(split: Split, seed: int, room: int) -> int:
    """Number of the procedural room at place ``room``: of ``ROOM_TRIES`` rooms, the first that has
    what ``TURNS`` asks for; the first of all if none has."""
    singles, crowded = TURNS[room % len(TURNS)]
    crowd = CROWDS[room // 2 % len(CROWDS)]
    for number in range(room * ROOM_TRIES, (room + 1) * ROOM_TRIES):
        counts = list(planned_counts(split, seed, number).values())
        if counts.count(1) >= singles and (not crowded or max(counts) == crowd):
            return number
    return room * ROOM_TRIES


def filmed(job: Job) -> tuple[Any, Clip]:
    """(T, H, W, 3) frames and their clip: a room rendered, or the real frames of a scan."""
    if job.scan:
        release, folder, scan_id = job.scan
        reader = scans.open_dataset(release, folder)
        return scan_film.film(
            reader, release, scans.read_scan(reader, release, scan_id, job.split), job.profile.data
        )
    take = job.index % job.takes
    frames, clip = film(scene_of(job), job.profile.data, job.seed + 7919 * take)
    return frames, replace(clip, video_id=f"{clip.video_id}-take{take}") if take else clip


def do_clip(job: Job) -> str:
    """Film one clip, ask about it, and leave the result in the work folder; returns what went
    wrong, or an empty text.

    A room that can't be used doesn't stop the build; the next build tries it again. A clip that is
    there and whole is not done again.
    """
    if _is_done(job):
        return ""
    row: dict[str, Any] = {"problem": ""}
    try:
        frames, clip = filmed(job)
        check(clip)
        view = view_of(clip, job.profile)
        candidates = ask(view, job.seed, WORDING[job.split], job.per_clip)
        path = f"videos/{clip.video_id}.mp4"
        inside(Path(job.out), path)  # which a room's name may lead out of
        write_clip(frames, clip, Path(job.out) / "videos")
        row |= {
            "video_id": clip.video_id,
            "files": {path: _state(job, path)},
            "scene_id": clip.scene.scene_id,
            "source": clip.scene.source,
            "map": true_map(view).to_json(),
            "candidates": {t: [asdict(c) for c in found] for t, found in candidates.items()},
        }
    except WorkbookError as error:
        if isinstance(error.__cause__, OSError):
            raise
        row["problem"] = f"{job.split} room {job.index}: {error}"
    write_atomic(job.file, json.dumps(row))
    return str(row["problem"])


def _is_done(job: Job) -> bool:
    """Whether the job has left a clip whose files are as they were written."""
    try:
        row = job.left()
    except (OSError, ValueError):  # not there yet, or damaged
        return False
    return not row["problem"] and _is_whole(job, row, f"videos/{row['video_id']}.mp4")


def _is_whole(job: Job, row: Mapping[str, Any], path: str) -> bool:
    """Whether a file, and the description of a clip, are as the job wrote them."""
    return bool(row["files"].get(path) == _state(job, path))


def _state(job: Job, path: str) -> list[str]:
    """Digests of a file and of the description beside it; empty for what is not there."""
    file = Path(job.out) / path
    return [sha256(p) if p.is_file() else "" for p in (file, file.with_suffix(".json"))]


def candidates_of(row: Mapping[str, Any], question_type: str) -> list[Candidate]:
    """The candidates of one type that a clip left."""
    return [
        Candidate(**{**c, "categories": tuple(c["categories"]), "options": tuple(c["options"])})
        for c in row.get("candidates", {}).get(question_type, ())
    ]


def media_names(file: Path) -> set[str]:
    """Names, without their endings, of a clip's video and of all media of its candidates."""
    try:
        row = json.loads(file.read_text())
    except ValueError:
        return set()  # damaged
    paths = [
        c["media"]["path"]
        for found in row.get("candidates", {}).values()
        for c in found
        if "path" in c["media"]
    ]
    return (
        set()
        if row["problem"]
        else {f"videos/{row['video_id']}", *(path.rsplit(".", 1)[0] for path in paths)}
    )


def do_media(job: tuple[Job, list[tuple[str, int]]]) -> None:
    """Make the pictures and clips that the chosen general questions about a clip need. Those that
    are there and whole stay."""
    clip, chosen = job
    row, out = clip.left(), Path(clip.out)
    recipes = {m["path"]: m for t, k in chosen if (m := candidates_of(row, t)[k].media)}
    wanting = [m for path, m in recipes.items() if not _is_whole(clip, row, path)]
    if wanting:
        signs.make(wanting, read_clip(out / "videos" / f"{row['video_id']}.json"), out)
        row["files"] |= {m["path"]: _state(clip, m["path"]) for m in wanting}
        write_atomic(clip.file, json.dumps(row))
