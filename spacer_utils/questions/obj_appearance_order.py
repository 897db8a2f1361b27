"""In which order four categories come into view."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from ..core.registry import QUESTIONS
from .view import GENERIC, Candidate, View, draws

TEMPLATE = "What will be the first-time appearance order of the following categories in the video: {categories}?"
HINT = 0.2
"""Share of the visibility threshold at which the order must be the same as at the threshold.

Otherwise a half-hidden object would make the answer doubtful.
"""
TRIES = 150
"""Most sets of four categories that are tried."""


@QUESTIONS.register("obj_appearance_order", problem_type="multiple choice", unit="")
def obj_appearance_order(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Order of the given frames in which four categories are first seen; no two enter in the same
    frame."""
    clear, hinted = first_frames(view, view.min_share), first_frames(view, HINT * view.min_share)
    candidates = []
    for names in draws(rng, sorted(set(clear) & set(view.categories)), 4, TRIES):
        order = sorted(names, key=clear.__getitem__)
        distinct = len({clear[n] for n in names}) == 4 and len({hinted[n] for n in names}) == 4
        if distinct and order == sorted(names, key=hinted.__getitem__):
            candidates.append(_ask(names, order, rng))
    return candidates


def first_frames(view: View, share: float) -> dict[str, int]:
    """Category -> position, among the given frames, of the first in which an instance covers at
    least ``share`` of the picture."""
    first: dict[str, int] = {}
    for thing in view.objects:
        position = view.first_seen(thing.instance_id, share)
        if position is not None and thing.category not in GENERIC:
            first[thing.category] = min(position, first.get(thing.category, position))
    return first


def _ask(names: tuple[str, ...], order: list[str], rng: np.random.Generator) -> Candidate:
    """The question about four categories, whose right order is ``order``."""
    # Wrong orders are drawn from all others: if they were variations of the right order, it would
    # be the one that resembles all options most.
    others = [p for p in permutations(names) if list(p) != order]
    wrong = [others[int(i)] for i in rng.choice(len(others), 3, replace=False)]
    options = tuple(", ".join(p) for p in (order, *wrong))

    # What a reader without the video could learn: usual places, and usual orders of two.
    traits = {f"place {n}": order.index(n) - 1.5 for n in names}
    traits |= {
        f"{a} before {b}": 0.5 * (1 if order.index(a) < order.index(b) else -1)
        for a, b in combinations(sorted(names), 2)
    }
    return Candidate(
        TEMPLATE.format(categories=", ".join(names)),
        "multiple choice",
        options[0],
        names,
        options,
        traits=traits,
    )
