"""Estimate what a training run takes: time, memory and cost of a GRPO or SFT step.

Operations and bytes are counted under the assumptions of ``ASSUMPTIONS``. If ``make gpu-bench`` has
measured a table, its nearest row corrects the estimate. Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log
from pathlib import Path
from typing import Any

from ..core.profiles import PROJECT, Profile

TABLE = "cost.json"
"""Name of a measured table in ``outputs/reference/<run>/``."""
MFU = 0.30
"""Model FLOPs utilisation: share of the chip's matrix rate that scoring and training reach."""
LAYER_SECONDS = 0.9e-3
"""Shortest time of one layer per written token: transformers launches its kernels from Python."""
PROMPT_TOKENS = {"spacer": 600, "compact": 60}
"""Prompt style -> tokens of its text: instruction, question, options."""
SPARE_GB = 3.0
"""Memory for the GPU's driver, fragmentation and one chunk of logits."""
ASSUMPTIONS: tuple[dict[str, str], ...] = (
    {
        "what": "arithmetic",
        "assumed": "2 operations per weight and token forward, twice that backward (once for LoRA, whose base "
        "needs no weight gradients), a second forward with gradient checkpointing; attention by context length",
    },
    {"what": "matrix rate", "assumed": f"{MFU:.0%} of the chip's peak in scoring and training"},
    {
        "what": "writing tokens",
        "assumed": "the whole step's rows side by side; per token of the longest completion one pass over "
        f"the weights at the memory rate, at least {1000 * LAYER_SECONDS:.1f} ms per layer (transformers; vLLM has no such floor)",
    },
    {"what": "completions", "assumed": "as long as the limit allows"},
    {
        "what": "media",
        "assumed": "each clip encoded once per step and shared by its completions; a prompt read once per group",
    },
    {
        "what": "states",
        "assumed": "full: 16 bytes per weight (fp32 weight, gradient, two of Adam's) and 4 of the reference, "
        "sharded; LoRA: 2 bytes per frozen weight on every GPU",
    },
    {
        "what": "activations",
        "assumed": "one hidden state per layer and token, one layer in work, bf16 (checkpointing)",
    },
    {"what": "price", "assumed": "list prices of rented chips, to be replaced by yours"},
)


@dataclass(frozen=True)
class Chip:
    """One accelerator, or a small CPU."""

    flops: float
    """Peak matrix rate in the training type, operations per second."""
    bandwidth: float
    """Memory rate, bytes per second."""
    gb: float
    price: float
    """US dollars per hour."""


CHIPS = {
    "H100 80 GB": Chip(989e12, 3.35e12, 80, 2.5),  # bf16 dense, SXM data sheet
    "A100 80 GB": Chip(312e12, 2.04e12, 80, 1.5),
    "2 cores": Chip(0.15e12, 2e10, 8, 0.1),
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen-VL model: its language model, and its vision tower."""

    layers: int
    hidden: int
    kv: float
    """Width of keys (and of values) as a share of ``hidden``."""
    inner: int
    vocab: int
    tied: bool
    tower_layers: int
    tower_hidden: int
    tower_inner: int
    temporal: int = 2
    """Frames per temporal patch."""
    patch: int = 14

    @property
    def blocks(self) -> float:
        """Weights of the language model's layers."""
        return self.layers * (self.hidden**2 * (2 + 2 * self.kv) + 3 * self.hidden * self.inner)

    @property
    def tower(self) -> float:
        """Weights of the vision tower and of its merger (two matrices)."""
        wide = 4 * self.tower_hidden
        return (
            self.tower_layers
            * (4 * self.tower_hidden**2 + 3 * self.tower_hidden * self.tower_inner)
            + wide**2
            + wide * self.hidden
        )

    @property
    def weights(self) -> float:
        """All weights, embeddings included."""
        return self.blocks + self.tower + self.vocab * self.hidden * (1 if self.tied else 2)


SHAPES = {
    "Qwen/Qwen2.5-VL-7B-Instruct": Shape(
        28, 3584, 512 / 3584, 18944, 152064, False, 32, 1280, 3420
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": Shape(36, 2048, 256 / 2048, 11008, 151936, True, 32, 1280, 3420),
}
"""As published in the checkpoints' ``config.json``."""


def shape(model: str) -> Shape:
    """Sizes of a local checkpoint (a folder relative to the repository) or of a known hub id.

    For anything else, those of the 7B.
    """
    path = PROJECT / model / "config.json"
    return (
        from_config(json.loads(path.read_text()))
        if path.exists()
        else SHAPES.get(model, SHAPES["Qwen/Qwen2.5-VL-7B-Instruct"])
    )


def from_config(c: Mapping[str, Any]) -> Shape:
    """Sizes of a Qwen2.5-VL or Qwen3-VL from its configuration."""
    text, tower = c["text_config"], c["vision_config"]
    return Shape(
        text["num_hidden_layers"],
        text["hidden_size"],
        text["num_key_value_heads"] / text["num_attention_heads"],
        text["intermediate_size"],
        text["vocab_size"],
        c.get("tie_word_embeddings", False),
        tower["depth"],
        tower["hidden_size"],
        tower["intermediate_size"],
        tower["temporal_patch_size"],
        tower["patch_size"],
    )


@dataclass(frozen=True)
class Setting:
    """One optimiser step."""

    tuning: str
    frames: int
    pixels: int
    """Per frame."""
    prompts: int
    group: int
    completion: int
    text: int = 600
    """Text tokens of a prompt."""
    rows: int = 0
    """Rows per forward pass; 0: all rows of the step at once."""
    checkpointing: bool = True
    shared: bool = True
    """Media and prompts pass the model once per group, not once per row."""
    supervised: bool = False


def tokens(s: Setting, of: Shape) -> int:
    """Vision tokens of a prompt."""
    return round(ceil(s.frames / of.temporal) * s.pixels / (2 * of.patch) ** 2)


def work(s: Setting, of: Shape) -> dict[str, float]:
    """Floating-point operations of a step.

    Returns:
        ``generate``: write the completions. ``score``: the reference policy. ``train``: forward and
        backward. ``useful``: the same without recomputation.
    """
    prompt, rows = tokens(s, of) + s.text, s.prompts * s.group
    clips = s.prompts if s.shared else rows

    # Two operations per weight and token, and attention over the context.
    def forward(count: float, context: float) -> float:
        return count * (2 * of.blocks + 2 * of.layers * of.hidden * context)

    # One forward pass: the completions with their logits, the prompts, the vision tower.
    head = 2 * of.vocab * of.hidden * rows * s.completion
    answers = forward(rows * s.completion, 2 * prompt + s.completion) + head
    once = forward(clips * prompt, prompt) + answers
    sight = clips * 4 * tokens(s, of) * 2 * of.tower

    # Training: a backward pass takes two forward passes; with LoRA one, since frozen weights have no
    # gradients. Checkpointing repeats the forward pass. Only full tuning trains the tower.
    trained = s.tuning == "full"
    back = 3 if trained else 2
    train = {r: once * (back + r) + trained * sight * (back + r) for r in (0, int(s.checkpointing))}

    # Supervised training neither generates nor scores.
    made = {
        "generate": forward(rows * prompt, prompt) + answers + sight,
        "score": once + trained * sight,
    }
    return {
        **(made if not s.supervised else dict.fromkeys(made, 0.0)),
        "train": train[int(s.checkpointing)],
        "useful": train[0],
    }


def seconds(s: Setting, of: Shape, chip: Chip, gpus: int = 1) -> float:
    """Seconds of one optimiser step."""
    w = work(s, of)
    arithmetic = (w["generate"] + w["score"] + w["train"]) / (gpus * chip.flops * MFU)

    # A token takes at least the time to read the weights once: 2 bytes each, on a CPU 4.
    width = 2 if chip.gb > 16 else 4
    token = max(
        width * (of.blocks + of.vocab * of.hidden) / chip.bandwidth, of.layers * LAYER_SECONDS
    )
    return arithmetic + (0.0 if s.supervised else s.completion * token)


def states(s: Setting, of: Shape, gpus: int = 1, lora_rank: int = 64) -> float:
    """GB per chip of weights, gradients, optimiser and reference."""
    if s.tuning == "full":
        return (16 + 4 * (not s.supervised)) * of.weights / gpus / 1e9
    adapters = (
        16 * lora_rank * of.layers * (of.hidden * (5 + 2 * of.kv) + 3 * (of.hidden + of.inner))
    )
    return (2 * of.weights + adapters) / 1e9


def live(s: Setting, of: Shape, gpus: int = 1) -> float:
    """GB per chip besides the weights: the larger of activations (training) and of keys and values
    (generation), plus ``SPARE_GB``."""
    # Rows of this chip, and of one forward pass.
    mine = max(1, s.prompts * s.group // gpus)
    rows = min(s.rows or mine, mine)
    prompt = tokens(s, of) + s.text

    # Activations of the tokens in one forward pass; with checkpointing all of one layer, and of the
    # others the hidden states.
    held = (max(1, rows // s.group) if s.shared else rows) * prompt + rows * s.completion
    per_layer = held * (16 * of.hidden + 6 * of.inner) * 2
    kept = of.layers * (held * of.hidden * 2 if s.checkpointing else per_layer) + per_layer

    # Keys and values of all tokens.
    cache = (
        0.0 if s.supervised else mine * (prompt + s.completion) * of.layers * 4 * of.kv * of.hidden
    )
    return max(kept, cache) / 1e9 + SPARE_GB


def setting(p: Profile, tuning: str, supervised: bool) -> Setting:
    """The step that a profile trains with."""
    t, f = p.train, p.frames
    pixels = f.size**2 or min(f.max_pixels, p.data.width * p.data.height)
    prompts, group = (t.sft_batch, 1) if supervised else (t.prompts_per_step, t.group_size)
    return Setting(
        tuning,
        min(f.num_frames, p.data.clip_frames),
        pixels,
        prompts,
        group,
        t.completion_tokens,
        PROMPT_TOKENS[p.prompt_style],
        t.micro_batch,
        p.min_gpu_gb > 0,
        True,
        supervised,
    )


def measured(folder: Path) -> list[dict[str, Any]]:
    """Rows of all committed tables, each with the run, model and chip; empty without a table."""
    found = []
    for path in sorted(folder.glob(f"*/{TABLE}")):
        table = json.loads(path.read_text())
        facts = {"run": path.parent.name, "model": table["model"], "chip": table["chip"]}
        found += [{**facts, **r} for r in table["rows"] if "seconds" in r]
    return found


def nearest(
    s: Setting, of: Shape, model: str, table: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The measured row of the same model and tuning whose step has the most similar operations."""
    rows = [
        r
        for r in table
        if r["model"] == model and r["setting"]["tuning"] == s.tuning and r["setting"]["shared"]
    ]
    size = sum(work(replace(s, supervised=False), of).values())
    return min(
        rows,
        key=lambda r: abs(log(sum(work(Setting(**r["setting"]), of).values()) / size)),
        default=None,
    )


def estimate(
    p: Profile, chip: str, table: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """One row per kind of run: hours, dollars, GB per chip, whether it fits, and the source of these
    numbers."""
    of, c, gpus, t = shape(p.model), CHIPS[chip], max(1, p.min_gpus), p.train
    found = []
    for run, tuning, supervised in (
        ("sft", "full" if p.full else "lora", True),
        ("sg_rlvr", "lora", False),
        ("sg_rlvr", "full", False),
    ):
        # By the formulas.
        s = setting(p, tuning, supervised)
        time, source = seconds(s, of, c, gpus), "formula"
        gb = states(s, of, gpus, t.lora_rank) + live(s, of, gpus)

        # Corrected by what was measured.
        if row := nearest(s, of, p.model, table):
            there, its = Setting(**row["setting"]), Chip(**row["chip"])
            time = seconds(s, of, its, gpus) * row["seconds"] / seconds(there, of, its)
            gb += row["gb"] - row["states_gb"] - live(there, of)
            source = f"formula, corrected by {row['run']}"

        hours = time * (t.sft_steps if supervised else t.rl_steps) / 3600
        found.append(
            {
                "run": run,
                "tuning": tuning,
                "chips": gpus,
                "seconds per step": round(time, 2),
                "hours": round(hours, 2),
                "US dollars": round(hours * gpus * c.price, 2),
                "GB each": round(gb, 1),
                "fits": gb <= c.gb,
                "from": source,
            }
        )
    return found
