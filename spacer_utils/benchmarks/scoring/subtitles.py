"""Subtitles of the long-video benchmarks: read as published, and put where their authors put them
among the frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...core.types import IMAGE


class Line(NamedTuple):
    start: float
    """Seconds from the clip's beginning."""
    end: float
    text: str


def seconds(clock: str) -> float:
    """``H:M:S`` with a fraction after a full stop or a comma.

    >>> seconds("0:01:02,5")
    62.5
    """
    hours, minutes, rest = clock.strip().replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


_CUE = re.compile(
    r"(\d+:\d+:\d+[,.]\d+)\s*-->\s*(\d+:\d+:\d+[,.]\d+)[^\n]*\n(.*?)(?=\n\s*\n|\Z)", re.DOTALL
)


def read_srt(text: str) -> list[Line]:
    """The cues of an SRT file without font tags, lines joined by blanks (Video-MME).

    >>> read_srt("1\\n00:00:01,000 --> 00:00:02,500\\n<font size=\\"2\\">Hi</font>\\nthere\\n")
    [Line(start=1.0, end=2.5, text='Hi there')]
    """
    cues = (
        (seconds(a), seconds(b), " ".join(re.sub(r"<[^>]*>", "", said).split()))
        for a, b, said in _CUE.findall(text.replace("\r\n", "\n"))
    )
    return [Line(*cue) for cue in cues if cue[2]]


def read_json(rows: Sequence[Mapping[str, Any]], offset: float, duration: float) -> list[Line]:
    """LongVideoBench's two forms, ``timestamp`` and ``text`` or ``start``, ``end`` and ``line``,
    ``offset`` seconds earlier.

    An end that isn't a float, not even an integer, becomes the clip's ``duration``, as in its
    loader.
    """
    found = []
    for row in rows:
        if "timestamp" in row:
            start, end = row["timestamp"]
            end, text = end if isinstance(end, float) else duration, row["text"]
        else:
            start, end, text = seconds(row["start"]), seconds(row["end"]), row["line"]
        found.append(Line(start - offset, end - offset, text))
    return found


def at_frames(lines: Sequence[Line], times: Sequence[float]) -> list[str]:
    """Texts of the lines that some frame shows, each once, in order (Video-MME's protocol for
    sampled frames)."""
    return [line.text for line in lines if any(line.start <= t < line.end for t in times)]


def interleave(lines: Sequence[Line], times: Sequence[float]) -> list[str]:
    """``IMAGE`` for every frame and the subtitles between them, as LongVideoBench's loader orders
    them.

    A line follows the frames up to its middle, and is left out unless a frame lies inside it (at
    least half a second to both sides of its middle).

    >>> interleave([Line(0.5, 1.5, "hi"), Line(1.9, 2.0, "unseen")], [0.0, 1.0, 4.0])
    ['<image>', '<image>', 'hi', '<image>']
    """
    found: list[str] = []
    shown = 0
    for start, end, text in lines:
        middle = (start + end) / 2
        while shown < len(times) and times[shown] <= middle:
            found.append(IMAGE)
            shown += 1
        if end - start < 1:
            start, end = middle - 0.5, middle + 0.5
        if any(start < t < end for t in times):
            found.append(text)
    return found + [IMAGE] * (len(times) - shown)
