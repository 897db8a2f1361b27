"""Statistics of evaluations: scores per type, intervals over rooms, paired differences. Needs no
torch.

A *row* is one question answered by one model: ``split, model, key, scene_id, question_type,
problem_type, score (0-1), parsed, missing, truncated, output, gold``.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..core import folders
from ..core.answers import number
from ..core.files import content_hash, write_atomic
from ..core.registry import BENCHMARKS, METHODS
from ..core.rows import is_general, spread
from ..core.types import Sample, WorkbookError

Row = dict[str, Any]


def score_rows(
    split: str, model: str, samples: Sequence[Sample], outputs: Mapping[str, Any]
) -> list[Row]:
    """One row per sample. A question without an output scores 0 and is marked as missing."""
    benchmark = BENCHMARKS["heldout"]
    rows = []
    for s in samples:
        found = outputs.get(str(s.problem_id))
        item = benchmark.score(
            {**s.to_row(), "output": found.output if found else None}, "official"
        )
        rows.append(
            {
                "split": split,
                "model": model,
                "key": str(s.problem_id),
                "scene_id": s.scene_id,
                "question_type": s.question_type,
                "problem_type": s.problem_type,
                "score": float(item["score"]),
                "parsed": item["parsed"] is not None,
                "missing": found is None,
                "gold": s.gold,
                "truncated": bool(found and found.truncated),
                "output": found.output if found else "",
            }
        )
    return rows


def chance(samples: Iterable[Sample]) -> dict[str, float]:
    """Expected score (%) of a uniform guess per question type that has options."""
    shares: dict[str, list[float]] = defaultdict(list)
    for s in samples:
        if s.options:
            shares[s.question_type].append(1 / len(s.options))
    return {t: 100 * float(np.mean(v)) for t, v in shares.items()}


def prior_rows(split: str, train: Sequence[Sample], samples: Sequence[Sample]) -> list[Row]:
    """Rows of a prior that never sees the video.

    It knows the training answers to questions of the same type about the same first category; if
    there are none, those of the same type. It gives their commonest letter, or their median number.
    """
    # Training answers by type, and by type and category.
    pools: dict[tuple[str, str], list[str]] = defaultdict(list)
    for s in train:
        for key in (
            (s.question_type, ""),
            (s.question_type, s.categories[0] if s.categories else ""),
        ):
            pools[key].append(s.gold)

    # The guess for every sample, scored like a model's output.
    def guess(s: Sample) -> str:
        pool = (
            pools.get((s.question_type, s.categories[0] if s.categories else ""))
            or pools.get((s.question_type, ""))
            or [""]
        )
        if s.problem_type in ("numerical", "regression"):
            known = [value for v in pool if (value := number(v)) is not None]
            return f"{float(np.median(known)):g}" if known else ""
        return min(Counter(pool).items(), key=lambda kv: (-kv[1], kv[0]))[0]

    return score_rows(
        split,
        "prior",
        samples,
        {str(s.problem_id): _Guess(f"<answer>{guess(s)}</answer>") for s in samples},
    )


class _Guess:
    truncated = False

    def __init__(self, output: str) -> None:
        self.output = output


def macro(rows: Iterable[Row]) -> float:
    """Unweighted mean over question types of the mean score, in %."""
    by_type: dict[str, list[float]] = defaultdict(list)
    for r in rows:
        by_type[r["question_type"]].append(r["score"])
    return 100 * float(np.mean([np.mean(v) for v in by_type.values()])) if by_type else float("nan")


def room_bootstrap(rows: Sequence[Row], *, seed: int, draws: int = 2000) -> npt.NDArray[np.float64]:
    """(draws,) macro scores (%) of rooms sampled with replacement.

    Rooms are sampled, not questions, because questions about one room are not independent. A sample
    without any question of a type averages over the types that it has.
    """
    rooms = sorted({r["scene_id"] for r in rows})
    types = sorted({r["question_type"] for r in rows})

    # sum of scores and number of questions, per room and type
    room_index = {room: i for i, room in enumerate(rooms)}
    type_index = {kind: i for i, kind in enumerate(types)}
    sums = np.zeros((len(rooms), len(types)))
    counts = np.zeros((len(rooms), len(types)))
    for r in rows:
        cell = room_index[r["scene_id"]], type_index[r["question_type"]]
        sums[cell] += r["score"]
        counts[cell] += 1

    # how often every sample takes every room
    weights = np.random.default_rng([seed, 95]).multinomial(
        len(rooms), np.full(len(rooms), 1 / len(rooms)), size=draws
    )
    with np.errstate(invalid="ignore"):
        means = (weights @ sums) / (weights @ counts)
    scores: npt.NDArray[np.float64] = 100 * np.nanmean(means, axis=1)
    return scores


def by_seed(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each training seed, in the order of the seeds.

    Rows without a ``train_seed`` count as one seed's.
    """
    found: dict[int, list[Row]] = defaultdict(list)
    for r in rows:
        found[r.get("train_seed", 0)].append(r)
    return [found[seed] for seed in sorted(found)]


def bootstrap(rows: Sequence[Row], *, seed: int) -> npt.NDArray[np.float64]:
    """(draws,) macro scores (%), mean over training seeds. Rooms and seeds are sampled with
    replacement.

    With one seed, this is ``room_bootstrap``.
    """
    each = np.stack([room_bootstrap(mine, seed=seed) for mine in by_seed(rows)])
    seeds, draws = each.shape
    chosen = np.random.default_rng([seed, 96]).integers(0, seeds, (seeds, draws))
    scores: npt.NDArray[np.float64] = np.take_along_axis(each, chosen, 0).mean(0)
    return scores


def interval(
    values: npt.NDArray[np.float64], *parts: Sequence[Row]
) -> tuple[float, float] | tuple[None, None]:
    """95% percentile interval of bootstrap values of ``parts``.

    None where a part has a single room: all its samples are the same.
    """
    if min(len({r["scene_id"] for r in rows}) for rows in parts) < 2:
        return None, None
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def select(rows: Iterable[Row], **want: Any) -> list[Row]:
    """The rows whose fields have these values."""
    return [r for r in rows if all(r[k] == v for k, v in want.items())]


def summary(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per split and model: macro score (%) with its interval, and what became of the questions.

    The score is the mean over training seeds. If rows name their seed, ``each seed`` has each one's
    score. Counts are over all seeds: n_expected = n_scored + n_missing. Missing answers score 0;
    unparsed ones are among the scored.
    """
    table = []
    for split, model in dict.fromkeys((r["split"], r["model"]) for r in rows):
        mine = select(rows, split=split, model=model)
        each = [macro(of_seed) for of_seed in by_seed(mine)]
        low, high = interval(bootstrap(mine, seed=seed), mine)
        row = {"split": split, "model": model, "macro": float(np.mean(each))}
        row |= {"low": low, "high": high}
        if "train_seed" in mine[0]:
            row |= {"seeds": len(each), "each seed": [round(v, 2) for v in each]}
        missing = sum(r["missing"] for r in mine)
        row |= {
            "rooms": len({r["scene_id"] for r in mine}),
            "n_expected": len(mine),
            "n_scored": len(mine) - missing,
            "n_missing": missing,
            "n_unparsed": sum(not r["parsed"] and not r["missing"] for r in mine),
            "truncated": sum(r["truncated"] for r in mine),
        }
        table.append(row)
    return table


def by_type(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """``summary`` per question type: mean score (%), its interval, and the number of answers."""
    renamed = {"macro": "score", "n_expected": "n"}
    shown = ("split", "question_type", "model", "score", "low", "high", "seeds", "n")
    table = []
    for kind in sorted({r["question_type"] for r in rows}):
        for r in summary(select(rows, question_type=kind), seed=seed):
            row = {"question_type": kind, **{renamed.get(k, k): v for k, v in r.items()}}
            table.append({k: row[k] for k in shown if k in row})
    return table


def forgetting(rows: Sequence[Row], split: str, base: str = "base", *, seed: int) -> list[Row]:
    """``paired`` differences to the base on the general question types; empty without such rows."""
    general = [r for r in rows if r["split"] == split and is_general(r["question_type"])]
    models = [m for m in dict.fromkeys(r["model"] for r in general) if m != base]
    return [paired(general, split, model, base, seed=seed) for model in models]


def paired(rows: Sequence[Row], split: str, a: str, b: str, *, seed: int) -> Row:
    """Macro score of ``a`` minus ``b`` (points), with its interval.

    Each bootstrap draw takes the same rooms and seeds for both. ``n`` is the number of questions
    per training seed.
    """
    one, two = select(rows, split=split, model=a), select(rows, split=split, model=b)
    means = [np.mean([macro(mine) for mine in by_seed(found)]) for found in (one, two)]
    low, high = interval(bootstrap(one, seed=seed) - bootstrap(two, seed=seed), one)
    return {
        "split": split,
        "model": a,
        "minus": b,
        "difference": float(means[0] - means[1]),
        "low": low,
        "high": high,
        "n": len(by_seed(one)[0]),
        "rooms": len({r["scene_id"] for r in one}),
    }


_CONDITIONS = {
    "base with map": ("base",),
    "base, true map": ("base with map",),
    "base": ("base, blind", "base, shuffled"),
}
"""Condition of the base -> what it is compared with. A method's own file says that of the method."""


def paired_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """``paired`` for all ``comparisons`` of these rows' models, split by split."""
    table = []
    for split in dict.fromkeys(r["split"] for r in rows):
        models = list(dict.fromkeys(r["model"] for r in rows if r["split"] == split))
        table += [paired(rows, split, a, b, seed=seed) for a, b in comparisons(models)]
    return table


def comparisons(models: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of these models to compare: (model, what it is compared with).

    Conditions of the base and methods say what they are compared with. LoRA runs are not compared
    with full ones.
    """
    against = _CONDITIONS | {method.name: method.value.compared_with for method in METHODS}
    return [
        (x, y)
        for a, others in against.items()
        for b in others
        for x in models
        for y in models
        if method_of(x) == a and method_of(y) == b and _tuning(x, y)
    ]


def method_of(model: str) -> str:
    """``sg_rlvr-lora-s0`` -> ``sg_rlvr``."""
    return re.sub(r"(-lora|-full)?(-s\d+)?$", "", model)


def kind(model: str) -> Literal["map", "no map", "baseline"]:
    """Whether a model draws a map or none, or nobody trained it here; a method that is no more is
    judged by its name.

    >>> kind("sg_rlvr-lora"), kind("rlvr-full-s0"), kind("base with map")
    ('map', 'no map', 'baseline')
    """
    method = method_of(model)
    if method in METHODS.names():
        return "map" if METHODS[method].with_map else "no map"
    if method == model:
        return "baseline"
    return "map" if re.search(r"^sg_|_map\b", method) else "no map"


def _tuning(x: str, y: str) -> bool:
    """Only runs of the same tuning are compared with each other."""
    kinds = [m.rsplit("-", 1)[1] for m in (x, y) if m.endswith(("-lora", "-full"))]
    return len(set(kinds)) <= 1


def trained_models(train: Path, seed: int, rows: Path | None = None) -> dict[str, tuple[str, bool]]:
    """``<method>-<tuning>`` -> (checkpoint folder, asks for a map) of every finished run with this
    seed.

    Args:
        rows: the file of training rows; runs that were trained on another one are left out.

    Raises:
        WorkbookError: all runs were trained on other rows.
    """
    wanted = content_hash(rows) if rows else None
    found = {}
    runs = sorted(Path(train).glob(f"*-s{seed}/run.json"))
    for path in runs:
        inputs = folders.Record.of(path.parent).inputs
        if wanted and inputs and inputs.files.get("train.jsonl", wanted) != wanted:
            continue
        name = path.parent.name.removesuffix(f"-s{seed}")
        found[name] = (str(path.parent / "model"), asked_for_map(path))
    if runs and not found:
        raise WorkbookError(
            f"the {len(runs)} runs of this seed were trained on other rows than those of {rows}. Run notebooks "
            "04 to 06 again."
        )
    return found


def asked_for_map(result: Path) -> bool:
    """Whether a run's prompts asked for a map, by its ``run.json``; an older one names only the
    method.

    Raises:
        WorkbookError: the method is gone.
    """
    run = json.loads(result.read_text())
    if "with_map" in run:
        return bool(run["with_map"])
    if run["method"] not in METHODS.names():
        raise WorkbookError(
            f"{result}: there is no method {run['method']} any more to tell whether the run asked for maps. "
            'Add "with_map": true or false to this file, or move its folder away.'
        )
    return bool(METHODS[run["method"]].with_map)


def gallery(
    rows: Sequence[Row], samples: Mapping[str, Sequence[Sample]], limit: int = 24
) -> list[Row]:
    """Questions with every model's answer, for reading: at most ``limit``, spread over types."""
    split = rows[0]["split"]
    texts = {str(s.problem_id): s for s in samples[split]}
    keys = [str(s.problem_id) for s in spread(samples[split], limit)]
    shown = [r for k in keys for r in select(rows, split=split, key=k) if r["model"] != "prior"]
    return [
        {
            "question type": r["question_type"],
            "model": r["model"],
            "outcome": "right" if r["score"] >= 0.5 else "wrong",
            "question": "\n".join((texts[r["key"]].problem, *texts[r["key"]].options)),
            "gold": r["gold"],
            "score": r["score"],
            "output": r["output"],
        }
        for r in shown
    ]


def write_summary(path: Path, table: Sequence[Row], pairs: Sequence[Row]) -> Path:
    """Write the numbers that notebook 10 reads."""
    return write_atomic(
        path, json.dumps({"summary": list(table), "pairs": list(pairs)}, indent=1) + "\n"
    )
