"""Contents of a room before it is furnished: room type, floor area and instances per category.

Rooms of difficulty ``real`` are drawn from aggregate statistics of real rooms. The easier ones hold
a few large things, so that a small model can see them (``LEVELS``).
"""

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

from ..core.types import WorkbookError
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
"""Groups of names for things that look the same: a room holds at most one category of a group."""
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
"""Most instances of a category in one room, where the real rooms are too few to give a bound."""
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


@dataclass(frozen=True)
class Level:
    """What rooms of one difficulty hold."""

    categories: tuple[str, ...]
    """Large things that look different from each other in small frames."""
    kinds: tuple[int, int]
    """Fewest and most categories of a room."""
    area: tuple[float, float]
    """Smallest and largest floor, square metres."""
    crowds: tuple[int, ...]
    """Instances of one of the room's categories, equally likely; all others stand there once."""


_LARGE = (
    "bed",
    "sofa",
    "table",
    "chair",
    "refrigerator",
    "toilet",
    "bathtub",
    "bookshelf",
    "tv",
    "piano",
    "plant",
    "door",
    "washing machine",
)
LEVELS: dict[str, Level | None] = {
    "easy": Level(_LARGE, kinds=(5, 7), area=(12, 30), crowds=(1, 1, 2, 2, 3, 4)),
    "medium": Level(
        (
            *_LARGE,
            *("counter", "nightstand", "fireplace", "mirror", "window", "stove", "closet"),
            *("monitor", "trash bin", "lamp", "guitar", "suitcase", "radiator"),
        ),
        kinds=(7, 11),
        area=(12, 35),
        crowds=(1, 2, 3, 4, 5),
    ),
    "real": None,
}
"""Difficulty -> what its rooms hold; None for the statistics of real rooms: 65 categories, many of
them small. Half of these rooms hold up to 7 things, a tenth 23 or more."""


def room_type(categories: Collection[str]) -> str:
    """Guess the room type from the categories in it: the first rule that matches, else ``other``.

    >>> room_type({"bed", "lamp"})
    'bedroom'
    """
    for name, needed, signs in _ROOM_RULES:
        if len(signs & set(categories)) >= needed:
            return name
    return "other"


@dataclass(frozen=True)
class Contents:
    """What one room is meant to hold."""

    room_type: str
    area: float
    """Floor area, square metres."""
    counts: dict[str, int]
    """Category -> number of instances."""


@cache
def statistics() -> dict[str, Any]:
    """The aggregate statistics shipped in ``assets/layout_statistics.json``, and tables made from
    them.

    For the C categories ``names``:

    * ``pull`` (C, C): factor on the weight of one category once another is chosen;
    * ``rests`` (C,): whether the category needs another piece of furniture under it;
    * ``holds`` (C, C): whether the row's category may carry the column's.
    """
    table: dict[str, Any] = json.loads(STATISTICS.read_text())
    names = sorted(table["categories"])
    index = {c: k for k, c in enumerate(names)}

    # Categories that often share a room raise each other's weight.
    pull = np.ones((len(names), len(names)))
    for a, b, lift in table["lift"]:
        pull[index[a], index[b]] = pull[index[b], index[a]] = math.sqrt(lift)

    # A chosen category rules out itself and its synonyms.
    for group in (*SYNONYMS, *((c,) for c in names)):
        known = [index[c] for c in group if c in index]
        pull[np.ix_(known, known)] = 0.0

    holds = np.array([[a in RESTING.get(b, ()) for b in names] for a in names])
    return {
        **table,
        "names": names,
        "pull": pull,
        "holds": holds,
        "rests": np.array([c in RESTING for c in names]),
    }


def draw(
    rng: np.random.Generator,
    min_objects: int = 1,
    kind: str | None = None,
    difficulty: str = "real",
) -> Contents:
    """Draw the contents of one room, again until it has at least ``min_objects``.

    Args:
        kind: room type; None draws it by how often real rooms have it. Easier rooms than real ones
            have no type.
        difficulty: one of ``LEVELS``.

    Raises:
        WorkbookError: no such difficulty, or one that can't have the type or so many objects.
    """
    level = level_of(difficulty)
    if level:
        if kind or min_objects > level.kinds[0]:
            raise WorkbookError(
                f"rooms of difficulty {difficulty!r} have no room type and at least {level.kinds[0]} "
                f"objects, not room_type={kind!r} and min_objects={min_objects}. Take difficulty 'real'."
            )
        return _few(rng, level)
    kinds = statistics()["room_types"]
    while True:
        name = kind or _room_kind(rng, kinds)
        area, single, multi, extra = _sizes(rng, kinds[name])
        counts = _counts(rng, name, single, multi, extra)
        if sum(counts.values()) >= min_objects:
            return Contents(name, area, counts)


def level_of(difficulty: str) -> Level | None:
    """What rooms of a difficulty hold; None for real ones.

    Raises:
        WorkbookError: no such difficulty.
    """
    if difficulty not in LEVELS:
        raise WorkbookError(f"unknown difficulty {difficulty!r}. Known: {', '.join(LEVELS)}.")
    return LEVELS[difficulty]


def _few(rng: np.random.Generator, level: Level) -> Contents:
    """A few large things, one of them perhaps several times."""
    fewest, most = level.kinds
    number = int(rng.integers(fewest, most + 1))
    chosen = [level.categories[k] for k in rng.permutation(len(level.categories))[:number]]

    # which thing comes several times: by the odds of that in real rooms
    odds = _odds_of_several(chosen)
    crowd = chosen[int(rng.choice(number, p=odds / odds.sum()))]
    counts = dict.fromkeys(chosen, 1)
    wanted = int(rng.choice(level.crowds))
    counts[crowd] = min(wanted, MOST.get(crowd, statistics()["categories"][crowd]["most"]))

    return Contents("other", float(rng.uniform(*level.area)), counts)


def _odds_of_several(chosen: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Per category: the odds of having more than one instance in a real room."""
    about = [statistics()["categories"][c] for c in chosen]
    return np.array(
        [(1.02 - a["single"]) / (0.02 + a["single"]) * (a["most"] > 1) + 1e-6 for a in about]
    )


def _room_kind(rng: np.random.Generator, kinds: dict[str, Any]) -> str:
    """A room type, drawn by its share of the real rooms."""
    cumulated = np.cumsum([k["share"] for k in kinds.values()])
    place = np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right")
    return list(kinds)[int(place)]


def _sizes(rng: np.random.Generator, kind: dict[str, Any]) -> tuple[float, int, int, int]:
    """Draw floor area (m2) and object numbers that go together: a Gaussian copula.

    Returns:
        Area; categories with one instance; categories with two or more; instances beyond the second
        of all of them together.
    """
    # Correlated normal values, turned into ranks 0-1, looked up in the quantiles of real rooms.
    normal = np.linalg.cholesky(np.array(kind["correlation"])) @ rng.standard_normal(4)
    area, single, multi, extra = (
        float(np.interp(rank, kind["levels"], kind["quantiles"][quantity]))
        for rank, quantity in zip(ndtr(normal), ("area", "single", "multi", "extra"))
    )

    singles, several = round(single), round(multi)
    at_least_one = singles if singles + several else 1
    return area, at_least_one, several, round(extra) if several else 0


def _counts(
    rng: np.random.Generator, kind: str, single: int, multi: int, extra: int
) -> dict[str, int]:
    """Category -> instances: ``single + multi`` categories, ``multi`` of them with two or more."""
    categories = statistics()["categories"]
    chosen = _categories(rng, kind, single + multi)

    # Which categories have several instances: drawn without replacement, by the odds of having
    # more than one in a real room (exponential keys divided by the weights).
    order = np.argsort(-np.log(rng.random(len(chosen))) / _odds_of_several(chosen))
    several = [chosen[k] for k in order[:multi]]
    counts = {c: 1 for c in chosen} | {c: 2 for c in several}

    # The instances beyond the second go to categories that come in large numbers.
    if several:
        surplus = np.array([categories[c]["mean_multi"] - 1.8 for c in several])
        for k in rng.choice(len(several), size=extra, p=surplus / surplus.sum()):
            counts[several[int(k)]] += 1

    return {c: min(n, MOST.get(c, categories[c]["most"])) for c, n in counts.items()}


def _categories(rng: np.random.Generator, kind: str, number: int) -> list[str]:
    """Draw different categories for a room type, fewer than ``number`` if no more are possible.

    A category's weight is its odds of being in such a room, times a factor for every category that
    is chosen already.
    """
    table = statistics()
    names: list[str] = table["names"]
    presence = np.array([table["room_types"][kind]["presence"].get(c, 0.0) for c in names])
    weights = presence / (1.01 - presence)

    # What rests on furniture can be chosen only once something that carries it is chosen.
    possible = ~table["rests"]
    chosen: list[str] = []
    while len(chosen) < number:
        cumulated = np.cumsum(np.where(possible, weights, 0.0))
        if cumulated[-1] <= 0:
            break
        pick = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        chosen.append(names[pick])
        possible = possible | table["holds"][pick]
        weights = weights * table["pull"][pick]
    return chosen
