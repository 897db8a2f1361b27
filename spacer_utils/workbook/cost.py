"""Estimate what a training run takes: time, memory and cost of a GRPO or SFT step.

Operations and bytes are counted under the assumptions of ``ASSUMPTIONS``. If ``make gpu-bench`` has
measured a table, its nearest row corrects the estimate. Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any

from ..core.profiles import PROFILES, Profile
from . import memory
from .model_sizes import Setting, Shape, setting, shape, tokens

TABLE = "cost.json"
"""Name of a measured table in ``outputs/reference/<run>/``."""
MFU = 0.35
"""Model FLOPs utilisation: share of the chip's matrix rate that reading, scoring and training
reach."""
LAYER_SECONDS = 0.9e-3
"""Shortest time of one layer per written token: transformers launches its kernels from Python.
Qwen's published speed of Qwen2.5-7B on an A100 is 40.38 tokens/s, .88 ms a layer
(QwenLM/Qwen2.5, docs/source/benchmark/speed_benchmark.rst)."""
VLLM_SECONDS = 4.7e-3
"""Of a token that vLLM writes, beside one pass over weights and cache. The same page has 84.28
tokens/s for the 7B and 127.61 for the 3B on an A100: 11.9 and 7.8 ms, of which the weights take 6.9
and 3.0."""
MEASURE = "make gpu-bench"
"""What measures a step on a GPU."""
ASSUMPTIONS: tuple[dict[str, str], ...] = (
    {
        "what": "arithmetic",
        "assumed": "2 operations per weight and token forward, twice that backward (once for LoRA, whose base "
        "needs no weight gradients), a second forward with gradient checkpointing; attention by context length",
    },
    {"what": "matrix rate", "assumed": f"{MFU:.0%} of the chip's peak in scoring and training"},
    {
        "what": "writing tokens",
        "assumed": "the whole step's rows side by side; per token of the longest completion one pass over weights "
        f"and cache at the memory rate; with transformers at least {1000 * LAYER_SECONDS:.1f} ms per layer, and under FSDP2 "
        f"the language model gathered over the links; with vLLM {1000 * VLLM_SECONDS:.1f} ms more (published speeds)",
    },
    {"what": "completions", "assumed": "as long as the limit allows"},
    {
        "what": "media",
        "assumed": "each clip encoded once per step and shared by its completions; a prompt read once per group",
    },
    {
        "what": "states",
        "assumed": "full: 16 bytes per weight (fp32 weight, gradient, two of Adam's) and 4 of the reference, "
        "sharded; LoRA: 2 bytes per frozen weight on every GPU, 16 per adapter weight",
    },
    {
        "what": "activations",
        "assumed": "the hidden states in front of every layer (bf16), and one layer's forward and backward: "
        f"{memory.WORK['lora'][0]:.0f} bytes per token and width, {memory.WORK['lora'][1]:.0f} per inner width (LoRA)",
    },
    {
        "what": "vLLM beside training",
        "assumed": f"{memory.VLLM_SHARE:.0%} of the GPU, or its weights and cache if they are more",
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
    link: float = 4e11
    """Bytes per second that a chip gathers from the others of its machine."""


CHIPS = {
    "H100 80 GB": Chip(989e12, 3.35e12, 80, 2.5),  # bf16 dense, SXM data sheet; 450 GB/s a way
    "A100 80 GB": Chip(312e12, 2.04e12, 80, 1.5, 2.7e11),
    "RTX 4090 24 GB": Chip(165e12, 1.01e12, 24, 0.5),
    "2 cores": Chip(0.15e12, 2e10, 8, 0.1),
}


def chip_of(p: Profile) -> str:
    """The chip of ``CHIPS`` that a profile is reckoned on."""
    if not p.min_gpus:
        return "2 cores"
    return "RTX 4090 24 GB" if 0 < p.min_gpu_gb < 75 else "H100 80 GB"


def work(s: Setting, of: Shape) -> dict[str, float]:
    """Floating-point operations of a step.

    Returns:
        ``read``: prompts and media of the rollouts. ``write``: their completions. ``score``: the
        reference policy. ``train``: forward and backward. ``useful``: the same without
        recomputation.
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
        "read": forward(clips * prompt, prompt) + sight,
        "write": answers,
        "score": once + trained * sight,
    }
    return {
        **(made if not s.supervised else dict.fromkeys(made, 0.0)),
        "train": train[int(s.checkpointing)],
        "useful": train[0],
    }


def seconds(s: Setting, of: Shape, chip: Chip, gpus: int = 1, vllm: bool = False) -> float:
    """Seconds of one optimiser step.

    Args:
        vllm: vLLM writes the rollouts, else transformers.
    """
    w = work(s, of)
    rate = gpus * chip.flops * MFU
    writing = 0.0 if s.supervised else s.completion * token_seconds(s, of, chip, gpus, vllm)
    return (w["read"] + w["score"] + w["train"]) / rate + max(w["write"] / rate, writing)


def token_seconds(s: Setting, of: Shape, chip: Chip, gpus: int = 1, vllm: bool = False) -> float:
    """Seconds in which every row of a step gets its next token, halfway through the completions."""
    # A token takes a pass over the weights, 2 bytes each (on a CPU 4), and over keys and values.
    width = 2 if chip.gb > 16 else 4
    prompts = s.prompts * (tokens(s, of) + s.text) / gpus
    written = s.prompts * s.group * s.completion / 2 / gpus
    held = width * (of.blocks + of.vocab * of.hidden) + (prompts + written) * of.cached * width / 2
    passed = held / chip.bandwidth
    if vllm:
        return VLLM_SECONDS + passed

    # Sharded weights are gathered anew for every token.
    sharded = s.tuning == "full" and gpus > 1
    gathered = 2 * of.language / chip.link if sharded else 0.0
    return max(passed, of.layers * LAYER_SECONDS, gathered)


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
    """One row per kind of run and writer of its rollouts: hours, dollars, GB per chip, whether it
    fits and what takes most of it, and the source of these numbers."""
    of, c, gpus, t = shape(p.model), CHIPS[chip], max(1, p.min_gpus), p.train
    kinds = [("sft", "full" if p.full else "lora", True, "")]
    writers = ("transformers", "vllm") if p.min_gpu_gb else ("transformers",)
    kinds += [("sg_rlvr", tuning, False, w) for tuning in ("lora", "full") for w in writers]
    found = []
    for run, tuning, supervised, writer in kinds:
        # By the formulas.
        s, vllm = setting(p, tuning, supervised), writer == "vllm"
        time, source = seconds(s, of, c, gpus, vllm), "reckoned"
        terms = memory.terms(s, of, gpus, t.lora_rank, c.gb if vllm else 0.0)
        gb = sum(terms.values())

        # Corrected by what was measured, with transformers.
        row = None if vllm else nearest(s, of, p.model, table)
        if row:
            there, its = Setting(**row["setting"]), Chip(**row["chip"])
            time *= row["seconds"] / seconds(there, of, its)
            gb += row["gb"] - row["states_gb"] - memory.live(there, of)
            source = f"reckoned, corrected by {row['run']}"

        hours = time * (t.sft_steps if supervised else t.rl_steps) / 3600
        found.append(
            {
                "run": run,
                "tuning": tuning,
                "rollouts": writer,
                "chips": gpus,
                "seconds per step": round(time, 2),
                "hours": round(hours, 2),
                "US dollars": round(hours * gpus * c.price, 2),
                "GB each": round(gb, 1),
                "fits": gb <= c.gb,
                "most of it": _largest(terms),
                "from": source,
            }
        )
    return found


def _largest(terms: Mapping[str, float], count: int = 3) -> str:
    """The largest terms of a memory, as ``weights 16.6, activations 6.6``."""
    order = sorted(terms, key=lambda name: -terms[name])[:count]
    return ", ".join(f"{name} {terms[name]:.1f}" for name in order)


def most_rows(p: Profile, tuning: str, chip: str, vllm: bool = False) -> int:
    """The largest ``micro_batch`` of whole groups that fits a chip, up to all rows of a GPU; 0 if
    none does."""
    of, gb, gpus = shape(p.model), CHIPS[chip].gb, max(1, p.min_gpus)
    s = setting(p, tuning, False)
    fitting = [
        rows
        for rows in range(s.group, s.prompts * s.group // gpus + 1, s.group)
        if sum(
            memory.terms(
                replace(s, rows=rows), of, gpus, p.train.lora_rank, gb if vllm else 0.0
            ).values()
        )
        <= gb
    ]
    return max(fitting, default=0)


def print_costs() -> None:
    """What a step of every profile for large models takes, as text."""
    for p in PROFILES.values():
        if not p.min_gpu_gb:
            continue
        chip, gpus = chip_of(p), max(1, p.min_gpus)
        print(f"{p.name}: {p.model} on {gpus} x {chip}, {memory.host(p):.0f} GB of host memory")
        for r in estimate(p, chip):
            fits = "fits" if r["fits"] else "does not fit"
            who = f"{r['run']} {r['tuning']} {r['rollouts']}"
            most = most_rows(p, r["tuning"], chip, vllm=r["rollouts"] == "vllm")
            more = f"; up to {most} rows a pass" * bool(most and r["rollouts"])
            print(
                f"  {who:<30} {r['seconds per step']:7.1f} s a step {r['hours']:7.1f} h "
                f"{r['GB each']:7.1f} GB  {fits}: {r['most of it']}{more}"
            )
    print(
        f"All of it is reckoned, at {MFU:.0%} of the matrix rate and vLLM's published speeds. "
        f"Measured on a GPU by: {MEASURE}"
    )
