"""What reinforcement could find in a model: how often sampled answers are right, and whether they follow
the map.

Statistics of answers; needs no torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import rewards
from ..core.answers import parse, same_category
from ..core.types import Sample
from ..rewards import matching
from .scores import Row

RIGHT = 0.5
"""A number counts as right above this mean relative accuracy, as in the paper's gate."""


def sampled_rows(samples: Iterable[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[Row]:
    """One row per sampled answer: group (the question), type, accuracy and ``map_scores``."""
    table = []
    for sample in samples:
        for output in outputs[str(sample.problem_id)]:
            answer = parse(output.output)
            whole, asked = map_scores(sample, answer)
            table.append(
                {
                    "group": str(sample.problem_id),
                    "scene_id": sample.scene_id,
                    "question_type": sample.question_type,
                    "accuracy": rewards.term("accuracy", sample, answer)[0] or 0.0,
                    "map": whole,
                    "asked_map": asked,
                }
            )
    return table


def map_scores(sample: Sample, answer: Any) -> tuple[float | None, float | None]:
    """The calibrated score of an answer's map, and what the things that the question asks about earn
    on it (``rewards.matching.earned``; comparable among answers to one question only)."""
    drawn = matching.drawn(sample, answer)
    if isinstance(drawn, str):
        return None, None
    earned = matching.earned(drawn)
    asked = [earned[c] for c in map(same_category, sample.categories) if c in earned]
    return matching.calibrated(drawn), sum(asked) if asked else None


def pass_at_k(right: int, of: int, k: int) -> float:
    """Chance that at least one of ``k`` answers is right, from ``of`` answers with ``right`` right ones.

    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1, which has no bias.

    >>> pass_at_k(1, 4, 1), pass_at_k(1, 4, 2), pass_at_k(0, 4, 4), pass_at_k(2, 4, 4)
    (0.25, 0.5, 0.0, 1.0)
    """
    return 1.0 - math.comb(of - right, k) / math.comb(of, k)


def by_question_type(rows: Sequence[Row], ks: Sequence[int] = (1, 8, 32)) -> list[Row]:
    """Per question type, and as the mean over types: pass@k (%), and the share (%) of questions whose
    answers differ in accuracy."""
    types: dict[str, list[dict[str, float]]] = defaultdict(list)
    for mine in _groups(rows).values():
        accuracy = [r["accuracy"] for r in mine]
        right = sum(a > RIGHT for a in accuracy)
        found = {
            f"pass@{k} (%)": 100 * pass_at_k(right, len(mine), k) for k in ks if k <= len(mine)
        }
        found["spread (%)"] = 100.0 * (max(accuracy) > min(accuracy))
        types[mine[0]["question_type"]].append(found)

    table: list[Row] = [
        {"question_type": name, "n": len(found), **_means(found)}
        for name, found in sorted(types.items())
    ]
    if table:
        numbers = [{k: v for k, v in row.items() if k != "question_type"} for row in table]
        whole = sum(row["n"] for row in table)
        table.append({"question_type": "mean", **_means(numbers), "n": whole})
    return table


def map_correlation(
    rows: Sequence[Row], *, seed: int, draws: int = 2000
) -> dict[str, float | None]:
    """Mean correlation, within groups, of an answer's accuracy with the score of the asked things on its
    map, with a 95% bootstrap interval over groups, and the number of groups where both differ."""
    found = []
    for mine in _groups(rows).values():
        pairs = np.array(
            [(r["asked_map"], r["accuracy"]) for r in mine if r["asked_map"] is not None]
        )
        if len(pairs) > 1 and pairs.std(0).min() > 1e-9:
            found.append(float(np.corrcoef(pairs.T)[0, 1]))
    if not found:
        return {"correlation": None, "low": None, "high": None, "groups": 0}
    picked = np.random.default_rng(seed).integers(0, len(found), (draws, len(found)))
    means = np.array(found)[picked].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "correlation": float(np.mean(found)),
        "low": float(low),
        "high": float(high),
        "groups": len(found),
    }


def _groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        found[r["group"]].append(r)
    return found


def _means(rows: Sequence[Row]) -> Row:
    return {key: float(np.mean([r[key] for r in rows])) for key in rows[0]}
