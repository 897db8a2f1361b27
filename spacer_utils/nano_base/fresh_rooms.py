"""Endless batches of new rooms with questions: rendered when needed, labelled pixel by pixel.

A few thousand stored rooms are memorised within a few passes. A small frame takes milliseconds to
render, so every sample of the nano base's training shows another room. Only the frames that the
model is given are rendered, and they are not coded as video.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from transformers.video_utils import VideoMetadata

from ..core import maps
from ..core.frames import sampling
from ..core.profiles import Profile
from ..core.registry import QUESTIONS, SCENES
from ..core.types import Clip, Sample, Scene, WorkbookError
from ..dataset.build import room_samples, text_rows
from ..render import Frame, Renderer, camera
from ..training.packing import IGNORE
from . import perception
from .map_copies import Rows, copies, written
from .map_questions import Readings

START = "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>"
"""How every prompt with a clip begins."""
SPATIAL = tuple(
    e.name for e in QUESTIONS if not e.info.get("general") and e.name != "route_planning"
)
"""Question types of the training."""
SHORT_MAP = 12
"""Most instances in the map of a text-only row, where a room has such a map: a row of a full room
costs as much as four others."""
REORDERED = 0.5
"""Share of text-only rows whose completion has the map's categories in another order."""
WITH_MAP = 1
"""Questions about one clip that ask for a map before the answer. A second would teach the same map
again and cost as much as several plain answers."""


@dataclass
class RoomBatch:
    """Tensors of one training step."""

    pixels: torch.Tensor
    """(patches, patch dimension) of all clips."""
    grid: torch.Tensor
    """(clips, 3)"""
    name: torch.Tensor
    cell: torch.Tensor
    place: torch.Tensor
    camera: torch.Tensor
    """Dense labels of all vision tokens in order, see ``perception.Labels``."""
    rows: Rows
    """Questions about each clip, as many about one as about another; or the prompt up to the end of
    the clip."""
    text: Rows
    """Text-only rows about the same rooms, and about made-up maps where these are read."""

    def to(self, device: str) -> RoomBatch:
        return RoomBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class FreshRooms:
    """Batch ``k`` depends on ``(seed, stage, k)`` alone, however many were drawn before it."""

    processor: Any
    profile: Profile
    rooms: int
    """Rooms per batch."""
    seed: int
    stage: str
    text_rows: int
    """Text-only rows per batch, at least one."""
    questions: int = 0
    """Questions about each room; with 0 the prompts end with the clip."""
    full_rooms: float = 0.0
    """Share of rooms of difficulty ``real``; the others have the profile's."""
    care: float = 0.0
    """Share of the maps that are read before the answer."""
    readings: Readings | None = None
    """Made-up maps to read; these stand beside the other text-only rows."""

    def draw(self, step: int) -> RoomBatch:
        """The batch of one step."""
        rng = np.random.default_rng([self.seed, crc32(self.stage.encode()), step])
        dense, clips, asked = self._drawn(rng)
        if self.questions:
            chosen = [s for samples in asked for s in self._chosen(samples, rng)]
            shown = [c for c in clips for _ in range(self.questions)]
            with_map = np.arange(len(chosen)) % self.questions < WITH_MAP
            read = rng.random(len(chosen)) < self.care
            data, rows = self._rows(chosen, with_map, read, shown)
        else:
            data = self._processed([START] * len(clips), clips)
            end = int((data["input_ids"][0] == self.processor.video_token_id).nonzero()[-1]) + 1
            ids = data["input_ids"][:, :end]
            rows = Rows(ids, data["attention_mask"][:, :end], torch.full_like(ids, IGNORE))
        once = torch.arange(len(rows.ids)).reshape(len(clips), -1)[:, 0]
        pixels = data["pixel_values_videos"].unflatten(0, (len(rows.ids), -1))[once].flatten(0, 1)
        text = self._copies(asked, rng)
        if self.readings:
            text = text.beside(self.readings.draw(step))
        return RoomBatch(pixels, data["video_grid_thw"][once], *_joined(dense), rows, text)

    def _chosen(self, samples: list[Sample], rng: np.random.Generator) -> list[Sample]:
        """What one room is asked."""
        return [samples[int(k)] for k in rng.choice(len(samples), self.questions, replace=False)]

    def _copies(self, asked: list[list[Sample]], rng: np.random.Generator) -> Rows:
        """Rows whose prompt gives the map of one of the rooms and whose completion repeats it."""
        candidates = text_rows(s for samples in asked for s in samples)
        candidates = [
            s for s in candidates if sum(map(len, (s.cognitive_map or {}).values())) <= SHORT_MAP
        ] or candidates
        picked = [candidates[int(k)] for k in rng.permutation(len(candidates))[: self.text_rows]]
        return copies(picked, self.processor, self.profile, rng, REORDERED)

    def _drawn(
        self, rng: np.random.Generator
    ) -> tuple[list[perception.Labels], list[npt.NDArray[np.uint8]], list[list[Sample]]]:
        """Dense labels, frames and questions of this batch's rooms."""
        found = list(islice(self._rooms(rng), self.rooms))
        return (
            [self._labels(frames, clip) for _, frames, clip in found],
            [np.stack([f.rgb for f in frames]) for _, frames, _ in found],
            [samples for samples, _, _ in found],
        )

    def _rooms(self, rng: np.random.Generator) -> Iterator[tuple[list[Sample], list[Frame], Clip]]:
        """Rooms without end; one with too few questions, or with nowhere to stand, is passed
        over."""
        while True:
            number = int(rng.integers(2**31))
            full = rng.random() < self.full_rooms
            difficulty = "real" if full else self.profile.data.difficulty
            found = SCENES["procedural"]("train", 1, self.seed, first=number, difficulty=difficulty)
            with contextlib.suppress(WorkbookError):
                frames, clip = given_frames(next(iter(found)), self.profile, self.seed)
                samples = room_samples(clip, self.profile, self.seed, types=SPATIAL)
                if len(samples) >= self.questions and text_rows(samples):
                    yield samples, frames, clip

    @property
    def _token_side(self) -> int:
        """Pixels of a vision token's side."""
        return int(
            self.processor.video_processor.patch_size * self.processor.video_processor.merge_size
        )

    def _labels(self, frames: list[Frame], clip: Clip) -> perception.Labels:
        tokens = perception.token_ids(self.processor.tokenizer, clip.scene.categories)
        ids, depth = np.stack([f.ids for f in frames]), np.stack([f.depth for f in frames])
        return perception.labels(clip, ids, depth, object_cells(clip), tokens, self._token_side)

    def _rows(
        self,
        samples: list[Sample],
        with_map: npt.NDArray[np.bool_],
        read: npt.NDArray[np.bool_],
        clips: list[npt.NDArray[np.uint8]],
    ) -> tuple[Any, Rows]:
        texts, lengths = zip(
            *(
                written(
                    s,
                    self.processor,
                    self.profile,
                    with_map=bool(ask),
                    read=bool(careful),
                    media="clip",
                )
                for s, ask, careful in zip(samples, with_map, read)
            )
        )
        data = self._processed(list(texts), clips)
        return data, Rows.labelled(data, list(lengths))

    def _processed(self, texts: list[str], clips: list[npt.NDArray[np.uint8]]) -> Any:
        count, fps = len(clips[0]), given_fps(self.profile)
        times = VideoMetadata(
            total_num_frames=count, fps=fps, frames_indices=list(range(count)), duration=count / fps
        )
        return self.processor(
            text=texts,
            videos=clips,
            video_metadata=[times] * len(clips),
            do_sample_frames=False,
            padding=True,
            return_tensors="pt",
        )


def _joined(
    dense: list[perception.Labels],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    def joined(kind: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([getattr(d, kind) for d in dense]))

    return joined("name"), joined("cell"), joined("place"), joined("camera")


def given_fps(profile: Profile) -> float:
    """Rate of the frames that the model is given of a whole clip, per second."""
    given = sampling(profile.frames.sampling).indices(
        profile.data.clip_frames, profile.data.fps, profile.frames.num_frames
    )
    return profile.data.fps * (len(given) - 1) / (given[-1] - given[0])


def given_frames(scene: Scene, profile: Profile, seed: int) -> tuple[list[Frame], Clip]:
    """Film a scene as ``video.film`` does, but draw only the frames that the model is given, in its
    size.

    Returns:
        The frames, and a clip of just them.
    """
    data, side = profile.data, profile.frames.size
    rng = np.random.default_rng([seed, crc32(scene.scene_id.encode()), crc32(b"camera")])
    poses = camera.trajectory(
        scene, data.trajectory, data.clip_frames, data.fps, data.width, data.height, rng
    )
    given = sampling(profile.frames.sampling).indices(
        data.clip_frames, data.fps, profile.frames.num_frames
    )
    matrix, renderer = camera.intrinsics(side, side), Renderer(scene)
    frames = [renderer.render(poses[k], matrix, side, side) for k in given]
    share = {
        o.instance_id: tuple(float((f.ids == o.instance_id).mean()) for f in frames)
        for o in scene.objects
    }
    clip = Clip(
        scene.scene_id,
        scene,
        given_fps(profile),
        side,
        side,
        tuple(map(tuple, matrix.tolist())),
        tuple(tuple(map(tuple, p)) for p in poses[given].tolist()),
        share,
    )
    return frames, clip


def object_cells(clip: Clip) -> dict[int, tuple[int, int]]:
    """instance id -> map cell of every object, seen or not."""
    found = {}
    for o in clip.scene.objects:
        alone = replace(clip, scene=replace(clip.scene, objects=(o,)))
        x, y = maps.first_view_cells(alone)[o.category][0]
        found[o.instance_id] = (x, y)
    return found
