"""Check the fields of TRL's configuration that a run replaces: names, kinds and ranges, before
anything is loaded."""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from huggingface_hub.dataclasses import type_validator

from ..core.types import WorkbookError

CHOICES: dict[str, dict[str, tuple[Any, ...]]] = {
    "GRPOConfig": {
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
        "importance_sampling_level": ("token", "sequence"),
        "scale_rewards": ("group", "batch", "none", True, False),
        "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
        "vllm_importance_sampling_mode": (
            "token_truncate",
            "token_mask",
            "sequence_truncate",
            "sequence_mask",
        ),
        "vllm_mode": ("server", "colocate"),
    },
    "SFTConfig": {"loss_type": ("nll", "dft")},
}
"""Values that TRL 1.16 knows, for fields that it checks only in the middle of a training."""
AT_LEAST: dict[str, float] = {
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": 1,
    "num_iterations": 1,
    "generation_batch_size": 1,
    "max_completion_length": 1,
    "num_generations": 2,
    "max_steps": 1,
    "save_steps": 1,
    "logging_steps": 1,
}
ABOVE_ZERO = (
    "temperature",
    "top_p",
    "repetition_penalty",
    "num_train_epochs",
    "top_entropy_quantile",
)
SIGNED = ("entropy_coef",)
"""Numbers that may be negative though their usual value is not."""


def config(kind: type[Any], ours: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """TRL's configuration of a class, from our values and the run's own.

    Args:
        options: fields that replace ours.

    Raises:
        WorkbookError: no such field, or a value of another kind or out of range, or one that TRL
            refuses.
    """
    known = {f.name: f for f in fields(kind) if f.init}
    hints = get_type_hints(kind)
    checked = {}
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = (
                f"Did you mean {near[0]}?" if near else "Its fields are in TRL's documentation."
            )
            raise WorkbookError(f"{kind.__name__} of TRL has no field {name!r}. {advice}")
        choices = CHOICES[kind.__name__].get(name, ())
        checked[name] = _of_kind(name, value, hints[name], choices)
        usual = known[name].default
        _in_range(name, checked[name], usual if usual is not MISSING else None)
    with refused_by_trl():
        return kind(**{**ours, **checked})


@contextlib.contextmanager
def refused_by_trl() -> Iterator[None]:
    """Turn what TRL and transformers raise about settings into one line."""
    try:
        yield
    except (ValueError, TypeError, NotImplementedError, ImportError, KeyError) as error:
        text = " ".join(str(error).split())
        raise WorkbookError(
            f"TRL refuses these settings: {text[:400]} Change the --trl or --set that it names."
        ) from error


def _of_kind(name: str, value: Any, hint: Any, choices: tuple[Any, ...]) -> Any:
    """The value, whole numbers made decimal where the field is."""
    if choices:
        if value not in choices:
            raise WorkbookError(
                f"--trl {name} can't be {value!r}. Known: {', '.join(map(str, choices))}."
            )
        return value
    tries = [value]
    if isinstance(value, int) and not isinstance(value, bool):
        tries.append(float(value))
    if isinstance(value, list):
        tries.append(
            [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
        )
    for tried in tries:
        try:
            type_validator(name, tried, hint)
        except TypeError:
            continue
        return tried
    wanted = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)
    raise WorkbookError(f"--trl {name} must be {wanted}, not {value!r}.")


def _in_range(name: str, value: Any, usual: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least = AT_LEAST.get(name, 0)
    signed = name in SIGNED or (
        isinstance(usual, int | float) and usual < 0 and name not in AT_LEAST
    )
    if (
        not math.isfinite(value)
        or (name in ABOVE_ZERO and value <= 0)
        or (value < least and not signed)
    ):
        wanted = "above 0" if name in ABOVE_ZERO else f"from {least} on"
        raise WorkbookError(f"--trl {name} must be a number {wanted}, not {value!r}.")
