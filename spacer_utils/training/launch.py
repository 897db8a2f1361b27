"""Start a training run from a notebook: in this process, or over several GPUs by ``accelerate
launch``, whose log is followed.

A kernel cannot be eight ranks, so a profile for several GPUs trains in processes of its own. So does
a run with vLLM, whose engine keeps its memory as long as its process lives. All ways resume by
themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ..core import profiles
from ..core.profiles import PROJECT, Profile
from ..core.progress import FOLLOWED, passed_on
from ..core.registry import METHODS
from ..core.types import WorkbookError
from . import plan, train


def run(
    profile: Profile,
    method: str,
    tuning: plan.Tuning,
    seed: int,
    progress: Callable[..., None] | None = None,
    *,
    broken_media: plan.BrokenMedia = "fail",
) -> Path:
    """Train one model with ``train.run``, in the way that the profile's hardware asks for; returns
    the run's folder.

    The folder is the workbook's own: a run of other settings in it is replaced.

    Args:
        broken_media: as in ``train.run``.

    Raises:
        WorkbookError: the launched run failed; the message ends with its last lines.
    """
    engine = METHODS[method].terms is not None and _vllm_mode() != "off"
    # a rehearsal starts a process where the profile that it rehearses starts several
    several = profiles.get(profile.rehearses or profile.name).min_gpus > 1
    if not several and not engine:
        return train.run(
            profile,
            method,
            tuning,
            seed,
            broken_media=broken_media,
            overwrite=True,
            progress=progress,
        )
    follow(command(profile, method, tuning, seed, broken_media), progress)
    return profile.outputs / "train" / f"{method}-{tuning}-s{seed}"


def changes(profile: Profile) -> dict[str, Any]:
    """Fields in which the profile differs from the named one, in the form that ``train --set``
    takes."""
    named = profiles.get(profile.name)
    found: dict[str, Any] = {}
    for f in fields(profile):
        ours, theirs = getattr(profile, f.name), getattr(named, f.name)
        if is_dataclass(ours):
            found |= {
                g.name: getattr(ours, g.name)
                for g in fields(ours)
                if getattr(ours, g.name) != getattr(theirs, g.name)
            }
        elif ours != theirs:
            found[f.name] = ours
    return found


def command(
    profile: Profile,
    method: str,
    tuning: str,
    seed: int,
    broken_media: plan.BrokenMedia = "fail",
) -> list[str]:
    """The command line of the same run, as one would type it.

    The environment variable ``SPACER_LAUNCHER`` names another configuration of ``assets/launch``
    (``zero3``, ``zero2``, ...), ``SPACER_VLLM`` (one of ``plan.VLLM_MODES``) who writes the rollouts.
    """
    launcher = os.environ.get("SPACER_LAUNCHER", "fsdp2" if tuning == "full" else "ddp")
    several = [
        "accelerate.commands.launch",
        "--num_processes",
        str(profile.min_gpus),
        "--config_file",
        f"spacer_utils/assets/launch/{launcher}.yaml",
        "-m",
    ]
    line = [
        sys.executable,
        "-m",
        *(several if profile.min_gpus > 1 else []),
        "spacer_utils",
        "train",
        "--profile",
        profile.name,
        "--method",
        method,
        "--tuning",
        tuning,
        "--seed",
        str(seed),
        "--overwrite",
    ]
    if broken_media != "fail":
        line += ["--broken-media", broken_media]
    if METHODS[method].terms:
        line += ["--vllm", _vllm_mode()]
    for name, value in changes(profile).items():
        line += ["--set", f"{name}={value!r}"]
    return line


def _vllm_mode() -> str:
    return os.environ.get("SPACER_VLLM", "off")


def follow(line: list[str], progress: Callable[..., None] | None = None) -> None:
    """Run a command, pass on its steps, and keep its last lines for the error.

    Raises:
        WorkbookError: it ended with another status than 0.
    """
    last: deque[str] = deque(maxlen=5)
    merged: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "errors": "replace",
        "env": {**os.environ, FOLLOWED: "1"},
    }
    with subprocess.Popen(line, cwd=PROJECT, **merged) as process:
        for text in process.stdout or ():
            if step := passed_on(text):
                if progress:
                    progress(*step)
            else:
                last.append(text.strip())
    if process.returncode:
        raise WorkbookError(
            f"{' '.join(line[3:])} ended with status {process.returncode}: {' / '.join(last)}. "
            "Mend the cause and run the same again: it goes on from its last checkpoint."
        )
