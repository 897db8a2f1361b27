"""The turn from facing one point to facing another, and its name (left, back-right, ...).

Points may be in any unit: questions give metres, map readings give cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = Sequence[float] | npt.NDArray[np.float64]
Sectors = dict[str, tuple[float, float]]
"""Name -> [start, stop) in degrees counter-clockwise from straight ahead."""
EASY: Sectors = {"left": (0, 180), "right": (180, 360)}
MEDIUM: Sectors = {"left": (0, 135), "back": (135, 225), "right": (225, 360)}
HARD: Sectors = {
    "front-left": (0, 90),
    "back-left": (90, 180),
    "back-right": (180, 270),
    "front-right": (270, 360),
}
SECTORS = {
    "object_rel_direction_easy": EASY,
    "object_rel_direction_medium": MEDIUM,
    "object_rel_direction_hard": HARD,
    "object_rel_direction_backward": HARD,
}
MARGIN = 10.0
"""A direction is clear if it is so many degrees from every sector boundary."""


def turn_angle(origin: Point, ahead: Point, target: Point) -> float:
    """Degrees in (-180, 180] to turn at ``origin`` from facing ``ahead`` to facing ``target``; left
    is positive."""
    ax, ay = ahead[0] - origin[0], ahead[1] - origin[1]
    bx, by = target[0] - origin[0], target[1] - origin[1]
    return float(np.degrees(np.arctan2(ax * by - ay * bx, ax * bx + ay * by)))


def sector(angle: float, sectors: Sectors) -> str:
    """Name of the sector that holds the angle (degrees counter-clockwise from straight ahead)."""
    return next(
        name for name, (start, stop) in sectors.items() if (angle - start) % 360 < stop - start
    )


def boundary_gap(angle: float, sectors: Sectors) -> float:
    """Degrees from the angle to the nearest sector boundary."""
    return min(
        abs((angle - edge + 180) % 360 - 180) for edges in sectors.values() for edge in edges
    )
