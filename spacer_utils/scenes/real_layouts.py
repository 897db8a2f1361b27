"""The 288 rooms of VSI-Bench, rebuilt from their published object boxes.

The boxes are in ``data/meta_info`` of the public repository vision-x-nyu/thinking-in-space and not
in this one: pass their folder or set ``REAL_LAYOUTS``. These are rooms of a benchmark: they serve
evaluation only, never training.
"""

from __future__ import annotations

import functools
import json
import math
import os
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from ..core.registry import SCENES
from ..core.types import Box, Scene, SceneObject, WorkbookError
from .contents import room_type, statistics
from .floor_plan import Floats, corners, footprints
from .placement import CEILING, HANGING, RESTING, face_room

DATASETS = ("arkitscenes", "scannet", "scannetpp")
HOW_TO_GET = (
    "Get data/meta_info/{arkitscenes,scannet,scannetpp}_meta_info_val.json of the public repository "
    "vision-x-nyu/thinking-in-space, and set REAL_LAYOUTS to their folder."
)
MIN_SIDE, MAX_SIDE = 0.005, 20.0
"""Range of a believable side of a box, metres."""
HALF_HEIGHT = 1.2
"""Typical height of a scanned room's centre above its floor, metres."""


@dataclass(frozen=True)
class Layouts:
    """The rooms that were read, and what had to be left out."""

    scenes: tuple[Scene, ...]
    problems: tuple[str, ...]
    """One line per room or category left out, naming it."""
    count_mismatches: tuple[str, ...]
    """Rooms whose ``object_counts`` disagree with their boxes (the boxes are trusted)."""


@SCENES.register("real_layouts", evaluation_only=True)
def rooms(
    split: str = "real_layouts",
    count: int | None = None,
    seed: int = 0,
    *,
    folder: Path | str | None = None,
) -> Iterator[Scene]:
    """The rooms of VSI-Bench rebuilt from published object boxes; evaluation only.

    Args:
        count: at most this many, taken evenly from the three datasets; None for all.
        seed: fixes the order of the rooms.
        folder: see ``read``.

    Raises:
        WorkbookError: the split is not ``real_layouts``, or the folder is missing or lacks the
            files.
    """
    if split != "real_layouts":
        raise WorkbookError(
            f"real layouts are benchmark rooms and can't enter split {split!r}. Use split 'real_layouts'."
        )
    layouts = read(folder)
    for problem in layouts.problems:
        warnings.warn(problem, stacklevel=2)

    # Shuffle the rooms of each dataset.
    by_source: dict[str, list[Scene]] = {}
    for scene in sorted(
        layouts.scenes, key=lambda s: (crc32(f"{seed}:{s.scene_id}".encode()), s.scene_id)
    ):
        by_source.setdefault(scene.scene_id.split("-")[0], []).append(scene)

    # Mix the datasets: each advances by the same share of its rooms.
    ranked = sorted(
        (k / len(group), source, scene)
        for source, group in by_source.items()
        for k, scene in enumerate(group)
    )
    yield from [scene for _, _, scene in ranked][:count]


def read(folder: Path | str | None = None, known: Collection[str] | None = None) -> Layouts:
    """Every readable room of the folder, in the order of the files.

    Args:
        folder: where the three ``*_meta_info_val.json`` lie; None takes the environment variable
            ``REAL_LAYOUTS``.
        known: categories that can be drawn; None takes those of the statistics.

    Raises:
        WorkbookError: no folder given, or it lacks a file, or a file is not JSON, or no room can be
            used.
    """
    drawable = statistics()["names"] if known is None else known
    root = folder or os.environ.get("REAL_LAYOUTS")
    if not root:
        raise WorkbookError(f"real layouts: no folder given. {HOW_TO_GET}")
    files = tuple(Path(root) / f"{dataset}_meta_info_val.json" for dataset in DATASETS)
    missing = [f.name for f in files if not f.is_file()]
    if missing:
        raise WorkbookError(f"real layouts: {root} lacks {', '.join(missing)}. {HOW_TO_GET}")
    layouts = _read(files, tuple(f.stat().st_mtime_ns for f in files), tuple(drawable))
    if not layouts.scenes:
        why = "; ".join(layouts.problems[:1])
        raise WorkbookError(
            f"real layouts: {root} holds no room that can be used ({why}). {HOW_TO_GET}"
        )
    return layouts


@functools.lru_cache(maxsize=2)
def _read(files: tuple[Path, ...], changed: tuple[int, ...], known: tuple[str, ...]) -> Layouts:
    """The work of ``read``, cached as long as the files' modification times stay the same."""
    scenes: list[Scene] = []
    problems: list[str] = []
    mismatches: list[str] = []
    for dataset, path in zip(DATASETS, files):
        for name, room in _load(path).items():
            where = f"{path.name}, room {name}"
            try:
                scenes.append(_scene(dataset, name, room, where, known, problems))
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                problems.append(
                    f"{where}: left out, not a room of this schema ({type(error).__name__}: {error})"
                )
                continue
            if {c: len(b) for c, b in room["object_bbox"].items()} != room.get("object_counts"):
                mismatches.append(where)
    return Layouts(tuple(scenes), tuple(problems), tuple(mismatches))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WorkbookError(f"real layouts: can't read {path} ({error}). {HOW_TO_GET}") from error
    if not isinstance(content, dict):
        raise WorkbookError(f"real layouts: {path} holds no table of rooms. {HOW_TO_GET}")
    return content


def _scene(
    dataset: str,
    name: str,
    room: dict[str, Any],
    where: str,
    known: Collection[str],
    problems: list[str],
) -> Scene:
    """One room with its floor at z = 0 and its main axes along x and y.

    Categories that can't be used are added to ``problems``; a broken schema raises whatever Python
    raises on it.
    """
    area, center = float(room["room_size"]), np.asarray(room["room_center"], dtype=np.float64)
    if not (
        math.isfinite(area) and area > 0 and center.shape == (3,) and np.isfinite(center).all()
    ):
        raise ValueError(f"room_size {room['room_size']!r}, room_center {room['room_center']!r}")

    # The usable boxes, upright.
    found: list[tuple[str, Box]] = []
    for category, rows in room["object_bbox"].items():
        try:
            if category not in known:
                raise ValueError("unknown to the furniture table")
            found += [(category, upright(row)) for row in rows]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            problems.append(f"{where}: category {category!r} left out ({error})")
    if not found:
        raise ValueError("no usable object")

    # Turn the room so that its furniture is parallel to the axes.
    floor = _floor_level(found, float(center[2]))
    yaw = main_direction(footprints(box for _, box in found))
    found = [(category, turned(box, -yaw)) for category, box in found]

    # Build walls around it, put the boxes on the floor, and give them a front.
    polygon = room_outline(footprints(box for _, box in found), rotation(-yaw) @ center[:2], area)
    objects = tuple(
        SceneObject(
            k,
            category,
            face_room(category, _stand(category, box, floor), polygon),
            crc32(f"{name}:{k}".encode()),
        )
        for k, (category, box) in enumerate(found, 1)
    )
    top = max(o.box.center[2] + o.box.size[2] / 2 for o in objects)
    return Scene(
        scene_id=f"{dataset}-{name}",
        space_id=f"{dataset}-{name.rsplit('_', 1)[0] if dataset == 'scannet' else name}",
        source="real_layouts",
        split="real_layouts",
        polygon=polygon,
        floor_area=round(area, 4),
        ceiling_height=round(max(2.4, top + 0.05), 3),
        objects=objects,
        room_type=room_type({c for c, _ in found}),
        seed=crc32(name.encode()),
    )


def upright(row: dict[str, Any]) -> Box:
    """An upright box with the lengths and the centre of a published one.

    The published axis nearest to +z becomes its height. This matters because the minimal boxes of
    ScanNet lean by up to 45 degrees.

    Args:
        row: ``centroid``, ``axesLengths`` (metres) and ``normalizedAxes``, whose nine numbers are
            the axes as rows of a 3 x 3 matrix.

    Raises:
        ValueError: a side is outside ``MIN_SIDE`` to ``MAX_SIDE``, or a number is not finite.
    """
    lengths = np.asarray(row["axesLengths"], dtype=np.float64)
    center = np.asarray(row["centroid"], dtype=np.float64)
    axes = np.asarray(row["normalizedAxes"], dtype=np.float64).reshape(3, 3)
    if lengths.shape != (3,) or not ((lengths >= MIN_SIDE) & (lengths <= MAX_SIDE)).all():
        raise ValueError(f"box with sides {row['axesLengths']} m")
    if center.shape != (3,) or not (np.isfinite(center).all() and np.isfinite(axes).all()):
        raise ValueError(f"box at {row['centroid']}")

    # The yaw comes from the more level of the two other axes.
    up = int(np.argmax(np.abs(axes[:, 2])))
    first, second = (k for k in range(3) if k != up)
    if np.hypot(*axes[first, :2]) >= np.hypot(*axes[second, :2]):
        yaw = math.atan2(axes[first, 1], axes[first, 0])
    else:
        yaw = math.atan2(axes[second, 1], axes[second, 0]) - math.pi / 2
    return Box(
        (float(center[0]), float(center[1]), float(center[2])),
        (float(lengths[first]), float(lengths[second]), float(lengths[up])),
        yaw,
    )


def _stands(category: str) -> bool:
    """Do objects of this category stand on the floor?"""
    return HANGING.get(category) == 0.0 or not (
        category in HANGING or category in RESTING or category in CEILING
    )


def _floor_level(found: list[tuple[str, Box]], middle: float) -> float:
    """z of the floor, metres: the 10% quantile of the lower ends of objects that stand on it.

    Without such an object: ``HALF_HEIGHT`` below the room's centre, or the lowest end of any.
    """
    bottoms = [(category, box.center[2] - box.size[2] / 2) for category, box in found]
    standing = [z for category, z in bottoms if _stands(category)]
    if standing:
        return float(np.quantile(standing, 0.1))
    return min(middle - HALF_HEIGHT, *(z for _, z in bottoms))


def _stand(category: str, box: Box, floor: float, slack: float = 0.35) -> Box:
    """The box with the floor at z = 0, and none of it below.

    An object that stands on floors is lowered onto it if it hangs less than ``slack`` metres above.
    """
    bottom = box.center[2] - box.size[2] / 2 - floor
    if bottom < 0 or (bottom < slack and _stands(category)):
        bottom = 0.0
    return Box((box.center[0], box.center[1], bottom + box.size[2] / 2), box.size, box.yaw)


def main_direction(rects: Floats) -> float:
    """Angle from the scan's x axis to the furniture's nearest main axis, radians, -pi/4 to pi/4.

    A mean of the (N, 5) footprints' directions in which large and long ones count more.
    """
    area, elongation = rects[:, 2] * rects[:, 3], np.abs(np.log(rects[:, 2] / rects[:, 3]))
    weight = area * (1 + elongation)

    # Four times the angle is the same for all four sides of a rectangle.
    return float(np.angle(np.sum(weight * np.exp(4j * rects[:, 4])))) / 4


def rotation(yaw: float) -> Floats:
    """(2, 2) matrix of a counter-clockwise turn."""
    return np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])


def turned(box: Box, yaw: float) -> Box:
    """The box after the whole room is turned by ``yaw`` about the scan's origin."""
    x, y = rotation(yaw) @ np.array(box.center[:2])
    return Box((float(x), float(y), box.center[2]), box.size, box.yaw + yaw)


def room_outline(rects: Floats, center: Floats, area: float) -> tuple[tuple[float, float], ...]:
    """Rectangular outline that holds all (N, 5) footprints and has the published floor area (m2).

    The files give an area and a centre but no walls. The outline is the rectangle around the
    furniture, joined with one of the same proportions around ``center`` that is as large as the
    area allows. It is larger than ``area`` where the furniture alone is.
    """
    points = corners(rects).reshape(-1, 2)
    low, high = points.min(0) - 0.02, points.max(0) + 0.02
    half = np.maximum((high - low) / 2, 0.5)

    # Bisection: the largest scale of the centred rectangle that keeps the area.
    small, large = 0.0, 50.0
    for _ in range(60):
        scale = (small + large) / 2
        sides = np.maximum(high, center + scale * half) - np.minimum(low, center - scale * half)
        small, large = (small, scale) if np.prod(sides) > area else (scale, large)

    x0, y0 = np.minimum(low, center - small * half).tolist()
    x1, y1 = np.maximum(high, center + small * half).tolist()
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)
