"""Ground-truth cognitive maps: where every object of a scene stands, on a square grid or in metres.

Cells are ``[x, y]`` with x to the right and y up, 0 to grid - 1. A map has one of two frames:

* ``scan``: the axes of the scan, which nobody can tell from the video
* ``first-view``: turned so that the first frame looks up (+y)
"""

from __future__ import annotations

import math
from reprlib import repr as brief
from typing import Any, TypeVar

from .types import PAPER_GRID, BadRow, Clip, MapCells, MapFrame, Scene, map_frame

Number = TypeVar("Number", int, float)
GRID = PAPER_GRID
"""Cells per side of the paper's maps."""
MOST_CELLS = 100
"""Most cells per side that a row may declare. The time of a map score grows with their square."""


def _extent(scene: Scene) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the room's outline in the scan frame, metres."""
    xs, ys = zip(*scene.polygon)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _cell(value: float, start: float, length: float, grid: int) -> int:
    share = (value - start) / length if length > 0 else 0.5
    return min(grid - 1, max(0, math.floor(grid * share)))


def scan_cells(scene: Scene, grid: int = GRID) -> MapCells:
    """Cell of every object's centre in the scan frame.

    The grid covers the room's extent along both axes. An object outside it gets the nearest cell.

    Args:
        grid: cells per side; the paper has 10.
    """
    left, bottom, width, height = _extent(scene)
    return {
        category: [
            [
                _cell(o.box.center[0], left, width, grid),
                _cell(o.box.center[1], bottom, height, grid),
            ]
            for o in scene.instances(category)
        ]
        for category in scene.categories
    }


def heading(clip: Clip) -> float:
    """Direction in which the first frame looks, radians counter-clockwise from the scan's +x axis.

    A camera that looks straight down or up has the direction of its image's upper edge.
    """
    pose = clip.poses[0]
    forward = (pose[0][2], pose[1][2])
    if math.hypot(*forward) < 1e-6:
        forward = (-pose[0][1], -pose[1][1])
    return math.atan2(forward[1], forward[0])


def first_view_cells(clip: Clip, grid: int = GRID) -> MapCells:
    """The scan map after the quarter turns that make the first frame look up, as nearly as they can."""
    return turn(scan_cells(clip.scene, grid), quarter_turns(clip), grid)


def quarter_turns(clip: Clip) -> int:
    """Counter-clockwise quarter turns from the scan's axes to those of the first view."""
    return round((math.pi / 2 - heading(clip)) / (math.pi / 2)) % 4


def cameras(clip: Clip) -> list[tuple[float, ...]]:
    """The camera of every frame on the first view's map.

    Returns:
        For each frame: sine and cosine of the viewing direction (counter-clockwise from up); x and
        y as shares of the room's extent; width and height of that extent, metres.
    """
    turns = quarter_turns(clip)
    left, bottom, width, height = _extent(clip.scene)
    extent = (width, height) if turns % 2 == 0 else (height, width)
    found: list[tuple[float, ...]] = []
    for pose in clip.poses:
        angle = math.atan2(pose[1][2], pose[0][2]) + (turns - 1) * math.pi / 2
        x, y = (pose[0][3] - left) / width, (pose[1][3] - bottom) / height
        for _ in range(turns):
            x, y = quarter_turn(x, y, 1.0)
        found.append((math.sin(angle), math.cos(angle), x, y, *extent))
    return found


def cells(clip: Clip, frame: MapFrame = "first-view", grid: int = GRID) -> MapCells:
    """The map of a clip's scene in the named frame.

    Raises:
        WorkbookError: no frame of that name.
    """
    return (
        scan_cells(clip.scene, grid) if map_frame(frame) == "scan" else first_view_cells(clip, grid)
    )


def metric(clip: Clip) -> dict[str, list[list[float]]]:
    """Objects' centres relative to the first camera: ``[right, forward]`` in metres, rounded to
    centimetres."""
    angle = heading(clip)
    right, forward = (math.sin(angle), -math.cos(angle)), (math.cos(angle), math.sin(angle))
    eye = (clip.poses[0][0][3], clip.poses[0][1][3])

    def seen(x: float, y: float) -> list[float]:
        dx, dy = x - eye[0], y - eye[1]
        return [round(dx * axis[0] + dy * axis[1], 2) for axis in (right, forward)]

    scene = clip.scene
    return {
        category: [seen(*o.box.center[:2]) for o in scene.instances(category)]
        for category in scene.categories
    }


def read_grid(value: Any) -> int:
    """Cells per side that a row declares as ``grid``; None means the paper's.

    Raises:
        BadRow: it is no whole number from 2 to ``MOST_CELLS``.
    """
    if value is None:
        return GRID
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 2 <= value <= MOST_CELLS or value != int(value):
        raise BadRow(
            f"grid: {brief(value)} is no number of cells per side, a whole number from 2 to {MOST_CELLS}"
        )
    return int(value)


def read_cells(value: Any, grid: int = GRID) -> MapCells:
    """A map from a file. Whole numbers become ints; categories that are null are left out, because
    ``datasets`` gives every row the categories of all rows.

    Raises:
        BadRow: it is no map, or has places that are no cells of this grid; the message names the
            category or the range found.

    >>> read_cells({"tv": [[1, 2.0]], "bed": None})
    {'tv': [[1, 2]]}
    """
    if not isinstance(value, dict):
        raise BadRow(f"must be an object {{category: [[x, y], ...]}}, not {brief(value)}")
    there = {category: places for category, places in value.items() if places is not None}
    for category, places in there.items():
        if not isinstance(places, list) or not all(map(_is_place, places)):
            raise BadRow(
                f"of {brief(category)} must be a list of [x, y] with two finite numbers each, "
                f"not {brief(places)}"
            )
    numbers = [v for places in there.values() for place in places for v in place]
    if not all(v == int(v) and 0 <= v < grid for v in numbers):
        raise BadRow(
            f"has cells from {min(numbers):g} to {max(numbers):g}, not whole numbers from 0 to {grid - 1}. "
            f"Convert metres and shares to cells, and declare another grid by its cells per side (grid)"
        )
    return {category: [[int(x), int(y)] for x, y in places] for category, places in there.items()}


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(
            isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e6 for v in value
        )
    )


def turn(cells: MapCells, quarter_turns: int, grid: int = GRID) -> MapCells:
    """The map turned counter-clockwise about the grid's centre.

    >>> turn({"tv": [[9, 0]]}, 1)
    {'tv': [[9, 9]]}
    """
    turned = {c: [list(p) for p in ps] for c, ps in cells.items()}
    for _ in range(quarter_turns % 4):
        turned = {
            c: [list(quarter_turn(x, y, grid - 1)) for x, y in ps] for c, ps in turned.items()
        }
    return turned


def quarter_turn(x: Number, y: Number, side: Number) -> tuple[Number, Number]:
    """A point turned counter-clockwise by a quarter about the centre of a square.

    Args:
        side: the square reaches from (0, 0) to (side, side).

    >>> quarter_turn(9, 0, 9)
    (9, 9)
    """
    return side - y, x


def mirror(cells: MapCells, grid: int = GRID) -> MapCells:
    """The map with left and right exchanged. It is always wrong: a video tells left from right.

    >>> mirror({"tv": [[9, 0]]})
    {'tv': [[0, 0]]}
    """
    return {c: [[grid - 1 - x, y] for x, y in ps] for c, ps in cells.items()}
