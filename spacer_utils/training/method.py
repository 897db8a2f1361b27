"""What a training method says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from ..core.types import Gate

Credit = Literal["completion", "parts", "object"]


class Method:
    """What a run optimises, and how its results are shown: a class of attributes, never an
    instance."""

    terms: ClassVar[Mapping[str, float] | None] = None
    """Reward terms and weights; None for supervised training."""
    with_map: ClassVar[bool] = False
    """Ask for a cognitive map in the prompt."""
    gate: ClassVar[Gate] = "correct"
    """When a map counts: after a right answer, as in the paper, or in every well-formed one."""
    credit: ClassVar[Credit] = "completion"
    """What a token is credited with: the whole completion's rewards, as in GRPO, those of its part
    (the map, or what stands behind it), or what it decides (``training.credit``)."""
    compared_with: ClassVar[tuple[str, ...]] = ()
    """Methods and conditions of the base (``base``, ``base with map``) that tables subtract from
    it."""
    colour: ClassVar[str | None] = None
    """Hex colour in every figure; None takes a stable one of the Okabe-Ito cycle."""
