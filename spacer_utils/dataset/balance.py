"""Choose questions so that their answers give nothing away: flat answer classes, even letters, no
telling word.

Rooms pass by twice, one at a time: once to count what there is, once to choose. Every question type
is balanced by itself, so another type changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from ..questions.view import Candidate

CAP = 1.5
"""No answer class takes more than this multiple of its uniform share."""
SCARCITY = 3.0
"""Weight of a class's scarcity against the balance of traits when candidates of one room
compete."""
CHANCE = 1.8
"""Standard deviations that a trait may be off before the choice leans against it."""
LETTERS = "ABCDEFGHIJ"
Choice = tuple[int, int]
"""(room, candidate within the room)."""


def thin(candidates: Sequence[Candidate], limit: int, rng: np.random.Generator) -> list[Candidate]:
    """At most ``limit`` candidates with different texts, taken in turn from every answer class."""
    groups: dict[str, list[Candidate]] = defaultdict(list)
    seen: set[str] = set()
    for k in rng.permutation(len(candidates)):
        candidate = candidates[int(k)]
        if (text := candidate.problem + str(candidate.media)) not in seen:
            seen.add(text)
            groups[candidate.balance].append(candidate)
    order = [sorted(groups)[int(k)] for k in rng.permutation(len(groups))]
    rounds = max(map(len, groups.values()), default=0)
    return [groups[c][k] for k in range(rounds) for c in order if k < len(groups[c])][:limit]


def quotas(available: Mapping[str, int], target: int) -> dict[str, int]:
    """How many to take of each answer class: as flat as the supply allows, none above ``CAP`` times
    the uniform share.

    >>> quotas({"left": 500, "right": 300, "back": 20, "front": 10}, target=1000)
    {'back': 20, 'front': 10, 'left': 45, 'right': 45}
    """
    classes = sorted(available)
    total = min(target, sum(available.values()))
    if len(classes) < 2:
        return {c: total for c in classes}
    while True:
        # The least supplied class bounds the set, because the others may not outgrow their share of
        # it.
        top = max(1, int(CAP * total / len(classes)))
        reachable = sum(min(available[c], top) for c in classes)
        if reachable >= total:
            return _level({c: min(available[c], top) for c in classes}, total)
        total = reachable


def _level(bounds: Mapping[str, int], total: int) -> dict[str, int]:
    """Fill classes evenly up to their bounds until ``total`` is reached."""
    taken = dict.fromkeys(bounds, 0)
    while (left := total - sum(taken.values())) > 0:
        room = [c for c in sorted(bounds) if taken[c] < bounds[c]]
        share = left // len(room)
        for c in room if share else room[:left]:
            taken[c] += min(max(share, 1), bounds[c] - taken[c])
    return taken


@dataclass
class Selector:
    """Takes the rooms of one question type in order and remembers which candidates it has
    chosen."""

    quota: dict[str, int]
    available: Counter[str]
    per_room: int
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    energy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    chosen: list[tuple[Choice, str]] = field(default_factory=list)

    def room(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Choose up to ``per_room`` of a room: scarce classes first, then what evens out the
        traits."""
        supply = room_supply(candidates, self.per_room)
        open_ = list(range(len(candidates)))
        for _ in range(self.per_room):
            ranked = [
                (self._worth(candidates[k]), -k) for k in open_ if self._wanted(candidates[k])
            ]
            if not ranked:
                break
            k = -max(ranked)[1]
            open_.remove(k)
            self._take((number, k), candidates[k])
        self.available.subtract(supply)

    def _wanted(self, candidate: Candidate) -> bool:
        """Whether the class has places left and no trait gets further out of balance than one
        question can mend.

        A scarce answer class is taken in any case: of the others there is enough to mend the traits
        with.
        """
        if self.quota.get(candidate.balance, 0) <= 0:
            return False
        scarce = candidate.balance and self._scarcity(candidate) >= 1
        return bool(scarce) or self._lean(candidate) <= sum(
            v * v for v in candidate.traits.values()
        )

    def _scarcity(self, candidate: Candidate) -> float:
        """Places left in the candidate's class for each candidate that is still to come."""
        return self.quota[candidate.balance] / max(self.available[candidate.balance], 1)

    def _lean(self, candidate: Candidate) -> float:
        """How much the candidate adds to traits that are further off than chance would leave them.

        Exactly even sums would be telling again: what was right in some rooms would be wrong in the
        others.
        """
        lean = 0.0
        for trait, value in candidate.traits.items():
            total = self.sums.get(trait, 0.0)
            lean += value * math.copysign(
                max(abs(total) - CHANCE * math.sqrt(self.energy.get(trait, 0.0)), 0.0), total
            )
        return lean

    def _worth(self, candidate: Candidate) -> float:
        return SCARCITY * min(self._scarcity(candidate), 1.0) - self._lean(candidate)

    def _take(self, choice: Choice, candidate: Candidate) -> None:
        self.quota[candidate.balance] -= 1
        self.chosen.append((choice, candidate.balance))
        for trait, value in candidate.traits.items():
            self.sums[trait] += value
            self.energy[trait] += value * value


def room_supply(candidates: Sequence[Candidate], per_room: int) -> Counter[str]:
    """Answer class -> how many of a room's candidates could be chosen at most."""
    return Counter({c: min(n, per_room) for c, n in Counter(k.balance for k in candidates).items()})


def choose(
    rooms: Callable[[], Iterable[Mapping[str, Sequence[Candidate]]]],
    targets: Mapping[str, int],
    per_room: Mapping[str, int],
    seed: int,
) -> dict[str, list[Choice]]:
    """Question type -> choices in order of the rooms; ``rooms()`` starts a fresh pass over the same
    rooms."""
    supply: dict[str, Counter[str]] = {t: Counter() for t in targets}
    for room in rooms():
        for t in targets:
            supply[t] += room_supply(room.get(t, ()), per_room[t])
    selectors = {
        t: Selector(quotas(supply[t], targets[t]), supply[t], per_room[t]) for t in targets
    }
    for number, room in enumerate(rooms()):
        for t, selector in selectors.items():
            selector.room(number, room.get(t, ()))
    return {
        t: trim(s.chosen, np.random.default_rng([seed, crc32(t.encode())]))
        for t, s in selectors.items()
    }


def trim(chosen: Sequence[tuple[Choice, str]], rng: np.random.Generator) -> list[Choice]:
    """Drop at random what exceeds the cap once it is known how many were chosen."""
    left = quotas(Counter(name for _, name in chosen), len(chosen))
    kept = []
    for k in rng.permutation(len(chosen)):
        choice, name = chosen[int(k)]
        if left[name] > 0:
            left[name] -= 1
            kept.append(choice)
    return sorted(kept)


@dataclass
class Letters:
    """Deals letters so that each is right equally often, overall and within an answer class."""

    counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)

    def deal(self, candidate: Candidate, rng: np.random.Generator) -> tuple[tuple[str, ...], str]:
        """Options with letters (``A. chair``) and the right letter; the wrong options are
        shuffled."""
        size = len(candidate.options)
        kind = candidate.balance or candidate.answer
        order = [int(k) for k in rng.permutation(size)]
        place = min(order, key=lambda k: self.counts[size, k] + self.counts[size, kind, k])
        self.counts[size, place] += 1
        self.counts[size, kind, place] += 1
        wrong = [o for o in candidate.options if o != candidate.answer]
        texts = [wrong[int(k)] for k in rng.permutation(size - 1)]
        texts.insert(place, candidate.answer)
        return tuple(f"{letter}. {text}" for letter, text in zip(LETTERS, texts)), LETTERS[place]
