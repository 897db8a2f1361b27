"""Supervised attention of the nano base: where it looks when it has named a thing and is about to
write that thing's cell.

The dense labels (``perception``) teach vision tokens what they show and where that stands. The
layers above still have to find the right tokens by name. From the loss on written cells alone they
found them slowly: of 96 tokens two or three matter, and what these know of their cells is uncertain.
So two heads of the first such layer get a loss on where they look, as is done in translation (Mi et
al. 2016, EMNLP, "Supervised attentions"). The checkpoint keeps nothing of this but its weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from .nano import CELLS, KEYS

HEADS = 2
"""Heads that are supervised; the others look where they like."""


@contextlib.contextmanager
def inputs_of(layer: torch.nn.Module) -> Iterator[dict[str, Any]]:
    """What a decoder layer is given by the forward inside the context: ``hidden`` and its keyword
    arguments."""
    given: dict[str, Any] = {}

    def keep(_: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        given.update(options, hidden=arguments[0])

    hook = layer.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield given
    finally:
        hook.remove()


def grounding_loss(
    layer: Any,
    given: dict[str, Any],
    ids: torch.Tensor,
    labels: torch.Tensor,
    names: torch.Tensor,
    places: torch.Tensor,
    tokenizer: Any,
) -> torch.Tensor:
    """Mean negative logarithm of the attention, by the supervised heads, to the vision tokens of
    the thing just named.

    Args:
        layer: a decoder layer of Qwen3-VL.
        given: what it was given, see ``inputs_of``.
        ids, labels: (B, L) tokens and targets; the loss is taken where a cell of a map is to
            follow.
        names: (B, L) what each vision token shows as the key's token id, -1 elsewhere.
        places: (B, L) the cell in which that thing stands as the cell's token id, -1 elsewhere. The
            right tokens are those that show the very instance whose cell follows; an instance that
            no token shows is left out.
    """
    from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

    attention, read = layer.self_attn, layer.input_layernorm(given["hidden"])
    shape = (*ids.shape, -1, attention.head_dim)
    query = attention.q_norm(attention.q_proj(read).view(shape))[:, :, :HEADS].transpose(1, 2)
    key = attention.k_norm(attention.k_proj(read).view(shape))[:, :, :HEADS].transpose(1, 2)
    query, key = apply_rotary_pos_emb(query, key, *given["position_embeddings"])
    scores = (query @ key.transpose(2, 3) * attention.scaling).masked_fill(
        ~given["attention_mask"], -torch.inf
    )
    same = _last_key(ids, tokenizer)[:, :, None] == names[:, None, :]
    same &= labels.roll(-1, 1)[:, :, None] == places[:, None, :]
    cells = torch.tensor(tokenizer.convert_tokens_to_ids(list(CELLS)), device=ids.device)
    asked = torch.zeros_like(ids, dtype=torch.bool)
    asked[:, :-1] = torch.isin(labels[:, 1:], cells)
    opened, closed = (labels == tokenizer.convert_tokens_to_ids(tag) for tag in ("<map>", "</map>"))
    asked &= opened.cumsum(1) > closed.cumsum(1)  # how a map is read is copied from it
    row, column = (asked & same.any(2)).nonzero(as_tuple=True)
    chosen = scores[row, :, column]  # (Q, heads, L)
    right = chosen.masked_fill(~same[row, column][:, None], -torch.inf)
    loss: torch.Tensor = (
        (chosen.logsumexp(2) - right.logsumexp(2)).mean() if len(row) else query.sum() * 0
    )
    return loss


def _last_key(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """(B, L) at every token, the key that was written last."""
    keys = torch.tensor(tokenizer.convert_tokens_to_ids(list(KEYS.values())), device=ids.device)
    at = (
        torch.arange(ids.shape[1], device=ids.device)
        .where(torch.isin(ids, keys), 0)
        .cummax(1)
        .values
    )
    return ids.gather(1, at)
