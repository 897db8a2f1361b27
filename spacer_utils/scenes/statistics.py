"""Aggregate statistics of rooms: the input of the procedural generator, and its comparison with
real rooms."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from ..core.files import write_atomic
from ..core.types import Scene, SceneObject
from .contents import STATISTICS, room_type
from .floor_plan import Floats, bounding_rectangle, corners, footprints

LEVELS = tuple(round(0.05 * k, 2) for k in range(21))
"""Levels of the quantiles of every quantity."""
SIZE_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Levels of the quantiles of a category's sizes."""
WALL_GAP = 0.15
"""Objects closer to a side of the rectangle around all objects count as at the wall, metres."""
ELONGATED = 1.5
"""Least ratio of horizontal sides of an object that has a direction."""


def length_width_height(o: SceneObject) -> tuple[float, float, float]:
    """(longer horizontal side, shorter one, height), metres."""
    a, b, height = o.box.size
    return max(a, b), min(a, b), height


def _rectangle(scene: Scene) -> tuple[float, float, float, Floats]:
    """Smallest rectangle around all objects: (long side, short side, yaw, (N, 4, 2) corners)."""
    points = corners(footprints(o.box for o in scene.objects))
    return (*bounding_rectangle(points.reshape(-1, 2)), points)


def aspect(scene: Scene) -> float:
    """Long over short side of the smallest rectangle around all objects."""
    long, short, _, _ = _rectangle(scene)
    return long / max(short, 1e-6)


def wall_gaps(scene: Scene) -> list[tuple[str, float]]:
    """(category, metres to the nearest side of the rectangle around all objects) of each object.

    Empty for rooms with fewer than four objects.
    """
    if len(scene.objects) < 4:
        return []

    # All corners in the rectangle's axes.
    _, _, yaw, points = _rectangle(scene)
    turned = points @ np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])

    # For each object the smallest gap of any corner to any side.
    low, high = turned.min((0, 1)), turned.max((0, 1))
    gaps = np.minimum((turned - low).min((1, 2)), (high - turned).min((1, 2)))
    return [(o.category, float(g)) for o, g in zip(scene.objects, gaps)]


def yaw_offsets(scene: Scene) -> list[float]:
    """Degrees (0-45) between each elongated object and the room's dominant direction.

    Empty for rooms with fewer than three elongated objects.
    """
    long = [o for o in scene.objects if max(o.box.size[:2]) >= ELONGATED * min(o.box.size[:2])]
    if len(long) < 3:
        return []
    yaws = np.array([o.box.yaw for o in long])

    # Every elongated object votes for the directions near its own; longer ones count more.
    candidates = np.radians(np.arange(0, 90, 0.5))
    weights = np.array([max(o.box.size[:2]) for o in long])
    votes = weights[:, None] * np.exp(-((_off_axes(yaws[:, None] - candidates) / 0.05) ** 2))
    dominant = candidates[int(np.argmax(votes.sum(0)))]

    return [float(v) for v in np.degrees(_off_axes(yaws - dominant))]


def _off_axes(turn: Floats) -> Floats:
    """Angle from each turn to the nearest multiple of 90 degrees; radians."""
    return np.asarray(np.abs(np.remainder(turn + math.pi / 4, math.pi / 2) - math.pi / 4))


def _singles(scene: Scene) -> int:
    """Number of categories with exactly one instance."""
    return sum(n == 1 for n in Counter(o.category for o in scene.objects).values())


def neighbours(scene: Scene) -> list[float]:
    """Distance from each object's centre to the nearest other centre, metres."""
    centers = np.array([o.box.center for o in scene.objects])
    if len(centers) < 2:
        return []
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    apart += np.where(np.eye(len(centers)), np.inf, 0)  # no object is its own neighbour
    return [float(v) for v in apart.min(1)]


QUANTITIES: dict[str, tuple[str, Callable[[Scene], list[float]]]] = {
    "floor area": ("m²", lambda s: [s.floor_area]),
    "objects": ("per room", lambda s: [float(len(s.objects))]),
    "categories": ("per room", lambda s: [float(len(s.categories))]),
    "categories with one instance": ("per room", lambda s: [float(_singles(s))]),
    "objects per m²": ("1/m²", lambda s: [len(s.objects) / s.floor_area]),
    "aspect of the objects' rectangle": ("long / short", lambda s: [aspect(s)]),
    "off the room's axes": ("degrees", yaw_offsets),
    "longest side": ("m", lambda s: [max(o.box.size) for o in s.objects]),
    "gap to the rim": ("m", lambda s: [gap for _, gap in wall_gaps(s)]),
    "nearest neighbour": ("m", neighbours),
}
"""Quantity -> (unit, function from a room to its values: one value, or one for each object)."""


def values(scenes: Sequence[Scene], quantity: str) -> Floats:
    """All values of one quantity."""
    return np.array([v for s in scenes for v in QUANTITIES[quantity][1](s)])


def quantiles(data: Floats, digits: int = 4) -> list[float]:
    """Quantiles of ``data`` at ``LEVELS``; empty where there is no data."""
    return [round(float(q), digits) for q in np.quantile(data, LEVELS)] if len(data) else []


def distance(generated: Sequence[float], real: Sequence[float]) -> float:
    """Earth mover's distance between two lists of quantiles at ``LEVELS``; 0 is equal.

    It is divided by the real range from 10% to 90%. The smallest and the largest value are left
    out, because each comes from a single room.
    """
    a, b = np.array(generated[1:-1]), np.array(real[1:-1])
    real_range = max(real[18] - real[2], 1e-9)
    return round(float(np.abs(a - b).mean() / real_range), 4)


def compare(scenes: Sequence[Scene], real: Sequence[Scene] | None = None) -> list[dict[str, Any]]:
    """One row per quantity: its quantiles in these rooms and in the real ones, and their
    ``distance``. A quantity without values is left out.

    Args:
        real: the real rooms; None takes the quantiles of all 288, which the package ships.
    """
    shipped = json.loads(STATISTICS.read_text())["quantities"]
    rows = []
    for name, (unit, _) in QUANTITIES.items():
        ours = quantiles(values(scenes, name))
        theirs = quantiles(values(real, name)) if real is not None else shipped[name]
        if ours and theirs:
            rows.append(
                {
                    "quantity": name,
                    "unit": unit,
                    "generated": ours,
                    "real": theirs,
                    "distance": distance(ours, theirs),
                }
            )
    return rows


def compare_categories(scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """One row per category: share of rooms with it, median longest side and share at the wall, each
    in the generated and in the real rooms."""
    real = json.loads(STATISTICS.read_text())["categories"]
    ours = category_table(scenes)
    return [
        {
            "category": c,
            **{
                f"{side} {key}": t[c][key] if c in t else None
                for key in ("rooms", "longest", "wall")
                for side, t in (("generated", ours), ("real", real))
            },
        }
        for c in sorted(real)
    ]


def compare_pairs(scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """One row per pair of common categories: how much more often than by chance they share a
    room."""
    ours = {(a, b): lift for a, b, lift in _lift(scenes)}
    real = json.loads(STATISTICS.read_text())["lift"]
    return [
        {"pair": f"{a}, {b}", "generated": ours[a, b], "real": lift}
        for a, b, lift in real
        if (a, b) in ours
    ]


def category_table(scenes: Sequence[Scene]) -> dict[str, dict[str, Any]]:
    """Category -> numbers of instances, sizes and share at the wall.

    Keys of a row: ``instances`` in all rooms; ``rooms``, the share of rooms with the category; of
    these rooms, the share with a ``single`` instance, the ``most`` instances and the mean of two or
    more (``mean_multi``); quantiles of the three ``sizes`` (m) and the ``correlation`` of their
    logarithms (length-width, length-height, width-height); median ``longest`` side (m); share at
    the ``wall``, None where no room is large enough to say.
    """
    gaps: dict[str, list[float]] = {}
    for s in scenes:
        for c, g in wall_gaps(s):
            gaps.setdefault(c, []).append(g)

    table = {}
    for c in sorted({c for s in scenes for c in s.categories}):
        # Instances in the rooms that have any.
        counts = np.array([len(s.instances(c)) for s in scenes])
        counts = counts[counts > 0]
        several = counts[counts > 1]

        # Sizes of all instances.
        sizes = np.array([length_width_height(o) for s in scenes for o in s.instances(c)])
        logs = np.log(sizes)
        correlation = np.corrcoef(logs.T) if len(logs) > 4 else np.eye(3)

        near_wall = np.array(gaps.get(c, [])) < WALL_GAP
        table[c] = {
            "instances": int(counts.sum()),
            "rooms": round(len(counts) / len(scenes), 4),
            "single": round(float((counts == 1).mean()), 4),
            "most": int(counts.max()),
            "mean_multi": round(float(several.mean()), 3) if len(several) else 2.0,
            "sizes": np.round(np.quantile(sizes, SIZE_LEVELS, axis=0).T, 3).tolist(),
            "correlation": [
                round(float(correlation[i, j]), 3) for i, j in ((0, 1), (0, 2), (1, 2))
            ],
            "longest": round(float(np.median(sizes.max(1))), 4),
            "wall": round(float(near_wall.mean()), 4) if len(near_wall) else None,
        }
    return table


def _room_kind(scenes: Sequence[Scene], total: int) -> dict[str, Any]:
    """Statistics of the rooms of one type: share of all rooms, area, object numbers, categories."""
    counters = [Counter(o.category for o in s.objects) for s in scenes]

    # The four numbers of a room whose joint distribution the generator draws from: floor area,
    # categories with one instance, with more, and instances beyond the second.
    single = np.array([sum(n == 1 for n in c.values()) for c in counters])
    multi = np.array([sum(n > 1 for n in c.values()) for c in counters])
    extra = np.array([sum(c.values()) for c in counters]) - single - 2 * multi
    area = np.array([s.floor_area for s in scenes])
    columns = {"area": area, "single": single, "multi": multi, "extra": extra}

    # Normal scores of their ranks, for the correlation of a Gaussian copula.
    normal = [ndtri((rankdata(v) - 0.5) / len(v)) for v in columns.values()]
    return {
        "share": round(len(scenes) / total, 4),
        "levels": list(LEVELS),
        "quantiles": {name: quantiles(v) for name, v in columns.items()},
        "correlation": np.round(0.98 * np.corrcoef(normal) + 0.02 * np.eye(4), 4).tolist(),
        "presence": {
            c: round(n / len(scenes), 4)
            for c, n in Counter(c for k in counters for c in k).most_common()
        },
    }


def _lift(scenes: Sequence[Scene], least: int = 3) -> list[tuple[str, str, float]]:
    """(category, category, how much more often than by chance they share a room, 1/3 to 3).

    Only pairs that share ``least`` rooms, or would by chance.
    """
    present = {
        c: np.array([bool(s.instances(c)) for s in scenes])
        for c in sorted({c for s in scenes for c in s.categories})
    }
    rows = []
    for a in present:
        for b in present:
            expected = present[a].mean() * present[b].mean() * len(scenes)
            both = int((present[a] & present[b]).sum())
            if a < b and max(both, expected) >= least:
                lift = np.clip((both + 1) / (expected + 1), 1 / 3, 3)
                rows.append((a, b, round(float(lift), 3)))
    return rows


def aggregate(scenes: Sequence[Scene]) -> dict[str, Any]:
    """All that the procedural generator knows of real rooms: aggregates, nothing of one room."""
    kinds: dict[str, list[Scene]] = {}
    for s in scenes:
        kinds.setdefault(room_type(s.categories), []).append(s)
    shares = {k: _room_kind(v, len(scenes)) for k, v in sorted(kinds.items())}
    shares["other"]["share"] = round(
        1 - sum(k["share"] for n, k in shares.items() if n != "other"), 4
    )
    return {
        "size_levels": list(SIZE_LEVELS),
        "source": "aggregates of the 288 rooms in data/meta_info of vision-x-nyu/thinking-in-space (Apache-2.0)",
        "room_types": shares,
        "categories": category_table(scenes),
        "lift": _lift(scenes),
        "quantities": {name: quantiles(values(scenes, name)) for name in QUANTITIES},
    }


def write(scenes: Iterable[Scene], path: Path = STATISTICS) -> Path:
    """Write ``aggregate`` as JSON; the package ships the file made from the 288 real layouts."""
    return write_atomic(path, json.dumps(aggregate(list(scenes)), separators=(",", ":")) + "\n")
