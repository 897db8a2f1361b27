"""General question, free-form: what is next to an object, what comes into view before or after it,
what a frame shows, or a description of the room."""

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
"""Metres: an object nearer than ``NEAR`` is next to another, one farther than ``CLEAR`` is not.

A question with an object between the two distances is not asked.
"""
SHARE, HIDDEN = 0.01, 0.001
"""Share of the picture: an object with ``SHARE`` or more is in view, one with ``HIDDEN`` or less is
not.

A question with an object between the two shares is not asked.
"""
ROOM_NAMES = {"living": "living room", "other": "room"}
MOST = 6
"""Most categories that one answer lists."""


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
    """What stands next to each unique object: one to three categories, all seen and clearly near."""
    found = []
    for thing in view.singles:
        by_distance = sorted(
            (view.distance(thing, o), o.category, view.is_seen(o))
            for o in view.objects
            if o is not thing
        )
        close = [row for row in by_distance if row[0] < CLEAR]
        names = list(dict.fromkeys(name for _, name, _ in close))
        if 1 <= len(names) <= 3 and all(seen and distance < NEAR for distance, _, seen in close):
            verb = "stands" if len(names) == 1 else "stand"
            answer = f"{listed(one(n) for n in names)} {verb} next to the {thing.category}."
            found.append(_ask(BESIDE.format(object=thing.category), answer, thing.category))
    return found


def _next(view: View) -> list[Candidate]:
    """Which category comes into view right after or before another, where the order is clear."""
    clear, hinted = (first_frames(view, s) for s in (view.min_share, HINT * view.min_share))
    found = []
    for a, entered in clear.items():
        # The next category that comes clearly into view after a.
        later = sorted((frame, c) for c, frame in clear.items() if frame > entered)
        if not later:
            continue
        next_frame, b = later[0]

        # No third category may show even faintly up to then, and b not before a, unless it was
        # clearly in view by the time a was.
        unambiguous = all(
            frame > (entered if c == b else next_frame) or clear.get(c, np.inf) <= entered
            for c, frame in hinted.items()
        )
        if unambiguous:
            pairs = [(a, "after", b)]
            if list(clear.values()).count(entered) == 1:  # a came into view alone
                pairs.append((b, "before", a))
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
    """What is in view at the beginning or the end, the largest object first."""
    found = []
    for when in (BEGINNING, END):
        shares = [(view.ends(o, when), o.category) for o in view.objects]
        in_view = sorted(((s.min(), n) for s, n in shares if s.min() >= SHARE), reverse=True)
        names = [name for _, name in in_view]
        clear = all(s.min() >= SHARE or s.max() <= HIDDEN for s, _ in shares)
        if 1 <= len(set(names)) <= MOST and clear:
            verb = "is" if len(names) == 1 else "are"
            found.append(
                _ask(SHOWN.format(when=when), f"{listed(some(names))} {verb} in view {when}.")
            )
    return found


def _room(view: View) -> list[Candidate]:
    """Type, area and objects of the room, if the clip shows every object of it."""
    scene, names = view.clip.scene, [o.category for o in view.objects]
    if len(set(names)) > MOST or len(view.seen) < len(view.objects) or not names:
        return []
    if scene.room_type == "bathroom" and {"bed", "sofa"} & set(names):
        return []  # one toilet or bathtub makes it a bathroom, see ``contents.room_type``
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
