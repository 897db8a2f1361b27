"""General question, image: the object nearest to the camera, or left and right of two objects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..core.registry import QUESTIONS
from ..core.types import SceneObject
from .projection import distance_to_box, eye, project
from .view import Candidate, View, choice, draws

NEAREST = "Which of these objects is the nearest to the camera in the picture: {options}?"
BESIDE = "In the picture, is the {a} to the left or the right of the {b}?"
LEAST_SHARE, MARGIN, PIXELS = 0.01, 0.25, 0.12
"""Least share of the picture of each object; least difference of their distances, metres; least
horizontal gap between two objects, as a share of the picture's width."""
FRAMES = 12
"""Most frames of a clip that are tried."""
Media = dict[str, object]


@QUESTIONS.register(
    "general_image_choice", problem_type="multiple choice", general="image", share=0.2
)
def general_image_choice(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Nearest of three or four objects to the camera, or left/right of another object, both middles
    in view, in one frame."""
    candidates = []
    for frame in rng.permutation(view.clip.num_frames)[:FRAMES].tolist():
        shown = [
            o for o in view.singles if view.clip.visible_share[o.instance_id][frame] >= LEAST_SHARE
        ]
        media = {"path": f"images/{view.clip.video_id}-f{frame:03d}.jpg", "frame": frame}
        candidates += _nearest(view, frame, shown, media, rng) + _beside(
            view, frame, shown, media, rng
        )
    return candidates


def _nearest(
    view: View, frame: int, shown: list[SceneObject], media: Media, rng: np.random.Generator
) -> list[Candidate]:
    """Which of three or four objects in one frame is nearest, where no two are about as near."""
    camera, found = eye(view.clip, frame), []
    for things in draws(rng, shown, min(max(len(shown), 3), 4), 4):
        ranked = sorted((distance_to_box(camera, o.box), o.category) for o in things)
        if all(b[0] - a[0] >= MARGIN for a, b in pairwise(ranked)):
            names = tuple(o.category for o in things)
            found.append(
                choice(
                    NEAREST.format(options=", ".join(names)),
                    ranked[0][1],
                    names,
                    names,
                    balance="nearest",
                    data_type="image",
                    media=media,
                )
            )
    return found


def _beside(
    view: View, frame: int, shown: list[SceneObject], media: Media, rng: np.random.Generator
) -> list[Candidate]:
    """Which side of another object one is on in the frame; both centres must be in the picture."""
    found = []
    for a, b in draws(rng, shown, 2, 4):
        pixels, depth = project(view.clip, frame, [a.box.center, b.box.center])
        gap = (pixels[0, 0] - pixels[1, 0]) / view.clip.width
        within = (pixels >= 0) & (pixels < [view.clip.width, view.clip.height])
        if (depth > 0.2).all() and within.all() and abs(gap) >= PIXELS:
            answer = "left" if gap < 0 else "right"
            names = (a.category, b.category)
            found.append(
                choice(
                    BESIDE.format(a=names[0], b=names[1]),
                    answer,
                    ("left", "right"),
                    names,
                    balance=answer,
                    contexts=(f"a {names[0]}", f"b {names[1]}"),
                    data_type="image",
                    media=media,
                )
            )
    return found
