"""What the logs of a run say: gains are of whole questions, and their intervals are those of
independent questions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from spacer_utils.analysis import training_logs
from spacer_utils.core.types import Sample
from spacer_utils.training import logs


def rollouts(rewards: list[list[list[float]]]) -> training_logs.Rows:
    """Rows from rewards by step, question and completion; accuracy is half the reward."""
    return [
        {
            "step": step,
            "group": f"q{step}-{k}",
            "question_type": "object_counting",
            "reward": r,
            "terms": {"accuracy": r / 2},
        }
        for step, questions in enumerate(rewards, 1)
        for k, question in enumerate(questions)
        for r in question
    ]


def test_thirds_are_whole_steps_at_both_ends_and_at_least_one() -> None:
    for steps, part in ((1, 1), (2, 1), (3, 1), (4, 2), (7, 3), (30, 10)):
        first, last = training_logs.thirds(rollouts([[[0.0, 1.0]]] * steps))
        assert [g[0]["step"] for g in first] == list(range(1, part + 1))
        assert [g[0]["step"] for g in last] == list(range(steps - part + 1, steps + 1))
        assert {len(g) for g in (*first, *last)} == {2}
    assert training_logs.thirds([]) == ([], [])


def test_a_gain_is_the_difference_of_question_means_with_their_interval() -> None:
    found = training_logs.gain(
        rollouts([[[0.0, 1.0], [0.0, 0.0]], [[9.0, 9.0]], [[1.0, 1.0], [1.0, 0.0]]])
    )
    assert (found["first"], found["last"], found["difference"]) == (0.25, 0.75, 0.5)
    half = 1.96 * math.sqrt(
        2 * 0.125 / 2
    )  # variance of two question means that are half apart, over two questions, twice
    assert (found["low"], found["high"]) == pytest.approx((0.5 - half, 0.5 + half))
    assert training_logs.gain(rollouts([[[0.0, 1.0]], [[2.0]]]), "accuracy") == {
        "first": 0.25,
        "last": 1.0,
        "difference": 0.75,
        "low": None,
        "high": None,
    }


def test_questions_without_the_term_do_not_count() -> None:
    rows = rollouts([[[0.0], [1.0]], [[1.0], [2.0]]])
    rows[0]["terms"] = {"accuracy": None}
    rows[2]["terms"] = {}
    assert training_logs.gain(rows, "accuracy") == {
        "first": 0.5,
        "last": 1.0,
        "difference": 0.5,
        "low": None,
        "high": None,
    }


def test_the_interval_of_a_gain_covers_nothing_gained_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        difficulty = rng.uniform(0.0, 1.0, (30, 4, 1))
        found = training_logs.gain(
            rollouts((rng.random((30, 4, 8)) < difficulty).astype(float).tolist())
        )
        covered.append(found["low"] <= 0.0 <= found["high"])
    assert 0.9 < np.mean(covered) < 0.99


def test_changes_by_type_take_the_same_thirds() -> None:
    (row,) = training_logs.changes_by_type({"run": rollouts([[[0.0, 2.0]], [[2.0, 2.0]]])})
    assert (row["first"], row["last"], row["difference"], row["low"]) == (50.0, 100.0, 50.0, None)
    many = rollouts([[[0.0, 0.0]] * 3 + [[2.0, 2.0]], [[2.0, 2.0]] * 4])
    (row,) = training_logs.changes_by_type({"run": many})
    half = 1.96 * 50 / 2  # sd of 0, 0, 0, 100 over the root of 4; the last third has no spread
    assert (row["low"], row["high"]) == pytest.approx((75 - half, 75 + half))
    assert (row["first low"], row["last high"]) == (0.0, 100.0)


def test_types_that_moved_are_those_whose_interval_holds_no_zero() -> None:
    def row(kind: str, difference: float, half: float | None) -> dict:
        ends = (None, None) if half is None else (difference - half, difference + half)
        return {"question_type": kind, "difference": difference, "low": ends[0], "high": ends[1]}

    table = [row("still", 1, 2), row("wild", 40, 50), row("up", 5, 1), row("down", -9, 2)]
    shown, clear = training_logs.moved(table)
    assert ([r["question_type"] for r in shown], clear) == (["down", "up"], 2)
    shown, clear = training_logs.moved([*table[:2], row("one", 3, None)], most=2)
    assert ([r["question_type"] for r in shown], clear) == (["wild", "one"], 0)


def test_letters_that_answer_numerical_questions_are_counted_by_tenths() -> None:
    answers = ["2", "B", "A.6", "about 3", "", "2 m", "C", "C"] + ["7"] * 12
    rows = [
        {
            "step": 1 + k,
            "problem_type": "numerical",
            "completion": f"<think></think><answer>{a}</answer>",
        }
        for k, a in enumerate(answers)
    ]
    rows += [
        {
            "step": k,
            "problem_type": "multiple choice",
            "completion": "<think></think><answer>A</answer>",
        }
        for k in (1, 2)
    ]
    assert training_logs.numberless(rows) == {
        "no number (%)": pytest.approx(25),
        "worst tenth (%)": 100,
    }
    assert training_logs.numberless(rows[:1]) == {"no number (%)": 0, "worst tenth (%)": 0}
    assert training_logs.numberless(rows[-2:]) == {"no number (%)": None, "worst tenth (%)": None}
    assert training_logs.numberless([{**rows[0], "completion": "never ends"}]) == {
        "no number (%)": 100,
        "worst tenth (%)": 100,
    }


def test_advantages_are_compared_with_zero_in_units_of_the_reward() -> None:
    def of_group(rewards: list[float], centre: float) -> float:
        rows = rollouts([[rewards]])
        for r in rows:
            r["advantage"] = (r["reward"] - centre) / (np.std(rewards, ddof=1) + 1e-4)
        return training_logs.largest_group_sum(rows)

    rounded = (
        float(np.float32(1.4)) - 2.0**-23
    )  # the mean of equal rewards, one place off in float32
    assert of_group([float(np.float32(1.4))] * 8, rounded) < 1e-5
    assert of_group([1.0, 2.0, 2.0, 1.0], 1.5) < 1e-5
    assert of_group([1.0, 2.0, 2.0, 1.0], 1.51) > 1e-2
    assert of_group([1.4] * 8, 1.41) > 1e-2


@pytest.mark.parametrize(
    ("weights", "has_map"),
    [({"accuracy": 1.0}, None), ({"accuracy": 1.0, "map_calibrated": 3.0}, False)],
)
def test_only_runs_that_ask_for_maps_are_told_to_lack_them(
    weights: dict[str, float], has_map: bool | None
) -> None:
    sample = Sample(
        1,
        "?",
        "video",
        "numerical",
        (),
        "<answer>2</answer>",
        "",
        "",
        cognitive_map={"bed": [[1, 1]]},
    )
    row = logs.rollout(
        1,
        sample,
        "<answer>2</answer>",
        dict.fromkeys(weights, 0.0),
        weights,
        0.0,
        tokens=1,
        vision_tokens=1,
        truncated=False,
    )
    assert row["has_map"] is has_map
    assert ("map/parsed" in logs.summary([row])) == (has_map is not None)


def test_weights_are_compared_under_older_and_newer_names(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    def saved(name: str, words: str, tower: str, seen: float) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        tensors = {
            f"{words}norm.weight": torch.ones(2),
            f"{tower}norm.weight": torch.ones(2) * seen,
        }
        save_file(tensors, folder / "model.safetensors")
        return folder

    base = str(saved("base", "model.", "visual.", 1.0))
    same = saved("same", "model.language_model.", "model.visual.", 1.0)
    other = saved("other", "model.language_model.", "model.visual.", 2.0)
    assert not training_logs.weights_differ(same, base)
    assert training_logs.weights_differ(other, base)
    assert training_logs.weights_differ(other, base, "visual")
    assert not training_logs.weights_differ(same, base, "visual")
