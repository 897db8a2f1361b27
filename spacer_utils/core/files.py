"""Write files whole or not at all, read JSON lines, hash files, keep paths inside a folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .types import BadRow, WorkbookError

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = "media"
"""In a dataset of ours that was made of published rows: the link to their media."""

UNREADABLE = (ValueError, RecursionError)
"""What ``json`` raises: not JSON, not UTF-8, a number of thousands of digits; or nested too
deeply."""
MODEL_FILES = (
    "*.safetensors",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.index.json",
    "*config.json",
    "tokenizer.json",
    "vocab.*",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    "*.jinja",
    "*/*.jinja",
)
"""Files of a checkpoint that decide what the model says."""
STATES = ("training_args.bin", "optimizer.*", "scheduler.*", "rng_state*")
"""Files of a trainer's state, whose names look like weights."""
MEND = "Free some space or make the folder writable (or set SPACER_OUTPUTS to another folder), then run the same command again."


def write_atomic(path: Path, data: bytes | str | Iterable[str]) -> Path:
    """Write ``data`` (whole, or piece by piece) under a temporary name in the same folder, flush it
    to disk, then rename.

    A pipe or a device is written to, not replaced.

    Raises:
        WorkbookError: the folder can't be written or the disk is full; nothing half-written is left
            behind.
    """
    path = Path(path)
    pieces = (data,) if isinstance(data, bytes | str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)

        # A pipe or a device.
        special = path.exists() and not path.is_file() and not path.is_dir()
        if special or path.is_relative_to("/dev"):
            with open(path, "wb") as stream:
                stream.writelines(_bytes(piece) for piece in pieces)
            return path

        # A file: write, flush, rename.
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        with os.fdopen(handle, "wb") as file:
            file.writelines(_bytes(piece) for piece in pieces)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise WorkbookError(
            f"could not write {path}: {error.strerror or error}. Nothing was changed. {MEND}"
        ) from error
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
        raise WorkbookError(
            f"could not write {path}: {error.strerror or error}. The rows before are whole. {MEND}"
        ) from error


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
        BadRow: a line is not JSON in UTF-8; with ``tolerate_torn_end``, a last line without its
            newline is left out instead.
    """
    with open(path, "rb") as file:
        try:
            for number, line in filled_lines(file):
                try:
                    yield number, json_of(line)
                except BadRow as error:
                    if tolerate_torn_end and not line.endswith(b"\n"):
                        return
                    raise BadRow(f"line {number}: {error}. Mend or remove the line.") from error
        except BadRow as error:
            raise BadRow(f"{path}, {error}") from error


def filled_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield ``(line number from 1, line)`` of every line that is not empty, without a byte order
    mark.

    Raises:
        BadRow: the first line is UTF-16.
    """
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BadRow("line 1: UTF-16, not UTF-8. Convert it: iconv -f UTF-16 -t UTF-8")
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            yield number, line


def json_of(line: bytes) -> Any:
    """The JSON value of one line.

    Raises:
        BadRow: not UTF-8, or not JSON.
    """
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 ({error.reason} at byte {error.start})") from error
    except UNREADABLE as error:
        raise BadRow(f"not JSON ({error})") from error


def read_jsonl(path: Path, tolerate_torn_end: bool = False) -> list[Any]:
    return [row for _, row in iterate_jsonl(path, tolerate_torn_end)]


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes, read now; ``content_hash`` remembers it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_digests: dict[tuple[str, int, int, int, int], str] = {}
"""Digests by path, size, times of change (of content and of anything, ns) and inode."""


def content_hash(path: Path) -> str:
    """SHA-256 of a file, computed once for a given path, size, time of change and inode.

    Raises:
        WorkbookError: the file can't be read.
    """
    try:
        key = _state(path)
        if key not in _digests:
            _digests[key] = sha256(path)
        return _digests[key]
    except OSError as error:
        raise WorkbookError(f"can't read {path}: {error.strerror}.") from error


def _state(path: Path) -> tuple[str, int, int, int, int]:
    stat = os.stat(path)
    return str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def known_digests(paths: Sequence[str]) -> list[list[Any]]:
    """The known digests of these files, in the form that ``remember`` takes in another process."""
    wanted = set(paths)
    return sorted([*key, digest] for key, digest in _digests.items() if key[0] in wanted)


def remember(rows: Iterable[Sequence[Any]]) -> None:
    """Take over digests from ``known_digests``. A changed file is hashed again in any case."""
    _digests.update({(row[0], row[1], row[2], row[3], row[4]): row[5] for row in rows})


def model_files(model: str) -> dict[str, Path]:
    """Weights, configuration, processor, tokenizer and templates of a checkpoint's folder; none of
    a hub id."""
    folder = Path(model)
    found = (
        {path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()}
        if folder.is_dir()
        else set()
    )
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(found)
        if not any(path.match(pattern) for pattern in STATES)
    }


def model_digest(model: str) -> str:
    """Digest of all files that decide what a checkpoint says; of a hub id, the id itself."""
    found = [f"{name} {content_hash(path)}" for name, path in model_files(model).items()]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16] if found else model


def inside(root: Path, relative: str) -> Path:
    """``root / relative``, checked to lie inside ``root``.

    Links are followed within the folder; from a snapshot of the hub's cache, whose files are links,
    within its repository; from the workbook's own outputs, also within the folder of ``MEDIA``.

    Raises:
        WorkbookError: the path is absolute or leaves the folder (``../``), also through a symbolic
            link; or no file can have it.
    """
    root = Path(root).resolve()
    path = Path(os.path.normpath(root / relative))
    try:
        real = path.resolve()
    except (ValueError, RuntimeError) as error:  # a null byte or a lone surrogate; a loop of links
        raise WorkbookError(
            f"path {relative!r} can't be a file's ({error}). Use a path relative to {root.name}/."
        ) from error
    if (
        Path(relative).is_absolute()
        or not path.is_relative_to(root)
        or not any(real.is_relative_to(folder) for folder in _allowed(root))
    ):
        raise WorkbookError(
            f"path {relative!r} leaves the dataset's folder. Use a path relative to {root.name}/."
        )
    return path


def outputs_root() -> Path:
    """The folder of all outputs, which the environment variable ``SPACER_OUTPUTS`` moves."""
    return Path(os.environ.get("SPACER_OUTPUTS", PROJECT / "outputs"))


def _allowed(root: Path) -> Iterator[Path]:
    """The folders in which files of the dataset ``root`` may lie.

    Only in the workbook's outputs is a link to media our own: a downloaded dataset could bring one.
    """
    yield _repository(root)
    link = root / MEDIA
    if link.is_symlink() and root.is_relative_to(_resolved(str(outputs_root()))):
        yield _repository(_resolved(os.readlink(link)))


@cache
def _resolved(path: str) -> Path:
    """Asked for every row of a dataset."""
    return Path(path).resolve()


def _repository(root: Path) -> Path:
    """The hub repository in whose snapshot a folder lies (``datasets--.../snapshots/<revision>``),
    else the folder itself."""
    for folder in (root, *root.parents):
        snapshots, repository = folder.parent, folder.parent.parent
        if snapshots.name == "snapshots" and repository.name.startswith(
            ("datasets--", "models--", "spaces--")
        ):
            return repository
    return root
