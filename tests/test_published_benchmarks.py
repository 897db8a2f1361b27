"""Published benchmarks in a folder: which are there, what is said of the others, and that one
that can't be answered stops no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.published_kit import pack

from spacer_utils.analysis import bench, published, published_benchmarks
from spacer_utils.benchmarks.scoring import aggregate, survey
from spacer_utils.benchmarks.scoring.load import load, synthetic
from spacer_utils.benchmarks.scoring.record import judge_row
from spacer_utils.core import profiles
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import WorkbookError

SMOKE = profiles.get("smoke")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """VSI-Bench and MMStar whole, STI-Bench not unpacked, SPAR-Bench with a shard missing."""
    root = tmp_path / "benchmarks"
    synthetic("vsi_bench", root / "VSI-Bench")
    synthetic("mmstar", root / "mmstar")
    synthetic("sti_bench", root / "STI-Bench")
    pack(root / "STI-Bench", "video")
    (root / "SPAR-Bench/data").mkdir(parents=True)
    (root / "SPAR-Bench/data/test-00001-of-00004.parquet").write_bytes(b"x")
    return root


def test_the_survey_tells_what_is_there_and_how_to_get_the_rest(folder: Path) -> None:
    found = {p.name: p for p in survey.survey(str(folder))}
    assert set(found) == set(survey.published())
    assert (found["vsi_bench"].state, found["vsi_bench"].folder) == ("there", folder / "VSI-Bench")
    assert found["mmstar"].state == "there"
    assert "not unpacked: video.tar.gz: cd . && tar -xf video.tar.gz" in found["sti_bench"].said
    assert found["spar_bench"].state == "incomplete"
    assert "lacks test-00000-of-00004.parquet" in found["spar_bench"].said
    absent = found["video_mme"]
    assert absent.state == "not there"
    assert absent.said.startswith("hf download lmms-lab/Video-MME --repo-type dataset --local-dir")
    row = absent.row()
    assert (row["size"], row["licence"]) == ("900 videos, on the order of 100 GB", "unverified")
    assert all("\n" not in p.said for p in found.values())
    assert not any(str(folder.parent) in p.said for p in found.values())
    lines = survey.lines(str(folder))  # these are for a shell: commands that can be copied
    assert len(lines) == 1 + len(found)
    assert f"--local-dir {folder}/Video-MME;" in next(x for x in lines if "video_mme" in x)


def test_every_benchmark_has_a_command_size_and_licence_on_the_hub() -> None:
    for place in survey.survey("hub"):
        row = place.row()
        assert place.state == "on the hub"
        assert row["licence"]
        assert row["size"]


def answered(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, source: str | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scores and failures with a model that answers A to everything."""
    from spacer_utils.evaluation import evaluate

    def generate(model: str, items: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return {i.key: evaluate.Prediction(i.key, "<answer>A</answer>", 1, False) for i in items}

    monkeypatch.setenv("SPACER_OUTPUTS", str(out))
    monkeypatch.setattr(bench.evaluate, "generate", generate)
    out.mkdir(exist_ok=True)

    def made(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    run = bench.run_benchmark

    def in_folder(*given: Any, **more: Any) -> Any:
        made(given[3])
        return run(*given, **more)

    monkeypatch.setattr(published_benchmarks, "run_benchmark", in_folder)
    return published_benchmarks.answer_all(
        {"base": "model", "sg_rlvr-lora": "model"},
        survey.survey(source or str(folder)),
        out / "eval",
        SMOKE,
    )


def test_one_benchmark_that_fails_stops_no_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, failed = answered(folder, tmp_path / "out", monkeypatch)
    assert [(r["benchmark"], r["model"]) for r in scores] == [
        (b, m)
        for b in ("mmstar", "vsi_bench", "vsi_bench_debiased")
        for m in ("base", "sg_rlvr-lora")
    ]
    (row,) = failed
    assert row["benchmark"] == "sti_bench"
    assert "no row of sti_bench has its media" in row["why"]
    assert "\n" not in row["why"]
    beside = published_benchmarks.beside_published(scores)
    theirs = {(r["benchmark"], r["model"]) for r in beside if r["kind"] == "published"}
    assert ("vsi_bench", "SpaceR-7B") in theirs
    assert ("vsi_bench", "Gemini-2.0-Flash") in theirs
    assert not {b for b, _ in theirs} & {"video_mme", "sti_bench"}


def test_the_hub_without_a_network_is_one_line_for_each(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, failed = answered(folder, tmp_path / "out", monkeypatch, "hub")
    assert scores == []
    assert {r["benchmark"] for r in failed} == set(survey.published())
    assert all("can't be had from the hub" in r["why"] and "\n" not in r["why"] for r in failed)


def test_an_interval_needs_media_and_encloses_the_headline(tmp_path: Path) -> None:
    vsi = BENCHMARKS["vsi_bench"]
    rows = load("vsi_bench", synthetic("vsi_bench", tmp_path))
    few = [judge_row(vsi, {**row, "output": "A"}) for row in rows]
    assert aggregate.interval(vsi, few) == (None, None)
    many = [
        judge_row(vsi, {**rows[1], "scene_name": f"s{k}", "output": "B" if k % 3 else "A"})
        for k in range(40)
    ]
    low, high = aggregate.interval(vsi, many, seed=1)
    assert low is not None
    assert high is not None
    assert low < aggregate.report(vsi, many)["headline"] < high
    assert (low, high) == aggregate.interval(vsi, many, seed=1)


def test_closed_models_stand_with_their_source() -> None:
    rows = published.closed_rows()
    known = {(r["benchmark"], r["model"]): r["score (%)"] for r in rows}
    assert known["vsi_bench", "GPT-4o"] == 34.0
    assert known["vsi_bench", "Gemini-2.0-Flash"] == 45.4
    assert known["sti_bench", "Gemini-2.0-Flash"] == 38.7
    assert all(r["source"] for r in rows)
    for part in published.BY_TASK:
        assert all(len(scores) == len(published.CLOSED) for scores in part["tasks"].values())
    vsi = published.BY_TASK[0]["tasks"].values()
    means = [sum(scores[k] for scores in vsi) / 8 for k in range(2)]
    assert [round(m, 1) for m in means] == [34.0, 45.4]  # the tasks add up to the published means


def test_benchmarks_must_be_a_folder_or_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from spacer_utils.core import given

    with pytest.raises(WorkbookError, match="BENCHMARKS=/nowhere is no folder"):
        given.benchmarks("/nowhere")
    monkeypatch.setenv("SPACER_BENCHMARKS", "hub")
    assert given.benchmarks() == "hub"
    assert given.benchmarks("") == ""
