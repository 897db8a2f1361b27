"""Statistics of predicted maps: scores against the true maps, trivial maps, maps against answers.

A row is a row of ``scores`` with the true map, the predicted map and the map scores. Needs no
torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import rewards
from ..core.answers import parse, parse_map
from ..core.maps import GRID, mirror, scan_cells, turn
from ..core.rows import is_general
from ..core.types import MapCells, MapFrame, Sample, Scene
from .scores import Row, by_seed, interval, macro, room_bootstrap, score_rows, select

MAP_TERMS = ("map", "map_calibrated", "map_aligned", "map_relations")


def _map_completion(cells: Mapping[str, Any]) -> str:
    return f"<think><map>{dict(cells)}</map></think><answer>x</answer>"


def score_map(
    true: MapCells, predicted: Mapping[str, Any], frame: MapFrame = "first-view", grid: int = GRID
) -> dict[str, float]:
    """Every map reward of one predicted map, whatever the answer is."""
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
    """``floor_of`` the rooms' maps in the scan frame. Rooms without objects are left out."""
    return floor_of([m for m in map(scan_cells, scenes) if m], seed=seed, frame="scan")


def floor_of(
    true: Sequence[MapCells], *, seed: int, frame: MapFrame = "first-view"
) -> dict[str, dict[str, list[float]]]:
    """Scores of trivial and damaged maps against the true ones.

    Returns:
        Kind of map -> map reward -> one value per true map.
    """
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
    """One row per sample with a map: the row of ``score_rows``, both maps, and every map score.

    ``cells_off`` holds the distance in cells of each predicted object that is the only one of its
    category.
    """
    table = []
    for scored, s in zip(score_rows(split, model, samples, outputs), samples):
        if s.cognitive_map is None:
            continue

        # The map that the model wrote, and how far its objects are off.
        answer = parse(scored["output"])
        predicted: Mapping[str, Any] = {}
        if answer.map_text is not None:
            predicted = parse_map(answer.map_text, tuple(s.cognitive_map))
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
    of ``cells_off``.

    The interval (of ``map_calibrated``) is over rooms. Maps of several training seeds count
    together.
    """
    table = []
    for split, model in dict.fromkeys((r["split"], r["model"]) for r in rows):
        mine = select(rows, split=split, model=model)
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
    """Accuracy after better maps minus accuracy after worse ones, with its interval over rooms.

    Better means above the model's median map score. The difference is an association, not a cause.
    """
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


# ------------------------------------------------------------------------------- clips without a map


def without_map(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Up to ``limit`` clips that have no true map: one question of each, with a map of the
    categories that its questions name and no cells, so that a map of these is asked for.

    Clips whose questions name nothing (general ones, room sizes) are left out: the request lists
    categories.
    """
    named: dict[str, list[str]] = {}
    for s in samples:
        if s.data_type == "video" and s.cognitive_map is None and not is_general(s.question_type):
            named.setdefault(s.path, []).extend(s.categories)
    found: list[Sample] = []
    for s in sorted(samples, key=lambda s: s.problem_id):
        categories = list(dict.fromkeys(named.pop(s.path, [])))
        if categories and len(found) < limit:
            found.append(replace(s, cognitive_map={category: [] for category in categories}))
    return found


def drawn_without_truth(
    model: str, asked: Sequence[Sample], outputs: Mapping[str, Any]
) -> tuple[Row, dict[str, MapCells]]:
    """What can be said of maps that nothing can be compared with, and the readable ones by the
    question's id.

    A map that knows nothing puts everything in one place: ``one cell (%)`` counts those.
    """
    maps: dict[str, MapCells] = {}
    for s in asked:
        found = outputs.get(str(s.problem_id))
        text = parse(found.output).map_text if found else None
        cells = parse_map(text, tuple(s.cognitive_map or ())) if text is not None else {}
        if cells:
            maps[str(s.problem_id)] = {c: [list(p) for p in ps] for c, ps in cells.items()}
    wanted = sum(len(s.cognitive_map or ()) for s in asked)
    places = [{tuple(p[:2]) for ps in m.values() for p in ps} for m in maps.values()]
    return {
        "model": model,
        "clips": len(asked),
        "readable (%)": 100 * len(maps) / max(1, len(asked)),
        "categories drawn (%)": 100 * sum(map(len, maps.values())) / max(1, wanted),
        "objects in a map": float(np.mean([sum(map(len, m.values())) for m in maps.values()]))
        if maps
        else None,
        "one cell (%)": 100 * float(np.mean([len(p) == 1 for p in places])) if maps else None,
    }, maps
