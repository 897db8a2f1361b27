"""The dataset's README: what it is, how to load it, and what the audit found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.registry import QUESTIONS
from .audit import Finding


def markdown(rows: Iterable[Finding]) -> str:
    """A table with a column per field; numbers with one decimal."""
    rows = list(rows)
    if not rows:
        return "(nothing)\n"
    names = list(dict.fromkeys(k for row in rows for k in row))

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.1f}"
        return "" if value is None else str(value).replace("|", "/")

    lines = [names, ["---"] * len(names), *([cell(row.get(n)) for n in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def readme(found: Finding) -> str:
    """The README, in the form that dataset hubs read.

    Args:
        found: what ``audit.run`` returned.
    """
    # The files and the question types.
    data = "\n".join(f"      - split: {s}\n        path: {s}.jsonl" for s in found["splits"])
    asked = {t for row in found["splits"].values() for t in row["question types"]}
    types = [
        {
            "question type": e.name,
            "problem type": e.info.get("problem_type"),
            "unit": e.info.get("unit"),
            **{s: row["question types"].get(e.name, 0) for s, row in found["splits"].items()},
            "truth": e.description,
        }
        for e in QUESTIONS
        if e.name in asked
    ]

    # What the audit found.
    fields = ("rows", "scenes", "files", "duplicates", "conflicts")
    sizes = [{"split": s, **{k: row[k] for k in fields}} for s, row in found["splits"].items()]
    flat = [
        {k: row[k] for k in ("split", "question_type", "n", "answer excess", "letter excess")}
        for row in found["balance"]
    ]
    seen = [
        {**row, "split": s, "shared spaces": len(row["shared spaces"])}
        for s, row in found["leaks"].items()
    ]
    return CARD.format(
        data=data,
        profile=found["profile"],
        types=markdown(types),
        sizes=markdown(sizes),
        flat=markdown(flat),
        leaks=markdown(seen),
        answerable=markdown(found["answerable"]),
        oracle=markdown(found["oracle"]),
        second_reader="; ".join(
            f"{row['split']}: {row['clips']} clips, largest difference {row['largest difference']}"
            for row in found["second reader"]
        ),
        shortcuts=markdown(found["shortcuts"]),
        problems="\n".join(f"* {p}" for p in found["problems"]) or "None.",
        failures="\n".join(f"* {f}" for f in found["failures"]) or "None.",
    )


CARD = """---
configs:
  - config_name: default
    data_files:
{data}
---
# Spatial questions about room videos (profile {profile})

Rows have the fields of SpaceR-151k (`problem_id, problem, data_type, problem_type, options, solution, path, data_source`) and
`question_type, scene_id, cognitive_map_id, categories`. `path` is relative to this folder. `cognitive_map.jsonl` holds one map
per video (`video_id, cognitive_map, object_list, frame`; 10 x 10 cells; `first-view`: the first frame looks up).
`videos/<video_id>.json` holds poses, intrinsics, the room in metres and the visible share of every instance in every frame.
`audit.json` holds all that stands here.

Training and held-out rooms follow the statistics of real rooms, but for two things that most questions need and few real rooms
have. Of every four rooms, three hold at least four, six or nine objects that are the only one of their category, and two hold
five to eight objects of one category.

```python
from datasets import load_dataset
rows = load_dataset("json", data_files={{"train": "train.jsonl", "heldout": "heldout.jsonl"}})
```

The rooms of `real_layouts.jsonl` are rooms of VSI-Bench: for evaluation only, never for training.

## Size
{sizes}
{types}
## Balance
Commonest answer class and letter as a multiple of its uniform share (at most 1.5 wherever the supply allows).

{flat}
## Leaks
{leaks}
## Answerable in the given frames
{answerable}
## A second opinion on every numeric truth (dense sampling)
{oracle}
## A second reader sees the same frames
decord against the package's reader, colours from 0 to 255. {second_reader}.

## What needs no video
Scores in % of predictors that never see the video, on scene-disjoint folds (mean relative accuracy for numbers).

{shortcuts}
## Rooms left out
{problems}

## Failed checks
{failures}
"""
