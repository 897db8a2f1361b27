"""Made-up maps with a question that they answer: where the nano base learns to reckon with cells, and then to read a map.

From answers alone a small model doesn't find out how to read: in thousands of rows the letter of a direction or of the nearest
thing stayed a guess. Written out step by step (``map_reading.steps``), each step is small, but two of them are slow to come: how
far one cell lies from another, and which letter stands before a direction. Whole questions hold few of either, so the rows of
stage ``reckon`` hold nothing else: a cut-out map with its steps, or options and their texts with letters; each comes within 300
batches. Stage ``reading`` has whole questions. The maps are random: nothing about rooms can be learned by heart here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from .. import maps
from ..map_reading import reading, steps
from ..profiles import Profile
from ..prompts import after_map, messages
from ..questions import object_counting, object_rel_direction, object_rel_distance
from ..render.furniture import CATEGORIES
from ..types import MapCells, Sample
from .told_maps import PER_CATEGORY, Rows

LEADS = {"object_rel_direction_hard": "facing the", "object_rel_direction_backward": "facing directly away from the",
         "object_rel_distance": "closest to", "object_rel_distance_farthest": "farthest from"}
"""Questions of the short rows with a map, and the words that stand for each there."""
KINDS = ("object_counting", *object_rel_direction.TEMPLATES, "object_rel_distance", "object_rel_distance_farthest")
"""Questions of the whole rows."""
FEWEST, MOST = 1, 5
"""Categories beside those asked about, at most, in the maps of the first steps and of the last."""
LOOKUPS = 6
"""Directions in a row of options, each followed by its letter."""
GROW = (0.3, 0.8)
"""Shares of the steps between which the maps grow from the one to the other."""


@dataclass(frozen=True)
class Readings:
    """Batch ``k`` depends on ``(seed, stage, k)`` and the number of steps alone."""

    processor: Any
    profile: Profile
    rows: int
    """Rows per batch."""
    seed: int
    stage: str
    steps: int
    """Steps over which the maps grow."""
    short: bool = False
    """Nothing but the things asked about and the steps, or options and their letters."""
    options: int = 0
    """Further rows per batch of options and their letters, which are forgotten where only whole questions follow."""

    def draw(self, step: int) -> Rows:
        """The batch of one step; what follows from the map, or from the options, is labelled."""
        rng = np.random.default_rng([self.seed, crc32(self.stage.encode()), step])
        start, end = GROW
        grown = float(np.clip((step / self.steps - start) / (end - start), 0.0, 1.0))
        kinds = (*LEADS, "options") if self.short else KINDS
        picked = [kinds[(step * self.rows + k) % len(kinds)] for k in range(self.rows)]
        pairs = [self._short(kind, rng) if self.short else self._whole(kind, round(FEWEST + grown * (MOST - FEWEST)), rng)
                 for kind in picked]
        pairs += [self._short("options", rng) for _ in range(self.options)]
        words = self.processor.tokenizer
        data = words([given + wanted for given, wanted in pairs], padding=True, return_tensors="pt")
        return Rows.labelled(data, [len(words(wanted)["input_ids"]) for _, wanted in pairs])

    def _short(self, kind: str, rng: np.random.Generator) -> tuple[str, str]:
        if kind == "options":
            sectors = tuple(object_rel_direction.SECTORS.values())[int(rng.integers(4))]
            texts = rng.permutation(list(sectors)).tolist()
            picked = [int(k) for k in rng.integers(0, len(texts), LOOKUPS)]
            return "\n".join((*lettered(texts), "<think>")), "".join(f"; {texts[k]} {'ABCD'[k]}" for k in picked) + "</think>"
        asked = names(5 if "distance" in kind else 3, rng)
        cells = {c: [cell(rng)] for c in asked}
        given, wanted = steps(replace(question(kind, asked, cells, rng), options=()), cells).split(" ->")  # no letters to know
        return f"{LEADS[kind]} <map></map> {given} ->", f"{wanted}</think>"

    def _whole(self, kind: str, more: int, rng: np.random.Generator) -> tuple[str, str]:
        while True:
            sample = invented(kind, more, rng)
            cells = sample.cognitive_map or {}
            says = reading(sample, cells)
            if cells and says is not None:
                break
        message = messages(sample, self.profile.prompt_style, with_map=True)
        prompt = self.processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        read = steps(sample, cells)
        end = f"{read and ' '}{read}</think><answer>{says}</answer>{self.processor.tokenizer.eos_token}"
        return prompt + after_map(cells), end


def names(count: int, rng: np.random.Generator) -> list[str]:
    return [tuple(CATEGORIES)[int(k)] for k in rng.choice(len(CATEGORIES), count, replace=False)]


def cell(rng: np.random.Generator) -> list[int]:
    return [int(k) for k in rng.integers(0, maps.GRID, 2)]


def lettered(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{letter}. {option}" for letter, option in zip("ABCD", options))


def invented(kind: str, more: int, rng: np.random.Generator) -> Sample:
    """A question about a random map with up to ``more`` categories beside those asked about."""
    asks = 1 if kind == "object_counting" else 5 if "distance" in kind else 3
    chosen = names(asks + int(rng.integers(0, more + 1)), rng)
    counts = [int(rng.choice(PER_CATEGORY)) for _ in chosen]
    counts[0] = int(rng.integers(0, object_counting.HIGHEST + 1)) if kind == "object_counting" else 1
    if "direction" in kind:
        counts[:asks] = [1] * asks
    drawn = {c: [cell(rng) for _ in range(n)] for c, n in zip(chosen, counts) if n}
    order = list(drawn)
    return question(kind, chosen[:asks], {order[int(k)]: drawn[order[int(k)]] for k in rng.permutation(len(order))}, rng)


def question(kind: str, asked: list[str], cells: MapCells, rng: np.random.Generator) -> Sample:
    """A question of one of the ``KINDS`` in the words of the dataset, without its answer."""
    if kind == "object_counting":
        problem, options = object_counting.TEMPLATE.format(category=asked[0]), []
    elif kind in object_rel_direction.TEMPLATES:
        problem = object_rel_direction.TEMPLATES[kind].format(a=asked[0], b=asked[1], c=asked[2])
        options = [str(o) for o in rng.permutation(list(object_rel_direction.SECTORS[kind]))]
    else:
        extreme = "farthest from" if kind.endswith("farthest") else "closest to"
        template, options = object_rel_distance.TEMPLATES["spacer"], asked[1:]
        problem = template.format(options=", ".join(options), extreme=extreme, target=asked[0])
    return Sample(problem_id=0, problem=problem, data_type="text", problem_type="multiple choice" if options else "numerical",
                  options=lettered(options), solution="", path="",
                  data_source="made-up maps", question_type=kind, categories=tuple(asked), cognitive_map=cells)
