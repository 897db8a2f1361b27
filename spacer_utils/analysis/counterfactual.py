"""Questions asked again after an edited map, and questions about objects that a room does not have.

The first show whether a map decides the answer: a completion is begun with a map that the model did
not draw, and the model writes only the answer. Statistics of answers; needs no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..core.answers import answer_of, number, parse, parse_map
from ..core.map_reading import reading
from ..core.maps import mirror
from ..core.options import letter
from ..core.prompts import after_map
from ..core.rows import spread
from ..core.types import MapCells, Sample
from .scores import Row, interval, room_bootstrap

TRUE_MAP, OWN_MAP = "true map", "own map"


# -------------------------------------------------------------------------------------- edited maps


def edits(sample: Sample, *, seed: int) -> dict[str, MapCells]:
    """The true map with one thing changed, by the name of the change: only changes after which the
    map gives another answer."""
    true, grid = sample.cognitive_map or {}, sample.map_grid
    asked = sample.categories[0]
    named = [c for c in sample.categories if c in true]

    # an object is added in a random free cell
    occupied = [cell for cells in true.values() for cell in cells]
    free = [[x, y] for x in range(grid) for y in range(grid) if [x, y] not in occupied]
    rng = np.random.default_rng([seed, sample.problem_id])
    added = free[int(rng.integers(len(free)))]

    # of a single object, nothing is left on the map
    one_removed = dict(true)
    if asked in true:
        one_removed[asked] = true[asked][:-1]
        if not one_removed[asked]:
            del one_removed[asked]

    tries: dict[str, list[MapCells]] = {
        "mirrored": [mirror(true, grid)],
        "one added": [{**true, asked: [*true.get(asked, []), added]}],
        "one removed": [one_removed],
        "two exchanged": [{**true, a: true[b], b: true[a]} for a, b in combinations(named, 2)],
    }

    # keep the first try of each kind that changes what the map says
    before = reading(sample, true)
    found = {}
    for name, maps in tries.items():
        turned = [cells for cells in maps if reading(sample, cells) not in (None, before)]
        if turned:
            found[name] = turned[0]
    return found


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
    """Up to ``limit`` questions with their true map and with every edit of it, taken in turn from
    every type.

    Only questions that the true map answers, and of which an edit changes the answer.
    """
    usable = {}
    for s in samples:
        if not s.cognitive_map:
            continue
        says = reading(s, s.cognitive_map)
        found = edits(s, seed=seed) if says else {}
        if says and found:
            usable[s.problem_id] = (s, says, found)

    made = []
    for chosen in spread([s for s, _, _ in usable.values()], limit):
        s, says, found = usable[chosen.problem_id]
        made.append(Case(s, TRUE_MAP, s.cognitive_map or {}, says))
        made += [Case(s, name, cells, reading(s, cells) or "") for name, cells in found.items()]
    return made


def _answered(sample: Sample, output: str) -> str | None:
    """The letter or number of a completion in the form of ``reading``."""
    text = answer_of(parse(output))[0] or ""
    if sample.options:
        return letter(text, sample.options)
    value = number(text)
    return None if value is None else f"{value:g}"


def given_map_rows(model: str, asked: Sequence[Case], outputs: Mapping[str, Any]) -> list[Row]:
    """One row per case: what the model answered after a map that it was given.

    ``follows``: the answer is the given map's; ``stays``: it is the true map's; ``anyway``: the
    model gave this answer after the true map too.
    """
    answers = {c.key: _answered(c.sample, outputs[c.key].output) for c in asked}
    true_cases = {c.sample.problem_id: c for c in asked if c.edit == TRUE_MAP}
    table = []
    for c in asked:
        true_case = true_cases[c.sample.problem_id]
        table.append(
            {
                "model": model,
                "map": c.edit,
                "scene_id": c.sample.scene_id,
                "question_type": c.sample.question_type,
                "key": c.key,
                "says": c.says,
                "answer": answers[c.key],
                "gold": c.sample.gold,
                "follows": answers[c.key] == c.says,
                "stays": answers[c.key] == true_case.says,
                "anyway": answers[true_case.key] == c.says,
            }
        )
    return table


def own_map_rows(model: str, samples: Sequence[Sample], outputs: Mapping[str, Any]) -> list[Row]:
    """The same of the maps that a model drew by itself, where both they and the true map answer the
    question; ``anyway`` is unknown."""
    table = []
    for s in samples:
        answer = parse(outputs[str(s.problem_id)].output)
        if not s.cognitive_map or answer.map_text is None:
            continue
        categories = dict.fromkeys((*s.cognitive_map, *s.categories))
        own_map = parse_map(answer.map_text, categories)
        truth, says = reading(s, s.cognitive_map), reading(s, own_map)
        if truth is None or says is None:
            continue
        given = _answered(s, answer.text)
        table.append(
            {
                "model": model,
                "map": OWN_MAP,
                "scene_id": s.scene_id,
                "question_type": s.question_type,
                "key": str(s.problem_id),
                "says": says,
                "answer": given,
                "gold": s.gold,
                "follows": given == says,
                "stays": given == truth,
                "anyway": None,
            }
        )
    return table


def share(
    rows: Sequence[Row], of: str, *, less: str = "", seed: int
) -> tuple[float | None, float | None, float | None]:
    """Share (%) of rows whose field ``of`` holds, minus that of the field ``less``; then the ends
    of its interval over rooms."""
    if not rows:
        return None, None, None
    values = [float(r[of]) - (float(r[less]) if less else 0.0) for r in rows]
    scored = [
        {"scene_id": r["scene_id"], "question_type": "", "score": value}
        for r, value in zip(rows, values)
    ]
    low, high = interval(room_bootstrap(scored, seed=seed), scored)
    return 100 * float(np.mean(values)), low, high


def follow_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per model and map: share of answers that follow the map, stay with the true one, or do
    neither.

    ``pull`` is what the edit itself does: the share that follows, minus the share that gave this
    answer after the true map too.
    """
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for r in rows:
        groups[r["model"], r["map"]].append(r)

    table = []
    for (model, name), mine in groups.items():
        follows, low, high = share(mine, "follows", seed=seed)
        stays = neither = pull = pull_low = pull_high = None
        if name != TRUE_MAP:
            stays = share(mine, "stays", seed=seed)[0]
            neither = 100 * float(np.mean([not (r["follows"] or r["stays"]) for r in mine]))
        if name not in (TRUE_MAP, OWN_MAP):
            pull, pull_low, pull_high = share(mine, "follows", less="anyway", seed=seed)
        table.append(
            {
                "model": model,
                "map": name,
                "n": len(mine),
                "rooms": len({r["scene_id"] for r in mine}),
                "follows (%)": follows,
                "low": low,
                "high": high,
                "stays (%)": stays,
                "neither (%)": neither,
                "pull": pull,
                "pull low": pull_low,
                "pull high": pull_high,
            }
        )
    return table


# ----------------------------------------------------------------------------------- absent objects


def absent_object_questions(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Counting questions by ``problem_id``: up to ``limit`` about a category that the room lacks,
    and as many about categories that it has."""
    counting = [s for s in samples if s.question_type == "object_counting"]
    counting.sort(key=lambda s: s.problem_id)
    absent = [s for s in counting if s.gold == "0"]
    present = [s for s in counting if s.gold != "0"]
    return [*absent[:limit], *present[:limit]]


def absent_object_table(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Per model: how often "how many?" is answered 0, where the room has none and where it has some
    (rows of ``score_rows``)."""
    table = []
    for model in dict.fromkeys(r["model"] for r in rows):
        asked = [
            {**r, "zero": number(answer_of(parse(r["output"]))[0] or "") == 0}
            for r in rows
            if r["model"] == model and r["question_type"] == "object_counting"
        ]
        absent = [r for r in asked if r["gold"] == "0"]
        present = [r for r in asked if r["gold"] != "0"]
        for evidence, mine in (("absent", absent), ("present", present)):
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
