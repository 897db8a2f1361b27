"""Completions of a batch of prompts, in training and evaluation.

transformers' ``generate`` reads every prompt of a batch in full, and computes every row until the
longest has ended. Here tokens that prompts share are read once: rollouts of one question share the
whole prompt, and questions about one clip share all but their last words. A row that has ended
leaves the batch.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.types import WorkbookError
from .encoder import Batch, pad, token_types, vision_tokens
from .vision import SharedVision, backbone

Filter = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``(ids (rows, tokens), scores (rows, words)) -> scores``: one of transformers' logits
processors."""
Choice = Callable[[torch.Tensor], torch.Tensor]
"""``scores (rows, words) -> token ids (rows,)``."""


def shared_heads(batch: Batch, vision: Sequence[int]) -> tuple[list[int], list[int]]:
    """Per row: the first row that begins with the same media and tokens, and how many tokens are
    shared.

    All vision tokens (ids ``vision``) are shared, and the last token of a row never is.
    """
    groups: dict[Any, list[int]] = {}
    for row, ids in enumerate(batch.ids):
        end = max((k for k, i in enumerate(ids) if i in vision), default=-1) + 1
        groups.setdefault((batch.rows[row], tuple(ids[:end])), []).append(row)
    first, common = [0] * len(batch.ids), [0] * len(batch.ids)
    for rows in groups.values():
        texts = [batch.ids[r] for r in rows]
        limit = min(map(len, texts)) - 1
        same = next((k for k in range(limit) if any(t[k] != texts[0][k] for t in texts)), limit)
        for r in rows:
            first[r], common[r] = rows[0], same
    return first, common


def rules(
    settings: Any, processor: Any, device: Any = "cpu"
) -> tuple[list[Filter], frozenset[int]]:
    """Filters of the scores and the tokens that end a text, from a ``GenerationConfig``.

    The filters are its repetition penalty, and one that forbids tokens that stand for pixels.
    """
    from transformers import RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor

    ends = (
        settings.eos_token_id
        if isinstance(settings.eos_token_id, list)
        else [settings.eos_token_id]
    )
    filters: list[Filter] = [SuppressTokensLogitsProcessor(vision_tokens(processor), device=device)]
    if settings.repetition_penalty not in (None, 1.0):
        filters.insert(0, RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    return filters, frozenset({processor.tokenizer.eos_token_id, *ends} - {None})


def most_likely(scores: torch.Tensor) -> torch.Tensor:
    """(rows,) token ids from (rows, words) scores."""
    return scores.argmax(-1)


def drawn(scores: torch.Tensor) -> torch.Tensor:
    """(rows,) token ids drawn from (rows, words) logits, with torch's own generator."""
    return torch.multinomial(scores.softmax(-1), 1)[:, 0]


def complete(
    model: Any,
    sight: SharedVision,
    batch: Batch,
    processor: Any,
    budget: int,
    filters: Sequence[Filter],
    stop: frozenset[int],
    choose: Choice = most_likely,
    all_ended: Callable[[bool], bool] = bool,
) -> list[tuple[list[int], bool]]:
    """Per row: the tokens written, and whether the last is one of ``stop``.

    Args:
        budget: most tokens written per row.
        all_ended: called after every token with whether all rows here have ended; returns whether
            to stop. With sharded parameters it must answer for all processes, since a forward needs
            every one of them.

    Raises:
        WorkbookError: the model's scores are not finite, so that no word follows from them.
    """
    device, filler = model.device, processor.tokenizer.pad_token_id

    # the shared heads, one row each, and the rest of every row
    first, common = shared_heads(batch, (processor.image_token_id, processor.video_token_id))
    readers = sorted(set(first))
    reader = torch.tensor([readers.index(f) for f in first])
    heads, head_mask = pad([batch.ids[r][: common[r]] for r in readers], filler, "left")
    tails, tail_mask = pad([ids[n:] for ids, n in zip(batch.ids, common)], filler, "left")
    ids, mask = torch.cat([heads[reader], tails], 1), torch.cat([head_mask[reader], tail_mask], 1)
    places, _ = backbone(model).get_rope_index(
        ids, token_types(ids, processor), attention_mask=mask, **batch.positions(range(len(ids)))
    )
    ids, mask, places, width = ids.to(device), mask.to(device), places.to(device), heads.shape[1]

    # read the heads once, copy the cache to every row, read the rests
    with sight.rows(batch, readers, device) as media:
        read = model(
            input_ids=heads.to(device),
            attention_mask=head_mask.to(device),
            position_ids=places[:, readers, :width],
            use_cache=True,
            logits_to_keep=1,
            **media,
        )
    cache = read.past_key_values
    cache.batch_select_indices(reader.to(device))
    out = model(
        input_ids=ids[:, width:],
        attention_mask=mask,
        position_ids=places[:, :, width:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    place = places.amax((0, 2)) + 1  # (rows,) the next position of each

    # write token by token
    written: list[list[int]] = [[] for _ in batch.ids]
    ended = [False] * len(written)
    alive = list(range(len(written)))
    for step in range(budget):
        scores = out.logits[:, -1].float()
        if not torch.isfinite(scores).all():
            raise WorkbookError(
                f"the model's scores of its word number {step + 1} are not finite. Its weights do not suit the "
                f"precision it runs in ({model.dtype}), or a training has spoiled them: take another checkpoint."
            )
        for change in filters:
            scores = change(ids, scores)
        chosen = choose(scores)
        for row, token in zip(alive, chosen.tolist()):
            if not ended[row]:
                written[row].append(token)
                ended[row] = token in stop

        # rows that have ended leave
        keep = [k for k, row in enumerate(alive) if not ended[row]]
        if all_ended(not keep) or step == budget - 1:
            break
        if len(keep) < len(alive):
            keep = keep or [
                0
            ]  # other processes still write: keep one row, so that this one takes part
            index = torch.tensor(keep, device=device)
            out.past_key_values.batch_select_indices(index)
            ids, mask, place, chosen, alive = (
                ids[index],
                mask[index],
                place[index],
                chosen[index],
                [alive[k] for k in keep],
            )
        ids, mask = (
            torch.cat([ids, chosen[:, None]], 1),
            torch.cat([mask, mask.new_ones(len(mask), 1)], 1),
        )
        out = model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=place.expand(3, -1)[:, :, None],
            past_key_values=out.past_key_values,
            use_cache=True,
        )
        place = place + 1
    return list(zip(written, ended))
