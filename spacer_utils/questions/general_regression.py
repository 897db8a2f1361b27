"""General question, image: read a gauge, or estimate the share of the picture that an object
covers."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from .projection import panel_corners
from .view import Candidate, View

GAUGE = "What value does the needle of the gauge on the wall show, on its scale from 0 to 100?"
SHARE = "Which percentage of the picture does the {category} cover?"
LEAST_SHARE = 0.02
"""Least share of the picture of an object that is asked about."""
FRAMES = 12
"""Most frames of a clip that are tried."""


@QUESTIONS.register("general_regression", problem_type="regression", general="image", share=0.2)
def general_regression(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Number on a gauge (whole, 5-95), or visible share of a unique object in % with one
    decimal."""
    clip, candidates = view.clip, []
    for frame in rng.permutation(clip.num_frames)[:FRAMES].tolist():
        # A gauge, where a wall has room for it.
        corners = panel_corners(clip, frame, rng, aspect=1.0)
        if corners is not None:
            value = int(rng.integers(5, 96))
            media = {
                "path": f"images/{clip.video_id}-f{frame:03d}-gauge.jpg",
                "frame": frame,
                "gauge": value,
                "corners": corners.round(4).tolist(),
            }
            candidates.append(
                Candidate(
                    GAUGE, "regression", str(value), balance="gauge", data_type="image", media=media
                )
            )

        # The share of every unique object.
        media = {"path": f"images/{clip.video_id}-f{frame:03d}.jpg", "frame": frame}
        for thing in view.singles:
            share = clip.visible_share[thing.instance_id][frame]
            if share >= LEAST_SHARE:
                name = thing.category
                candidates.append(
                    Candidate(
                        SHARE.format(category=name),
                        "regression",
                        f"{100 * share:.1f}",
                        (name,),
                        balance="share",
                        data_type="image",
                        media=media,
                    )
                )
    return candidates
