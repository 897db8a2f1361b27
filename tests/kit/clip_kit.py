"""Clips of many containers and codecs, as small as they get, whose pictures tell their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Kind:
    """How a clip is written: file name, encoder, and what differs from 64 x 48 pixels at 10 frames
    per second."""

    name: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    rate: int = 10
    muxer: dict[str, str] = field(default_factory=dict)


KINDS = (
    Kind("h264.mp4", "libx264"),
    Kind("h264_moov_first.mp4", "libx264", muxer={"movflags": "faststart"}),
    Kind("h264_fragments.mp4", "libx264", muxer={"movflags": "frag_keyframe+empty_moov"}),
    Kind("h264_one_group.mp4", "libx264", {"g": "300", "bf": "0"}),
    Kind("h264_open_groups.mp4", "libx264", {"g": "8", "x264-params": "open-gop=1"}),
    Kind("h264.mkv", "libx264"),
    Kind("h264.ts", "libx264"),
    Kind("h264.flv", "libx264"),
    Kind("h264_reordered.avi", "libx264", {"bf": "2"}),
    Kind("hevc.mp4", "libx265", {"x265-params": "log-level=none"}),
    Kind("hevc_open_groups.mkv", "libx265", {"x265-params": "log-level=none:keyint=8:open-gop=1"}),
    Kind("hevc_10_bit.mp4", "libx265", {"x265-params": "log-level=none"}, "yuv420p10le"),
    Kind("mpeg4.avi", "mpeg4"),
    Kind("mpeg4_reordered.mp4", "mpeg4", {"bf": "2", "qmin": "1", "qmax": "2"}),
    Kind("mpeg4.asf", "mpeg4"),
    Kind("mpeg2.ts", "mpeg2video", rate=25),
    Kind("mjpeg.avi", "mjpeg", pix_fmt="yuvj420p"),
    Kind("mjpeg.mov", "mjpeg", pix_fmt="yuvj420p"),
    Kind("vp8.webm", "libvpx"),
    Kind("vp8_hidden_frames.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    Kind("vp8_live.webm", "libvpx", muxer={"live": "1"}),
    Kind("vp9.webm", "libvpx-vp9"),
    Kind("vp9.mp4", "libvpx-vp9"),
    Kind("av1.mp4", "libsvtav1"),
    Kind("av1.mkv", "libsvtav1"),
    Kind("moving.gif", "gif", pix_fmt="rgb8"),
    Kind("narrow.mp4", "libx264", size=(16, 32)),
    Kind("odd.webm", "libvpx-vp9", size=(63, 47)),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def pictures(count: int, width: int = 64, height: int = 48) -> Pixels:
    """(T, H, W, 3) frames: grey that grows with the number, modulo 20, and a red square that moves
    in the upper half."""
    frames = np.empty((count, height, width, 3), np.uint8)
    for k in range(count):
        frames[k] = 10 * (k % 20 + 1)
        left = 3 * k % (width - 8)
        frames[k, height // 8 : height // 4, left : left + 8] = (200, 50, 30)
    return frames


def numbers(frames: Sequence[Pixels] | Pixels) -> list[int]:
    """The number of each picture, by the grey of its lower half."""
    return [round(float(f[len(f) // 2 :].mean()) / 10) - 1 for f in frames]


def write(
    folder: Path,
    kind: Kind,
    count: int = 20,
    *,
    ticks: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    turned: tuple[float, bool, bool] | None = None,
    sound: float = 0.0,
    cover: bool = False,
) -> Path:
    """A clip of ``count`` pictures.

    Args:
        ticks: when each is shown, in frames.
        aspect: a pixel's width by its height.
        turned: degrees, and whether it is mirrored from side to side and from top to bottom.
        sound: seconds of silence, as the first stream.
        cover: a picture as a further stream.
    """
    path = folder / kind.name
    with av.open(str(path), "w", options=kind.muxer) as container:
        silence: Any = container.add_stream("aac", rate=44100) if sound else None
        picture: Any = container.add_stream("mjpeg", rate=1) if cover else None
        if cover:
            picture.width, picture.height, picture.pix_fmt = 160, 120, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        stream: Any = container.add_stream(kind.codec, rate=kind.rate, options=kind.options)
        stream.width, stream.height = kind.size
        stream.pix_fmt = kind.pix_fmt
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned[0], hflip=turned[1], vflip=turned[2])
        if cover:
            frame = av.VideoFrame.from_ndarray(pictures(1, 160, 120)[0], format="rgb24")
            container.mux([*picture.encode(frame), *picture.encode()])
        for k, pixels in enumerate(pictures(count, *kind.size)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = ticks[k] if ticks else k, Fraction(1, kind.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound:
            quiet = np.zeros((1, round(44100 * sound)), np.float32)
            heard = av.AudioFrame.from_ndarray(quiet, format="fltp", layout="mono")
            heard.sample_rate, heard.pts = 44100, 0
            container.mux([*silence.encode(heard), *silence.encode()])
    return path
