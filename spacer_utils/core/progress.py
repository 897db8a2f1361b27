"""How far long work is: a bar in JupyterLab, elsewhere one clean line every few seconds.

A process that another one follows passes its steps on as JSON lines instead, which the other one
shows.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

LOG = "SPACER_LOG"
"""Environment variable: file that takes progress lines of a headless run; unset in JupyterLab and
in a shell."""

FOLLOWED = "SPACER_FOLLOWED"
"""Environment variable, set for a process whose output another one reads: it prints ``MARK`` lines."""
MARK = "spacer-progress "
"""What begins a step that is passed on; ``{"done": 3, "total": 10}`` follows."""


class Progress:
    """A bar in JupyterLab; elsewhere a line every few seconds: headless into the runner's log, so
    that outputs stay equal."""

    EVERY = 5.0
    """Seconds between two lines."""
    SHOWN = ("loss", "reward", "kl")

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = self.last = time.monotonic()
        self._bar: Any = None

    def __call__(self, done: int, total: int, metrics: Mapping[str, Any] | None = None) -> None:
        """Tell how far the work is.

        Args:
            metrics: of a training step; a line shows those of ``SHOWN`` that are there.
        """
        log = os.environ.get(LOG)
        if os.environ.get(FOLLOWED):
            print(MARK + json.dumps({"done": done, "total": total}), flush=True)
        elif log or not interactive():
            self._line(log, done, total, metrics or {})
        else:
            self._draw(done, total)

    def _line(self, log: str | None, done: int, total: int, metrics: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self.last >= self.EVERY or done >= total:
            self.last = now
            spent = now - self.started
            left = spent / max(done, 1) * (total - done)
            shown = "".join(
                f" | {name} {metrics[name]:.4g}"
                for name in self.SHOWN
                if isinstance(metrics.get(name), float)
            )
            with (
                open(log, "a", encoding="utf-8")
                if log
                else contextlib.nullcontext(sys.stderr) as file
            ):
                file.write(
                    f"{self.label} | {done}/{total} | {clock(spent)} elapsed, {clock(left)} left{shown}\n"
                )

    def _draw(self, done: int, total: int) -> None:
        from tqdm.auto import tqdm

        if self._bar is None:
            self._bar = tqdm(total=total, desc=self.label, leave=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()


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
