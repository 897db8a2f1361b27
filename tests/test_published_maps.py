"""Maps for published rows, from scans that are written here in ScanNet's format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_scans import DATA, write_scannet

from spacer_utils.__main__ import main
from spacer_utils.core import maps
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.rows import load
from spacer_utils.core.types import Clip, WorkbookError
from spacer_utils.dataset import published_maps
from spacer_utils.render import film
from spacer_utils.scenes import procedural


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clip]:
    """Three scans of one room: a whole one, a damaged one and one of VSI-Bench; and the truth."""
    pytest.importorskip(
        "scenezoo", reason="the extra 'scans' is not installed", exc_type=ImportError
    )
    root = tmp_path_factory.mktemp("scannet")
    scene = procedural.room("train", 3, 7, min_objects=7)
    pictures, clip = film.film(scene, DATA)
    for scan_id in ("scene9001_00", "scene9002_00", "scene0025_01"):
        write_scannet(root, scan_id, scene, clip, pictures)
    (root / "scans/scene9002_00/scene9002_00.aggregation.json").write_text("{")
    return root, clip


def write_rows(folder: Path, *videos: str) -> Path:
    """A file of published rows: one question about each video, and one about a picture."""
    rows = [
        {
            "problem_id": k,
            "problem": "How many chair(s) are in this room?",
            "data_type": "video",
            "problem_type": "numerical",
            "options": [],
            "solution": "<answer>2</answer>",
            "path": path,
            "data_source": "SR_dataset",
        }
        for k, path in enumerate(videos)
    ]
    picture = {"problem_id": 99, "data_type": "image", "path": "./images/scene9001_00.png"}
    rows.append({**rows[0], **picture})
    path = folder / "SR-91k.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_maps_of_a_scan_are_the_truth_and_reach_the_rows(
    scanned: tuple[Path, Clip], tmp_path: Path
) -> None:
    root, clip = scanned
    assert maps.quarter_turns(clip) != 0  # else both files would hold the same maps
    video = "./SR-91k/scannet/train/scene9001_00.mp4"
    rows = write_rows(tmp_path, video, video)
    found = published_maps.write(rows, root)
    assert (found.maps, found.rows, found.absent, found.damaged, found.benchmark) == (
        1,
        2,
        {},
        {},
        [],
    )
    for frame, name in published_maps.FILES.items():
        (row,) = read_jsonl(tmp_path / name)
        assert row["frame"] == frame
        assert row["cognitive_map"] == maps.cells(clip, frame)
        assert row["object_list"] == [*clip.scene.categories]
    asked = load(rows)
    assert [bool(s.cognitive_map) for s in asked] == [True, True, False]
    assert asked[0].cognitive_map == maps.scan_cells(clip.scene)
    assert asked[0].map_frame == "scan"


def test_what_has_no_map_is_counted_and_named(
    scanned: tuple[Path, Clip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = scanned
    rows = write_rows(
        tmp_path,
        "a/scene9001_00.mp4",
        "a/scene9002_00.mp4",
        "a/scene0025_01.mp4",
        "a/scene7777_00.mp4",
        "a/scene7777_00.mp4",
        "scene9001_00/color.mp4",
    )
    assert main(["data", "maps", "--rows", str(rows), "--scans", str(root)]) == 0
    said = capsys.readouterr().out
    assert "3 maps for 3 rows" in said
    assert (
        "2 rows about 1 videos have no map: their scans are not in the folder (a/scene7777_00.mp4)"
        in said
    )
    assert "1 scans can't be used (a/scene9002_00.mp4: scannet scan scene9002_00: " in said
    assert "1 videos show rooms of VSI-Bench (a/scene0025_01.mp4): do not train on them" in said


def test_files_that_are_there_stay(scanned: tuple[Path, Clip], tmp_path: Path) -> None:
    root, _ = scanned
    rows = write_rows(tmp_path, "a/scene9001_00.mp4")
    mine = tmp_path / "cognitive_map_first_view.jsonl"
    mine.write_text("mine")
    with pytest.raises(WorkbookError, match=r"first_view.jsonl is there already.*--overwrite"):
        published_maps.write(rows, root)
    assert mine.read_text() == "mine"
    published_maps.write(rows, root, overwrite=True)
    assert mine.read_text() != "mine"
    published_maps.write(rows, root, out=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere/cognitive_map.jsonl").exists()


def test_rows_without_a_scan_write_nothing(scanned: tuple[Path, Clip], tmp_path: Path) -> None:
    root, _ = scanned
    rows = write_rows(tmp_path, "a/scene7777_00.mp4", "b/other.mp4")
    with pytest.raises(WorkbookError, match=r"no map could be made\. 2 rows about 2 videos"):
        published_maps.write(rows, root)
    assert [p.name for p in tmp_path.iterdir()] == ["SR-91k.jsonl"]
    with pytest.raises(WorkbookError, match="no scannet scan under"):
        published_maps.write(rows, tmp_path)


def test_the_command_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "maps", "--rows", "SR-91k.jsonl"]) == 2
    assert "data maps needs --rows FILE and --scans FOLDER." in capsys.readouterr().err
    assert main(["data", "--rows", "SR-91k.jsonl", "--out", "nowhere"]) == 2
    assert "--rows and --model are for data maps and data tokens" in capsys.readouterr().err
