"""Directions for someone who stands at one point and faces another: the turn, and what it is called.

Questions use them in metres, readings of maps in cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = Sequence[float] | npt.NDArray[np.float64]
Sectors = dict[str, tuple[float, float]]
EASY: Sectors = {"left": (0, 180), "right": (180, 360)}
MEDIUM: Sectors = {"left": (0, 135), "back": (135, 225), "right": (225, 360)}
HARD: Sectors = {
    "front-left": (0, 90),
    "back-left": (90, 180),
    "back-right": (180, 270),
    "front-right": (270, 360),
}
"""Degrees counter-clockwise from straight ahead."""
SECTORS = {
    "object_rel_direction_easy": EASY,
    "object_rel_direction_medium": MEDIUM,
    "object_rel_direction_hard": HARD,
    "object_rel_direction_backward": HARD,
}
MARGIN = 10.0
"""Degrees to the nearest sector boundary."""


def turn(origin: Point, ahead: Point, target: Point) -> float:
    """Degrees in (-180, 180] to turn at ``origin`` from facing ``ahead`` to facing ``target``; left
    is positive."""
    ax, ay = ahead[0] - origin[0], ahead[1] - origin[1]
    bx, by = target[0] - origin[0], target[1] - origin[1]
    return float(np.degrees(np.arctan2(ax * by - ay * bx, ax * bx + ay * by)))


def sector(angle: float, sectors: dict[str, tuple[float, float]]) -> str:
    """Name of the sector whose [start, stop) holds the angle, degrees counter-clockwise from ahead;
    stop may exceed 180."""
    return next(
        name for name, (start, stop) in sectors.items() if (angle - start) % 360 < stop - start
    )


def boundary_gap(angle: float, sectors: dict[str, tuple[float, float]]) -> float:
    """Degrees from the angle to the nearest sector boundary."""
    return min(
        abs((angle - edge + 180) % 360 - 180) for edges in sectors.values() for edge in edges
    )
