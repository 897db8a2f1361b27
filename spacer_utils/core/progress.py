"""How far long work is: the same bar with what is left in a terminal, in JupyterLab and in Make.

In a terminal the bar stays on one line; where output goes to a file or a pipe, a line every few
seconds takes its place. A process that another one follows passes its steps on as JSON lines
instead, which the other one shows.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

LOG = "SPACER_LOG"
"""Environment variable: file that takes the lines of a headless run, which the runner shows; unset
in JupyterLab and in a shell."""

FOLLOWED = "SPACER_FOLLOWED"
"""Environment variable, set for a process whose output another one reads: it prints ``MARK`` lines."""
MARK = "spacer-progress "
"""What begins a step that is passed on; ``{"done": 3, "total": 10}`` follows."""
WIDE = 20
"""Letters of a full bar."""


class Progress:
    """Callable ``(done, total)`` that shows a bar."""

    EVERY = 5.0
    """Seconds between two lines, where a bar can't be drawn again in its place."""
    OFTEN = 0.2
    """Seconds between two drawings in place."""
    SHOWN = ("loss", "reward", "kl")

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = self.last = time.monotonic()
        self._before: int | None = None  # steps of an earlier run that this one goes on from
        self._cell: Any = None

    def __call__(self, done: int, total: int, metrics: Mapping[str, Any] | None = None) -> None:
        """Tell how far the work is.

        Args:
            metrics: of a training step; the bar shows those of ``SHOWN`` that are there.
        """
        if os.environ.get(FOLLOWED):
            print(MARK + json.dumps({"done": done, "total": total}), flush=True)
            return
        if self._before is None:
            self._before = max(0, done - 1)

        log, kernel = os.environ.get(LOG), interactive()
        in_place = not log and (kernel or sys.stderr.isatty())
        now = time.monotonic()
        if done < total and now - self.last < (self.OFTEN if in_place else self.EVERY):
            return
        self.last = now
        text = bar(self.label, done, total, now - self.started, self._before, self._told(metrics))
        if log:
            with open(log, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        elif kernel:
            self._draw(text, done >= total)
        else:
            tell(text, sys.stderr, finished=done >= total)

    def _told(self, metrics: Mapping[str, Any] | None) -> str:
        known = {k: v for k in self.SHOWN if isinstance(v := (metrics or {}).get(k), float)}
        return "".join(f" | {name} {value:.4g}" for name, value in known.items())

    def _draw(self, text: str, finished: bool) -> None:
        """The bar in a cell's output, which is empty again at the end."""
        from IPython.display import display

        shown = {"text/plain": "" if finished else text}
        if self._cell is None:
            self._cell = display(shown, raw=True, display_id=True)
        else:
            self._cell.update(shown, raw=True)


def bar(label: str, done: int, total: int, spent: float, before: int = 0, more: str = "") -> str:
    """How far the work is, in one line.

    Args:
        spent: seconds since it began here.
        before: steps that had been done before it began here.

    >>> bar("rooms", 5, 20, 10.0)
    'rooms [#####---------------] 5/20, 0:30 left'
    >>> bar("rooms", 15, 20, 10.0, before=10)
    'rooms [###############-----] 15/20, 0:10 left'
    >>> bar("rooms", 20, 20, 40.0)
    'rooms [####################] 20/20, done in 0:40'
    """
    full = WIDE * done // max(total, 1)
    left = spent / max(done - before, 1) * (total - done)
    when = f"{clock(left)} left" if done < total else f"done in {clock(spent)}"
    return f"{label} [{'#' * full}{'-' * (WIDE - full)}] {done}/{total}, {when}{more}"


def tell(text: str, stream: TextIO, *, finished: bool) -> None:
    """Show a bar: in a terminal in place of the one before, elsewhere as a line."""
    if stream.isatty():
        width = shutil.get_terminal_size().columns - 1
        stream.write("\r\x1b[K" + text[:width] + ("\n" if finished else ""))
    else:
        stream.write(text + "\n")
    stream.flush()


def unfinished(line: str) -> bool:
    """Whether a line of a log is a bar of work that goes on.

    >>> unfinished(bar("rooms", 5, 20, 10.0)), unfinished(bar("rooms", 20, 20, 10.0))
    (True, False)
    """
    return "] " in line and " left" in line


def passed_on(line: str) -> tuple[int, int] | None:
    """``(done, total)`` of a line that passes a step on; None of any other line.

    >>> passed_on('spacer-progress {"done": 3, "total": 10}'), passed_on("step 3/10")
    ((3, 10), None)
    """
    _, mark, step = line.partition(MARK)  # a launcher may put its own mark before a line
    if not mark:
        return None
    found = json.loads(step)
    return found["done"], found["total"]


def interactive() -> bool:
    """Whether this is a notebook's kernel, and not a process that has only imported one."""
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``."""
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )
