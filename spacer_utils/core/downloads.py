"""What a published folder lacks: shards that did not arrive, archives that nobody unpacked; and
folders that come from the hub."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from lzma import LZMAError
from pathlib import Path

from .types import WorkbookError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""``owner/name``."""
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
PART = re.compile(r"(.+?\.(?:tar(?:\.gz)?|tgz|zip|part))(?:[._-]part)?[._-](\d{2,3}|[a-z]{2})")
"""A piece of an archive that was cut in several, such as ``SpaceR-151k.part_03``."""
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError)
"""What the readers of archives raise of damaged ones, beside errors of the machine."""
PACKED = (*(f"*{end}" for end in ENDINGS), "*.part*", "*.tar.*", "*.7z", "*.rar", "*.zst")
"""Glob patterns of archives. They are not fetched: the workbook unpacks nothing."""


def is_hub_id(text: str) -> bool:
    """Whether a text names something on the hub, and no folder of this machine."""
    return bool(HUB_ID.fullmatch(text)) and not Path(text).exists()


def fetch_command(hub: str, folder: str) -> str:
    """The command that downloads a dataset of the hub."""
    return f"hf download {hub} --repo-type dataset --local-dir {folder}"


def snapshot(hub: str) -> Path:
    """A dataset of the hub as a folder of its cache, without its archives.

    Raises:
        WorkbookError: the hub has no such dataset, refuses it, or can't be reached, and the cache
            does not have it.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, repo_type="dataset", ignore_patterns=list(PACKED)))
    except Exception as error:  # the library raises whatever its transports raise
        why = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise WorkbookError(
            f"{hub} can't be had from the hub, nor from its cache ({type(error).__name__}: {why[:160]}). Check the name "
            f"and the network, or download it elsewhere ({fetch_command(hub, 'FOLDER')}) and give that folder."
        ) from error


def check_shards(paths: Iterable[Path]) -> None:
    """Check that files named ``-00000-of-00003`` are all there.

    Raises:
        WorkbookError: one is missing; the message names it.
    """
    there: dict[tuple[Path, str, str, str], set[int]] = {}
    for path in paths:
        if named := SHARD.fullmatch(path.name):
            stem, number, count, ending = named.groups()
            there.setdefault((path.parent, stem, count, ending), set()).add(int(number))
    for (folder, stem, count, ending), numbers in there.items():
        lost = [f"{stem}-{k:05d}-of-{count}{ending}" for k in range(int(count)) if k not in numbers]
        if lost:
            raise WorkbookError(
                f"{folder} lacks {', '.join(lost[:3])} ({len(numbers)} of {int(count)} shards are there). Download "
                "the rest, or what is scored would be another set."
            )


def still_packed(folder: Path) -> list[str]:
    """Archives of a folder, and of those right below it, whose content does not stand beside them:
    for each its name and the command that unpacks it.

    An archive counts as unpacked if its first file is there, in the archive's folder or in one of
    the archive's name. Archives in pieces are looked at by their first piece.
    """
    wholes: dict[Path, list[Path]] = {}
    for path in sorted(p for depth in ("*", "*/*") for p in folder.glob(depth) if p.is_file()):
        if path.name.lower().endswith(ENDINGS):
            wholes[path] = [path]
        elif cut := PART.fullmatch(path.name):
            wholes.setdefault(path.with_name(cut[1]), []).append(path)
    found = []
    for whole, pieces in wholes.items():
        first = _first_file(pieces)
        if first and not any(os.path.exists(place / first) for place in _places(whole)):
            found.append(_unpacking(folder, whole, pieces))
    return found


def _places(whole: Path) -> list[Path]:
    """Where an archive's content may have been unpacked."""
    stem = whole.name.split(".")[0]
    return [whole.parent, whole.parent / stem, *(p for p in whole.parent.iterdir() if p.is_dir())]


def _first_file(pieces: Sequence[Path]) -> str:
    """The first file in an archive, ``?`` if it can't be listed; empty for an empty one."""
    try:
        if pieces[0].name.lower().endswith(".zip"):
            with zipfile.ZipFile(pieces[0]) as archive:
                names = (n for n in archive.namelist() if not n.startswith("__MACOSX"))
                return next((n for n in names if not n.endswith("/")), "")
        with tarfile.open(pieces[0], "r|*") as archive_:
            return next((member.name for member in archive_ if member.isfile()), "")
    except (OSError, EOFError, ValueError, NotImplementedError, *BROKEN):
        return "?"


def _unpacking(folder: Path, whole: Path, pieces: Sequence[Path]) -> str:
    where = whole.parent.relative_to(folder).as_posix()
    inside = "" if where == "." else f"{where}/"
    if pieces[0] != whole:
        with open(pieces[0], "rb") as file:
            gz = "z" * (file.read(2) == b"\x1f\x8b")
        return (
            f"{inside}{whole.name} in {len(pieces)} pieces: cd {where} && "
            f"cat {whole.name}* | tar -x{gz}f -"
        )
    if whole.name.lower().endswith(".zip"):
        return f"{inside}{whole.name}: cd {where} && unzip {whole.name}"
    return f"{inside}{whole.name}: cd {where} && tar -xf {whole.name}"
