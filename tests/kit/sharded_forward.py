"""Worker of test_distributed.py: FSDP2 on the CPU, where one rank has no media at all and still has
to take part.

PYTHONPATH=tests torchrun --nproc_per_node 2 tests/kit/sharded_forward.py MODEL OUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from kit.training_kit import FRAMES, MIXED, Clips
from torch import distributed

from spacer_utils.training.encoder import Encoder, Prompt, pad, token_types
from spacer_utils.training.vision import SharedVision, repair_positions


def loss(model: Any, sight: SharedVision, encoder: Encoder, rows: Any) -> torch.Tensor:
    """Mean negative log-probability of the prompts' own tokens."""
    batch = encoder.encode([Prompt(text, media) for text, media in rows])
    ids, mask = pad(batch.ids, encoder.processor.tokenizer.pad_token_id, "right")
    with sight.rows(batch, range(len(rows)), "cpu") as media:
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            mm_token_type_ids=token_types(ids, encoder.processor),
            **media,
        ).logits
    logps = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    found: torch.Tensor = -(logps * mask[:, 1:]).sum() / mask[:, 1:].sum()
    return found


def main() -> None:
    path, out = sys.argv[1], Path(sys.argv[2])
    from torch.distributed.fsdp import fully_shard
    from transformers import AutoModelForImageTextToText, AutoProcessor

    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    torch.set_num_threads(1)
    repair_positions()
    encoder = Encoder(AutoProcessor.from_pretrained(path), FRAMES, load=Clips())
    shares = [MIXED[1:2], MIXED[:1]]  # rank 0 has text only
    plain: Any = AutoModelForImageTextToText.from_pretrained(path)
    sight = SharedVision(plain)
    (sum(loss(plain, sight, encoder, rows) for rows in shares) / 2).backward()  # type: ignore[union-attr]

    model: Any = AutoModelForImageTextToText.from_pretrained(path)
    mesh = distributed.device_mesh.init_device_mesh("cpu", (2,))
    for block in (*model.model.visual.blocks, *model.model.language_model.layers):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    loss(model, SharedVision(model, always=True), encoder, shares[rank]).backward()
    expected = {n: p.grad for n, p in plain.named_parameters()}
    worst = 0.0
    for name, p in model.named_parameters():
        ours = p.grad.full_tensor() if p.grad is not None else None
        assert (ours is None) == (expected[name] is None), name
        if ours is not None:
            worst = max(
                worst,
                float(
                    (ours - expected[name]).abs().max() / expected[name].abs().max().clamp(min=1e-8)
                ),
            )
    assert worst < 1e-3, worst
    if rank == 0:
        out.write_text(f"{worst:.1e}")


if __name__ == "__main__":
    main()
