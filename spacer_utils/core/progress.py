"""How far long work is: a bar in JupyterLab, elsewhere one clean line every few seconds."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

LOG = "SPACER_LOG"
"""Environment variable: file that takes progress lines of a headless run; unset in JupyterLab and
in a shell."""


class Progress:
    """A bar in JupyterLab; elsewhere a line every few seconds: headless into the runner's log, so
    that outputs stay equal."""

    EVERY = 5.0

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = self.last = time.monotonic()
        self._bar: Any = None

    def __call__(self, done: int, total: int, metrics: Mapping[str, Any] | None = None) -> None:
        """Tell how far the work is; ``metrics`` of a training step are in its log and not shown
        here."""
        log = os.environ.get(LOG)
        if log or not interactive():
            self._line(log, done, total)
        else:
            self._draw(done, total)

    def _line(self, log: str | None, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= self.EVERY or done >= total:
            self.last = now
            spent = now - self.started
            left = spent / max(done, 1) * (total - done)
            with (
                open(log, "a", encoding="utf-8")
                if log
                else contextlib.nullcontext(sys.stderr) as file
            ):
                file.write(
                    f"{self.label} | {done}/{total} | {clock(spent)} elapsed, {clock(left)} left\n"
                )

    def _draw(self, done: int, total: int) -> None:
        from tqdm.auto import tqdm

        if self._bar is None:
            self._bar = tqdm(total=total, desc=self.label, leave=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()


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
