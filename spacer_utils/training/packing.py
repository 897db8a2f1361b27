"""One sequence per prompt, with all its completions behind it.

GRPO scores G completions of every prompt. As rows of a batch, each repeats the prompt, and a video
makes up most of the tokens. So the rows of a prompt are packed: ``prompt | completion 1 | completion
2 | ...``. The completions are hidden from each other, and each keeps the positions it would have
alone. Log-probabilities and gradients are the same, for a fraction of the work. Several questions
about one clip are packed in the same way.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from . import shared_attention  # teaches transformers' attention what ``Packed.sizes`` means

IGNORE = -100
"""Label of a token that no loss looks at."""
NAMES = ("input_ids", "attention_mask", "labels", "mm_token_type_ids")
"""What ``pack`` needs of the model's arguments."""


@dataclass(frozen=True)
class Packed:
    """Arguments of the model for packed sequences, and where each result belongs in the rows."""

    text: dict[str, torch.Tensor]
    sizes: shared_attention.Sizes
    """Per sequence: shared tokens in front, then each row's own (the repeated one included)."""
    first: list[int]
    """Per sequence: the row whose prompt and media stand for all its rows."""
    row: torch.Tensor
    column: torch.Tensor
    """(n,) row and column of each completion token's prediction in the (B, L - 1) predictions of
    the rows."""
    sequence: torch.Tensor
    index: torch.Tensor
    """(n,) sequence and place of the same prediction in the packed sequences."""
    shape: tuple[int, int]

    @property
    def given(self) -> dict[str, Any]:
        """Arguments of the model: each row is multiplied with the shared tokens and itself."""
        return {**self.text, "attention_mask": None, "packed": self.sizes}

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """The same with a mask, for who needs to see what a token looks at."""
        owners = [
            torch.arange(len(sizes), device=self.row.device).repeat_interleave(
                torch.tensor(sizes, device=self.row.device)
            )
            for sizes in self.sizes
        ]
        length = self.text["input_ids"].shape[1]
        padded = [torch.nn.functional.pad(o, (0, length - len(o)), value=-1) for o in owners]
        return {**self.text, "attention_mask": _visible(torch.stack(padded))}

    def unpack(self, values: torch.Tensor | None) -> torch.Tensor | None:
        """(B, L - 1) values per predicted token from those of the packed sequences; 0 where a row
        predicts nothing."""
        if values is None:
            return None
        return values.new_zeros(self.shape).index_put(
            (self.row, self.column), values[self.sequence, self.index]
        )

    def outputs(self, found: Any) -> Any:
        """The model's outputs as TRL reads them of unpacked rows."""
        return SimpleNamespace(
            log_probs=self.unpack(found.log_probs),
            entropy=self.unpack(found.entropy),
            aux_loss=found.aux_loss,
        )


def joined(parts: Sequence[Any]) -> Any:
    """The outputs of several forwards, each of which scored other rows of a batch."""

    def total(name: str) -> Any:
        found = [getattr(p, name) for p in parts]
        return None if found[0] is None else torch.stack(found).sum(0)

    loss = total("aux_loss")
    return SimpleNamespace(
        log_probs=total("log_probs"),
        entropy=total("entropy"),
        aux_loss=None if loss is None else loss / len(parts),
    )


def possible(model: Any) -> bool:
    """Whether the model's attention is the one that ``shared_attention`` teaches packed sequences."""
    return bool(model.config.get_text_config()._attn_implementation == "sdpa")


def groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Rows with the same prompt, in the order of their first."""
    found: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return list(found.values())


def first_and_number(members: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The first row of each group, and the number of each row's group."""
    number = {row: k for k, rows in enumerate(members) for row in rows}
    return [rows[0] for rows in members], [number[row] for row in sorted(number)]


def pack(
    members: Sequence[Sequence[int]],
    shared: torch.Tensor,
    positions: torch.Tensor,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
    mm_token_type_ids: torch.Tensor,
) -> Packed:
    """Pack the rows of a batch.

    The last shared token is repeated before every row's own tokens: it predicts the first of each.

    Args:
        members: rows of each packed sequence.
        shared: (B, L) bool, the tokens that the rows of a sequence have in common: at least one,
            and all before their own.
        positions: (3, B, L) rotary positions of the rows.
        labels: (B, L) ``IGNORE`` on shared tokens at least.
    """
    own = attention_mask.bool() & ~shared
    columns, sizes, back = [], [], []
    for sequence, rows in enumerate(members):
        common = torch.nonzero(shared[rows[0]])[:, 0]
        parts = [torch.stack([torch.full_like(common[:-1], rows[0]), common[:-1]])]
        start = len(common) - 1
        for row in rows:
            told = torch.nonzero(own[row])[:, 0]
            segment = torch.cat([torch.nonzero(shared[row])[-1:, 0], told])
            parts.append(torch.stack([torch.full_like(segment, row), segment]))
            back.append(
                torch.stack(
                    [
                        torch.full_like(told, row),
                        told - 1,
                        torch.full_like(told, sequence),
                        start + torch.arange(len(told), device=told.device),
                    ]
                )
            )
            start += len(segment)
        columns.append(torch.cat(parts, 1))
        sizes.append([part.shape[1] for part in parts])
    length = max(c.shape[1] for c in columns)
    taken = torch.stack([torch.nn.functional.pad(c, (0, length - c.shape[1])) for c in columns])
    at = (
        taken[:, 0],
        taken[:, 1],
    )  # padding repeats the batch's first token, which is text without a label
    text = {
        "input_ids": input_ids[at],
        "mm_token_type_ids": mm_token_type_ids[at],
        "labels": labels[at],
        "position_ids": positions[:, at[0], at[1]],
    }
    row, column, sequence_of, index = torch.cat(back, 1)
    return Packed(
        text,
        sizes,
        [rows[0] for rows in members],
        row,
        column,
        sequence_of,
        index,
        (input_ids.shape[0], input_ids.shape[1] - 1),
    )


def prompts(attention_mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B, L) bool: the tokens of prompts that are padded on the left, before completions that are
    padded on the right."""
    return attention_mask.bool() & ((labels != IGNORE).any(0).long().cumsum(0) == 0)


def _visible(owners: torch.Tensor) -> torch.Tensor:
    """(sequences, 1, N, N) bool: whether a token may look at another.

    It may look at earlier tokens of the prompt (owner 0) and of its own completion.
    """
    query, key = owners[:, :, None], owners[:, None, :]
    causal = torch.ones(
        owners.shape[1], owners.shape[1], dtype=torch.bool, device=owners.device
    ).tril()
    return (causal & ((key == 0) | (query == key)))[:, None]
