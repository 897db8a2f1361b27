"""Balancing: choose questions whose answers can't be guessed without the video.

All answer classes of a type are about equally frequent, every letter is right equally often, and no
word of a question goes with an answer.

The candidates of all rooms are read twice, one room at a time: first to count them, then to choose.
Each question type is balanced by itself, so adding a type does not change the others.
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
"""Largest share of an answer class, as a multiple of the share if all classes were equal."""
SCARCITY = 3.0
"""Weight of the scarcity of an answer class against the balance of traits, in the choice between
candidates of one room."""
CHANCE = 1.8
"""How far a trait's sum may be from 0, in standard deviations, before the choice corrects it."""
LETTERS = "ABCDEFGHIJ"
Choice = tuple[int, int]
"""(room, candidate within the room)."""


def thin(candidates: Sequence[Candidate], limit: int, rng: np.random.Generator) -> list[Candidate]:
    """At most ``limit`` random candidates with different texts, as many from each answer class."""
    # Shuffled, by answer class, without repetitions.
    groups: dict[str, list[Candidate]] = defaultdict(list)
    seen: set[str] = set()
    for k in rng.permutation(len(candidates)):
        candidate = candidates[int(k)]
        if (text := candidate.problem + str(candidate.media)) not in seen:
            seen.add(text)
            groups[candidate.balance].append(candidate)

    # One of each class in random order, then the second of each, and so on.
    order = [sorted(groups)[int(k)] for k in rng.permutation(len(groups))]
    rounds = max(map(len, groups.values()), default=0)
    return [groups[c][k] for k in range(rounds) for c in order if k < len(groups[c])][:limit]


def quotas(available: Mapping[str, int], target: int) -> dict[str, int]:
    """Questions to choose of each answer class: as equal as possible, and none above ``CAP`` times
    the mean.

    Args:
        available: answer class -> candidates.
        target: questions of all classes together; fewer if the supply does not allow that many.

    >>> quotas({"left": 500, "right": 300, "back": 20, "front": 10}, target=1000)
    {'back': 20, 'front': 10, 'left': 45, 'right': 45}
    """
    classes = sorted(available)
    total = min(target, sum(available.values()))
    if len(classes) < 2:
        return {c: total for c in classes}
    while True:
        # The cap depends on the total, and the total that can be reached on the cap: lower both
        # until they agree.
        top = max(1, int(CAP * total / len(classes)))
        reachable = sum(min(available[c], top) for c in classes)
        if reachable >= total:
            return _level({c: min(available[c], top) for c in classes}, total)
        total = reachable


def _level(bounds: Mapping[str, int], total: int) -> dict[str, int]:
    """Answer class -> number: equal numbers up to each class's bound, ``total`` together."""
    taken = dict.fromkeys(bounds, 0)
    while (left := total - sum(taken.values())) > 0:
        # Share the rest among the classes below their bound; the last few get one each.
        not_full = [c for c in sorted(bounds) if taken[c] < bounds[c]]
        share = left // len(not_full)
        for c in not_full if share else not_full[:left]:
            taken[c] += min(max(share, 1), bounds[c] - taken[c])
    return taken


@dataclass
class Selector:
    """Chooses among the candidates of one question type, room by room.

    Greedy: each choice looks at the answer classes still needed and at the sums of the traits of
    all questions chosen before.
    """

    quota: dict[str, int]
    """Answer class -> questions still to choose."""
    available: Counter[str]
    """Answer class -> candidates in this room and all later ones."""
    per_room: int
    """Most questions about one room."""
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Trait -> sum over the chosen questions."""
    energy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Trait -> sum of squares over the chosen questions: the variance of ``sums`` by chance."""
    chosen: list[tuple[Choice, str]] = field(default_factory=list)
    """The choices, each with its answer class."""

    def room(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Choose up to ``per_room`` candidates of room ``number``, always the worthiest left."""
        supply = room_supply(candidates, self.per_room)
        left = list(range(len(candidates)))
        for _ in range(self.per_room):
            ranked = [(self._worth(candidates[k]), -k) for k in left if self._wanted(candidates[k])]
            if not ranked:
                break
            k = -max(ranked)[1]
            left.remove(k)
            self._take((number, k), candidates[k])
        self.available.subtract(supply)

    def _wanted(self, candidate: Candidate) -> bool:
        """Whether the candidate may be chosen: its class is needed, and it harms no trait's balance
        by more than one question can repair.

        A scarce answer class is chosen whatever its traits: the other classes have candidates
        enough to balance the traits again.
        """
        if self.quota.get(candidate.balance, 0) <= 0:
            return False
        scarce = candidate.balance and self._scarcity(candidate) >= 1
        repairable = sum(v * v for v in candidate.traits.values())
        return bool(scarce) or self._imbalance(candidate) <= repairable

    def _scarcity(self, candidate: Candidate) -> float:
        """Questions still to choose of the candidate's class, per candidate of it still to come."""
        return self.quota[candidate.balance] / max(self.available[candidate.balance], 1)

    def _imbalance(self, candidate: Candidate) -> float:
        """How much the candidate adds to traits that are out of balance; negative if it repairs
        them.

        A sum counts only as far as it exceeds ``CHANCE`` standard deviations. Sums of exactly 0
        would be a shortcut of their own: what was right in the training rooms would be wrong in the
        others.
        """
        imbalance = 0.0
        for trait, value in candidate.traits.items():
            total = self.sums.get(trait, 0.0)
            by_chance = CHANCE * math.sqrt(self.energy.get(trait, 0.0))
            imbalance += value * math.copysign(max(abs(total) - by_chance, 0.0), total)
        return imbalance

    def _worth(self, candidate: Candidate) -> float:
        """Rank of a candidate within its room: scarce classes first, then balanced traits."""
        return SCARCITY * min(self._scarcity(candidate), 1.0) - self._imbalance(candidate)

    def _take(self, choice: Choice, candidate: Candidate) -> None:
        """Choose the candidate and count its class and traits."""
        self.quota[candidate.balance] -= 1
        self.chosen.append((choice, candidate.balance))
        for trait, value in candidate.traits.items():
            self.sums[trait] += value
            self.energy[trait] += value * value


def room_supply(candidates: Sequence[Candidate], per_room: int) -> Counter[str]:
    """Answer class -> most candidates of one room that can be chosen."""
    return Counter({c: min(n, per_room) for c, n in Counter(k.balance for k in candidates).items()})


def choose(
    rooms: Callable[[], Iterable[Mapping[str, Sequence[Candidate]]]],
    targets: Mapping[str, int],
    per_room: Mapping[str, int],
    seed: int,
) -> dict[str, list[Choice]]:
    """Question type -> the chosen candidates, in the order of the rooms.

    Args:
        rooms: each call starts a new pass over the rooms; a room is question type -> candidates.
        targets: question type -> questions to choose.
        per_room: question type -> most questions about one room.
    """
    # First pass: count.
    supply: dict[str, Counter[str]] = {t: Counter() for t in targets}
    for room in rooms():
        for t in targets:
            supply[t] += room_supply(room.get(t, ()), per_room[t])

    # Second pass: choose.
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
    """The choices, in order, without random ones of answer classes above the cap.

    The cap can be exceeded because fewer questions may have been chosen than were planned.
    """
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
    """Gives options their letters so that each letter is right equally often, both overall and
    within each answer class."""

    counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """(number of options, place) and (number of options, answer class, place) -> how often right."""

    def deal(self, candidate: Candidate, rng: np.random.Generator) -> tuple[tuple[str, ...], str]:
        """Options with letters (``A. chair``) in random order, and the right letter."""
        size = len(candidate.options)
        kind = candidate.balance or candidate.answer

        # The right option takes the place that was right least often; ties are broken at random.
        order = [int(k) for k in rng.permutation(size)]
        place = min(order, key=lambda k: self.counts[size, k] + self.counts[size, kind, k])
        self.counts[size, place] += 1
        self.counts[size, kind, place] += 1

        # The wrong options take the others.
        wrong = [o for o in candidate.options if o != candidate.answer]
        texts = [wrong[int(k)] for k in rng.permutation(size - 1)]
        texts.insert(place, candidate.answer)
        return tuple(f"{letter}. {text}" for letter, text in zip(LETTERS, texts)), LETTERS[place]
