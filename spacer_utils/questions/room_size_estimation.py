"""Floor area of the room."""

from __future__ import annotations

import numpy as np

from ..registry import QUESTIONS
from .view import Candidate, View

TEMPLATE = ("What is the size of this room (in square meters)? If multiple rooms are shown, "
            "estimate the size of the combined space.")


@QUESTIONS.register("room_size_estimation", problem_type="numerical", unit="m²")
def room_size_estimation(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Floor area in square metres with one decimal; once per clip."""
    return [Candidate(TEMPLATE, "numerical", f"{view.clip.scene.floor_area:.1f}")]
