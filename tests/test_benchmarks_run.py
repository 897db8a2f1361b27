"""A checkpoint put to benchmarks, and its predictions exported for other harnesses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from spacer_utils.registry import BENCHMARKS
from spacer_utils.scoring import export
from spacer_utils.scoring.load import load, media_file, synthetic
from spacer_utils.scoring.run import main, prompts_of
from spacer_utils.types import WorkbookError

OUTPUTS = ["<think><map>{'a': [[1, 2]]}</map></think><answer>4</answer>", "B\nbecause\tof \"it\"", None, ""]
ROWS: list[dict[str, Any]] = [{**row, "output": o} for row, o in zip(BENCHMARKS["vsi_bench"].sample, OUTPUTS)]


def test_prompts_leave_out_rows_without_their_media(tmp_path: Path) -> None:
    folder = synthetic("vsi_bench", tmp_path)
    rows = load("vsi_bench", folder)
    (folder / "arkitscenes" / "00000001.mp4").unlink()
    items = prompts_of("vsi_bench", rows, folder, "official")
    assert [i.key for i in items] == ["000001", "000002", "000003"]
    assert all(kind == "video" and Path(path).is_file() for i in items for kind, path in i.media)


def test_media_stay_in_their_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
        media_file("../secret.png", tmp_path)
    with pytest.raises(WorkbookError, match="neither a path"):
        media_file("not base64!", tmp_path)
    assert media_file({"bytes": None, "path": "a.png"}, tmp_path) == tmp_path / "a.png"
    assert media_file(None, tmp_path) is None


def test_vlmevalkit_file_has_its_columns_and_the_bare_answer(tmp_path: Path) -> None:
    path = export.vlmevalkit("vsi_bench", ROWS, tmp_path, "nano", "VSI-Bench")
    assert path == tmp_path / "nano" / "nano_VSI-Bench.tsv"
    with open(path, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert [row["prediction"] for row in table] == ["4", OUTPUTS[1], "", ""]
    assert [row["answer"] for row in table] == ["4", "B", "A", "18.6"]
    assert table[0]["raw_output"] == OUTPUTS[0]
    assert (table[1]["B"], table[1]["candidates"]) == ("sofa", "['A. chair', 'B. sofa', 'C. tv', 'D. table']")


def test_lmms_eval_log_replays_in_order(tmp_path: Path) -> None:
    log = json.loads(export.lmms_eval_log(ROWS, tmp_path / "nano.json", "vsibench", "nano").read_text())
    assert [entry["resps"][0][0] for entry in log["logs"]] == [o or "" for o in OUTPUTS]
    assert log["args"]["limit"] is None
    assert log["model_configs"]["task"] == "vsibench"


@pytest.mark.slow
def test_one_command_runs_every_synthetic_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spacer_utils.training import nano

    model = str(nano.build(tmp_path / "model", size="tiny"))
    assert main(["--model", model, "--out", str(tmp_path / "eval"), "--profile", "smoke"]) == 0
    tables = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [t["benchmark"] for t in tables] == BENCHMARKS.names()
    for table in tables:
        assert sum(table["counts"][k] for k in ("n_scored", "n_missing", "n_not_scored")) == table["counts"]["n_expected"]
        assert (tmp_path / "eval" / table["benchmark"] / "items.jsonl").is_file()
    before = (tmp_path / "eval" / "vsi_bench" / "report.json").read_bytes()
    assert main(["--model", model, "--out", str(tmp_path / "eval"), "--profile", "smoke", "--names", "vsi_bench"]) == 0
    assert (tmp_path / "eval" / "vsi_bench" / "report.json").read_bytes() == before
    assert main(["--model", model, "--out", str(tmp_path / "eval"), "--names", "vsi_bench", "--data", str(tmp_path / "no")]) == 2
