"""Which tokens a reward is credited to.

GRPO gives all tokens of a completion one advantage, that of its total reward. With a map, much of
that reward has nothing to do with a given token. The map is finished when the answer is written, and
where the sofa is drawn does not change what the tv earns. There are two finer ways.

Credit by parts:

* Tokens up to the end of the map: the map terms and the format, compared with the group's.
* Tokens behind the map: all terms but the map's, compared with the group's.

So the tokens that read the map are paid for the answer alone.

Credit by object gives every token the advantage of what it decides:

* Cells of a category: what this category earned on the map (``rewards.matching.earned``), compared
  with the group's other maps.
* Other tokens up to the end of the map, such as names: the whole map's score, compared with the
  group's.
* Tokens behind the map: all other terms, compared with the group's.

A policy gradient may leave out rewards that were decided before a token (reward-to-go; Sutton and
Barto, Reinforcement Learning, section 13.3). Both ways also leave out what a token does to later
parts. That is a small bias, for much less variance.

In both, a completion keeps the advantage of its total if it has no complete map or its room has no
true one. The rows of ``rollouts.jsonl`` also show the advantage of the total.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ..core import answers
from ..core.types import Sample
from ..rewards import matching

END = "</map>"
SMALLEST = 1e-4
"""Added to a spread before dividing by it, as TRL does."""


def ends(tokenizer: Any, ids: Sequence[int]) -> list[int]:
    """Per token: the length of the completion's text up to and with it, in characters."""
    pieces = tokenizer.batch_decode([[i] for i in ids], skip_special_tokens=True)
    if "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=True):
        return [*accumulate(map(len, pieces))]

    # a character is made of several tokens, so tokens have no text of their own
    return [len(tokenizer.decode(ids[: k + 1], skip_special_tokens=True)) for k in range(len(ids))]


def by_category(
    samples: Sequence[Sample],
    texts: Sequence[str],
    group: int,
    scale: Literal["group", "none"] = "group",
    weight: float = 1.0,
) -> list[dict[str, float]]:
    """Per completion: the advantage of each category on the map.

    Earnings are compared with the group's mean for the category. A category that is not drawn earns
    0. A sample without a map has no categories.

    Args:
        scale: ``group`` divides by one standard deviation for all categories of the group. ``none``
            leaves units of the reward: a category's share of what the true map earns, times
            ``weight``.
        weight: of the map's score in the total.
    """
    found: list[dict[str, float]] = []
    for start in range(0, len(texts), group):
        mine = range(start, start + group)
        read = [matching.drawn(samples[k], answers.parse(texts[k])) for k in mine]
        drawn = [d for d in read if not isinstance(d, str)]
        if not drawn:
            found += [{} for _ in mine]
            continue
        earned = [matching.earned(d) for d in drawn]
        table: npt.NDArray[np.float64] = np.array(
            [[*e.values()] for e in earned]
        )  # (group, categories)
        table -= table.mean(0)
        if scale == "group":
            table /= table.std() + SMALLEST
        else:  # where all objects stand in the middle, no map earns anything
            most = sum(matching.possible(drawn[0]).values())
            table *= weight / most if most > 1e-9 else 0.0
        found += [dict(zip(earned[0], row)) for row in table.tolist()]
    return found


def by_token(
    whole: torch.Tensor,
    head: torch.Tensor,
    rest: torch.Tensor,
    texts: Sequence[str],
    tokens: Sequence[Sequence[int]],
    length: int,
    cells: Sequence[dict[str, float]] | None = None,
) -> torch.Tensor:
    """(B, length) advantages.

    Args:
        whole: (B,) advantages of the totals, for completions without a complete map.
        head: (B,) of the maps.
        rest: (B,) of what stands behind them.
        tokens: per completion, ``ends`` of its tokens.
        cells: of ``by_category``, for credit by object.
    """
    found = whole[:, None].repeat(1, length)
    for row, (text, until) in enumerate(zip(texts, tokens)):
        start = text.find("<map>")
        end = text.find(END, start)
        if min(start, end) < 0:
            continue

        # the map, then what stands behind it
        behind = bisect_right(until, end + len(END) - 1) + 1
        found[row, :behind], found[row, behind:] = head[row], rest[row]

        # the cells of each category, with the token behind the last one: it ends the list
        own = cells[row] if cells else {}
        for name, first, stop in answers.map_spans(text[start:end]):
            if name in own:
                left = bisect_right(until, start + first)
                right = bisect_right(until, start + stop) + 1
                found[row, left:right] = own[name]
    return found
