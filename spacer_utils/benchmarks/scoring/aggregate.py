"""From scored items to one report: headline, per task, every variant, counts, and the chance
baselines of the same rows."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.metrics import to_float
from ...core.types import WorkbookError
from .record import MISSING, Item, Question, Row, judge_row, read

Table = dict[str, Any]


def mean(scores: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None without any."""
    values = [s for s in scores if s is not None]
    return sum(values) / len(values) if values else None


def micro(items: Iterable[Item]) -> float | None:
    """Mean over the scored items that were answered. If none was, it is 0, as Video-MME's authors
    print it."""
    scored = [i for i in items if i.score is not None]
    answered = [i for i in scored if not i.unanswered]
    return mean(i.score for i in answered or scored)


def split_by(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """Items by ``key``, keys in order of first appearance."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return dict(found)


def by_task(items: Iterable[Item]) -> dict[str, list[Item]]:
    return split_by(items, lambda i: i.question.task)


def by_group(items: Iterable[Item], group: str) -> dict[str, float | None]:
    """Mean score per value of one of ``Question.groups``; items without the group stay out."""
    kept = [i for i in items if group in i.question.groups]
    return {
        name: micro(part)
        for name, part in sorted(split_by(kept, lambda i: i.question.groups[group]).items())
    }


def task_means(items: Iterable[Item]) -> dict[str, float]:
    """Mean per task that has a scored item."""
    means = {task: micro(part) for task, part in by_task(items).items()}
    return {task: value for task, value in means.items() if value is not None}


def macro(items: Iterable[Item]) -> float | None:
    """Unweighted mean of the per-task means."""
    return mean(task_means(items).values())


def counts(items: Sequence[Item]) -> dict[str, int]:
    """What became of every row: expected = scored + missing + not scored. Unparsed and truncated
    rows are among the scored."""
    missing = sum(i.missing for i in items)
    unscored = sum(i.score is None and not i.missing for i in items)
    return {
        "n_expected": len(items),
        "n_scored": len(items) - missing - unscored,
        "n_missing": missing,
        "n_unparsed": sum(
            i.parsed is None and i.score is not None and not i.missing for i in items
        ),
        "truncated": sum(i.truncated for i in items),
        "n_not_scored": unscored,
    }


def percent(value: Any) -> Any:
    """Fractions as percentages, also in tables. Counts (integers) and None stay."""
    if isinstance(value, Mapping):
        return {k: percent(v) for k, v in value.items()}
    return 100 * value if isinstance(value, float) else value


def variants(benchmark: Any, items: Sequence[Item]) -> Table:
    """The benchmark's aggregations as fractions; by default the mean over items and the mean over
    tasks."""
    if hasattr(benchmark, "variants"):
        found: Table = benchmark.variants(items)
        return found
    return {"micro": micro(items), "macro": macro(items)}


def headline(benchmark: Any, table: Table, scoring: str) -> str:
    """Name of the variant that counts as the benchmark's score: the first, or the one that SpaceR
    reports."""
    if scoring == "spacer" and benchmark.spacer_headline:
        return str(benchmark.spacer_headline)
    return next(iter(table))


def report(
    benchmark: Any, items: Sequence[Item], scoring: str = "official", missing: str = "wrong"
) -> Table:
    """Scores (%), counts and rates of one evaluation.

    The key ``profile`` names the scoring.

    Args:
        missing: ``wrong``: a row without an output scores 0. ``drop``: it leaves the means but not
            the counts, as SpaceR-Eval does with unreadable videos.
    """
    if missing not in MISSING:
        raise WorkbookError(
            f"unknown way to treat missing outputs {missing!r}. Known: {', '.join(MISSING)}."
        )

    # The scores, by variant and by task.
    kept = [i for i in items if missing == "wrong" or not i.missing]
    table = variants(benchmark, kept)
    name = headline(benchmark, table, scoring)
    present = by_task(items)
    absent = [t for t in benchmark.tasks if t not in present]
    kept_by_task = by_task(kept)

    # How many outputs have answer and map blocks.
    outputs = [str(i.row.get("output") or "") for i in items]
    rates = {
        f"{tag}_block": percent(mean(float(f"<{tag}>" in o and f"</{tag}>" in o) for o in outputs))
        for tag in ("answer", "map")
    }
    return {
        "profile": scoring,
        "unit": "percent",
        "headline": percent(table[name]),
        "headline_variant": name,
        "partial": bool(absent),
        "absent_tasks": absent,
        "missing": missing,
        "unanswered": "left out" if scoring in benchmark.over_answered else "wrong",
        "counts": counts(items),
        "per_task": {
            task: {"score": percent(micro(kept_by_task.get(task, []))), **counts(part)}
            for task, part in present.items()
        },
        "per_variant": percent(table),
        "rates": rates,
    }


# ---------------------------------------------------------------------------------------- baselines


def _chance(benchmark: Any, row: Row) -> Item:
    """The expected score of a uniform guess; None if the question is open or its answer hidden."""
    question = read(benchmark, row)
    score = question.chance
    if score is None and question.options:
        score = 1 / len(question.options)
    return Item(question, row, score if question.gold else None, None, "uniform guess")


def mode(golds: Sequence[str]) -> str:
    """The commonest answer; of equally common ones the smallest number or the first letter."""
    ranked = Counter(golds).items()
    return min(ranked, key=lambda kv: (-kv[1], to_float(kv[0]) or 0.0, kv[0]))[0]


def baselines(benchmark: Any, rows: Sequence[Row], scoring: str = "official") -> Table:
    """What guessing scores on these rows, in percent, aggregated as the benchmark aggregates.

    ``random``: the expected score of uniform guesses among the options; open questions don't count.
    ``frequency (test-set mode)``: always the task's commonest answer. One has to know the answers
    for it. What a judge said about the model's output doesn't count.
    """
    golds: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        question = read(benchmark, row)
        golds[question.task].append(question.gold)
    modes = {task: mode([gold for gold in found if gold] or [""]) for task, found in golds.items()}
    guesses = [_chance(benchmark, row) for row in rows]
    published = [
        {k: v for k, v in row.items() if k not in ("judge_output", "truncated")} for row in rows
    ]
    frequent = [
        judge_row(benchmark, {**row, "output": modes[read(benchmark, row).task]}, scoring)
        for row in published
    ]
    return {
        name: {
            "headline": percent(_headline(benchmark, items, scoring)),
            "per_task": percent(task_means(items)),
        }
        for name, items in (("random", guesses), ("frequency (test-set mode)", frequent))
    }


def _headline(benchmark: Any, items: Sequence[Item], scoring: str) -> float | None:
    table = variants(benchmark, items)
    value: float | None = table[headline(benchmark, table, scoring)]
    return value


# ---------------------------------------------------------------------------------------- intervals

FEWEST_MEDIA = 10
"""From fewer media an interval says nothing."""
DRAWS = 200


def interval(
    benchmark: Any, items: Sequence[Item], scoring: str = "official", seed: int = 0
) -> tuple[float, float] | tuple[None, None]:
    """95% interval (%) of the headline over media: questions about one clip or picture are not
    independent, so clips are drawn again with all their questions. None with fewer than
    ``FEWEST_MEDIA``."""
    about = list(split_by(items, lambda i: _medium(i.question)).values())
    if len(about) < FEWEST_MEDIA:
        return None, None
    rng = np.random.default_rng([seed, 97])
    drawn = []
    for _ in range(DRAWS):
        again = [item for k in rng.integers(0, len(about), len(about)) for item in about[k]]
        value = _headline(benchmark, again, scoring)
        if value is not None:
            drawn.append(100 * value)
    if not drawn:
        return None, None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _medium(question: Question) -> str:
    """What tells one medium from another: its path, or the digest of an embedded picture."""
    if not question.media:
        return question.key
    first = question.media[0]
    inner = (first.get("bytes") or first.get("path")) if isinstance(first, Mapping) else first
    data = inner if isinstance(inner, bytes) else str(inner).encode()
    return hashlib.blake2b(data, digest_size=8).hexdigest()
