"""Files appear complete or not at all; paths from data can't leave their folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .types import BadRow, WorkbookError

UNREADABLE = (ValueError, RecursionError)
"""What ``json`` raises: not JSON, not UTF-8, a number of thousands of digits; or nested too deeply."""
MEND = "Free some space or make the folder writable (or set SPACER_OUTPUTS to another folder), then run the same command again."


def write_atomic(path: Path, data: bytes | str | Iterable[str]) -> Path:
    """Write ``data`` (whole, or piece by piece) under a temporary name in the same folder, flush it to disk, then rename.

    A pipe or a device is written to, not replaced.

    Raises:
        WorkbookError: the folder can't be written or the disk is full; nothing half-written is left behind.
    """
    path = Path(path)
    pieces = (data,) if isinstance(data, bytes | str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (path.exists() and not path.is_file() and not path.is_dir()) or path.is_relative_to("/dev"):
            with open(path, "wb") as stream:
                stream.writelines(_bytes(piece) for piece in pieces)
            return path
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.writelines(_bytes(piece) for piece in pieces)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise WorkbookError(f"could not write {path}: {error.strerror or error}. Nothing was changed. {MEND}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return path


def _bytes(piece: bytes | str) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


def json_line(row: Any) -> str:
    """One JSONL line; NaN and infinity are refused because JSON has no such numbers."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    return write_atomic(path, (json_line(row) for row in rows))


def append_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Append whole lines in one write; a torn last line of a killed run is cut off first.

    Raises:
        WorkbookError: the folder can't be written or the disk is full.
    """
    path = Path(path)
    data = "".join(json_line(row) for row in rows).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            _drop_torn_line(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WorkbookError(f"could not write {path}: {error.strerror or error}. The rows before are whole. {MEND}") from error


def keep_if_same(folder: Path, fingerprint: str, results: str = "*") -> None:
    """Delete what a run with another fingerprint has left in a folder; one with the same goes on from what is there.

    Args:
        results: glob pattern of what is deleted.
    """
    stamp = folder / "fingerprint.json"
    try:
        known = json.loads(stamp.read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None  # none, or damaged: nobody knows by which settings the results were made
    if known != fingerprint:
        stamp.unlink(missing_ok=True)  # first: what a kill leaves half deleted is nobody's
        for old in folder.glob(results):
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        write_atomic(stamp, json.dumps({"fingerprint": fingerprint}))


def _drop_torn_line(file: Any) -> None:
    end = file.seek(0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        block = file.read(position - start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position != end:
        file.truncate(position)
    file.seek(0, os.SEEK_END)


def iterate_jsonl(path: Path, tolerate_torn_end: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield ``(line number from 1, row)`` of every non-empty line.

    Raises:
        BadRow: a line is not JSON in UTF-8 (a last line without its newline may be, with ``tolerate_torn_end``).
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise BadRow(f"{path}, line 1: UTF-16, not UTF-8. Convert it: iconv -f UTF-16 -t UTF-8 {path.name}")
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except UNREADABLE as error:
                if tolerate_torn_end and not line.endswith(b"\n"):
                    return
                why = error.msg if isinstance(error, json.JSONDecodeError) else error
                raise BadRow(f"{path}, line {number}: not JSON ({why}). Mend or remove the line.") from error


def read_jsonl(path: Path, tolerate_torn_end: bool = False) -> list[Any]:
    return [row for _, row in iterate_jsonl(path, tolerate_torn_end)]


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(root: Path, relative: str) -> Path:
    """``root / relative``, proved to lie inside ``root``.

    Links are followed within the folder; from a snapshot of the hub's cache, whose files are links, within its repository.

    Raises:
        WorkbookError: the path is absolute or leaves the folder (``../``), also through a symbolic link; or no file can have it.
    """
    root = Path(root).resolve()
    path = Path(os.path.normpath(root / relative))
    try:
        real = path.resolve()
    except (ValueError, RuntimeError) as error:  # a null byte or a lone surrogate; a loop of links
        raise WorkbookError(f"path {relative!r} can't be a file's ({error}). Use a path relative to {root.name}/.") from error
    if Path(relative).is_absolute() or not path.is_relative_to(root) or not real.is_relative_to(_repository(root)):
        raise WorkbookError(f"path {relative!r} leaves the dataset's folder. Use a path relative to {root.name}/.")
    return path


def _repository(root: Path) -> Path:
    """The hub repository in whose snapshot a folder lies (``datasets--.../snapshots/<revision>``), else the folder itself."""
    for folder in (root, *root.parents):
        snapshots, repository = folder.parent, folder.parent.parent
        if snapshots.name == "snapshots" and repository.name.startswith(("datasets--", "models--", "spaces--")):
            return repository
    return root
