"""The facts of one run of one notebook: code, machine, inputs, outputs, memory. Written by the
runner, never by stage code."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import threading
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from ..core.files import sha256, write_atomic
from ..core.profiles import PROJECT

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "numpy",
    "numba",
    "av",
    "decord",
    "papermill",
)
HASHED_BYTES = 64 * 2**20
"""Larger files are identified by size and time of change: hashing a 7B checkpoint after every
notebook would take minutes."""


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def code() -> dict[str, Any]:
    """Commit and whether the tree differs from it; ``unknown`` outside a git clone."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": _git("rev-parse", "HEAD") or "unknown", "dirty": bool(changes)}


def versions() -> dict[str, str]:
    """Python and the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def memory_gb() -> float:
    """Memory that this machine (or the container's limit) gives us, GB."""
    total: int = psutil.virtual_memory().total
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue
    return total / 1e9


def gpus() -> list[dict[str, Any]]:
    """Name and memory (GB) of every NVIDIA GPU; empty without one. Asks the driver, so torch need
    not be imported."""
    try:
        text = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.rsplit(",", 1) for line in text.strip().splitlines()]
    return [{"name": name.strip(), "gb": float(mb) * 2**20 / 1e9} for name, mb in rows]


def hardware() -> dict[str, Any]:
    """Cores this process may use, memory, processor and GPUs."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return {
        "cores": cores,
        "memory_gb": round(memory_gb(), 1),
        "machine": f"{platform.system()} {platform.machine()}",
        "gpus": [g["name"] for g in gpus()],
    }


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
    """Follows the run's log and its memory in a thread; with it open, progress lines appear on the
    terminal."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        position = self.log.stat().st_size if self.log.exists() else 0
        running = True
        while running:
            running = not self._stop.wait(0.5)
            self.peak_mb = max(self.peak_mb, resident_mb())
            if self.log.exists():
                with open(self.log, encoding="utf-8", errors="replace") as file:
                    file.seek(position)
                    text = file.read()
                    position = file.tell()
                if text:
                    print(text, end="", flush=True)


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
