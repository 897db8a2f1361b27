"""General row: say in words what stands next to an object."""

from __future__ import annotations

import numpy as np

from ..registry import QUESTIONS
from .view import Candidate, View

TEMPLATE = "What stands next to the {object}? Answer in one sentence."
NEAR, CLEAR = 0.6, 0.9
"""Metres: what is nearer than the first is next to it; nothing may lie between the two."""


@QUESTIONS.register("general_free_form", problem_type="free-form", general="video", share=0.2)
def general_free_form(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Neighbours (one to three, nearest first) of a unique object within 0.6 m; all of them seen."""
    candidates = []
    for thing in view.singles:
        near = sorted((view.distance(thing, o), o.category, view.is_seen(o)) for o in view.objects if o is not thing)
        close = [n for n in near if n[0] < CLEAR]
        names = list(dict.fromkeys(name for _, name, _ in close))
        if 1 <= len(names) <= 3 and all(seen and distance < NEAR for distance, _, seen in close):
            answer = sentence(names, thing.category)
            candidates.append(Candidate(TEMPLATE.format(object=thing.category), "free-form", answer, (thing.category,)))
    return candidates


def sentence(names: list[str], target: str) -> str:
    """``A chair and a lamp stand next to the door.``"""
    items = [("an " if n[0] in "aeiou" else "a ") + n for n in names]
    subject = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
    return f"{subject[0].upper()}{subject[1:]} {'stands' if len(items) == 1 else 'stand'} next to the {target}."
