"""General question, image: read a sign on the wall."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from .projection import panel_corners
from .view import Candidate, View

FIRST = (
    "NORTH",
    "SOUTH",
    "EAST",
    "WEST",
    "GREEN",
    "RED",
    "BLUE",
    "GOLD",
    "QUIET",
    "OPEN",
    "MAIN",
    "UPPER",
    "LOWER",
    "OLD",
    "NEW",
)
SECOND = (
    "ROOM",
    "LAB",
    "HALL",
    "STORE",
    "GATE",
    "DESK",
    "WING",
    "EXIT",
    "OFFICE",
    "STUDIO",
    "LIBRARY",
    "KITCHEN",
)
ASPECT = 2.4
"""Width of a sign over its height."""
FRAMES = 12
"""Most frames of a clip that are tried."""


@QUESTIONS.register("general_ocr", problem_type="OCR", general="image", share=0.2)
def general_ocr(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Text of a sign that hangs on a wall of one frame: two words and a number, drawn evenly."""
    candidates = []
    for frame in rng.permutation(view.clip.num_frames)[:FRAMES].tolist():
        corners = panel_corners(view.clip, frame, rng, ASPECT)
        if corners is not None:
            words = f"{rng.choice(FIRST)} {rng.choice(SECOND)} {int(rng.integers(1, 100))}"
            media = {
                "path": f"images/{view.clip.video_id}-f{frame:03d}-sign.jpg",
                "frame": frame,
                "sign": words,
                "corners": corners.round(4).tolist(),
            }
            candidates.append(
                Candidate(
                    "What does the sign on the wall say?",
                    "OCR",
                    words,
                    data_type="image",
                    media=media,
                )
            )
    return candidates
