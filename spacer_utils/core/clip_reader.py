"""Read clips of phones, cameras and the web: the frames that a player shows, at their times.

A file's packets are listed first. They tell every frame's time without decoding, and their number
is compared with the header's. Then only what the wanted frames need is decoded. An error that a
decoder would conceal ends the reading.
"""

from __future__ import annotations

import bisect
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .clip_sizes import promised
from .types import WorkbookError, first_line

Pixels = npt.NDArray[np.uint8]
Shape = Callable[[Pixels], Pixels]
"""What to make of each frame (H, W, 3) as soon as it is decoded, for example a smaller one."""
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(2**26)}
"""Options of FFmpeg's decoders: report damage instead of hiding it, refuse frames beyond 8K."""
TWICE = ("vp8", "hevc", "mjpeg")
"""Codecs whose decoders leave old memory where they can't decode, without an error. Such clips are
read twice and compared."""
HELD = 13
"""Frames kept in memory at the second reading, so that old memory holds another picture."""
FEW = 16
"""So many frames are decoded faster than jumped over."""
WIDEST = 16
"""Largest width of a pixel over its height, or the reverse; more means a damaged header."""
MEND = "Copy or download it again."


class Damaged(WorkbookError):
    """The file isn't what its header says, or its frames can't be decoded."""


@dataclass(frozen=True)
class Listing:
    """The shown frames of a clip."""

    stamps: tuple[int, ...]
    """Presentation time of each in the container's ticks, ascending."""
    times: tuple[float, ...]
    """The same in seconds from the clip's beginning."""
    fps: float
    """Frames per second, on average where the rate varies."""
    keys: tuple[int, ...]
    """Stamps at which decoding can begin, ascending; none: only at the file's beginning."""
    seeks: tuple[int, ...] = ()
    """Where to jump for each of ``keys``, in the clock that the container is searched by."""
    decoded: bool = False
    """The list comes from decoding the whole clip, because its packets don't tell its frames."""


def listing(path: Path) -> Listing:
    """The frames of a clip, as a rule without decoding them.

    Raises:
        WorkbookError: the file is missing, no video, cut short, damaged, or of an unknown codec;
            the message names it.
    """
    with _reporting(path), _opened(path) as (container, stream):
        found = _from_packets(path, container, stream)
    return found or _from_frames(path)


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

    ``again`` decodes in another way: with rows side by side, where VP8's decoder reports one that
    it can't decode; and with more frames held, so that another picture lies in the memory that is
    used anew.
    """
    with _reporting(path), _opened(path, by_rows=again) as (container, stream):
        codec = stream.codec_context.name
        found = _from_packets(path, container, stream)
        if found:
            wanted = [found.stamps[k] for k in choose(found)]
            pictures = _seek_and_decode(container, stream, found, set(wanted), shape, again)
            if pictures is not None:
                return [pictures[stamp] for stamp in wanted], found, codec
    # Some decoders show fewer frames than there are packets, or find no beginning after a jump.
    found = _from_frames(path, found, again)
    places = choose(found)
    in_order = _decode_in_order(path, set(places), shape, again)
    return [in_order[k] for k in places], found, codec


# ------------------------------------------------------------------------------------------ opening


@contextmanager
def _opened(path: Path, by_rows: bool = False) -> Iterator[tuple[Any, Any]]:
    """The container and its main video stream, with a strict decoder."""
    import av

    if not path.is_file():
        raise WorkbookError(f"no video at {path}. Write it again, or mend the row's path.")
    with av.open(
        str(path), options={"max_pixels": STRICT["max_pixels"]}, metadata_errors="replace"
    ) as container:
        stream = _main_stream(path, container)
        if stream.codec_context is None:
            raise WorkbookError(_unknown_codec(path, f"its codec{_codec_named(path)}"))
        stream.codec_context.options = STRICT
        stream.codec_context.thread_count = 2 if by_rows else 1
        stream.codec_context.thread_type = "SLICE" if by_rows else "NONE"
        yield container, stream


def _main_stream(path: Path, container: Any) -> Any:
    """The stream that a player shows: no cover picture, no thumbnails."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    moving = [s for s in container.streams.video if not s.disposition & still]
    if not moving:
        held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise WorkbookError(f"{path} holds no video, only {held}. Mend the row's path.")
    best = container.streams.best("video")
    return best if best in moving else moving[0]


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Turns whatever PyAV raises into one line that names the file."""
    import av

    try:
        yield
    except WorkbookError:
        raise
    except (
        av.error.DecoderNotFoundError,
        av.error.PatchWelcomeError,
        NotImplementedError,
    ) as error:
        raise WorkbookError(_unknown_codec(path, f"its codec ({first_line(error)})")) from error
    except (
        Exception
    ) as error:  # PyAV has a class per error number, and other classes for nonsense in headers
        raise Damaged(
            f"can't read {path} as a video ({first_line(error)}). "
            f"It is damaged, cut short or no video. {MEND}"
        ) from error


def _unknown_codec(path: Path, what: str) -> str:
    return (
        f"can't read {path}: {what} is unknown here. Re-encode it: "
        f"ffmpeg -i '{path.name}' -c:v libx264 -pix_fmt yuv420p '{path.stem}.h264.mp4'"
    )


def _codec_named(path: Path) -> str:
    """What FFmpeg's warning calls the video's codec, with a blank before it; empty where it doesn't
    warn."""
    import av

    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(str(path), metadata_errors="replace"):
            named = re.search(r"Video: ([^,]*)", " ".join(message for _, _, message in said))
    finally:
        av.logging.set_level(level)
    return f" {named[1]}" if named else ""


# ------------------------------------------------------------------------------------------ listing


def _from_packets(path: Path, container: Any, stream: Any) -> Listing | None:
    """The frames by their packets, compared with the header; None where packets don't tell.

    Raises:
        Damaged: less is there than the header promises.
    """
    promised_frames = _frames_in_index(container, stream)
    promised_seconds = (container.duration or 0) / 1e6
    by_shown = "matroska" in container.format.name  # others are searched by the order of decoding
    packets: list[int | None] = []
    keys: list[tuple[int, int]] = []
    lengths: list[int] = []
    found_frames, end = 0, 0.0
    for packet in container.demux():
        if packet.size == 0 and packet.pts is None and packet.dts is None:
            continue  # PyAV's own, at the end
        end = max(end, _end(packet))
        if packet.stream_index != stream.index:
            continue
        found_frames += 1
        if packet.is_corrupt and (
            keys or packet.is_keyframe
        ):  # recordings may begin inside a picture
            raise Damaged(
                f"{path} is cut short or damaged: frame {found_frames} isn't whole. {MEND}"
            )
        if packet.is_keyframe and packet.pts is not None:
            keys.append((packet.pts, packet.pts if by_shown or packet.dts is None else packet.dts))
        if not packet.is_discard:
            packets.append(packet.pts)
            lengths.append(packet.duration or 0)
    _compare(path, "bytes", promised(path), path.stat().st_size)
    _compare(path, "frames", promised_frames, found_frames)
    _compare(path, "seconds", promised_seconds, end, slack=max(0.5, 0.02 * promised_seconds))
    if (
        promised_seconds
        and end - max(container.start_time or 0, 0) / 1e6 > 10 + 10 * promised_seconds
    ):
        raise Damaged(
            f"{path} is damaged: its header says {promised_seconds:g} seconds, its frames' times {end:g}. {MEND}"
        )
    if not packets:
        raise Damaged(f"{path} holds no frames. It is damaged or cut short. {MEND}")
    # A broadcast is recorded from the middle of a scene: what is shown before its first key frame
    # can't be decoded.
    first = min(keys)[0] if keys and container.format.name == "mpegts" else -math.inf
    stamps = sorted(p for p in packets if p is not None and p >= first)
    if None in packets or len(set(stamps)) < len(stamps) or not stamps:
        return None
    return _listing(container, stream, stamps, lengths[packets.index(stamps[-1])], sorted(keys))


def _listing(
    container: Any,
    stream: Any,
    stamps: Sequence[int],
    last: int,
    keys: Sequence[tuple[int, int]] = (),
    decoded: bool = False,
) -> Listing:
    """A listing with seconds and rate; ``last`` is the last frame's length in ticks, 0 where nobody
    knows."""
    tick = stream.time_base
    # Players begin with the first stream, or at zero where that is a sound's lead-in. AVI has no
    # such times.
    begin = max(Fraction(container.start_time or 0, 1_000_000), Fraction(0))
    if container.format.name == "avi":
        begin = stamps[0] * tick
    times = tuple(float(stamp * tick - begin) for stamp in stamps)
    stated = float(stream.average_rate or stream.guessed_rate or 0)
    # The last frame stays as long as the file says, else as long as the others.
    span, usual = times[-1] - times[0], 1 / stated if stated else 1.0
    length = float(last * tick) or (span / (len(stamps) - 1) if len(stamps) > 1 else usual)
    # A stated rate is exact where frames keep to it; clocks of whole milliseconds are not.
    kept = abs(stated * (span + length) - len(stamps)) < 0.5 + 0.01 * len(stamps)
    fps = stated if kept else len(stamps) / (span + length)
    return Listing(
        tuple(stamps), times, fps, tuple(k for k, _ in keys), tuple(s for _, s in keys), decoded
    )


def _from_frames(path: Path, packets: Listing | None = None, again: bool = False) -> Listing:
    """The frames by decoding all of them."""
    with _reporting(path), _opened(path, by_rows=again) as (container, stream):
        stamps = [frame.pts for frame in _whole_frames(path, container, stream)]
        if packets and "mov" in container.format.name:  # where every packet is a frame
            _compare(path, "frames", len(packets.stamps), len(stamps))
        if not stamps:
            raise Damaged(f"{path} holds no frames that can be decoded. {MEND}")
        timed = [stamp for stamp in stamps if stamp is not None]
        forwards = len(timed) == len(stamps) and all(a <= b for a, b in pairwise(timed))
        if not timed or (not forwards and container.format.name == "avi"):
            # AVI has a rate instead of times.
            step = 1 / (stream.average_rate or stream.guessed_rate or 1) / stream.time_base
            stamps = [round(k * step) for k in range(len(stamps))]
        elif not forwards:
            raise Damaged(
                f"{path} is damaged: its frames' times are missing or go backwards. {MEND}"
            )
        return _listing(container, stream, stamps, 0, decoded=True)


def _end(packet: Any) -> float:
    """Seconds at which a packet's content ends."""
    stamps = [s for s in (packet.pts, packet.dts) if s is not None]
    return (
        float((max(stamps) + (packet.duration or 0)) * packet.time_base)
        if stamps and packet.time_base
        else 0.0
    )


def _frames_in_index(container: Any, stream: Any) -> int:
    """How many frames the file's index lists; 0 where there is none, or it lists only some."""
    if "mov" in container.format.name:
        return len(stream.index_entries)  # what an edit list leaves
    return stream.frames if container.format.name == "avi" else 0


def _compare(path: Path, what: str, promised: float, found: float, slack: float = 0.0) -> None:
    if found + slack < promised:
        raise Damaged(
            f"{path} is cut short or damaged: by its header it has {promised:.10g} {what}, and {found:.10g} are there. "
            f"{MEND}"
        )


# ----------------------------------------------------------------------------------------- decoding


def _whole_frames(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    """The frames, as long as they are decoded without errors and begin with one that needs no
    other."""
    for k, frame in enumerate(container.decode(stream)):
        begins = (
            k == 0 and "mov" not in container.format.name
        )  # whose edit lists may hide the key frame
        if frame.is_corrupt or (begins and not frame.key_frame):
            raise Damaged(f"{path} is damaged: frame {k + 1} can't be decoded as a whole. {MEND}")
        yield frame


def _seek_and_decode(
    container: Any, stream: Any, known: Listing, stamps: set[int], shape: Shape, again: bool
) -> dict[int, Pixels] | None:
    """Pictures by stamp, decoding from the key frame before each; None where that finds errors or
    not every frame."""
    import av

    found: dict[int, Pixels] = {}
    frames: Iterator[Any] = iter(())
    reached = -1  # place of the last decoded frame
    place = {stamp: k for k, stamp in enumerate(known.stamps)}
    held: deque[Any] = deque(maxlen=HELD if again else 1)
    try:
        for stamp in sorted(stamps):
            before = bisect.bisect_right(known.keys, stamp) - 1
            key = known.keys[before] if before >= 0 else known.stamps[0]
            if reached < 0 or place.get(key, 0) > reached + FEW:
                container.seek(known.seeks[before] if before >= 0 else key, stream=stream)
                frames, reached = _frames_after(container, stream, key), -1
            for frame in frames:
                held.append(frame)
                begins = reached < 0
                # Where an edit list hides the key frame, the first one shown is another.
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

    What is shown before it but stored behind it may need frames that were jumped over.
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
    """Pictures by their place in the clip, decoding from its beginning."""
    found: dict[int, Pixels] = {}
    held: deque[Any] = deque(maxlen=HELD if again else 1)
    with _reporting(path), _opened(path, by_rows=again) as (container, stream):
        for k, frame in enumerate(_whole_frames(path, container, stream)):
            held.append(frame)
            if k in wanted:
                found[k] = shape(upright(frame, stream))
            if len(found) == len(wanted):
                return found
    raise Damaged(f"{path} is damaged: {len(wanted) - len(found)} frames can't be decoded. {MEND}")


def upright(frame: Any, stream: Any) -> Pixels:
    """(H, W, 3) picture as a player shows it: turned as the file says, widened where pixels aren't
    square."""
    from .frames import resize

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
    """The picture after the file's display matrix, which holds quarter turns and mirrorings."""
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
