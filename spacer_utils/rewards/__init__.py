"""What a completion earns, term by term. A reward is one registered file: ``(sample, answer) ->
(value or None, reason)``.

Named sets: ``spacer`` reproduces the paper's released rewards on single rows, wrong corners
included; ``strict`` is ours. A reward sees one sample, never its neighbours; only ``length`` and
``temporal`` are defined on a prompt's group (see there).
"""

from __future__ import annotations

from .adapter import trl_reward_functions
from .sets import SETS, RewardSet, score, term

__all__ = ["SETS", "RewardSet", "score", "term", "trl_reward_functions"]
