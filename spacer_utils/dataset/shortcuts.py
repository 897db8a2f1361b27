"""What answers can be had without the video: constant, per-category and text-only predictors on
scene-disjoint folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import lsqr

from ..core.metrics import THRESHOLDS, mra
from ..core.types import Sample

FOLDS = 5
WIDTH = 2**13
"""Columns that text features are hashed to."""
MOST = 2000
"""Questions of one type that the predictors see; more change nothing but the time."""
Predictor = Callable[[Sequence[Sample], Sequence[Sample]], list[float]]
"""(training rows, test rows) -> score 0-1 of each test row."""


def table(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row per choice or numeric question type: chance, and what each predictor scores, in %;
    MRA for numbers."""
    by_type: dict[str, list[Sample]] = defaultdict(list)
    for s in samples:
        if s.problem_type in ("multiple choice", "numerical"):
            by_type[s.question_type].append(s)
    rows = []
    for name, mine in sorted(by_type.items()):
        mine = mine[:: max(1, len(mine) // MOST)]
        choice = mine[0].problem_type == "multiple choice"
        predictors: dict[str, Predictor] = {
            "constant": constant,
            "per category": per_category,
            "text only": text_choice if choice else text_number,
        }
        chance = 100 * float(np.mean([1 / len(s.options) for s in mine])) if choice else None
        rows.append(
            {
                "question_type": name,
                "n": len(mine),
                "chance": chance,
                **{k: crossed(mine, p) for k, p in predictors.items()},
            }
        )
    return rows


def crossed(samples: Sequence[Sample], predictor: Predictor) -> float | None:
    """Mean score in % with training and test rows from different scenes; None where all rows are
    from one fold."""
    folds = [crc32(s.scene_id.encode()) % FOLDS for s in samples]
    scores: list[float] = []
    for fold in range(FOLDS):
        train = [s for s, f in zip(samples, folds) if f != fold]
        test = [s for s, f in zip(samples, folds) if f == fold]
        if train and test:
            scores += predictor(train, test)
    return 100 * float(np.mean(scores)) if scores else None


def _text(option: str) -> str:
    return option.split(". ", 1)[-1]


def _right(sample: Sample) -> str:
    return next(_text(o) for o in sample.options if o[0] == sample.gold)


def _numbers(samples: Sequence[Sample]) -> list[float]:
    return [float(s.gold) for s in samples]


def constant(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """Always the commonest letter, or the number that would have scored best."""
    if test[0].problem_type == "multiple choice":
        letter = min(Counter(s.gold for s in train).items(), key=lambda kv: (-kv[1], kv[0]))[0]
        return [float(s.gold == letter) for s in test]
    guess = best_number(_numbers(train))
    return [mra(guess, float(s.gold)) for s in test]


def best_number(values: Sequence[float]) -> float:
    """Among the quantiles of the values, the guess with the highest mean relative accuracy."""
    tried = np.unique(np.quantile(values, np.linspace(0.05, 0.95, 19), method="nearest"))
    sample = np.array(values[:: max(1, len(values) // 400)])
    error = np.abs(tried[:, None] - sample) / np.where(sample == 0, 1.0, np.abs(sample))
    return float(tried[np.searchsorted(np.sort(THRESHOLDS), error).sum(1).argmin()])


def per_category(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """For each first-named category the answer that was right most often (among the options there
    are), or the best number."""
    pools: dict[str, list[Sample]] = defaultdict(list)
    for s in train:
        pools[(s.categories or ("",))[0]].append(s)
    if test[0].problem_type != "multiple choice":
        guesses = {c: best_number(_numbers(pool)) for c, pool in pools.items()}
        usual = best_number(_numbers(train))
        return [mra(guesses.get((s.categories or ("",))[0], usual), float(s.gold)) for s in test]
    overall = Counter(_right(s) for s in train)
    wins = {c: Counter(_right(s) for s in pool) for c, pool in pools.items()}
    scores = []
    for s in test:
        mine = wins.get((s.categories or ("",))[0], Counter())
        guess = max(s.options, key=lambda o: (mine[_text(o)], overall[_text(o)]))
        scores.append(float(guess[0] == s.gold))
    return scores


def option_features(sample: Sample, option: str) -> list[str]:
    """What a reader sees of an option: itself, its letter, its parts in order, itself beside the
    categories asked about."""
    text, parts = _text(option), _text(option).split(", ")
    found = [
        text,
        f"letter {option[0]}",
        *parts,
        *(f"{a}<{b}" for k, a in enumerate(parts) for b in parts[k + 1 :]),
    ]
    found += [f"{k} {p}" for k, p in enumerate(parts)]
    return (
        found
        + [f"{k} {c}|{text}" for k, c in enumerate(sample.categories)]
        + [f"{c}|{text}" for c in sample.categories]
    )


def _matrix(features: Sequence[Sequence[str]]) -> csr_array:
    columns = [[crc32(f.encode()) % WIDTH for f in row] for row in features]
    ends = np.cumsum([0] + [len(c) for c in columns])
    flat = np.array([c for row in columns for c in row], dtype=np.int64)
    return csr_array((np.ones(len(flat)), flat, ends), shape=(len(columns), WIDTH))


def text_choice(
    train: Sequence[Sample], test: Sequence[Sample], penalty: float = 1.0
) -> list[float]:
    """Conditional logistic regression over the options' text features."""

    def table_of(rows: Sequence[Sample]) -> tuple[csr_array, np.ndarray, np.ndarray]:
        starts = np.cumsum([0] + [len(s.options) for s in rows])[:-1]
        right = np.array([[o[0] for o in s.options].index(s.gold) for s in rows])
        return (
            _matrix([option_features(s, o) for s in rows for o in s.options]),
            starts,
            starts + right,
        )

    x, starts, gold = table_of(train)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), np.diff([*starts, len(z)])))
        p /= np.repeat(np.add.reduceat(p, starts), np.diff([*starts, len(z)]))
        residual = p.copy()
        residual[gold] -= 1
        return float(
            -np.log(np.maximum(p[gold], 1e-12)).sum() + penalty / 2 * w @ w
        ), x.T @ residual + penalty * w

    w = minimize(loss, np.zeros(WIDTH), jac=True, method="L-BFGS-B", options={"maxiter": 30}).x
    x, starts, gold = table_of(test)
    z = x @ w
    ends = [*starts[1:], len(z)]
    return [float(a + int(np.argmax(z[a:b])) == g) for a, b, g in zip(starts, ends, gold)]


def text_number(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """Ridge regression of the logarithm on the named categories and their pairs."""

    def features(s: Sample) -> list[str]:
        names = sorted(s.categories)
        return ["", *names, "+".join(names), *(f"{k} {c}" for k, c in enumerate(s.categories))]

    target = np.log1p(_numbers(train))
    w = lsqr(_matrix([features(s) for s in train]), target - target.mean(), damp=1.0)[0]
    guesses = np.expm1(_matrix([features(s) for s in test]) @ w + target.mean())
    counts = all(float(s.gold).is_integer() for s in train) and max(_numbers(train)) < 20
    return [mra(float(round(g) if counts else g), float(s.gold)) for g, s in zip(guesses, test)]
