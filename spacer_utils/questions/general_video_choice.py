"""General question, video: which way the camera turns, when it turns faster, and what it shows
first and last."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from .projection import yaws
from .view import BEGINNING, END, Candidate, View, choice, draws

WAY = "Does the camera turn to the left or to the right in the video?"
TEMPO = "Does the camera turn faster in the first half or in the second half of the video?"
SHOWN = "Which of these objects is in view {when} of the video: {options}?"
SHARE = 0.01
"""Least share of the picture of the right object; the wrong ones must not show at all."""
TRIES = 12
"""Most sets of wrong objects for each right one."""
LEAST_TURN = 45.0
"""Least turn of the camera in a clip, degrees."""


@QUESTIONS.register(
    "general_video_choice", problem_type="multiple choice", general="video", share=0.2
)
def general_video_choice(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Turn to the left or right (the clip forwards or backwards), faster first or second half
    (every other frame dropped), or the one of four objects that the first or the last frame
    shows."""
    return _turns(view) + _shown(view, rng)


def _shown(view: View, rng: np.random.Generator) -> list[Candidate]:
    """Which of four objects is in view at the beginning or the end."""
    found = []
    for when in (BEGINNING, END):
        shares = {o.category: view.ends(o, when) for o in view.singles}
        there = [c for c, s in shares.items() if s.min() >= SHARE]
        away = [c for c, s in shares.items() if s.max() == 0]
        for right, *wrong in [(c, *others) for c in there for others in draws(rng, away, 3, TRIES)]:
            names = tuple(str(n) for n in rng.permutation([right, *wrong]))
            found.append(
                choice(
                    SHOWN.format(when=when, options=", ".join(names)),
                    right,
                    names,
                    names,
                    balance=when,
                )
            )
    return found


def _turns(view: View) -> list[Candidate]:
    """The camera's direction and tempo, for clips in which it turns one way throughout."""
    clip = view.clip
    heading = yaws(clip)
    steps, count = np.diff(heading), clip.num_frames
    total = heading[-1] - heading[0]
    turns_back = (steps * np.sign(total) < -1.0).any()
    if abs(total) < LEAST_TURN or turns_back:
        return []

    # Left or right: the clip and its reverse.
    forwards = list(range(count))
    found = []
    for name, order in (("forwards", forwards), ("backwards", forwards[::-1])):
        left = bool(heading[order[-1]] > heading[order[0]])
        found.append(_ask(view, WAY, "left" if left else "right", ("left", "right"), name, order))

    # Faster first or last: two thirds of the frames at double speed and one third as filmed.
    third = count // 3
    if third >= 2 and _even(steps):
        fast, slow = forwards[: 2 * third : 2], forwards[2 * third : 3 * third]
        options = ("the first half", "the second half")
        found.append(_ask(view, TEMPO, options[0], options, "fast-slow", fast + slow))
        found.append(_ask(view, TEMPO, options[1], options, "slow-fast", (fast + slow)[::-1]))
    return found


def _even(steps: np.ndarray) -> bool:
    """Whether the camera turns so steadily that only dropped frames can make it seem faster."""
    return bool(np.abs(steps).min() > 0.7 * np.abs(steps).max())


def _ask(
    view: View, problem: str, answer: str, options: tuple[str, ...], name: str, order: list[int]
) -> Candidate:
    """A question about the frames in ``order``, which become a video of their own."""
    media = (
        {"path": f"videos/{view.clip.video_id}-{name}.mp4", "order": order}
        if name != "forwards"
        else {}
    )
    return choice(problem, answer, options, (), balance=answer, media=media)
