"""Validation while training: the same held-out questions at every step, no trace in the training,
exact after a kill; and the curves that are made of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.kill_and_resume import traces
from kit.training_kit import MAP, tiny_model, vowels, write_data

from spacer_utils.analysis import training_logs, validation_figures
from spacer_utils.core import files, profiles
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.rows import load
from spacer_utils.core.types import Sample, WorkbookError
from spacer_utils.evaluation import evaluate
from spacer_utils.training import loop, plan, rollouts, train, validation

torch = pytest.importorskip("torch")
PROFILE = profiles.get("smoke").with_overrides(
    completion_tokens=12,
    max_new_tokens=12,
    size=56,
    rl_steps=3,
    sft_steps=3,
    prompts_per_step=2,
    group_size=4,
    sft_batch=3,
    save_steps=1,
    sft_lr=1e-2,
    rl_lr_full=1e-3,
    rl_lr_lora=1e-2,
    lora_rank=4,
    batch=3,
    validate_steps=2,
    validate_questions=5,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("base"), "qwen3_vl")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_heldout(write_data(tmp_path_factory.mktemp("data")))


def with_heldout(folder: Path) -> Path:
    """Two of the four rooms are held out, with half of their questions each."""
    rows = [s for s in load(folder / "train.jsonl")]
    out = [s for s in rows if s.scene_id in ("room0", "room1")]
    general = [replace(s, problem_id=s.problem_id + 5000) for s in rows if s.problem_id == 901]
    for name, mine in (
        ("train", [s for s in rows if s not in out]),
        ("heldout", [*out, *general]),
    ):
        text = "".join(json.dumps(s.to_row()) + "\n" for s in mine)
        (folder / f"{name}.jsonl").write_text(text)
    return folder


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards that babble earns, so that weights move; and scores that it earns too."""
    from spacer_utils import rewards

    def term(name: str, sample: Sample, answer: Any) -> tuple[float, str]:
        return sum(answer.text.count(v) for v in "aeiou") / 10 + (name != "accuracy"), ""

    monkeypatch.setattr(rewards, "trl_reward_functions", lambda *_: ([vowels], [1.0]))
    monkeypatch.setattr(rewards, "term", term)


def go(method: str, tuning: Any, model: str, data: Path, out: Path, **more: Any) -> Path:
    torch.set_num_threads(1)
    profile = PROFILE.with_overrides(**more.pop("dials", {}))
    return train.run(profile, method, tuning, 0, data, out, model=model, **more)


def planned(model: str, data: Path, out: Path, method: str = "sft_map", **dials: Any) -> plan.Plan:
    return plan.Plan(PROFILE.with_overrides(**dials), method, "full", 0, data, out, model, {})


class Killed(Exception):
    pass


# ---------------------------------------------------------------------------------------- questions


def question(number: int, kind: str, room: str) -> Sample:
    return Sample(number, "?", "video", "numerical", (), "", f"videos/{room}.mp4", "", kind, room)


def test_questions_are_spread_over_types_and_rooms_and_never_change() -> None:
    samples = [
        question(10 * room + k, ("count", "distance", "route", "general_ocr")[k % 4], f"room{room}")
        for room in range(40)
        for k in range(8)
    ]
    chosen = plan.validation_questions(samples, 30)
    kinds = [s.question_type for s in chosen]
    assert {k: kinds.count(k) for k in set(kinds)} == {"count": 10, "distance": 10, "route": 10}
    assert len({s.scene_id for s in chosen}) > 15  # by problem_id it would be 5
    assert plan.validation_questions(samples[::-1], 30) == chosen
    assert plan.validation_questions(samples, 15) == chosen[:15]
    assert len(plan.validation_questions(samples, 9999)) == 240

    # one type has fewer, and the others have what is left; without rooms any type counts
    few = [s for s in samples if s.question_type != "route" or s.problem_id < 20]
    kinds = [s.question_type for s in plan.validation_questions(few, 30)]
    assert kinds.count("route") == 4
    general = [question(k, "general_ocr", "") for k in range(3)]
    assert len(plan.validation_questions(general, 30)) == 3


def test_rooms_of_the_training_are_refused(model: str, data: Path, tmp_path: Path) -> None:
    train_rows = [question(1, "count", "a"), question(2, "count", "b")]
    validation.apart(train_rows, [question(3, "count", "c")])
    with pytest.raises(WorkbookError, match=r"heldout.jsonl are in train.jsonl too, for example b"):
        validation.apart(train_rows, [replace(question(3, "count", "b"), path="other.mp4")])
    with pytest.raises(WorkbookError, match=r"for example videos/b\.mp4"):
        validation.apart(train_rows, [replace(question(3, "count", "b"), scene_id="")])
    mixed = tmp_path / "data"
    write_data(mixed)
    (mixed / "heldout.jsonl").write_text((mixed / "train.jsonl").read_text())
    with pytest.raises(WorkbookError, match=r"are in train\.jsonl too"):
        go("sft", "full", model, mixed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------- the means


def test_means_are_over_types() -> None:
    """By hand: the type of two questions is right half the time, the other never; 0.25 in the mean.
    Sampled answers: 1, 0, 0, 0 of one type and nothing of the other."""
    rows = [
        {
            "question_type": "a",
            "scene_id": "x",
            "accuracy": 1.0,
            "map": 0.5,
            "sampled": [1, 0, 0, 0],
        },
        {"question_type": "a", "scene_id": "y", "accuracy": 0.0, "map": 0.1},
        {"question_type": "b", "scene_id": "x", "accuracy": 0.0, "map": None},
    ]
    assert validation.summary(rows) == {
        "validation/accuracy": 0.25,
        "validation/accuracy_sampled": 0.25,
        "validation/accuracy/a": 0.5,
        "validation/accuracy/b": 0.0,
        "validation/questions": 3,
        "validation/questions_sampled": 1,
        "validation/rooms": 2,
        "validation/map": pytest.approx(0.3),
    }
    bare = validation.summary([{**r, "map": None} for r in rows])
    assert "validation/map" not in bare


# ------------------------------------------------------------------------------------------ the runs


@pytest.mark.slow
@pytest.mark.parametrize(("method", "tuning"), [("sft_map", "full"), ("sg_rlvr", "lora")])
def test_a_run_validates_without_a_trace_in_its_training(
    model: str, data: Path, tmp_path: Path, method: str, tuning: str
) -> None:
    folder = go(method, tuning, model, data, tmp_path / "a")
    rows, log = training_logs.validations(folder), read_jsonl(folder / "metrics.jsonl")
    assert [r["step"] for r in log] == [0, 1, 2, 2, 3, 3]
    own = [r for r in log if "validation/accuracy" in r]
    assert [r["step"] for r in own] == [0, 2, 3]
    assert [r["step"] for r in training_logs.metrics(folder)] == [1, 2, 3]

    # every question of every validation, in one order, maps where they are asked for
    assert [(r["step"], r["problem_id"]) for r in rows] == [
        (step, s.problem_id)
        for step in (0, 2, 3)
        for s in plan.validation_questions(load(data / "heldout.jsonl"), 5)
    ]
    assert all(len(r["sampled"]) == 4 for r in rows[::4][:1])
    assert [("sampled" in r) for r in rows[:4]] == [True, False, False, False]
    assert all(r["map"] > 0 for r in rows)
    for row in own:
        assert row["validation/questions"] == 4
        assert row["validation/rooms"] == 2
        assert row["seconds/validation"] > 0
        mine = [r for r in rows if r["step"] == row["step"]]
        assert validation.summary(mine).items() <= row.items()
    assert (
        own[0]["validation/accuracy"] != own[-1]["validation/accuracy"]
    )  # it has learnt something

    # nothing else differs from a run that does not validate
    quiet = go(method, tuning, model, data, tmp_path / "b", dials={"validate_steps": 0})
    ours, theirs = traces(folder), traces(quiet)
    assert [r for r in ours[0] if "loss" in r] == theirs[0]
    assert ours[1:] == theirs[1:]
    assert not (quiet / "validation.jsonl").exists()
    final = json.loads((folder / "run.json").read_text())["final"]
    assert "loss" in final


@pytest.mark.slow
def test_a_killed_run_validates_exactly(model: str, data: Path, tmp_path: Path) -> None:
    def stop_at(step: int) -> plan.OnStep:
        def progress(now: int, *_: Any) -> None:
            if now == step:
                raise Killed

        return progress

    dials = {"save_steps": 2}
    whole = go("sft_map", "full", model, data, tmp_path / "a", dials=dials)
    for step in (1, 3):  # before the first checkpoint, and behind one with a validation
        with pytest.raises(Killed):
            go(
                "sft_map",
                "full",
                model,
                data,
                tmp_path / "b",
                dials=dials,
                progress=stop_at(step),
            )
    again = go("sft_map", "full", model, data, tmp_path / "b", dials=dials)
    assert traces(again) == traces(whole)
    assert training_logs.validations(again) == training_logs.validations(whole)


def test_answers_are_those_of_an_evaluation(model: str, data: Path, tmp_path: Path) -> None:
    run = planned(model, data, tmp_path / "out")
    trainer, _ = loop.build(run)
    found = next(
        c for c in trainer.callback_handler.callbacks if isinstance(c, validation.Validation)
    )
    asked = list(range(len(found.samples)))
    with found._generating() as inner:
        texts = found._texts(inner, asked, rollouts.most_likely)
    items = evaluate.items_from_samples(found.samples, data, run.profile.prompt_style, True)
    answered = evaluate.Answerer(model, run.profile.frames).answer(items, 12)
    assert texts == [p.output for p in answered]
    assert any(texts)

    # drawn ones follow from the run's seed and the step alone
    def sampled(step: int) -> Any:
        return [r for r in found._answered(step) if "sampled" in r]

    first = sampled(3)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert sampled(3) == first
    assert sampled(4) != first
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_asked_decides_whether_a_run_is_the_same(
    model: str, data: Path, tmp_path: Path
) -> None:
    usual = planned(model, data, tmp_path / "out")
    assert "heldout.jsonl" in usual.data_files()
    assert {"videos/v0.mp4", "videos/v1.mp4"} < set(usual.media())
    silent = planned(model, data, tmp_path / "out", validate_steps=0)
    assert "heldout.jsonl" not in silent.data_files()
    assert usual.fingerprint() != silent.fingerprint()


def test_questions_about_broken_clips_are_left_out_where_the_run_may(
    model: str, data: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    asked = planned(model, own, tmp_path / "out").validation
    broken = asked[0].path
    (own / broken).write_bytes(b"")
    with pytest.raises(WorkbookError, match=Path(broken).name):
        go("sft", "lora", model, own, tmp_path / "out")
    with pytest.warns(UserWarning, match=f"left out: .*{Path(broken).name}"):
        folder = go("sft", "lora", model, own, tmp_path / "out", broken_media="drop")
    told = {r["problem_id"] for r in read_jsonl(folder / "validation.jsonl")}
    assert told == {s.problem_id for s in asked if s.path != broken} != set()


def test_without_held_out_rows_a_run_says_so(model: str, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    with pytest.warns(
        UserWarning, match=r"no validation while training: data has no heldout.jsonl"
    ):
        loop.build(planned(model, data, tmp_path / "out"))


# ---------------------------------------------------------------------------------------- the curves


def outcomes(step: int, accuracies: list[float], maps: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "problem_id": k,
            "question_type": "ab"[k % 2],
            "scene_id": f"room{k // 2}",
            "accuracy": a,
            "map": m,
            **({"sampled": [a, 0.0]} if k % 4 == 0 else {}),
        }
        for k, (a, m) in enumerate(zip(accuracies, maps))
    ]


def test_curves_have_intervals_over_rooms() -> None:
    """By hand: two of eight right, then six; type a two of four, then four, type b none, then two."""
    rows = [
        *outcomes(0, [1, 0, 1, 0, 0, 0, 0, 0], [0.0] * 8),
        *outcomes(9, [1, 1, 1, 1, 1, 0, 1, 0], [0.5] * 8),
    ]
    curve = {(r["what"], r["step"]): r for r in training_logs.validation_curve(rows)}
    assert [curve["accuracy", s]["score"] for s in (0, 9)] == [25, 75]
    assert curve["accuracy", 9]["change"] == 50
    assert curve["accuracy", 9]["low"] < 75 < curve["accuracy", 9]["high"]
    assert 0 < curve["accuracy", 9]["change low"] <= 50 <= curve["accuracy", 9]["change high"]
    assert curve["accuracy", 0]["change low"] == curve["accuracy", 0]["change high"] == 0
    assert curve["accuracy", 9]["questions"] == 8
    assert curve["accuracy", 9]["rooms"] == 4
    assert curve["accuracy, sampled", 0]["score"] == 25  # 0.5 and 0 of type a
    assert curve["accuracy, sampled", 9]["questions"] == 2
    assert curve["map", 9]["score"] == curve["map", 9]["low"] == curve["map", 9]["high"] == 0.5

    # a difference on the same questions is known better than the scores
    width = curve["accuracy", 9]["high"] - curve["accuracy", 9]["low"]
    assert width > 0
    assert training_logs.validation_curve([]) == []
    single = training_logs.validation_curve([{**r, "scene_id": "one"} for r in rows])
    assert single[0]["low"] is None

    # several seeds: the mean of both
    seeds = [{**r, "train_seed": 0} for r in rows] + [
        {**r, "train_seed": 1, "accuracy": 0.0} for r in rows
    ]
    both = {(r["what"], r["step"]): r for r in training_logs.validation_curve(seeds)}
    assert both["accuracy", 9]["score"] == 37.5
    assert both["accuracy", 9]["questions"] == 8


def test_what_a_run_gained_is_read_from_its_first_and_last_validation(tmp_path: Path) -> None:
    rows = outcomes(0, [0.0] * 4, [0.1] * 4) + outcomes(5, [0.0, 1.0, 1.0, 1.0], [0.2] * 4)
    files.write_jsonl(tmp_path / "validation.jsonl", rows)
    curves = training_logs.validation_curves({"a": tmp_path, "b": tmp_path / "none"}, seed=0)
    assert [*curves] == ["a"]
    end = training_logs.last_validation(curves["a"])
    assert (end["step"], end["first"], end["score"], end["rooms"]) == (5, 0.0, 75.0, 2)
    assert end["low"] <= end["change"] == 75.0 <= end["high"]
    once = training_logs.validation_curve(rows[:4])
    assert training_logs.last_validation(once)["change"] == 0.0


def test_the_figure_shows_every_measure_once() -> None:
    rows = [*outcomes(0, [0.0] * 8, [0.1] * 8), *outcomes(5, [1.0] * 8, [0.2] * 8)]
    curves = {"sg_rlvr-full-s0": training_logs.validation_curve(rows)}
    figure = validation_figures.validation_curves(curves)
    assert [a.get_title().split("\n")[0] for a in figure.axes] == [
        *validation_figures.LABELS.values()
    ]
    assert "n=8, 4 rooms" in figure.axes[0].get_title()
    assert "n=2, 2 rooms" in figure.axes[1].get_title()
    assert all(a.get_xlabel() == "optimiser step" for a in figure.axes)
    said = validation_figures.alt_text(curves)
    assert "sg_rlvr-full-s0, map score (1: perfect): 0.10 at step 0, 0.20 at step 5" in said
    assert "right answers, greedy (%): 0.0 at step 0, 100.0 at step 5" in said
    bare = [{**r, "map": None} for r in rows]
    assert (
        len(
            validation_figures.validation_curves(
                {"rlvr": training_logs.validation_curve(bare)}
            ).axes
        )
        == 2
    )
    validation_figures.validation_curves({})


# ------------------------------------------------------------------------------------ of the rollouts


def rolled(step: int, group: str, chair: str, accuracy: float | None) -> dict[str, Any]:
    return {
        "step": step,
        "group": group,
        "completion": f"<think><map>{{'chair': [[{chair}]], 'table': [[0, 0]]}}</map></think>",
        "terms": {"accuracy": accuracy},
    }


def test_answers_are_compared_with_the_map_of_what_was_asked() -> None:
    """The table is drawn wrong everywhere and nobody asked about it. In the first group right
    answers go with right chairs, in the second with wrong ones, the third has no spread."""
    sample = Sample(
        1, "?", "video", "numerical", (), "", "", "", categories=("chair",), cognitive_map=MAP
    )
    samples = {"1": sample, "2": replace(sample, categories=()), "3": sample}
    right, wrong = "1, 2", "8, 8"
    rows = [
        *(
            rolled(1, "1", p, a)
            for p, a in ((right, 1.0), (wrong, 0.0), (right, 1.0), (wrong, 0.0))
        ),
        *(rolled(2, "1", p, a) for p, a in ((right, 0.0), (wrong, 1.0))),
        *(rolled(3, "1", p, a) for p, a in ((right, 1.0), (wrong, 1.0))),
        *(rolled(4, "2", p, a) for p, a in ((right, 1.0), (wrong, 0.0))),  # names nothing
        *(rolled(5, "9", p, a) for p, a in ((right, 1.0), (wrong, 0.0))),  # not among the samples
    ]
    found = training_logs.asked_map_correlation(rows, samples)
    assert (found["correlation"], found["groups"]) == (pytest.approx(0.0), 2)
    assert (found["low"], found["high"]) == (pytest.approx(-1), pytest.approx(1))
    first = training_logs.asked_map_correlation(rows[:4], samples)
    assert (first["correlation"], first["groups"]) == (pytest.approx(1.0), 1)
    assert training_logs.asked_map_correlation([], samples)["correlation"] is None
    assert training_logs.with_spread(rows) == {"groups": 5, "share": pytest.approx(4 / 5)}
