"""Rewards for other trainers: every term of one completion, or the terms' weighted mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core import answers
from ..core.types import Gate, Sample
from . import adapter, sets


def terms(
    sample: str, completion: Any, reward_set: str, gate: Gate, names: Sequence[str]
) -> dict[str, float | None]:
    """What each term counts for one completion, as in our own training; None where it does not
    apply.

    Args:
        sample: ``Sample.to_json_text()``, which every exported row carries.
    """
    s, answer = Sample.from_json_text(sample), answers.parse(adapter.text_of(completion))
    rewards = replace(sets.resolve(reward_set), gate=gate)
    return {name: adapter.value(name, rewards, s, answer) for name in names}


def weighed(
    sample: str,
    completion: Any,
    reward_set: str,
    gate: Gate,
    weights: Mapping[str, float],
    total: str,
) -> dict[str, float]:
    """Every term, 0 where it does not apply, and the weighted mean of those that apply.

    The mean is 1 for the gold completion.

    Args:
        total: key of the mean.
    """
    found = {
        k: v
        for k, v in terms(sample, completion, reward_set, gate, list(weights)).items()
        if v is not None
    }
    share = sum(weights[k] for k in found)
    mean = sum(weights[k] * v for k, v in found.items()) / share if share else 0.0
    return {total: mean, **{k: found.get(k, 0.0) for k in weights}}
