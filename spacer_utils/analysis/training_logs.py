"""Read the logs of training runs: metrics, validations and rollouts, per term, per question type,
per group. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.answers import block, number, parse
from ..core.files import read_jsonl
from ..core.types import MissingArtifact, Sample
from . import headroom, scores

Rows = list[dict[str, Any]]


def metrics(run: Path) -> Rows:
    """Rows of ``metrics.jsonl``: one per optimiser step, wall-clock fields included."""
    return [r for r in _rows(run, "metrics.jsonl") if "validation/accuracy" not in r]


def validations(run: Path) -> Rows:
    """Rows of ``validation.jsonl``: one per validation and question; none where the run did not
    validate."""
    path = Path(run) / "validation.jsonl"
    return read_jsonl(path, tolerate_torn_end=True) if path.exists() else []


def rollouts(run: Path) -> Rows:
    """Rows of ``rollouts.jsonl``: one per completion that was ever scored."""
    return _rows(run, "rollouts.jsonl")


def _rows(run: Path, name: str) -> Rows:
    path = Path(run) / name
    if not path.exists():
        raise MissingArtifact(
            f"{path.parent.name}/{name}",
            "notebooks 04 to 06, or spacer train",
            "make nb06",
        )
    return read_jsonl(path, tolerate_torn_end=True)


def reinforcement_runs(train: Path) -> dict[str, Rows]:
    """Metrics of every finished run in ``outputs/<profile>/train`` that has rollouts, by run
    name."""
    folders = [p.parent for p in sorted(Path(train).glob("*/run.json"))]
    return {f.name: metrics(f) for f in folders if (f / "rollouts.jsonl").exists()}


def change(rows: Sequence[Mapping[str, Any]], key: str = "reward") -> tuple[float, float]:
    """Mean of a metric over the first and over the last tenth of the steps (at least one step
    each); of rewards, see ``gain``."""
    values = [r[key] for r in rows if isinstance(r.get(key), int | float)]
    if not values:
        return math.nan, math.nan
    part = max(1, len(values) // 10)
    return float(np.mean(values[:part])), float(np.mean(values[-part:]))


def groups(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str], list[Mapping[str, Any]]]:
    """Rollouts by (step, prompt key): the completions that were compared with each other."""
    found: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for r in rows:
        found[(r["step"], str(r["group"]))].append(r)
    return dict(found)


def one_group(
    rows: Sequence[Mapping[str, Any]], terms: Sequence[str] = ("accuracy", "format", "map")
) -> Rows:
    """The completions of the last group whose rewards differ, best first: text, terms, total,
    advantage."""
    found = [g for g in groups(rows).values() if len({r["reward"] for r in g}) > 1] or list(
        groups(rows).values()
    )
    best = sorted(found[-1], key=lambda r: -r["reward"])
    return [
        {
            "question type": r["question_type"],
            "gold": r["gold"],
            "completion": r["completion"],
            **{t: r["terms"][t] for t in terms if t in r["terms"]},
            "reward": r["reward"],
            "advantage": r["advantage"],
        }
        for r in best
    ]


def thirds(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[list[list[Mapping[str, Any]]], list[list[Mapping[str, Any]]]]:
    """Groups of the first and of the last third of the steps (at least one step each)."""
    found = groups(rows)
    last = max((step for step, _ in found), default=0)
    part = -(-last // 3)
    return [g for (step, _), g in found.items() if step <= part], [
        g for (step, _), g in found.items() if step > last - part
    ]


def tenths(rows: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Rows by the tenth of the run that their step lies in, numbered from 1; a tenth without rows
    is left out."""
    rows = list(rows)
    last = max((r["step"] for r in rows), default=0)
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for r in rows:
        found[1 + (r["step"] - 1) * 10 // last].append(r)
    return dict(sorted(found.items()))


def gain(rows: Iterable[Mapping[str, Any]], term: str | None = None) -> dict[str, float | None]:
    """What the rollouts of the first and of the last third of the steps earn, and the difference
    with its 95% interval.

    Every step asks other questions, some easier and some harder. The interval is over questions: a
    difference within it may come from the questions alone. None where a third has a single one.

    Args:
        term: one reward term instead of the sum of all.
    """
    found = []
    for part in thirds(rows):
        earned = [
            [r["reward"] if term is None else r["terms"].get(term) for r in group] for group in part
        ]
        found.append(
            [
                float(np.mean(known))
                for values in earned
                if (known := [v for v in values if v is not None])
            ]
        )
    first, last = (float(np.mean(means)) if means else math.nan for means in found)
    single = min(map(len, found)) < 2
    half = (
        None
        if single
        else 1.96 * math.sqrt(sum(float(np.var(means, ddof=1)) / len(means) for means in found))
    )
    difference = last - first
    return {
        "first": first,
        "last": last,
        "difference": difference,
        "low": None if half is None else difference - half,
        "high": None if half is None else difference + half,
    }


def largest_group_sum(rows: Iterable[Mapping[str, Any]]) -> float:
    """How far the advantages of a group are from summing to zero, at most, in units of the reward.

    TRL divides by the standard deviation plus 1e-4, and this multiplies by it again. Without that, a
    group of equal rewards would show the float32 rounding of its mean, divided by 1e-4.
    """
    return max(
        float(
            abs(sum(r["advantage"] for r in g)) * (np.std([r["reward"] for r in g], ddof=1) + 1e-4)
        )
        for g in groups(rows).values()
    )


def validation_curve(rows: Sequence[Mapping[str, Any]], *, seed: int = 0) -> Rows:
    """What a run is worth on held-out rooms at every validation, with 95% intervals over rooms.

    Columns: ``what``, ``step``, ``score`` with ``low`` and ``high``, ``questions``, ``rooms``, and
    ``change`` with ``change low`` and ``change high``: the difference from the first validation on
    the same questions, which is known better than the scores. ``what`` is ``accuracy`` (greedy) or
    ``accuracy, sampled`` (temperature 1), both macro over question types in %, or ``map`` (calibrated
    score, at most 1). Intervals are None for a single room.

    Args:
        rows: of ``validations``; of several training seeds, if each names its ``train_seed``. Then
            scores are means over seeds, and the intervals are over rooms and seeds.
        seed: of the bootstrap.
    """
    values: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "accuracy": lambda r: r["accuracy"],
        "accuracy, sampled": lambda r: np.mean(r["sampled"]) if r.get("sampled") else None,
        "map": lambda r: r["map"],
    }
    table = []
    for what, value in values.items():
        steps: dict[int, Rows] = defaultdict(list)
        for r in rows:
            if (score := value(r)) is not None:
                kind = "map" if what == "map" else r["question_type"]
                steps[r["step"]].append({**r, "score": float(score), "question_type": kind})
        unit = 100 if what == "map" else 1
        first = steps[min(steps)] if steps else []
        for step, mine in sorted(steps.items()):
            drawn, before = (scores.bootstrap(part, seed=seed) for part in (mine, first))
            now, then = (
                float(np.mean([scores.macro(one) for one in scores.by_seed(part)]))
                for part in (mine, first)
            )
            low, high = scores.interval(drawn, mine)
            least, most = scores.interval(drawn - before, mine)
            numbers = {
                "score": now,
                "low": low,
                "high": high,
                "change": now - then,
                "change low": least,
                "change high": most,
            }
            table.append(
                {
                    "what": what,
                    "step": step,
                    "questions": len({r["problem_id"] for r in mine}),
                    "rooms": len({r["scene_id"] for r in mine}),
                    **{k: None if v is None else v / unit for k, v in numbers.items()},
                }
            )
    return table


def validation_curves(folders: Mapping[str, Path], *, seed: int) -> dict[str, Rows]:
    """``validation_curve`` of every run that validated, by the run's name."""
    found = {n: validation_curve(validations(f), seed=seed) for n, f in folders.items()}
    return {n: curve for n, curve in found.items() if curve}


def last_validation(curve: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Greedy accuracy (%) at the ``first`` and at the last validation (``score``, at ``step``), and
    the ``change`` with its interval (``low`` to ``high``)."""
    first, *_, last = (r for r in (curve[0], *curve) if r["what"] == "accuracy")
    return {
        "step": last["step"],
        "first": first["score"],
        "score": last["score"],
        "change": last["change"],
        "low": last["change low"],
        "high": last["change high"],
        "rooms": last["rooms"],
    }


def with_spread(rows: Iterable[Mapping[str, Any]], term: str = "accuracy") -> dict[str, float]:
    """``groups`` and the ``share`` of them in which a reward term differs: the others teach nothing
    about it."""
    found = [
        len({r["terms"][term] for r in group}) > 1
        for group in groups(rows).values()
        if all(r["terms"].get(term) is not None for r in group)
    ]
    return {"groups": len(found), "share": float(np.mean(found)) if found else math.nan}


def asked_map_correlation(
    rows: Iterable[Mapping[str, Any]], samples: Mapping[str, Sample], *, seed: int = 0
) -> dict[str, float | None]:
    """Whether right answers go with right maps of what was asked about; see
    ``headroom.map_correlation``.

    Args:
        samples: the training samples by ``problem_id`` as text, maps joined.
    """
    table = [
        {
            "group": f"{r['step']}: {r['group']}",
            "accuracy": r["terms"].get("accuracy") or 0.0,
            "asked_map": headroom.map_scores(samples[str(r["group"])], parse(r["completion"]))[1],
        }
        for r in rows
        if str(r["group"]) in samples
    ]
    return headroom.map_correlation(table, seed=seed)


def changes_by_type(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Rows:
    """Accuracy (%) of the rollouts of the first and of the last third of the steps, per question
    type and run, and the difference.

    The 95% intervals are over groups; None where a third has a single one. Types that a third
    lacks are left out.
    """
    table = []
    for name, rows in runs.items():
        parts = [_accuracies(part) for part in thirds(rows)]
        for question_type in sorted(parts[0].keys() & parts[1].keys()):
            row: dict[str, Any] = {"question_type": question_type, "run": name}
            halves = []
            for side, part in zip(("first", "last"), parts):
                values = part[question_type]
                mean = float(np.mean(values))
                half = (
                    1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
                    if len(values) > 1
                    else None
                )
                halves.append(half)
                row |= {
                    side: mean,
                    f"{side} low": None if half is None else max(0.0, mean - half),
                    f"{side} high": None if half is None else min(100.0, mean + half),
                    f"{side} n": len(values),
                }
            known = [h for h in halves if h is not None]
            half = math.hypot(*known) if len(known) == 2 else None
            difference = row["last"] - row["first"]
            row |= {
                "difference": difference,
                "low": None if half is None else difference - half,
                "high": None if half is None else difference + half,
            }
            table.append(row)
    return table


def _accuracies(part: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """Mean accuracy (%) of every group, by question type."""
    found: dict[str, list[float]] = defaultdict(list)
    for group in part:
        values = [r["terms"]["accuracy"] for r in group if r["terms"].get("accuracy") is not None]
        if values:
            found[group[0]["question_type"]].append(100 * float(np.mean(values)))
    return found


def moved(table: Sequence[Mapping[str, Any]], most: int = 6) -> tuple[Rows, int]:
    """Rows of ``changes_by_type`` of the types that moved, and how many moved by more than chance.

    A type moved where the interval of some run's difference holds no 0. Where none did, the types
    with the largest differences are given.
    """
    largest: dict[str, float] = {}
    clear: set[str] = set()
    for r in table:
        kind = r["question_type"]
        largest[kind] = max(largest.get(kind, 0.0), abs(r["difference"]))
        if r["low"] is not None and (r["low"] > 0 or r["high"] < 0):
            clear.add(kind)
    order = sorted(largest, key=lambda k: (k not in clear, -largest[k]))
    shown = order[: min(most, len(clear) or most)]
    return [dict(r) for kind in shown for r in table if r["question_type"] == kind], len(clear)


def numberless(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Share (%) of the answers to numerical questions that hold no number, such as a letter: of the
    whole run, and of its worst tenth.

    None where a run has no numerical question. No other figure shows such answers: they are well
    formed, and count as wrong like any wrong number.
    """
    asked = [
        {"step": r["step"], "none": number(block(r["completion"], "answer") or "") is None}
        for r in rows
        if r["problem_type"] == "numerical"
    ]
    if not asked:
        return {"no number (%)": None, "worst tenth (%)": None}
    by_tenth = [float(np.mean([r["none"] for r in mine])) for mine in tenths(asked).values()]
    return {
        "no number (%)": 100 * float(np.mean([r["none"] for r in asked])),
        "worst tenth (%)": 100 * max(by_tenth),
    }


def failures(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Rows:
    """Share (%) of rollouts by cause of a malformed answer, per run; a rollout may have several
    causes."""
    table = []
    for name, rows in runs.items():
        causes = Counter(p for r in rows for p in r["problems"])
        table.append(
            {
                "run": name,
                "rollouts": len(rows),
                "well formed": 100 * sum(not r["problems"] for r in rows) / len(rows),
                "truncated": 100 * sum(bool(r["truncated"]) for r in rows) / len(rows),
                **{cause: 100 * n / len(rows) for cause, n in causes.most_common(5)},
            }
        )
    return table


def seconds_per_stage(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Rows:
    """Mean seconds per optimiser step by stage (metrics whose name starts with ``seconds/``)."""
    table = []
    for name, rows in runs.items():
        stages = sorted({k for r in rows for k in r if k.startswith("seconds/")})
        means = {
            s.removeprefix("seconds/"): float(np.mean([r[s] for r in rows if s in r]))
            for s in stages
        }
        table.append({"run": name, **means})
    return table


def finite(rows: Iterable[Mapping[str, Any]]) -> bool:
    """No logged number is NaN or infinite."""
    return all(math.isfinite(v) for r in rows for v in r.values() if isinstance(v, float))


def weights_differ(model: Path, base: str, part: str = "") -> bool:
    """Some tensor of the checkpoint whose name contains ``part`` differs from that of the base, whose
    names may be those of older or newer transformers.

    A base that is a hub id can't be compared: then the whole counts as different and a part as
    equal.
    """
    ours, theirs = _tensors(Path(model)), _tensors(Path(base))
    if not theirs:
        return not part
    return any(
        not bool((v.float() == theirs[k].float()).all())
        for k, v in ours.items()
        if k in theirs and part in k
    )


def _tensors(folder: Path) -> dict[str, Any]:
    """Tensors of a checkpoint by their names of before transformers 4.52."""
    from safetensors.torch import load_file  # numpy has no bfloat16

    return {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }
