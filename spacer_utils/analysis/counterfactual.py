"""What a map does to the answer (edited maps that a completion is begun with), things asked for in
vain, skills forgotten, and what drawn maps are paid in training. Pure statistics of answers and
logs; needs no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .. import rewards
from ..core.answers import answer_of, number, parse, parse_map
from ..core.map_reading import reading
from ..core.maps import mirror
from ..core.options import letter
from ..core.prompts import after_map
from ..core.rows import is_general, spread
from ..core.types import MapCells, Sample
from ..rewards.map import score as released_score
from ..rewards.sets import MAPPED_TYPES
from . import training_logs
from .scores import Row, interval, paired, room_bootstrap

TRUE_MAP, OWN_MAP = "true map", "own map"


# -------------------------------------------------------------------------------------- edited maps


def edits(sample: Sample, *, seed: int) -> dict[str, MapCells]:
    """The true map with one thing changed, each under its name; only changes after which the map
    gives another answer."""
    true, grid = sample.cognitive_map or {}, sample.map_grid
    asked = sample.categories[0]
    free = [
        [x, y]
        for x in range(grid)
        for y in range(grid)
        if [x, y] not in [p for ps in true.values() for p in ps]
    ]
    spot = free[int(np.random.default_rng([seed, sample.problem_id]).integers(len(free)))]
    named = [c for c in sample.categories if c in true]
    tries: dict[str, list[MapCells]] = {
        "mirrored": [mirror(true, grid)],
        "one added": [{**true, asked: [*true.get(asked, []), spot]}],
        "one removed": [
            {
                c: ps[:-1] if c == asked else ps
                for c, ps in true.items()
                if c != asked or len(ps) > 1
            }
        ],
        "two exchanged": [{**true, a: true[b], b: true[a]} for a, b in combinations(named, 2)],
    }
    says = reading(sample, true)
    changed = {
        name: [m for m in made if reading(sample, m) not in (None, says)]
        for name, made in tries.items()
    }
    return {name: made[0] for name, made in changed.items() if made}


@dataclass(frozen=True)
class Case:
    """One question with a map that the completion is begun with."""

    sample: Sample
    edit: str
    """``true map``, or the name of what was changed in it."""
    cells: MapCells
    says: str
    """The answer that the map gives."""

    @property
    def key(self) -> str:
        return f"{self.sample.problem_id} {self.edit}"

    @property
    def begun(self) -> str:
        """The completion up to the end of the map."""
        return after_map(self.cells)


def cases(samples: Sequence[Sample], limit: int, *, seed: int) -> list[Case]:
    """Up to ``limit`` questions that their true map decides and a change of it turns, taken in turn
    from every type: each with the true map and with every edit."""
    changed = {
        s.problem_id: (s, says, found)
        for s in samples
        if s.cognitive_map
        and (says := reading(s, s.cognitive_map))
        and (found := edits(s, seed=seed))
    }
    made = []
    for chosen in spread([s for s, _, _ in changed.values()], limit):
        s, says, found = changed[chosen.problem_id]
        made += [
            Case(s, TRUE_MAP, s.cognitive_map or {}, says),
            *(Case(s, name, cells, reading(s, cells) or "") for name, cells in found.items()),
        ]
    return made


def _answered(sample: Sample, output: str) -> str | None:
    """The letter or number of a completion in the form of ``reading``."""
    text = answer_of(parse(output))[0] or ""
    if sample.options:
        return letter(text, sample.options)
    value = number(text)
    return None if value is None else f"{value:g}"


def told_rows(model: str, told: Sequence[Case], outputs: Mapping[str, Any]) -> list[Row]:
    """One row per case: whether the answer follows the map it was given, stays with the true map,
    and whether it was this answer with the true map already (``anyway``)."""
    given = {c.key: _answered(c.sample, outputs[c.key].output) for c in told}
    truth = {c.sample.problem_id: c for c in told if c.edit == TRUE_MAP}
    return [
        {
            "model": model,
            "map": c.edit,
            "scene_id": c.sample.scene_id,
            "question_type": c.sample.question_type,
            "key": c.key,
            "says": c.says,
            "answer": given[c.key],
            "gold": c.sample.gold,
            "follows": given[c.key] == c.says,
            "stays": given[c.key] == truth[c.sample.problem_id].says,
            "anyway": given[truth[c.sample.problem_id].key] == c.says,
        }
        for c in told
    ]


def own_rows(model: str, samples: Sequence[Sample], outputs: Mapping[str, Any]) -> list[Row]:
    """The same of the maps that a model drew by itself, where they decide the question; ``anyway``
    is unknown."""
    table = []
    for s in samples:
        answer = parse(outputs[str(s.problem_id)].output)
        if (
            not s.cognitive_map
            or answer.map_text is None
            or (truth := reading(s, s.cognitive_map)) is None
        ):
            continue
        says = reading(
            s, parse_map(answer.map_text, dict.fromkeys((*s.cognitive_map, *s.categories)))
        )
        if says is not None:
            found = _answered(s, answer.text)
            table.append(
                {
                    "model": model,
                    "map": OWN_MAP,
                    "scene_id": s.scene_id,
                    "question_type": s.question_type,
                    "key": str(s.problem_id),
                    "says": says,
                    "answer": found,
                    "gold": s.gold,
                    "follows": found == says,
                    "stays": found == truth,
                    "anyway": None,
                }
            )
    return table


def share(
    rows: Sequence[Row], of: str, *, less: str = "", seed: int
) -> tuple[float | None, float | None, float | None]:
    """Share (%) of rows whose field ``of`` holds, less that of another field; with its interval
    over rooms."""
    if not rows:
        return None, None, None
    scored = [
        {
            "scene_id": r["scene_id"],
            "question_type": "",
            "score": float(r[of]) - (float(r[less]) if less else 0.0),
        }
        for r in rows
    ]
    return (
        100 * float(np.mean([r["score"] for r in scored])),
        *interval(room_bootstrap(scored, seed=seed), scored),
    )


def follow_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per model and map: share of answers that follow the map, stay with the true one, or do
    neither.

    ``pull`` is what the edit itself does: the share that follows, less the share that gave this
    answer with the true map too.
    """
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for r in rows:
        groups[r["model"], r["map"]].append(r)
    table = []
    for (model, name), mine in groups.items():
        follows, low, high = share(mine, "follows", seed=seed)
        row = {
            "model": model,
            "map": name,
            "n": len(mine),
            "rooms": len({r["scene_id"] for r in mine}),
            "follows (%)": follows,
            "low": low,
            "high": high,
            "stays (%)": None,
            "neither (%)": None,
            "pull": None,
            "pull low": None,
            "pull high": None,
        }
        if name != TRUE_MAP:
            row["stays (%)"] = share(mine, "stays", seed=seed)[0]
            row["neither (%)"] = 100 * float(
                np.mean([not (r["follows"] or r["stays"]) for r in mine])
            )
        if name not in (TRUE_MAP, OWN_MAP):
            row |= dict(
                zip(
                    ("pull", "pull low", "pull high"),
                    share(mine, "follows", less="anyway", seed=seed),
                )
            )
        table.append(row)
    return table


# ------------------------------------------------------------------- what isn't there, what is lost


def in_vain(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Counting questions by ``problem_id``: up to ``limit`` about a category that the room lacks,
    and as many about others."""
    counting = sorted(
        (s for s in samples if s.question_type == "object_counting"), key=lambda s: s.problem_id
    )
    return [
        s
        for absent in (True, False)
        for s in [s for s in counting if (s.gold == "0") == absent][:limit]
    ]


def absent_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per model: how often "how many?" is answered 0, where the room has none and where it has some
    (rows of ``score_rows``)."""
    table = []
    for model in dict.fromkeys(r["model"] for r in rows):
        asked = [
            {**r, "zero": number(answer_of(parse(r["output"]))[0] or "") == 0}
            for r in rows
            if r["model"] == model and r["question_type"] == "object_counting"
        ]
        for evidence, mine in (
            ("absent", [r for r in asked if r["gold"] == "0"]),
            ("present", [r for r in asked if r["gold"] != "0"]),
        ):
            zero, low, high = share(mine, "zero", seed=seed)
            table.append(
                {
                    "model": model,
                    "evidence": evidence,
                    "answers 0 (%)": zero,
                    "low": low,
                    "high": high,
                    "n": len(mine),
                    "rooms": len({r["scene_id"] for r in mine}),
                }
            )
    return table


def forgetting(rows: Sequence[Row], split: str, base: str = "base", *, seed: int) -> list[Row]:
    """Macro score (points) of every model minus the base on the general question types, rooms drawn
    alike; empty without any."""
    general = [r for r in rows if r["split"] == split and is_general(r["question_type"])]
    models = [m for m in dict.fromkeys(r["model"] for r in general) if m != base]
    return [paired(general, split, model, base, seed=seed) for model in models]


# --------------------------------------------------------------------------------- paid in training


STRAY = 100
"""Rollouts for every one of which a run without maps may have written a map's tag."""


def worth(rollouts: Iterable[Mapping[str, Any]], samples: Mapping[str, Sample]) -> list[Row]:
    """Per rollout about a room with a map: step, group, advantage, accuracy, and as ``terms`` what
    its map was worth; empty for a run without maps.

    A run that is not asked for maps may still write a stray tag: at most one in ``STRAY`` rollouts
    counts as none.

    Terms: ``map`` (the paper's score), ``map_calibrated``, ``centre`` (the paper's score of the
    true counts in one middle cell), ``paid`` and ``centre paid`` (map and centre after the paper's
    gate: only a right answer is paid).

    Args:
        samples: the training samples by ``problem_id`` as text, maps joined.
    """
    rows = [
        (r, samples[r["group"]])
        for r in rollouts
        if r["group"] in samples and samples[r["group"]].cognitive_map
    ]
    if STRAY * sum("<map>" in r["completion"] for r, _ in rows) <= len(rows):
        return []
    return [
        {
            "step": r["step"],
            "group": r["group"],
            "advantage": r["advantage"],
            "accuracy": r["terms"].get("accuracy") or 0.0,
            "terms": _worth(sample, r),
        }
        for r, sample in rows
    ]


def follows_what(maps: Sequence[Row]) -> dict[str, float | None]:
    """What a run's advantages follow: correlations over the rows of ``worth``, each less its
    group's mean.

    Keys: ``advantage, answer`` (with accuracy), ``advantage, map`` (with the calibrated score of
    the map, whatever was paid for it) and ``answer, map``; None where one of the two never differs
    within a group, empty for a run without maps.
    """
    if not maps:
        return {}
    grouped: dict[tuple[int, str], list[tuple[float, float, float]]] = defaultdict(list)
    for r in maps:
        grouped[r["step"], r["group"]].append(
            (r["advantage"], r["accuracy"], r["terms"]["map_calibrated"])
        )
    centred = np.concatenate([np.array(g) - np.mean(g, 0) for g in grouped.values()])
    with np.errstate(invalid="ignore"):
        found = np.corrcoef(centred.T)
    pairs = {
        "advantage, answer": found[0, 1],
        "advantage, map": found[0, 2],
        "answer, map": found[1, 2],
    }
    return {k: None if np.isnan(v) else float(v) for k, v in pairs.items()}


def by_tenth(maps: Sequence[Row]) -> list[Row]:
    """Mean step and mean of every term of ``worth``, for each tenth of a run."""
    table = []
    for tenth, mine in training_logs.tenths(maps).items():
        values = [{"step": r["step"], **r["terms"]} for r in mine]
        means = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
        table.append({"tenth": tenth, "n": len(mine), **means})
    return table


def _worth(sample: Sample, rollout: Mapping[str, Any]) -> dict[str, float]:
    true, answer = sample.cognitive_map or {}, parse(rollout["completion"])
    middle = (sample.map_grid - 1) // 2
    found = {
        name: float(rewards.term(name, sample, answer)[0] or 0.0)
        for name in ("map", "map_calibrated")
    }
    found["centre"] = released_score(
        {c: [[middle, middle]] * len(ps) for c, ps in true.items()}, true, sample.map_grid
    )
    right = sample.problem_type in MAPPED_TYPES and (rollout["terms"].get("accuracy") or 0.0) > 0.5
    return {**found, "paid": found["map"] * right, "centre paid": found["centre"] * right}
