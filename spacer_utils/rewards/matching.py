"""What the strict map rewards share: reading a drawn map, best one-to-one matching, and what an uninformative map would get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..answers import Points, map_points, same_category
from ..maps import GRID
from ..types import Answer, MapCells, Sample

Array = npt.NDArray[np.float64]


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

    @property
    def count(self) -> int:
        return sum(map(len, self.true.values()))

    def note(self) -> str:
        written = sum(self.written.values())
        off = written - sum(map(len, self.valid.values()))
        parts = [f"{written} drawn for {self.count} objects", off and f"{off} off the grid",
                 self.extra and f"{self.extra} not there"]
        return ", ".join(p for p in parts if p)


def drawn(sample: Sample, answer: Answer, grid: int = GRID) -> Drawn | str:
    """The completion's map beside the sample's, or why there is nothing to compare."""
    if not sample.cognitive_map or not any(sample.cognitive_map.values()):
        return "the sample has no map" if sample.cognitive_map is None else "the sample's map is empty"
    return compare(sample.cognitive_map, map_points(answer.map_text or ""), grid)


def compare(true: MapCells, predicted: Points, grid: int = GRID) -> Drawn:
    """``predicted`` sorted by what the true map has; a coordinate below 0 or above ``grid`` - 1 puts a pair off the grid."""
    places: Points = {}
    for category, cells in true.items():
        places.setdefault(same_category(category), []).extend((float(x), float(y)) for x, y in cells)
    places = {c: p for c, p in places.items() if p}
    mine = {c: predicted.get(c, []) for c in places}
    valid = {c: [p for p in ps if all(0 <= v <= grid - 1 for v in p)] for c, ps in mine.items()}
    extra = sum(len(ps) for c, ps in predicted.items() if c not in places)
    return Drawn(places, valid, {c: len(ps) for c, ps in mine.items()}, extra)


def distances(points: Array, places: Array) -> Array:
    """(..., k, 2) and (n, 2) -> (..., k, n) cells."""
    gaps = points[..., :, None, :] - places
    return np.hypot(gaps[..., 0], gaps[..., 1])


def matched(table: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the one-to-one matching with the least total distance (Hungarian method); (k, n) -> min(k, n) each."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(table)  # type: ignore[no-any-return]


def closeness(table: Array, grid: float) -> float:
    """Sum over matched pairs of 1 - distance / (grid * sqrt 2), the paper's pair score."""
    if not table.size:
        return 0.0
    nearest = table.min() if 1 in table.shape else table[matched(table)]
    return float(np.maximum(0.0, 1 - nearest / (grid * np.sqrt(2))).sum())


# ------------------------------------------------------------------------------------------------------------- calibration


def to_centre(points: Array, grid: int) -> Array:
    """The points moved to the nearest place of the grid's middle: one cell of an odd grid, the square of four of an even one."""
    return np.clip(points, (grid - 1) // 2, grid // 2)


def spread(points: Array, grid: int) -> float:
    """Sum of the points' distances from the middle, cells."""
    gaps = points - to_centre(points, grid)
    return float(np.hypot(gaps[..., 0], gaps[..., 1]).sum())


@lru_cache(maxsize=4096)
def scatter_cost(count: int, places: tuple[tuple[float, float], ...], grid: int) -> float:
    """Closeness that ``count`` points scattered at random lose against the same points in the middle, per cell of spread.

    The mean over random cells is exact for one point; for more, every point visits every cell equally often (a Latin hypercube,
    fixed seed). Negative where scattering helps, as for many objects along the walls.
    """
    cells = np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), -1).reshape(-1, 2).astype(float)
    rng = np.random.default_rng([count, len(places), grid])
    rounds = 1 if count == 1 or count * len(places) > 100 else 4
    draws = np.concatenate([np.stack([cells[rng.permutation(len(cells))] for _ in range(count)], 1) for _ in range(rounds)])
    target = np.array(places)
    lost = sum(closeness(middle, grid) - closeness(scattered, grid) for middle, scattered in
               zip(distances(to_centre(draws, grid), target), distances(draws, target)))
    return lost / spread(draws, grid)


def excess(points: Sequence[tuple[float, float]], places: Sequence[tuple[float, float]], grid: int) -> float:
    """Closeness of a category's points above that of an uninformative drawing with the same count and the same spread."""
    if not points:
        return 0.0
    p, t = np.array(points, float), np.array(places, float)
    uninformed = closeness(distances(to_centre(p, grid), t), grid) - spread(p, grid) * scatter_cost(len(p), tuple(places), grid)
    return closeness(distances(p, t), grid) - uninformed


def calibrated(map_: Drawn, grid: int = GRID) -> float:
    """0 for an uninformative map, 1 for a perfect one; negative for one that is worse than knowing nothing."""
    earned = possible = 0.0
    for category, places in map_.true.items():
        n = len(places)
        points = map_.valid[category][:2 * n]  # a category drawn more than twice too often earns little in any case
        earned += excess(points, places, grid) * n / max(map_.written[category], n)
        possible += excess(places, places, grid)
    if possible < 1e-9:  # the truth itself stands in the middle
        return float(map_.written == {c: len(p) for c, p in map_.true.items()} and map_.valid == map_.true and not map_.extra)
    return earned / possible * map_.count / (map_.count + map_.extra)
