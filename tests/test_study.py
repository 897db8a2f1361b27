"""The study over seeds: what is averaged, what is drawn, and what a committed result holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from kit.training_kit import write_data

from spacer_utils.__main__ import main
from spacer_utils.analysis import published, scores, study
from spacer_utils.core import profiles
from spacer_utils.core.types import Sample, WorkbookError


def rows(model: str, by_seed: dict[int, list[float]], rooms: int = 4) -> list[dict]:
    """One question per room, or several; ``by_seed`` gives each training seed its questions'
    scores."""
    return [
        {
            "split": "heldout",
            "model": model,
            "train_seed": s,
            "key": str(k),
            "scene_id": f"room {k % rooms}",
            "question_type": "counting",
            "score": v,
            "missing": False,
            "parsed": True,
            "truncated": False,
        }
        for s, values in by_seed.items()
        for k, v in enumerate(values)
    ]


def test_a_model_scores_the_mean_of_its_seeds_and_each_is_listed() -> None:
    table = scores.summary(
        rows("rlvr-full", {0: [1, 1, 0, 0], 1: [1, 1, 1, 0], 2: [1, 1, 1, 1]}), seed=0
    )
    assert table[0]["macro"] == pytest.approx(75)
    assert table[0]["each seed"] == [50, 75, 100]
    assert table[0]["n_expected"] == 12
    assert table[0]["low"] < 75 < table[0]["high"]


def test_a_question_type_has_the_spread_over_seeds_in_its_interval() -> None:
    counts = {0: [1, 0] * 20, 1: [1, 1] * 20, 2: [0, 0] * 20}
    other = [{**r, "question_type": "size", "score": 1} for r in rows("a", {0: [1] * 40}, rooms=40)]
    counting, size = scores.by_type(rows("a", counts, rooms=40) + other, seed=0)
    assert (counting["question_type"], counting["score"], counting["seeds"], counting["n"]) == (
        "counting",
        50,
        3,
        120,
    )
    assert counting["high"] - counting["low"] > 50, "whole seeds are drawn, not only rooms"
    assert (size["question_type"], size["score"], size["low"], size["high"]) == (
        "size",
        100,
        100,
        100,
    )


def test_intervals_hold_the_spread_over_seeds_too() -> None:
    alike = rows("a", {s: [1, 0] * 20 for s in range(3)}, rooms=40)
    unlike = rows("a", {0: [0, 0] * 20, 1: [1, 0] * 20, 2: [1, 1] * 20}, rooms=40)
    narrow, wide = (
        np.ptp(np.percentile(scores.bootstrap(r, seed=0), [2.5, 97.5])) for r in (alike, unlike)
    )
    assert wide > 2 * narrow
    assert 10 < narrow < 50  # forty rooms, half of them right


def test_one_seed_is_summarised_as_its_rooms_alone_are() -> None:
    """The same draws, scores and counts, whether rows name their only training seed or not."""
    base = rows("base", {0: [1, 0, 0.5, 1, 0, 0.25] * 4}, rooms=8)
    trained = rows("rlvr-full", {0: [1, 0.5, 0.5, 1, 0, 1] * 4}, rooms=8)
    named = base + trained
    unnamed = [{k: v for k, v in r.items() if k != "train_seed"} for r in named]

    assert np.array_equal(scores.bootstrap(base, seed=3), scores.room_bootstrap(base, seed=3))
    assert scores.paired_table(named, seed=3) == scores.paired_table(unnamed, seed=3)
    for of_seed, of_rooms in zip(scores.summary(named, seed=3), scores.summary(unnamed, seed=3)):
        assert of_seed == {**of_rooms, "seeds": 1, "each seed": [round(of_rooms["macro"], 2)]}


def test_intervals_stay_those_that_the_committed_study_was_made_with() -> None:
    base = rows("base", {0: [1, 0, 0.5, 1, 0, 0.25] * 4}, rooms=8)
    trained = rows("rlvr-full", {0: [1, 0, 1] * 8, 1: [0.5, 0, 1] * 8, 2: [1] * 24}, rooms=8)
    found = [
        *scores.summary(base, seed=3),
        *scores.summary(trained, seed=3),
        *scores.paired_table(base + trained, seed=3),
        *scores.by_type(trained, seed=3),
    ]
    assert [(r["low"], r["high"]) for r in found] == [
        pytest.approx(ends)
        for ends in (
            (42.70833333333333, 48.95833333333333),
            (50.0, 100.0),
            (5.208333333333329, 52.08333333333333),
            (50.0, 100.0),
        )
    ]


def test_what_is_hard_for_both_cancels_in_a_pair() -> None:
    hard = [1, 1, 1, 0, 0, 0]
    base = rows("base", {0: hard}, rooms=6)
    better = rows("rlvr-full", {s: [min(1, v + 0.25) for v in hard] for s in range(3)}, rooms=6)
    pair = scores.paired_table(base + better, seed=0)[0]
    assert (pair["model"], pair["minus"]) == ("rlvr-full", "base")
    assert pair["difference"] == pytest.approx(12.5)
    alone = scores.summary(base, seed=0)[0]
    assert pair["high"] - pair["low"] < (alone["high"] - alone["low"]) / 2
    assert pair["low"] >= 0


def test_maps_are_compared_in_their_own_score() -> None:
    drawn = [
        {**r, "map_calibrated": r["score"]}
        for r in rows("base with map", {0: [0.2, 0.4] * 4}, rooms=8)
        + rows("sg_rlvr_dense-full", {0: [0.4, 0.6] * 4, 1: [0.5, 0.7] * 4}, rooms=8)
    ]
    (pair,) = study.map_pairs(drawn, seed=0)
    assert (pair["model"], pair["minus"]) == ("sg_rlvr_dense-full", "base with map")
    assert pair["difference"] == pytest.approx(0.25)
    assert (
        0.2 - 1e-9 <= pair["low"] < 0.25 < pair["high"] <= 0.3 + 1e-9
    )  # of a seed alone, and of the other
    assert not study.map_pairs([], seed=0)


def test_general_questions_move_no_claim_and_have_a_table_of_their_own() -> None:
    spatial = rows("base", {0: [1, 0, 1, 0]}) + rows("rlvr-full", {0: [1, 1, 1, 0]})
    general = [
        {**r, "question_type": "general_ocr"}
        for r in rows("base", {0: [1] * 4}) + rows("rlvr-full", {0: [0] * 4})
    ]
    with_general, without = (study.tables(r, [], [], seed=0) for r in (spatial + general, spatial))
    assert with_general["summary"] == without["summary"]
    assert with_general["pairs"] == without["pairs"]
    assert [r["difference"] for r in with_general["pairs"]] == [25]
    assert [r["difference"] for r in with_general["forgetting"]] == [-100]
    assert not without["forgetting"]
    assert {r["question_type"] for r in with_general["by type"]} == {"counting", "general_ocr"}


def test_all_general_questions_come_on_top_of_the_spatial_ones() -> None:
    kinds = ["object_counting"] * 6 + ["room_size_estimation"] * 6 + ["general_ocr"] * 3
    samples = [
        Sample(k, "?", "video", "numerical", (), "<answer>1</answer>", "", "", kind)
        for k, kind in enumerate(kinds)
    ]
    found = [s.question_type for s in study.asked(samples, 4)]
    assert found == ["object_counting", "room_size_estimation"] * 2 + ["general_ocr"] * 3


def test_arms_are_the_base_in_five_ways_and_every_finished_run(tmp_path: Path) -> None:
    for name, seed in (("sg_rlvr", 0), ("sg_rlvr", 1), ("rlvr", 0)):
        folder = tmp_path / f"{name}-full-s{seed}"
        folder.mkdir()
        (folder / "run.json").write_text(
            json.dumps({"method": name, "tuning": "full", "seed": seed})
        )
    (tmp_path / "sft-full-s0").mkdir()  # killed: no result
    found = study.arms(tmp_path, "base-folder")
    assert [a.model for a in found if a.with_true_map] == ["base, true map"]
    assert [(a.model, a.train_seed, a.with_map, a.mode) for a in found] == [
        ("base", 0, False, "video"),
        ("base with map", 0, True, "video"),
        ("base, true map", 0, True, "video"),
        ("base, blind", 0, False, "blind"),
        ("base, shuffled", 0, False, "shuffled"),
        ("rlvr-full", 0, False, "video"),
        ("sg_rlvr-full", 0, True, "video"),
        ("sg_rlvr-full", 1, True, "video"),
    ]


def test_costs_name_the_command_of_every_row(tmp_path: Path) -> None:
    for seed, seconds in ((0, 60.0), (1, 80.0)):
        folder = tmp_path / f"rlvr-lora-s{seed}"
        folder.mkdir()
        (folder / "run.json").write_text(
            json.dumps(
                {
                    "method": "rlvr",
                    "tuning": "lora",
                    "seed": seed,
                    "steps": 50,
                    "profile": "cpu",
                    "seconds": seconds,
                    "train": {**asdict(profiles.get("cpu").train), "rl_steps": 50},
                    "final": {"peak_memory_mb": 900.0 + seed},
                }
            )
        )
    assert study.costs(tmp_path) == [
        {
            "model": "rlvr-lora",
            "seeds": [0, 1],
            "steps": 50,
            "seconds": 70.0,
            "peak MB": 901,
            "command": "python -m spacer_utils train --profile cpu --method rlvr --tuning lora --seed 0 --set rl_steps=50",
        }
    ]
    assert study.command(study.runs_of(tmp_path)) == (
        "make study PROFILE=cpu METHODS='rlvr' SEEDS='0 1' TUNING=lora RL_STEPS=50"
    )
    longer = {
        "profile": "cpu",
        "method": "rlvr",
        "tuning": "lora",
        "seed": 2,
        "train": {"rl_steps": 60},
    }
    for runs, fault in (
        ([], "no trained run"),
        ([*study.runs_of(tmp_path), longer], r"unequal budgets: \[50, 60\]"),
    ):
        with pytest.raises(WorkbookError, match=fault):
            study.command(runs)


def test_gains_are_over_the_questions_of_all_seeds(tmp_path: Path) -> None:
    cells = {"chair": [[1, 2]], "table": [[7, 8]]}
    asked = {
        "3": Sample(
            3,
            "?",
            "video",
            "numerical",
            (),
            "<answer>1</answer>",
            "",
            "",
            "counting",
            cognitive_map=cells,
        )
    }

    def rollout(step: int, reward: float, drawn: object) -> dict:
        return {
            "step": step,
            "group": "3",
            "reward": reward,
            "terms": {"accuracy": reward / 2},
            "advantage": 0.0,
            "problem_type": "numerical",
            "completion": f"<think><map>{drawn}</map></think><answer>1</answer>",
        }

    for name, method, seed, rewards in (
        ("a", "sg_rlvr", 0, (0, 1)),
        ("b", "sg_rlvr", 1, (0.5, 1)),
        ("c", "sft", 0, ()),
        ("d", "sg_rlvr_objects", 0, (0, 1)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text(
            json.dumps({"name": name, "method": method, "tuning": "full", "seed": seed})
        )
        logged = [rollout(k, r, cells if k == 2 else {}) for k, r in enumerate(rewards, 1)]
        (folder / "rollouts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in logged))
    earned = study.reward_tables(tmp_path, asked)
    assert [(r["model"], r["train_seed"]) for r in earned["advantages"]] == [
        ("sg_rlvr-full", 0),
        ("sg_rlvr-full", 1),
    ]
    # the advantage of a completion is not what tokens are credited with in the last
    assert [(r["model"], r["train_seed"], r["no number (%)"]) for r in earned["numberless"]] == [
        ("sg_rlvr-full", 0, 0),
        ("sg_rlvr-full", 1, 0),
        ("sg_rlvr_objects-full", 0, 0),
    ]
    found = {r["what"]: r for r in earned["gains"] if r["model"] == "sg_rlvr-full"}
    assert (found["reward"]["first"], found["reward"]["last"]) == (0.25, 1.0)
    assert found["reward"]["low"] == pytest.approx(
        0.75 - 1.96 * 0.25
    )  # two questions a third: one of each seed
    assert (found["accuracy"]["first"], found["accuracy"]["last"]) == (0.125, 0.5)
    assert (found["map_calibrated"]["first"], found["map_calibrated"]["last"]) == pytest.approx(
        (0, 1), abs=1e-9
    )
    assert "worked_out" not in found, "a map answers none of these questions"


def test_rooms_that_nothing_was_chosen_on_are_asked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(study, "REFERENCE", tmp_path / "reference")
    for name, value in (
        ("command", "make study"),
        ("costs", []),
        ("reward_tables", {}),
        ("curves", {}),
    ):
        monkeypatch.setattr(study, name, lambda *_, value=value: value)
    data, further = write_data(tmp_path / "smoke/data"), write_data(tmp_path / "further")
    shutil.copy(data / "train.jsonl", data / "heldout.jsonl")
    asked: dict[str, tuple[Path, set[str]]] = {}

    def answered(
        _: object, split: str, samples: list[Sample], folder: Path, *__: object, seed: int
    ) -> tuple[list, list, list]:
        asked[split] = folder, {s.question_type for s in samples}
        return [{**r, "split": split} for r in rows("base", {0: [1, 0, 1, 0]})], [], []

    monkeypatch.setattr(study, "answered", answered)
    monkeypatch.setattr(study.scores, "prior_rows", lambda *_: [])
    assert main(["study", "--profile", "smoke", "--further", str(further)]) == 0
    spatial = {"object_count", "room_size"}
    assert asked == {"heldout": (data, spatial | {"general"}), "further_rooms": (further, spatial)}
    found = json.loads((tmp_path / "reference/smoke/summary.json").read_text())
    assert {r["split"] for r in found["summary"]} == {"heldout", "further_rooms"}
    assert found["questions"] == {"heldout": 500, "further_rooms": 900}
    assert (
        found["command"]
        == "make study; python -m spacer_utils study --profile smoke --further FOLDER"
    )
    assert main(["study", "--profile", "smoke", "--further", str(tmp_path / "nowhere")]) == 2


def test_curves_are_averaged_over_the_seeds_that_have_a_step() -> None:
    curves = {
        "rlvr-full-s0": [{"step": 1, "reward": 1.0}, {"step": 2, "reward": 2.0, "kl": 0.1}],
        "rlvr-full-s1": [{"step": 1, "reward": 2.0}],
        "sg_rlvr-full-s0": [{"step": 1, "reward": 3.0}],
    }
    assert published.mean_curves(curves) == {
        "rlvr-full": [{"step": 1, "reward": 1.5}, {"step": 2, "reward": 2.0, "kl": 0.1}],
        "sg_rlvr-full": [{"step": 1, "reward": 3.0}],
    }


def test_committed_studies_are_whole() -> None:
    for name, found in published.studies().items():
        models = {r["model"] for r in found["summary"] if r["split"] == "heldout"}
        assert {"base", "base, blind", "prior"} <= models, name
        assert found["questions"]["heldout"] >= 500
        assert len(found["commit"]) == 12
        assert {c["model"] for c in found["costs"]} <= models
        assert all(r["low"] <= r["macro"] <= r["high"] for r in found["summary"])
        assert min(r["seeds"] for r in found["summary"] if "rlvr" in r["model"]) >= 3
        assert found["curves"]
        assert {r["model"] for r in found["gains"]} == {
            c["model"] for c in found["costs"] if "rlvr" in c["model"] or "grpo" in c["model"]
        }
