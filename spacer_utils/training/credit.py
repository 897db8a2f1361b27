"""Which tokens a reward is credited to.

GRPO gives all tokens of a completion one advantage, that of its total. In one that draws a map,
most of that is chance to most tokens: where the sofa is drawn changes nothing about the tv, and
nothing about the map is left to decide when the answer is written. Credit by object gives every
token the part that it decides:

* the cells of a category: what this category earned on the map, against what it earned on the
  group's other maps (the calibrated score is a sum over categories, see
  ``rewards.matching.earned``);
* everything else up to the end of the map (names, how many): the whole map's score, against the
  group's;
* what stands behind the map (how it is read, the answer): all other terms, against the group's.
  Rewards that are settled when a token is written are left out of its credit by any policy gradient
  (reward-to-go; Sutton and Barto, Reinforcement Learning, section 13.3). A token's own part alone
  also leaves out what it does to later ones: a little bias for much less variance.

A completion without a whole map, or about a room without a true one, keeps the advantage of its
total. So do the rows of ``rollouts.jsonl``, which have one advantage each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

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
    """Per token: the number of characters that the completion has with it."""
    pieces = tokenizer.batch_decode([[i] for i in ids], skip_special_tokens=True)
    if "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=True):
        return [*accumulate(map(len, pieces))]
    return [
        len(tokenizer.decode(ids[: k + 1], skip_special_tokens=True)) for k in range(len(ids))
    ]  # a letter of several tokens


def by_category(
    samples: Sequence[Sample], texts: Sequence[str], group: int
) -> list[dict[str, float]]:
    """Per completion: category -> its advantage on the map, in the standard deviation of all
    categories' in the group.

    Empty where the sample has no map. A category that is not drawn earns 0, as an uninformative
    drawing does.
    """
    found: list[dict[str, float]] = []
    for start in range(0, len(texts), group):
        mine = range(start, start + group)
        drawn = [matching.drawn(samples[k], answers.parse(texts[k])) for k in mine]
        earned = [matching.earned(d) for d in drawn if not isinstance(d, str)]
        if not earned:
            found += [{} for _ in mine]
            continue
        table: npt.NDArray[np.float64] = np.array(
            [[*e.values()] for e in earned]
        )  # (group, categories)
        table -= table.mean(0)
        found += [dict(zip(earned[0], row)) for row in (table / (table.std() + SMALLEST)).tolist()]
    return found


def by_token(
    whole: torch.Tensor,
    head: torch.Tensor,
    rest: torch.Tensor,
    cells: Sequence[dict[str, float]],
    texts: Sequence[str],
    tokens: Sequence[Sequence[int]],
    length: int,
) -> torch.Tensor:
    """(B, length) advantages.

    Args:
        whole: (B,) advantages of the totals.
        head: (B,) of the maps.
        rest: (B,) of what the maps don't settle.
        cells: of ``by_category``.
        tokens: per completion, ``ends`` of its tokens.
    """
    found = whole[:, None].repeat(1, length)
    for row, (text, until, own) in enumerate(zip(texts, tokens, cells)):
        start = text.find("<map>")
        end = text.find(END, start)
        if min(start, end) < 0 or not own:
            continue
        behind = bisect_right(until, end + len(END) - 1) + 1
        found[row, :behind], found[row, behind:] = head[row], rest[row]
        for name, first, stop in answers.map_spans(text[start:end]):
            if name in own:
                # up to the token behind the last number, which decides that there is no other cell
                found[
                    row, bisect_right(until, start + first) : bisect_right(until, start + stop) + 1
                ] = own[name]
    return found
