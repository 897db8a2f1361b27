"""From media paths to model inputs. Each clip is decoded and processed once for all its rows.

A medium is ``("video" | "image", path)``. A row has none, one or several. Prompts are processed one
by one, by the checkpoint's own processor. So a row's tokens and pixels never depend on other rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch

from ..core import frames as frames_
from ..core import pictures
from ..core.frames import sampling
from ..core.profiles import Frames
from ..core.prompts import special_token
from ..core.types import IMAGE, WorkbookError

Medium = tuple[str, str]
Loader = Callable[[str, str], tuple[Any, Any]]
"""``(kind, path) -> (frames (T, H, W, 3) uint8, VideoMetadata)`` for a video, ``(PIL image, None)``
for an image."""
NAMES = {
    "video": ("pixel_values_videos", "video_grid_thw"),
    "image": ("pixel_values", "image_grid_thw"),
}
"""Kind -> the model's arguments for pixels and grid."""
LAST = {"input_data_format": "channels_last"}
"""Without it, processors take a picture of 1 or 3 rows for one of 1 or 3 channels."""


@dataclass(frozen=True)
class Prompt:
    """The user turn of one row.

    Its media come before the text. If the text has a mark ``<image>`` for each, they come there.
    """

    text: str
    media: tuple[Medium, ...] = ()
    begun: str = ""
    """The beginning of the assistant's turn, which the model doesn't write."""


@dataclass(frozen=True)
class Pixels:
    """One processed medium."""

    kind: str
    values: torch.Tensor
    """(patches, channels x temporal patch x patch x patch)."""
    grid: torch.Tensor
    """(3,) patches along time, height and width."""
    seconds: float | None
    """Seconds per temporal patch; None for models that write timestamps as text."""
    source: tuple[Any, Any]
    """The loader's frames and metadata that it was made from."""


@dataclass
class Batch:
    """Token ids of every row, and the media of all rows, each once."""

    ids: list[list[int]]
    rows: list[tuple[int, ...]]
    """Per row: indices into ``media``, in the order of the placeholders."""
    media: list[Pixels]
    features: dict[tuple[int, int], Any] = field(default_factory=dict)
    """(id of the model, index of the medium) -> vision features of a frozen tower."""
    prompts: Sequence[Prompt] = ()
    """The prompt of each row."""

    def wanted(self, kind: str, rows: Sequence[int]) -> list[int]:
        """Indices of one kind's media, in the order of their placeholders in these rows."""
        return [m for r in rows for m in self.rows[r] if self.media[m].kind == kind]

    def tokens(self, row: int, merge: int) -> int:
        """Vision tokens in the prompt of one row."""
        return sum(int(self.media[m].grid.prod()) // merge**2 for m in self.rows[row])

    def positions(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """The arguments for rotary positions: a grid, and seconds for videos, per placeholder.

        A medium with several placeholders counts several times.
        """
        found: dict[str, torch.Tensor] = {}
        for kind, (_, grid) in NAMES.items():
            if wanted := self.wanted(kind, rows):
                found[grid] = torch.stack([self.media[m].grid for m in wanted])
        seconds = [self.media[m].seconds for m in self.wanted("video", rows)]
        if seconds and all(s is not None for s in seconds):
            found["second_per_grid_ts"] = torch.tensor(seconds, dtype=torch.float32)
        return found


def token_types(ids: torch.Tensor, processor: Any) -> torch.Tensor:
    """``mm_token_type_ids`` of the same shape: 0 text, 1 image, 2 video."""
    types: torch.Tensor = (ids == processor.image_token_id).long() + 2 * (
        ids == processor.video_token_id
    ).long()
    return types


def pad(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest) token ids, padded with ``value`` on one side; and the mask, 1 on tokens."""
    stack = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True, padding_side=side)
    ids = stack([torch.tensor(row, dtype=torch.long) for row in rows], padding_value=float(value))
    return ids, stack([torch.ones(len(row), dtype=torch.long) for row in rows])


def vision_tokens(processor: Any) -> list[int]:
    """Ids of the tokens that stand for pixels or enclose them.

    The model must never write them: they would have no pixels.
    """
    words = processor.tokenizer
    names = (
        "<|image_pad|>",
        "<|video_pad|>",
        "<|vision_pad|>",
        "<|vision_start|>",
        "<|vision_end|>",
    )
    return [
        i
        for i in (words.convert_tokens_to_ids(n) for n in names)
        if i is not None and i != words.unk_token_id
    ]


def shuffled_order(path: str, count: int, seed: int) -> npt.NDArray[np.int64]:
    """A random permutation of the frames, fixed by the clip's name and the seed.

    With two frames or more, it always changes the order.
    """
    order = np.arange(count)
    rng = np.random.default_rng([seed, crc32(Path(path).name.encode())])
    while count > 1 and (order == np.arange(count)).all():
        order = rng.permutation(count)
    return order


class Encoder:
    """Turns prompts into a ``Batch`` with a checkpoint's stock processor.

    The frames of the last ``encode`` are kept for the next. ``decoded`` counts the media that were
    read. ``rows`` maps a medium's path to the name of its row, for error messages.
    """

    def __init__(
        self,
        processor: Any,
        frames: Frames,
        *,
        cache: Path | None = None,
        load: Loader | None = None,
    ) -> None:
        """
        Args:
            cache: folder of decoded frames to share (see ``core.frames.load``).
            load: reads a medium; None: ``read``.

        Raises:
            WorkbookError: the profile's sampling is unknown.
        """
        self.processor, self.frames, self.cache = processor, frames, cache
        sampling(frames.sampling)  # refuses an unknown one now, not at the first clip
        self.decoded = 0
        self.rows: Mapping[str, str] = {}
        self._taken: set[tuple[str, tuple[int, ...]]] = set()
        self._raw: dict[Medium, tuple[Any, Any]] = {}
        self._load = load or self.read
        self.merge = processor.video_processor.merge_size
        # Qwen3's pixel limits are for all frames of a clip together.
        self._whole_clip = type(processor.video_processor).__name__.startswith("Qwen3")
        self._enlarges = frames.resize == "spacer"
        self._special = processor.tokenizer.all_special_tokens

    def read(self, kind: str, path: str) -> tuple[Any, Any]:
        """The frames of a video with their metadata, or an image.

        Raises:
            WorkbookError: the file is missing or damaged; the message names it.
        """
        if kind == "image":
            return pictures.read_image(Path(path), self.frames.size or None), None
        return frames_.load(Path(path), self.frames, self.cache, self.budget())

    def budget(self) -> frames_.Budget:
        """The processor's limits for the size of a frame, for profiles without a fixed size."""
        of, most = self.processor.video_processor, self.frames.max_pixels
        side = of.patch_size * of.merge_size
        if self._enlarges:
            return frames_.Budget(side, most, int(most * 1.05), enlarge=True)
        whole = of.temporal_patch_size if self._whole_clip else 0
        return frames_.Budget(side, of.size["shortest_edge"], most, whole)

    def prove(self, medium: Medium) -> None:
        """Check that a medium can be read and that the processor takes its shape.

        Raises:
            WorkbookError: it can't, or doesn't; the message names file and row.
        """
        raw = self._frames(medium)
        shape = medium[0], np.shape(raw[0])
        if shape not in self._taken:
            self._process(Prompt("", (medium,)), {medium: raw})
            self._taken.add(shape)

    def encode(self, prompts: Sequence[Prompt], shuffle_seed: int | None = None) -> Batch:
        """Process every distinct prompt once and decode every distinct medium once.

        Args:
            shuffle_seed: permutes the frames of each video, but not its timestamps.
        """
        # Read what the last call hasn't left.
        wanted = dict.fromkeys(m for p in dict.fromkeys(prompts) for m in p.media)
        self._raw = {m: self._raw.get(m) or self._frames(m) for m in wanted}
        raw = {
            m: (self._shuffled(m, frames, shuffle_seed), about)
            for m, (frames, about) in self._raw.items()
        }

        # Process each prompt; keep each medium's pixels once.
        index: dict[Medium, int] = {}
        media: list[Pixels] = []
        done: dict[Prompt, tuple[list[int], tuple[int, ...]]] = {}
        for prompt in dict.fromkeys(prompts):
            ids, pixels = self._process(prompt, raw)
            for medium, processed in zip(prompt.media, pixels):
                if medium not in index:
                    index[medium] = len(media)
                    media.append(processed)
            done[prompt] = ids, tuple(index[m] for m in prompt.media)
        return Batch(
            [done[p][0] for p in prompts], [done[p][1] for p in prompts], media, prompts=prompts
        )

    def _frames(self, medium: Medium) -> tuple[Any, Any]:
        self.decoded += 1
        try:
            frames, metadata = self._load(*medium)
        except WorkbookError as error:
            raise WorkbookError(f"{error}{self._row([medium])}") from error
        return np.array(frames), metadata  # a copy: cached frames are read-only

    def _row(self, media: Sequence[Medium]) -> str:
        """The end of an error message that names the media's row; empty if it isn't known."""
        named = [self.rows[path] for _, path in media if path in self.rows]
        return f" (Row: {named[0]}.)" if named else ""

    def _shuffled(self, medium: Medium, frames: Any, seed: int | None) -> Any:
        return (
            frames
            if seed is None or medium[0] == "image"
            else frames[shuffled_order(medium[1], len(frames), seed)]
        )

    def text(self, prompt: Prompt) -> str:
        """The chat text: one placeholder per medium, and the beginning of the assistant's turn.

        Raises:
            WorkbookError: the prompt holds a special token, for example a medium's placeholder.
        """
        if found := special_token(prompt.text, self._special):
            raise WorkbookError(
                f"a prompt holds {found}, which the model's tokenizer takes for a sign of its own. Mend the "
                f"question that begins {prompt.text[:60]!r}."
            )

        # Media at the marks, else before the text.
        media, parts = [{"type": kind} for kind, _ in prompt.media], prompt.text.split(IMAGE)
        if len(parts) != len(media) + 1:
            parts = [*("" for _ in media), prompt.text]
        texts = [{"type": "text", "text": part} for part in parts]
        content = [part for pair in zip_longest(texts, media) for part in pair if part]

        messages = [{"role": "user", "content": content}]
        chat = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return str(chat) + prompt.begun

    def _process(
        self, prompt: Prompt, raw: dict[Medium, tuple[Any, Any]]
    ) -> tuple[list[int], list[Pixels]]:
        """Token ids of a prompt, and its processed media in their order."""
        # What the processor gets.
        images = [raw[m][0] for m in prompt.media if m[0] == "image"]
        videos = [raw[m] for m in prompt.media if m[0] == "video"]
        given: dict[str, Any] = (
            {"images": images, "images_kwargs": {**LAST, **self.image_options()}} if images else {}
        )
        if videos:
            # Qwen3-VL's processor pads the list of frame indices in place, so it gets a copy.
            options = self.video_options(max(len(f) for f, _ in videos))
            given |= {
                "videos": [f for f, _ in videos],
                "videos_kwargs": {**LAST, **options},
                "video_metadata": [copy.deepcopy(m) for _, m in videos],
            }

        try:
            out = self.processor(text=[self.text(prompt)], return_tensors="pt", **given)
        except ValueError as error:  # a shape that the family's rules forbid
            paths = ", ".join(
                f"{path} {np.shape(raw[kind, path][0])[-3:-1]}" for kind, path in prompt.media
            )
            raise WorkbookError(
                f"the model's processor refuses {paths or 'a prompt'} ({error}). Crop it or leave its row out."
                f"{self._row(prompt.media)}"
            ) from error

        # It returns the media of a kind together: one piece for each.
        given_of = {"image": [(i, None) for i in images], "video": videos}
        parts: dict[str, list[Pixels]] = {}
        for kind, (values, grid) in NAMES.items():
            if grid in out:
                pieces = torch.split(out[values], out[grid].prod(-1).tolist())
                seconds = out.get("second_per_grid_ts") if kind == "video" else None
                times = [None] * len(pieces) if seconds is None else [float(s) for s in seconds]
                parts[kind] = [
                    Pixels(kind, *part) for part in zip(pieces, out[grid], times, given_of[kind])
                ]

        # Back in the prompt's order.
        queue = {kind: iter(found) for kind, found in parts.items()}
        return out["input_ids"][0].tolist(), [next(queue[kind]) for kind, _ in prompt.media]

    def image_options(self) -> dict[str, Any]:
        """Processor options for a picture. Without a fixed size, the profile's pixel limit holds."""
        if self.frames.size:
            return {}
        most = self.frames.max_pixels * (2 if self._enlarges else 1)
        return {"size": _budget(self.processor.image_processor, most)}

    def video_options(self, count: int) -> dict[str, Any]:
        """Processor options for ``count`` frames that are sampled already.

        Without a fixed size, the profile's pixel limit per frame holds.
        """
        options: dict[str, Any] = {"do_sample_frames": False, "cap_pixels_per_frame": False}
        if not self.frames.size:
            budget, frames = self.budget(), count if self._whole_clip else 1
            options["size"] = _budget(self.processor.video_processor, budget.most * frames)
            if self._enlarges:  # the frames have their size: wide limits, so that it stays
                options["size"] = {
                    "shortest_edge": budget.factor**2,
                    "longest_edge": 4 * budget.most * frames,
                }
        return options


def _budget(processor: Any, most: int) -> dict[str, int]:
    """A Qwen processor's ``size`` with at most ``most`` pixels. Its "edges" are numbers of pixels."""
    return {"shortest_edge": min(processor.size["shortest_edge"], most), "longest_edge": most}
