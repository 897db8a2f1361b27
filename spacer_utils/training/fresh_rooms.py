"""Endless batches of rooms that nobody has seen: drawn as they are needed, labelled pixel by pixel, and asked about.

A few thousand stored rooms are memorised within a few passes; a small frame costs milliseconds to draw, so every sample of the
nano base's training shows another room. Only the frames that the model is given are drawn, and no codec stands between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from transformers.video_utils import VideoMetadata

from .. import camera, maps, prompts
from ..data.dataset import room_samples, text_rows
from ..frames import sampling
from ..profiles import Profile
from ..registry import QUESTIONS, SCENES
from ..render import Frame, Renderer
from ..render.furniture import CATEGORIES
from ..types import Clip, Sample, Scene, WorkbookError
from . import perception

IGNORE = -100
"""Label of a token that no loss looks at."""
MAP_SHARE = 0.6
"""Share of rows that ask for a map before the answer; the others teach the plain answer."""


@dataclass
class Rows:
    """Tokenised prompts with their completions, padded on the left."""

    ids: torch.Tensor
    """(B, L)"""
    mask: torch.Tensor
    labels: torch.Tensor
    """(B, L) the completion's tokens, ``IGNORE`` elsewhere."""


@dataclass
class RoomBatch:
    """Tensors of one training step."""

    pixels: torch.Tensor
    """(patches, patch dimension) of all clips."""
    grid: torch.Tensor
    """(B, 3)"""
    name: torch.Tensor
    cell: torch.Tensor
    place: torch.Tensor
    """Dense labels of all vision tokens in order, see ``perception.Labels``."""
    rows: Rows | None = None
    """One question about each clip; None where only the tower is trained."""
    text: Rows | None = None
    """Text-only rows about the same rooms."""


@dataclass(frozen=True)
class FreshRooms:
    """Batch ``k`` depends on ``(seed, stage, k)`` alone, however many were drawn before it."""

    processor: Any
    profile: Profile
    rooms: int
    """Rooms per batch."""
    seed: int
    stage: str
    kind: Literal["views", "told", "rows"] = "rows"
    """Frames with dense labels only; maps told as text, without rooms; or frames with labels and questions."""
    text_rows: int = 0

    def batches(self, first: int = 0) -> Iterator[RoomBatch | Rows]:
        """Batches from number ``first`` on, without end."""
        step = first
        while True:
            yield self.draw_told(step) if self.kind == "told" else self.draw(step)
            step += 1

    def draw(self, step: int) -> RoomBatch:
        """The batch of one step; a room without a question, or with nowhere to stand, is passed over."""
        questions = self.kind == "rows"
        rng = np.random.default_rng([self.seed, crc32(self.stage.encode()), step])
        found: list[tuple[list[Sample], list[Frame], Clip]] = []
        while len(found) < self.rooms:
            room = next(iter(SCENES["procedural"]("train", 1, self.seed, first=int(rng.integers(2**31)))))
            try:
                frames, clip = given_frames(room, self.profile, self.seed)
            except WorkbookError:
                continue
            samples = room_samples(clip, self.profile, self.seed, types=_types(rng)) if questions else []
            if samples or not questions:
                found.append((samples, frames, clip))
        dense = [self._labels(frames, clip) for _, frames, clip in found]
        clips = [np.stack([f.rgb for f in frames]) for _, frames, _ in found]
        name, cell, place = (torch.from_numpy(np.concatenate([getattr(d, k) for d in dense])) for k in ("name", "cell", "place"))
        if not questions:
            seen = self.processor.video_processor(clips, do_sample_frames=False, return_tensors="pt")
            return RoomBatch(seen["pixel_values_videos"], seen["video_grid_thw"], name, cell, place)
        chosen = [samples[int(rng.integers(len(samples)))] for samples, _, _ in found]
        data, rows = self._rows(chosen, rng.random(len(found)) < MAP_SHARE, clips)
        told = text_rows(s for samples, _, _ in found for s in samples)
        picked = [_reordered(told[int(k)], rng) for k in rng.permutation(len(told))[:self.text_rows]]
        text = self._rows(picked, rng.random(len(picked)) < MAP_SHARE, None)[1] if picked else None
        return RoomBatch(data["pixel_values_videos"], data["video_grid_thw"], name, cell, place, rows, text)

    def draw_told(self, step: int) -> Rows:
        """Rows of one step without pictures or rooms: a map is told, and has to be written down again in another order."""
        rng = np.random.default_rng([self.seed, crc32(self.stage.encode()), step])
        samples = [_told(rng) for _ in range(self.rooms)]
        return self._rows(samples, rng.random(len(samples)) < MAP_SHARE, None)[1]

    def _labels(self, frames: list[Frame], clip: Clip) -> perception.Labels:
        tokens = perception.token_ids(self.processor.tokenizer, clip.scene.categories)
        side = self.processor.video_processor.patch_size * self.processor.video_processor.merge_size
        ids, depth = np.stack([f.ids for f in frames]), np.stack([f.depth for f in frames])
        return perception.labels(clip, ids, depth, object_cells(clip), tokens, side)

    def _rows(self, samples: list[Sample], with_map: npt.NDArray[np.bool_],
              clips: list[npt.NDArray[np.uint8]] | None) -> tuple[Any, Rows]:
        words = self.processor.tokenizer
        texts, lengths = [], []
        for sample, ask in zip(samples, with_map):
            message = prompts.messages(sample, self.profile.prompt_style, bool(ask), media="clip" if clips else None)
            end = prompts.target(sample, bool(ask)) + words.eos_token
            texts.append(self.processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True) + end)
            lengths.append(len(words(end)["input_ids"]))
        if clips:
            count, fps = len(clips[0]), given_fps(self.profile)
            times = VideoMetadata(total_num_frames=count, fps=fps, frames_indices=list(range(count)), duration=count / fps)
            data = self.processor(text=texts, videos=clips, video_metadata=[times] * len(clips), do_sample_frames=False,
                                  padding=True, return_tensors="pt")
        else:
            data = words(texts, padding=True, return_tensors="pt")
        labels = torch.full_like(data["input_ids"], IGNORE)
        for row, length in enumerate(lengths):
            labels[row, -length:] = data["input_ids"][row, -length:]
        return data, Rows(data["input_ids"], data["attention_mask"], labels)


def _reordered(sample: Sample, rng: np.random.Generator) -> Sample:
    """A text row that asks for its map's categories in another order: every name has to be looked up and its cells copied."""
    cells = list((sample.cognitive_map or {}).items())
    return replace(sample, cognitive_map=dict(cells[int(k)] for k in rng.permutation(len(cells))))


def _told(rng: np.random.Generator) -> Sample:
    """How many of a category a made-up map shows; no room stands behind it."""
    names = [str(n) for n in rng.choice(CATEGORIES, int(rng.integers(2, 9)), replace=False)]
    cells = {n: rng.integers(0, maps.GRID, (int(rng.choice([1, 1, 1, 2, 3])), 2)).tolist() for n in names}
    asked = names[int(rng.integers(len(names)))]
    problem = f"Map: {prompts.map_text(cells)}\nHow many {asked}(s) are in this room?"
    return _reordered(Sample(0, problem, "text", "numerical", (), f"<answer>{len(cells[asked])}</answer>", "", "made up",
                             "object_counting", cognitive_map=cells), rng)


def _types(rng: np.random.Generator) -> list[str]:
    """The question types that one room is asked: two about its video and two that a map can answer."""
    spatial = [e.name for e in QUESTIONS if not e.info.get("general") and e.name != "route_planning"]
    mapped = [n for n in spatial if QUESTIONS.entry(n).info.get("from_map")]
    return [str(n) for names in (spatial, mapped) for n in rng.choice(names, 2, replace=False)]


def given_fps(profile: Profile) -> float:
    """Rate of the frames that the model is given of a whole clip, per second."""
    given = sampling(profile.frames.sampling).indices(profile.data.clip_frames, profile.data.fps, profile.frames.num_frames)
    return profile.data.fps * (len(given) - 1) / (given[-1] - given[0])


def given_frames(scene: Scene, profile: Profile, seed: int) -> tuple[list[Frame], Clip]:
    """Film a scene as ``video.film`` does, but draw only the frames that the model is given, in its size.

    Returns:
        The frames, and a clip of just them.
    """
    data, side = profile.data, profile.frames.size
    rng = np.random.default_rng([seed, crc32(scene.scene_id.encode()), crc32(b"camera")])
    poses = camera.trajectory(scene, data.trajectory, data.clip_frames, data.fps, data.width, data.height, rng)
    given = sampling(profile.frames.sampling).indices(data.clip_frames, data.fps, profile.frames.num_frames)
    matrix, renderer = camera.intrinsics(side, side), Renderer(scene)
    frames = [renderer.render(poses[k], matrix, side, side) for k in given]
    share = {o.instance_id: tuple(float((f.ids == o.instance_id).mean()) for f in frames) for o in scene.objects}
    clip = Clip(scene.scene_id, scene, given_fps(profile), side, side, tuple(map(tuple, matrix.tolist())),
                tuple(tuple(map(tuple, p)) for p in poses[given].tolist()), share)
    return frames, clip


def object_cells(clip: Clip) -> dict[int, tuple[int, int]]:
    """instance id -> map cell of every object, seen or not."""
    found = {}
    for o in clip.scene.objects:
        alone = replace(clip, scene=replace(clip.scene, objects=(o,)))
        x, y = maps.first_view_cells(alone)[o.category][0]
        found[o.instance_id] = (x, y)
    return found
