"""TRL adapter: one batched function per term, named after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..core import answers
from ..core.registry import REWARDS
from ..core.types import Answer, Gate, Sample
from . import length, temporal
from .sets import RewardSet, gate_open, map_bonus, resolve, term, with_map

Values = list[float | None]
RewardFunction = Callable[..., Values]


def trl_reward_functions(
    terms: Mapping[str, float] | None = None,
    gate: Gate | None = None,
    reward_set: str | RewardSet = "strict",
    completion_limit: int = length.PAPER_LIMIT,
) -> tuple[list[RewardFunction], list[float]]:
    """Functions ``(completions, sample, **columns) -> [value or None]`` and their weights, for
    TRL's ``GRPOTrainer``.

    The dataset's column ``sample`` holds ``Sample.to_json_text()``. A map term is at least 0, and 0
    behind a closed gate. ``length`` reads ``completion_ids``. ``temporal`` reads the column
    ``shuffled_accuracy``, the prompt's mean on shuffled frames. For both, all rows with the same
    ``sample`` are one group, and the batch must hold the whole group.

    Args:
        terms: public term -> weight; by default the set's.
        gate: by default the set's.
        completion_limit: most tokens of a completion, to which the length term scales.

    Raises:
        WorkbookError: an unknown term, set or gate.
    """
    rewards = resolve(reward_set)
    rewards = resolve(replace(rewards, gate=gate)) if gate else rewards
    chosen = rewards.weights if terms is None else terms
    return [_function(name, rewards, completion_limit) for name in chosen], list(chosen.values())


def _function(name: str, rewards: RewardSet, limit: int) -> RewardFunction:
    if name == "length":
        function = partial(_length, rewards, limit)
    elif name == "temporal":
        function = partial(_temporal, rewards)
    else:
        if name != "accuracy_with_map":
            REWARDS.entry(
                rewards.rules.get(name, name)
            )  # an unknown name fails here, not in the middle of a run
        function = partial(_rows, name, rewards)
    function.__name__ = name  # type: ignore[attr-defined]
    return function


def value(name: str, rewards: RewardSet, sample: Sample, answer: Answer) -> float | None:
    """What one term of a set counts for one completion, the gate applied."""
    if name == "accuracy_with_map":
        accuracy = value("accuracy", rewards, sample, answer)
        return with_map(
            rewards, sample, answer, accuracy, lambda: term(rewards.map_term, sample, answer)[0]
        )[0]

    found, _ = term(rewards.rules.get(name, name), sample, answer)
    if found is None or not name.startswith("map"):
        return found

    accuracy = value("accuracy", rewards, sample, answer)
    return map_bonus(found) if gate_open(rewards.gate, answer, accuracy) else 0.0


def _rows(
    name: str, rewards: RewardSet, completions: Sequence[Any], sample: Sequence[str], **columns: Any
) -> Values:
    return [
        value(name, rewards, Sample.from_json_text(s), answers.parse(text_of(c)))
        for c, s in zip(completions, sample, strict=True)
    ]


def text_of(completion: Any) -> str:
    """The text of a completion in any of TRL's forms: a string, or messages whose content is a
    string or a list of parts."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion]
    return "".join(
        c if isinstance(c, str) else "".join(part.get("text", "") for part in c) for c in contents
    )


def _length(
    rewards: RewardSet,
    limit: int,
    completions: Sequence[Any],
    sample: Sequence[str],
    completion_ids: Sequence[Sequence[int]],
    **columns: Any,
) -> Values:
    def one_group(rows: list[int], accuracies: Values) -> Values:
        return [*length.bonuses(accuracies, [len(completion_ids[k]) for k in rows], limit)]

    return _by_group(one_group, rewards, completions, sample)


def _temporal(
    rewards: RewardSet,
    completions: Sequence[Any],
    sample: Sequence[str],
    shuffled_accuracy: Sequence[float | None],
    **columns: Any,
) -> Values:
    def one_group(rows: list[int], accuracies: Values) -> Values:
        return temporal.bonuses(accuracies, shuffled_accuracy[rows[0]])

    return _by_group(one_group, rewards, completions, sample)


def _by_group(
    one_group: Callable[[list[int], Values], Values],
    rewards: RewardSet,
    completions: Sequence[Any],
    sample: Sequence[str],
) -> Values:
    """Values of a term that is defined on groups.

    A group is all rows with the same sample, in any order.
    """
    # the released code compares accuracies that already contain the map's bonus
    accuracies = _rows(
        "accuracy_with_map" if rewards.released else "accuracy", rewards, completions, sample
    )
    groups: dict[str, list[int]] = defaultdict(list)
    for k, text in enumerate(sample):
        groups[text].append(k)
    found: dict[int, float | None] = {}
    for rows in groups.values():
        found.update(zip(rows, one_group(rows, [accuracies[k] for k in rows])))
    return [found[k] for k in range(len(sample))]
