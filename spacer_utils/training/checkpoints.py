"""Checkpoints that continue exactly: strict loading, half-written ones never chosen, a signal saves, adapters merge."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from ..files import write_atomic
from ..types import WorkbookError

MARK = "complete.json"
"""Written last into a checkpoint: name and size of every file."""


class Interrupted(WorkbookError):
    """A signal ended the run after its state was saved."""


def mark_complete(checkpoint: Path) -> None:
    sizes = {str(p.relative_to(checkpoint)): p.stat().st_size for p in sorted(checkpoint.rglob("*")) if p.is_file()}
    write_atomic(checkpoint / MARK, json.dumps(sizes, indent=1))


def is_complete(checkpoint: Path) -> bool:
    """The mark is there and every file it lists has its size."""
    try:
        sizes = json.loads((checkpoint / MARK).read_text())
    except (OSError, json.JSONDecodeError):
        return False
    return all((checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size for name, size in sizes.items())


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def latest(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps; None if there is none."""
    found = [p for p in folder.glob("checkpoint-*") if p.is_dir() and is_complete(p)]
    return max(found, key=step_of, default=None)


def remove_incomplete(folder: Path) -> None:
    for path in folder.glob("checkpoint-*"):
        if not is_complete(path):
            shutil.rmtree(path)


class Resumable:
    """Mixin for transformers' Trainer: marks finished checkpoints and restores weights strictly.

    The stock loader does not restore a full Qwen2.5-VL (its saved names differ from the module's; it only warns).
    """

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            mark_complete(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

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
        WorkbookError: a parameter is missing from the checkpoint or unknown to the model.
    """
    if hasattr(model, "peft_config"):
        from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

        weights = load_peft_weights(str(checkpoint), device="cpu")
        odd = set(weights) ^ set(get_peft_model_state_dict(model))
        if not odd:
            set_peft_model_state_dict(model, weights)
    else:
        weights = type(model).from_pretrained(checkpoint, dtype=model.dtype).state_dict()
        odd = set(weights) ^ set(model.state_dict())
        if not odd:
            model.load_state_dict(weights, strict=True)
    if odd:
        raise WorkbookError(f"{checkpoint}: {len(odd)} parameters do not match the model, for example {sorted(odd)[0]}. "
                            "It was written by another model or version. Delete the run's folder to start again.")


def keep_names(model: Any) -> None:
    """Let a loaded model be saved under the names that it was loaded from.

    Under ZeRO-3 transformers 5.23 remembers every renaming of old checkpoints that it knows, not those that this one needed,
    and undoes them all on saving: ``model.model.layers`` instead of ``model.layers``, which other programs can't read.
    """
    renamings = getattr(model, "_weight_conversions", None)
    if renamings:
        model._weight_conversions = [r for r in renamings if r.was_used()]


def merge_adapter(base: str, adapter: Path, out: Path, processor: Any, dtype: torch.dtype) -> Path:
    """Fold a LoRA adapter into its base and save a plain checkpoint that AutoModelForImageTextToText and AutoProcessor load.

    ``dtype`` is what the base was trained in: a base saved in bfloat16 would round small updates away.
    """
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(base, dtype=dtype, trust_remote_code=False)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.save_pretrained(out, safe_serialization=True)
    processor.save_pretrained(out)
    return out


class SaveOnSignal(TrainerCallback):  # type: ignore[misc]
    """SIGINT and SIGTERM end the run after the current generation window, with a checkpoint.

    Use as a context manager around ``train()``; outside the main thread signals stay as they are.
    """

    def __init__(self, window: int) -> None:
        """``window``: optimiser steps per generation; a checkpoint inside it could not be continued exactly."""
        self.window = window
        self.stopped = False
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SaveOnSignal:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step % self.window == 0 and self._anyone(args.device) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True
        return control

    def _anyone(self, device: Any) -> bool:
        """Whether any process was asked: all must stop at the same step."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._asked
        flag = torch.tensor([float(self._asked)], device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())
