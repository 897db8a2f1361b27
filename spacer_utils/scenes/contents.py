"""What stands in a room: type, floor area and number of each category, drawn from the real rooms'
aggregate statistics."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from .placement import RESTING

STATISTICS = Path(__file__).parent.parent / "assets" / "layout_statistics.json"
SYNONYMS = (
    ("trash bin", "trash can"),
    ("heater", "radiator"),
    ("washer", "washing machine"),
    ("lamp", "table lamp"),
    ("pillow", "cushion"),
    ("basket", "bucket", "crate"),
)
"""Names that no picture tells apart: a room holds at most one of a group."""
MOST = {
    "bed": 3,
    "toilet": 2,
    "bathtub": 1,
    "refrigerator": 2,
    "tv": 3,
    "stove": 1,
    "counter": 2,
    "fireplace": 1,
    "piano": 1,
    "oven": 1,
    "microwave": 2,
    "dishwasher": 1,
    "kettle": 2,
    "exhaust fan": 2,
    "washer": 3,
    "washing machine": 2,
}
"""Upper bounds on instances where the statistics of few rooms would leave none."""
_ROOM_RULES = (
    ("bathroom", 1, {"toilet", "bathtub"}),
    ("bedroom", 1, {"bed"}),
    ("kitchen", 1, {"refrigerator", "stove", "oven", "dishwasher"}),
    (
        "office",
        2,
        {
            "monitor",
            "keyboard",
            "computer mouse",
            "computer tower",
            "whiteboard",
            "printer",
            "telephone",
        },
    ),
    ("living", 1, {"sofa", "fireplace"}),
)


def room_type(categories: Collection[str]) -> str:
    """The kind of room that its categories suggest: the first rule that matches, else ``other``.

    >>> room_type({"bed", "lamp"})
    'bedroom'
    """
    for name, needed, signs in _ROOM_RULES:
        if len(signs & set(categories)) >= needed:
            return name
    return "other"


@dataclass(frozen=True)
class Contents:
    """The shopping list of one room."""

    room_type: str
    area: float
    """Floor area, square metres."""
    counts: dict[str, int]


@cache
def statistics() -> dict[str, Any]:
    """The aggregate statistics that ship with the package (written by ``scenes.statistics``), with
    tables made from them.

    ``names``: the C categories; ``pull`` (C, C): factor by which a chosen category changes the
    weight of another; ``rests`` (C,): must rest on something; ``holds`` (C, C): may hold the other.
    """
    table: dict[str, Any] = json.loads(STATISTICS.read_text())
    names = sorted(table["categories"])
    place = {c: k for k, c in enumerate(names)}
    pull = np.ones((len(names), len(names)))
    for a, b, lift in table["lift"]:
        pull[place[a], place[b]] = pull[place[b], place[a]] = math.sqrt(lift)
    for group in (*SYNONYMS, *((c,) for c in names)):
        known = [place[c] for c in group if c in place]
        pull[np.ix_(known, known)] = 0.0
    holds = np.array([[a in RESTING.get(b, ()) for b in names] for a in names])
    return {
        **table,
        "names": names,
        "pull": pull,
        "holds": holds,
        "rests": np.array([c in RESTING for c in names]),
    }


def draw(rng: np.random.Generator, min_objects: int = 1, kind: str | None = None) -> Contents:
    """Type, area and counts of one room; redrawn until it has ``min_objects``."""
    table = statistics()
    kinds = table["room_types"]
    while True:
        shares = np.cumsum([k["share"] for k in kinds.values()])
        name = (
            kind
            or list(kinds)[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        )
        area, single, multi, extra = _sizes(rng, kinds[name])
        counts = _counts(rng, name, single, multi, extra)
        if sum(counts.values()) >= min_objects:
            return Contents(name, area, counts)


def _sizes(rng: np.random.Generator, kind: dict[str, Any]) -> tuple[float, int, int, int]:
    """(area, categories with one instance, categories with more, instances beyond the second) by a
    Gaussian copula."""
    normal = np.linalg.cholesky(np.array(kind["correlation"])) @ rng.standard_normal(4)
    area, single, multi, extra = (
        float(np.interp(u, kind["levels"], kind["quantiles"][q]))
        for u, q in zip(ndtr(normal), ("area", "single", "multi", "extra"))
    )
    singles, several = round(single), round(multi)
    return area, (singles if singles + several else 1), several, round(extra) if several else 0


def _counts(
    rng: np.random.Generator, kind: str, single: int, multi: int, extra: int
) -> dict[str, int]:
    table = statistics()
    chosen = _categories(rng, kind, single + multi)
    about = [table["categories"][c] for c in chosen]
    odds = np.array(
        [(1.02 - a["single"]) / (0.02 + a["single"]) * (a["most"] > 1) + 1e-6 for a in about]
    )
    order = np.argsort(-np.log(rng.random(len(chosen))) / odds)
    several = [chosen[k] for k in order[:multi]]
    counts = {c: 1 for c in chosen} | {c: 2 for c in several}
    surplus = np.array([table["categories"][c]["mean_multi"] - 1.8 for c in several])
    for c in rng.choice(len(several), size=extra, p=surplus / surplus.sum()) if several else ():
        counts[several[int(c)]] += 1
    return {c: min(n, MOST.get(c, table["categories"][c]["most"])) for c, n in counts.items()}


def _categories(rng: np.random.Generator, kind: str, number: int) -> list[str]:
    """Distinct categories, weighted by how often such rooms have them and by co-occurrence with
    those already chosen."""
    table = statistics()
    names: list[str] = table["names"]
    presence = np.array([table["room_types"][kind]["presence"].get(c, 0.0) for c in names])
    weights = presence / (1.01 - presence)
    supported = ~table["rests"]
    chosen: list[str] = []
    while len(chosen) < number:
        usable = np.cumsum(np.where(supported, weights, 0.0))
        if usable[-1] <= 0:
            break
        pick = int(np.searchsorted(usable, rng.random() * usable[-1], side="right"))
        chosen.append(names[pick])
        supported = supported | table["holds"][pick]
        weights = weights * table["pull"][pick]
    return chosen
