"""What a question may look at, and what it hands back: ``View`` in, ``Candidate`` out."""

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
"""Names that no question uses: nobody knows which one is meant."""
BEGINNING, END = "at the beginning", "at the end"
WORDINGS = ("spacer", "vsi")
"""The training set's and the benchmark's wording; they differ slightly."""


@dataclass(frozen=True)
class Candidate:
    """A question with its answer, before balancing has chosen it and given letters to its
    options."""

    problem: str
    problem_type: ProblemType
    answer: str
    """As printed inside the answer tags; for multiple choice the right option's text."""
    categories: tuple[str, ...] = ()
    """Categories that the question names, in order."""
    options: tuple[str, ...] = ()
    """Option texts without letters, the right one among them."""
    balance: str = ""
    """Answer class whose frequencies are flattened over the set; empty when any answer is as
    welcome as another."""
    traits: dict[str, float] = field(default_factory=dict)
    """What a reader without the video could learn; the selection keeps the sum of each over the set
    near 0."""
    data_type: DataType = "video"
    media: dict[str, Any] = field(default_factory=dict)
    """How to make the picture or clip; empty for the room's own video (see ``media``)."""


@dataclass(frozen=True)
class View:
    """A clip as a model is given it: some of its frames, and the objects seen in them."""

    clip: Clip
    frames: tuple[int, ...]
    """Indices of the given frames, increasing."""
    min_share: float = 0.005
    """An object is seen if it covers this share of some given frame."""

    @cached_property
    def shares(self) -> dict[int, npt.NDArray[np.float64]]:
        """instance id -> (n,) share of each given frame."""
        return {i: np.array(row)[list(self.frames)] for i, row in self.clip.visible_share.items()}

    def first_seen(self, instance_id: int, share: float | None = None) -> int | None:
        """Position among the given frames at which the instance first covers ``share`` of one; None
        if never."""
        row = self.shares.get(instance_id, np.zeros(0))
        hits = np.flatnonzero(row >= (self.min_share if share is None else share))
        return int(hits[0]) if len(hits) else None

    def is_seen(self, thing: SceneObject) -> bool:
        return self.first_seen(thing.instance_id) is not None

    @cached_property
    def objects(self) -> tuple[SceneObject, ...]:
        """Every object of the room that has a usable name, seen or not."""
        return tuple(o for o in self.clip.scene.objects if o.category not in GENERIC)

    @cached_property
    def seen(self) -> tuple[SceneObject, ...]:
        return tuple(o for o in self.objects if self.is_seen(o))

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Usable names of the room that no other name in it stands for too: with a radiator there,
        nobody can count heaters."""
        names = set(self.clip.scene.categories)
        return tuple(
            c
            for c in dict.fromkeys(o.category for o in self.objects)
            if look_alikes(c) & names == {c}
        )

    @cached_property
    def singles(self) -> tuple[SceneObject, ...]:
        """Seen objects that are the only one of their category in the room: "the sofa" means just
        one thing."""
        return tuple(
            o
            for o in self.seen
            if o.category in self.categories and len(self.clip.scene.instances(o.category)) == 1
        )

    def ends(self, thing: SceneObject, when: str) -> npt.NDArray[np.float64]:
        """Shares from the clip's first frame to the first given one (``at the beginning``), or from
        the last given one to the clip's last (``at the end``): what another sampling may take for
        the same end."""
        row = np.array(self.clip.visible_share[thing.instance_id])
        return row[: self.frames[0] + 1] if when == BEGINNING else row[self.frames[-1] :]

    @cached_property
    def distances(self) -> npt.NDArray[np.float64]:
        """(n, n) least surface distances between all ``objects``, metres."""
        return surface_distances([o.box for o in self.objects])

    @cached_property
    def place(self) -> dict[int, int]:
        """instance id -> row of ``distances``."""
        return {o.instance_id: k for k, o in enumerate(self.objects)}

    def distance(self, a: SceneObject, b: SceneObject) -> float:
        return float(self.distances[self.place[a.instance_id], self.place[b.instance_id]])


def look_alikes(category: str) -> set[str]:
    """The category with every name that a picture doesn't tell apart from it."""
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
    """A multiple-choice candidate whose traits say which option wins, overall and together with
    each context.

    With k options the winner counts 1 - 1/k and every other -1/k, so a balanced set has sums near
    0.
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
    """Name of the bin between neighbouring edges that holds the value; names sort as the bins do.

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
    """Up to ``limit`` different ordered selections of ``size`` of the things, all of them if there
    are few."""
    if len(things) < size:
        return []
    picks = {
        tuple(int(i) for i in rng.choice(len(things), size, replace=False)): None
        for _ in range(limit)
    }
    return [tuple(things[i] for i in pick) for pick in picks]
