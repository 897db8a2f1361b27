"""TRL adapter: one batched function per term, named after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..core import answers
from ..core.maps import GRID
from ..core.registry import REWARDS
from ..core.types import Answer, Sample
from . import length, temporal
from .map import text_read
from .sets import Gate, RewardSet, credit, gate_open, resolve, term, with_map

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

    The dataset's column ``sample`` holds ``Sample.to_json_text()``. Map terms give what counts: 0
    behind a closed gate, never less. ``length`` reads ``completion_ids``; ``temporal`` the column
    ``shuffled_accuracy`` (the prompt's mean on shuffled frames). Both take all rows with the same
    ``sample`` as one group, which must stand whole in the batch.

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


def value(
    name: str,
    rewards: RewardSet,
    sample: Sample,
    answer: Answer,
    drawn: Callable[[], float | None] | None = None,
) -> float | None:
    """What one term of a set counts for one completion, the gate applied.

    Args:
        drawn: gives the map score on which the term rests, where it is known already.
    """
    drawn = drawn or (lambda: term(_rule(name, rewards), sample, answer)[0])
    if name == "accuracy_with_map":
        return with_map(rewards, sample, answer, value("accuracy", rewards, sample, answer), drawn)[
            0
        ]
    found = drawn()
    if found is None or not name.startswith("map"):
        return found
    return (
        credit(found)
        if gate_open(rewards.gate, answer, value("accuracy", rewards, sample, answer))
        else 0.0
    )


def _rule(name: str, rewards: RewardSet) -> str:
    """The registered reward on which a public term rests."""
    return rewards.map_term if name == "accuracy_with_map" else rewards.rules.get(name, name)


def _rows(
    name: str, rewards: RewardSet, completions: Sequence[Any], sample: Sequence[str], **columns: Any
) -> Values:
    rows = [
        (Sample.from_json_text(s), answers.parse(text_of(c)))
        for c, s in zip(completions, sample, strict=True)
    ]
    if _rule(name, rewards) != "map":
        return [value(name, rewards, s, a) for s, a in rows]
    return [
        value(name, rewards, s, a, lambda score=score: score)  # type: ignore[misc]
        for (s, a), score in zip(rows, released_maps(rows))
    ]


def released_maps(rows: Sequence[tuple[Sample, Answer]]) -> Values:
    """The reward ``map`` of many completions at once, by the compiled reader, which knows the
    paper's grid only."""
    from .map_batch import map_scores  # numba, for who trains with this reward only

    texts = [text_read(a) for _, a in rows]
    told = [
        k
        for k, (s, _) in enumerate(rows)
        if s.cognitive_map is not None and texts[k] is not None and s.map_grid == GRID
    ]
    scores = map_scores(
        [texts[k] or "" for k in told], [rows[k][0].cognitive_map or {} for k in told]
    )
    found = dict(zip(told, scores))
    return [found[k] if k in found else REWARDS["map"](s, a)[0] for k, (s, a) in enumerate(rows)]


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
    """Values of a term that is defined on groups: all rows with the same sample, wherever they
    stand in the batch."""
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
