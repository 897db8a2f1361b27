"""What a training run computes, from which inputs, and the record that it leaves.

A run owns a folder with its logs, checkpoints and the trained ``model/``; ``run.json`` is written
last. It resumes by itself after a kill and is not repeated when its inputs have not changed.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from zlib import crc32

import numpy as np

from ..core import folders, prompts
from ..core.files import (
    MODEL_FILES,
    STATES,
    content_hash,
    inside,
    model_digest,
    model_files,
    sha256,
    write_atomic,
)
from ..core.profiles import Profile
from ..core.registry import METHODS
from ..core.rows import is_general, load
from ..core.types import Sample, WorkbookError
from .method import Credit

Tuning = Literal["lora", "full"]
BrokenMedia = Literal["fail", "drop"]
VLLM_MODES = ("off", "colocate", "server")
"""Who writes the rollouts: transformers, vLLM in the trainer's process, or a vLLM server
(``assets/launch/vllm_server.sh``)."""
OnStep = Callable[[int, int, Mapping[str, Any]], None]
"""Called after every optimiser step with (step, steps in all, the step's metrics)."""
SAVED = (
    *MODEL_FILES,
    *STATES,
    "*.distcp",
    ".metadata",
    "trainer_state.json",
    "complete.json",
    "latest",
    "*.py",
    "README.md",
)
"""What trainers save of a model and of their own state."""
WRITES = (
    "run.json",
    "metrics.jsonl",
    "rollouts.jsonl",
    "validation.jsonl",
    "model",
    "adapter",
    *(
        f"{folder}/{name}"
        for folder in ("model", "model.partial", "adapter", "checkpoint-*")
        for name in SAVED
    ),
)
"""Paths that a run writes in its folder."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a run computes."""

    profile: Profile
    method: str
    tuning: Tuning
    seed: int
    data: Path
    """Folder with ``train.jsonl``, ``cognitive_map.jsonl`` and ``videos/``."""
    out: Path
    model: str
    options: Mapping[str, Any]
    """Fields of TRL's GRPOConfig or SFTConfig that replace ours."""
    broken_media: BrokenMedia = "fail"
    """``drop``: leave out the rows of files that can't be read, and log how many; else the first
    one ends the run."""

    @property
    def supervised(self) -> bool:
        return METHODS[self.method].terms is None

    @property
    def terms(self) -> Mapping[str, float]:
        """Reward terms and weights. With the released set a map can void a right answer, and the
        length bonus belongs to it."""
        terms: Mapping[str, float] = METHODS[self.method].terms or {}
        if self.profile.reward_set != "spacer":
            return terms
        joined = (
            {"accuracy": 0.0, "map": 0.0, "accuracy_with_map": 1.0} if "map" in terms else {}
        )  # weight 0: logged only
        return {**terms, **joined, "length": 1.0}

    @property
    def steps(self) -> int:
        return self.profile.train.sft_steps if self.supervised else self.profile.train.rl_steps

    @property
    def credit(self) -> Credit:
        """What a token is credited with: the profile's choice, else the method's."""
        own: Credit = METHODS[self.method].credit
        chosen = self.profile.train.credit
        return own if chosen == "method" else cast(Credit, chosen)

    @property
    def per_step(self) -> int:
        """Prompts of an optimiser step."""
        return (
            self.profile.train.sft_batch if self.supervised else self.profile.train.prompts_per_step
        )

    @cached_property
    def inputs(self) -> folders.Inputs:
        """The data with the media that the run will see, all of the starting model, and every
        setting."""
        p, method = self.profile, METHODS[self.method]
        settings = {
            "method": {
                "name": self.method,
                "with_map": method.with_map,
                "gate": method.gate,
                "credit": self.credit,
            },
            "terms": dict(self.terms),
            "tuning": self.tuning,
            "seed": self.seed,
            "options": dict(self.options),
            "train": asdict(p.train),
            "frames": asdict(p.frames),
            "prompt_style": p.prompt_style,
            "reward_set": p.reward_set,
            "broken_media": self.broken_media,
            "model": "a folder" if Path(self.model).is_dir() else self.model,
        }
        model = {f"{name} of the model": path for name, path in model_files(self.model).items()}
        return folders.Inputs.of(
            "training", settings, {**model, **self.data_files(), **self.media()}, self.out
        )

    def fingerprint(self) -> str:
        """Changes when the data, the starting weights or any setting of the run changes."""
        return self.inputs.fingerprint

    @cached_property
    def validation(self) -> list[Sample]:
        """The held-out questions that are asked while training; none where the folder has no
        ``heldout.jsonl``."""
        t, source = self.profile.train, self.data / "heldout.jsonl"
        if not t.validate_steps or not source.exists():
            return []
        return validation_questions(load(source), t.validate_questions)

    def data_files(self) -> dict[str, Path]:
        """The files of rows and maps, by name."""
        names = ["train.jsonl", "cognitive_map.jsonl", *(["heldout.jsonl"] * bool(self.validation))]
        return {name: self.data / name for name in names if (self.data / name).exists()}

    def media(self) -> dict[str, Path]:
        """The media that the run will see, by the path that their rows name; all of them where
        broken ones are left out."""
        samples = load(self.data / "train.jsonl")
        if samples and self.broken_media == "fail":
            samples = [
                samples[i] for i in set(order(len(samples), self.steps * self.per_step, self.seed))
            ]
        paths = {s.path for s in [*samples, *self.validation] if s.path}
        return {path: inside(self.data, path) for path in sorted(paths)}


def trainable(methods: Sequence[str], samples: Sequence[Sample]) -> tuple[list[str], list[str]]:
    """The methods that these rows can train, and those that need maps where no row has one.

    Raises:
        WorkbookError: rows name maps, and the file that held them is lost.
    """
    if any(s.cognitive_map for s in samples):
        return list(methods), []
    if any(s.cognitive_map_id for s in samples):
        raise WorkbookError(
            "the rows of data/train.jsonl name maps, and cognitive_map.jsonl beside them has none. Run: make nb02"
        )
    mapped = [m for m in methods if METHODS[m].with_map]
    return [m for m in methods if m not in mapped], mapped


def order(count: int, length: int, seed: int) -> list[int]:
    """``length`` indices below ``count``: whole shuffled passes, so that no prompt comes twice
    before all came once."""
    rng = np.random.default_rng([seed, crc32(b"order of prompts")])
    passes = [rng.permutation(count) for _ in range(-(-length // count))]
    return [int(i) for i in np.concatenate(passes)[:length]]


def validation_questions(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most ``count`` questions, one of each spatial type after another, from rooms in random
    order: the same for every run on the same rows.

    Where no question is about a room, any type counts.
    """
    spatial = [s for s in samples if not is_general(s.question_type)] or samples
    ordered = sorted(spatial, key=lambda s: s.problem_id)
    rng = np.random.default_rng(crc32(b"validation"))
    taken: Counter[str] = Counter()
    turns = []
    for i in rng.permutation(len(ordered)):
        kind = ordered[i].question_type
        turns.append((taken[kind], kind, ordered[i]))
        taken[kind] += 1
    return [s for _, _, s in sorted(turns, key=lambda turn: turn[:2])][:count]


def rows(plan: Plan, samples: Sequence[Sample]) -> list[dict[str, str | list[dict[str, str]]]]:
    """One dataset row per prompt that the run will see, in order."""
    p, method = plan.profile, METHODS[plan.method]
    found: list[dict[str, Any]] = []
    for i in order(len(samples), plan.steps * plan.per_step, plan.seed):
        s = samples[i]
        text = prompts.user_text(s, p.prompt_style, method.with_map)
        media = [] if s.data_type == "text" else [[s.data_type, str(inside(plan.data, s.path))]]
        row: dict[str, Any] = {"media": json.dumps(media)}
        if plan.supervised:
            row |= {"prompt": text, "completion": prompts.target(s, method.with_map)}
        else:
            row |= {"prompt": [{"role": "user", "content": text}], "sample": s.to_json_text()}
        found.append(row)
    return found


def finished(plan: Plan) -> bool:
    """Whether the folder holds the whole result of this very plan."""
    record = folders.Record.of(plan.out)
    model = [name for name in record.written if name.startswith("model/")]
    there = all((plan.out / name).is_file() for name in ("run.json", *model))
    return bool(record.finished and model and there and record.same(plan.inputs))


def write_result(plan: Plan, **facts: Any) -> Path:
    """``run.json``: what ran, from what, with what, and the hashes of what it left; its presence
    means the run is whole."""
    packages = ("torch", "transformers", "trl", "peft", "accelerate")
    mine = sorted(
        name
        for name in folders.Record.of(plan.out).written
        if name.endswith((".safetensors", ".jsonl"))
    )
    hashes = {name: sha256(plan.out / name) for name in mine if (plan.out / name).is_file()}
    result = {
        "name": plan.out.name,
        "profile": plan.profile.name,
        "method": plan.method,
        "tuning": plan.tuning,
        "with_map": METHODS[plan.method].with_map,
        "credit": plan.credit,
        "seed": plan.seed,
        "steps": plan.steps,
        "fingerprint": plan.fingerprint(),
        "train": asdict(plan.profile.train),
        "options": dict(plan.options),
        "inputs": {
            "model": model_digest(plan.model),
            **{k: content_hash(p) for k, p in plan.data_files().items()},
        },
        "outputs": hashes,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        **facts,
    }
    return write_atomic(plan.out / "run.json", json.dumps(result, indent=1, default=str) + "\n")


def vllm_options(mode: str) -> dict[str, Any]:
    """Fields of TRL's configuration for one of ``VLLM_MODES``.

    Raises:
        WorkbookError: no such mode.
    """
    if mode not in VLLM_MODES:
        raise WorkbookError(f"unknown vllm mode {mode!r}. Known: {', '.join(VLLM_MODES)}.")
    return {} if mode == "off" else {"use_vllm": True, "vllm_mode": mode}
