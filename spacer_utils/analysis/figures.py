"""Figures: data in, Figure out. Okabe-Ito colours; a question type or a method keeps its colour
everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from ..core.registry import METHODS
from ..core.types import Clip, MapCells, Scene
from .dot_figures import PALE, SMALL, WIDTH, name_lines, panels

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
_FIXED = {
    "base": "#7f7f7f",
    "base with map": "#B2DF8A",
    "base, true map": "#FDBF6F",
    "base, blind": "#969696",
    "base, shuffled": "#636363",
    "prior": "#bdbdbd",
    "chance": "#d9d9d9",
    "object_counting": "#0072B2",
    "object_abs_distance": "#E69F00",
    "object_size_estimation": "#009E73",
    "room_size_estimation": "#D55E00",
    "object_rel_distance": "#CC79A7",
    "object_rel_direction_easy": "#56B4E9",
    "object_rel_direction_medium": "#3A7CA5",
    "object_rel_direction_hard": "#16425B",
    "obj_appearance_order": "#8A6D00",
    "route_planning": "#5D3A9B",
    "copy": "#7f7f7f",
    "look": "#56B4E9",
    "answer": "#D55E00",
    "mix": "#E69F00",
}
"""Colours that never change; a method's stand in its file, everything else takes a stable place in
the Okabe-Ito cycle."""


def colour(name: str) -> str:
    """Hex colour of a question type, method or category; the same in every figure and every run."""
    base = re.sub(r"(-lora|-full)?(-s\d+)?( first third| last third)?$", "", name)
    if base not in METHODS.names() and re.fullmatch(r"(sg_)?rlvr_\w+", base):
        return "#4D4D4D"  # a method of an older study that is no more
    own = METHODS[base].colour if base in METHODS.names() else None
    return own or _FIXED.get(base, OKABE_ITO[sum(base.encode()) % 7])


def pretty(name: str) -> str:
    """``object_abs_distance`` -> ``object abs distance``."""
    return name.replace("_", " ")


def _grid(n: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """Axes of the given size in inches, or smaller where a page is not as wide."""
    columns = min(columns, max(1, n))
    scale = min(1.0, WIDTH / (width * columns))
    rows = max(1, math.ceil(n / columns))
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(scale * width * columns, scale * height * rows),
        squeeze=False,
        layout="constrained",
    )
    flat = list(axes.flat)
    for axis in flat[n:]:
        axis.axis("off")
    plt.close(figure)
    return figure, flat[:n]


def frames_sheet(
    frames: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str] = (), columns: int = 4
) -> Figure:
    """Contact sheet of (H, W, 3) uint8 pictures."""
    figure, axes = _grid(len(frames), columns, 2.4, 2.5)
    for k, axis in enumerate(axes):
        axis.imshow(frames[k])
        axis.axis("off")
        if k < len(titles):
            axis.set_title(titles[k], fontsize=9)
    return figure


def token_names(
    frames: Sequence[npt.NDArray[np.uint8]],
    names: Sequence[Sequence[Sequence[str]]],
    columns: int = 3,
) -> Figure:
    """Pictures under the grid of their vision tokens, with the name that each token is told; see
    ``training.perception``."""
    figure, axes = _grid(len(frames), columns, 3.4, 3.4)
    for frame, table, axis in zip(frames, names, axes):
        axis.imshow(frame)
        axis.axis("off")
        step = frame.shape[0] / len(table)
        for y, row in enumerate(table):
            for x, name in enumerate(row):
                axis.add_patch(
                    Rectangle((x * step, y * step), step, step, fill=False, lw=0.6, color="white")
                )
                box = {
                    "boxstyle": "round,pad=0.15",
                    "fc": "black",
                    "lw": 0,
                    "alpha": 0.55 if name else 0,
                }
                axis.text(
                    (x + 0.5) * step,
                    (y + 0.5) * step,
                    name.replace(" ", "\n"),
                    color="white",
                    fontsize=SMALL,
                    ha="center",
                    va="center",
                    bbox=box,
                )
    return figure


def _footprint(
    center: Sequence[float], size: Sequence[float], yaw: float
) -> npt.NDArray[np.float64]:
    c, s = math.cos(yaw), math.sin(yaw)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array(size[:2]) / 2
    turned: npt.NDArray[np.float64] = corners @ np.array([[c, s], [-s, c]]) + np.array(center[:2])
    return turned


def room_plan(scene: Scene, clip: Clip | None = None, axis: Any = None) -> Figure:
    """Top view of a room in metres: footprints, category names and, with a clip, the camera's path
    and first view."""
    if axis is None:
        _, (axis,) = _grid(1, 1, 5.5, 5.0)
    outlines = scene.rooms or (scene.polygon,)
    for outline in outlines:
        axis.add_patch(Polygon(np.array(outline), fill=False, lw=2, color="#333333"))
    for o in scene.objects:
        shape = _footprint(o.box.center, o.box.size, o.box.yaw)
        axis.add_patch(
            Polygon(shape, alpha=0.45, facecolor=colour(o.category), edgecolor="black", lw=0.8)
        )
        axis.annotate(o.category, o.box.center[:2], ha="center", va="center", fontsize=SMALL)
    if clip is not None:
        poses = np.array(clip.poses)
        axis.plot(poses[:, 0, 3], poses[:, 1, 3], ".-", color="#D55E00", lw=1, ms=3)
        eye, ahead = poses[0, :2, 3], poses[0, :2, 2]
        axis.annotate(
            "",
            xy=eye + 0.9 * ahead / max(float(np.linalg.norm(ahead)), 1e-9),
            xytext=eye,
            arrowprops={"arrowstyle": "->", "color": "#D55E00", "lw": 2},
        )
    points = np.concatenate([np.array(o) for o in outlines])
    axis.set_xlim(points[:, 0].min() - 0.3, points[:, 0].max() + 0.3)
    axis.set_ylim(points[:, 1].min() - 0.3, points[:, 1].max() + 0.3)
    axis.set_aspect("equal")
    axis.set_xlabel("x (m)")
    axis.set_ylabel("y (m)")
    axis.set_title(f"{scene.scene_id}: {scene.room_type}, {scene.floor_area:.1f} m²", fontsize=9)
    whole: Figure = axis.figure
    return whole


def room_plans(
    scenes: Sequence[Scene], clips: Sequence[Clip | None] = (), columns: int = 3
) -> Figure:
    """Top views side by side."""
    figure, axes = _grid(len(scenes), columns, 4.2, 4.0)
    for k, (scene, axis) in enumerate(zip(scenes, axes)):
        room_plan(scene, clips[k] if k < len(clips) else None, axis)
    return figure


def cognitive_maps(maps: Mapping[str, MapCells], grid: int = 10, columns: int = 3) -> Figure:
    """Maps on their integer grid; y grows upwards (away from the first camera in the first-view
    frame)."""
    figure, axes = _grid(len(maps), columns, 3.9, 3.7)
    for (title, cells), axis in zip(maps.items(), axes):
        _draw_map(axis, title, cells, grid)
    return figure


def clip_and_maps(
    frames: Sequence[npt.NDArray[np.uint8]], maps: Mapping[str, MapCells], grid: int = 10
) -> Figure:
    """Frames of a clip in a row, and its maps side by side below."""
    figure = plt.figure(figsize=(WIDTH, 5.3), layout="constrained")
    plt.close(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.35, 3.9)).flat
    for frame, axis in zip(frames, above.subplots(1, len(frames), squeeze=False).flat):
        axis.imshow(frame)
        axis.axis("off")
    for (title, cells), axis in zip(maps.items(), below.subplots(1, len(maps), squeeze=False).flat):
        _draw_map(axis, title, cells, grid)
    return figure


def _draw_map(axis: Any, title: str, cells: MapCells, grid: int) -> None:
    """One map: a dot per object, its name above it; objects of one cell are named one above the
    other."""
    seen: dict[tuple[int, int], int] = {}
    for category, points in cells.items():
        for x, y in (p[:2] for p in points if len(p) >= 2):
            stack = seen.get((x, y), 0)
            seen[(x, y)] = stack + 1
            axis.scatter(
                x + 0.5,
                y + 0.5,
                s=90,
                color=colour(category),
                alpha=0.8,
                edgecolor="black",
                lw=0.5,
            )
            axis.annotate(
                category,
                (x + 0.5, y + 0.62 + 0.45 * stack),
                ha="center",
                va="bottom",
                fontsize=SMALL,
            )
    axis.set_xlim(0, grid)
    axis.set_ylim(0, grid)
    axis.set_xticks(range(grid + 1), minor=False)
    axis.set_yticks(range(grid + 1), minor=False)
    axis.tick_params(labelsize=SMALL)
    axis.set_aspect("equal")
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("cell x", fontsize=SMALL)
    axis.set_ylabel("cell y", fontsize=SMALL)


def smooth(values: Sequence[float], window: int = 5) -> npt.NDArray[np.float64]:
    """Centred moving average that shortens at the ends; NaN are left out."""
    array = np.asarray(values, float)
    half = window // 2
    with np.errstate(invalid="ignore"):
        return np.array(
            [
                np.nanmean(w) if np.isfinite(w).any() else np.nan
                for w in (array[max(0, i - half) : i + half + 1] for i in range(len(array)))
            ]
        )


def curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    keys: Sequence[str],
    *,
    columns: int = 2,
    window: int = 5,
    labels: Mapping[str, str] | None = None,
    behind: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Figure:
    """One panel per metric, one line per run, named at its end: raw values faint, moving average
    thick. Rows have ``step`` and metrics.

    Args:
        behind: runs of another study, drawn as pale lines without names.
    """
    columns = min(columns, max(1, len(keys)))
    figure, axes = panels(len(keys), columns, 2.6)
    for key, axis in zip(keys, axes):
        for rows in (behind or {}).values():
            if points := [(r["step"], r[key]) for r in rows if isinstance(r.get(key), int | float)]:
                steps, values = zip(*points)
                axis.plot(steps, smooth(values, window), color=PALE, lw=1.4, zorder=1)
        for name, rows in runs.items():
            points = [(r["step"], r[key]) for r in rows if isinstance(r.get(key), int | float)]
            if points:
                steps, values = zip(*points)
                axis.plot(steps, values, color=colour(name), alpha=0.25, lw=1)
                axis.plot(
                    steps,
                    smooth(values, window),
                    color=colour(name),
                    lw=2,
                    label=name,
                    ls="--" if "-full" in name else "-",
                    marker="o" if len(steps) < 4 else None,
                    ms=4,
                )
        axis.set_title((labels or {}).get(key, pretty(key)), fontsize=9, loc="left")
        axis.set_xlabel("optimiser step", fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        name_lines(axis, WIDTH / columns - 0.5, 1.9)
    notes = ["faint: single steps, thick: moving average"] * (window > 1)
    notes += ["dashed: all weights, solid: LoRA"] * any("-full" in n or "-lora" in n for n in runs)
    notes += ["pale: the committed study"] * bool(behind)
    if notes:
        figure.suptitle("; ".join(notes), fontsize=SMALL, x=0.01, ha="left")
    return figure


def answer_balance(counts: Mapping[str, Mapping[str, int]], columns: int = 3) -> Figure:
    """Bars of how often each answer occurs, one panel per question type, with the uniform share as
    a dotted line."""
    figure, axes = _grid(len(counts), columns, 3.6, 2.4)
    for (question_type, answers), axis in zip(counts.items(), axes):
        total = sum(answers.values())
        axis.bar(
            range(len(answers)),
            [100 * v / max(1, total) for v in answers.values()],
            color=colour(question_type),
        )
        axis.axhline(100 / max(1, len(answers)), color="black", ls=":", lw=1)
        upright = sum(map(len, answers)) > 30  # side by side they would stand on each other
        names = [re.sub(r"^bin \d+ \((.*)\)$", r"\1", name) for name in answers]
        axis.set_xticks(range(len(answers)), names, fontsize=SMALL, rotation=90 if upright else 0)
        axis.set_title(f"{pretty(question_type)} (n={total})", fontsize=8)
        axis.set_ylabel("share (%)", fontsize=8)
    return figure


def shares(
    rows: Sequence[Mapping[str, Any]], name: str, parts: Sequence[str], xlabel: str
) -> Figure:
    """A bar per row, divided into the shares of its counts ``parts``; how many the first is of all
    stands beside it. Shares, because small sources would vanish beside large ones."""
    figure, (axis,) = panels(1, 1, 0.26 * len(rows) + 0.9)
    labels = [f"{r[name]}, {r['data type']}" if "data type" in r else str(r[name]) for r in rows]
    totals = [max(1, sum(r[part] for part in parts)) for r in rows]
    left = np.zeros(len(rows))
    for part, tone in zip(parts, ("#009E73", "#D55E00", "#4D4D4D", "#56B4E9")):
        width = np.array([100 * r[part] / total for r, total in zip(rows, totals)])
        axis.barh(labels, width, left=left, color=tone, label=part, height=0.7)
        left += width
    for y, (r, total) in enumerate(zip(rows, totals)):
        axis.text(101, y, f"{r[parts[0]]:,} of {total:,}", va="center", fontsize=SMALL)
    axis.set_xlim(0, 118)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel(f"{xlabel} (%)", fontsize=SMALL)
    axis.tick_params(labelsize=SMALL)
    axis.invert_yaxis()
    figure.legend(loc="outside upper left", ncols=len(parts), fontsize=SMALL, frameon=False)
    return figure


def dots(
    groups: Mapping[str, Sequence[float]], *, xlabel: str, mark: float | None = None
) -> Figure:
    """One row of dots per group with its mean as a bar: for scores of many small cases."""
    figure, (axis,) = _grid(1, 1, 7.0, 0.45 * len(groups) + 1.2)
    rng = np.random.default_rng(0)
    for i, (name, values) in enumerate(groups.items()):
        y = i + rng.uniform(-0.16, 0.16, len(values))
        axis.scatter(values, y, s=10, alpha=0.35, color=colour(name))
        if len(values):
            axis.plot([np.mean(values)] * 2, [i - 0.32, i + 0.32], color="black", lw=2)
    axis.set_yticks(
        range(len(groups)), [f"{pretty(n)} (n={len(v)})" for n, v in groups.items()], fontsize=8
    )
    if mark is not None:
        axis.axvline(mark, color="#D55E00", ls=":", lw=1.2)
    axis.set_xlabel(xlabel)
    axis.invert_yaxis()
    return figure


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, xlabel: str, ylabel: str
) -> Figure:
    """One line per name, ``(x, y)``."""
    figure, (axis,) = _grid(1, 1, 6.5, 3.6)
    for name, (x, y) in series.items():
        axis.plot(x, y, color=colour(name), lw=2, label=pretty(name))
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    if len(series) > 1:
        axis.legend(fontsize=8)
    return figure


def views(
    rgb: npt.NDArray[np.uint8], ids: npt.NDArray[np.int32], depth: npt.NDArray[np.float32]
) -> Figure:
    """One rendered view three ways: colour, instance ids, depth in metres."""
    figure, axes = _grid(3, 3, 3.6, 3.4)
    axes[0].imshow(rgb)
    axes[1].imshow(
        np.where(ids > 0, ids % 20 + 1, 0), cmap="tab20", vmin=0, vmax=20, interpolation="nearest"
    )
    image = axes[2].imshow(depth, cmap="viridis")
    figure.colorbar(image, ax=axes[2], label="depth (m)", shrink=0.8)
    for axis, title in zip(axes, ("colour", "instance ids", "depth")):
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    return figure


def visibility(shares: Mapping[str, Sequence[float]], threshold: float) -> Figure:
    """Which object covers how much of which frame: one row per object, a dot where it counts as
    seen.

    Args:
        shares: name -> (T,) share of the frame's pixels, 0-1.
        threshold: share from which an object counts as seen.
    """
    figure, (axis,) = _grid(1, 1, 7.5, 0.28 * len(shares) + 1.3)
    table = 100 * np.array(list(shares.values()))
    image = axis.imshow(np.sqrt(table), aspect="auto", cmap="Blues", vmin=0)
    rows, frames = np.nonzero(table >= 100 * threshold)
    axis.scatter(
        frames,
        rows,
        s=10,
        color="#D55E00",
        label=f"seen: at least {100 * threshold:g} % of the picture",
    )
    ticks = [0, 1, 5, 10, 25, 50]
    bar = figure.colorbar(image, ax=axis, label="share of the picture (%)")
    bar.set_ticks(
        [math.sqrt(t) for t in ticks if t <= table.max()],
        labels=[str(t) for t in ticks if t <= table.max()],
    )
    axis.set_yticks(range(len(shares)), list(shares), fontsize=8)
    axis.set_xlabel("frame")
    axis.grid(visible=False)
    axis.legend(fontsize=SMALL, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return figure


def quantiles(
    rows: Sequence[Mapping[str, Any]], levels: Sequence[float], columns: int = 4
) -> Figure:
    """Quantile curves of generated against real values, one panel per row of
    ``scenes.statistics.compare``."""
    figure, axes = _grid(len(rows), columns, 3.2, 2.7)
    for row, axis in zip(rows, axes):
        for side, tone in (("real", "#D55E00"), ("generated", "#0072B2")):
            axis.plot(
                [100 * q for q in levels[1:-1]],
                row[side][1:-1],
                color=tone,
                lw=2,
                label=side,
                ls="--" if side == "real" else "-",
            )
        axis.set_title(f"{row['quantity']} (distance {row['distance']:.2f})", fontsize=8)
        axis.set_xlabel("quantile (%)", fontsize=8)
        axis.set_ylabel(row["unit"], fontsize=8)
    axes[0].legend(fontsize=SMALL)
    return figure
