"""General row: say in words what stands next to an object, what comes into view before or after it,
or what a frame shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..core.registry import QUESTIONS
from .obj_appearance_order import HINT, first_frames
from .view import BEGINNING, END, Candidate, View

BESIDE = "What stands next to the {object}? Answer in one sentence."
NEXT = "What comes into view right {when} the {object}? Answer in one sentence."
SHOWN = "What is in view {when} of the video? Answer in one sentence."
ROOM = "Which room is this, how large is it, and what stands in it? Answer in one sentence."
NEAR, CLEAR = 0.6, 0.9
"""Metres: what is nearer than the first is next to it; nothing may lie between the two."""
SHARE, HIDDEN = 0.01, 0.001
"""An object is in view above the first share of the picture, out of it below the second; nothing
may lie between the two."""
ROOM_NAMES = {"living": "living room", "other": "room"}
MOST = 6
"""Different things in one sentence."""


@QUESTIONS.register("general_free_form", problem_type="free-form", general="video", share=0.2)
def general_free_form(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Neighbours within 0.6 m of an object, the category seen next or before, what the first or
    last frame shows, a room."""
    return [*_beside(view), *_next(view), *_shown(view), *_room(view)]


def _ask(problem: str, answer: str, *categories: str, balance: str = "still") -> Candidate:
    return Candidate(
        problem, "free-form", answer[0].upper() + answer[1:], categories, balance=balance
    )


def _beside(view: View) -> list[Candidate]:
    found = []
    for thing in view.singles:
        near = sorted(
            (view.distance(thing, o), o.category, view.is_seen(o))
            for o in view.objects
            if o is not thing
        )
        close = [n for n in near if n[0] < CLEAR]
        names = list(dict.fromkeys(name for _, name, _ in close))
        if 1 <= len(names) <= 3 and all(seen and distance < NEAR for distance, _, seen in close):
            verb = "stands" if len(names) == 1 else "stand"
            answer = f"{listed(one(n) for n in names)} {verb} next to the {thing.category}."
            found.append(_ask(BESIDE.format(object=thing.category), answer, thing.category))
    return found


def _next(view: View) -> list[Candidate]:
    clear, hinted = (first_frames(view, s) for s in (view.min_share, HINT * view.min_share))
    found = []
    for a, entered in clear.items():
        later = sorted((frame, c) for c, frame in clear.items() if frame > entered)
        if later and all(
            frame > (entered if c == later[0][1] else later[0][0])
            or clear.get(c, np.inf) <= entered
            for c, frame in hinted.items()
        ):
            pairs = [(a, "after", later[0][1])]
            if list(clear.values()).count(entered) == 1:
                pairs.append((later[0][1], "before", a))
            found += [
                _ask(
                    NEXT.format(object=known, when=when),
                    f"{one(asked)} comes into view right {when} the {known}.",
                    known,
                    balance="next",
                )
                for known, when, asked in pairs
                if known in view.categories
            ]
    return found


def _shown(view: View) -> list[Candidate]:
    found = []
    for when in (BEGINNING, END):
        shares = [(view.ends(o, when), o.category) for o in view.objects]
        names = [
            n
            for _, n in sorted(((s.min(), n) for s, n in shares if s.min() >= SHARE), reverse=True)
        ]
        if 1 <= len(set(names)) <= MOST and all(
            s.min() >= SHARE or s.max() <= HIDDEN for s, _ in shares
        ):
            verb = "is" if len(names) == 1 else "are"
            found.append(
                _ask(SHOWN.format(when=when), f"{listed(some(names))} {verb} in view {when}.")
            )
    return found


def _room(view: View) -> list[Candidate]:
    scene, names = view.clip.scene, [o.category for o in view.objects]
    if len(set(names)) > MOST or len(view.seen) < len(view.objects) or not names:
        return []
    if scene.room_type == "bathroom" and {"bed", "sofa"} & set(names):
        return []  # the statistics call every room with a bathtub so
    kind = ROOM_NAMES.get(scene.room_type, scene.room_type)
    return [
        _ask(
            ROOM,
            f"{one(kind)} of about {scene.floor_area:.0f} square metres with {listed(some(names))}.",
        )
    ]


def one(name: str) -> str:
    """``a chair``, ``an oven``."""
    return ("an " if name[0] in "aeiou" else "a ") + name


def some(names: Iterable[str]) -> list[str]:
    """``[a chair, 2 lamps]``: names with their numbers, in order of first appearance."""
    return [one(n) if k == 1 else f"{k} {plural(n)}" for n, k in Counter(names).items()]


def plural(name: str) -> str:
    """``benches``, ``shelves``, ``chairs``."""
    if name.endswith(("s", "sh", "ch", "x")):
        return f"{name}es"
    return f"{name[:-1]}ves" if name.endswith("lf") else f"{name}s"


def listed(items: Iterable[str]) -> str:
    """``a chair, a lamp and a door``."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last
