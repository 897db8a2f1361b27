"""Check a written dataset: balance, duplicates, conflicts, leaks, answerability, true numbers,
frames, shortcuts.

``run`` reads the folder as any user would, row by row.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..core import clip_listing, clip_reader, profiles
from ..core.files import iterate_jsonl, write_atomic
from ..core.frames import sample_indices
from ..core.options import option_texts
from ..core.registry import QUESTIONS
from ..core.rows import sample_of
from ..core.types import SPLITS, BadRow, Clip, Sample, Split, WorkbookError
from ..questions.view import View
from ..render.film import read_clip
from ..scenes.scans import benchmark_names
from .balance import CAP
from .oracle import opinion
from .shortcuts import right_number, table

FRAME_COUNTS = (8, 16, 32)
CHECKED = 400
"""Numeric rows of one type and split that the oracle checks at most."""
COMPARED = 4
"""Clips of each split that a second reader reads, too."""
MOST_OFF = 2
"""Largest difference between two readers' colours, 0-255. Builds of FFmpeg round differently."""
FRAME = re.compile(r"-f\d+(-\w+)?$")
"""What a picture's name adds to its clip's name."""
FLAT_FROM = 100
"""Questions of a type from which on its answers must be balanced. Fewer can't be."""
ENOUGH = 0.99
"""Share of the wanted rows of a type that must be there."""
Finding = dict[str, Any]
"""What the audit found; tables are lists of such rows."""


def run(
    folder: Path,
    profile: profiles.Profile,
    problems: Sequence[str] = (),
    wanted: Mapping[str, int] | None = None,
) -> Finding:
    """Every check of the dataset below ``folder``; also written to ``audit.json``.

    Args:
        problems: rooms that could not be used, one line each. They are reported, and are no failure.
        wanted: question type -> rows that the training split should have. Fewer are a failure.
    """
    # One split after another, and the rooms of a split one after another.
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

        # What the rows alone tell.
        found["splits"][split] = counts(rows)
        found["balance"] += [{"split": split, **row} for row in balance(rows)]
        found["shortcuts"] += [{"split": split, **row} for row in table(rows)]

        # What the clips tell.
        checks = Checks(folder, profile)
        for scene, mine in groupby(rows, key=lambda s: s.scene_id):
            checks.room(scene, list(mine))
        found["answerable"].append({"split": split, **checks.answerable()})
        found["oracle"] += [{"split": split, **row} for row in checks.opinions()]

        # Which files are there, and whether another reader sees the same frames.
        found["lost files"][split] = sorted(
            {s.path for s in rows if s.path and not _holds(folder / s.path)}
        )
        whole = {s.path for s in rows if s.path} - set(found["lost files"][split])
        clips = sorted(folder / path for path in whole if path.endswith(".mp4"))
        found["second reader"].append({"split": split, **second_reader(clips)})

        spaces[split], texts[split] = checks.spaces, {question_key(s) for s in rows}

    # The splits against each other.
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


def second_reader(clips: Sequence[Path]) -> Finding:
    """Compare frames of some clips with what decord reads, as SpaceR's released code does.

    Returns:
        ``clips``: how many were compared. ``largest difference`` of a colour, 0-255; it is 255 if a
        reader fails or gives another size.
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


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _eight(clip: clip_listing.Listing) -> list[int]:
    return sample_indices(len(clip.stamps), 8)


def question_key(sample: Sample) -> str:
    """Question, options and answer as one text: what a model could memorise."""
    return "|".join((sample.problem, *sample.options, sample.gold))


def counts(rows: Sequence[Sample]) -> Finding:
    """Numbers of rows, scenes, files and types; of repeated questions about one file (duplicates),
    and of questions with two answers (conflicts)."""
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
    """The answer's class; None if its question type doesn't balance its answers, or is not ours."""
    if sample.question_type not in QUESTIONS.names():
        return None
    classes = QUESTIONS.entry(sample.question_type).info.get("classes")
    numeric = sample.problem_type in ("numerical", "regression")
    text = f"{right_number(sample):g}" if numeric else answer_text(sample)
    return classes(text) if classes else None


def balance(rows: Sequence[Sample]) -> list[Finding]:
    """Per question type: how often each answer class and letter is right, and the excess of the
    commonest: its share as a multiple of the share if all were equal."""
    by_type: dict[str, list[Sample]] = defaultdict(list)
    for s in rows:
        by_type[s.question_type].append(s)
    table = []
    for name, mine in sorted(by_type.items()):
        classes = Counter(c for s in mine if (c := answer_class(s)) is not None)

        # Letters by the number of options: D is right less often if some questions have no D.
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
    """The commonest class's multiple of the share if all were equal; None without classes."""
    return max(classes.values()) * len(classes) / sum(classes.values()) if classes else None


def _letter_excess(letters: dict[int, dict[str, int]]) -> float | None:
    """The commonest letter's multiple of its fair share; None without letters.

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
    """Checks that need the clips. Only one room's clips are in memory at a time."""

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
            # Do evenly spaced frames show what is asked about?
            if s.cognitive_map_id:
                self.spaces.add(clip(s.cognitive_map_id).scene.space_id)
                self.asked += 1
                self.hits.update(
                    n
                    for n in FRAME_COUNTS
                    if answerable(s, clip(s.cognitive_map_id), n, self.share)
                )

            # Does the oracle find the same number?
            if (
                s.problem_type in ("numerical", "regression")
                and len(self.gaps[s.question_type]) < CHECKED
            ):
                second = opinion(s, clip(s.cognitive_map_id or FRAME.sub("", Path(s.path).stem)))
                if second is not None:
                    self.gaps[s.question_type].append((abs(right_number(s) - second[0]), second[1]))

    def answerable(self) -> Finding:
        """Share of questions (%) that so many frames can answer."""
        share = {
            f"{n} frames (%)": 100 * self.hits[n] / self.asked if self.asked else None
            for n in FRAME_COUNTS
        }
        return {"n": self.asked, **share}

    def opinions(self) -> list[Finding]:
        """Per question type: how many numbers the oracle checked, and how far it is off."""
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
    """Whether so many evenly spaced frames show what is asked about.

    That is an instance of each category; for a count, every instance.
    """
    view = View(clip, tuple(sample_indices(clip.num_frames, frames)), share)
    enough = all if sample.question_type == "object_counting" else any
    named = [clip.scene.instances(c) for c in sample.categories]
    return all(enough(view.is_seen(o) for o in things) for things in named if things)


def leaks(spaces: Mapping[Split, set[str]], texts: Mapping[Split, set[str]]) -> Finding:
    """Evaluation split -> what it shares with the training split: physical spaces, and whole
    questions (text, options and answer)."""
    train = spaces.get("train", set())
    found: Finding = {}
    for split in spaces if train else ():
        if split != "train":
            shared = len(texts[split] & texts["train"])
            found[split] = {
                "shared spaces": sorted(train & spaces[split]),
                "question texts in train (%)": 100 * shared / max(len(texts[split]), 1),
            }
    return found


def failures(found: Finding) -> list[str]:
    """Failed checks, one line each."""
    # Rows: repetitions and balance.
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

    # Splits: rooms of training in evaluation, and fewer rows than wanted.
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

    # Numbers, frames and files.
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
