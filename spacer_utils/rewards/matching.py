"""What the strict map rewards share: reading a drawn map, best one-to-one matching, and what an
uninformative map would get."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
import numpy.typing as npt

from ..core.answers import Points, map_points, same_category
from ..core.maps import GRID
from ..core.types import Answer, MapCells, Sample

Array = npt.NDArray[np.float64]
Place = tuple[float, float]
_MOST_DISTANCES = 1_000_000
"""Pairs of a point and a place that are looked at to learn what scattering costs: a hundred
objects' hundred times."""


@dataclass(frozen=True)
class Drawn:
    """A completion's map beside the true one."""

    true: Points
    valid: Points
    """Drawn pairs on the grid, per true category."""
    written: dict[str, int]
    """Number of drawn pairs per true category, those off the grid included: they count as wrong."""
    extra: int
    """Drawn pairs of categories that the true map doesn't have."""
    grid: int = GRID
    """Cells per side of both."""

    @property
    def count(self) -> int:
        return sum(map(len, self.true.values()))

    def note(self) -> str:
        written = sum(self.written.values())
        off = written - sum(map(len, self.valid.values()))
        parts = [
            f"{written} drawn for {self.count} objects",
            off and f"{off} off the grid",
            self.extra and f"{self.extra} not there",
        ]
        return ", ".join(p for p in parts if p)


def drawn(sample: Sample, answer: Answer) -> Drawn | str:
    """The completion's map beside the sample's, or why there is nothing to compare."""
    if not sample.cognitive_map or not any(sample.cognitive_map.values()):
        return (
            "the sample has no map" if sample.cognitive_map is None else "the sample's map is empty"
        )
    return compare(sample.cognitive_map, map_points(answer.map_text or ""), sample.map_grid)


def compare(true: MapCells, predicted: Points, grid: int = GRID) -> Drawn:
    """``predicted`` sorted by what the true map has; a coordinate below 0 or above ``grid`` - 1
    puts a pair off the grid."""
    places: Points = {}
    for category, cells in true.items():
        places.setdefault(same_category(category), []).extend(
            (float(x), float(y)) for x, y in cells
        )
    places = {c: p for c, p in places.items() if p}
    mine = {c: predicted.get(c, []) for c in places}
    valid = {c: [p for p in ps if all(0 <= v <= grid - 1 for v in p)] for c, ps in mine.items()}
    extra = sum(len(ps) for c, ps in predicted.items() if c not in places)
    return Drawn(places, valid, {c: len(ps) for c, ps in mine.items()}, extra, grid)


def matched(points: Sequence[Place], places: Sequence[Place]) -> list[tuple[int, int]]:
    """(point, place) indices of the one-to-one matching with the least total distance (Hungarian
    method for larger sets)."""
    if len(points) > len(places):
        return [(i, j) for j, i in matched(places, points)]
    table = [[math.dist(p, q) for q in places] for p in points]
    if math.perm(len(places), len(points)) <= 24:
        tries = permutations(range(len(places)), len(points))
        return list(
            enumerate(min(tries, key=lambda columns: sum(row[j] for row, j in zip(table, columns))))
        )
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.array(table))
    return list(zip(rows.tolist(), columns.tolist()))


def closeness(points: Sequence[Place], places: Sequence[Place], reach: float) -> float:
    """Sum over matched pairs of 1 - distance / reach, the paper's pair score for a reach of ``grid
    * sqrt 2``."""
    return sum(
        max(0.0, 1 - math.dist(points[i], places[j]) / reach) for i, j in matched(points, places)
    )


# -------------------------------------------------------------------------------------- calibration


def to_centre(point: Place, grid: int) -> Place:
    """The nearest place of the grid's middle: one cell of an odd grid, the square of four of an
    even one."""
    low, high = (grid - 1) // 2, grid // 2
    return min(max(point[0], low), high), min(max(point[1], low), high)


def spread(points: Sequence[Place], grid: int) -> float:
    """Sum of the points' distances from the middle, cells."""
    return sum(math.dist(p, to_centre(p, grid)) for p in points)


@lru_cache(maxsize=16384)
def scatter_cost(count: int, places: tuple[Place, ...], grid: int) -> float:
    """Closeness that ``count`` points scattered at random lose against the same points in the
    middle, per cell of spread.

    The mean over random cells is exact for one point; for more, every point visits every cell
    equally often (a Latin hypercube, fixed seed); crowds, whose matchings take long and vary
    little, visit fewer. Negative where scattering helps, as for many objects along the walls.
    """
    cells = [(float(x), float(y)) for x in range(grid) for y in range(grid)]
    rng = np.random.default_rng([count, len(places), grid])
    rounds = 1 if count == 1 or count * len(places) > 100 else 4
    order = np.concatenate(
        [np.stack([rng.permutation(len(cells)) for _ in range(count)], 1) for _ in range(rounds)]
    )
    order = order[: max(1, _MOST_DISTANCES // (count * len(places)))]
    farther = (
        _least_totals(np.array([[math.dist(p, q) for q in places] for p in ends])[order])
        for ends in (cells, [to_centre(p, grid) for p in cells])
    )
    scattered, middle = (float(total.sum()) for total in farther)
    return (
        (scattered - middle)
        / (grid * math.sqrt(2))
        / float(np.array([spread([p], grid) for p in cells])[order].sum())
    )


def _least_totals(tables: Array) -> Array:
    """Total distance of the best matching in each of many tables, (M, k, n) -> (M,)."""
    if tables.shape[1] > tables.shape[2]:
        tables = tables.swapaxes(1, 2)
    k, n = tables.shape[1:]
    if math.perm(n, k) <= 120:  # few enough to try them all, for every table at once
        rows = np.arange(k)
        tries = [tables[:, rows, list(columns)].sum(1) for columns in permutations(range(n), k)]
        least: Array = np.min(tries, axis=0)
        return least
    from scipy.optimize import linear_sum_assignment

    return np.array([table[linear_sum_assignment(table)].sum() for table in tables])


@lru_cache(maxsize=16384)
def excess(points: tuple[Place, ...], places: tuple[Place, ...], grid: int) -> float:
    """Closeness of a category's points above that of an uninformative drawing with the same count
    and the same spread."""
    if not points:
        return 0.0
    reach = grid * math.sqrt(2)
    centred = [to_centre(p, grid) for p in points]
    return (
        closeness(points, places, reach)
        - closeness(centred, places, reach)
        + spread(points, grid) * scatter_cost(len(points), places, grid)
    )


def earned(map_: Drawn) -> dict[str, float]:
    """Per true category: how much closer its drawn points are to the true ones than an
    uninformative drawing (see ``excess``)."""
    found = {}
    for category, there in map_.true.items():
        # sorted, so that the order of drawing changes no bit of the score
        places, n = tuple(sorted(there)), len(there)
        # a category drawn more than twice too often earns little in any case
        points = tuple(sorted(map_.valid[category][: 2 * n]))
        found[category] = excess(points, places, map_.grid) * (n / max(map_.written[category], n))
    return found


def calibrated(map_: Drawn) -> float:
    """0 for an uninformative map, 1 for a perfect one; negative for one that is worse than knowing
    nothing."""
    if map_.count and not any(map_.valid.values()):
        return 0.0
    possible = 0.0
    for there in map_.true.values():
        places = tuple(sorted(there))
        possible += excess(places, places, map_.grid)
    if possible < 1e-9:  # the truth itself stands in the middle
        return float(
            map_.written == {c: len(p) for c, p in map_.true.items()}
            and map_.valid == map_.true
            and not map_.extra
        )
    # where objects stand in the middle, of which the truth itself earns nothing, a wilder map could
    # exceed it by a little
    return min(1.0, sum(earned(map_).values()) / possible) * (
        map_.count / (map_.count + map_.extra)
    )
