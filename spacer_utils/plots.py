"""Figures: data in, Figure out. Okabe-Ito colours; a question type or a method keeps its colour everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.figure import Figure

from .types import Clip, MapCells, Scene

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
_FIXED = {
    "base": "#7f7f7f", "sft": "#56B4E9", "sft_map": "#0072B2", "rlvr": "#E69F00", "t_grpo": "#CC79A7", "sg_rlvr": "#009E73",
    "sg_rlvr_calibrated": "#D55E00", "sg_rlvr_aligned": "#8A6D00", "sg_rlvr_relations": "#5D3A9B",
    "prior": "#bdbdbd", "blind": "#969696", "shuffled": "#636363", "chance": "#d9d9d9",
    "object_counting": "#0072B2", "object_abs_distance": "#E69F00", "object_size_estimation": "#009E73",
    "room_size_estimation": "#D55E00", "object_rel_distance": "#CC79A7", "object_rel_direction_easy": "#56B4E9",
    "object_rel_direction_medium": "#3A7CA5", "object_rel_direction_hard": "#16425B", "obj_appearance_order": "#8A6D00",
    "route_planning": "#5D3A9B",
}
"""Colours that never change; everything else takes a stable place in the Okabe-Ito cycle."""

sns.set_theme(style="whitegrid", context="notebook", rc={
    "figure.dpi": 100, "axes.titlesize": "medium", "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "spacer",
})


def colour(name: str) -> str:
    """Hex colour of a question type, method or category; the same in every figure and every run."""
    base = name.removesuffix("-lora").removesuffix("-full")
    return _FIXED.get(base, OKABE_ITO[sum(base.encode()) % 7])


def pretty(name: str) -> str:
    """``object_abs_distance`` -> ``object abs distance``."""
    return name.replace("_", " ")


def _grid(n: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    rows = max(1, math.ceil(n / columns))
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained")
    flat = list(axes.flat)
    for axis in flat[n:]:
        axis.axis("off")
    plt.close(figure)
    return figure, flat[:n]


def frames_sheet(frames: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str] = (), columns: int = 4) -> Figure:
    """Contact sheet of (H, W, 3) uint8 pictures."""
    figure, axes = _grid(len(frames), columns, 2.4, 2.5)
    for k, axis in enumerate(axes):
        axis.imshow(frames[k])
        axis.axis("off")
        if k < len(titles):
            axis.set_title(titles[k], fontsize=9)
    return figure


def _footprint(center: Sequence[float], size: Sequence[float], yaw: float) -> npt.NDArray[np.float64]:
    c, s = math.cos(yaw), math.sin(yaw)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array(size[:2]) / 2
    return corners @ np.array([[c, s], [-s, c]]) + np.array(center[:2])


def room_plan(scene: Scene, clip: Clip | None = None, axis: Any = None) -> Figure:
    """Top view of a room in metres: footprints, category names and, with a clip, the camera's path and first view."""
    if axis is None:
        figure, (axis,) = _grid(1, 1, 5.5, 5.0)
    outlines = scene.rooms or (scene.polygon,)
    for outline in outlines:
        axis.add_patch(plt.Polygon(np.array(outline), fill=False, lw=2, color="#333333"))
    for o in scene.objects:
        shape = _footprint(o.box.center, o.box.size, o.box.yaw)
        axis.add_patch(plt.Polygon(shape, alpha=0.45, facecolor=colour(o.category), edgecolor="black", lw=0.8))
        axis.annotate(o.category, o.box.center[:2], ha="center", va="center", fontsize=7)
    if clip is not None:
        poses = np.array(clip.poses)
        axis.plot(poses[:, 0, 3], poses[:, 1, 3], ".-", color="#D55E00", lw=1, ms=3)
        eye, ahead = poses[0, :2, 3], poses[0, :2, 2]
        axis.annotate("", xy=eye + 0.9 * ahead / max(np.linalg.norm(ahead), 1e-9), xytext=eye,
                      arrowprops={"arrowstyle": "->", "color": "#D55E00", "lw": 2})
    points = np.concatenate([np.array(o) for o in outlines])
    axis.set_xlim(points[:, 0].min() - 0.3, points[:, 0].max() + 0.3)
    axis.set_ylim(points[:, 1].min() - 0.3, points[:, 1].max() + 0.3)
    axis.set_aspect("equal")
    axis.set_xlabel("x (m)")
    axis.set_ylabel("y (m)")
    axis.set_title(f"{scene.scene_id}: {scene.room_type}, {scene.floor_area:.1f} m²", fontsize=9)
    return axis.figure


def room_plans(scenes: Sequence[Scene], clips: Sequence[Clip | None] = (), columns: int = 3) -> Figure:
    """Top views side by side."""
    figure, axes = _grid(len(scenes), columns, 4.2, 4.0)
    for k, (scene, axis) in enumerate(zip(scenes, axes)):
        room_plan(scene, clips[k] if k < len(clips) else None, axis)
    return figure


def cognitive_maps(maps: Mapping[str, MapCells], grid: int = 10, columns: int = 3) -> Figure:
    """Maps on their integer grid; y grows upwards (away from the first camera in the first-view frame)."""
    figure, axes = _grid(len(maps), columns, 3.6, 3.5)
    for (title, cells), axis in zip(maps.items(), axes):
        seen: dict[tuple[int, int], int] = {}
        for category, points in cells.items():
            for x, y in (p[:2] for p in points if len(p) >= 2):
                stack = seen.get((x, y), 0)
                seen[(x, y)] = stack + 1
                axis.scatter(x + 0.5, y + 0.5, s=90, color=colour(category), alpha=0.8, edgecolor="black", lw=0.5)
                axis.annotate(category, (x + 0.5, y + 0.62 + 0.45 * stack), ha="center", va="bottom", fontsize=7)
        axis.set_xlim(0, grid)
        axis.set_ylim(0, grid)
        axis.set_xticks(range(grid + 1), minor=False)
        axis.set_yticks(range(grid + 1), minor=False)
        axis.tick_params(labelsize=7)
        axis.set_aspect("equal")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("cell x", fontsize=8)
        axis.set_ylabel("cell y", fontsize=8)
    return figure


def bars(rows: Iterable[Mapping[str, Any]], *, group: str, bar: str, value: str = "score", low: str = "low", high: str = "high",
         count: str = "n", ylabel: str = "score (%)", chance: Mapping[str, float] | None = None) -> Figure:
    """Grouped bars with intervals and n: one group per ``row[group]``, one bar per ``row[bar]``.

    ``low`` and ``high`` are the ends of the interval in the same unit as ``value``; ``chance`` draws a tick per group.
    """
    rows = list(rows)
    groups = list(dict.fromkeys(str(r[group]) for r in rows))
    names = list(dict.fromkeys(str(r[bar]) for r in rows))
    figure, (axis,) = _grid(1, 1, max(6.5, 0.55 * len(groups) * max(2, len(names) * 0.55)), 4.2)
    width = 0.8 / max(1, len(names))
    by_key = {(str(r[group]), str(r[bar])): r for r in rows}
    for j, name in enumerate(names):
        for i, g in enumerate(groups):
            r = by_key.get((g, name))
            if r is None or r[value] is None:
                continue
            x = i + (j - (len(names) - 1) / 2) * width
            error = [[max(0.0, r[value] - r[low])], [max(0.0, r[high] - r[value])]] if r.get(low) is not None else None
            axis.bar(x, r[value], width * 0.92, yerr=error, color=colour(name), error_kw={"lw": 1, "capsize": 2},
                     label=pretty(name) if i == 0 or not any((groups[k], name) in by_key for k in range(i)) else None)
            axis.annotate(f"n={r[count]}", (x, 0), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
                          fontsize=6, rotation=90, color="white")
    for i, g in enumerate(groups):
        if chance and g in chance:
            axis.hlines(chance[g], i - 0.42, i + 0.42, color="black", ls=":", lw=1.2, label="chance" if i == 0 else None)
    axis.set_xticks(range(len(groups)), [pretty(g) for g in groups], rotation=25, ha="right", fontsize=8)
    axis.set_ylabel(ylabel)
    axis.legend(fontsize=7, ncols=2)
    return figure


def smooth(values: Sequence[float], window: int = 5) -> npt.NDArray[np.float64]:
    """Centred moving average that shortens at the ends; NaN are left out."""
    array = np.asarray(values, float)
    half = window // 2
    with np.errstate(invalid="ignore"):
        return np.array([np.nanmean(w) if np.isfinite(w).any() else np.nan
                         for w in (array[max(0, i - half):i + half + 1] for i in range(len(array)))])


def curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], keys: Sequence[str], *, columns: int = 3, window: int = 5,
           labels: Mapping[str, str] | None = None) -> Figure:
    """One panel per metric, one line per run: raw values faint, moving average solid. Rows have ``step`` and metrics."""
    figure, axes = _grid(len(keys), columns, 4.2, 3.0)
    for key, axis in zip(keys, axes):
        for name, rows in runs.items():
            points = [(r["step"], r[key]) for r in rows if isinstance(r.get(key), int | float)]
            if points:
                steps, values = zip(*points)
                axis.plot(steps, values, color=colour(name), alpha=0.25, lw=1)
                axis.plot(steps, smooth(values, window), color=colour(name), lw=2, label=name,
                          ls="--" if name.endswith("-full") else "-")
        axis.set_title((labels or {}).get(key, pretty(key)), fontsize=9)
        axis.set_xlabel("optimiser step", fontsize=8)
    handles, names = axes[0].get_legend_handles_labels() if axes else ([], [])
    if handles:
        axes[0].legend(handles, names, fontsize=7)
    return figure


def curves_interactive(runs: Mapping[str, Sequence[Mapping[str, Any]]], key: str, ylabel: str) -> Any:
    """Plotly twin of one panel of ``curves``: hover shows run, step and value."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, rows in runs.items():
        points = [(r["step"], r[key]) for r in rows if isinstance(r.get(key), int | float)]
        if points:
            steps, values = zip(*points)
            figure.add_trace(go.Scatter(
                x=steps, y=smooth(values).tolist(), customdata=values, name=name, mode="lines",
                line={"color": colour(name), "dash": "dash" if name.endswith("-full") else "solid"},
                hovertemplate="step %{x}<br>average %{y:.3f}<br>this step %{customdata:.3f}"))
    figure.update_layout(xaxis_title="optimiser step", yaxis_title=ylabel, template="plotly_white", height=380,
                         margin={"l": 50, "r": 10, "t": 20, "b": 45})
    return figure


def answer_balance(counts: Mapping[str, Mapping[str, int]], columns: int = 3) -> Figure:
    """Bars of how often each answer occurs, one panel per question type, with the uniform share as a dotted line."""
    figure, axes = _grid(len(counts), columns, 3.6, 2.4)
    for (question_type, answers), axis in zip(counts.items(), axes):
        total = sum(answers.values())
        axis.bar(range(len(answers)), [100 * v / max(1, total) for v in answers.values()], color=colour(question_type))
        axis.axhline(100 / max(1, len(answers)), color="black", ls=":", lw=1)
        axis.set_xticks(range(len(answers)), list(answers), fontsize=7)
        axis.set_title(f"{pretty(question_type)} (n={total})", fontsize=8)
        axis.set_ylabel("share (%)", fontsize=8)
    return figure


def histograms(panels: Mapping[str, Sequence[float]], xlabels: Mapping[str, str] | None = None, columns: int = 3,
               reference: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """One histogram per panel; ``reference`` draws vertical lines, e.g. the real quantiles p10, p50 and p90."""
    figure, axes = _grid(len(panels), columns, 3.6, 2.5)
    for (title, values), axis in zip(panels.items(), axes):
        axis.hist(list(values), bins=20, color="#0072B2", alpha=0.75)
        for k, x in enumerate((reference or {}).get(title, ())):
            axis.axvline(x, color="#D55E00", ls="--", lw=1.2, label="real p10, p50, p90" if k == 0 else None)
        axis.set_title(f"{title} (n={len(list(values))})", fontsize=8)
        axis.set_xlabel((xlabels or {}).get(title, ""), fontsize=8)
        axis.set_ylabel("rooms", fontsize=8)
        if reference and title in reference:
            axis.legend(fontsize=6)
    return figure


def dots(groups: Mapping[str, Sequence[float]], *, xlabel: str, mark: float | None = None) -> Figure:
    """One row of dots per group with its mean as a bar: for scores of many small cases."""
    figure, (axis,) = _grid(1, 1, 7.0, 0.45 * len(groups) + 1.2)
    rng = np.random.default_rng(0)
    for i, (name, values) in enumerate(groups.items()):
        y = i + rng.uniform(-0.16, 0.16, len(values))
        axis.scatter(values, y, s=10, alpha=0.35, color=colour(name))
        if len(values):
            axis.plot([np.mean(values)] * 2, [i - 0.32, i + 0.32], color="black", lw=2)
    axis.set_yticks(range(len(groups)), [f"{pretty(n)} (n={len(v)})" for n, v in groups.items()], fontsize=8)
    if mark is not None:
        axis.axvline(mark, color="#D55E00", ls=":", lw=1.2)
    axis.set_xlabel(xlabel)
    axis.invert_yaxis()
    return figure


def map_scrubber(frames: Sequence[npt.NDArray[np.uint8]], maps: Mapping[str, MapCells], seen_until: Sequence[set[str]],
                 grid: int = 10) -> Any:
    """Plotly slider over the given frames: the frame on the left, the maps on the right, objects seen so far filled.

    Args:
        frames: (H, W, 3) uint8, one per step.
        maps: title -> cells, e.g. the true and the predicted map.
        seen_until: per step, the categories seen up to it.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, 1 + len(maps), subplot_titles=["video frame", *maps], horizontal_spacing=0.05)
    places = {title: [(c, x + 0.5, y + 0.5) for c, ps in cells.items() for x, y in (p[:2] for p in ps)]
              for title, cells in maps.items()}

    def traces(step: int) -> list[Any]:
        out = [go.Image(z=frames[step], hoverinfo="skip")]
        for points in places.values():
            out.append(go.Scatter(
                x=[x for _, x, _ in points], y=[y for _, _, y in points], text=[c for c, _, _ in points],
                mode="markers+text", textposition="top center", textfont={"size": 9}, showlegend=False,
                marker={"size": 13, "color": [colour(c) for c, _, _ in points], "line": {"width": 1},
                        "opacity": [0.95 if c in seen_until[step] else 0.2 for c, _, _ in points]}))
        return out

    for k, trace in enumerate(traces(0)):
        figure.add_trace(trace, 1, k + 1)
    figure.frames = [go.Frame(data=traces(s), name=str(s), traces=list(range(1 + len(maps)))) for s in range(len(frames))]
    figure.update_layout(
        height=380, template="plotly_white", margin={"l": 10, "r": 10, "t": 30, "b": 10},
        sliders=[{"steps": [{"label": str(s + 1), "method": "animate",
                             "args": [[str(s)], {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}]}
                            for s in range(len(frames))], "currentvalue": {"prefix": "frame "}}])
    for k in range(len(maps)):
        figure.update_xaxes(range=[0, grid], dtick=1, showticklabels=False, row=1, col=k + 2)
        figure.update_yaxes(range=[0, grid], dtick=1, showticklabels=False, scaleanchor=f"x{k + 2}", row=1, col=k + 2)
    figure.update_xaxes(visible=False, row=1, col=1)
    figure.update_yaxes(visible=False, row=1, col=1)
    return figure


matplotlib.rcParams["svg.fonttype"] = "none"
