"""Completions behind one shared prompt get the log-probabilities and gradients that they get as
rows of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kit import training_kit

from spacer_utils.training import grpo, packing


def scored(trainer: Any) -> dict[str, Any]:
    """Log-probabilities, entropies, reference, loss and gradients of one generation batch of mixed
    rows."""
    torch.manual_seed(0)
    out = trainer._generate_and_score_completions(training_kit.inputs(trainer))
    loss = trainer._compute_loss(trainer.model, out)
    loss.backward()
    ids, mask = (
        torch.cat([out[f"prompt_{k}"], out[f"completion_{k}"]], 1) for k in ("ids", "mask")
    )
    with trainer._looking_at(trainer._batches["train"], out["media_row"].tolist()), torch.no_grad():
        logps, entropy, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, out["completion_ids"].shape[1], compute_entropy=True
        )
    written = out["completion_mask"].bool()
    return {
        "log-probabilities": logps[written],
        "entropies": entropy[written],
        "reference": out["ref_per_token_logps"][written],
        "loss": loss.detach(),
        "ids": out["completion_ids"][written],
        "gradients": torch.cat(
            [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        ),
    }


@pytest.mark.parametrize("family", training_kit.FAMILIES)
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_packed_prompts_change_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, tuning: str
) -> None:
    model = training_kit.tiny_model(tmp_path / "model", family)
    tokens: dict[bool, int] = {}
    found = {}
    for packed in (True, False):
        monkeypatch.setattr(packing, "possible", lambda _, packed=packed: packed)
        torch.manual_seed(1)  # of the adapter's own weights
        trainer = training_kit.grpo(
            model, tmp_path / "out", training_kit.Clips(), tuning=tuning, num_generations=4
        )
        seen: list[int] = []
        layer = trainer._sight.model.language_model.layers[0]
        layer.register_forward_pre_hook(
            lambda _, args, seen=seen: seen.append(args[0].shape[0] * args[0].shape[1])
        )
        found[packed] = scored(trainer)
        tokens[packed] = max(seen[-2:])
    assert torch.equal(found[True].pop("ids"), found[False].pop("ids"))
    for name, value in found[True].items():
        assert torch.allclose(value, found[False][name], atol=3e-5, rtol=1e-4), name
    assert tokens[True] < tokens[False] / 2  # four completions, one prompt


def test_one_forward_for_all_clips_changes_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes score in one forward, a single one in one per clip."""
    model = training_kit.tiny_model(tmp_path / "model", "qwen3_vl")
    seeing, found, forwards = grpo._Seeing, {}, {}
    for alone in (True, False):
        monkeypatch.setattr(grpo, "_Seeing", lambda *given, alone=alone: seeing(*given[:-1], alone))
        trainer = training_kit.grpo(
            model, tmp_path / "out", training_kit.Clips(), num_generations=4
        )
        lengths: list[int] = []
        trainer.model.register_forward_pre_hook(
            lambda _, args, given, lengths=lengths: lengths.append(given["input_ids"].numel()),
            with_kwargs=True,
        )
        found[alone] = scored(trainer)
        forwards[alone] = lengths[-len(training_kit.MIXED) :]
    assert torch.equal(found[True].pop("ids"), found[False].pop("ids"))
    for name, value in found[True].items():
        assert torch.allclose(value, found[False][name], atol=3e-5, rtol=1e-4), name
    assert sum(forwards[True]) < forwards[False][-1]  # the longest pads no other


def test_completions_see_the_prompt_and_themselves_alone() -> None:
    ids = torch.tensor([[0, 5, 6, 7, 11, 12], [0, 5, 6, 7, 21, 0], [8, 8, 8, 9, 31, 32]])
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
    labels = ids.masked_fill(mask == 0, packing.IGNORE)
    labels[:, :4] = packing.IGNORE
    positions = (mask.cumsum(-1) - 1).expand(3, 3, 6)
    packed = packing.pack(
        packing.groups(["a", "a", "b"]),
        packing.prompts(mask, labels),
        positions,
        ids,
        mask,
        labels,
        torch.zeros_like(ids),
    )
    given = packed.inputs
    assert given["input_ids"][0].tolist() == [5, 6, 7, 11, 12, 7, 21]
    assert given["labels"][0].tolist() == [-100, -100, -100, 11, 12, -100, 21]
    assert given["position_ids"][0, 0].tolist() == [0, 1, 2, 3, 4, 2, 3]
    assert given["input_ids"][1, :6].tolist() == [8, 8, 8, 9, 31, 32]
    sees = given["attention_mask"][0, 0]
    assert [torch.nonzero(row)[:, 0].tolist() for row in sees[4:]] == [
        [0, 1, 2, 3, 4],
        [0, 1, 5],
        [0, 1, 5, 6],
    ]
    predicted = torch.tensor(
        [[0, 0, 0.1, 0.2, 0, 0.3], [0, 0, 0, 0.4, 0.5, 0]]
    )  # of the tokens that follow
    assert packed.unpack(predicted).tolist() == [
        [0, 0, 0, *predicted[0, 2:4].tolist()],
        [0, 0, 0, predicted[0, 5].item(), 0],
        [0, 0, 0, *predicted[1, 3:5].tolist()],
    ]


def test_rows_without_a_completion_are_no_obstacle() -> None:
    ids, mask = torch.tensor([[5, 6, 0], [5, 6, 7]]), torch.tensor([[1, 1, 0], [1, 1, 1]])
    labels = torch.tensor([[-100, -100, -100], [-100, -100, 7]])
    packed = packing.pack(
        [[0, 1]],
        packing.prompts(mask, labels),
        mask.cumsum(-1).expand(3, 2, 3) - 1,
        ids,
        mask,
        labels,
        torch.zeros_like(ids),
    )
    assert packed.inputs["input_ids"].tolist() == [[5, 6, 6, 7]]
    assert packed.unpack(torch.tensor([[0, 0, 0.5]])).tolist() == [[0, 0], [0, 0.5]]
