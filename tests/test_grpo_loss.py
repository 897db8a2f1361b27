"""The loss and the advantages that notebook 05 shows are those that TRL trains with."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kit.training_kit import Clips, grpo, inputs, tiny_model
from trl import GRPOTrainer

from spacer_utils.training.grpo import group_advantages, grpo_loss

ROWS, TOKENS, MOST = 6, 9, 12
EPSILON = 0.2


def batch(seed: int) -> dict[str, torch.Tensor]:
    """Log-probabilities far enough apart that tokens are clipped on both sides, rows of every
    length, one of them empty."""
    random = torch.Generator().manual_seed(seed)
    old, moved, reference = torch.randn(3, ROWS, TOKENS, generator=random, dtype=torch.float64)
    lengths = torch.tensor([TOKENS, 4, 1, 7, 0, 5])
    return {
        "logps": old + 0.4 * moved,
        "old_logps": old,
        "ref_logps": old + 0.4 * reference,
        "advantages": torch.randn(ROWS, generator=random, dtype=torch.float64),
        "mask": (torch.arange(TOKENS) < lengths[:, None]).double(),
    }


def trl_loss(given: dict[str, torch.Tensor], beta: float, loss_type: str) -> torch.Tensor:
    """``GRPOTrainer._compute_loss`` itself, with the log-probabilities given instead of computed by
    a model."""
    stand_in: Any = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (
            given["logps"],
            torch.zeros_like(given["logps"]),
            None,
        ),
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None),
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(reduce=lambda x, **_: x, gather=lambda x: x),
        _metrics={"train": defaultdict(list)},
        current_gradient_accumulation_steps=1,
        max_completion_length=MOST,
        beta=beta,
        epsilon_low=EPSILON,
        epsilon_high=EPSILON,
        loss_type=loss_type,
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        use_vllm=False,
        _entropy_bonus_enabled=False,
    )
    no_prompt = torch.zeros(ROWS, 0)
    rows = {
        "prompt_ids": no_prompt,
        "prompt_mask": no_prompt,
        "completion_ids": torch.zeros(ROWS, TOKENS),
        "completion_mask": given["mask"],
        "advantages": given["advantages"],
        "old_per_token_logps": given["old_logps"],
        "ref_per_token_logps": given["ref_logps"],
    }
    found: torch.Tensor = GRPOTrainer._compute_loss(stand_in, None, rows)
    return found


@pytest.mark.parametrize("per_token", [False, True], ids=["per completion", "per token"])
@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo"])
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradient_are_those_of_trl(
    seed: int, beta: float, loss_type: Any, per_token: bool
) -> None:
    given = batch(seed)
    if per_token:
        given["advantages"] = given["advantages"][:, None] * torch.linspace(-1, 2, TOKENS)

    # tokens are clipped on both sides
    ratio = torch.exp(given["logps"] - given["old_logps"])[given["mask"] > 0]
    assert (ratio > 1 + EPSILON).any()
    assert (ratio < 1 - EPSILON).any()

    losses, gradients = [], []
    for ours in (True, False):
        logps = given["logps"].clone().requires_grad_()
        tensors = {**given, "logps": logps}
        if ours:
            loss = grpo_loss(
                **tensors, beta=beta, epsilon=EPSILON, loss_type=loss_type, max_tokens=MOST
            )
        else:
            loss = trl_loss(tensors, beta, loss_type)
        loss.backward()
        losses.append(loss.item())
        gradients.append(logps.grad)
    assert losses[0] == pytest.approx(losses[1], rel=0, abs=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-6)
    assert losses[0] != 0


def test_without_kl_the_reference_is_not_read() -> None:
    given = {**batch(0), "ref_logps": torch.full((ROWS, TOKENS), torch.nan)}
    assert torch.isfinite(grpo_loss(**given, beta=0.0, max_tokens=MOST))


def test_tokens_behind_the_end_count_nothing() -> None:
    given = batch(0)
    other = {**given, "logps": torch.where(given["mask"] > 0, given["logps"], -3.0)}
    assert grpo_loss(**given, beta=0.04, max_tokens=MOST) == grpo_loss(
        **other, beta=0.04, max_tokens=MOST
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale_rewards", ["group", "batch", "none"])
def test_advantages_are_those_of_trl(tmp_path: Path, scale_rewards: Any) -> None:
    logged: list[dict[str, Any]] = []
    trainer = grpo(
        tiny_model(tmp_path / "model", "qwen2_5_vl"),
        tmp_path / "out",
        Clips(),
        on_rollouts=logged.extend,
        num_generations=4,
        scale_rewards=scale_rewards,
    )
    out = trainer._generate_and_score_completions(inputs(trainer))
    rewards = torch.tensor([row["reward"] for row in logged])
    assert len(set(rewards.tolist())) > 2
    mine = group_advantages(rewards, 4, scale_rewards)
    torch.testing.assert_close(mine, out["advantages"], rtol=0, atol=1e-6)
