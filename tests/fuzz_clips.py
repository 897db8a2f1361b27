"""Damaged clips: each is refused in one line, or read as FFmpeg reads it.

    python tests/fuzz_clips.py --count 5000 --seed 0

A *silent wrong read* is a clip that is read, and of which one of these is true:

* ``differs``: a frame given is not, pixel for pixel, what FFmpeg shows at that time when it decodes
  the whole file in order, without seeking and with its default tolerance; or it shows none then.
* ``concealed``: FFmpeg says of a frame given that it was decoded with errors, or fails before it
  comes to it.
* ``shorter``: the file was cut, and the clip has fewer frames than the whole one.

A *traceback* is anything raised but a WorkbookError of one line that names the file, or a death or
standstill of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
from kit.clip_kit import KINDS, Pixels, write

from spacer_utils.core import clip_listing, clip_reader, frames
from spacer_utils.core.profiles import Frames
from spacer_utils.core.types import WorkbookError

ASKED = Frames(num_frames=5, size=0)
DAMAGES = ("cut", "zeroed", "swapped", "changed")
WRONG = ("differs", "concealed", "shorter")
PATIENCE = 60
"""Seconds after which a clip counts as a standstill."""


def damaged(data: bytes, damage: str, rng: np.random.Generator) -> bytes:
    """The file cut, with a run of zeros, with two runs exchanged, or with some bytes changed."""
    size = len(data)
    if damage == "cut":
        return data[: int(rng.integers(0, size))]
    length = int(min(size // 2, 2 ** rng.integers(0, 11)))
    one, two = (int(rng.integers(0, size - length)) for _ in range(2))
    found = bytearray(data)
    if damage == "zeroed":
        found[one : one + length] = bytes(length)
    elif damage == "swapped":
        found[one : one + length], found[two : two + length] = (
            data[two : two + length],
            data[one : one + length],
        )
    else:
        for place in rng.integers(0, size, int(rng.integers(1, 9))):
            found[place] = int(rng.integers(0, 256))
    return bytes(found)


def shown(path: Path) -> list[tuple[float, Pixels | None]]:
    """(seconds, picture) of every frame as FFmpeg decodes the file in order; no picture where it
    says that there were errors."""
    found: list[tuple[float, Pixels | None]] = []
    stamps: list[int | None] = []
    with av.open(str(path), metadata_errors="replace") as container:
        stream = clip_listing._main_stream(path, container)
        stream.codec_context.thread_count = 1
        begin = max((container.start_time or 0) / 1e6, 0.0)
        rate = float(stream.average_rate or stream.guessed_rate or 1)
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    stamps.append(frame.pts)
                    found.append(
                        (0.0, None if frame.is_corrupt else clip_reader.upright(frame, stream))
                    )
        timed = [s for s in stamps if s is not None]
        # AVI has no times, only a rate; where FFmpeg makes up some that go forwards, they count
        # from the first frame.
        if len(timed) < len(stamps) or (container.format.name == "avi" and timed != sorted(timed)):
            return [(k / rate, picture) for k, (_, picture) in enumerate(found)]
        if container.format.name == "avi" and timed:
            begin = float(timed[0] * stream.time_base)
        return [
            (float(stamp * stream.time_base) - begin, picture)
            for stamp, (_, picture) in zip(timed, found)
        ]


def judge(path: Path, damage: str, count: int) -> str:
    """What became of one clip: ``refused``, ``read``, one of ``WRONG``, or a line that begins with
    ``traceback``."""
    try:
        pixels, about = frames.load(path, ASKED)
    except WorkbookError as error:
        told = str(error)
        return "refused" if "\n" not in told and path.name in told else f"traceback: {told!r}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    if damage == "cut" and about.total_num_frames < count:
        return "shorter"
    expected = shown(path)
    for picture, index in zip(pixels, about.frames_indices):
        time = index / about.fps
        near = [p for t, p in expected if abs(t - time) < 0.005]
        if not near and len(expected) < about.total_num_frames:
            return "concealed"
        if not near:
            return "differs"
        if all(p is None for p in near):
            return "concealed"
        if not any(p is not None and np.array_equal(p, picture) for p in near):
            return "differs"
    return "read"


def _work(folder: Path, count: int, tasks: Any) -> None:
    """Judge what comes through the pipe, until it closes."""
    wholes = {kind.name: (folder / kind.name).read_bytes() for kind in KINDS}
    while True:
        number, seed = tasks.recv()
        rng = np.random.default_rng([seed, number])
        kind = KINDS[number % len(KINDS)]
        damage = DAMAGES[int(rng.integers(0, len(DAMAGES)))]
        path = folder / f"{number}_{kind.name}"
        path.write_bytes(damaged(wholes[kind.name], damage, rng))
        verdict = judge(path, damage, count)
        if verdict in ("refused", "read"):
            path.unlink()
        tasks.send((kind.name, damage, verdict))


def run(folder: Path, count: int, seed: int = 0, length: int = 20) -> Counter[tuple[str, str, str]]:
    """How often which kind of clip had which damage and came to which end; clips of bad ends stay
    in ``folder``."""
    for kind in KINDS:
        write(folder, kind, length)
    found: Counter[tuple[str, str, str]] = Counter()
    worker, here = None, None
    for number in range(count):
        if worker is None or here is None:
            here, there = multiprocessing.Pipe()
            worker = multiprocessing.get_context("fork").Process(
                target=_work, args=(folder, length, there), daemon=True
            )
            worker.start()
            there.close()
        try:
            here.send((number, seed))
            if not here.poll(PATIENCE):
                raise EOFError("a standstill")
            found[here.recv()] += 1
        except (EOFError, OSError) as error:
            worker.kill()
            worker.join()
            found[
                KINDS[number % len(KINDS)].name,
                "?",
                f"traceback: the process died at clip {number} ({error})",
            ] += 1
            worker = None
    if worker:
        worker.kill()
    return found


def bad(found: Counter[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [case for case in found if case[2] not in ("refused", "read")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="an empty folder for the clips of bad ends")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        found = run(options.keep or Path(folder), options.count, options.seed)
    ends = Counter(case[2].split(":")[0] for case in found.elements())
    wrong = sum(ends[w] for w in WRONG)
    print(
        f"{sum(ends.values())} clips: {ends['refused']} refused in one line, {ends['read']} read as FFmpeg reads them, "
        f"tracebacks={ends['traceback']}, silent wrong reads={wrong}"
    )
    for kind, damage, end in sorted(bad(found)):
        print(f"{found[kind, damage, end]:5} {kind} {damage}: {end}")
    return 1 if bad(found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
