"""Facts about where a run runs: commit, packages and machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from .profiles import PROJECT

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
    """Memory of this machine, or the container's limit, in GB."""
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
