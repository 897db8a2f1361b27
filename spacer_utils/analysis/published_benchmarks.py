"""Models on published benchmarks: every one that is there, beside what others published."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..benchmarks.scoring.survey import Place, folder_of
from ..core.files import write_atomic
from ..core.profiles import Profile
from ..core.types import WorkbookError
from .bench import run_benchmark
from .published import PUBLISHED
from .scores import kind

Row = dict[str, Any]
LABEL = 26
"""Most letters of a published setting in a figure."""
USABLE = ("there", "on the hub")


def answer_all(
    models: Mapping[str, str],
    places: Sequence[Place],
    out: Path,
    profile: Profile,
    *,
    questions: int | None = None,
    seed: int = 0,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> tuple[list[Row], list[Row]]:
    """Answers of every model to every benchmark that is there, scored by the authors' rule.

    A benchmark that can't be answered (no media, a broken row, no network) stops no other.

    Args:
        models: name -> checkpoint.
        out: gets ``<benchmark>/<model>/`` with answers, items and a report.
        questions: at most this many of each benchmark, spread over its tasks; None: all.
        progress: label -> callback.

    Returns:
        Scores, a row per benchmark and model; and the benchmarks that failed, with one line each.
    """
    style = "spacer" if profile.prompt_style == "spacer" else "official"
    scores: list[Row] = []
    failed: list[Row] = []
    for place in places:
        if place.state not in USABLE:
            continue
        for name, checkpoint in models.items():
            try:
                table = run_benchmark(
                    checkpoint,
                    place.name,
                    folder_of(place),
                    out / place.name / name.replace(", ", "-"),
                    profile,
                    style=style,
                    seed=seed,
                    questions=questions,
                    overwrite=True,
                    progress=progress(f"{name} on {place.name}") if progress else None,
                )
            except WorkbookError as error:
                why = str(error)
                for folder in (place.folder, place.folder.parent if place.folder else None):
                    why = why.replace(f"{folder}/", "") if folder else why
                failed.append({"benchmark": place.name, "why": why.split("\n")[0]})
                break  # the other models would meet the same
            scores.append(score_row(name, table))
    return scores, failed


def score_row(model: str, table: Mapping[str, Any]) -> Row:
    """A row of one report: headline with its interval, and what became of the questions."""
    low, high = table["interval"]
    counts = table["counts"]
    return {
        "benchmark": table["benchmark"],
        "model": model,
        "score (%)": table["headline"],
        "low": low,
        "high": high,
        "which mean": table["headline_variant"],
        "prompt": table["style"],
        "n": counts["n_expected"],
        "missing": counts["n_missing"],
        "no answer read": counts["n_unparsed"],
    }


def beside_published(scores: Sequence[Row]) -> list[Row]:
    """Rows for ``dot_figures.dots``: our scores, and the published ones of the same benchmarks."""
    asked = dict.fromkeys(row["benchmark"] for row in scores)
    ours = [{**row, "kind": kind(row["model"])} for row in scores]
    theirs = [
        {**row, "label": f"{row['model']} ({row['setting'][:LABEL].rstrip()})", "kind": "published"}
        for row in PUBLISHED
        if row["benchmark"] in asked
    ]
    return [*ours, *theirs]


def table(scores: Sequence[Row]) -> list[Row]:
    """``beside_published`` for reading: whose score it is, how it was measured, where it stands."""
    shown = ("score (%)", "low", "high", "n")
    return [
        {
            "benchmark": row["benchmark"],
            "model": row["model"],
            "whose": "published" if row["kind"] == "published" else "this run",
            **{name: row.get(name) for name in shown},
            "how": row.get("setting") or f"{row.get('which mean')}, {row.get('prompt')} prompt",
            "source": row.get("source", ""),
        }
        for row in beside_published(scores)
    ]


def write(path: Path, scores: Sequence[Row], places: Sequence[Row], failed: Sequence[Row]) -> Path:
    """What notebook 10 reads; empty lists where no benchmark was given."""
    found = {"scores": list(scores), "places": list(places), "failed": list(failed)}
    return write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
