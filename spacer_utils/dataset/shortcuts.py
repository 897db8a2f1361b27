"""How many answers can be guessed without the video: a part of the audit.

Three predictors (constant, per category, text only) are trained and tested on different scenes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import lsqr

from ..core.answers import number
from ..core.metrics import THRESHOLDS, mra
from ..core.options import option_texts
from ..core.types import BadRow, Sample

FOLDS = 5
WIDTH = 2**13
"""Number of columns that text features are hashed to."""
MOST = 2000
"""About the most questions of one type that are used, which is enough for stable scores."""
Predictor = Callable[[Sequence[Sample], Sequence[Sample]], list[float]]
"""(training rows, test rows) -> score 0-1 of each test row."""


def table(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row per multiple-choice or numerical question type: scores of chance and of each
    predictor.

    Accuracy or, for numbers, mean relative accuracy (MRA); in %. Chance is None for numbers.
    """
    by_type: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for s in samples:
        if s.problem_type in ("multiple choice", "numerical"):
            by_type[s.question_type, s.problem_type].append(s)
    rows = []
    for (name, problem_type), mine in sorted(by_type.items()):
        if (name, "multiple choice") in by_type and problem_type == "numerical":
            name = f"{name}, as numbers"  # published types may have both
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
    """Cross-validated mean score in %; the folds have different scenes. None if all samples are in
    one fold."""
    folds = [crc32(s.scene_id.encode()) % FOLDS for s in samples]
    scores: list[float] = []
    for fold in range(FOLDS):
        train = [s for s, f in zip(samples, folds) if f != fold]
        test = [s for s, f in zip(samples, folds) if f == fold]
        if train and test:
            scores += predictor(train, test)
    return 100 * float(np.mean(scores)) if scores else None


def _right(sample: Sample) -> str:
    """The right option without its letter."""
    return option_texts(sample.options)[sample.gold]


def right_number(sample: Sample) -> float:
    """The right number, read as answers are: also ``three`` and ``½``.

    Raises:
        BadRow: the solution holds no number.
    """
    value = number(sample.gold)
    if value is None:
        raise BadRow(f"solution: {sample.gold!r} holds no number")
    return value


def _numbers(samples: Sequence[Sample]) -> list[float]:
    """The right numbers."""
    return [right_number(s) for s in samples]


def _first_category(sample: Sample) -> str:
    """The category that the question names first; empty if it names none."""
    return (sample.categories or ("",))[0]


def constant(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """Scores of one answer for all: the most frequent right letter, or the best number."""
    if test[0].problem_type == "multiple choice":
        letter = min(Counter(s.gold for s in train).items(), key=lambda kv: (-kv[1], kv[0]))[0]
        return [float(s.gold == letter) for s in test]
    guess = best_number(_numbers(train))
    return [mra(guess, right_number(s)) for s in test]


def best_number(values: Sequence[float]) -> float:
    """The guess, among 19 quantiles of the values, with the highest mean relative accuracy."""
    guesses = np.unique(np.quantile(values, np.linspace(0.05, 0.95, 19), method="nearest"))

    # Relative errors to some 400 of the values.
    sample = np.array(values[:: max(1, len(values) // 400)])
    error = np.abs(guesses[:, None] - sample) / np.where(sample == 0, 1.0, np.abs(sample))

    # The best guess misses the fewest thresholds of the MRA.
    missed = np.searchsorted(np.sort(THRESHOLDS), error).sum(1)
    return float(guesses[missed.argmin()])


def per_category(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """Scores of one answer for each first-named category: the best number, or of the question's
    options the one that was right most often."""
    pools: dict[str, list[Sample]] = defaultdict(list)
    for s in train:
        pools[_first_category(s)].append(s)

    # Numbers.
    if test[0].problem_type != "multiple choice":
        guesses = {c: best_number(_numbers(pool)) for c, pool in pools.items()}
        usual = best_number(_numbers(train))
        return [mra(guesses.get(_first_category(s), usual), right_number(s)) for s in test]

    # Options; equal counts are decided by the counts of all categories.
    overall = Counter(_right(s) for s in train)
    wins = {c: Counter(_right(s) for s in pool) for c, pool in pools.items()}
    scores = []
    for s in test:
        mine = wins.get(_first_category(s), Counter())
        texts = option_texts(s.options)
        guess = max(texts, key=lambda letter: (mine[texts[letter]], overall[texts[letter]]))
        scores.append(float(guess == s.gold))
    return scores


def option_features(sample: Sample, letter: str, text: str) -> list[str]:
    """Text features of one option: the option, its letter and its comma-separated parts, alone and
    together with the categories that the question names."""
    parts = text.split(", ")

    # Parts, their order two by two, and their places.
    found = [
        text,
        f"letter {letter}",
        *parts,
        *(f"{a}<{b}" for k, a in enumerate(parts) for b in parts[k + 1 :]),
    ]
    found += [f"{k} {p}" for k, p in enumerate(parts)]

    # The option with each category of the question, with and without its place.
    found += [f"{k} {c}|{text}" for k, c in enumerate(sample.categories)]
    return found + [f"{c}|{text}" for c in sample.categories]


def _matrix(features: Sequence[Sequence[str]]) -> csr_array:
    """(rows, WIDTH) sparse counts of hashed features."""
    columns = [[crc32(f.encode()) % WIDTH for f in row] for row in features]
    ends = np.cumsum([0] + [len(c) for c in columns])
    flat = np.array([c for row in columns for c in row], dtype=np.int64)
    return csr_array((np.ones(len(flat)), flat, ends), shape=(len(columns), WIDTH))


def text_choice(
    train: Sequence[Sample], test: Sequence[Sample], penalty: float = 1.0
) -> list[float]:
    """Scores of a conditional logistic regression over the options' text features."""

    def table_of(rows: Sequence[Sample]) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """(features of all options, first row of each question, row of each right option)."""
        starts = np.cumsum([0] + [len(s.options) for s in rows])[:-1]
        texts = [option_texts(s.options) for s in rows]
        right = np.array([[*named].index(s.gold) for s, named in zip(rows, texts)])
        features = [
            option_features(s, letter, text)
            for s, named in zip(rows, texts)
            for letter, text in named.items()
        ]
        return _matrix(features), starts, starts + right

    x, starts, gold = table_of(train)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log likelihood with an L2 penalty, and its gradient."""
        # Softmax over the options of each question.
        z = x @ w
        sizes = np.diff([*starts, len(z)])
        p = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), sizes))
        p /= np.repeat(np.add.reduceat(p, starts), sizes)

        residual = p.copy()
        residual[gold] -= 1
        value = -np.log(np.maximum(p[gold], 1e-12)).sum() + penalty / 2 * w @ w
        return float(value), x.T @ residual + penalty * w

    w = minimize(loss, np.zeros(WIDTH), jac=True, method="L-BFGS-B", options={"maxiter": 30}).x

    # Each question's likeliest option.
    x, starts, gold = table_of(test)
    z = x @ w
    ends = [*starts[1:], len(z)]
    return [float(a + int(np.argmax(z[a:b])) == g) for a, b, g in zip(starts, ends, gold)]


def text_number(train: Sequence[Sample], test: Sequence[Sample]) -> list[float]:
    """Scores of a ridge regression of log(1 + number) on the categories that the question names."""

    def features(s: Sample) -> list[str]:
        """The names, all of them together, and each with its place."""
        names = sorted(s.categories)
        return ["", *names, "+".join(names), *(f"{k} {c}" for k, c in enumerate(s.categories))]

    target = np.log1p(_numbers(train))
    w = lsqr(_matrix([features(s) for s in train]), target - target.mean(), damp=1.0)[0]
    guesses = np.expm1(_matrix([features(s) for s in test]) @ w + target.mean())

    # Counts are guessed as whole numbers.
    counts = all(n.is_integer() for n in _numbers(train)) and max(_numbers(train)) < 20
    return [mra(float(round(g) if counts else g), right_number(s)) for g, s in zip(guesses, test)]
