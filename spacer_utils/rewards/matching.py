"""What the strict map rewards share: read a drawn map, match it with the true one, and compute the
score of a map without information."""

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
"""Most distances that ``scatter_cost`` computes: 100 drawings of 100 points against 100 places."""


@dataclass(frozen=True)
class Drawn:
    """A completion's map beside the true one."""

    true: Points
    valid: Points
    """Drawn pairs on the grid, per true category."""
    written: dict[str, int]
    """Number of drawn pairs per true category. Pairs off the grid are included: they count as
    wrong."""
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
    """A predicted map beside the true one.

    A pair is off the grid where a coordinate is below 0 or above ``grid`` - 1.
    """
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
    """(point, place) indices of the one-to-one matching with the least total distance.

    Few points are matched by trying every matching, many by the Hungarian method.
    """
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
    """Sum of 1 - distance / reach over the matched pairs.

    With a reach of ``grid * sqrt 2`` this is the paper's score of a pair.
    """
    return sum(
        max(0.0, 1 - math.dist(points[i], places[j]) / reach) for i, j in matched(points, places)
    )


# -------------------------------------------------------------------------------------- calibration


def to_centre(point: Place, grid: int) -> Place:
    """The place of the grid's middle that is nearest to a point.

    The middle is one cell of an odd grid, and the square of four cells of an even one.
    """
    low, high = (grid - 1) // 2, grid // 2
    return min(max(point[0], low), high), min(max(point[1], low), high)


def spread(points: Sequence[Place], grid: int) -> float:
    """Sum of the points' distances from the middle, cells."""
    return sum(math.dist(p, to_centre(p, grid)) for p in points)


@lru_cache(maxsize=16384)
def scatter_cost(count: int, places: tuple[Place, ...], grid: int) -> float:
    """What scattering costs: the closeness that ``count`` random points lose against the same
    number of points in the middle, divided by the random points' ``spread``.

    It is a mean over random drawings with a fixed seed. Every point visits every cell equally often
    (a Latin hypercube), so the mean is exact for one point. Large sets take long to match and vary
    little: they get fewer drawings. The cost is negative where scattering helps, as with many
    objects along the walls.
    """
    cells = [(float(x), float(y)) for x in range(grid) for y in range(grid)]

    # (drawings, count) indices of cells
    rng = np.random.default_rng([count, len(places), grid])
    rounds = 1 if count == 1 or count * len(places) > 100 else 4
    order = np.concatenate(
        [np.stack([rng.permutation(len(cells)) for _ in range(count)], 1) for _ in range(rounds)]
    )
    order = order[: max(1, _MOST_DISTANCES // (count * len(places)))]

    # total distances of the random points, and of the same points moved to the middle
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
    """Closeness of one category's points, minus that of a drawing without information.

    That drawing has the same number of points and the same spread. Its closeness is the one of the
    points moved to the middle, less what such a spread costs on average.
    """
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
    """True category -> its points' ``excess``. Of a category that is drawn too often, it is divided
    by how many times too often."""
    found = {}
    for category, there in map_.true.items():
        # sorted, so that the order of drawing changes no bit of the score
        places, n = tuple(sorted(there)), len(there)
        # more points than twice the objects earn little anyway
        points = tuple(sorted(map_.valid[category][: 2 * n]))
        found[category] = excess(points, places, map_.grid) * (n / max(map_.written[category], n))
    return found


def possible(map_: Drawn) -> dict[str, float]:
    """Per true category: what the true map itself earns; 0 for objects in the middle."""
    found = {}
    for category, there in map_.true.items():
        places = tuple(sorted(there))
        found[category] = excess(places, places, map_.grid)
    return found


def calibrated(map_: Drawn) -> float:
    """The calibrated map score: 1 for a perfect map, 0 for one without information, negative for
    one that is worse than that."""
    if map_.count and not any(map_.valid.values()):
        return 0.0

    most = sum(possible(map_).values())

    # every object stands in the middle: no drawing can be told from one without information, so
    # only the exact map counts
    if most < 1e-9:
        return float(
            map_.written == {c: len(p) for c, p in map_.true.items()}
            and map_.valid == map_.true
            and not map_.extra
        )

    # Objects in the middle add nothing to ``most``, so a map that spreads them may earn a little more
    # than the true map. Hence the limit of 1.
    share = min(1.0, sum(earned(map_).values()) / most)
    return share * (map_.count / (map_.count + map_.extra))
