"""Random maps with a question that they answer: here the nano base learns to compute with cells, and
then to answer from a map.

From answers alone a small model does not find out how to use a map: in thousands of rows the letter
of a direction or of the nearest thing stayed a guess. Written out (``map_reading.steps``), each step
is small. But a whole question holds few of the steps that are learned slowly: how two offsets
differ, which of two distances is better, which option says what was found, where on the map a thing
stands. So beside whole questions there are drills, short rows that hold many steps of one kind. The
maps are random, so nothing about rooms can be learned by heart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import torch

from ..core import directions, maps
from ..core.map_reading import (
    HOURS,
    LETTERS,
    LONGEST,
    best_so_far,
    counted,
    half_cells,
    hours,
    looked_up,
    offset,
    reading,
    steps,
    turned,
)
from ..core.profiles import Profile
from ..core.prompts import after_map, messages
from ..core.types import MapCells, Sample
from ..questions import object_counting, object_rel_direction, object_rel_distance
from ..render.furniture import CATEGORIES
from ..training.packing import IGNORE
from .map_copies import PER_CATEGORY, Rows

Pieces = tuple[str, ...]
"""A row's text: a given piece, one that the model has to write, a given one again, and so on."""

LEADS = {
    "object_rel_direction_hard": "facing the",
    "object_rel_direction_backward": "facing directly away from the",
    "object_rel_distance": "closest to",
    "object_rel_distance_farthest": "farthest from",
}
"""Question type -> the words that stand for it in drills of its steps."""
KINDS = (
    "object_counting",
    *object_rel_direction.TEMPLATES,
    "object_rel_distance",
    "object_rel_distance_farthest",
)
"""Types of whole questions."""
FEWEST, MOST = 1, 5
"""Most categories of a map, beside those asked about, in the first steps and in the last."""
DRILLS = (
    *LEADS,
    "ways",
    "distances",
    "turns",
    "best",
    "options",
    "object_counting",
    "cut-outs",
    "cut-outs",
)
"""Kinds of drills. Cut-outs are the slowest to learn, and come twice."""
OFFSETS, TURNS, LOOKUPS = 6, 12, 3
"""How many a drill holds: offsets, each with its direction or distance; turns; and comparisons of
distances, or options looked up."""
ABSENT = 0.3
"""Share of counted categories that are not on the map: that something is missing is learned late."""
GROW = (0.3, 0.8)
"""The maps grow between these shares of the steps."""


@dataclass(frozen=True)
class Readings:
    """Batches of random maps with questions. Batch ``k`` depends only on ``(seed, stage, k)`` and the
    number of steps."""

    processor: Any
    profile: Profile
    rows: int
    """Whole questions per batch."""
    drills: int
    """Drills per batch."""
    seed: int
    stage: str
    steps: int = 1
    """Steps over which the maps grow."""

    def draw(self, step: int) -> Rows:
        """The batch of one step; what follows from the map, or from the options, is labelled."""
        rng = np.random.default_rng([self.seed, crc32(self.stage.encode()), step])
        start, end = GROW
        grown = float(np.clip((step / self.steps - start) / (end - start), 0.0, 1.0))
        more = round(FEWEST + grown * (MOST - FEWEST))
        rows = [
            self._whole(KINDS[(step * self.rows + k) % len(KINDS)], more, rng)
            for k in range(self.rows)
        ]
        rows += [
            _drill(DRILLS[(step * self.drills + k) % len(DRILLS)], more, rng)
            for k in range(self.drills)
        ]
        return _tokenised(rows, self.processor.tokenizer)

    def _whole(self, kind: str, more: int, rng: np.random.Generator) -> Pieces:
        while True:
            sample = invented(kind, more, rng)
            cells = sample.cognitive_map or {}
            says = reading(sample, cells)
            if cells and says is not None:
                break
        message = messages(sample, self.profile.prompt_style, with_map=True)
        prompt = self.processor.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True
        )
        read = steps(sample, cells)
        end = f"{read and ' '}{read}</think><answer>{says}</answer>{self.processor.tokenizer.eos_token}"
        return prompt + after_map(cells), end


def _drill(kind: str, more: int, rng: np.random.Generator) -> Pieces:
    """Several steps of one kind: their random numbers are given, and their results have to be
    written.

    Args:
        more: most categories on the map of a cut-out, beside those asked about.
    """
    if kind in LEADS:
        return _steps_of(kind, rng)
    if kind == "cut-outs":
        return _cut_out(more, rng)
    lead, pieces = "<map></map> ->", list[str]()
    if kind in ("ways", "distances"):
        lead += " nearest" if kind == "distances" else ""
        for here, there in rng.integers(0, maps.GRID, (OFFSETS, 2, 2)).tolist():
            given, wanted = offset(here, there).split("=")
            last = half_cells(math.dist(here, there)) if kind == "distances" else hours(here, there)
            pieces += [f";{given}=", f"{wanted}={LETTERS[last]}"]
    elif kind == "turns":
        for one, other in rng.integers(0, HOURS, (TURNS, 2)).tolist():
            given, wanted = turned(one, other).split("=")
            pieces += [f";{given}=", wanted]
    elif kind == "best":
        for _ in range(LOOKUPS):
            far = rng.uniform(0, LONGEST, 4).tolist()
            word, *options = best_so_far(
                "ABCD", far, [""] * 4, farthest=bool(rng.integers(2))
            ).split(";")
            pieces += [f" {word}", ""]
            for option in options:
                given, wanted = option.split(" ")
                pieces += [f";{given} ", wanted]
    elif kind == "options":
        sectors = tuple(directions.SECTORS.values())[int(rng.integers(4))]
        texts = rng.permutation(list(sectors)).tolist()
        lead = "\n".join((*lettered(texts), lead))
        for k in rng.integers(0, len(texts), LOOKUPS).tolist():
            pieces += [
                f" {texts[k]}",
                looked_up(texts[k], dict(zip("ABCD", texts))).removeprefix(texts[k]),
            ]
    else:
        asked, other = names(2, rng)
        counts = {
            asked: instances(rng),
            other: int(rng.choice(PER_CATEGORY)),
        }
        cells = {
            c: [cell(rng) for _ in range(counts[c])]
            for c in rng.permutation([asked, other]).tolist()
            if counts[c]
        }
        lead, pieces = (
            asked + after_map(cells),
            ["", f" {counted(asked, cells.get(asked, []))}</think>"],
        )
    return lead + pieces[0], *pieces[1:]


def _steps_of(kind: str, rng: np.random.Generator) -> Pieces:
    """The steps of a question whose cut-out is given."""
    asked = names(5 if "distance" in kind else 3, rng)
    cells, sample = {c: [cell(rng)] for c in asked}, question(kind, asked, {}, rng)
    given, wanted = steps(
        replace(sample, options=sample.options if "distance" in kind else ()), cells
    ).split(" ->")
    return f"{LEADS[kind]} <map></map> {given} ->", f"{wanted}</think>"


def _cut_out(more: int, rng: np.random.Generator) -> Pieces:
    """Things of a map, in the order in which the prompt names them."""
    asked = names(int(rng.integers(3, 6)), rng)
    every = [*asked, *names(more, rng)]
    cells = {every[int(k)]: [cell(rng)] for k in rng.permutation(len(every))}
    cut_out = {c: cells[c] for c in asked}
    return ", ".join(asked) + after_map(cells), f" {cut_out} ->"


def _tokenised(rows: Sequence[Pieces], words: Any) -> Rows:
    """Rows padded on the left, with labels on every second piece.

    The given pieces are random numbers, which nobody can predict. With labels on them too, the model
    still guessed turns after 350 batches.
    """
    pieces = [[words(text)["input_ids"] if text else [] for text in row] for row in rows]
    data = words.pad(
        {"input_ids": [[t for ids in row for t in ids] for row in pieces]}, return_tensors="pt"
    )
    labels = torch.full_like(data["input_ids"], IGNORE)
    for row, parts in enumerate(pieces):
        wanted = [bool(k % 2) for k, ids in enumerate(parts) for _ in ids]
        labels[row, -len(wanted) :] = torch.where(
            torch.tensor(wanted), data["input_ids"][row, -len(wanted) :], IGNORE
        )
    return Rows(data["input_ids"], data["attention_mask"], labels)


def names(count: int, rng: np.random.Generator) -> list[str]:
    return [tuple(CATEGORIES)[int(k)] for k in rng.choice(len(CATEGORIES), count, replace=False)]


def instances(rng: np.random.Generator) -> int:
    """How many there are of a category that is counted."""
    return int(rng.integers(1, object_counting.HIGHEST + 1)) if rng.random() > ABSENT else 0


def cell(rng: np.random.Generator) -> list[int]:
    return [int(k) for k in rng.integers(0, maps.GRID, 2)]


def lettered(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{letter}. {option}" for letter, option in zip("ABCD", options))


def invented(kind: str, more: int, rng: np.random.Generator) -> Sample:
    """A question about a random map with up to ``more`` categories beside those asked about."""
    asks = 1 if kind == "object_counting" else 5 if "distance" in kind else 3
    chosen = names(asks + int(rng.integers(0, more + 1)), rng)
    counts = [int(rng.choice(PER_CATEGORY)) for _ in chosen]
    counts[0] = instances(rng) if kind == "object_counting" else 1
    if "direction" in kind:
        counts[:asks] = [1] * asks
    drawn = {c: [cell(rng) for _ in range(n)] for c, n in zip(chosen, counts) if n}
    order = list(drawn)
    return question(
        kind,
        chosen[:asks],
        {order[int(k)]: drawn[order[int(k)]] for k in rng.permutation(len(order))},
        rng,
    )


def question(kind: str, asked: list[str], cells: MapCells, rng: np.random.Generator) -> Sample:
    """A question of one of the ``KINDS`` in the words of the dataset, without its answer."""
    if kind == "object_counting":
        problem, options = object_counting.TEMPLATE.format(category=asked[0]), []
    elif kind in object_rel_direction.TEMPLATES:
        problem = object_rel_direction.TEMPLATES[kind].format(a=asked[0], b=asked[1], c=asked[2])
        options = [str(o) for o in rng.permutation(list(directions.SECTORS[kind]))]
    else:
        extreme = "farthest from" if kind.endswith("farthest") else "closest to"
        template, options = object_rel_distance.TEMPLATES["spacer"], asked[1:]
        problem = template.format(options=", ".join(options), extreme=extreme, target=asked[0])
    return Sample(
        problem_id=0,
        problem=problem,
        data_type="text",
        problem_type="multiple choice" if options else "numerical",
        options=lettered(options),
        solution="",
        path="",
        data_source="made-up maps",
        question_type=kind,
        categories=tuple(asked),
        cognitive_map=cells,
    )
