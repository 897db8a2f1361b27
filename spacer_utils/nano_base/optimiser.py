"""The optimiser that the nano base is trained with."""

from __future__ import annotations

import math
from typing import Any

import torch

from .perception import Heads


class Optimiser:
    """AdamW with warm-up and a cosine that ends near zero."""

    def __init__(
        self, model: torch.nn.Module, heads: Heads, lr: float, warmup: int, steps: int
    ) -> None:
        self.parameters = [*model.parameters(), *heads.parameters()]
        matrices = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": 0.05},
            {"params": others, "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))

        def share(step: int) -> float:
            done = min(step / max(1, steps), 1.0)
            return min((step + 1) / warmup, 1.0) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adam, share)

    def clip(self) -> float:
        """Clip gradients to norm 1; returns the norm before."""
        return float(torch.nn.utils.clip_grad_norm_(self.parameters, 1.0))

    def step(self) -> None:
        """One update."""
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])
