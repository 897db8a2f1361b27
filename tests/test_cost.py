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
from spacer_utils.workbook import cost
from spacer_utils.workbook.cost import Setting

SEVEN = "Qwen/Qwen2.5-VL-7B-Instruct"
OF = cost.SHAPES[SEVEN]
STEP = Setting("lora", frames=16, pixels=128 * 28 * 28, prompts=1, group=8, completion=128)


def test_sizes_are_those_of_the_published_models() -> None:
    assert OF.weights == pytest.approx(8.29e9, rel=0.002)  # the checkpoint's own count
    assert cost.SHAPES["Qwen/Qwen2.5-VL-3B-Instruct"].weights == pytest.approx(3.75e9, rel=0.002)
    assert cost.shape("somebody/else") == OF


def test_the_committed_base_is_counted_from_its_own_config() -> None:
    data = (profiles.PROJECT / profiles.NANO_BASE / "model.safetensors").read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    count = sum(prod(about["shape"]) for name, about in head.items() if name != "__metadata__")
    assert cost.shape(profiles.NANO_BASE).weights == pytest.approx(
        count, rel=0.15
    )  # norms, biases, patches are left out


def test_vision_tokens() -> None:
    assert cost.tokens(STEP, OF) == 8 * 128
    assert cost.tokens(replace(STEP, frames=5), OF) == 3 * 128


def test_what_makes_a_step_dearer() -> None:
    base = cost.work(STEP, OF)
    assert (
        cost.work(replace(STEP, shared=False), OF)["train"] > 3 * base["train"]
    )  # the prompt is most of a row
    assert (
        cost.work(replace(STEP, checkpointing=False), OF)["train"] == base["useful"] < base["train"]
    )
    assert cost.work(replace(STEP, tuning="full"), OF)["train"] > base["train"]
    assert cost.work(replace(STEP, supervised=True), OF)["generate"] == 0
    for change in ({"frames": 32}, {"pixels": 2 * STEP.pixels}, {"group": 16}, {"completion": 256}):
        bigger = replace(STEP, **change)
        assert all(cost.work(bigger, OF)[k] > base[k] for k in base), change
        assert cost.live(bigger, OF) > cost.live(STEP, OF), change
        assert cost.seconds(bigger, OF, cost.CHIPS["H100 80 GB"]) > cost.seconds(
            STEP, OF, cost.CHIPS["H100 80 GB"]
        )


def test_full_fine_tuning_of_7b_needs_eight_gpus() -> None:
    runs = {
        (r["run"], r["tuning"]): r for r in cost.estimate(profiles.get("gpu-lora"), "H100 80 GB")
    }
    assert runs["sg_rlvr", "lora"]["fits"]
    assert not runs["sg_rlvr", "full"]["fits"]
    assert all(r["fits"] for r in cost.estimate(profiles.get("gpu-full"), "H100 80 GB"))


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_every_profile_has_an_estimate(name: str) -> None:
    for row in cost.estimate(profiles.get(name), "2 cores"):
        assert row["seconds per step"] > 0
        assert row["from"] == "formula"


def test_a_measured_table_corrects_the_formula(tmp_path: Path) -> None:
    chip = asdict(cost.CHIPS["H100 80 GB"])
    slow = {
        "setting": asdict(STEP),
        "kernel": "sdpa",
        "states_gb": 17.0,
        "seconds": 3 * cost.seconds(STEP, OF, cost.CHIPS["H100 80 GB"]),
        "gb": 17.0 + cost.live(STEP, OF) + 5,
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
    assert corrected["from"] == "formula, corrected by h100"
    assert (
        cost.estimate(profile, "H100 80 GB", table)[2]["from"] == "formula"
    )  # no measured row of full tuning


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
