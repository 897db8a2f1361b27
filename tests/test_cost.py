"""The estimate on paper: sizes of the real model, what makes a step dearer, and a measured table
that corrects it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from math import prod
from pathlib import Path

import pytest

from spacer_utils.core import profiles
from spacer_utils.workbook import cost, memory, model_sizes
from spacer_utils.workbook.model_sizes import Setting

SEVEN = "Qwen/Qwen2.5-VL-7B-Instruct"
OF = model_sizes.SHAPES[SEVEN]
STEP = Setting("lora", frames=16, pixels=128 * 28 * 28, prompts=1, group=8, completion=128)


def test_sizes_are_those_of_the_published_models() -> None:
    assert OF.weights == pytest.approx(8.29e9, rel=0.002)  # the checkpoint's own count
    assert model_sizes.SHAPES["Qwen/Qwen2.5-VL-3B-Instruct"].weights == pytest.approx(
        3.75e9, rel=0.002
    )
    assert model_sizes.shape("somebody/else") == OF


def test_the_committed_base_is_counted_from_its_own_config() -> None:
    data = (profiles.PROJECT / profiles.NANO_BASE / "model.safetensors").read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    count = sum(prod(about["shape"]) for name, about in head.items() if name != "__metadata__")
    assert model_sizes.shape(profiles.NANO_BASE).weights == pytest.approx(
        count, rel=0.15
    )  # norms, biases, patches are left out


def test_vision_tokens() -> None:
    assert model_sizes.tokens(STEP, OF) == 8 * 128
    assert model_sizes.tokens(replace(STEP, frames=5), OF) == 3 * 128


def test_what_makes_a_step_dearer() -> None:
    base = cost.work(STEP, OF)
    assert (
        cost.work(replace(STEP, shared=False), OF)["train"] > 3 * base["train"]
    )  # the prompt is most of a row
    assert (
        cost.work(replace(STEP, checkpointing=False), OF)["train"] == base["useful"] < base["train"]
    )
    assert cost.work(replace(STEP, tuning="full"), OF)["train"] > base["train"]
    supervised = cost.work(replace(STEP, supervised=True), OF)
    assert supervised["read"] == supervised["write"] == supervised["score"] == 0
    for change in ({"frames": 32}, {"pixels": 2 * STEP.pixels}, {"group": 16}, {"completion": 256}):
        bigger = replace(STEP, **change)
        same = {"read"} if change.keys() <= {"group", "completion"} else set()  # once per group
        assert all(cost.work(bigger, OF)[k] > base[k] for k in base.keys() - same), change
        assert memory.live(bigger, OF) > memory.live(STEP, OF), change
        assert cost.seconds(bigger, OF, cost.CHIPS["H100 80 GB"]) > cost.seconds(
            STEP, OF, cost.CHIPS["H100 80 GB"]
        )


def test_full_fine_tuning_of_7b_needs_eight_gpus() -> None:
    runs = {
        (r["run"], r["tuning"], r["rollouts"]): r
        for r in cost.estimate(profiles.get("gpu-lora"), "H100 80 GB")
    }
    assert runs["sg_rlvr", "lora", "transformers"]["fits"]
    assert runs["sg_rlvr", "lora", "vllm"]["fits"]
    assert not runs["sg_rlvr", "full", "transformers"]["fits"]
    assert all(r["fits"] for r in cost.estimate(profiles.get("gpu-full"), "H100 80 GB"))


# ------------------------------------------------------------------------------- writing tokens


@pytest.mark.parametrize(("name", "speed"), [("7B", 84.28), ("3B", 127.61)])
def test_vllm_writes_at_its_published_speed(name: str, speed: float) -> None:
    """One row on an A100 without a prompt (QwenLM/Qwen2.5, speed_benchmark.rst)."""
    alone = Setting("lora", 0, 0, prompts=1, group=1, completion=2048, text=1)
    of = model_sizes.SHAPES[f"Qwen/Qwen2.5-VL-{name}-Instruct"]
    seconds = cost.token_seconds(alone, of, cost.CHIPS["A100 80 GB"], vllm=True)
    assert 1 / seconds == pytest.approx(speed, rel=0.03)


def test_transformers_writes_at_its_published_speed() -> None:
    alone = Setting("lora", 0, 0, prompts=1, group=1, completion=2048, text=1)
    seconds = cost.token_seconds(alone, OF, cost.CHIPS["A100 80 GB"])
    assert 1 / seconds == pytest.approx(40.38, rel=0.03)


def test_sharded_weights_are_gathered_for_every_token() -> None:
    full, chip = replace(STEP, tuning="full", completion=1024), cost.CHIPS["H100 80 GB"]
    token = cost.token_seconds(full, OF, chip, gpus=8)
    assert token == pytest.approx(15.2e9 / 4e11, rel=0.01)  # 38 ms
    assert token > cost.token_seconds(full, OF, chip)
    assert cost.token_seconds(STEP, OF, chip, gpus=8) < token  # LoRA holds the whole model

    # it is most of the paper's step, and what vLLM saves
    profile = profiles.get("gpu-full")
    step = model_sizes.setting(profile, "full", False)
    whole = cost.seconds(step, OF, chip, 8)
    assert 1024 * cost.token_seconds(step, OF, chip, 8) > 0.8 * whole
    assert cost.seconds(step, OF, chip, 8, vllm=True) < whole / 2


def test_a_longer_cache_makes_every_token_dearer() -> None:
    chip = cost.CHIPS["H100 80 GB"]
    more = replace(STEP, prompts=64, completion=1024)
    assert cost.token_seconds(more, OF, chip, vllm=True) > cost.token_seconds(
        replace(STEP, completion=1024), OF, chip, vllm=True
    )


def test_the_table_of_large_models_is_marked_as_reckoned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cost.print_costs()
    text = capsys.readouterr().out
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("gpu-")] == [
        "gpu-24gb",
        "gpu-lora",
        "gpu-full",
    ]
    assert "All of it is reckoned, at 35% of the matrix rate" in text
    assert "make gpu-bench" in text


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_every_profile_has_an_estimate(name: str) -> None:
    for row in cost.estimate(profiles.get(name), "2 cores"):
        assert row["seconds per step"] > 0
        assert row["from"] == "reckoned"


def test_a_measured_table_corrects_the_formula(tmp_path: Path) -> None:
    chip = asdict(cost.CHIPS["H100 80 GB"])
    slow = {
        "setting": asdict(STEP),
        "kernel": "sdpa",
        "states_gb": 17.0,
        "seconds": 3 * cost.seconds(STEP, OF, cost.CHIPS["H100 80 GB"]),
        "gb": 17.0 + memory.live(STEP, OF) + 5,
    }
    rows = [
        slow,
        {**slow, "setting": asdict(replace(STEP, shared=False)), "seconds": 1e6},
        {"setting": asdict(STEP), "kernel": "sdpa", "failed": "out of memory"},
    ]
    (tmp_path / "h100").mkdir()
    (tmp_path / "h100" / cost.TABLE).write_text(
        json.dumps({"model": SEVEN, "chip": chip, "rows": rows})
    )
    table = cost.measured(tmp_path)
    assert len(table) == 2
    profile = profiles.get("gpu-lora")
    plain, corrected = (cost.estimate(profile, "H100 80 GB", t)[1] for t in ([], table))
    assert corrected["seconds per step"] == pytest.approx(3 * plain["seconds per step"], rel=1e-3)
    assert corrected["GB each"] == pytest.approx(plain["GB each"] + 5, abs=0.11)
    assert corrected["from"] == "reckoned, corrected by h100"
    rows = cost.estimate(profile, "H100 80 GB", table)
    assert [r["from"] for r in rows if r["tuning"] == "full"] == 2 * ["reckoned"]  # none measured
    assert [r["from"] for r in rows if r["rollouts"] == "vllm"] == 2 * ["reckoned"]


@pytest.mark.slow
def test_the_table_of_a_gpu_is_written_row_by_row(tmp_path: Path) -> None:
    """``make gpu-bench`` at a tiny shape on the CPU, out of time after its first row."""
    line = [
        sys.executable,
        "tests/bench_gpu.py",
        "--tiny",
        "--minutes",
        "0",
        "--out",
        str(tmp_path),
        "--name",
        "tiny",
    ]
    done = subprocess.run(
        line, cwd=profiles.PROJECT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = cost.measured(tmp_path)
    assert row["model"] == "tiny"
    assert row["seconds"] > row["seconds_generate"] > 0
    assert row["mfu"] > 0
    page = (tmp_path / "tiny" / "cost.md").read_text()
    assert "later rows are missing" in page
    assert "Largest that ran with lora: 4 frames" in page
