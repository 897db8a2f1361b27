"""Completions of a batch of prompts, in training and evaluation.

transformers' ``generate`` reads every prompt of a batch in full, and computes every row until the
longest has ended. Here tokens that prompts share are read once, and every step looks at them once:
rollouts of one question share the whole prompt, and questions about one clip share all but their
last words. A row that has ended leaves the batch.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.types import WorkbookError
from . import packing
from .encoder import Batch, pad, token_types, vision_tokens
from .shared_attention import PrefixCache
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
        end = next((k + 1 for k in reversed(range(len(ids))) if ids[k] in vision), 0)
        groups.setdefault((batch.rows[row], tuple(ids[:end])), []).append(row)
    first, common = [0] * len(batch.ids), [0] * len(batch.ids)
    for rows in groups.values():
        texts = [batch.ids[r] for r in rows]
        limit = min(map(len, texts)) - 1
        low, high = min(texts), max(texts)  # what these two share, all between them do
        same = next((k for k in range(limit) if low[k] != high[k]), limit)
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


def ended_everywhere(accelerator: Any, here: bool) -> bool:
    """Whether the rows of every process have ended, given whether those of this one have."""
    said = torch.tensor(here, device=accelerator.device, dtype=torch.int)
    return bool(accelerator.reduce(said, "sum").item() == accelerator.num_processes)


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
        WorkbookError: the model's scores are not finite, so that no word follows from them; or its
            attention knows no shared tokens.
    """
    attention = backbone(model).config.get_text_config()._attn_implementation
    if attention != "sdpa":
        raise WorkbookError(
            f"rollouts need the attention 'sdpa' of transformers, and this model has {attention!r}. Load it with "
            "attn_implementation='sdpa'."
        )
    device, filler = model.device, processor.tokenizer.pad_token_id

    # read every prompt, the shared heads once
    ids, mask = pad(batch.ids, filler, "left")
    types = token_types(ids, processor)
    distinct = packing.groups([(tuple(text), m) for text, m in zip(batch.ids, batch.rows)])
    kinds, kind = packing.first_and_number(distinct)
    places = backbone(model).get_rope_index(
        ids[kinds], types[kinds], attention_mask=mask[kinds], **batch.positions(kinds)
    )[0][:, kind]
    first, common = shared_heads(batch, (processor.image_token_id, processor.video_token_id))
    shared = mask.bool() & (mask.cumsum(1) <= torch.tensor(common)[:, None])
    packed = packing.pack(packing.groups(first), shared, places, ids, mask, ids, types)
    last = torch.zeros_like(packed.text["input_ids"], dtype=torch.bool)
    for sequence, (head, *tails) in enumerate(packed.sizes):
        last[sequence, torch.tensor(tails).cumsum(0) + head - 1] = True
    columns = last.any(0)  # transformers 5.17 keeps columns, not single places
    given = {k: v.to(device) for k, v in packed.text.items() if k != "labels"}
    with sight.rows(batch, packed.first, device) as media:
        read = model(
            **given,
            packed=packed.sizes,
            use_cache=True,
            logits_to_keep=columns.nonzero()[:, 0].to(device),
            **media,
        )
    logits = read.logits[last[:, columns].to(device)]  # (rows, words)
    cache = PrefixCache(read.past_key_values, packed.sizes, budget)

    # write token by token
    width = ids.shape[1]
    ids = torch.cat([ids, ids.new_full((len(ids), budget), filler)], 1).to(device)
    place = places.amax((0, 2)).to(device) + 1  # (rows,) the position of each one's first token
    written: list[list[int]] = [[] for _ in batch.ids]
    ended = [False] * len(written)
    held = [row for group in packing.groups(first) for row in group]  # the row in each slot
    rows = torch.tensor(held, device=device)
    for step in range(budget):
        order = rows.argsort()  # a row's draw does not depend on its slot
        alive, scores = rows[order], logits[order].float()
        if not torch.isfinite(scores).all():
            raise WorkbookError(
                f"the model's scores of its word number {step + 1} are not finite. Its weights do not suit the "
                f"precision it runs in ({model.dtype}), or a training has spoiled them: take another checkpoint."
            )
        for change in filters:
            scores = change(ids[alive, : width + step], scores)
        ids[alive, width + step] = chosen = choose(scores)
        for row, token in zip(sorted(held), chosen.tolist()):
            if not ended[row]:
                written[row].append(token)
                ended[row] = token in stop

        # rows that have ended leave
        gone = [slot for slot, row in enumerate(held) if ended[row]]
        if all_ended(len(gone) == len(held)) or step == budget - 1:
            break
        if len(gone) == len(held):
            gone = gone[1:]  # other processes still write: one row stays, to take part
        if gone:
            held = [held[slot] for slot in cache.drop(gone)]
            rows = torch.tensor(held, device=device)
        logits = model(
            input_ids=ids[rows, width + step, None],
            attention_mask=cache.mask(),
            position_ids=(place[rows] + step).expand(3, -1)[:, :, None],
            past_key_values=cache,
            use_cache=True,
            prefix=cache,
        ).logits[:, -1]
    return list(zip(written, ended))
