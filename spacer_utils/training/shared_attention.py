"""Attention of rows that share a beginning, without a mask over every pair of their tokens.

A packed sequence is ``shared tokens | rest of row 1 | rest of row 2 | ...`` (see ``packing``).
Transformers' attention would need a dense mask for it, and would multiply every row with every
other row only to hide the result. Here each row is multiplied with the shared tokens and itself.

A ``PrefixCache`` keeps the keys and values of such rows while they are written: those of the shared
tokens once, and the others in memory that is allocated once. Transformers' ``StaticCache`` holds
the shared tokens once per row, and every step attends over its whole length.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

from collections.abc import Sequence
from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

Sizes = Sequence[Sequence[int]]
"""Per packed sequence: the number of its shared tokens, then of each row's own tokens."""


class PrefixCache:
    """Keys and values of rows that are written token by token behind shared tokens.

    A row has a slot. When rows end, rows of the last slots move into theirs, so that only they are
    copied.
    """

    def __init__(self, read: Any, sizes: Sizes, room: int) -> None:
        """
        Args:
            read: transformers' cache of a forward over packed sequences.
            room: most tokens that are added to each row.
        """
        first = read.layers[0].keys
        shared = torch.tensor([s for s, *_ in sizes], device=first.device)
        starts, own = [], []
        for s, *rows in sizes:
            ends = torch.tensor([s, *rows]).cumsum(0).tolist()
            starts += ends[:-1]
            own += rows
        self.reader = [k for k, (_, *rows) in enumerate(sizes) for _ in rows]
        """Per slot: the sequence whose shared tokens it reads."""
        self.filled = [max(own)] * len(read.layers)
        """Per layer: columns of the rows' own tokens that are written."""

        # where a row's own tokens stand in the packed sequences; behind its last one it is repeated
        column = torch.arange(self.filled[0], device=first.device)
        length = torch.tensor(own, device=first.device)[:, None]
        place = torch.tensor(starts, device=first.device)[:, None] + column.minimum(length - 1)
        sequence = torch.tensor(self.reader, device=first.device)[:, None]
        width = int(shared.max())
        self.shared = [
            (layer.keys[:, :, :width].contiguous(), layer.values[:, :, :width].contiguous())
            for layer in read.layers
        ]
        self.own = [
            tuple(self._with_room(x[sequence, :, place].transpose(1, 2), room) for x in pair)
            for pair in ((layer.keys, layer.values) for layer in read.layers)
        ]

        # what is added to scores: 0 where a column holds a token of the sequence or row
        empty = torch.arange(width, device=first.device) >= shared[:, None]
        self._of_shared = first.new_zeros(empty.shape).masked_fill(empty, -torch.inf)
        self._of_own = first.new_zeros(len(own), self.filled[0] + room)
        self._of_own[:, : self.filled[0]].masked_fill_(column >= length, -torch.inf)
        self._arrange()

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add one token per row; returns the (rows, heads, tokens, size) keys and values of the
        rows' own tokens."""
        rows, at = len(keys), self.filled[layer]
        for kept, new in zip(self.own[layer], (keys, values)):
            kept[:rows, :, at] = new[:, :, 0]
        self.filled[layer] = at + 1
        own_keys, own_values = self.own[layer]
        return own_keys[:rows, :, : at + 1], own_values[:rows, :, : at + 1]

    def mask(self) -> torch.Tensor:
        """(rows, 1, 1, columns) what is added to the scores of the next token of each row: 0 where
        it may look."""
        own = self._of_own[: len(self.reader), : self.filled[0] + 1]
        return torch.cat([self._of_read, own], 1)[:, None, None]

    def drop(self, slots: Sequence[int]) -> list[int]:
        """Take the rows out of these slots; returns where the row of each remaining slot was."""
        left, gone = len(self.reader) - len(slots), set(slots)
        holes = [s for s in slots if s < left]
        moved = [s for s in range(left, len(self.reader)) if s not in gone]
        for kept in (*(x for pair in self.own for x in pair), self._of_own[:, None]):
            kept[holes, :, : self.filled[0]] = kept[moved, :, : self.filled[0]]
        before = list(range(left))
        for hole, slot in zip(holes, moved):
            before[hole] = slot
        self.reader = [self.reader[s] for s in before]
        self._arrange()
        return before

    def attend(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor,
        layer: int,
        scaling: float,
    ) -> torch.Tensor:
        """(rows, 1, heads, size) attention of one token per row over shared and own tokens."""
        shared_keys, shared_values = self.shared[layer]
        rows, heads, _, size = query.shape
        query = query.reshape(rows, keys.shape[1], -1, size) * scaling
        scores = torch.cat([self._with_shared(query, shared_keys.mT), query @ keys.mT], -1)
        weights = (scores + mask).softmax(-1, dtype=torch.float32).to(values.dtype)
        width = shared_keys.shape[2]
        found = self._with_shared(weights[..., :width], shared_values)
        found = found + weights[..., width:] @ values
        return found.reshape(rows, 1, heads, size)

    def _with_shared(self, rows: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
        """(rows, heads, n, m) products of (rows, heads, n, k) with the (sequences, heads, k, m) of
        their sequences.

        Rows of a sequence stand side by side, so that what they share is read once.
        """
        sequences, each = self._slots.shape
        _, heads, n, k = rows.shape
        beside = rows[self._slots].transpose(1, 2).reshape(sequences, heads, each * n, k)
        found = (beside @ shared).view(sequences, heads, each, n, -1).transpose(1, 2)
        return found[self._place]

    def _arrange(self) -> None:
        """Say which slots read which sequence; sequences that none reads leave."""
        read = sorted(set(self.reader))
        if len(read) < len(self._of_shared):
            index = torch.tensor(read, device=self._of_shared.device)
            self.shared = [(keys[index], values[index]) for keys, values in self.shared]
            self._of_shared = self._of_shared[index]
            self.reader = [read.index(k) for k in self.reader]
        slots: list[list[int]] = [[] for _ in read]
        place = []
        for slot, k in enumerate(self.reader):
            place.append((k, len(slots[k])))
            slots[k].append(slot)
        each = max(map(len, slots))
        device = self._of_shared.device
        self._slots = torch.tensor([s + s[:1] * (each - len(s)) for s in slots], device=device)
        self._place = tuple(torch.tensor(place, device=device).T)
        self._of_read = self._of_shared[torch.tensor(self.reader, device=device)]

    @staticmethod
    def _with_room(kept: torch.Tensor, room: int) -> torch.Tensor:
        rows, heads, width, size = kept.shape
        whole = kept.new_empty(rows, heads, width + room, size)
        whole[:, :, :width] = kept
        return whole


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    packed: Sizes | None = None,
    prefix: PrefixCache | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Transformers' attention by ``scaled_dot_product_attention``, which also knows shared tokens.

    Args:
        packed: the sizes of packed sequences; a model's forward hands it on to here.
        prefix: the cache of rows behind shared tokens.
    """
    if prefix is not None:
        assert attention_mask is not None
        found = prefix.attend(
            query, key, value, attention_mask, module.layer_idx, options["scaling"]
        )
        return found, None
    if packed is None:
        stock: torch.Tensor = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )[0]
        return stock, None
    rows = zip(query.split(1), key.split(1), value.split(1), packed)
    return torch.cat([_attend_packed(module, *row, options) for row in rows]), None


def _attend_packed(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    sizes: Sequence[int],
    options: dict[str, Any],
) -> torch.Tensor:
    """(1, tokens, heads, size) attention in one packed sequence; 0 on the padding behind it."""
    sizes = [*sizes, query.shape[2] - sum(sizes)]
    queries, keys, values = (x.split(sizes, 2) for x in (query, key, value))
    found = []
    for k, (q, own_keys, own_values) in enumerate(zip(queries[:-1], keys, values)):
        seen = None  # the shared tokens: each looks at those before it
        if k:
            own_keys = torch.cat([keys[0], own_keys], 2)
            own_values = torch.cat([values[0], own_values], 2)
            shape = q.shape[2], own_keys.shape[2]
            seen = torch.ones(shape, dtype=torch.bool, device=q.device).tril(sizes[0])[None, None]
        found.append(sdpa_attention_forward(module, q, own_keys, own_values, seen, **options)[0])
    padding = queries[-1].transpose(1, 2)
    return torch.cat([*found, torch.zeros_like(padding)], 1)


ALL_ATTENTION_FUNCTIONS.register("sdpa", attend)
