"""The notebooks on a published set and on published benchmarks, in ``smoke``: with maps and without,
with benchmarks whole, incomplete and absent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kit.published_kit import publish, publish_benchmarks

from spacer_utils.core import profiles
from spacer_utils.core.files import read_jsonl
from spacer_utils.dataset import build
from spacer_utils.workbook import manifest, runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # the whole study, on a busy machine too
SMOKE = profiles.get("smoke")
STAGES = ("02", "04", "05", "06", "07", "08", "09", "10")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filmed rooms, from which the published set and benchmarks are made."""
    out = tmp_path_factory.mktemp("built")
    build.build(SMOKE, out, seed=0)
    return out


@pytest.fixture(scope="module", params=["with maps", "without maps"])
def study(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, bool]]:
    """Outputs of all notebooks that take published inputs, and whether the rows have maps."""
    maps = request.param == "with maps"
    root = tmp_path_factory.mktemp("study")
    given = {
        "SPACER_OUTPUTS": root / "outputs",
        "SPACER_DATA": publish(built, root / "SpaceR-151k-data", maps=maps),
    }
    if maps:
        given["SPACER_BENCHMARKS"] = publish_benchmarks(built, root / "benchmarks")
    before = {name: os.environ.get(name) for name in (*given, "SPACER_BENCHMARKS")}
    os.environ.update({name: str(path) for name, path in given.items()})
    try:
        for number in STAGES:
            runner.execute(number, "smoke", {"SEED": 0})
        yield root / "outputs/smoke", maps
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def facts(out: Path, number: str) -> dict[str, Any]:
    (path,) = (out / "executed").glob(f"{number}_*.ipynb")
    found: dict[str, Any] = manifest.read(out, path.stem)
    return found


def page(out: Path, number: str) -> str:
    (path,) = (out / "executed").glob(f"{number}_*.ipynb")
    raw = nbformat.read(str(path), as_version=4)
    return json.dumps([c.get("outputs", []) for c in raw.cells])


def test_every_notebook_takes_the_published_rows(study: tuple[Path, bool]) -> None:
    out, maps = study
    train = read_jsonl(out / "data/train.jsonl")
    assert {row["data_type"] for row in train} >= {"image", "video"}
    assert all(row["path"].startswith("media/") for row in train if row["path"])
    asked = facts(out, "02")["metrics"]
    assert asked["used"] == asked["published"]
    assert bool(asked["with_map"]) == maps
    trained = {p.parent.name for p in (out / "train").glob("*/run.json")}
    if maps:
        assert {"sft-full-s0", "sft_map-full-s0", "sg_rlvr-lora-s0", "rlvr-full-s0"} <= trained
    else:
        assert trained == {"sft-full-s0", "rlvr-lora-s0", "rlvr-full-s0", "t_grpo-full-s0"}
        assert "data maps" in page(out, "05")
    for name in trained:
        run = json.loads((out / "train" / name / "fingerprint.json").read_text())
        assert any(path.startswith("media/") for path in run["files"])


def test_maps_are_drawn_of_clips_without_a_true_map(study: tuple[Path, bool]) -> None:
    out, maps = study
    drawn = facts(out, "08")["metrics"]
    if maps:
        assert drawn["best_score"] is not None
    else:
        assert drawn["bare"] > 0
        assert "nothing tells how right those maps are" in page(out, "08")


def test_benchmarks_are_answered_where_they_are_there(study: tuple[Path, bool]) -> None:
    out, maps = study
    found = json.loads((out / "eval/benchmarks/summary.json").read_text())
    if not maps:
        assert found == {"scores": [], "places": [], "failed": []}
        return
    asked = {row["benchmark"] for row in found["scores"]}
    assert asked == {"vsi_bench", "vsi_bench_debiased", "mmstar", "tempcompass"}
    assert {row["benchmark"] for row in found["failed"]} == {"sti_bench"}
    states = {row["benchmark"]: row["state"] for row in found["places"]}
    assert (states["spar_bench"], states["video_mme"]) == ("incomplete", "not there")
    for number in ("09", "10"):
        shown = page(out, number)
        assert "SpaceR-7B" in shown  # beside our own
        assert "lacks test-00000-of-00004.parquet" in shown
        assert "hf download lmms-lab/Video-MME" in shown


def test_no_path_stands_on_the_pages(study: tuple[Path, bool]) -> None:
    out, _ = study
    for number in STAGES:
        assert str(out.parent.parent) not in page(out, number), number
        assert f"{Path.home()}/" not in page(out, number), number
