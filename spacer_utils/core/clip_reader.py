"""Read clips of phones, cameras and the web: the frames that a player shows, at their times.

``clip_listing`` lists the frames first. Then only what the wanted frames need is decoded. Errors
that a decoder would hide end the reading.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .clip_listing import (
    MEND,
    Damaged,
    Listing,
    from_frames,
    from_packets,
    opened,
    reporting,
    whole_frames,
)
from .pictures import resize

Pixels = npt.NDArray[np.uint8]
Shape = Callable[[Pixels], Pixels]
"""Applied to each frame (H, W, 3) as soon as it is decoded, for example to make it smaller."""
TWICE = ("vp8", "hevc", "mjpeg")
"""Codecs whose decoders show old memory in place of what they can't decode, without an error.

Their clips are read twice, and the frames compared."""
HELD = 13
"""Frames held in memory at the second reading, so that the old memory is another one."""
FEW = 16
"""Up to so many frames, decoding is faster than jumping."""
WIDEST = 16
"""Largest width of a pixel over its height, or height over width. More means a damaged header."""


def read(
    path: Path, choose: Callable[[Listing], Sequence[int]], shape: Shape
) -> tuple[list[Pixels], Listing]:
    """Chosen frames of a clip, upright and with square pixels.

    Args:
        choose: indices of the wanted frames.

    Raises:
        WorkbookError: as ``listing``; also where a wanted frame can't be decoded without errors.
    """
    pictures, found, codec = _read(path, choose, shape)
    if codec in TWICE:
        again, _, _ = _read(path, choose, shape, again=True)
        if not all(map(np.array_equal, pictures, again)):
            raise Damaged(f"{path} is damaged: a frame can't be decoded as a whole. {MEND}")
    return pictures, found


def _read(
    path: Path, choose: Callable[[Listing], Sequence[int]], shape: Shape, again: bool = False
) -> tuple[list[Pixels], Listing, str]:
    """``read`` with the codec's name.

    Args:
        again: the second reading. It decodes by rows, since VP8's decoder then reports those that
            it can't decode; and it holds more frames, so that old memory shows other pictures.
    """
    # Jump to what is wanted.
    with reporting(path), opened(path, by_rows=again) as (container, stream):
        codec = stream.codec_context.name
        found = from_packets(path, container, stream)
        if found:
            wanted = [found.stamps[k] for k in choose(found)]
            pictures = _seek_and_decode(container, stream, found, set(wanted), shape, again)
            if pictures is not None:
                return [pictures[stamp] for stamp in wanted], found, codec

    # Some decoders show fewer frames than there are packets, or can't begin after a jump. Then
    # everything is decoded from the beginning.
    found = from_frames(path, found, again)
    places = choose(found)
    in_order = _decode_in_order(path, set(places), shape, again)
    return [in_order[k] for k in places], found, codec


def _seek_and_decode(
    container: Any, stream: Any, known: Listing, stamps: set[int], shape: Shape, again: bool
) -> dict[int, Pixels] | None:
    """Pictures by stamp, each decoded from the key frame before it.

    None where that meets an error or misses a frame.
    """
    import av

    found: dict[int, Pixels] = {}
    frames: Iterator[Any] = iter(())
    reached = -1  # place of the last decoded frame
    place = {stamp: k for k, stamp in enumerate(known.stamps)}
    held: deque[Any] = deque(maxlen=HELD if again else 1)
    try:
        for stamp in sorted(stamps):
            # Jump to the key frame before it, unless decoding on is faster.
            before = bisect.bisect_right(known.keys, stamp) - 1
            key = known.keys[before] if before >= 0 else known.stamps[0]
            if reached < 0 or place.get(key, 0) > reached + FEW:
                container.seek(known.seeks[before] if before >= 0 else key, stream=stream)
                frames, reached = _frames_after(container, stream, key), -1

            # Decode up to it.
            for frame in frames:
                held.append(frame)
                begins = reached < 0
                # An edit list may hide the key frame; then the first shown frame is another.
                broken = frame.is_corrupt or (begins and key in place and not frame.key_frame)
                if broken or place.get(frame.pts, -1) <= reached:
                    return None
                reached = place[frame.pts]
                if frame.pts in stamps:
                    found[frame.pts] = shape(upright(frame, stream))
                if frame.pts >= stamp:
                    break
    except av.error.FFmpegError:
        return None
    return found if len(found) == len(stamps) else None


def _frames_after(container: Any, stream: Any, key: int) -> Iterator[Any]:
    """Decoded frames from a key frame on.

    Frames that are shown before it but stored behind it are left out: they may need frames that
    were jumped over.
    """
    import av

    for packet in container.demux(stream):
        leading = packet.pts is not None and packet.pts < key
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if leading:
                continue
            raise
        yield from (frame for frame in frames if frame.pts is None or frame.pts >= key)


def _decode_in_order(path: Path, wanted: set[int], shape: Shape, again: bool) -> dict[int, Pixels]:
    """Pictures by their place in the clip, decoded from its beginning."""
    found: dict[int, Pixels] = {}
    held: deque[Any] = deque(maxlen=HELD if again else 1)
    with reporting(path), opened(path, by_rows=again) as (container, stream):
        for k, frame in enumerate(whole_frames(path, container, stream)):
            held.append(frame)
            if k in wanted:
                found[k] = shape(upright(frame, stream))
            if len(found) == len(wanted):
                return found
    raise Damaged(f"{path} is damaged: {len(wanted) - len(found)} frames can't be decoded. {MEND}")


def upright(frame: Any, stream: Any) -> Pixels:
    """(H, W, 3) picture as a player shows it: turned as the file says, and with square pixels."""
    pixels: Pixels = frame.to_ndarray(format="rgb24", threads=1)
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1
    if aspect != 1:
        if not 1 / WIDEST <= aspect <= WIDEST:
            raise Damaged(
                f"{stream.container.name} is damaged: pixels {aspect} times as wide as high. {MEND}"
            )
        size = max(1, round(frame.width * aspect)), frame.height
        pixels = resize(pixels[None], size)[0]
    return _turned(pixels, frame)


def _turned(pixels: Pixels, frame: Any) -> Pixels:
    """The picture turned and mirrored by the file's display matrix."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
