"""What one step of each stage of the nano base's training is paid for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F

from ..training import packing
from ..training.encoder import token_types
from .fresh_rooms import RoomBatch
from .grounding import grounding_loss, inputs_of
from .map_copies import Rows
from .perception import Heads, Words, cell_tokens, cells_off, known_loss, recall, seen_loss

LOW = 0.6
"""Share of the language model's layers, the lower ones, that end in the dense labels: what a vision
token knows must stand there early, because the layers above look it up by name when they write."""
GROUND_WEIGHT = 0.5
"""Weight of the supervised attention."""


def text_step(model: Any, rows: Rows) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of text-only rows, a mean over their labelled tokens; short and long ones go through the
    model apart."""
    total = (rows.labels[:, 1:] != packing.IGNORE).sum()
    loss = torch.stack(
        [
            written_loss(
                model,
                model.model(input_ids=part.ids, attention_mask=part.mask).last_hidden_state,
                part.labels,
            )
            * ((part.labels[:, 1:] != packing.IGNORE).sum() / total)
            for part in rows.halves()
        ]
    ).sum()
    return loss, {"text_only": float(loss.detach())}


def look_step(
    model: Any, heads: Heads, batch: RoomBatch, processor: Any
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of the dense labels on one batch, for which only the lower layers run, and of its
    text-only rows."""
    text = model.model.language_model
    every, ids = text.layers, batch.rows.ids
    text.layers = every[: low_layers(model)]
    try:
        with _outputs(model.model.visual) as seen:
            hidden = model.model(
                input_ids=ids,
                attention_mask=batch.rows.mask,
                pixel_values_videos=batch.pixels,
                video_grid_thw=batch.grid,
                mm_token_type_ids=token_types(ids, processor),
            ).last_hidden_state
    finally:
        text.layers = every
    known = hidden[ids == model.config.video_token_id]
    losses, found = dense_losses(
        model, heads, batch, torch.cat(seen[0].pooler_output), known, processor
    )
    text_only, also = text_step(model, batch.text)
    return torch.stack(list(losses.values())).sum() + text_only, {**found, **also}


def map_step(
    model: Any,
    heads: Heads,
    batch: RoomBatch,
    processor: Any,
    answer_weight: float = 1.0,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of maps, answers and dense labels on one batch, its text-only rows included; each clip
    stands before its questions.

    Attention is trained at every cell of a map, on the very instance that stands there.

    Args:
        answer_weight: of the tokens inside ``<answer>``, against 1 of all others.
    """
    text, given = model.model.language_model, packed(model, batch, processor)
    above, shows = text.layers[low_layers(model)], given["input_ids"] == model.config.video_token_id
    with _outputs(model.model.visual) as seen, inputs_of(above) as low:
        hidden = model.model(
            **{k: v for k, v in given.items() if k != "labels"},
            pixel_values_videos=batch.pixels,
            video_grid_thw=batch.grid,
        ).last_hidden_state
    dense, found = dense_losses(
        model,
        heads,
        batch,
        torch.cat(seen[0].pooler_output),
        text.norm(low["hidden"][shows]),
        processor,
    )
    nowhere = torch.full_like(given["input_ids"], -1)
    places = nowhere.masked_scatter(shows, cell_tokens(batch.cell, processor.tokenizer))
    ground = grounding_loss(
        above,
        low,
        given["input_ids"],
        given["labels"],
        nowhere.masked_scatter(shows, batch.name),
        places,
        processor.tokenizer,
    )
    written = written_loss(
        model,
        hidden,
        given["labels"],
        answered(given["labels"], processor.tokenizer),
        answer_weight,
    )
    text_only, also = text_step(model, batch.text)
    total = written + text_only + GROUND_WEIGHT * ground + torch.stack(list(dense.values())).sum()
    return total, {
        "text": float(written.detach()),
        "ground": float(ground.detach()),
        **found,
        **also,
    }


def packed(model: Any, batch: RoomBatch, processor: Any) -> dict[str, torch.Tensor]:
    """The model's text arguments, and labels: one sequence per clip with all its questions."""
    rows, each = batch.rows, len(batch.rows.ids) // len(batch.grid)
    types = token_types(rows.ids, processor)
    positions, _ = model.model.get_rope_index(
        rows.ids,
        mm_token_type_ids=types,
        attention_mask=rows.mask,
        video_grid_thw=batch.grid.repeat_interleave(each, 0),
    )
    columns = torch.arange(rows.ids.shape[1], device=rows.ids.device)
    last = (columns * (types > 0)).amax(1, keepdim=True)
    clip = rows.mask.bool() & (columns <= last + 1)  # with the token that closes it
    members = [range(k, k + each) for k in range(0, len(rows.ids), each)]
    return packing.pack(members, clip, positions, rows.ids, rows.mask, rows.labels, types).inputs


def dense_losses(
    model: Any,
    heads: Heads,
    batch: RoomBatch,
    features: torch.Tensor,
    known: torch.Tensor,
    processor: Any,
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """What the tower says of each vision token and what the lower layers know of it, as losses and
    for the log.

    Args:
        features: (N, hidden) tokens as the language model receives them.
        known: (N, hidden) their normed states after the lower layers.
    """
    logits, words = model.lm_head(known), Words(processor.tokenizer, str(known.device))
    losses = {
        **seen_loss(features, model.get_input_embeddings().weight, heads, batch.name, batch.place),
        **known_loss(known, logits, heads, words, batch.name, batch.cell, batch.camera),
    }
    off = cells_off(logits, words, batch.cell)
    return losses, {
        **_floats({**losses, "cells_off": off}),
        "recall": recall(logits.detach(), words, batch.name),
    }


def low_layers(model: Any) -> int:
    """How many of the language model's layers end in the dense labels."""
    return round(LOW * int(model.config.text_config.num_hidden_layers))


@contextlib.contextmanager
def _outputs(module: torch.nn.Module) -> Iterator[list[Any]]:
    """What a module returns in the forwards inside the context."""
    found: list[Any] = []
    hook = module.register_forward_hook(lambda _, __, output: found.append(output))
    try:
        yield found
    finally:
        hook.remove()


def written_loss(
    model: Any,
    hidden: torch.Tensor,
    labels: torch.Tensor,
    special: torch.Tensor | None = None,
    weight: float = 1.0,
) -> torch.Tensor:
    """Cross-entropy of the labelled tokens; logits are made for these alone.

    Args:
        special: (B, length) labels that count ``weight`` times.
    """
    following = labels[:, 1:]
    wanted = following != packing.IGNORE
    losses = F.cross_entropy(
        model.lm_head(hidden[:, :-1][wanted]), following[wanted], reduction="none"
    )
    if special is None:
        return losses.mean()
    weights = torch.where(special[:, 1:][wanted], weight, 1.0)
    mean: torch.Tensor = (weights * losses).sum() / weights.sum()
    return mean


def answered(labels: torch.Tensor, words: Any) -> torch.Tensor:
    """(B, length): which labels stand inside ``<answer>``."""
    opened, closed = (
        (labels == words.convert_tokens_to_ids(tag)).cumsum(1) for tag in ("<answer>", "</answer>")
    )
    inside: torch.Tensor = (opened > closed) & (labels != words.convert_tokens_to_ids("<answer>"))
    return inside


def _floats(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {k: float(v.detach()) for k, v in losses.items()}
