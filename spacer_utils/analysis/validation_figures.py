"""The figure of validation while training: data in, Figure out, and its alternative text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from . import figures
from .dot_figures import SMALL, WIDTH, name_lines, panels

Curves = Mapping[str, Sequence[Mapping[str, Any]]]
"""Run -> rows of ``training_logs.validation_curve``."""
LABELS = {
    "accuracy": "right answers, greedy (%)",
    "accuracy, sampled": "right answers, temperature 1 (%)",
    "map": "map score (1: perfect)",
}


def validation_curves(curves: Curves) -> Figure:
    """One panel per ``what``, one line per run over the optimiser steps, named at its end.

    Bands are 95% intervals over rooms, and the number of questions and rooms stands above.
    """
    shown = [w for w in LABELS if any(r["what"] == w for rows in curves.values() for r in rows)]
    figure, axes = panels(max(1, len(shown)), 2, 2.8)
    for what, axis in zip(shown, axes):
        counts = set()
        for name, rows in curves.items():
            mine = [r for r in rows if r["what"] == what]
            if not mine:
                continue
            steps = [r["step"] for r in mine]
            style = "--" if "-full" in name else "-"
            axis.plot(
                steps,
                [r["score"] for r in mine],
                style,
                marker="o",
                ms=3,
                lw=2,
                color=figures.colour(name),
                label=name,
            )
            known = [r for r in mine if r["low"] is not None]
            axis.fill_between(
                [r["step"] for r in known],
                [r["low"] for r in known],
                [r["high"] for r in known],
                color=figures.colour(name),
                alpha=0.15,
                lw=0,
            )
            counts |= {f"n={r['questions']}, {r['rooms']} rooms" for r in mine}
        axis.set_title(f"{LABELS[what]}\n{'; '.join(sorted(counts))}", fontsize=9)
        axis.set_xlabel("optimiser step", fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        name_lines(axis, WIDTH / min(2, len(shown)) - 0.5, 1.9)
    return figure


def alt_text(curves: Curves) -> str:
    """First and last value of every line, for readers who do not see the figure."""
    parts = []
    for name, rows in curves.items():
        for what in LABELS:
            mine = [r for r in rows if r["what"] == what]
            if mine:
                digits = 2 if what == "map" else 1
                ends = (f"{r['score']:.{digits}f} at step {r['step']}" for r in (mine[0], mine[-1]))
                parts.append(f"{name}, {LABELS[what]}: {', '.join(ends)}")
    return "Validation while training. " + "; ".join(parts) + "."
