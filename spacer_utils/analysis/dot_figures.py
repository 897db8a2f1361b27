"""Figures of dots with intervals, and names at the ends of lines. Data in, Figure out.

Every figure is at most ``WIDTH`` inches wide and has no text below ``SMALL`` points: a page shows
it at its own size, where that is 9 points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .scores import kind, method_of

WIDTH, SMALL = 7.8, 8
KINDS = {"map": "#0072B2", "no map": "#D55E00", "baseline": "#6E6E6E", "published": "#8F6BB3"}
"""What a model is, and its colour: it draws a map, it draws none, nobody trained it, or others
published its score."""
PALE = "#C4C9CF"
_LETTER = 0.061
"""Mean width of a letter of ``SMALL`` points, inches."""

sns.set_theme(
    style="whitegrid",
    context="paper",
    font_scale=1.05,
    rc={
        "figure.dpi": 100,
        "axes.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "spacer",
    },
)


def panels(n: int, columns: int, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """``n`` axes in a figure of ``WIDTH``, each ``height`` inches high."""
    columns = max(1, min(columns, n))
    rows = max(1, math.ceil(n / columns))
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(WIDTH, height * rows),
        squeeze=False,
        layout="constrained",
        **shared,
    )
    flat = list(axes.flat)
    for axis in flat[n:]:
        axis.remove()
    plt.close(figure)
    return figure, flat[:n]


def make_room(axis: Axes, width: float, ends: Iterable[tuple[float, str]]) -> None:
    """Widen an axis so that texts fit to the right of where they begin.

    Args:
        width: of the axis, inches.
        ends: where each text begins (data), and the text.
    """
    left, right = axis.get_xlim()
    free = [
        (x, max(0.3 * width, width - 0.15 - _LETTER * len(text))) for x, text in ends
    ]  # inches left of the text
    ticks = [t for t in axis.get_xticks() if left <= t <= right]
    axis.set_xlim(left, max([right, *(left + (x - left) * width / space for x, space in free)]))
    axis.set_xticks(ticks)  # none below the texts


def spread_out(values: Sequence[float], gap: float) -> list[float]:
    """Values moved as little as needed to lie ``gap`` apart, in their old order.

    >>> spread_out([1.0, 1.0, 5.0], 1.0)
    [0.5, 1.5, 5.0]
    """
    order = sorted(range(len(values)), key=lambda k: values[k])
    blocks: list[list[float]] = []  # [centre, number of values]
    for k in order:
        blocks.append([values[k], 1])
        while len(blocks) > 1 and (
            blocks[-1][0] - blocks[-2][0] < gap * (blocks[-1][1] + blocks[-2][1]) / 2
        ):
            (b, m), (a, n) = blocks.pop(), blocks.pop()
            blocks.append([(a * n + b * m) / (n + m), n + m])
    placed = [c + gap * (i - (n - 1) / 2) for c, n in blocks for i in range(int(n))]
    found = dict(zip(order, placed))
    return [found[k] for k in range(len(values))]


def name_lines(axis: Axes, width: float, height: float) -> None:
    """Write the label of every line at its end, in its colour; labels keep apart.

    Args:
        width, height: of the axis, inches.
    """
    named = [line for line in axis.get_lines() if not str(line.get_label()).startswith("_")]
    if not named:
        return
    ends = [(float(line.get_xdata()[-1]), float(line.get_ydata()[-1])) for line in named]  # type: ignore[index, arg-type]
    make_room(axis, width, [(x, str(line.get_label())) for (x, _), line in zip(ends, named)])
    low, high = axis.get_ylim()
    places = spread_out([y for _, y in ends], (high - low) * 0.15 / height)
    for line, (x, _), y in zip(named, ends, places):
        axis.annotate(
            str(line.get_label()),
            (x, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=line.get_color(),
            annotation_clip=False,
        )
    axis.set_ylim(min([low, *places]), max([high, *places]))


def dots(
    rows: Iterable[Mapping[str, Any]],
    *,
    panel: str,
    name: str,
    value: str,
    xlabel: str,
    low: str = "low",
    high: str = "high",
    line: str | float | None = None,
    behind: Iterable[Mapping[str, Any]] = (),
    titles: Mapping[str, str] | None = None,
    form: str = "{:.1f}",
) -> Figure:
    """Dots with intervals: one panel per ``row[panel]``, best first, named at the dots by
    ``row["label"]``, else ``row[name]``.

    A row's ``kind`` gives its colour (``KINDS``); default: that of the model of its name.

    Args:
        line: a vertical line, at a value or at that of the row of this name.
        behind: rows of another study, drawn pale behind those of the same panel and method.
        titles: of panels; default: their names.
        form: of the value beside the name.
    """
    found = [r for r in rows if r.get(value) is not None]
    groups = list(dict.fromkeys(str(r[panel]) for r in found))
    pale = {(str(r[panel]), key): r for r in behind for key in {r[name], method_of(str(r[name]))}}
    most = max([sum(r[panel] == g for r in found) for g in groups], default=1)
    columns = 1 if len(groups) == 1 else 2
    figure, axes = panels(max(1, len(groups)), columns, 0.23 * most + 0.95)
    width = WIDTH / columns - 0.3

    for group, axis in zip(groups, axes):
        mine = sorted((r for r in found if str(r[panel]) == group), key=lambda r: float(r[value]))
        ends: list[tuple[float, str]] = []
        for y, r in enumerate(mine):
            tone = KINDS[r.get("kind") or kind(str(r[name]))]
            other = pale.get((group, r[name])) or pale.get((group, method_of(str(r[name]))))
            _dot(axis, y - 0.22, other, value, low, high, PALE, "D")
            _dot(axis, y, r, value, low, high, tone, "o")
            known = [v for row in (r, other) if row for v in (row[value], row.get(high))]
            text = f"{r.get('label') or r[name]}  {form.format(r[value])}"
            ends.append((max(v for v in known if v is not None), text))
        at = next((r[value] for r in mine if r[name] == line), line)
        if isinstance(at, int | float):
            axis.axvline(at, color="black", lw=0.9, ls=(0, (4, 3)), zorder=0)
        make_room(axis, width, ends)
        for y, (x, text) in enumerate(ends):
            tone = KINDS[mine[y].get("kind") or kind(str(mine[y][name]))]
            _beside(axis, x, y, text, tone)
        axis.set_ylim(-0.8, len(mine) - 0.4)
        axis.set_yticks([])
        axis.set_title((titles or {}).get(group, group.replace("_", " ")), fontsize=9, loc="left")
        axis.set_xlabel(xlabel, fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
    _key(figure, {r.get("kind") or kind(str(r[name])) for r in found}, bool(pale))
    return figure


def strips(claims: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Figure]:
    """A small figure for every claim's row of a table: its differences as dots with intervals, all
    on one scale, a line at zero, named at the dots.

    Args:
        claims: claim -> rows of ``scores.paired_table``, the first on top.
    """
    width = 3.3
    # of a method with one run the run's tuning says nothing
    texts = {}
    for claim, rows in claims.items():
        methods = [method_of(r["model"]) for r in rows]
        names = [
            m if methods.count(m) == 1 else r["model"] for m, r in zip(methods, rows, strict=True)
        ]
        texts[claim] = [f"{n} {r['difference']:+.1f}" for n, r in zip(names, rows, strict=True)]
    bounds = [
        v
        for rows in claims.values()
        for r in rows
        for v in (0.0, r["difference"], r["low"], r["high"])
        if v is not None
    ]
    ends = [
        (max(r["difference"], r["high"] or r["difference"]), text)
        for claim, rows in claims.items()
        for r, text in zip(rows, texts[claim])
    ]
    drawn = {}
    for claim, rows in claims.items():
        figure, axis = plt.subplots(
            figsize=(width, 0.19 * max(1, len(rows)) + 0.1), layout="constrained"
        )
        plt.close(figure)
        margin = 0.03 * (max(bounds, default=1) - min(bounds, default=0))
        axis.set_xlim(min(bounds, default=0) - margin, max(bounds, default=1) + margin)
        make_room(axis, width, ends)
        axis.axvline(0, color="black", lw=0.9, ls=(0, (4, 3)), zorder=0)
        for k, (r, text) in enumerate(zip(rows, texts[claim])):
            y, tone = -k, KINDS[kind(r["model"])]
            _dot(axis, y, r, "difference", "low", "high", tone, "o")
            _beside(axis, max(r["difference"], r["high"] or r["difference"]), y, text, tone)
        axis.set_ylim(-len(rows) + 0.3, 0.7)
        axis.axis("off")
        drawn[claim] = figure
    return drawn


def _beside(axis: Axes, x: float, y: float, text: str, tone: str) -> None:
    axis.annotate(
        text,
        (x, y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=tone,
        annotation_clip=False,
        bbox={"fc": "white", "ec": "none", "pad": 0.4, "alpha": 0.85},
    )


def _dot(
    axis: Axes,
    y: float,
    row: Mapping[str, Any] | None,
    value: str,
    low: str,
    high: str,
    tone: str,
    marker: str,
) -> None:
    """One dot with its interval; nothing without a row."""
    if row is None or row.get(value) is None:
        return
    if row.get(low) is not None:
        axis.plot([row[low], row[high]], [y, y], color=tone, lw=1.6, solid_capstyle="round")
    axis.plot([row[value]], [y], marker, color=tone, ms=5 if marker == "o" else 3.5)


def _key(figure: Figure, kinds: Iterable[str], pale: bool) -> None:
    """What the colours mean, above the panels."""
    said = {"map": "draws a map", "no map": "draws no map", "baseline": "baseline, not trained"}
    said["published"] = "published by others"
    shown = [(KINDS[k], said[k], "o") for k in KINDS if k in set(kinds)]
    shown += [(PALE, "the committed study", "D")] * pale
    if len(shown) < 2:
        return
    marks = [Line2D([], [], color=c, marker=m, ls="", ms=5) for c, _, m in shown]
    names = [text for _, text, _ in shown]
    figure.legend(
        marks,
        names,
        loc="outside upper left",
        ncols=4,
        fontsize=SMALL,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.2,
    )


def type_panels(
    rows: Iterable[Mapping[str, Any]],
    *,
    panel: str = "question_type",
    name: str = "model",
    value: str = "score",
    xlabel: str = "score (%)",
    chance: Mapping[str, float] | None = None,
    columns: int = 3,
) -> Figure:
    """Small multiples of dots with intervals: the same names in the same order in every panel.

    Names are ordered by their mean over the panels; the number of answers stands in the title.

    Args:
        chance: panel -> value of a dotted line.
    """
    found = [r for r in rows if r.get(value) is not None]
    groups = list(dict.fromkeys(str(r[panel]) for r in found))
    names = sorted(
        dict.fromkeys(str(r[name]) for r in found),
        key=lambda n: float(np.mean([r[value] for r in found if r[name] == n])),
    )
    figure, axes = panels(
        max(1, len(groups)), columns, 0.19 * len(names) + 0.62, sharey=True, sharex=True
    )
    for group, axis in zip(groups, axes):
        mine = [r for r in found if str(r[panel]) == group]
        for r in mine:
            tone = KINDS[kind(str(r[name]))]
            _dot(axis, names.index(str(r[name])), r, value, "low", "high", tone, "o")
        if chance and group in chance:
            axis.axvline(chance[group], color="black", ls=":", lw=1.2, zorder=0)
        count = max((r.get("n") or 0 for r in mine), default=0)
        title = f"{group.replace('_', ' ')} (n={count})"
        axis.set_title(title.replace("direction ", "direction\n"), fontsize=SMALL, loc="left")
        axis.set_yticks(range(len(names)), names, fontsize=SMALL)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.tick_params(labelsize=SMALL)
    for axis in axes[-min(columns, len(axes)) :]:
        axis.set_xlabel(xlabel, fontsize=SMALL)
    _key(figure, {kind(n) for n in names}, False)
    return figure


def first_to_last(
    rows: Iterable[Mapping[str, Any]], colour_of: Any, ylabel: str, columns: int = 3
) -> Figure:
    """Small multiples of what moved: per question type, a line per run from the first third of the
    steps to the last, with intervals.

    Args:
        rows: of ``training_logs.moved``.
        colour_of: run -> hex colour.
    """
    rows = list(rows)
    groups = list(dict.fromkeys(r["question_type"] for r in rows))
    figure, axes = panels(max(1, len(groups)), columns, 2.1, sharey=True)
    columns = max(1, min(columns, len(groups)))
    width = (WIDTH - 0.5) / columns - 0.2
    for group, axis in zip(groups, axes):
        mine = [r for r in rows if r["question_type"] == group]
        for k, r in enumerate(mine):
            xs = [0.03 * (k - (len(mine) - 1) / 2) + x for x in (0, 1)]
            tone = colour_of(r["run"])
            for x, side in zip(xs, ("first", "last")):
                if r[f"{side} low"] is not None:
                    axis.plot([x, x], [r[f"{side} low"], r[f"{side} high"]], color=tone, lw=1.2)
            axis.plot(xs, [r["first"], r["last"]], "o-", color=tone, lw=1.8, ms=4, label=r["run"])
        axis.set_xlim(-0.15, 1.1)
        axis.set_xticks([0, 1], ["first third", "last third"], fontsize=SMALL)
        axis.set_title(group.replace("_", " "), fontsize=SMALL, loc="left")
        axis.tick_params(labelsize=SMALL)
        name_lines(axis, width, 1.5)
    for axis in axes[::columns]:
        axis.set_ylabel(ylabel, fontsize=SMALL)
    return figure
