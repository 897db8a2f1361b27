"""Memory that a training step takes on each GPU and on the host, term by term.

The terms are those of this workbook's own training: bf16 weights under LoRA's fp32 adapters; fp32
weights in full tuning, sharded over the GPUs and gathered layer by layer in bf16. Tests compare
them with the real models, built without memory for their weights.
"""

from __future__ import annotations

from ..core.profiles import Profile
from .model_sizes import Setting, Shape, shape, tokens

SPARE_GB = 3.0
"""The GPU's driver, fragmentation and one chunk of logits."""
WORK = {"lora": (32.0, 16.0), "full": (29.0, 12.5)}
"""Bytes of one layer's forward and backward pass, per token: for each of its width, and of its inner
width. LoRA keeps casts of its inputs, too."""
VLLM_SHARE = 0.3
"""Part of a GPU that TRL gives a colocated vLLM."""


def terms(
    s: Setting, of: Shape, gpus: int = 1, rank: int = 64, vllm_on: float = 0.0
) -> dict[str, float]:
    """GB of each term on one GPU.

    Args:
        gpus: over which full tuning is sharded; under LoRA each holds the whole model.
        rank: of LoRA.
        vllm_on: GB of a GPU on which a colocated vLLM writes the rollouts; 0: transformers writes
            them.
    """
    full, sharded = s.tuning == "full", s.tuning == "full" and gpus > 1
    trained = of.weights / gpus if full else of.adapters(rank)
    # Under autocast on one GPU all weights have a bf16 copy. Sharded, two layers are whole at a
    # time, the embeddings and the output layer all the time.
    copies = 2 * of.blocks / of.layers + of.language - of.blocks if sharded else of.weights
    # Training follows writing; only colocated vLLM keeps its memory meanwhile.
    held = {"activations": _activations(s, of, gpus), "cache of the rollouts": 0.0}
    if not s.supervised and not vllm_on:
        cache = _cache(s, of, gpus)
        larger = cache > held["activations"]
        held = {
            "activations": held["activations"] * (not larger),
            "cache of the rollouts": cache * larger,
        }
    engine = 0.0
    if vllm_on and not s.supervised:
        engine = max(VLLM_SHARE * vllm_on * 1e9, 2 * of.weights + _cache(s, of, gpus))
    found = {
        "weights": 4 * trained if full else 2 * of.weights + 4 * trained,
        "gradients": 4 * trained,
        "optimiser": 8 * trained,
        "reference": 4 * trained if full and not s.supervised else 0.0,
        "bf16 copies": 2 * copies if full else 0.0,
        **held,
        "vllm": engine,
        "spare": SPARE_GB * 1e9,
    }
    return {name: value / 1e9 for name, value in found.items()}


def states(s: Setting, of: Shape, gpus: int = 1, rank: int = 64) -> float:
    """GB per GPU of weights, gradients, optimiser and reference."""
    found = terms(s, of, gpus, rank)
    return sum(found[k] for k in ("weights", "gradients", "optimiser", "reference"))


def live(s: Setting, of: Shape, gpus: int = 1, vllm_on: float = 0.0) -> float:
    """GB per GPU of everything else."""
    found = terms(s, of, gpus, vllm_on=vllm_on)
    kept = ("weights", "gradients", "optimiser", "reference")
    return sum(value for name, value in found.items() if name not in kept)


def host(p: Profile) -> float:
    """GB of the host's memory while a profile's models are loaded: every process loads them whole,
    full tuning in fp32 and with the reference."""
    each = 2 * 4 if p.full else 2
    return each * shape(p.model).weights * max(1, p.min_gpus) / 1e9


def _rows(s: Setting, gpus: int) -> tuple[int, int]:
    """Rows of one GPU, and of one of its forward passes."""
    mine = max(1, s.prompts * s.group // gpus)
    return mine, min(s.rows or mine, mine)


def _activations(s: Setting, of: Shape, gpus: int) -> float:
    """Bytes of one forward and backward pass. With checkpointing, those of one layer, and the hidden
    states in front of every layer."""
    _, rows = _rows(s, gpus)
    prompts = max(1, rows // s.group) if s.shared else rows
    seen = tokens(s, of)
    count = prompts * (seen + s.text) + rows * s.completion
    wide, inner = WORK[s.tuning]

    def passed(count: int, width: int, inside: int, hidden: int, layers: int) -> float:
        one = count * (wide * width + inner * inside)
        return one + layers * 2 * count * hidden if s.checkpointing else layers * one

    text = passed(count, of.width, of.inner, of.hidden, of.layers)
    patches, narrow = 4 * prompts * seen, of.tower_hidden
    tower = passed(patches, narrow, of.tower_inner, narrow, of.tower_layers)
    return text + tower * (s.tuning == "full")


def _cache(s: Setting, of: Shape, gpus: int) -> float:
    """Bytes of the keys and values of all rows: a prompt's are kept once per group, and twice while
    they are copied out of the forward pass that read them."""
    mine, _ = _rows(s, gpus)
    prompts = max(1, mine // s.group)
    return (2 * prompts * (tokens(s, of) + s.text) + mine * s.completion) * float(of.cached)
