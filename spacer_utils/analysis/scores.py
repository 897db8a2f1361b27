"""Statistics of evaluations: scores per type, intervals over rooms, paired differences, maps
against answers. Needs no torch.

A *row* is one question answered by one model: ``split, model, key, scene_id, question_type,
problem_type, score (0-1), parsed, missing, truncated, output, gold``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import rewards
from ..core.answers import parse, parse_map
from ..core.files import write_atomic
from ..core.maps import GRID, mirror, scan_cells, turn
from ..core.registry import BENCHMARKS, METHODS
from ..core.rows import is_general, spread
from ..core.types import MapCells, MapFrame, Sample, Scene, WorkbookError

Row = dict[str, Any]
MAP_TERMS = ("map", "map_calibrated", "map_aligned", "map_relations")


def score_rows(
    split: str, model: str, samples: Sequence[Sample], outputs: Mapping[str, Any]
) -> list[Row]:
    """One row per sample; a question without an output is scored 0 and marked missing."""
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
    """Rows of a prior that never looks: it answers with the commonest letter, or the median number,
    of the training answers to the same question type and first named category."""
    pools: dict[tuple[str, str], list[str]] = defaultdict(list)
    for s in train:
        for key in (
            (s.question_type, ""),
            (s.question_type, s.categories[0] if s.categories else ""),
        ):
            pools[key].append(s.gold)

    def guess(s: Sample) -> str:
        pool = (
            pools.get((s.question_type, s.categories[0] if s.categories else ""))
            or pools.get((s.question_type, ""))
            or [""]
        )
        if s.problem_type in ("numerical", "regression"):
            return f"{float(np.median([float(v) for v in pool])):g}" if pool != [""] else ""
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
    """(draws,) macro scores (%) of rooms sampled with replacement: questions about one room are not
    independent.

    A sample without any question of a type averages over the types that it has.
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
    """The rows of every training seed, seeds in order; rows without a ``train_seed`` are one
    seed's."""
    found: dict[int, list[Row]] = defaultdict(list)
    for r in rows:
        found[r.get("train_seed", 0)].append(r)
    return [found[seed] for seed in sorted(found)]


def bootstrap(rows: Sequence[Row], *, seed: int) -> npt.NDArray[np.float64]:
    """(draws,) macro scores (%), mean over training seeds: rooms are sampled
    with replacement, and seeds with replacement.

    Where all rows are of one seed, this is ``room_bootstrap``.
    """
    each = np.stack([room_bootstrap(mine, seed=seed) for mine in by_seed(rows)])
    seeds, draws = each.shape
    chosen = np.random.default_rng([seed, 96]).integers(0, seeds, (seeds, draws))
    scores: npt.NDArray[np.float64] = np.take_along_axis(each, chosen, 0).mean(0)
    return scores


def interval(
    values: npt.NDArray[np.float64], *parts: Sequence[Row]
) -> tuple[float, float] | tuple[None, None]:
    """95% percentile interval of bootstrap values of ``parts``; none where a part has a single room,
    since every sample of it is the same."""
    if min(len({r["scene_id"] for r in rows}) for rows in parts) < 2:
        return None, None
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _select(rows: Iterable[Row], **want: Any) -> list[Row]:
    return [r for r in rows if all(r[k] == v for k, v in want.items())]


def summary(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per split and model: macro score with its interval, and what became of the questions.

    The score is the mean over training seeds; rows that name their seed get a column for each
    seed's own. Missing answers score 0; n_expected = n_scored + n_missing, of all seeds together,
    and unparsed answers are among the scored.
    """
    table = []
    for split, model in dict.fromkeys((r["split"], r["model"]) for r in rows):
        mine = _select(rows, split=split, model=model)
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
    """Per question type, split and model: mean score (%) with its interval, as in ``summary``, and
    the number of answers."""
    renamed = {"macro": "score", "n_expected": "n"}
    shown = ("split", "question_type", "model", "score", "low", "high", "seeds", "n")
    table = []
    for kind in sorted({r["question_type"] for r in rows}):
        for r in summary(_select(rows, question_type=kind), seed=seed):
            row = {"question_type": kind, **{renamed.get(k, k): v for k, v in r.items()}}
            table.append({k: row[k] for k in shown if k in row})
    return table


def forgetting(rows: Sequence[Row], split: str, base: str = "base", *, seed: int) -> list[Row]:
    """Macro score of every model minus the base's (points) on the general question types, as in
    ``paired``; empty without any."""
    general = [r for r in rows if r["split"] == split and is_general(r["question_type"])]
    models = [m for m in dict.fromkeys(r["model"] for r in general) if m != base]
    return [paired(general, split, model, base, seed=seed) for model in models]


def paired(rows: Sequence[Row], split: str, a: str, b: str, *, seed: int) -> Row:
    """Macro score of ``a`` minus ``b`` (points): both are scored on the same samples of rooms and
    seeds.

    ``n`` is the number of questions, which every training seed answered.
    """
    one, two = _select(rows, split=split, model=a), _select(rows, split=split, model=b)
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
"""What conditions of the base are compared with; a method's file says what the method is."""


def paired_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """The comparisons of these rows' models; a method's full and LoRA runs each count."""
    table = []
    for split in dict.fromkeys(r["split"] for r in rows):
        models = list(dict.fromkeys(r["model"] for r in rows if r["split"] == split))
        table += [paired(rows, split, a, b, seed=seed) for a, b in comparisons(models)]
    return table


def comparisons(models: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared with whom among these models: what conditions of the base and methods say;
    runs of one tuning are compared with their like and with the base."""
    against = _CONDITIONS | {method.name: method.value.compared_with for method in METHODS}
    return [
        (x, y)
        for a, others in against.items()
        for b in others
        for x in models
        for y in models
        if _method(x) == a and _method(y) == b and _tuning(x, y)
    ]


def _method(model: str) -> str:
    return model.removesuffix("-lora").removesuffix("-full")


def _tuning(x: str, y: str) -> bool:
    """Only runs of the same tuning are compared with each other."""
    kinds = [m.rsplit("-", 1)[1] for m in (x, y) if m.endswith(("-lora", "-full"))]
    return len(set(kinds)) <= 1


def trained_models(train: Path, seed: int) -> dict[str, tuple[str, bool]]:
    """``<method>-<tuning>`` -> (checkpoint folder, asks for a map) of every finished run with this
    seed."""
    found = {}
    for path in sorted(Path(train).glob(f"*-s{seed}/run.json")):
        name = path.parent.name.removesuffix(f"-s{seed}")
        found[name] = (str(path.parent / "model"), asked_for_map(path))
    return found


def asked_for_map(result: Path) -> bool:
    """Whether a run's prompts asked for a map: from its ``run.json``; where an older one doesn't say
    it, from its method.

    Raises:
        WorkbookError: neither says it, since the method is gone.
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
    """Questions with every model's answer, spread over types, for reading."""
    split = rows[0]["split"]
    texts = {str(s.problem_id): s for s in samples[split]}
    keys = [str(s.problem_id) for s in spread(samples[split], limit)]
    shown = [r for k in keys for r in _select(rows, split=split, key=k) if r["model"] != "prior"]
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


# --------------------------------------------------------------------------------------------- maps


def _map_completion(cells: Mapping[str, Any]) -> str:
    return f"<think><map>{dict(cells)}</map></think><answer>x</answer>"


def score_map(
    true: MapCells, predicted: Mapping[str, Any], frame: MapFrame = "first-view", grid: int = GRID
) -> dict[str, float]:
    """Every map reward of one predicted map, with no regard to the answer."""
    sample = Sample(
        0,
        "",
        "video",
        "free-form",
        (),
        "<answer>x</answer>",
        "",
        "",
        cognitive_map=dict(true),
        map_frame=frame,
        map_grid=grid,
    )
    answer = parse(_map_completion(predicted))
    return {t: float(rewards.term(t, sample, answer)[0] or 0.0) for t in MAP_TERMS}


def map_floor(scenes: Sequence[Scene], *, seed: int) -> dict[str, dict[str, list[float]]]:
    """``floor_of`` the rooms' scan-frame maps; rooms with nothing to draw are left out."""
    return floor_of([m for m in map(scan_cells, scenes) if m], seed=seed, frame="scan")


def floor_of(
    true: Sequence[MapCells], *, seed: int, frame: MapFrame = "first-view"
) -> dict[str, dict[str, list[float]]]:
    """Scores of trivial and damaged maps against the true ones: kind -> term -> one value per
    map."""
    rng = np.random.default_rng([seed, 3])
    middle = [(GRID - 1) // 2, (GRID - 1) // 2]

    def noisy(cells: MapCells, sigma: float) -> MapCells:
        return {
            c: [
                [
                    int(v)
                    for v in np.clip(np.rint(np.array(p) + rng.normal(0, sigma, 2)), 0, GRID - 1)
                ]
                for p in ps
            ]
            for c, ps in cells.items()
        }

    kinds: dict[str, Callable[[MapCells], MapCells]] = {
        "perfect": lambda m: m,
        "centre": lambda m: {c: [middle] * len(ps) for c, ps in m.items()},
        "random cells": lambda m: {
            c: [[int(v) for v in rng.integers(0, GRID, 2)] for _ in ps] for c, ps in m.items()
        },
        "turned 90°": lambda m: turn(m, 1),
        "mirrored": mirror,
        "noise of 1 cell": lambda m: noisy(m, 1.0),
        "noise of 2 cells": lambda m: noisy(m, 2.0),
    }
    scored = {kind: [score_map(m, make(m), frame) for m in true] for kind, make in kinds.items()}
    return {kind: {t: [s[t] for s in values] for t in MAP_TERMS} for kind, values in scored.items()}


def map_rows(
    split: str, model: str, samples: Sequence[Sample], outputs: Mapping[str, Any]
) -> list[Row]:
    """One row per sample with a map: the true and the predicted map, every map score, the distance
    and the answer's score."""
    table = []
    for scored, s in zip(score_rows(split, model, samples, outputs), samples):
        if s.cognitive_map is None:
            continue
        answer = parse(scored["output"])
        predicted = (
            parse_map(answer.map_text, tuple(s.cognitive_map))
            if answer.map_text is not None
            else {}
        )
        single = [
            float(np.hypot(*(np.array(ps[0][:2]) - np.array(predicted[c][0][:2]))))
            for c, ps in s.cognitive_map.items()
            if len(ps) == 1 and predicted.get(c)
        ]
        table.append(
            {
                **scored,
                "video_id": s.cognitive_map_id,
                "true": s.cognitive_map,
                "predicted": predicted,
                "has_map": bool(predicted),
                "cells_off": single,
                **score_map(s.cognitive_map, predicted, s.map_frame, s.map_grid),
            }
        )
    return table


def map_summary(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per split and model of ``map_rows``: mean map scores, share of readable maps, and the median
    distance of single objects in cells.

    The interval is over rooms; maps of several training seeds count together.
    """
    table = []
    for split, model in dict.fromkeys((r["split"], r["model"]) for r in rows):
        mine = _select(rows, split=split, model=model)
        scored = [{**r, "score": r["map_calibrated"], "question_type": "map"} for r in mine]
        low, high = interval(room_bootstrap(scored, seed=seed) / 100, scored)
        off = [cells for r in mine for cells in r["cells_off"]]
        row = {
            "split": split,
            "model": model,
            "n": len(mine),
            "rooms": len({r["scene_id"] for r in mine}),
            "parseable (%)": 100 * float(np.mean([r["has_map"] for r in mine])),
            "map": float(np.mean([r["map"] for r in mine])),
            "map_calibrated": float(np.mean([r["map_calibrated"] for r in mine])),
            "low": low,
            "high": high,
            "map_relations": float(np.mean([r["map_relations"] for r in mine])),
            "median cells off": float(np.median(off)) if off else None,
        }
        if "train_seed" in mine[0]:
            row["seeds"] = len(by_seed(mine))
        table.append(row)
    return table


def map_answer_link(model: str, rows: Sequence[Row], *, seed: int) -> Row:
    """Accuracy after maps above minus below the model's median map score, interval over rooms:
    association, not cause."""
    middle = float(np.median([r["map_calibrated"] for r in rows]))
    better, worse = (
        [r for r in rows if (r["map_calibrated"] > middle) == side] for side in (True, False)
    )
    if not better or not worse:
        return {"model": model, "n": len(rows), "worse maps (%)": macro(rows)} | dict.fromkeys(
            ("better maps (%)", "difference", "low", "high")
        )
    low, high = interval(
        room_bootstrap(better, seed=seed) - room_bootstrap(worse, seed=seed + 1), better, worse
    )
    return {
        "model": model,
        "n": len(rows),
        "worse maps (%)": macro(worse),
        "better maps (%)": macro(better),
        "difference": macro(better) - macro(worse),
        "low": low,
        "high": high,
    }


def write_summary(path: Path, table: Sequence[Row], pairs: Sequence[Row]) -> Path:
    """The figures that notebook 10 takes over."""
    return write_atomic(
        path, json.dumps({"summary": list(table), "pairs": list(pairs)}, indent=1) + "\n"
    )
