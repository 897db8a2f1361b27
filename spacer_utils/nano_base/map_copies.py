"""Random maps that the prompt gives as text and the model copies: here the nano base learns to find
a name and to copy the cells beside it.

Copying takes several attention heads that help only together. On maps of whole rooms no model of
this size formed them within 400 steps. On maps of up to three categories they form within a hundred.
So the maps start small and grow. They are random, so nothing about rooms can be learned by heart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch.nn import functional as F

from ..core import maps, prompts
from ..core.profiles import Profile
from ..core.types import MapCells, Sample
from ..dataset.samples import text_rows
from ..questions.object_counting import TEMPLATE
from ..render.furniture import CATEGORIES
from ..training.packing import IGNORE

FEWEST, MOST = 3, 9
"""Most categories of a map in the first steps, and in the last."""
GROW = (0.3, 0.8)
"""The maps grow between these shares of the steps."""
PER_CATEGORY = (1, 1, 1, 2, 2, 3)
"""Instances of a category, equally likely."""


@dataclass
class Rows:
    """Tokenised prompts with their completions, padded on the left."""

    ids: torch.Tensor
    """(B, L)"""
    mask: torch.Tensor
    labels: torch.Tensor
    """(B, L) the completion's tokens, ``IGNORE`` elsewhere."""

    @classmethod
    def labelled(cls, data: Any, lengths: list[int]) -> Rows:
        """Rows whose last ``lengths`` tokens are the completions."""
        labels = torch.full_like(data["input_ids"], IGNORE)
        for row, length in enumerate(lengths):
            labels[row, -length:] = data["input_ids"][row, -length:]
        return cls(data["input_ids"], data["attention_mask"], labels)

    def beside(self, others: Rows) -> Rows:
        """These rows and then others in one batch."""
        longest = max(self.ids.shape[1], others.ids.shape[1])

        def joined(mine: torch.Tensor, theirs: torch.Tensor, filler: int) -> torch.Tensor:
            return torch.cat(
                [F.pad(t, (longest - t.shape[1], 0), value=filler) for t in (mine, theirs)]
            )

        return Rows(
            joined(self.ids, others.ids, 0),
            joined(self.mask, others.mask, 0),
            joined(self.labels, others.labels, IGNORE),
        )

    def halves(self) -> list[Rows]:
        """The shorter rows and the longer ones, without the padding that each half can do without.

        The first half is empty for a single row, and is left out then.
        """
        lengths = self.mask.sum(1)
        order, half = lengths.argsort(stable=True), len(lengths) // 2
        return [
            Rows(*(part[rows, -int(lengths[rows].max()) :] for part in vars(self).values()))
            for rows in (order[:half], order[half:])
            if len(rows)
        ]

    def to(self, device: str) -> Rows:
        return Rows(self.ids.to(device), self.mask.to(device), self.labels.to(device))


@dataclass(frozen=True)
class MapCopies:
    """Batches of random maps to copy. Batch ``k`` depends only on ``(seed, k)`` and the number of
    steps."""

    processor: Any
    profile: Profile
    rows: int
    """Rows per batch of the shortest maps; fewer as the maps grow, so that steps cost about the
    same."""
    seed: int
    steps: int
    """Steps over which the maps grow."""

    def draw(self, step: int) -> Rows:
        """The batch of one step."""
        rng = np.random.default_rng([self.seed, crc32(b"told maps"), step])
        start, end = GROW
        grown = np.clip((step / self.steps - start) / (end - start), 0.0, 1.0)
        most = round(FEWEST + grown * (MOST - FEWEST))
        samples = [invented(most, rng) for _ in range(max(2, self.rows * FEWEST // most))]
        return copies(samples, self.processor, self.profile, rng, reordered=0.5)


def invented(most: int, rng: np.random.Generator) -> Sample:
    """A counting question about a random map of up to ``most`` categories."""
    chosen = rng.choice(len(CATEGORIES), int(rng.integers(1, most + 1)), replace=False)
    cells: MapCells = {
        tuple(CATEGORIES)[k]: rng.integers(
            0, maps.GRID, (int(rng.choice(PER_CATEGORY)), 2)
        ).tolist()
        for k in chosen
    }
    first = int(rng.integers(len(cells)))
    return counting(cells, first)


def counting(cells: MapCells, asked: int = 0) -> Sample:
    """The question of how many there are of one of a map's categories."""
    category = tuple(cells)[asked]
    return Sample(
        problem_id=0,
        problem=TEMPLATE.format(category=category),
        data_type="video",
        problem_type="numerical",
        options=(),
        solution=f"<answer>{len(cells[category])}</answer>",
        path="",
        data_source="told maps",
        question_type="object_counting",
        cognitive_map=cells,
    )


def copies(
    samples: list[Sample],
    processor: Any,
    profile: Profile,
    rng: np.random.Generator,
    reordered: float,
) -> Rows:
    """Text-only rows whose prompt gives a sample's map and whose completion repeats it.

    Args:
        reordered: share of rows whose completion has the categories in another order, so that each
            name has to be looked up.
    """
    texts, lengths = [], []
    for sample in text_rows(samples):
        cells = list((sample.cognitive_map or {}).items())
        if rng.random() < reordered:
            sample = replace(
                sample, cognitive_map=dict(cells[int(k)] for k in rng.permutation(len(cells)))
            )
        text, length = written(sample, processor, profile, with_map=True)
        texts.append(text)
        lengths.append(length)
    tokens = processor.tokenizer(texts, padding=True, return_tensors="pt")
    return Rows.labelled(tokens, lengths)


def written(
    sample: Sample,
    processor: Any,
    profile: Profile,
    *,
    with_map: bool,
    read: bool = False,
    media: str | None = None,
) -> tuple[str, int]:
    """A row's prompt and completion as one text, and the completion's number of tokens; see
    ``prompts.target`` for ``read``."""
    message = prompts.messages(sample, profile.prompt_style, with_map, media=media)
    end = prompts.target(sample, with_map, read) + processor.tokenizer.eos_token
    text = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True) + end
    return text, len(processor.tokenizer(end)["input_ids"])
