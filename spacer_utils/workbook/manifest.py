"""The facts of one run of one notebook: code, machine, inputs, outputs, memory. Written by the
runner, never by code that notebooks call."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from ..core.files import sha256, write_atomic
from ..core.profiles import PROJECT
from ..core.progress import tell, unfinished

HASHED_BYTES = 64 * 2**20
"""Larger files are identified by size and time of change: hashing a 7B checkpoint after every
notebook would take minutes."""


def digest(root: Path, patterns: Iterable[str]) -> dict[str, str]:
    """``{pattern: hash}`` of the files and folders below ``root`` that match; ``missing`` where
    none does."""
    return {pattern: _digest(sorted(root.glob(pattern)), root) for pattern in patterns}


def _digest(paths: list[Path], root: Path) -> str:
    files = sorted(f for p in paths for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file())
    if not files:
        return "missing"
    seen = hashlib.sha256()
    for file in files:
        stat = file.stat()
        mark = (
            sha256(file) if stat.st_size <= HASHED_BYTES else f"{stat.st_size} {stat.st_mtime_ns}"
        )
        seen.update(f"{file.relative_to(root)} {mark}\n".encode())
    return seen.hexdigest()[:16]


class Watch:
    """Follows the run's log and its memory in a thread; with it open, its bars are shown here."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        # before the thread starts: what is written from now on is shown, however late it starts
        self._position = self.log.stat().st_size if self.log.exists() else 0
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        running = True
        while running:
            running = not self._stop.wait(0.5)
            self.peak_mb = max(self.peak_mb, resident_mb())
            if self.log.exists():
                with open(self.log, encoding="utf-8", errors="replace") as file:
                    file.seek(self._position)
                    text = file.read()
                    self._position = file.tell()
                for line in text.splitlines():
                    tell(line, sys.stdout, finished=not unfinished(line))


def resident_mb() -> float:
    """Resident memory of this process and all its children, MB."""
    total = 0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 1e6


def brief(path: Path) -> str:
    """A path as messages show it: inside the project relative to it."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def write(out: Path, name: str, row: dict[str, Any]) -> Path:
    return write_atomic(
        path(out, name), json.dumps(row, indent=1, ensure_ascii=False, default=str) + "\n"
    )


def path(out: Path, name: str) -> Path:
    """``manifests/NN.json``."""
    return out / "manifests" / f"{name.split('_')[0]}.json"


def read(out: Path, name: str) -> dict[str, Any]:
    """The manifest of a notebook's last run; empty if it never ran or the file is damaged."""
    try:
        row = json.loads(path(out, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}
