"""The frames of a clip and their times, from the file's packets.

A file's packets are listed first. They tell every frame's time without decoding, and their number
is compared with the header's. Only where packets don't tell the frames is the whole clip decoded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from .clip_sizes import promised
from .types import WorkbookError, first_line

STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(2**26)}
"""Options of FFmpeg's decoders: report damage instead of hiding it, and refuse frames beyond 8K."""
MEND = "Copy or download it again."
"""What to do about a damaged file."""


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
    """Stamps at which decoding can begin, ascending. If empty, only at the file's beginning."""
    seeks: tuple[int, ...] = ()
    """Where to jump for each of ``keys``, in the clock by which this container is searched."""
    decoded: bool = False
    """The whole clip was decoded, because its packets don't tell its frames."""


def listing(path: Path) -> Listing:
    """The frames of a clip, mostly without decoding them.

    Raises:
        WorkbookError: the file is missing, no video, cut short, damaged, or of an unknown codec;
            the message names it.
    """
    with reporting(path), opened(path) as (container, stream):
        found = from_packets(path, container, stream)
    return found or from_frames(path)


# ------------------------------------------------------------------------------------------ opening


@contextmanager
def opened(path: Path, by_rows: bool = False) -> Iterator[tuple[Any, Any]]:
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
def reporting(path: Path) -> Iterator[None]:
    """Turn whatever PyAV raises into one line that names the file."""
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
    """A blank and the codec's name from FFmpeg's warning; empty without a warning."""
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


def from_packets(path: Path, container: Any, stream: Any) -> Listing | None:
    """The frames by their packets; None where packets don't tell them.

    Raises:
        Damaged: there is less than the header promises.
    """
    # What the header promises.
    promised_frames = _frames_in_index(container, stream)
    promised_seconds = (container.duration or 0) / 1e6

    # What is there. Matroska is searched by the time of showing, others by the time of decoding.
    by_shown = "matroska" in container.format.name
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

    # Promised and found must agree.
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

    # A recording of a broadcast may begin between key frames. What is shown before the first one
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
    """A listing with seconds and rate.

    Args:
        last: length of the last frame in ticks; 0 if it isn't known.
    """
    # Seconds since the clip's beginning: that of the first stream, or zero where a sound begins
    # before it. AVI has no such times.
    tick = stream.time_base
    begin = max(Fraction(container.start_time or 0, 1_000_000), Fraction(0))
    if container.format.name == "avi":
        begin = stamps[0] * tick
    times = tuple(float(stamp * tick - begin) for stamp in stamps)

    # The last frame stays as long as the file says, else as long as the others.
    stated = float(stream.average_rate or stream.guessed_rate or 0)
    span, usual = times[-1] - times[0], 1 / stated if stated else 1.0
    length = float(last * tick) or (span / (len(stamps) - 1) if len(stamps) > 1 else usual)

    # The stated rate is exact if the frames keep to it; times in whole milliseconds are not.
    kept = abs(stated * (span + length) - len(stamps)) < 0.5 + 0.01 * len(stamps)
    fps = stated if kept else len(stamps) / (span + length)
    return Listing(
        tuple(stamps), times, fps, tuple(k for k, _ in keys), tuple(s for _, s in keys), decoded
    )


def from_frames(path: Path, packets: Listing | None = None, again: bool = False) -> Listing:
    """The frames by decoding all of them.

    Args:
        packets: the listing by packets, if there is one.
        again: as in ``clip_reader.read``, the second reading.
    """
    with reporting(path), opened(path, by_rows=again) as (container, stream):
        stamps = [frame.pts for frame in whole_frames(path, container, stream)]
        if packets and "mov" in container.format.name:  # where every packet is a frame
            _compare(path, "frames", len(packets.stamps), len(stamps))
        if not stamps:
            raise Damaged(f"{path} holds no frames that can be decoded. {MEND}")

        # Times that go forwards, or for AVI made from its rate.
        timed = [stamp for stamp in stamps if stamp is not None]
        forwards = len(timed) == len(stamps) and all(a <= b for a, b in pairwise(timed))
        if not timed or (not forwards and container.format.name == "avi"):
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


def whole_frames(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    """The decoded frames.

    Raises:
        Damaged: a frame is not whole, or the first one needs another that isn't there.
    """
    for k, frame in enumerate(container.decode(stream)):
        begins = (
            k == 0 and "mov" not in container.format.name
        )  # whose edit lists may hide the key frame
        if frame.is_corrupt or (begins and not frame.key_frame):
            raise Damaged(f"{path} is damaged: frame {k + 1} can't be decoded as a whole. {MEND}")
        yield frame
