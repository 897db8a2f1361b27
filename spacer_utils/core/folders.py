"""Folders that runs write to: a lock for each, and a record of its files and of what made them.

The record names every file that one of our runs has written there. Only these files are ever
deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .claim import claim
from .files import content_hash, known_digests, remember, write_atomic
from .types import WorkbookError

RECORD, LOCK = "fingerprint.json", ".lock"
TORN = re.compile(r"^\.(.+)\.\w+\.tmp$")
"""File that ``write_atomic`` was killed while writing."""
SHOWN = 3
"""How many differences or files a message names."""
NOBODYS = ""
"""Kind of a record that belongs to no run: its files were just being deleted, or no run has begun
yet."""
GONE = "missing"
"""The digest of a missing file."""
_held: set[int] = set()
"""Descriptors of this process's locks."""


@dataclass(frozen=True)
class Inputs:
    """What decides a result."""

    kind: str
    """What is made: ``training``, ``evaluation`` and so on."""
    settings: Mapping[str, Any]
    """Dotted name -> value, as JSON has it."""
    files: Mapping[str, str]
    """Name of a file in messages -> digest of its content."""
    paths: Sequence[str] = ()
    """Paths of these files."""

    @classmethod
    def of(
        cls, kind: str, settings: Mapping[str, Any], files: Mapping[str, Path], folder: Path
    ) -> Inputs:
        """The inputs of a run. Every file is read once, unless the record of ``folder`` has its
        digest.

        Args:
            settings: values may be nested mappings.
            files: name as a message shall say it -> the file; one that is missing counts as such.
        """
        Record.of(folder)  # which remembers its digests
        digests = {
            name: content_hash(path) if path.is_file() else GONE for name, path in files.items()
        }
        plain = json.loads(json.dumps(settings, default=str))
        return cls(kind, dict(_flat(plain)), digests, [str(path) for path in files.values()])

    @property
    def fingerprint(self) -> str:
        text = json.dumps([self.kind, self.settings, self.files], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changes(self, before: Inputs) -> list[str]:
        """What differs from earlier inputs, a phrase for each difference; settings first."""
        found = []
        for name in dict.fromkeys([*self.settings, *before.settings]):
            old, new = before.settings.get(name), self.settings.get(name)
            if old != new:
                found.append(f"{name}: {old} -> {new}")
        for name in dict.fromkeys([*self.files, *before.files]):
            earlier, now = before.files.get(name, GONE), self.files.get(name, GONE)
            if earlier != now:
                found.append(
                    f"{name} {'is new' if earlier == GONE else 'is gone' if now == GONE else 'has changed'}"
                )
        return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


@dataclass
class Record:
    """What a folder's ``fingerprint.json`` says; every change is on disk before the next step."""

    folder: Path
    inputs: Inputs | None = None
    """None: nothing of ours stands there, or the record is damaged."""
    finished: bool = False
    written: set[str] = field(default_factory=set)
    """Paths, relative to the folder, of the files that are ours."""
    begun: dict[str, list[str]] = field(default_factory=dict)
    """Subfolders that are being written to, and the files of others that stood in them before."""

    @classmethod
    def of(cls, folder: Path) -> Record:
        """The record of a folder; an empty one where there is none or it is damaged."""
        folder = Path(folder)
        try:
            row = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            remember(row["digests"])
            inputs = Inputs(
                row["kind"], row["settings"], row["files"], [d[0] for d in row["digests"]]
            )
            return cls(folder, inputs, row["finished"], set(row["written"]), dict(row["begun"]))
        except (OSError, ValueError, LookupError, TypeError):
            return cls(folder)

    def same(self, inputs: Inputs) -> bool:
        return self.inputs is not None and self.inputs.fingerprint == inputs.fingerprint

    def add(self, names: Iterable[str]) -> None:
        """List files before they are written."""
        self.written.update(names)
        self._save()

    @contextlib.contextmanager
    def saving(self, name: str) -> Iterator[None]:
        """List all files that appear in a subfolder while the block runs. After a kill they count
        as half-written."""
        self.begun[name] = sorted(set(_files(self.folder, name)) - self.written)
        self._save()
        yield
        self.written |= set(_files(self.folder, name)) - set(self.begun.pop(name))
        self._save()

    def finish(self) -> None:
        """Mark the result as finished. Only ``overwrite`` deletes a finished one."""
        self.finished = True
        self._save()

    def remove(self, *names: str) -> None:
        """Delete listed files, and the folders that this leaves empty; a name ends in ``/`` for all
        files below it."""
        mine = {
            w
            for w in self.written
            if any(w == n or (n.endswith("/") and w.startswith(n)) for n in names)
        }
        self._delete(mine)
        self.written -= mine
        self._save()

    def move(self, source: str, target: str) -> None:
        """Move the listed files of one subfolder to another, in place of those that are listed
        there."""
        self.remove(f"{target}/")
        moved = {
            w: f"{target}/{w.removeprefix(f'{source}/')}"
            for w in sorted(self.written)
            if w.startswith(f"{source}/")
        }
        self.add(moved.values())
        for old, new in moved.items():
            (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.folder / old, self.folder / new)
        self.remove(f"{source}/")

    def _delete(self, names: Iterable[str]) -> None:
        root = self.folder.resolve()
        for name in names:
            path = root / name
            if path.parent.resolve() != path.parent:
                continue  # behind a link, or outside: not where we wrote it
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == root or not _rmdir(parent):
                    break

    def _save(self) -> None:
        inputs = self.inputs or Inputs(NOBODYS, {}, {})
        row = {
            "fingerprint": inputs.fingerprint,
            "kind": inputs.kind,
            "finished": self.finished,
            "settings": inputs.settings,
            "files": inputs.files,
            "written": sorted(self.written),
            "begun": self.begun,
            "digests": known_digests(inputs.paths),
        }
        write_atomic(self.folder / RECORD, json.dumps(row, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder's lock.

    Raises:
        WorkbookError: another run holds it, or the folder can't be written.
    """
    lock = Path(folder) / LOCK
    try:
        handle = claim(lock)
    except BlockingIOError:
        owner = lock.read_text().strip() or "unknown"
        raise WorkbookError(
            f"another run (process {owner}) is working in {folder}. Wait for it, or name another folder "
            "with --out."
        ) from None
    except OSError as error:
        raise WorkbookError(
            f"could not write {lock}: {error.strerror}. Make the folder writable, or name another one with "
            "--out."
        ) from error
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        os.ftruncate(handle, 0)
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _let_go() -> None:
    """Close the locks in a forked worker. Else it would hold its parent's after the parent was
    killed."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def check(
    folder: Path,
    inputs: Inputs,
    names: Collection[str],
    *,
    overwrite: bool = False,
    alone: bool = False,
) -> Record:
    """Whether a run may write to a folder; the folder's record. Nothing is changed.

    Args:
        names: glob patterns of the paths that the run writes.
        overwrite: a finished run of other settings may be replaced.
        alone: without ``overwrite`` nothing else may stand in a folder that has no record yet.

    Raises:
        WorkbookError: a finished run of other settings or files of others stand in the way; the
            message names them.
    """
    # Files of others, and those of them that the run would overwrite.
    record = Record.of(folder)
    half = _half_written(record, names)
    others = [
        name for name in _files(record.folder) if name not in record.written and name not in half
    ]
    in_the_way = [name for name in others if _any_match(name, names)]
    offer = "or move them away"
    if alone and not in_the_way and record.inputs is None and not overwrite:
        in_the_way = others
        offer = "or give --overwrite (in Python: overwrite=True), which leaves them where they are"
    if in_the_way:
        raise WorkbookError(
            f"{folder} holds files that no run of the workbook has listed as its own ({_some(in_the_way)}). Name "
            f"another folder with --out, {offer}."
        )

    # A run of other inputs.
    old = record.inputs
    if old is None or old.kind == NOBODYS or record.same(inputs) or overwrite:
        return record
    if old.kind != inputs.kind or record.finished:
        state = "a finished" if record.finished else "an unfinished"
        why = (
            f"not one of {inputs.kind}"
            if old.kind != inputs.kind
            else f"with other inputs: {_some(inputs.changes(old))}"
        )
        raise WorkbookError(
            f"{folder} holds {state} run of {old.kind}, {why}. Name another folder with --out, "
            "or give --overwrite (in Python: overwrite=True) to replace it."
        )
    return record


def begin(
    folder: Path,
    inputs: Inputs,
    names: Collection[str],
    *,
    overwrite: bool = False,
    alone: bool = False,
) -> Record:
    """Make a folder ready for a run. A run with the same inputs goes on from what is there.

    Files listed by a run with other inputs are deleted, and so are half-written ones; standard
    error says why. The arguments are those of ``check``.

    Raises:
        WorkbookError: as ``check``; nothing was changed.
    """
    record = check(folder, inputs, names, overwrite=overwrite, alone=alone)
    record._delete(_half_written(record, names))
    record.begun = {}
    record.finished = False
    old = record.inputs
    if old is not None and not record.same(inputs):
        if old.kind == inputs.kind:
            print(f"{folder}: not used again, {_some(inputs.changes(old))}", file=sys.stderr)
        # First, so that after a kill the rest belongs to no run.
        record.inputs = Inputs(NOBODYS, {}, {})
        record._save()
        record._delete(record.written)
        record.written = set()
    record.inputs = inputs
    record._save()
    return record


def _half_written(record: Record, names: Collection[str]) -> set[str]:
    """Files of subfolders whose writing was cut off. Files that no run writes are not among them:
    they are the user's."""
    return {
        name
        for folder, before in record.begun.items()
        for name in _files(record.folder, folder)
        if name not in before and name not in record.written and _any_match(name, names)
    }


def _files(folder: Path, below: str = "") -> list[str]:
    """Relative paths of all files and links, but for the record, the lock and what a killed
    ``write_atomic`` has left."""
    found = []
    for root, folders, files in os.walk(folder / below):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in (*files, *links):
            relative = Path(root, name).relative_to(folder).as_posix()
            if relative not in (RECORD, LOCK) and not TORN.match(name):
                found.append(relative)
    return sorted(found)


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _some(things: Sequence[str]) -> str:
    more = f", and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return ", ".join(things[:SHOWN]) + more


def _rmdir(folder: Path) -> bool:
    """Whether the folder was empty and is gone now."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
