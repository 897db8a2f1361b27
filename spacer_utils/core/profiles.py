"""One typed table of sizes: the same notebooks run on two cores or on eight GPUs, and only the
profile changes."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from .files import PROJECT as PROJECT
from .files import outputs_root, sha256
from .types import WorkbookError

NANO_BASE = "spacer_utils/assets/nano_base"
REHEARSAL_MODEL = "rehearsal/model"
"""Below the outputs: a narrow model laid out as Qwen2.5-VL-7B, which ``make rehearse`` makes."""
CHECKSUMS = "SHA256SUMS"
"""Beside a committed checkpoint: the digest of every file, as ``sha256sum`` writes it."""


@dataclass(frozen=True)
class Data:
    """Size of the generated dataset."""

    train_rooms: int
    heldout_rooms: int
    real_rooms: int
    """Real layouts that are rendered when ``REAL_LAYOUTS`` is given; evaluation only."""
    questions_per_type: int
    """At most this many questions of one type from one room."""
    general_rows: int
    """OCR, free-form, regression, image and video multiple choice rows from the same renders, per
    split."""
    clip_frames: int
    width: int
    """Pixels of the rendered video."""
    height: int
    fps: float
    difficulty: str = "real"
    """How full the procedural rooms are: easy, medium or real (``scenes.contents.LEVELS``)."""
    trajectory: str = "sweep"
    min_visible_share: float = 0.005
    """An object counts as seen if it covers at least this share of the pixels of some frame that
    the model is given."""


@dataclass(frozen=True)
class Frames:
    """What the model is given of a clip."""

    num_frames: int
    size: int
    """Side of the square frame that the processor sees, pixels; 0 keeps the processor's own
    resizing."""
    max_pixels: int = 128 * 28 * 28
    """Pixels per frame or picture where ``size`` is 0 (paper: 128 x 28 x 28)."""
    sampling: str = "uniform"
    """Which frames: a name of ``frames.SAMPLINGS``. ``spacer-train``, as the released training: 2 a
    second, at least 4 and at most ``num_frames``."""
    resize: str = "shrink"
    """``shrink`` leaves smaller frames as they are. ``spacer``, as the released training, enlarges
    them to ``max_pixels``; a frame may have 1.05 times as many, a picture twice as many."""
    clock: str = "true"
    """The times that the model is told: ``true``, as Qwen means them; or ``spacer``: 2 frames a second
    for every clip, since the released training passes no rate."""


@dataclass(frozen=True)
class Train:
    """Optimisation. The ``gpu-full`` profile has the values of SpaceR's paper and of its released
    training script."""

    sft_steps: int
    sft_batch: int
    sft_lr: float
    rl_steps: int
    prompts_per_step: int
    """Unique prompts per optimiser step."""
    group_size: int
    """Completions per prompt (G)."""
    rl_lr_full: float
    rl_lr_lora: float
    completion_tokens: int
    beta: float = 0.04
    """Weight of the KL divergence from the starting policy; 0 loads no reference model."""
    loss_type: str = "grpo"
    """``grpo``, as in the paper, divides by the length of each completion, ``dr_grpo`` by a
    constant."""
    scale_rewards: str = "group"
    """``group``, as in the paper, divides advantages by the group's standard deviation; ``none``
    leaves them in units of the reward."""
    credit: str = "method"
    """What a token is credited with: ``method`` as the method says, else ``completion``, ``parts``
    or ``object`` (``training.credit``)."""
    skip_groups: str = "none"
    """``accuracy`` leaves groups out whose completions are all equally right (DAPO)."""
    temperature: float = 1.0
    """Of the rollouts."""
    top_p: float = 1.0
    """Below 1 it biases the importance ratios; only the paper's own setting uses .95."""
    top_k: int = 0
    """Draw from the so many likeliest tokens; 0: from all. The released training names none, and got
    50 from the transformers of its day."""
    warmup: float = 0.0
    """Share of the steps in which the learning rate rises to its value. The paper has none, at a
    hundredth of the small model's rate. Without it, Adam's first steps moved one seed of the small
    model to a KL of 1 nat from its start within seven steps."""
    lora_rank: int = 16
    save_steps: int = 20
    micro_batch: int = 0
    """Rows per forward and process; 0 puts a whole step through at once."""
    validate_steps: int = 0
    """Validate before the first step, every so many steps and after the last
    (``training.validation``); 0: never."""
    validate_questions: int = 120
    """Held-out questions that are asked then, spread evenly over spatial types."""
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Evaluation:
    """Held-out and real-layout evaluation."""

    questions: int
    """At most this many per benchmark, spread evenly over question types."""
    batch: int
    max_new_tokens: int
    blind: bool = True
    """Also evaluate without the video and on shuffled frames."""


@dataclass(frozen=True)
class Profile:
    """Everything that differs between a laptop and a GPU node."""

    name: str
    purpose: str
    hardware: str
    model: str
    """Folder (relative to the repository) or hub id of the starting policy."""
    prompt_style: str
    """``compact`` for the nano base, ``spacer`` or ``workbook`` for large models (see
    ``prompts``)."""
    data: Data
    frames: Frames
    train: Train
    evaluation: Evaluation
    min_gpus: int = 0
    min_gpu_gb: int = 0
    min_ram_gb: int = 4
    reward_set: str = "strict"
    full: bool = True
    """Full fine-tuning fits the hardware; else notebooks 04 and 06 train LoRA."""
    rehearses: str = ""
    """The profile whose settings this one takes to two cores, with fewer steps and questions and a
    narrow model: its scores mean nothing."""

    @property
    def caution(self) -> str:
        """What every page of a rehearsal says; empty for other profiles."""
        return self.rehearses and (
            f"A rehearsal of {self.rehearses}: its settings with few steps and questions and a narrow "
            "model. It shows that all runs; its scores mean nothing."
        )

    @property
    def outputs(self) -> Path:
        """``outputs/<profile>``; the environment variable ``SPACER_OUTPUTS`` moves the parent
        folder."""
        return outputs_root() / self.name

    @property
    def model_path(self) -> str:
        """Local folder of the starting policy if there is one, else the hub id.

        Raises:
            WorkbookError: a file of a committed checkpoint is damaged, or the model of a rehearsal
                was not made.
        """
        if self.model == REHEARSAL_MODEL:
            made = outputs_root() / REHEARSAL_MODEL
            if not made.is_dir():
                raise WorkbookError(f"outputs/{REHEARSAL_MODEL} is not there. Run: make rehearse")
            return str(made)
        local = PROJECT / self.model
        if (local / CHECKSUMS).exists():
            _verify(local)
        return str(local) if local.is_dir() else self.model

    def with_overrides(self, **overrides: Any) -> Profile:
        """A copy in which every override that is not None replaces the field of that name, wherever
        it stands.

        Raises:
            WorkbookError: no section has a field of that name, or the value is of another kind or
                out of range.
        """
        profile = self
        for key, value in overrides.items():
            if value is None:
                continue
            parts = {f.name: getattr(self, f.name) for f in fields(self)}
            nested = {name: part for name, part in parts.items() if is_dataclass(part)}
            sections = [
                name for name, part in nested.items() if key in {f.name for f in fields(part)}
            ]
            if not sections and (key not in parts or key in nested):
                known = {key for part in nested.values() for key in vars(part)} | (
                    set(parts) - set(nested)
                )
                near = difflib.get_close_matches(key, sorted(known), n=1)
                advice = f"Did you mean {near[0]}?" if near else "See `make profiles`."
                raise WorkbookError(f"unknown profile field {key!r}. {advice}")
            for usual in [getattr(nested[s], key) for s in sections] or [parts[key]]:
                _check_kind(key, value, usual)
            if sections:
                profile = replace(
                    profile, **{s: replace(getattr(profile, s), **{key: value}) for s in sections}
                )
            else:
                profile = replace(profile, **{key: value})
        return profile


_LEAST: dict[str, int] = dict.fromkeys(
    (
        "sft_steps",
        "sft_batch",
        "rl_steps",
        "prompts_per_step",
        "completion_tokens",
        "lora_rank",
        "save_steps",
        "batch",
        "max_new_tokens",
        "num_frames",
        "clip_frames",
        "questions_per_type",
        "validate_questions",
    ),
    1,
)
_LEAST |= {"group_size": 2, "max_pixels": 28 * 28, "width": 28, "height": 28}
"""Whole numbers that can't be 0: a group of one has no advantage, a frame holds a patch of the
vision tower or more."""
_ABOVE_ZERO = ("sft_lr", "rl_lr_full", "rl_lr_lora", "temperature", "top_p", "fps")
_CHOICES = {
    "loss_type": ("grpo", "dr_grpo"),
    "scale_rewards": ("group", "none"),
    "credit": ("method", "completion", "parts", "object"),
    "skip_groups": ("none", "accuracy"),
    "resize": ("shrink", "spacer"),
    "clock": ("true", "spacer"),
}
"""Texts that a field may hold."""
_AT_MOST = {"top_p": 1, "warmup": 1, "min_visible_share": 1}


def _check_kind(key: str, value: Any, usual: Any) -> None:
    """Refuse a value of another kind than the field's usual one, and numbers that the field has no
    use for."""
    least, most = _LEAST.get(key, 0), _AT_MOST.get(key, math.inf)
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    number = number and least <= value <= most and not (key in _ABOVE_ZERO and value == 0)
    number = number and not (key == "size" and 0 < value < 28)

    choices = _CHOICES.get(key, (value,))

    # what the message says is wanted
    text = f"one of {', '.join(choices)}" if key in _CHOICES else "a text"
    span = "above 0" if key in _ABOVE_ZERO else f"from {least} on"
    span += f" up to {most}" if most < math.inf else ""
    span += " (0, or 28 pixels and more)" if key == "size" else ""
    whole = (
        isinstance(value, tuple) and bool(value) and all(type(v) is int and v >= 0 for v in value)
    )
    fits, words = {
        bool: (isinstance(value, bool), "True or False"),
        str: (isinstance(value, str) and value in choices, text),
        int: (number and isinstance(value, int), f"a whole number {span}"),
        float: (number, f"a number {span}"),
        tuple: (whole, "whole numbers from 0 on, as in (0, 1)"),
    }[type(usual)]
    if not fits:
        raise WorkbookError(f"{key} must be {words}, not {value!r}.")


_CPU = Profile(
    name="cpu",
    purpose="the whole study on the small model",
    hardware="2 cores, 8 GB",
    model=NANO_BASE,
    prompt_style="compact",
    data=Data(
        train_rooms=160,
        heldout_rooms=80,
        real_rooms=64,
        questions_per_type=2,
        general_rows=60,
        clip_frames=16,
        width=224,
        height=224,
        fps=2.0,
        difficulty="easy",
    ),
    frames=Frames(num_frames=6, size=112),
    train=Train(
        sft_steps=80,
        sft_batch=16,
        sft_lr=3e-4,
        rl_steps=40,
        prompts_per_step=16,
        group_size=8,
        rl_lr_full=1e-4,
        rl_lr_lora=5e-4,
        completion_tokens=208,
        loss_type="dr_grpo",
        scale_rewards="none",
        warmup=0.25,
        save_steps=10,
        validate_steps=20,
        validate_questions=60,
    ),
    evaluation=Evaluation(questions=300, batch=64, max_new_tokens=208),
    min_ram_gb=8,
)

_GPU_LORA = Profile(
    name="gpu-lora",
    purpose="Qwen2.5-VL-7B with LoRA",
    hardware="one 80 GB GPU",
    model="Qwen/Qwen2.5-VL-7B-Instruct",
    prompt_style="spacer",
    data=Data(
        train_rooms=1300,
        heldout_rooms=200,
        real_rooms=288,
        questions_per_type=12,
        general_rows=2000,
        clip_frames=32,
        width=448,
        height=336,
        fps=2.0,
        trajectory="walk",
    ),
    frames=Frames(num_frames=16, size=0),
    train=Train(
        sft_steps=500,
        sft_batch=8,
        sft_lr=1e-5,
        rl_steps=1000,
        prompts_per_step=8,
        group_size=8,
        rl_lr_full=1e-6,
        rl_lr_lora=1e-5,
        completion_tokens=1024,
        lora_rank=64,
        save_steps=50,
        micro_batch=8,
        validate_steps=100,
        validate_questions=240,
    ),
    evaluation=Evaluation(questions=2000, batch=16, max_new_tokens=1024),
    min_gpus=1,
    min_gpu_gb=75,
    min_ram_gb=64,
    full=False,
)

# Two thirds of the memory are weights and adapters. Four prompts a step are the most whose rollouts'
# cache fits for Qwen3-VL-4B, which has four times the keys of Qwen2.5-VL-3B; one group a pass
# (workbook/memory.py).
_GPU_24GB = replace(
    _GPU_LORA,
    name="gpu-24gb",
    purpose="Qwen2.5-VL-3B (or MODEL=Qwen/Qwen3-VL-4B-Instruct), LoRA",
    hardware="one 24 GB GPU",
    model="Qwen/Qwen2.5-VL-3B-Instruct",
    train=replace(_GPU_LORA.train, sft_batch=4, sft_steps=1000, prompts_per_step=4, rl_steps=2000),
    evaluation=replace(_GPU_LORA.evaluation, batch=8),
    min_gpu_gb=23,
    min_ram_gb=32,
)

_GPU_FULL = replace(
    _GPU_LORA,
    name="gpu-full",
    purpose="the paper's setting: Qwen2.5-VL-7B, full",
    hardware="8 x 80 GB",
    min_gpus=8,
    # as in SpaceR's released training
    frames=replace(_GPU_LORA.frames, sampling="spacer-train", resize="spacer", clock="spacer"),
    train=replace(_GPU_LORA.train, sft_batch=16, sft_lr=1e-6, micro_batch=0, top_p=0.95, top_k=50),
    min_ram_gb=640,  # eight processes load model and reference in fp32: 531 GB
    reward_set="spacer",
    full=True,
)


def _rehearsal(p: Profile, name: str) -> Profile:
    """A profile on two cores: fewer rooms, steps, rows of a step and questions, and a narrow model of
    the same layout. Frames, pixels, prompts, rewards, tokens and rates stay."""
    return replace(
        p,
        name=name,
        purpose=f"a rehearsal of {p.name} with a narrow model, whose scores mean nothing",
        hardware="2 cores",
        model=REHEARSAL_MODEL,
        data=replace(
            p.data,
            train_rooms=6,
            heldout_rooms=3,
            real_rooms=2,
            questions_per_type=1,
            general_rows=8,
        ),
        train=replace(
            p.train,
            sft_steps=2,
            sft_batch=4,
            rl_steps=2,
            prompts_per_step=2,
            validate_questions=4,
        ),
        evaluation=replace(p.evaluation, questions=8),
        min_gpus=0,
        min_gpu_gb=0,
        min_ram_gb=8,
        rehearses=p.name,
    )


PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        replace(
            _CPU,
            name="smoke",
            purpose="every cell of every notebook; what CI runs",
            hardware="2 cores",
            data=replace(
                _CPU.data,
                train_rooms=8,
                heldout_rooms=4,
                real_rooms=3,
                questions_per_type=1,
                general_rows=8,
                width=112,
                height=112,
            ),
            train=replace(
                _CPU.train,
                sft_steps=2,
                sft_batch=4,
                rl_steps=2,
                prompts_per_step=2,
                group_size=4,
                save_steps=1,
                validate_steps=2,
                validate_questions=6,
            ),
            evaluation=replace(_CPU.evaluation, questions=12, batch=12),
            min_ram_gb=4,
        ),
        _CPU,
        replace(
            _CPU,
            name="gpu-small",
            purpose="the same study, longer, more seeds",
            hardware="one GPU",
            min_gpus=1,
            data=replace(
                _CPU.data, train_rooms=2000, heldout_rooms=300, real_rooms=288, general_rows=400
            ),
            train=replace(
                _CPU.train,
                sft_steps=1000,
                sft_batch=64,
                rl_steps=1000,
                rl_lr_full=3e-5,
                warmup=0.05,
                seeds=(0, 1, 2),
                save_steps=100,
                validate_steps=100,
                validate_questions=300,
            ),
            evaluation=replace(_CPU.evaluation, questions=2000, batch=128),
        ),
        _GPU_24GB,
        _GPU_LORA,
        _GPU_FULL,
        _rehearsal(_GPU_LORA, "rehearse-lora"),
        _rehearsal(_GPU_FULL, "rehearse-full"),
    )
}


def _verify(folder: Path) -> None:
    for line in (folder / CHECKSUMS).read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        if not (folder / name).exists() or sha256(folder / name) != digest:
            place = folder.relative_to(PROJECT)
            raise WorkbookError(
                f"{place}/{name} is missing or damaged: it is not the file that was committed. "
                f"Run: git checkout -- {place} (or: make base, to train it anew)"
            )


def get(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        WorkbookError: no such profile; the message lists those there are.
    """
    if name not in PROFILES:
        raise WorkbookError(
            f"unknown profile {name!r}. Known: {', '.join(PROFILES)}. Try: make reproduce PROFILE=cpu"
        )
    return PROFILES[name]


def table() -> list[dict[str, Any]]:
    """One row per value with a column per profile, for ``make profiles`` and notebook 00."""
    rows = []
    for section in ("", "data", "frames", "train", "evaluation"):
        parts = {n: getattr(p, section) if section else p for n, p in PROFILES.items()}
        for f in fields(parts["cpu"]):
            if not is_dataclass(getattr(parts["cpu"], f.name)) and f.name != "name":
                label = f"{section}.{f.name}" if section else f.name
                rows.append(
                    {"value": label, **{n: getattr(part, f.name) for n, part in parts.items()}}
                )
    return rows
