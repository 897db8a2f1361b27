"""Checkpoints that continue exactly: strict loading, half-written ones never chosen, a signal or a
file saves, adapters merge."""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from ..core.files import write_atomic
from ..core.folders import Record
from ..core.types import WorkbookError
from . import finite, models

MARK = "complete.json"
"""Written last into a checkpoint: name and size of every file."""
STOP = "SPACER_STOP"
"""Environment variable with a path. Once a file is there, the run ends as after a signal.

A launcher kills its processes soon after a signal (torchrun after 30 seconds), which is less than a
step of a large model takes. A batch script writes the file in time instead.
"""


class Interrupted(WorkbookError):
    """A signal or the file ``STOP`` ended the run after its state was saved."""

    exit_code = 130


def mark_complete(checkpoint: Path) -> None:
    sizes = {
        str(p.relative_to(checkpoint)): p.stat().st_size
        for p in sorted(checkpoint.rglob("*"))
        if p.is_file()
    }
    write_atomic(checkpoint / MARK, json.dumps(sizes, indent=1))


def is_complete(checkpoint: Path) -> bool:
    """Whether the mark is there and every file that it lists has its size."""
    try:
        sizes = json.loads((checkpoint / MARK).read_text())
    except (OSError, json.JSONDecodeError):
        return False
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in sizes.items()
    )


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def ours(folder: Path) -> list[Path]:
    """The complete checkpoints that a run's record lists, in the order of their steps."""
    listed = Record.of(folder).written
    found = [
        p for p in folder.glob("checkpoint-*") if f"{p.name}/{MARK}" in listed and is_complete(p)
    ]
    return sorted(found, key=step_of)


def latest(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps; None if there is none."""
    return next(reversed(ours(folder)), None)


def keep_last(folder: Path, count: int) -> None:
    """Delete all listed checkpoints but the last ``count``; files of others in them stay."""
    found = ours(folder)
    Record.of(folder).remove(*(f"{old.name}/" for old in found[: len(found) - count]))


@contextlib.contextmanager
def listed(folder: Path, name: str, accelerator: Any) -> Iterator[None]:
    """List what all processes save together in a subfolder in the record of ``folder``."""
    main = accelerator.is_main_process
    with Record.of(folder).saving(name) if main else contextlib.nullcontext():
        accelerator.wait_for_everyone()
        yield
        accelerator.wait_for_everyone()


class Resumable:
    """Mixin for transformers' Trainer: marks finished checkpoints, restores weights strictly, and
    ends the run at the step whose loss, gradient or weights are not finite, in all processes at
    once.

    The stock loader does not restore a full Qwen2.5-VL (its saved names differ from the module's;
    it only warns).
    """

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        folder, name = Path(self.args.output_dir), f"checkpoint-{self.state.global_step}"
        limit, self.args.save_total_limit = (
            self.args.save_total_limit,
            None,
        )  # transformers would delete whole folders
        with listed(folder, name, self.accelerator):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                mark_complete(folder / name)
        self.args.save_total_limit = limit
        if limit and self.accelerator.is_main_process:
            keep_last(folder, limit)

    _loss_of_step: Any = 0.0

    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(*args, **kwargs)  # type: ignore[misc]
        self._loss_of_step = self._loss_of_step + loss.detach()
        return loss

    def _get_grad_norm(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Before the optimiser's step: the stock trainer logs a loss that is not finite as 0, and
        its gradient spoils weights."""
        norm = super()._get_grad_norm(*args, **kwargs)  # type: ignore[misc]
        found = {"loss": float(self._loss_of_step)}
        if (
            norm is not None and not self.args.fp16
        ):  # whose loss scaling tries a scale, and skips the step where it overflows
            found["gradient"] = float(norm)
        self._loss_of_step = 0.0
        self._stop_if(finite.spoiled(found), self.state.global_step + 1)
        return norm

    def _maybe_log_save_evaluate(self: Any, *args: Any, **kwargs: Any) -> None:
        """After the optimiser's step: weights that are not finite are never saved."""
        self._stop_if(
            [f"weight {name}" for name in finite.unsound(self.model, trained=True)],
            self.state.global_step,
        )
        super()._maybe_log_save_evaluate(*args, **kwargs)  # type: ignore[misc]

    def _stop_if(self: Any, spoiled: list[str], step: int) -> None:
        if not finite.anyone(bool(spoiled), self.args.device):
            return
        folder = Path(self.args.output_dir)
        last = latest(folder)
        kept = f"{last.name} is the last good checkpoint" if last else "there was no checkpoint yet"
        what = spoiled[0] if spoiled else "a number in another process"
        raise WorkbookError(
            f"{folder.name} stopped at step {step}: {what} is not finite. Nothing of that step was kept, {kept}. "
            f"{finite.MEND}"
        )

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card per checkpoint: ``run.json`` says what a run is."""

    def _load_from_checkpoint(self: Any, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        restore(self.model if model is None else model, Path(resume_from_checkpoint))


def restore(model: Any, checkpoint: Path) -> None:
    """Load a checkpoint's weights, full or adapter, into the model it came from.

    Raises:
        WorkbookError: a parameter is missing from the checkpoint, unknown to the model, of another
            shape or not finite.
    """
    if hasattr(model, "peft_config"):
        from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

        weights, own = (
            load_peft_weights(str(checkpoint), device="cpu"),
            get_peft_model_state_dict(model),
        )
    else:
        weights, own = models.load(checkpoint, model.dtype).state_dict(), model.state_dict()
    odd = sorted(set(weights) ^ set(own)) or sorted(
        k for k in own if weights[k].shape != own[k].shape
    )
    if odd:
        raise WorkbookError(
            f"{checkpoint}: {len(odd)} parameters do not match the model, for example {odd[0]}. "
            "It was written by another model or version. Delete the run's folder to start again."
        )
    if hasattr(model, "peft_config"):
        set_peft_model_state_dict(model, weights)
    else:
        model.load_state_dict(weights, strict=True)
    finite.weights(
        model, f"{checkpoint}: the checkpoint", "Delete it to go on from the one before."
    )


def keep_names(model: Any) -> None:
    """Let a loaded model be saved under the names that it was loaded from.

    Under ZeRO-3 transformers 5.23 remembers every renaming of old checkpoints that it knows, not
    those that this one needed, and undoes them all on saving: ``model.model.layers`` instead of
    ``model.layers``, which other programs can't read.
    """
    renamings = getattr(model, "_weight_conversions", None)
    if renamings:
        model._weight_conversions = [r for r in renamings if r.was_used()]


def merge_adapter(base: str, adapter: Path, out: Path, processor: Any, dtype: torch.dtype) -> Path:
    """Fold a LoRA adapter into its base and save a plain checkpoint that
    AutoModelForImageTextToText and AutoProcessor load.

    ``dtype`` is what the base was trained in: a base saved in bfloat16 would round small updates
    away.

    Raises:
        WorkbookError: the adapter does not fit the base, or a merged weight is not finite; nothing
            is written.
    """
    from peft import PeftConfig, get_peft_model

    adapted = get_peft_model(models.load(base, dtype), PeftConfig.from_pretrained(str(adapter)))
    restore(adapted, adapter)
    merged = adapted.merge_and_unload()
    finite.weights(merged, f"{adapter}: the merged model", finite.MEND)
    merged.save_pretrained(out, safe_serialization=True)
    processor.save_pretrained(out)
    return out


def stop_file() -> Path | None:
    """The file that asks the run to end, if it is there."""
    named = os.environ.get(STOP)
    return Path(named) if named and Path(named).exists() else None


class SaveOnStop(TrainerCallback):  # type: ignore[misc]
    """SIGINT, SIGTERM and the file ``STOP`` end the run after the current generation window, with a
    checkpoint.

    Use as a context manager around ``train()``; outside the main thread signals stay as they are.
    """

    def __init__(self, window: int) -> None:
        """``window``: optimiser steps per generation; a checkpoint inside it could not be continued
        exactly."""
        self.window = window
        self.stopped = False
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SaveOnStop:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        whole = state.global_step % self.window == 0
        asked = self._asked or stop_file() is not None
        if whole and finite.anyone(asked, args.device) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True
        return control
