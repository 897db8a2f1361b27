"""Train one model: the one entry point of notebooks, of ``spacer train`` and of ``accelerate launch``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core import folders, profiles
from ..core.profiles import Profile
from ..core.registry import METHODS
from ..core.row_files import rows_file
from ..core.types import WorkbookError
from .plan import WRITES, BrokenMedia, OnStep, Plan, Tuning, finished


def run(
    profile: Profile | str,
    method: str,
    tuning: Tuning = "lora",
    seed: int = 0,
    data_dir: Path | None = None,
    out: Path | None = None,
    *,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
    broken_media: BrokenMedia = "fail",
    overwrite: bool = False,
    progress: OnStep | None = None,
) -> Path:
    """Train one model and return its folder; see ``training/methods``.

    Args:
        data_dir: folder written by ``spacer data``; the profile's own by default.
        out: parent of the run's folder ``<method>-<tuning>-s<seed>``; ``outputs/<profile>/train``
            by default.
        model: starting policy instead of the profile's (a folder or hub id).
        options: fields of TRL's configuration, for example ``{"num_iterations": 2, "report_to":
            "tensorboard"}``.
        broken_media: ``drop`` leaves out the rows of files that can't be read and counts them in
            ``metrics.jsonl``.
        overwrite: replace a finished run of other settings; only files that the workbook has
            written there are deleted.

    Raises:
        MissingArtifact: the data are not there.
        WorkbookError: a finished run of other settings or somebody's files stand in the folder, or
            another process trains there.
        WorkbookError: an unknown method, or settings that can't be continued exactly.
        training.checkpoints.Interrupted: a signal ended the run; the same call goes on where it
            stopped.
    """
    profile = profiles.get(profile) if isinstance(profile, str) else profile
    supervised = METHODS[method].terms is None
    if tuning not in ("lora", "full"):
        raise WorkbookError(f"unknown tuning {tuning!r}. Known: lora, full.")
    if not 0 <= seed < 2**32:
        raise WorkbookError(f"a seed must be a whole number from 0 to 4294967295, not {seed}.")
    data = Path(data_dir or profile.outputs / "data")
    rows_file(data)
    folder = Path(out or profile.outputs / "train") / f"{method}-{tuning}-s{seed}"
    plan = Plan(
        profile,
        method,
        tuning,
        seed,
        data.resolve(),
        folder,
        model or profile.model_path,
        dict(options or {}),
        broken_media,
    )
    if supervised and plan.options.get("use_vllm"):
        raise WorkbookError(
            f"{method} is supervised and makes no rollouts. Run it with --vllm off."
        )
    if finished(plan):
        return folder
    main = (
        int(os.environ.get("RANK", 0)) == 0
    )  # of the processes of a launcher one answers for the folder
    if main:
        folders.check(folder, plan.inputs, WRITES, overwrite=overwrite, alone=True)
        if (folder / folders.LOCK).exists():
            with folders.held(folder):  # a second process is refused before it loads a model
                pass
    from .loop import execute

    execute(plan, progress, overwrite=overwrite)
    return folder
