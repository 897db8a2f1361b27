"""Evaluation: answers depend on neither batch nor kills, and on the video only when it is shown."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.kill_and_resume import prove_evaluation
from kit.training_kit import FAMILIES, FRAMES, tiny_model, write_data

from spacer_utils.analysis import counterfactual
from spacer_utils.core import folders, frames, profiles, prompts
from spacer_utils.core.answers import parse, parse_map
from spacer_utils.core.rows import load
from spacer_utils.core.types import WorkbookError
from spacer_utils.evaluation import evaluate
from spacer_utils.training import encoder, rollouts
from spacer_utils.training import vllm_rollouts as vllm_engine

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {family: tiny_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


def answers(model: str, data: Path, out: Path, **more: Any) -> dict[str, evaluate.Prediction]:
    torch.set_num_threads(1)
    items = evaluate.items_from_samples(load(data / "train.jsonl"), data, "compact", True)
    settings = {"frames": FRAMES, "batch": 4, "max_new_tokens": 12, **more}
    return evaluate.generate(model, items, out, **settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_does_not_matter_and_the_video_does(
    models: dict[str, str], data: Path, tmp_path: Path, family: str
) -> None:
    found = {b: answers(models[family], data, tmp_path / str(b), batch=b) for b in (1, 3, 10)}
    assert found[1] == found[3] == found[10]
    for mode in ("blind", "shuffled"):
        other = answers(models[family], data, tmp_path / mode, mode=mode)
        changed = {k for k in other if other[k].output != found[1][k].output}
        assert changed, f"no answer changed when {mode}"
        assert "901" not in changed  # the text row has nothing to hide
    assert answers(models[family], data, tmp_path / "again", mode="shuffled") == other


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_generate(models: dict[str, str], data: Path, family: str) -> None:
    torch.set_num_threads(1)
    engine = evaluate.Answerer(models[family], FRAMES, device="cpu")
    items = evaluate.items_from_samples(load(data / "train.jsonl"), data, "compact", True)
    batch = engine.encoder.encode([encoder.Prompt(i.text, i.media) for i in items])
    for penalty in (1.0, 1.5):
        engine.model.generation_config.repetition_penalty = penalty
        filters, stop = rollouts.rules(engine.model.generation_config, engine.processor)
        ids, mask = encoder.pad(batch.ids, engine.processor.tokenizer.pad_token_id, "left")
        with torch.inference_mode(), engine._sight.rows(batch, range(len(items)), "cpu") as given:
            out = engine.model.generate(
                input_ids=ids,
                attention_mask=mask,
                mm_token_type_ids=encoder.token_types(ids, engine.processor),
                **given,
                max_new_tokens=12,
                do_sample=False,
                suppress_tokens=encoder.vision_tokens(engine.processor),
            )
            expected = [row.tolist() for row in out[:, ids.shape[1] :]]
        late = next(t for row in expected for k, t in enumerate(row) if k > 1 and t not in row[:k])
        for ends in (stop, frozenset({late})):
            with torch.inference_mode():
                found = rollouts.complete(
                    engine.model, engine._sight, batch, engine.processor, 12, filters, ends
                )
            cuts = [next((k for k, t in enumerate(row) if t in ends), 12) for row in expected]
            assert found == [(row[: cut + 1], cut < 12) for row, cut in zip(expected, cuts)]
        assert len({tuple(r) for r in expected}) > 3
        assert any(1 < cut < 12 for cut in cuts)
        assert max(cuts) == 12
    told: list[bool] = []

    def two_more(done: bool) -> bool:
        told.append(done)
        return sum(told) == 3

    never = frozenset({row[0] for row in expected})
    with (
        torch.inference_mode()
    ):  # every row has ended at once, and another process goes on for two tokens
        assert rollouts.complete(
            engine.model,
            engine._sight,
            batch,
            engine.processor,
            12,
            filters,
            never,
            all_ended=two_more,
        ) == [(row[:1], True) for row in expected]
    assert told == [True] * 3


def test_with_the_true_map_a_completion_begins_with_that_of_its_own_room(data: Path) -> None:
    samples = load(data / "train.jsonl")
    given = evaluate.items_from_samples(samples, data, "compact", True, with_true_map=True)
    assert any(s.cognitive_map is None for s in samples)
    for s, item in zip(samples, given):
        answered = parse(item.begun + "</think><answer>2</answer>")
        assert (
            item.begun.endswith("</map>")
            == (s.cognitive_map is not None)
            == (answered.map_text is not None)
        )
        if s.cognitive_map:
            true = {category: sorted(places) for category, places in s.cognitive_map.items()}
            assert parse_map(answered.map_text or "", tuple(true)) == true


@pytest.mark.parametrize("family", FAMILIES)
def test_a_begun_completion_is_gone_on_with(
    models: dict[str, str], data: Path, tmp_path: Path, family: str
) -> None:
    torch.set_num_threads(1)
    given = counterfactual.cases(
        [replace(s, question_type="object_counting") for s in load(data / "train.jsonl")], 4, seed=0
    )
    profile = profiles.get("smoke").with_overrides(
        num_frames=FRAMES.num_frames, size=FRAMES.size, max_new_tokens=6, batch=5
    )
    found = evaluate.answer_given_maps(models[family], given, data, tmp_path, profile)
    assert {
        k: p.output.startswith(c.begun) for c in given for k, p in found.items() if k == c.key
    } == {c.key: True for c in given}
    engine = evaluate.Answerer(models[family], FRAMES, device="cpu")
    for case in given[:3]:  # the tokens up to the end of the map are those of the whole text
        text, path = prompts.user_text(case.sample, "compact", True), str(data / case.sample.path)
        bare, begun = (
            engine.encoder.encode([encoder.Prompt(text, (("video", path),), b)]).ids[0]
            for b in ("", case.begun)
        )
        assert begun == bare + engine.processor.tokenizer(case.begun)["input_ids"]
        alone = engine.answer([evaluate.Item("x", text, (("video", path),), case.begun)], 6)
        assert alone[0].output == found[case.key].output
    blind = [
        evaluate.Item("x", prompts.user_text(given[0].sample, "compact", True), (), given[0].begun)
    ]
    assert (
        evaluate.Answerer(models[family], FRAMES, "blind", device="cpu")
        .answer(blind, 2)[0]
        .output.startswith(given[0].begun)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_vllm_is_asked_the_same_and_its_answers_are_kept(
    models: dict[str, str], data: Path, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kit.fake_engine import FakeLLM

    made = FakeLLM(models[family])
    lengths: list[int] = []

    def start(max_model_len: int, **_: Any) -> FakeLLM:
        lengths.append(max_model_len)
        return made

    sampling = partial(SimpleNamespace, top_p=1.0)
    monkeypatch.setattr(vllm_engine.metadata, "version", lambda name: "0.31.0")
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=start, SamplingParams=sampling))
    for mode in ("video", "shuffled", "blind"):
        asked = answers(models[family], data, tmp_path / mode, mode=mode, backend="vllm")
        assert asked == answers(models[family], data, tmp_path / f"{mode} here", mode=mode)
    assert lengths == [4096] * 3  # the model's own positions
    made.twice = True
    with pytest.raises(WorkbookError, match="other ids"):
        answers(models[family], data, tmp_path / "twice", backend="vllm")
    monkeypatch.undo()
    with pytest.raises(WorkbookError, match="not installed"):
        answers(models[family], data, tmp_path / "none", backend="vllm")


def test_questions_share_what_comes_before_their_last_words() -> None:
    seen = 9
    rows = {
        (1, seen, seen, 2, 3): (0,),
        (1, seen, seen, 2, 4, 5): (0,),
        (1, seen, seen, 2, 6): (1,),
        (1, 2, 7): (),
        (1, 2): (),
        (1, seen, 2, seen, 3): (0, 1),
        (1, seen, 8, seen, 3): (0, 1),
    }
    first, common = rollouts.shared_heads(
        encoder.Batch(list(map(list, rows)), list(rows.values()), []), [seen]
    )
    assert first == [0, 0, 2, 3, 3, 5, 6]
    assert common == [4, 4, 4, 1, 1, 4, 4]


def test_every_clip_is_decoded_once(models: dict[str, str], data: Path, tmp_path: Path) -> None:
    frames.decodes.clear()
    answers(models["qwen3_vl"], data, tmp_path, batch=3)
    assert dict(frames.decodes) == {f"v{k}.mp4": 1 for k in range(4)}


def test_a_killed_evaluation_goes_on(models: dict[str, str], data: Path, tmp_path: Path) -> None:
    whole = answers(models["qwen3_vl"], data, tmp_path / "a")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        answers(models["qwen3_vl"], data, tmp_path / "b", progress=kill)
    with open(tmp_path / "b" / "predictions.0.jsonl", "a") as file:
        file.write('[{"key": "torn')
    calls: list[tuple[int, int]] = []
    assert (
        answers(models["qwen3_vl"], data, tmp_path / "b", progress=lambda *c: calls.append(c))
        == whole
    )
    assert calls == [(8, 10), (10, 10)]  # the first batch of four was there
    calls.clear()
    assert (
        answers(models["qwen3_vl"], data, tmp_path / "b", progress=lambda *c: calls.append(c))
        == whole
    )
    assert calls == []


@pytest.mark.slow
def test_an_evaluation_killed_three_times_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    found = prove_evaluation(3, tmp_path)
    assert found["kills"] == 3
    assert found["equal"]


@pytest.mark.parametrize(
    "name",
    [
        "videos/v2.mp4",
        "videos/still.png",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "model.safetensors",
        "pytorch_model.bin",
    ],
)
def test_other_inputs_are_never_answered_by_old_results(
    models: dict[str, str], data: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, model = (
        Path(shutil.copytree(data, tmp_path / "data")),
        Path(shutil.copytree(models["qwen3_vl"], tmp_path / "model")),
    )
    made: list[str] = []

    class Fake:
        def __init__(self, model: str, *_: Any) -> None:
            made.append(model)

        def answer(self, items: Any, budget: int) -> list[evaluate.Prediction]:
            return [evaluate.Prediction(i.key, "x", 1, False) for i in items]

    monkeypatch.setattr(evaluate, "Answerer", Fake)
    for _ in range(2):
        answers(str(model), own, tmp_path / "out")
    assert len(made) == 1
    path = own / name if (own / name).exists() else model / name
    size = path.stat().st_size if path.exists() else 1
    path.write_bytes((path.read_bytes() if path.exists() else b"")[: size - 1] + b"\0")
    kept = (tmp_path / "out" / "predictions.0.jsonl").read_bytes()
    said = f"holds a finished run of evaluation, with other inputs: {name}( of the model)? (has|is)"
    with pytest.raises(WorkbookError, match=said):
        answers(str(model), own, tmp_path / "out")
    assert (tmp_path / "out" / "predictions.0.jsonl").read_bytes() == kept
    answers(str(model), own, tmp_path / "out", overwrite=True)
    assert len(made) == 2


def test_finished_answers_are_read_from_a_folder_that_cannot_be_written(
    models: dict[str, str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = answers(models["qwen3_vl"], data, tmp_path)
    monkeypatch.setattr(folders, "write_atomic", None)
    monkeypatch.setattr(folders, "claim", None)
    assert answers(models["qwen3_vl"], data, tmp_path) == found


def test_files_of_others_are_no_predictions(
    models: dict[str, str], data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "predictions.7.jsonl"
    mine.write_text('[{"key": "0", "output": "4", "tokens": 1, "truncated": false}]\n')
    with pytest.raises(WorkbookError, match=r"predictions\.7\.jsonl.*--out"):
        answers(models["qwen3_vl"], data, tmp_path)
    mine.rename(tmp_path / "notes.txt")
    answers(models["qwen3_vl"], data, tmp_path, max_new_tokens=1)
    with folders.held(tmp_path), pytest.raises(WorkbookError, match="another run"):
        answers(models["qwen3_vl"], data, tmp_path)
    answers(models["qwen3_vl"], data, tmp_path, max_new_tokens=2, overwrite=True)
    assert (tmp_path / "notes.txt").exists()


def test_other_settings_replace_predictions_only_when_asked(
    models: dict[str, str], data: Path, tmp_path: Path
) -> None:
    long = answers(models["qwen3_vl"], data, tmp_path)
    with pytest.raises(WorkbookError, match="max_new_tokens: 12 -> 2"):
        answers(models["qwen3_vl"], data, tmp_path, max_new_tokens=2)
    short = answers(models["qwen3_vl"], data, tmp_path, max_new_tokens=2, overwrite=True)
    assert all(p.tokens <= 2 for p in short.values())
    assert any(p.tokens > 2 for p in long.values())
    assert any(p.truncated for p in short.values())


def test_a_missing_clip_is_named(models: dict[str, str], data: Path, tmp_path: Path) -> None:
    item = evaluate.Item("1", "How many?", (("video", str(data / "videos" / "gone.mp4")),))
    with pytest.raises(WorkbookError, match=r"gone\.mp4"):
        evaluate.generate(
            models["qwen3_vl"], [item], tmp_path, frames=FRAMES, batch=1, max_new_tokens=2
        )
    with pytest.raises(WorkbookError, match="share a key"):
        evaluate.generate(
            models["qwen3_vl"], [item, item], tmp_path, frames=FRAMES, batch=1, max_new_tokens=2
        )


def test_sampled_answers_differ_and_depend_on_the_seed_alone(
    models: dict[str, str], data: Path, tmp_path: Path
) -> None:
    profile = replace(
        profiles.get("smoke"),
        frames=FRAMES,
        evaluation=replace(profiles.get("smoke").evaluation, batch=8, max_new_tokens=8),
    )
    asked = load(data / "train.jsonl")[:3]

    def sampled(name: str, **more: Any) -> dict[str, list[str]]:
        found = evaluate.sample(
            models["qwen3_vl"],
            asked,
            data,
            tmp_path / name,
            profile,
            with_map=True,
            times=4,
            **more,
        )
        return {key: [p.output for p in answers] for key, answers in found.items()}

    torch.manual_seed(1)
    first = sampled("a", seed=1)
    torch.manual_seed(2)
    after = torch.random.get_rng_state()
    assert sampled("b", seed=1) == first
    assert torch.equal(torch.random.get_rng_state(), after)
    assert sampled("c", seed=2) != first
    assert {len(answers) for answers in first.values()} == {4}
    assert all(len(set(answers)) > 1 for answers in first.values())
    cold = sampled("d", temperature=1e-4)
    assert all(len(set(answers)) == 1 for answers in cold.values())


@pytest.mark.parametrize(
    ("given", "frames", "batch"),
    [
        ({}, (6, "uniform"), 12),
        ({"num_frames": 32, "batch_size": "auto"}, (32, "uniform"), 12),
        ({"batch_size": "1", "max_batch_size": 4}, (6, "uniform"), 1),
    ],
)
def test_lmms_eval_chooses_frames_and_batches(
    given: dict[str, Any],
    frames: tuple[int, str],
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it gives as a string ``a=b,c=d``; an argument that there isn't is no silence."""
    from spacer_utils.evaluation import lmms_eval_model

    monkeypatch.setattr(lmms_eval_model, "Answerer", lambda model, frames, device: frames)
    model = lmms_eval_model.WorkbookModel("folder", "smoke", **given)
    found: Any = model.answerer
    assert (found.num_frames, found.sampling) == frames
    assert model.batch == batch
    with pytest.raises(TypeError, match="max_num_frames"):
        lmms_eval_model.WorkbookModel("folder", max_num_frames=32)  # type: ignore[call-arg]
