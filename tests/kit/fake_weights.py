"""Qwen-VL models of the published shapes without memory for their weights, and the memory that a
forward and backward pass of their language model would take."""

from __future__ import annotations

import weakref
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spacer_utils.training.loop import LORA_TARGETS
from spacer_utils.workbook.model_sizes import Shape

SECTIONS = {True: [16, 24, 24], False: [24, 20, 20]}
"""Rotary sections of Qwen2.5-VL and Qwen3-VL."""


def config(of: Shape) -> Any:
    """A model's configuration from its sizes."""
    from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

    text = {
        "vocab_size": of.vocab,
        "hidden_size": of.hidden,
        "intermediate_size": of.inner,
        "num_hidden_layers": of.layers,
        "num_attention_heads": of.heads,
        "num_key_value_heads": of.kv_heads,
        "head_dim": of.head,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": SECTIONS[of.gated],
        },
    }
    tower = {
        "depth": of.tower_layers,
        "hidden_size": of.tower_hidden,
        "intermediate_size": of.tower_inner,
        "patch_size": of.patch,
        "temporal_patch_size": of.temporal,
        "out_hidden_size": of.hidden,
    }
    if of.gated:
        return Qwen2_5_VLConfig(
            text_config={k: v for k, v in text.items() if k != "head_dim"},
            vision_config=tower,
            tie_word_embeddings=of.tied,
        )
    tower |= {
        "num_position_embeddings": of.places,
        "deepstack_visual_indexes": list(range(of.mergers - 1)),
    }
    return Qwen3VLConfig(text_config=text, vision_config=tower, tie_word_embeddings=of.tied)


def model(of: Shape) -> Any:
    """The whole model on the meta device."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config(of))


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive: ``now``, and ``peak``."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()
        self._known = {t.untyped_storage()._cdata for t in given}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class Attention(torch.autograd.Function):
    """What a fused attention kernel keeps: queries, keys, values, results and a row of sums."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
        out, sums = torch.empty_like(q), torch.empty(q.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:  # type: ignore[override]
        return tuple(torch.empty_like(x) for x in ctx.saved_tensors[:3])


def passed(of: Shape, tuning: str, prompt: int, group: int, completion: int) -> tuple[int, int]:
    """(bytes kept after the forward pass, most bytes at any time) of a group of rollouts, packed
    and checkpointed as in training, besides weights and gradients of weights.

    Weights are in bf16: as loaded for LoRA, as gathered by FSDP2 in full tuning.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

    from spacer_utils.training import shared_attention  # noqa: F401  (lets a model take ``packed``)

    text = config(of).text_config
    text._attn_implementation = "sdpa"
    fused = mock.patch.object(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda q, k, v, *_, **__: Attention.apply(q, k, v),
    )
    with FakeTensorMode(allow_non_fake_inputs=True), fused:
        torch.set_default_dtype(torch.bfloat16)
        try:
            made = (Qwen2_5_VLTextModel if of.gated else Qwen3VLTextModel)(text)
        finally:
            torch.set_default_dtype(torch.float32)
        if tuning == "lora":
            made.requires_grad_(False)
            # fake weights can't be moved, and need not be
            with mock.patch.object(torch.nn.Module, "to", lambda self, *_, **__: self):
                targets = LORA_TARGETS.removeprefix(".*language_model")
                get_peft_model(made, LoraConfig(r=64, lora_alpha=128, target_modules=targets))
        made.gradient_checkpointing_enable({"use_reentrant": False})
        made.train()
        sizes = [prompt, *[completion + 1] * group]
        hidden = torch.empty(1, sum(sizes), of.hidden, dtype=torch.bfloat16).requires_grad_()
        places = torch.zeros(3, 1, sum(sizes), dtype=torch.long)
        held = Held([*made.parameters(), hidden, places])
        with torch.autocast("cpu", dtype=torch.bfloat16), held:
            out = made(
                inputs_embeds=hidden,
                position_ids=places,
                attention_mask=None,
                packed=[sizes],
                use_cache=False,
            ).last_hidden_state
            kept = held.now
            out.float().sum().backward()
    return kept, held.peak
