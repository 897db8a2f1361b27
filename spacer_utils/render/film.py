"""Film a scene, write and read its clip, and say what was seen in which frame.

What a model gets of a clip is the business of ``frames``; its functions are at hand here too.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ..core.files import content_hash, write_atomic
from ..core.frames import SAMPLINGS, Budget, decodes, load, sample_indices
from ..core.pictures import read_image
from ..core.profiles import Data
from ..core.types import Clip, Scene, WorkbookError
from . import camera

__all__ = [
    "SAMPLINGS",
    "Budget",
    "content_hash",
    "decodes",
    "encode",
    "film",
    "load",
    "read_clip",
    "read_image",
    "sample_indices",
    "seen_categories",
    "seen_instances",
    "write_clip",
]

Pixels = npt.NDArray[np.uint8]
CRF = 20
"""H.264 quality: about 10 kB per frame at 448 x 336."""


def film(scene: Scene, data: Data, seed: int = 0, *, shadow: bool = True) -> tuple[Pixels, Clip]:
    """Render a clip of the scene along ``data.trajectory``.

    Returns:
        (T, H, W, 3) uint8 frames and the clip with poses, intrinsics and the visible share of every
        instance in every frame.
    """
    from . import Renderer

    rng = np.random.default_rng([seed, crc32(scene.scene_id.encode()), crc32(b"camera")])
    width, height = data.width, data.height
    poses = np.round(
        camera.trajectory(scene, data.trajectory, data.clip_frames, data.fps, width, height, rng), 6
    )
    matrix = camera.intrinsics(width, height)
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


def encode(frames: Pixels, fps: float) -> bytes:
    """(T, H, W, 3) uint8 frames as an H.264 MP4; the same frames give the same bytes.

    Raises:
        WorkbookError: width or height is odd (yuv420p halves the colour planes).
    """
    import av

    _, height, width, _ = frames.shape
    if width % 2 or height % 2:
        raise WorkbookError(
            f"frames of {width} x {height} pixels: H.264 with yuv420p needs even sides. Change width or height."
        )
    # Without "mbtree": "0", up to one clip in a hundred came out otherwise than the last time, a
    # macroblock here and there.
    options = {
        "crf": str(CRF),
        "preset": "veryfast",
        "bf": "0",
        "g": "16",
        "threads": "1",
        "mbtree": "0",
    }
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options=options
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


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
