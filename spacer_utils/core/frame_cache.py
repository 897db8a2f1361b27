"""Decoded frames on disk, shared by processes: one file for each clip and sampling.

The folder's size is limited. It may be deleted at any time; clips are then decoded again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .files import write_atomic
from .types import WorkbookError

Pixels = npt.NDArray[np.uint8]
HOUR = 3600.0
"""Seconds after which an unfinished file is abandoned: its writer was killed."""
LIMIT = 10_000_000_000
"""Bytes that a folder may hold. Beyond that, the files used longest ago are deleted."""


def kept(
    folder: Path, key: str, make: Callable[[], tuple[Pixels, dict[str, Any]]]
) -> tuple[Pixels, dict[str, Any]]:
    """Frames and their facts, from the folder or else from ``make``.

    Kept frames are memory-mapped and read-only. If the folder can't be written, a warning says so.
    """
    path = folder / f"{key}.npy"
    found = _read(path)
    if found is None:
        pixels, about = make()
        if pixels.nbytes <= LIMIT:
            try:
                _write(path, pixels, about)
                _let_go(folder, path)
            except (WorkbookError, OSError) as error:
                warnings.warn(f"decoded frames are not kept: {error}", stacklevel=2)
        found = _read(path) or (pixels, about)
    return found


def _read(path: Path) -> tuple[Pixels, dict[str, Any]] | None:
    """The frames and facts of a file; None if it is damaged, or missing: another process may have
    deleted it."""
    try:
        pixels = np.load(path, mmap_mode="r")
        with open(path, "rb") as file:
            file.seek(pixels.offset + pixels.nbytes)
            about = json.loads(file.read())
        # Note the time of use. If another process deletes the file now, the open one stays valid.
        with contextlib.suppress(OSError):
            os.utime(path)
        return pixels, about
    except (OSError, ValueError, EOFError):
        return None


def _write(path: Path, pixels: Pixels, about: dict[str, Any]) -> None:
    """Write frames and facts into one file. Two files might end up from two writers."""
    data = io.BytesIO()
    np.save(data, pixels)
    data.write(json.dumps(about).encode())
    write_atomic(path, data.getvalue())


def _let_go(folder: Path, new: Path) -> None:
    """Delete abandoned files, and the files used longest ago until the rest fits ``LIMIT``."""
    # What is there. Another process may be deleting, too.
    now = new.stat().st_mtime
    files = []
    for entry in os.scandir(folder):
        try:
            about = entry.stat()
        except FileNotFoundError:
            continue
        if entry.name.endswith(".npy"):
            files.append((about.st_mtime, about.st_size, Path(entry.path)))
        elif ".npy." in entry.name and about.st_mtime < now - HOUR:
            Path(entry.path).unlink(missing_ok=True)

    # The oldest go first; the new file stays.
    held = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if held <= LIMIT:
            return
        if path != new:
            path.unlink(missing_ok=True)
            held -= size
