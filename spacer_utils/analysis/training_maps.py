"""What the maps of a reinforcement run are worth, whatever was paid for them, and what its advantages
go with. Statistics of logs; needs no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import rewards
from ..core import map_reading
from ..core.answers import parse
from ..core.types import Sample
from ..rewards.map import score as released_score
from ..rewards.sets import MAPPED_TYPES
from . import training_logs
from .scores import Row

STRAY_MAP_IN = 100
"""At most one map in so many rollouts counts as none: a run that is not asked for maps may still
write the tag now and then."""


def map_scores_of_rollouts(
    rollouts: Iterable[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> list[Row]:
    """Per rollout about a room with a map: step, group, advantage, accuracy, and the scores of its
    map as ``terms``; empty for a run that draws no maps.

    Terms: ``map`` (the paper's score), ``map_calibrated``, ``centre`` (the paper's score of a map
    with the right counts, all in the middle cell), ``paid`` and ``centre paid`` (``map`` and
    ``centre`` after the paper's gate: only a right answer is paid), and of questions that a map
    answers also ``worked_out``: 1 if there is reasoning behind the map, else 0.

    Args:
        samples: the training samples by ``problem_id`` as text, maps joined.
    """
    rows = [
        (r, samples[r["group"]])
        for r in rollouts
        if r["group"] in samples and samples[r["group"]].cognitive_map
    ]
    with_map = sum("<map>" in r["completion"] for r, _ in rows)
    if STRAY_MAP_IN * with_map <= len(rows):
        return []
    return [
        {
            "step": r["step"],
            "group": r["group"],
            "advantage": r["advantage"],
            "accuracy": r["terms"].get("accuracy") or 0.0,
            "terms": _map_scores(sample, r),
        }
        for r, sample in rows
    ]


def _map_scores(sample: Sample, rollout: Mapping[str, Any]) -> dict[str, float]:
    true, answer = sample.cognitive_map or {}, parse(rollout["completion"])
    found = {
        name: float(rewards.term(name, sample, answer)[0] or 0.0)
        for name in ("map", "map_calibrated")
    }

    # the map that knows how many there are, and nothing of where they are
    middle = (sample.map_grid - 1) // 2
    all_in_the_middle = {c: [[middle, middle]] * len(cells) for c, cells in true.items()}
    found["centre"] = released_score(all_in_the_middle, true, sample.map_grid)

    # the paper's gate
    accuracy = rollout["terms"].get("accuracy") or 0.0
    right = sample.problem_type in MAPPED_TYPES and accuracy > 0.5
    found |= {"paid": found["map"] * right, "centre paid": found["centre"] * right}

    # behind the map
    if map_reading.steps(sample, true):
        found["worked_out"] = float(bool((answer.think or "").partition("</map>")[2].strip()))
    return found


def advantage_correlations(maps: Sequence[Row]) -> dict[str, float | None]:
    """Correlations between advantages, answers and maps within groups, over the rows of
    ``map_scores_of_rollouts``.

    Keys: ``advantage, answer`` (with accuracy), ``advantage, map`` (with the calibrated score of
    the map) and ``answer, map``. Every value counts from its group's mean. None where one of the
    two never differs within a group, empty for a run without maps.
    """
    if not maps:
        return {}
    groups: dict[tuple[int, str], list[tuple[float, float, float]]] = defaultdict(list)
    for r in maps:
        values = (r["advantage"], r["accuracy"], r["terms"]["map_calibrated"])
        groups[r["step"], r["group"]].append(values)
    centred = np.concatenate([np.array(g) - np.mean(g, 0) for g in groups.values()])

    with np.errstate(invalid="ignore"):
        found = np.corrcoef(centred.T)
    pairs = {
        "advantage, answer": found[0, 1],
        "advantage, map": found[0, 2],
        "answer, map": found[1, 2],
    }
    return {k: None if np.isnan(v) else float(v) for k, v in pairs.items()}


def map_scores_by_tenth(maps: Sequence[Row]) -> list[Row]:
    """Mean step and mean of every term of ``map_scores_of_rollouts``, for each tenth of a run."""
    table = []
    for tenth, mine in training_logs.tenths(maps).items():
        values: dict[str, list[float]] = defaultdict(list)
        for r in mine:
            for name, value in {"step": r["step"], **r["terms"]}.items():
                values[name].append(value)
        means = {name: float(np.mean(found)) for name, found in values.items()}
        table.append({"tenth": tenth, "n": len(mine), **means})
    return table
