"""Attention that reads shared tokens once gives what attention with a dense mask gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spacer_utils.core.types import WorkbookError  # noqa: E402
from spacer_utils.training import rollouts  # noqa: E402
from spacer_utils.training.packing import _visible  # noqa: E402
from spacer_utils.training.shared_attention import PrefixCache, attend  # noqa: E402

SIZE, SCALING = 8, 8**-0.5
SIZES = ((5, 3, 1, 4), (2, 6), (4, 2, 2))
"""Shared tokens, then the rows' own: sequences of 13, 8 and 8 tokens."""


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, requires_grad=True)


def dense(query: Any, keys: Any, values: Any, seen: Any) -> Any:
    """(B, tokens, heads, size) attention as the formula says it."""
    keys, values = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (keys, values))
    scores = (query @ keys.mT * SCALING).masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1) @ values).transpose(1, 2)


@pytest.mark.parametrize("groups", [1, 2])
def test_packed_rows_see_the_shared_tokens_and_themselves(groups: int) -> None:
    """Values and gradients, with several query heads per key head too."""
    torch.manual_seed(0)
    module = SimpleNamespace(num_key_value_groups=groups, is_causal=True, layer_idx=0)
    owners = torch.full((3, 13), -1)
    for row, sizes in enumerate(SIZES):
        owners[row, : sum(sizes)] = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    given = drawn(3, 2 * groups, 13, SIZE), drawn(3, 2, 13, SIZE), drawn(3, 2, 13, SIZE)
    found = attend(module, *given, None, packed=SIZES, scaling=SCALING)[0]
    expected = dense(*given, _visible(owners))
    where = owners >= 0
    assert torch.allclose(found[where], expected[where], atol=1e-6)
    assert not found[~where].any()
    weight = torch.randn(int(where.sum()), 2 * groups, SIZE)
    ours, theirs = (
        torch.autograd.grad((x[where] * weight).sum(), given) for x in (found, expected)
    )
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, atol=1e-5)


def test_nothing_else_changes_in_transformers_attention() -> None:
    torch.manual_seed(0)
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True, layer_idx=0)
    given = drawn(2, 2, 6, SIZE), drawn(2, 2, 6, SIZE), drawn(2, 2, 6, SIZE)
    found = attend(module, *given, None, scaling=SCALING)[0]
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    assert torch.allclose(found, dense(*given, causal), atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2])
def test_rows_are_written_behind_shared_tokens(groups: int) -> None:
    """Row by row and step by step the cache gives what each row alone would give; rows leave in any
    order, and a sequence leaves with its last."""
    torch.manual_seed(0)
    layers = 2
    module = SimpleNamespace(layer_idx=0)
    read = [(torch.randn(3, 2, 13, SIZE), torch.randn(3, 2, 13, SIZE)) for _ in range(layers)]
    cache = PrefixCache(
        SimpleNamespace(layers=[SimpleNamespace(keys=k, values=v) for k, v in read]), SIZES, 5
    )
    alone: list[list[tuple[Any, Any]]] = [[] for _ in range(layers)]  # per layer and row
    for layer, pair in enumerate(read):
        for sequence, (shared, *own) in enumerate(SIZES):
            at = shared
            for n in own:
                alone[layer].append(
                    tuple(
                        torch.cat([x[sequence, :, :shared], x[sequence, :, at : at + n]], 1)
                        for x in pair
                    )  # type: ignore[arg-type]
                )
                at += n
    memory = [x.data_ptr() for pair in cache.own for x in pair]
    held = list(range(6))
    for gone in ([], [1], [0, 4], [1], []):
        held = [held[slot] for slot in cache.drop(gone)] if gone else held
        mask = cache.mask()
        for layer in range(layers):
            new = [torch.randn(len(held), 2, 1, SIZE) for _ in range(2)]
            query = torch.randn(len(held), 2 * groups, 1, SIZE)
            module.layer_idx = layer
            found = attend(
                module, query, *cache.update(*new, layer), mask, prefix=cache, scaling=SCALING
            )[0]
            for slot, row in enumerate(held):
                alone[layer][row] = tuple(  # type: ignore[assignment]
                    torch.cat([x, n[slot]], 1) for x, n in zip(alone[layer][row], new)
                )
                keys, values = (x[None] for x in alone[layer][row])
                expected = dense(query[slot, None], keys, values, torch.tensor(True))
                assert torch.allclose(found[slot, None], expected, atol=1e-6)
    assert len(held) == 2
    assert len(cache.shared[0][0]) < len(SIZES)  # sequences without rows have left
    assert memory == [x.data_ptr() for pair in cache.own for x in pair]  # allocated once


def test_rollouts_refuse_an_attention_that_would_ignore_shared_tokens() -> None:
    text = SimpleNamespace(_attn_implementation="eager")
    model: Any = SimpleNamespace(
        model=SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))
    )
    nothing: Any = None
    with pytest.raises(WorkbookError, match="'sdpa' of transformers, and this model has 'eager'"):
        rollouts.complete(model, nothing, nothing, nothing, 1, [], frozenset())
