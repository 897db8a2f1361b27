"""Evaluation: answers depend on neither batch nor kills, and on the video only when it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_kit import FAMILIES, FRAMES, tiny_model, write_data

from spacer_utils import evaluate, frames
from spacer_utils.data.rows import load
from spacer_utils.types import WorkbookError

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
def test_the_batch_does_not_matter_and_the_video_does(models: dict[str, str], data: Path, tmp_path: Path, family: str) -> None:
    found = {b: answers(models[family], data, tmp_path / str(b), batch=b) for b in (1, 3, 10)}
    assert found[1] == found[3] == found[10]
    for mode in ("blind", "shuffled"):
        other = answers(models[family], data, tmp_path / mode, mode=mode)
        changed = {k for k in other if other[k].output != found[1][k].output}
        assert changed, f"no answer changed when {mode}"
        assert "901" not in changed  # the text row has nothing to hide
    assert answers(models[family], data, tmp_path / "again", mode="shuffled") == other


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
    assert answers(models["qwen3_vl"], data, tmp_path / "b", progress=lambda *c: calls.append(c)) == whole
    assert calls == [(8, 10), (10, 10)]  # the first batch of four was there
    calls.clear()
    assert answers(models["qwen3_vl"], data, tmp_path / "b", progress=lambda *c: calls.append(c)) == whole
    assert calls == []


def test_other_settings_replace_the_predictions(models: dict[str, str], data: Path, tmp_path: Path) -> None:
    long = answers(models["qwen3_vl"], data, tmp_path)
    short = answers(models["qwen3_vl"], data, tmp_path, max_new_tokens=2)
    assert all(p.tokens <= 2 for p in short.values())
    assert any(p.tokens > 2 for p in long.values())
    assert any(p.truncated for p in short.values())


def test_a_missing_clip_is_named(models: dict[str, str], data: Path, tmp_path: Path) -> None:
    item = evaluate.Item("1", "How many?", (("video", str(data / "videos" / "gone.mp4")),))
    with pytest.raises(WorkbookError, match=r"gone\.mp4"):
        evaluate.generate(models["qwen3_vl"], [item], tmp_path, frames=FRAMES, batch=1, max_new_tokens=2)
    with pytest.raises(WorkbookError, match="share a key"):
        evaluate.generate(models["qwen3_vl"], [item, item], tmp_path, frames=FRAMES, batch=1, max_new_tokens=2)
