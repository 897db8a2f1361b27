"""Map score up to what a video cannot decide."""

from __future__ import annotations

from dataclasses import replace

from ..answers import Points
from ..maps import GRID, Frame
from ..registry import REWARDS
from ..types import Answer, Sample
from .matching import Drawn, calibrated, drawn


@REWARDS.register("map_aligned")
def map_aligned(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Best calibrated score over the four quarter turns, for maps in the scan's frame, which no video shows; never mirrored.

    >>> from spacer_utils.answers import parse
    >>> true = {"tv": [[8, 1]], "bed": [[1, 1]]}
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map=true)
    >>> map_aligned(room, parse("<think><map>{'tv': [[8, 8]], 'bed': [[8, 1]]}</map></think><answer>2</answer>"))
    (1.0, '2 drawn for 2 objects, turned by 270 degrees')
    """
    found = drawn(sample, answer)
    if isinstance(found, str):
        return None, found
    value, turns = aligned(found)
    return value, found.note() + (f", turned by {90 * turns} degrees" if turns else "")


def aligned(map_: Drawn, frame: Frame = "scan", grid: int = GRID) -> tuple[float, int]:
    """Best calibrated score and the counter-clockwise quarter turns that give it; a first-view map is never turned."""
    best = calibrated(map_, grid), 0
    for turns in range(1, 4 if frame == "scan" else 1):
        map_ = replace(map_, valid=_turned(map_.valid, grid))
        best = max(best, (calibrated(map_, grid), turns), key=lambda b: b[0])
    return best


def _turned(points: Points, grid: int) -> Points:
    return {c: [(grid - 1 - y, x) for x, y in ps] for c, ps in points.items()}
