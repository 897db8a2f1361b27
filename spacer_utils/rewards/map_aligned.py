"""Map score after the turn that fits best, since a video cannot show how a scan's map is turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..core.answers import Points
from ..core.maps import quarter_turn
from ..core.registry import REWARDS
from ..core.types import Answer, MapFrame, Sample
from .matching import Array, Drawn, calibrated, closeness, drawn


@REWARDS.register("map_aligned")
def map_aligned(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Best calibrated score over the turns that no video shows: quarter turns of a map in the
    scan's frame; never mirrored.

    The video does show how a map in the first view's frame is turned: such a map gets its
    calibrated score.

    >>> from spacer_utils.core.answers import parse
    >>> true = {"tv": [[8, 1]], "bed": [[1, 1]]}
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map=true)
    >>> map_aligned(room, parse("<think><map>{'tv': [[8, 8]], 'bed': [[8, 1]]}</map></think><answer>2</answer>"))
    (1.0, '2 drawn for 2 objects, turned by 270 degrees')
    """
    found = drawn(sample, answer)
    if isinstance(found, str):
        return None, found
    value, turns = aligned(found, sample.map_frame)
    return value, found.note() + (f", turned by {90 * turns} degrees" if turns else "")


def aligned(map_: Drawn, frame: MapFrame = "scan") -> tuple[float, int]:
    """Best calibrated score and the counter-clockwise quarter turns that give it; a first-view map
    is never turned."""
    best = calibrated(map_), 0
    for turns in range(1, 4 if frame == "scan" else 1):
        turned = {
            c: [quarter_turn(x, y, map_.grid - 1) for x, y in places]
            for c, places in map_.valid.items()
        }
        map_ = replace(map_, valid=turned)
        best = max(best, (calibrated(map_), turns), key=lambda b: b[0])
    return best


def aligned_metric(predicted: Points, true: Points) -> float:
    """Score of a map in metres, 0-1, after the rigid motion that fits it best to the true one: no
    scaling, never mirrored.

    Categories' mean places decide the motion; then every object earns 1 - distance / diagonal of
    the true map.

    >>> round(aligned_metric({"tv": [(0, 0)], "bed": [(0, 2)]}, {"tv": [(1, 1)], "bed": [(3, 1)]}), 9)
    1.0
    """
    both = [c for c in true if predicted.get(c) and true[c]]
    if not both:
        return 0.0
    everything = [p for ps in true.values() for p in ps]
    diagonal = float(np.hypot(*np.ptp(np.array(everything), axis=0))) or 1.0
    move = _rigid(
        *(np.array([np.mean(map_[c], axis=0) for c in both]) for map_ in (predicted, true))
    )
    earned = sum(
        closeness(move(np.array(predicted[c])).tolist(), true[c], diagonal)
        * len(true[c])
        / max(len(predicted[c]), len(true[c]))
        for c in both
    )
    return earned / (
        len(everything) + sum(len(ps) for c, ps in predicted.items() if not true.get(c))
    )


def _rigid(points: Array, places: Array) -> Callable[[Array], Array]:
    """Rotation and translation with the least squared error from (n, 2) points to (n, 2) places
    (Procrustes)."""
    a, b = points - points.mean(0), places - places.mean(0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return lambda p: (p - points.mean(0)) @ turn + places.mean(0)
