"""Floor area of the room."""

from __future__ import annotations

import numpy as np

from ..core.registry import QUESTIONS
from ..scenes.floor_plan import area
from .view import Candidate, View

TEMPLATE = (
    "What is the size of this room (in square meters)? If multiple rooms are shown, "
    "estimate the size of the combined space."
)
TOLERANCE = 0.01
"""Largest difference between the area that the walls enclose and the scene's area, as a share."""


@QUESTIONS.register("room_size_estimation", problem_type="numerical", unit="m²")
def room_size_estimation(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
    """Floor area in square metres with one decimal; once per clip, where the walls that are shown
    enclose that much.

    The two differ in some real layouts. Their area is published with the scan, but the walls are
    built around the objects, which may reach further.
    """
    scene = view.clip.scene
    enclosed = sum(abs(area(outline)) for outline in scene.rooms or (scene.polygon,))
    if abs(enclosed - scene.floor_area) > TOLERANCE * scene.floor_area:
        return []
    return [Candidate(TEMPLATE, "numerical", f"{scene.floor_area:.1f}")]
