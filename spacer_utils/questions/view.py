"""Input and output of every question type: it gets a ``View`` of a clip and returns a list of
``Candidate``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.types import Clip, DataType, ProblemType, SceneObject
from ..render.furniture import ALIASES
from ..scenes.contents import SYNONYMS
from .box_geometry import surface_distances

GENERIC = frozenset({"object", "wall", "floor", "ceiling"})
"""Names that no question uses, because they don't say which object is meant."""
BEGINNING, END = "at the beginning", "at the end"
WORDINGS = ("spacer", "vsi")
"""Wordings of the questions: as in SpaceR-151k, and as in VSI-Bench."""


@dataclass(frozen=True)
class Candidate:
    """A question with its answer, before the balancing chooses questions and gives options their
    letters."""

    problem: str
    problem_type: ProblemType
    answer: str
    """Text inside the answer tags; for multiple choice the right option without its letter."""
    categories: tuple[str, ...] = ()
    """Categories that the question names, in order."""
    options: tuple[str, ...] = ()
    """Option texts without letters, the right one among them."""
    balance: str = ""
    """Answer class; the balancing makes all classes of a question type equally frequent. Empty if
    the type has no classes."""
    traits: dict[str, float] = field(default_factory=dict)
    """Shortcuts to the answer that need no video, each with a signed weight.

    The balancing keeps the sum of each trait over all chosen questions near 0, so that none of them
    pays.
    """
    data_type: DataType = "video"
    media: dict[str, Any] = field(default_factory=dict)
    """How to make the question's own picture or video, see ``dataset.signs``; empty if it is about
    the room's video."""


@dataclass(frozen=True)
class View:
    """What a model gets of a clip: some of its frames, and the objects that are seen in them."""

    clip: Clip
    frames: tuple[int, ...]
    """Indices of the given frames, increasing."""
    min_share: float = 0.005
    """An object is seen if it covers at least this share of one of the given frames."""

    @cached_property
    def shares(self) -> dict[int, npt.NDArray[np.float64]]:
        """Instance id -> (n,) share of the picture that it covers in each given frame."""
        return {i: np.array(row)[list(self.frames)] for i, row in self.clip.visible_share.items()}

    def first_seen(self, instance_id: int, share: float | None = None) -> int | None:
        """Position, among the given frames, of the first in which the instance is seen; None if
        never.

        Args:
            share: least share of the picture; None takes ``min_share``.
        """
        row = self.shares.get(instance_id, np.zeros(0))
        hits = np.flatnonzero(row >= (self.min_share if share is None else share))
        return int(hits[0]) if len(hits) else None

    def is_seen(self, thing: SceneObject) -> bool:
        """Whether the object covers ``min_share`` of any given frame."""
        return self.first_seen(thing.instance_id) is not None

    @cached_property
    def objects(self) -> tuple[SceneObject, ...]:
        """All objects of the room with a usable name, seen or not."""
        return tuple(o for o in self.clip.scene.objects if o.category not in GENERIC)

    @cached_property
    def seen(self) -> tuple[SceneObject, ...]:
        """Those of ``objects`` that are seen."""
        return tuple(o for o in self.objects if self.is_seen(o))

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Categories of the room, without those that look like another one in it.

        For example, neither heaters nor radiators can be counted in a room that has both.
        """
        names = set(self.clip.scene.categories)
        return tuple(
            c
            for c in dict.fromkeys(o.category for o in self.objects)
            if look_alikes(c) & names == {c}
        )

    @cached_property
    def singles(self) -> tuple[SceneObject, ...]:
        """Unique objects: seen, and the only one of their category in the room.

        Only of these does a name like "the sofa" say which object is meant.
        """
        return tuple(
            o
            for o in self.seen
            if o.category in self.categories and len(self.clip.scene.instances(o.category)) == 1
        )

    def ends(self, thing: SceneObject, when: str) -> npt.NDArray[np.float64]:
        """(k,) shares of the picture that the object covers at the beginning or the end of the clip.

        ``at the beginning`` is from the clip's first frame to the first given one, and ``at the
        end`` from the last given one to the clip's last. A model with another frame sampling may
        get any of these frames as its first or last.
        """
        row = np.array(self.clip.visible_share[thing.instance_id])
        return row[: self.frames[0] + 1] if when == BEGINNING else row[self.frames[-1] :]

    @cached_property
    def distances(self) -> npt.NDArray[np.float64]:
        """(n, n) least distances between the surfaces of all ``objects``, metres."""
        return surface_distances([o.box for o in self.objects])

    @cached_property
    def place(self) -> dict[int, int]:
        """Instance id -> row of ``distances``."""
        return {o.instance_id: k for k, o in enumerate(self.objects)}

    def distance(self, a: SceneObject, b: SceneObject) -> float:
        """Least distance between the surfaces of two objects, metres."""
        return float(self.distances[self.place[a.instance_id], self.place[b.instance_id]])


def look_alikes(category: str) -> set[str]:
    """The category and all categories that look the same in a picture."""
    return {category}.union(
        *(names for names in (*SYNONYMS, *ALIASES.items()) if category in names)
    )


def choice(
    problem: str,
    answer: str,
    options: Sequence[str],
    categories: Sequence[str],
    *,
    balance: str = "",
    contexts: Iterable[str] = (),
    **more: Any,
) -> Candidate:
    """A multiple-choice candidate with traits for its right option, alone and in each context.

    With k options, the right one has the weight 1 - 1/k and each other -1/k. The sum over many
    questions is near 0 if every option is right as often as by chance.

    Args:
        contexts: parts of the question, such as the category asked about, together with which an
            option must not be right too often either.
        more: other fields of ``Candidate``.
    """
    wins = {o: float(o == answer) - 1 / len(options) for o in options}
    traits = {f"{c}|{o}": v for c in ("", *contexts) for o, v in wins.items()}
    return Candidate(
        problem,
        "multiple choice",
        answer,
        tuple(categories),
        tuple(options),
        balance,
        traits,
        **more,
    )


def bin_name(value: float, edges: Sequence[float]) -> str:
    """Name of the bin that contains the value; sorting the names sorts the bins.

    >>> [bin_name(v, (1.0, 2.5)) for v in (0.5, 1.0, 3.0)]
    ['bin 0 (below 1)', 'bin 1 (1 to 2.5)', 'bin 2 (from 2.5)']
    """
    k = int(np.searchsorted(edges, value, side="right"))
    if k == 0:
        return f"bin 0 (below {edges[0]:g})"
    return (
        f"bin {k} (from {edges[-1]:g})"
        if k == len(edges)
        else f"bin {k} ({edges[k - 1]:g} to {edges[k]:g})"
    )


def draws(
    rng: np.random.Generator, things: Sequence[Any], size: int, limit: int
) -> list[tuple[Any, ...]]:
    """Up to ``limit`` different random selections of ``size`` things, each in random order."""
    if len(things) < size:
        return []

    # A dict keeps the order and drops repetitions.
    picks = {
        tuple(int(i) for i in rng.choice(len(things), size, replace=False)): None
        for _ in range(limit)
    }
    return [tuple(things[i] for i in pick) for pick in picks]
