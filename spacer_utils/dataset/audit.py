"""Check a written dataset: balance, duplicates, conflicts, leaks, answerability, true numbers,
frames, shortcuts.

``run`` reads the folder as any user would, row by row. ``card`` makes the dataset's README of what
it finds.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..core import clip_reader, profiles
from ..core.files import iterate_jsonl, write_atomic
from ..core.frames import sample_indices
from ..core.options import option_texts
from ..core.registry import QUESTIONS
from ..core.rows import sample_of
from ..core.types import BadRow, Clip, Sample, WorkbookError
from ..questions.view import View
from ..render.film import read_clip
from ..scenes.scans import benchmark_names
from .balance import CAP
from .oracle import opinion
from .shortcuts import right_number, table

SPLITS = ("train", "heldout", "real_layouts")
FRAME_COUNTS = (8, 16, 32)
CHECKED = 400
"""Numeric rows of one type and split that the oracle looks at."""
COMPARED = 4
"""Clips of each split whose frames a second reader reads too."""
MOST_OFF = 2
"""Largest difference of two readers' colours, of 255: builds of FFmpeg may round otherwise."""
FRAME = re.compile(r"-f\d+(-\w+)?$")
"""What the name of a picture adds to its clip's name."""
FLAT_FROM = 100
"""From so many questions of a type on, its answers must be balanced; fewer can't be."""
ENOUGH = 0.99
"""Share of the wanted rows of a type that must be there."""
Finding = dict[str, Any]


def run(
    folder: Path,
    profile: profiles.Profile,
    problems: Sequence[str] = (),
    wanted: Mapping[str, int] | None = None,
) -> Finding:
    """Every check of the dataset below ``folder``; also written to ``audit.json``.

    Args:
        problems: rooms that could not be used, one line each; they are reported and fail nothing.
        wanted: rows of each type that the training split should have; fewer fail the audit.
    """
    folder = Path(folder)
    splits = {s: folder / f"{s}.jsonl" for s in SPLITS if (folder / f"{s}.jsonl").exists()}
    found: Finding = {
        "profile": profile.name,
        "problems": list(problems),
        "splits": {},
        "balance": [],
        "answerable": [],
        "oracle": [],
        "second reader": [],
        "shortcuts": [],
        "wanted": dict(wanted or {}),
        "lost files": {},
    }
    spaces, texts = {}, {}
    for split, path in splits.items():
        rows = [_sample(row, path, line) for line, row in iterate_jsonl(path)]
        found["splits"][split] = counts(rows)
        found["balance"] += [{"split": split, **row} for row in balance(rows)]
        checks = Checks(folder, profile)
        for scene, mine in groupby(rows, key=lambda s: s.scene_id):
            checks.room(scene, list(mine))
        found["answerable"].append({"split": split, **checks.answerable()})
        found["oracle"] += [{"split": split, **row} for row in checks.opinions()]
        found["shortcuts"] += [{"split": split, **row} for row in table(rows)]
        found["lost files"][split] = sorted(
            {s.path for s in rows if s.path and not _holds(folder / s.path)}
        )
        whole = {s.path for s in rows if s.path} - set(found["lost files"][split])
        clips = sorted(folder / path for path in whole if path.endswith(".mp4"))
        found["second reader"].append({"split": split, **second_reader(clips)})
        spaces[split], texts[split] = checks.spaces, {question_key(s) for s in rows}
    found["leaks"] = leaks(spaces, texts)
    found["benchmark rooms in train"] = sorted(spaces.get("train", set()) & benchmark_names())
    found["failures"] = failures(found)
    write_atomic(folder / "audit.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def _sample(row: Any, path: Path, line: int) -> Sample:
    try:
        return sample_of(row, line)
    except WorkbookError as error:
        raise BadRow(f"{path}, line {line}: {error}. Mend or remove the line.") from error


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def second_reader(clips: Sequence[Path]) -> Finding:
    """Compare the frames of some clips with those that decord, the reader of SpaceR's released
    code, gives at the same indices.

    Returns:
        ``clips`` that were compared, and the ``largest difference`` of a colour, 0-255; a clip that
        a reader can't read, or reads in another size, counts 255.
    """
    try:
        import decord
    except (ImportError, OSError):  # no build for this platform
        return {"clips": "not compared", "largest difference": None}
    decord.logging.set_level(decord.logging.QUIET)
    chosen = [clips[k] for k in sample_indices(len(clips), COMPARED)] if clips else []
    largest = 0
    for clip in dict.fromkeys(chosen):
        try:
            ours, found = clip_reader.read(clip, _eight, lambda frame: frame)
            theirs = decord.VideoReader(str(clip), num_threads=1).get_batch(_eight(found)).asnumpy()
            largest = max(largest, int(np.abs(np.subtract(ours, theirs, dtype=np.int16)).max()))
        except (WorkbookError, decord.DECORDError, ValueError):
            largest = 255
    return {"clips": len(set(chosen)), "largest difference": largest}


def _eight(clip: clip_reader.Listing) -> list[int]:
    return sample_indices(len(clip.stamps), 8)


def question_key(sample: Sample) -> str:
    """Question, options and answer as one text, which a model could memorise."""
    return "|".join((sample.problem, *sample.options, sample.gold))


def counts(rows: Sequence[Sample]) -> Finding:
    """Numbers of rows, scenes and files, of repeated questions about one file, and of such
    questions with two answers."""
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    again = 0
    for s in rows:
        answers = asked[s.path, s.problem]
        again += bool(answers)
        answers.add(answer_text(s))
    return {
        "rows": len(rows),
        "scenes": len({s.scene_id for s in rows}),
        "files": len({s.path for s in rows}),
        "question types": dict(sorted(Counter(s.question_type for s in rows).items())),
        "problem types": dict(sorted(Counter(s.problem_type for s in rows).items())),
        "duplicates": again,
        "conflicts": sum(len(a) > 1 for a in asked.values()),
        "repeated ids": len(rows) - len({s.problem_id for s in rows}),
    }


def answer_text(sample: Sample) -> str:
    """The answer without its letter."""
    return option_texts(sample.options).get(sample.gold, sample.gold)


def answer_class(sample: Sample) -> str | None:
    """The answer's class, by its question type; None where the type balances no classes."""
    classes = QUESTIONS.entry(sample.question_type).info.get("classes")
    return classes(answer_text(sample)) if classes else None


def balance(rows: Sequence[Sample]) -> list[Finding]:
    """For each question type: counts of answer classes and letters, and the commonest one's
    multiple of its uniform share."""
    by_type: dict[str, list[Sample]] = defaultdict(list)
    for s in rows:
        by_type[s.question_type].append(s)
    table = []
    for name, mine in sorted(by_type.items()):
        classes = Counter(c for s in mine if (c := answer_class(s)) is not None)
        sizes = {
            k: Counter(s.gold for s in mine if len(s.options) == k)
            for k in sorted({len(s.options) for s in mine} - {0})
        }
        letters = {k: {chr(65 + i): c[chr(65 + i)] for i in range(k)} for k, c in sizes.items()}
        table.append(
            {
                "question_type": name,
                "n": len(mine),
                "answers": dict(sorted(classes.items())),
                "answer excess": _excess(classes),
                "letters": letters,
                "letter excess": _letter_excess(letters),
            }
        )
    return table


def _excess(classes: dict[str, int]) -> float | None:
    """Commonest class over the uniform share; None without classes."""
    return max(classes.values()) * len(classes) / sum(classes.values()) if classes else None


def _letter_excess(letters: dict[int, dict[str, int]]) -> float | None:
    """How often each letter is right, over its fair share: the largest of these ratios; None
    without letters.

    Args:
        letters: number of options -> letter -> how often it is right.
    """
    right, fair = Counter[str](), dict[str, float]()
    for options, counted in letters.items():
        right.update(counted)
        for letter in counted:
            fair[letter] = fair.get(letter, 0.0) + sum(counted.values()) / options
    return max((right[letter] / share for letter, share in fair.items()), default=None)


class Checks:
    """Checks that need the clips, of which only those of one room are in memory."""

    def __init__(self, folder: Path, profile: profiles.Profile) -> None:
        self.folder, self.share = folder, profile.data.min_visible_share
        self.spaces: set[str] = set()
        self.hits: Counter[int] = Counter()
        self.asked = 0
        self.gaps: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def room(self, scene: str, rows: Sequence[Sample]) -> None:
        """Check the rows of one scene against its clips."""

        @lru_cache(maxsize=4)
        def clip(name: str) -> Clip:
            return read_clip(self.folder / "videos" / f"{name}.json")

        self.spaces.add(scene)
        for s in rows:
            if s.cognitive_map_id:
                self.spaces.add(clip(s.cognitive_map_id).scene.space_id)
                self.asked += 1
                self.hits.update(
                    n
                    for n in FRAME_COUNTS
                    if answerable(s, clip(s.cognitive_map_id), n, self.share)
                )
            if (
                s.problem_type in ("numerical", "regression")
                and len(self.gaps[s.question_type]) < CHECKED
            ):
                second = opinion(s, clip(s.cognitive_map_id or FRAME.sub("", Path(s.path).stem)))
                if second is not None:
                    self.gaps[s.question_type].append((abs(right_number(s) - second[0]), second[1]))

    def answerable(self) -> Finding:
        share = {
            f"{n} frames (%)": 100 * self.hits[n] / self.asked if self.asked else None
            for n in FRAME_COUNTS
        }
        return {"n": self.asked, **share}

    def opinions(self) -> list[Finding]:
        return [
            {
                "question_type": name,
                "checked": len(gaps),
                "largest difference": max(g for g, _ in gaps),
                "disagree": sum(gap > tolerance for gap, tolerance in gaps),
            }
            for name, gaps in sorted(self.gaps.items())
            if gaps
        ]


def answerable(sample: Sample, clip: Clip, frames: int, share: float) -> bool:
    """Whether ``frames`` evenly spaced frames show one instance of each category that is asked
    about; for a count, all instances."""
    view = View(clip, tuple(sample_indices(clip.num_frames, frames)), share)
    enough = all if sample.question_type == "object_counting" else any
    named = [clip.scene.instances(c) for c in sample.categories]
    return all(enough(view.is_seen(o) for o in things) for things in named if things)


def leaks(spaces: dict[str, set[str]], texts: dict[str, set[str]]) -> Finding:
    """Physical spaces and whole questions (text, options and answer) of the training split that an
    evaluation split has too."""
    train = spaces.get("train", set())
    return (
        {
            split: {
                "shared spaces": sorted(train & mine),
                "question texts in train (%)": 100
                * len(texts[split] & texts["train"])
                / max(len(texts[split]), 1),
            }
            for split, mine in spaces.items()
            if split != "train"
        }
        if train
        else {}
    )


def failures(found: Finding) -> list[str]:
    """Failed checks, one line each."""
    lines = []
    for split, row in found["splits"].items():
        lines += [
            f"{split}: {row[k]} {k}" for k in ("duplicates", "conflicts", "repeated ids") if row[k]
        ]
    for row in found["balance"]:
        if row["n"] >= FLAT_FROM and (row["answer excess"] or 0.0) > CAP + 0.01:
            lines.append(
                f"{row['split']}, {row['question_type']}: an answer at {row['answer excess']:.2f} x its uniform share"
            )
        if row["n"] >= FLAT_FROM and (row["letter excess"] or 0.0) > 1.1:
            lines.append(
                f"{row['split']}, {row['question_type']}: a letter at {row['letter excess']:.2f} x its uniform share"
            )
    lines += [
        f"{split}: shares {len(row['shared spaces'])} physical spaces with train"
        for split, row in found["leaks"].items()
        if row["shared spaces"]
    ]
    if rooms := found["benchmark rooms in train"]:
        lines.append(f"train: {len(rooms)} rooms of VSI-Bench, {rooms[0]} among them")
    have = found["splits"].get("train", {}).get("question types", {})
    lines += [
        f"train, {t}: {have.get(t, 0)} rows of {n} wanted"
        for t, n in found["wanted"].items()
        if have.get(t, 0) < ENOUGH * n
    ]
    lines += [
        f"{row['split']}, {row['question_type']}: the oracle disagrees with {row['disagree']} of {row['checked']} truths"
        for row in found["oracle"]
        if row["disagree"]
    ]
    lines += [
        f"{row['split']}: decord reads other frames, by {row['largest difference']} of 255"
        for row in found["second reader"]
        if (row["largest difference"] or 0) > MOST_OFF
    ]
    lines += [
        f"{split}: {len(paths)} files that rows name are missing or empty, {paths[0]} among them"
        for split, paths in found["lost files"].items()
        if paths
    ]
    return lines


def markdown(rows: Iterable[Finding]) -> str:
    """A table with a column per field; numbers with one decimal."""
    rows = list(rows)
    if not rows:
        return "(nothing)\n"
    names = list(dict.fromkeys(k for row in rows for k in row))

    def cell(value: Any) -> str:
        return (
            f"{value:.1f}"
            if isinstance(value, float)
            else ""
            if value is None
            else str(value).replace("|", "/")
        )

    lines = [names, ["---"] * len(names), *([cell(row.get(n)) for n in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def card(found: Finding) -> str:
    """The dataset's README: what it is, how to load it, and what the audit found."""
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

Training and held-out rooms follow the statistics of real ones, but are not drawn evenly from them: of every four, three hold at
least four, six or nine things that are the only one of their name, and two hold five to eight of a kind. Few real rooms do, and
most questions need it.

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
