"""From one clip to its questions and samples, without reading or writing a file."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from ..core import maps, profiles
from ..core.frames import sampling
from ..core.prompts import map_text
from ..core.registry import QUESTIONS
from ..core.types import Clip, CognitiveMap, MapFrame, Sample, WorkbookError
from ..questions.view import Candidate, View
from .balance import Letters, thin

SPARE = 6
"""Candidates that are kept for each question that may be chosen: what the balancing chooses
from."""


def stream(seed: int, scene_id: str, question_type: str) -> np.random.Generator:
    """The random stream of one question type in one scene, independent of all others."""
    return np.random.default_rng([seed, crc32(scene_id.encode()), crc32(question_type.encode())])


def view_of(clip: Clip, profile: profiles.Profile) -> View:
    """The clip as a model gets it, with the profile's number of frames."""
    indices = sampling(profile.frames.sampling).indices(
        clip.num_frames, clip.fps, profile.frames.num_frames
    )
    return View(clip, tuple(sorted(set(indices))), profile.data.min_visible_share)


def ask(
    view: View,
    seed: int,
    wordings: Sequence[str],
    per_clip: int,
    types: Collection[str] | None = None,
) -> dict[str, list[Candidate]]:
    """Question type -> candidates about one clip.

    Args:
        wordings: names of ``questions.view.WORDINGS``; each type takes one at random.
        per_clip: most questions of a type that will be chosen; ``SPARE`` candidates for each.
        types: question types to ask; None for all that are registered.
    """
    found = {}
    for entry in QUESTIONS:
        if types is None or entry.name in types:
            rng = stream(seed, view.clip.scene.scene_id, entry.name)
            wording = wordings[int(rng.integers(len(wordings)))]
            found[entry.name] = thin(entry.value(view, rng, wording), SPARE * per_clip, rng)
    return found


def true_map(view: View, frame: MapFrame = "first-view", grid: int = maps.GRID) -> CognitiveMap:
    """The cognitive map of the objects that are seen in the given frames.

    Args:
        frame: whose axes the map has.
        grid: cells along a side.
    """
    clip = view.clip
    seen_only = replace(clip, scene=replace(clip.scene, objects=view.seen))
    cells = maps.cells(seen_only, frame, grid)
    return CognitiveMap(clip.video_id, cells, tuple(cells), frame, grid)


def check(clip: Clip) -> None:
    """Refuse a clip whose data is broken, so that answers computed from it would be wrong.

    Raises:
        WorkbookError: instance ids repeat, a box has no extent, or a pose or box is not finite; the
            message names the item.
    """
    scene = clip.scene
    ids = [o.instance_id for o in scene.objects]
    for o in scene.objects:
        where = f"scene {scene.scene_id}: {o.category} (instance {o.instance_id})"
        if ids.count(o.instance_id) > 1:
            raise WorkbookError(
                f"{where} shares its id with another object. Give every object its own instance_id."
            )
        if not np.isfinite([*o.box.center, *o.box.size, o.box.yaw]).all() or min(o.box.size) <= 0:
            raise WorkbookError(
                f"{where} has box {o.box}. Sizes must be positive and all numbers finite."
            )
    bad = [k for k, pose in enumerate(clip.poses) if not np.isfinite(pose).all()]
    if bad:
        raise WorkbookError(
            f"clip {clip.video_id}: pose of frame {bad[0]} is not finite. Film the room again or drop the frame."
        )


def sample(
    candidate: Candidate,
    question_type: str,
    video_id: str,
    scene_id: str,
    source: str,
    letters: Letters,
    rng: np.random.Generator,
) -> Sample:
    """The dataset row of a chosen candidate; ``letters`` gives its options their letters."""
    options, answer = letters.deal(candidate, rng) if candidate.options else ((), candidate.answer)
    path = str(candidate.media.get("path", f"videos/{video_id}.mp4"))
    key = hashlib.blake2b(f"{path}|{candidate.problem}".encode(), digest_size=6)
    return Sample(
        problem_id=int.from_bytes(key.digest(), "big"),
        problem=candidate.problem,
        data_type=candidate.data_type,
        problem_type=candidate.problem_type,
        options=options,
        solution=f"<answer>{answer}</answer>",
        path=path,
        data_source=source,
        question_type=question_type,
        scene_id=scene_id,
        categories=candidate.categories,
        cognitive_map_id="" if "general" in QUESTIONS.entry(question_type).info else video_id,
    )


def room_samples(
    clip: Clip,
    profile: profiles.Profile,
    seed: int = 0,
    wordings: Sequence[str] = ("spacer",),
    types: Collection[str] | None = None,
) -> list[Sample]:
    """Samples about a single clip with their map, for training on ever new rooms without a dataset.

    At most ``profile.data.questions_per_type`` of each type, balanced as far as one clip allows.
    Questions that need a picture or video of their own are left out.

    Args:
        wordings, types: see ``ask``.
    """
    view = view_of(clip, profile)
    per_clip, letters = profile.data.questions_per_type, Letters()
    cognitive_map = true_map(view)
    rows = []
    for name, candidates in ask(view, seed, wordings, per_clip, types).items():
        rng = stream(seed, clip.scene.scene_id, f"letters {name}")
        for candidate in [c for c in candidates if not c.media][:per_clip]:
            row = sample(
                candidate, name, clip.video_id, clip.scene.scene_id, clip.scene.source, letters, rng
            )
            rows.append(row.joined(cognitive_map) if row.cognitive_map_id else row)
    return rows


def text_rows(samples: Iterable[Sample]) -> list[Sample]:
    """Text-only copies of the samples that a map can answer: the true map stands before the question.

    Without pictures, a small base model learns the geometry cheaply.
    """
    return [
        replace(
            s, data_type="text", path="", problem=f"Map: {map_text(s.cognitive_map)}\n{s.problem}"
        )
        for s in samples
        if s.cognitive_map and QUESTIONS.entry(s.question_type).info.get("from_map")
    ]
