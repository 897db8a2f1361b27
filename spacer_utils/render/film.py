"""Film a scene, write and read its clip, and say what was seen in which frame."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ..core.files import write_atomic
from ..core.mp4 import encode
from ..core.profiles import Data
from ..core.types import Clip, Scene, WorkbookError
from . import camera

Pixels = npt.NDArray[np.uint8]


def film(scene: Scene, data: Data, seed: int = 0, *, shadow: bool = True) -> tuple[Pixels, Clip]:
    """Render a clip of the scene along ``data.trajectory``.

    Returns:
        (T, H, W, 3) uint8 frames and the clip with poses, intrinsics and the visible share of every
        instance in every frame.
    """
    from . import Renderer

    # The camera's way.
    rng = np.random.default_rng([seed, crc32(scene.scene_id.encode()), crc32(b"camera")])
    width, height = data.width, data.height
    poses = np.round(
        camera.trajectory(scene, data.trajectory, data.clip_frames, data.fps, width, height, rng), 6
    )
    matrix = camera.intrinsics(width, height)

    # Its pictures, and the pixels of every instance.
    renderer = Renderer(scene, shadow=shadow)
    pictures, counts = [], []
    most = max((o.instance_id for o in scene.objects), default=0) + 1
    for pose in poses:
        frame = renderer.render(pose, matrix, width, height)
        pictures.append(frame.rgb)
        counts.append(np.bincount(frame.ids.ravel(), minlength=most))
    share = np.round(np.array(counts) / (width * height), 6)

    clip = Clip(
        video_id=scene.scene_id,
        scene=scene,
        fps=data.fps,
        width=width,
        height=height,
        intrinsics=tuple(tuple(float(v) for v in row) for row in matrix),
        poses=tuple(tuple(tuple(float(v) for v in row) for row in p) for p in poses),
        visible_share={
            o.instance_id: tuple(float(v) for v in share[:, o.instance_id]) for o in scene.objects
        },
    )
    return np.stack(pictures), clip


def write_clip(frames: Pixels, clip: Clip, folder: Path) -> Path:
    """Write ``<video_id>.mp4`` and, once that is whole, ``<video_id>.json`` into ``folder``; the
    MP4's path.

    Raises:
        WorkbookError: frames and clip disagree in length, sides are odd, or the disk refuses.
    """
    if len(frames) != clip.num_frames:
        raise WorkbookError(
            f"clip {clip.video_id}: {len(frames)} frames but {clip.num_frames} poses."
        )
    path = write_atomic(Path(folder) / f"{clip.video_id}.mp4", encode(frames, clip.fps))
    write_atomic(
        path.with_suffix(".json"),
        json.dumps(clip.to_json(), separators=(",", ":"), allow_nan=False) + "\n",
    )
    return path


def read_clip(path: Path) -> Clip:
    """The clip that ``write_clip`` described in ``<video_id>.json``.

    Raises:
        WorkbookError: the file is missing or not such a description.
    """
    try:
        clip = Clip.from_json(json.loads(Path(path).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkbookError(
            f"can't read {path} as a clip's description ({type(error).__name__}: {error}). Run: make nb02"
        ) from error
    if not np.isfinite(np.array(clip.poses)).all():
        raise WorkbookError(f"{path}: a camera pose is not finite. Film the scene again.")
    return clip


def seen_instances(clip: Clip, frames: Iterable[int], threshold: float) -> dict[int, int]:
    """Instance id -> first of the frame indices ``frames`` in which it covers at least
    ``threshold`` of the picture.

    Args:
        frames: indices of the frames that the model is given, ascending.
        threshold: share of the frame's pixels, 0-1.
    """
    given = list(frames)
    first: dict[int, int] = {}
    for instance, shares in clip.visible_share.items():
        for k in given:
            if shares[k] >= threshold:
                first[instance] = k
                break
    return first


def seen_categories(clip: Clip, frames: Iterable[int], threshold: float) -> dict[str, int]:
    """Category -> first of ``frames`` in which one of its instances is seen; see
    ``seen_instances``."""
    category = {o.instance_id: o.category for o in clip.scene.objects}
    first: dict[str, int] = {}
    for instance, k in seen_instances(clip, frames, threshold).items():
        name = category[instance]
        first[name] = min(k, first.get(name, k))
    return first
