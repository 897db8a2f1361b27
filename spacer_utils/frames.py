"""Frames as a model gets them: sampled, decoded once, resized once, with the true time of each.

Index rules are pure functions of the number of frames and the rate; see ``SAMPLINGS``.
"""

from __future__ import annotations

import functools
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from .files import sha256, write_atomic
from .pictures import check_shape
from .profiles import Frames
from .types import WorkbookError

Pixels = npt.NDArray[np.uint8]
decodes: Counter[str] = Counter()
"""How often this process has decoded each file (by name); hits of the cache don't count."""


def sample_indices(total: int, n: int) -> list[int]:
    """``min(n, total)`` evenly spaced indices from 0, the rule of transformers' Qwen video processors.

    The first frame is always among them, and the spacing is ``total / n``: what Qwen2.5-VL's clock assumes.

    >>> sample_indices(16, 4)
    [0, 4, 8, 12]
    """
    n = min(n, total)
    return [k * total // n for k in range(n)]


def linspace_indices(total: int, n: int) -> list[int]:
    """``n`` indices from the first to the last frame, cut to integers, as lmms-eval and SpaceR-Eval take them.

    Repeats indices in clips shorter than ``n``.
    """
    return [int(k) for k in np.linspace(0, total - 1, n, dtype=int)]


def spacer_indices(total: int, fps: float) -> list[int]:
    """SpaceR-Eval: one frame per whole second, at least 1 and at most 32, first and last included."""
    return linspace_indices(total, max(1, min(32, int(total / fps))))


def longvideobench_indices(total: int, fps: float, n: int) -> list[int]:
    """LongVideoBench: at most ``n`` frames and one per whole second, the spacing cut to whole frames before it is multiplied."""
    n = max(1, min(n, int(total / fps)))
    return [total // n * k for k in range(n)]


def keep_size(width: int, height: int) -> tuple[int, int]:
    return width, height


def spacer_size(width: int, height: int, limit: int = 448) -> tuple[int, int]:
    """(width, height) that SpaceR-Eval resizes a frame to: its helper swaps the two sides, so the picture is squashed.

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
    "longvideobench": Sampling(longvideobench_indices),
}
"""``uniform`` trains; ``uniform32`` is VSI-Bench's official script; ``spacer`` reproduces SpaceR-Eval with its resize."""


def sampling(name: str) -> Sampling:
    """The sampling called ``name``.

    Raises:
        WorkbookError: unknown; the message lists those there are.
    """
    if name not in SAMPLINGS:
        raise WorkbookError(f"unknown frame sampling {name!r}. Known: {', '.join(SAMPLINGS)}.")
    return SAMPLINGS[name]


def times(path: Path, frames: Frames) -> list[float]:
    """Seconds of the frames that ``load`` gives of a clip, without decoding them."""
    _, total, fps = _open(path)
    return [k / fps for k in sampling(frames.sampling).indices(total, fps, frames.num_frames)]


def load(path: Path, frames: Frames, cache: Path | None = None) -> tuple[Pixels, Any]:
    """Sampled frames of a video and their transformers ``VideoMetadata``.

    The metadata holds the clip's own rate and frame count and the index of each frame given, from which Qwen3-VL derives the
    timestamps it writes and Qwen2.5-VL its seconds per grid step: pass ``do_sample_frames=False``. Where the rate varies,
    indices are fractions, so that index / fps still is the frame's time.

    Args:
        cache: folder of memory-mapped frames, keyed by the file's content and the sampling; None decodes every time.

    Returns:
        (T, H, W, 3) uint8 (read-only when cached) and VideoMetadata.

    Raises:
        WorkbookError: the file is missing, not a video, or damaged; the message names it.
    """
    from . import training  # noqa: F401, I001  (makes torchvision importable, which transformers' video module imports)
    from transformers.video_utils import VideoMetadata

    pixels, about = _cached(Path(path), frames, cache) if cache else _decode(Path(path), frames)
    return pixels, VideoMetadata(**about, video_backend="decord")


def _cached(path: Path, frames: Frames, cache: Path) -> tuple[Pixels, dict[str, Any]]:
    key = f"{content_hash(path)[:32]}-{frames.sampling}-{frames.num_frames}-{frames.size}"
    pixels_path, about_path = cache / f"{key}.npy", cache / f"{key}.json"
    try:
        return np.load(pixels_path, mmap_mode="r"), json.loads(about_path.read_text())
    except (OSError, ValueError, EOFError):  # not there yet, or damaged by something that is not us
        pixels, about = _decode(path, frames)
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        write_atomic(pixels_path, buffer.getvalue())
        write_atomic(about_path, json.dumps(about))
    return np.load(pixels_path, mmap_mode="r"), about


def content_hash(path: Path) -> str:
    """SHA-256 of a file, computed once per process for a given path, size and time of change.

    Raises:
        WorkbookError: the file can't be read.
    """
    try:
        stat = path.stat()
        return _content_hash(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise WorkbookError(f"can't read {path}: {error.strerror}.") from error


@functools.lru_cache(maxsize=100_000)
def _content_hash(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def _decode(path: Path, frames: Frames) -> tuple[Pixels, dict[str, Any]]:
    rule = sampling(frames.sampling)
    reader, total, fps = _open(path)
    indices = rule.indices(total, fps, frames.num_frames)
    try:
        pixels = reader.get_batch(indices).asnumpy()
        times = [float(t) for t in reader.get_frame_timestamp(indices)[:, 0]]
    except Exception as error:  # decord raises its own classes, some of them plain RuntimeError
        raise WorkbookError(f"can't decode {path} ({_first_line(error)}). It is damaged: write or download it again.") from error
    decodes[path.name] += 1
    height, width = pixels.shape[1:3]
    check_shape(path, width, height)
    size = (frames.size, frames.size) if frames.size else rule.size(width, height)
    about = {"total_num_frames": total, "fps": fps, "width": size[0], "height": size[1], "duration": total / fps,
             "frames_indices": [_whole(t * fps) for t in times]}
    return resize(pixels, size), about


def _open(path: Path) -> tuple[Any, int, float]:
    """(decord reader, frame count, frames per second)."""
    import decord

    if not path.is_file():
        raise WorkbookError(f"no video at {path}. Write it again, or mend the row's path.")
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        total, fps = len(reader), float(reader.get_avg_fps())
    except Exception as error:  # see _decode
        raise WorkbookError(f"can't open {path} as a video ({_first_line(error)}). The file is damaged or no video: "
                            f"write or download it again.") from error
    if total < 1 or not fps > 0:
        raise WorkbookError(f"{path} holds no frames. Write or download it again.")
    return reader, total, fps


def _whole(index: float) -> int | float:
    """An index that is an integer up to the container's clock becomes one."""
    return round(index) if abs(index - round(index)) < 0.02 else round(index, 3)


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n") or ["unknown"])[0][:160]


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(T, H, W, 3) frames at (width, height), bicubic with antialiasing."""
    if pixels.shape[2::-1][:2] == size:
        return pixels
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in pixels])


def read_frames(path: Path) -> Pixels:
    """(T, H, W, 3) uint8: every frame of a video at its own size.

    Raises:
        WorkbookError: the file is missing, not a video, or damaged; the message names it.
    """
    return _decode(Path(path), Frames(num_frames=sys.maxsize, size=0))[0]
