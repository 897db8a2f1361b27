"""Named reward sets, and the gate between a map and its reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..core import answers
from ..core.registry import REWARDS
from ..core.types import Answer, Gate, Sample, Score, WorkbookError

GATES: tuple[Gate, ...] = ("correct", "format", "none")
MAPPED_TYPES = ("multiple choice", "numerical")
"""Problem types whose maps the released code rewards."""


@dataclass(frozen=True)
class RewardSet:
    """Reward terms with their weights, and the rules that compute them."""

    name: str
    weights: Mapping[str, float]
    """Public term -> weight in the total."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """Public term -> registered reward, where the two differ."""
    map_term: str = "map_calibrated"
    """The map score that counts in ``accuracy_with_map``."""
    gate: Gate = "correct"
    released: bool = False
    """As in the released code, a right answer with a map of score 0 earns nothing. Otherwise a map
    never costs anything."""


SETS: Mapping[str, RewardSet] = MappingProxyType(
    {
        "strict": RewardSet("strict", {"accuracy_with_map": 1.0, "format": 1.0}),
        "spacer": RewardSet(
            "spacer",
            {"accuracy_with_map": 1.0, "format": 1.0, "length": 1.0, "temporal": 1.0},
            {"accuracy": "accuracy_spacer", "format": "format_spacer"},
            map_term="map",
            released=True,
        ),
    }
)
"""``spacer``: the paper's total, at most 3.5. ``strict`` (default): at most 3."""


def resolve(reward_set: str | RewardSet) -> RewardSet:
    """The set of that name, or the set itself.

    Raises:
        WorkbookError: no such set, or a gate that there isn't.
    """
    if isinstance(reward_set, str):
        if reward_set not in SETS:
            raise WorkbookError(f"unknown reward set {reward_set!r}. Known: {', '.join(SETS)}.")
        return SETS[reward_set]
    if reward_set.gate not in GATES:
        raise WorkbookError(f"unknown gate {reward_set.gate!r}. Known: {', '.join(GATES)}.")
    return reward_set


def term(name: str, sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Value of one registered reward (None where it doesn't apply) and the reason.

    Raises:
        WorkbookError: no reward of that name.
    """
    value, reason = REWARDS[name](sample, answer)
    return value, reason


def score(sample: Sample, completion: str, reward_set: str | RewardSet = "strict") -> Score:
    """Every term of a completion by its public name, with ``accuracy_with_map`` and the weighted
    total.

    A calibrated map score may be negative; what a map adds to ``accuracy_with_map`` is not.

    >>> room = Sample(1, "", "video", "multiple choice", (), "<answer>B</answer>", "", "", cognitive_map={"tv": [[8, 1]]})
    >>> score(room, "<think><map>{'tv': [[8, 1]]}</map></think><answer>B.</answer>").total
    3.0
    """
    rewards = resolve(reward_set)
    answer = answers.parse(completion)
    aliased = set(rewards.rules.values())
    found = {
        name: term(rewards.rules.get(name, name), sample, answer)
        for name in REWARDS.names()
        if name not in aliased and not name.endswith("_spacer")
    }
    found["accuracy_with_map"] = with_map(
        rewards, sample, answer, found["accuracy"][0], lambda: found[rewards.map_term][0]
    )
    terms = {name: value for name, (value, _) in found.items()}
    total = sum(weight * (terms[name] or 0.0) for name, weight in rewards.weights.items())
    return Score(terms, {name: reason for name, (_, reason) in found.items()}, total)


def with_map(
    rewards: RewardSet,
    sample: Sample,
    answer: Answer,
    accuracy: float | None,
    drawn: Callable[[], float | None],
) -> tuple[float | None, str]:
    """Accuracy and what the map adds to it.

    Args:
        accuracy: value of the set's accuracy for this completion.
        drawn: gives the value of the set's map term; called only where the map counts.
    """
    if accuracy is None:
        return None, "accuracy does not apply"
    if rewards.released:
        return _released(sample, answer, accuracy, drawn)
    if answer.map_text is None:
        return accuracy, "no map"
    if not gate_open(rewards.gate, answer, accuracy):
        return (
            accuracy,
            f"the map doesn't count: it stands outside the think block, or gate {rewards.gate!r} is closed",
        )
    value = drawn()
    if value is None:
        return accuracy, "there is no true map to compare with"
    return accuracy + map_bonus(value), f"map adds {map_bonus(value):.2f}"


def gate_open(gate: Gate, answer: Answer, accuracy: float | None) -> bool:
    """Whether a map counts. It must stand inside the think block.

    Gate ``correct`` asks for an accuracy over 0.5, ``format`` for a well-formed completion, ``none``
    for nothing more.
    """
    if answers.OUTSIDE[1] in answer.problems:
        return False
    return gate == "none" or (answer.well_formed if gate == "format" else (accuracy or 0.0) > 0.5)


def map_bonus(drawn: float) -> float:
    """What a map score adds to the reward, 0-1: a bad map costs nothing, as no map does."""
    return min(1.0, max(0.0, drawn))


def _released(
    sample: Sample, answer: Answer, accuracy: float, drawn: Callable[[], float | None]
) -> tuple[float, str]:
    """The released gate: the map of a right answer adds its score.

    If that score is 0, the answer's own reward is lost too.
    """
    if (
        sample.problem_type not in MAPPED_TYPES
        or accuracy <= 0.5
        or "<map>" not in answer.text
        or "</map>" not in answer.text
    ):
        return accuracy, "no map counts here"
    value = drawn()
    if value is None:
        return 0.0, "void: a map, but the sample has none"
    if value <= 0:
        return 0.0, "void: a map without score"
    return accuracy + value, f"map adds {value:.2f}"
