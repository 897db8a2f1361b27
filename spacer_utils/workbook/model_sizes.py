"""Sizes of Qwen-VL models and of a training step: what time and memory are reckoned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from ..core.files import outputs_root
from ..core.frames import Budget
from ..core.profiles import PROJECT, REHEARSAL_MODEL, Profile

PROMPT_TOKENS = {"spacer": 450, "workbook": 450, "compact": 60}
"""Prompt style -> tokens of its text: instruction, question, options (``data tokens`` counts
them)."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen-VL model: its language model, and its vision tower."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    """Heads of the keys, and of the values."""
    head: int
    """Width of a head."""
    inner: int
    vocab: int
    tied: bool
    """The output layer shares the embeddings."""
    tower_layers: int
    tower_hidden: int
    tower_inner: int
    gated: bool = True
    """The tower's layers have three matrices between ``tower_hidden`` and ``tower_inner``
    (Qwen2.5-VL), not two (Qwen3-VL)."""
    mergers: int = 1
    """Qwen3-VL also has one for each of its deepstack layers."""
    places: int = 0
    """Rows of the tower's learned position table."""
    temporal: int = 2
    """Frames per temporal patch."""
    patch: int = 14

    @property
    def width(self) -> int:
        """Width of the queries, or of the hidden states if that is more."""
        return max(self.hidden, self.heads * self.head)

    @property
    def blocks(self) -> int:
        """Weights of the language model's layers."""
        attention = self.hidden * self.head * 2 * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def tower(self) -> int:
        """Weights of the vision tower: patches, places, layers and mergers (two matrices each)."""
        wide, narrow = 4 * self.tower_hidden, self.tower_hidden
        layer = 4 * narrow**2 + (3 if self.gated else 2) * narrow * self.tower_inner
        first = (3 * self.temporal * self.patch**2 + self.places) * narrow
        return first + self.tower_layers * layer + self.mergers * wide * (wide + self.hidden)

    @property
    def language(self) -> int:
        """Weights of the language model with its embeddings and its output layer."""
        return self.blocks + self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def weights(self) -> int:
        """All weights in matrices. Biases and norms are less than a thousandth of them."""
        return self.language + self.tower

    def adapters(self, rank: int) -> int:
        """Weights of LoRA adapters on the linear layers of the language model."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        sides = 2 * (self.hidden + queries) + 2 * (self.hidden + keys)
        return rank * self.layers * (sides + 3 * (self.hidden + self.inner))

    @property
    def cached(self) -> int:
        """Bytes of the keys and values of one token in bf16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head


SHAPES = {
    "Qwen/Qwen2.5-VL-7B-Instruct": Shape(
        28, 3584, 28, 4, 128, 18944, 152064, False, 32, 1280, 3420
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": Shape(36, 2048, 16, 2, 128, 11008, 151936, True, 32, 1280, 3420),
    "Qwen/Qwen3-VL-4B-Instruct": Shape(
        36, 2560, 32, 8, 128, 9728, 151936, True, 24, 1024, 4096, False, 4, 2304, 2, 16
    ),
}
"""As published in the checkpoints' ``config.json`` on the hub."""


def shape(model: str) -> Shape:
    """Sizes of a local checkpoint (a folder relative to the repository), of a rehearsal's model or of a
    known hub id.

    For anything else, those of the 7B.
    """
    path = (outputs_root() if model == REHEARSAL_MODEL else PROJECT) / model / "config.json"
    return (
        from_config(json.loads(path.read_text()))
        if path.exists()
        else SHAPES.get(model, SHAPES["Qwen/Qwen2.5-VL-7B-Instruct"])
    )


def from_config(c: Mapping[str, Any]) -> Shape:
    """Sizes of a Qwen2.5-VL or Qwen3-VL from its configuration. The published Qwen2.5-VL has its text
    settings at the top, as transformers wrote them then."""
    text, tower = c.get("text_config", c), c["vision_config"]
    third = "deepstack_visual_indexes" in tower
    return Shape(
        text["num_hidden_layers"],
        text["hidden_size"],
        text["num_attention_heads"],
        text["num_key_value_heads"],
        text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
        text["intermediate_size"],
        text["vocab_size"],
        c.get("tie_word_embeddings", False),
        tower["depth"],
        tower["hidden_size"],
        tower["intermediate_size"],
        not third,
        1 + len(tower["deepstack_visual_indexes"]) if third else 1,
        tower.get("num_position_embeddings", 0) if third else 0,
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
    text: int = PROMPT_TOKENS["spacer"]
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


def setting(p: Profile, tuning: str, supervised: bool) -> Setting:
    """The step that a profile trains with, on clips as it renders them."""
    t, f, d = p.train, p.frames, p.data
    wide, high = f.size, f.size
    if not f.size:
        grown = f.resize == "spacer"
        least, most = (f.max_pixels, int(1.05 * f.max_pixels)) if grown else (0, f.max_pixels)
        budget = Budget(2 * shape(p.model).patch, least, most, enlarge=grown)
        wide, high = budget.size(d.width, d.height, f.num_frames)
    prompts, group = (t.sft_batch, 1) if supervised else (t.prompts_per_step, t.group_size)
    return Setting(
        tuning,
        min(f.num_frames, d.clip_frames),
        wide * high,
        prompts,
        group,
        t.completion_tokens,
        PROMPT_TOKENS[p.prompt_style],
        t.micro_batch,
        p.min_gpu_gb > 0,
        True,
        supervised,
    )
