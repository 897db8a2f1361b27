"""Ends a training at the first number that is not finite: nothing of that step is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..core.types import WorkbookError

MEND = "Train with a smaller learning rate (--set sft_lr, rl_lr_lora or rl_lr_full), or look at the rows of that step."


def anyone(here: bool, device: Any) -> bool:
    """Whether the answer is yes in any process: all must stop at the same step."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return here
    flag = torch.tensor([float(here)], device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def unsound(model: Any, trained: bool = False) -> list[str]:
    """Names of a model's parameters (all, or the trained ones) that have a NaN or an infinity in
    this process's part."""
    chosen = [(name, p) for name, p in model.named_parameters() if p.requires_grad or not trained]
    return [name for name, parameter in chosen if not _sound(parameter)]


def _sound(parameter: Any) -> bool:
    # sharded parameters: DeepSpeed keeps this process's part beside an empty tensor, FSDP2 inside a
    # DTensor
    part = getattr(parameter, "ds_tensor", parameter).detach()
    part = part.to_local() if hasattr(part, "to_local") else part
    if not part.numel() or not part.is_floating_point():
        return True
    low, high = torch.aminmax(part)  # without a second tensor of that size
    return bool(torch.isfinite(low) & torch.isfinite(high))


def weights(model: Any, what: str, mend: str) -> None:
    """
    Args:
        what: is said of the model, ``mend`` what to do.

    Raises:
        WorkbookError: a parameter is not finite; how many and the first name.
    """
    names = unsound(model)
    if names:
        raise WorkbookError(
            f"{what} holds NaN or infinity in {len(names)} tensors, the first {names[0]}. {mend}"
        )


def spoiled(found: Mapping[str, float]) -> list[str]:
    """The numbers that are not finite, each with its name."""
    return [f"{name} ({value})" for name, value in found.items() if not math.isfinite(value)]


def numbers(found: Mapping[str, float], where: str, mend: str) -> None:
    """
    Raises:
        WorkbookError: a number is not finite; its name, and ``where`` it came up.
    """
    names = spoiled(found)
    if names:
        raise WorkbookError(f"{where}: the {names[0]} is not finite. {mend}")
