"""Frames as a model gets them: sampled, decoded once, resized once, with the true time of each.

Index rules are pure functions of the number of frames and the rate; see ``SAMPLINGS``.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import clip_listing, clip_reader, frame_cache
from .files import content_hash
from .pictures import check_shape, resize
from .profiles import Frames
from .types import WorkbookError

Pixels = npt.NDArray[np.uint8]
decodes: Counter[str] = Counter()
"""File name -> how often this process has decoded it, without hits of the cache."""


def sample_indices(total: int, n: int) -> list[int]:
    """``min(n, total)`` evenly spaced indices from 0, the rule of transformers' Qwen video
    processors.

    The first frame is always among them, and the spacing is ``total / n``: what Qwen2.5-VL's clock
    assumes.

    >>> sample_indices(16, 4)
    [0, 4, 8, 12]
    """
    n = min(n, total)
    return [k * total // n for k in range(n)]


def linspace_indices(total: int, n: int) -> list[int]:
    """``n`` indices from the first to the last frame, cut to integers, as lmms-eval and SpaceR-Eval
    take them.

    Repeats indices in clips shorter than ``n``.
    """
    return [int(k) for k in np.linspace(0, total - 1, n, dtype=int)]


def spacer_indices(total: int, fps: float) -> list[int]:
    """SpaceR-Eval: one frame per whole second, at least 1 and at most 32, first and last
    included."""
    return linspace_indices(total, max(1, min(32, int(total / fps))))


def spacer_train_indices(total: int, fps: float, n: int) -> list[int]:
    """SpaceR's released training: 2 frames a second, at least 4 and at most ``n``, an even number,
    evenly spaced from the first to the last frame.

    The places are rounded as torch rounds them there, in float32 and from the nearer end.
    """
    wanted = min(max(total / fps * 2.0, 4), n, total)
    count = max(int(wanted // 2) * 2, min(2, total))
    last, k = np.float32(total - 1), np.arange(count, dtype=np.float32)
    step = last / np.float32(max(count - 1, 1))
    places = np.where(k < count // 2, step * k, last - step * (count - 1 - k))
    return [int(i) for i in np.rint(places)]


def longvideobench_indices(total: int, fps: float, n: int) -> list[int]:
    """LongVideoBench: one frame per whole second and at most ``n``; the spacing is a whole number
    of frames."""
    n = max(1, min(n, int(total / fps)))
    return [total // n * k for k in range(n)]


def keep_size(width: int, height: int) -> tuple[int, int]:
    return width, height


def spacer_size(width: int, height: int, limit: int = 448) -> tuple[int, int]:
    """(width, height) that SpaceR-Eval resizes a frame to. Its helper swaps the two sides, so the
    picture is squashed.

    >>> spacer_size(640, 480)
    (336, 448)
    """
    longer = max(width, height)
    if longer <= limit:
        return width, height
    scale = limit / longer
    return int(height * scale), int(width * scale)


@dataclass(frozen=True)
class Sampling:
    """A named way to turn a file into frames."""

    indices: Callable[[int, float, int], list[int]]
    """(total frames, frames per second, wanted number) -> indices."""
    size: Callable[[int, int], tuple[int, int]] = keep_size
    """(width, height) -> (width, height), before ``Frames.size`` applies."""


SAMPLINGS: dict[str, Sampling] = {
    "uniform": Sampling(lambda total, fps, n: sample_indices(total, n)),
    "uniform32": Sampling(lambda total, fps, n: linspace_indices(total, 32)),
    "spacer": Sampling(lambda total, fps, n: spacer_indices(total, fps), spacer_size),
    "spacer-keep-aspect": Sampling(lambda total, fps, n: spacer_indices(total, fps)),
    "spacer-train": Sampling(spacer_train_indices),
    "longvideobench": Sampling(longvideobench_indices),
}
"""``uniform`` trains, ``spacer-train`` as SpaceR's released training does; ``uniform32`` is
VSI-Bench's official script; ``spacer`` reproduces SpaceR-Eval with its resize."""


def sampling(name: str) -> Sampling:
    """The sampling called ``name``.

    Raises:
        WorkbookError: unknown; the message lists those there are.
    """
    if name not in SAMPLINGS:
        raise WorkbookError(f"unknown frame sampling {name!r}. Known: {', '.join(SAMPLINGS)}.")
    return SAMPLINGS[name]


@dataclass(frozen=True)
class Budget:
    """The size that a Qwen processor gives a clip's frames, by its own rule (``smart_resize``)."""

    factor: int
    """Pixels of a token's side: both sides become multiples of it."""
    least: int
    most: int
    """Pixels per frame, at most."""
    whole: int = 0
    """Frames per token if ``least`` is for all frames of a clip together (Qwen3-VL); 0 if it is for
    each frame."""
    enlarge: bool = False
    """Give every frame its final size here, small ones too, as Qwen's ``fetch_video`` does."""

    def size(self, width: int, height: int, count: int) -> tuple[int, int]:
        """(width, height) of ``count`` frames. Without ``enlarge`` it is unchanged where the
        processor would enlarge a side or refuse the frames.

        >>> Budget(28, 3136, 100352).size(1920, 1080, 16)
        (420, 224)
        """
        frames = count if self.whole else 1
        given = round(count / self.whole) * self.whole if self.whole else 1
        narrowest = self.factor if self.enlarge else 0
        wide, high = (
            max(narrowest, round(side / self.factor) * self.factor) for side in (width, height)
        )
        if given * wide * high > self.most * frames:
            shrink = math.sqrt(width * height / self.most)
            wide, high = (
                max(self.factor, math.floor(side / shrink / self.factor) * self.factor)
                for side in (width, height)
            )
        elif given * wide * high < self.least:
            if not self.enlarge:
                return width, height
            grow = math.sqrt(self.least / (width * height))
            wide, high = (
                math.ceil(side * grow / self.factor) * self.factor for side in (width, height)
            )
        if self.enlarge:
            return wide, high
        return (wide, high) if 0 < wide <= width and 0 < high <= height else (width, height)


def times(path: Path, frames: Frames) -> list[float]:
    """The times, in seconds, of the frames that ``load`` gives. Mostly this decodes nothing.

    Raises:
        WorkbookError: as ``load``.
    """
    clip = clip_listing.listing(Path(path))
    return [
        clip.times[k]
        for k in sampling(frames.sampling).indices(len(clip.times), clip.fps, frames.num_frames)
    ]


def load(
    path: Path, frames: Frames, cache: Path | None = None, budget: Budget | None = None
) -> tuple[Pixels, Any]:
    """Sampled frames of a video and their transformers ``VideoMetadata``.

    The metadata holds the clip's own rate and frame count and the index of each frame given, from
    which Qwen3-VL derives the timestamps it writes and Qwen2.5-VL its seconds per grid step: pass
    ``do_sample_frames=False``. With ``frames.clock`` "spacer" it describes a clip of 2 frames a second
    instead. Where the rate varies, indices are fractions, so that index / fps
    still is the time at which the frame is shown.

    Args:
        cache: folder of memory-mapped frames, keyed by the file's content, sampling and size; None
            decodes every time.
        budget: where ``frames.size`` is 0, the size that the processor will give the frames: larger
            ones are made so at once.

    Returns:
        (T, H, W, 3) uint8 (read-only when cached) and VideoMetadata.

    Raises:
        WorkbookError: the file is missing, not a video, cut short, damaged, or of an unknown codec;
            the message names it.
    """
    from . import torchvision_operators  # noqa: F401  # isort: skip
    from transformers.video_utils import VideoMetadata

    path, budget = Path(path), None if frames.size else budget
    if cache:
        size = (
            f"{budget.factor}x{budget.least}-{budget.most}-{budget.whole}{'e' * budget.enlarge}"
            if budget
            else frames.size
        )
        key = f"{content_hash(path)[:32]}-{frames.sampling}-{frames.num_frames}-{size}"
        pixels, about = frame_cache.kept(cache, key, lambda: _decode(path, frames, budget))
    else:
        pixels, about = _decode(path, frames, budget)
    if frames.clock == "spacer":
        count = len(pixels)
        about = {**about, "total_num_frames": count, "fps": 2.0, "duration": count / 2}
        about["frames_indices"] = list(range(count))
    return pixels, VideoMetadata(**about, video_backend="pyav")


def _decode(
    path: Path, frames: Frames, budget: Budget | None = None
) -> tuple[Pixels, dict[str, Any]]:
    rule = sampling(frames.sampling)
    indices: list[int] = []
    sizes: list[tuple[int, int]] = []

    def choose(clip: clip_listing.Listing) -> list[int]:
        indices[:] = rule.indices(len(clip.times), clip.fps, frames.num_frames)
        return indices

    def shape(picture: Pixels) -> Pixels:
        # The first frame decides: a clip whose size changes is shown at one size.
        if not sizes:
            height, width = picture.shape[:2]
            check_shape(path, width, height)
            sizes.append((frames.size, frames.size) if frames.size else rule.size(width, height))
            sizes.append(budget.size(*sizes[0], len(indices)) if budget else sizes[0])
        shaped: Pixels = resize(resize(picture[None], sizes[0]), sizes[1])[0]
        return shaped

    pictures, clip = clip_reader.read(path, choose, shape)
    decodes[path.name] += 1
    total, fps = len(clip.times), clip.fps
    about = {
        "total_num_frames": total,
        "fps": fps,
        "width": sizes[1][0],
        "height": sizes[1][1],
        "duration": total / fps,
        "frames_indices": [_whole(clip.times[k] * fps) for k in indices],
    }
    return np.stack(pictures), about


def _whole(index: float) -> int | float:
    """An index. It becomes an integer if only the container's clock makes it differ from one."""
    return round(index) if abs(index - round(index)) < 0.02 else round(index, 3)


def read_frames(path: Path) -> Pixels:
    """(T, H, W, 3) uint8: every frame of a video at its own size.

    Raises:
        WorkbookError: the file is missing, not a video, or damaged; the message names it.
    """
    return _decode(Path(path), Frames(num_frames=sys.maxsize, size=0))[0]
