"""What a completion earns, term by term. A reward is one registered file: ``(sample, answer) ->
(value or None, reason)``.

There are two named sets. ``spacer`` reproduces the paper's released rewards, errors included;
``strict`` is ours. A reward sees one sample and its completion. Only ``length`` and ``temporal``
need all completions of a prompt.
"""

from __future__ import annotations

from .adapter import trl_reward_functions
from .sets import SETS, RewardSet, score, term

__all__ = ["SETS", "RewardSet", "score", "term", "trl_reward_functions"]
