"""A set of rows and benchmarks in their published layouts, from clips that the workbook filmed."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from spacer_utils.core.files import read_jsonl

FIELDS = ("problem", "data_type", "problem_type", "options", "solution", "path", "data_source")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(k: int, **changes: Any) -> dict[str, Any]:
    """A row of SR-91k: it names no question type and no scene."""
    return {
        "problem_id": k,
        "problem": "How many chair(s) are in this room?",
        "data_type": "video",
        "problem_type": "numerical",
        "options": [],
        "solution": f"<answer>{2 + k % 3}</answer>",
        "path": f"./SR-91k/scannet/train/scene9{k:03d}_00.mp4",
        "data_source": "SR_dataset",
        **changes,
    }


def general_rows(start: int) -> list[dict[str, Any]]:
    """Rows of Video-R1-260k: a video, a picture and a text."""
    choice = {"problem_type": "multiple choice", "options": ["A. red", "B. blue"]}
    return [
        row(
            start + 1,
            problem="What colour is the ball?",
            solution="<answer>B</answer>",
            path="./CLEVRER/train_video/video_00001.mp4",
            data_source="CLEVRER",
            **choice,
        ),
        row(
            start + 2,
            problem="What does the chart show?",
            problem_type="free-form",
            data_type="image",
            solution="<answer>growth</answer>",
            path="./Chart/chartqa/1.png",
            data_source="ChartQA",
        ),
        row(
            start + 3,
            problem="What is three times four?",
            data_type="text",
            solution="<answer>12</answer>",
            path="",
            data_source="Math",
        ),
    ]


def touch_media(root: Path, rows: list[dict[str, Any]]) -> None:
    """Files in place of the media; nobody opens them without complaint."""
    for one in rows:
        if one["path"]:
            file = root / one["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"not really a medium")


def small_set(folder: Path, rooms: int = 8) -> Path:
    """``SpaceR-151k.jsonl`` about a few rooms and general media, with files in place of media in
    the folder that ``decompress.sh`` makes."""
    rows = [row(k) for k in range(1, rooms + 1)]
    rows += general_rows(len(rows))
    write_rows(folder / "SpaceR-151k.jsonl", rows)
    touch_media(folder / "SpaceR-151k", rows)
    return folder


def publish(built: Path, folder: Path, *, maps: bool = True) -> Path:
    """The rows of a dataset that ``spacer data`` wrote, in SpaceR-151k's layout: rooms as scans of
    ScanNet, general rows as Video-R1's, with their media, and a row of text."""
    rows, scans = [], dict[str, str]()
    made = [*read_jsonl(built / "train.jsonl"), *read_jsonl(built / "heldout.jsonl")]
    for k, own in enumerate(made, 1):
        general = own["question_type"].startswith("general")
        scan = scans.setdefault(own["scene_id"], f"scene9{len(scans):03d}_00")
        ending = Path(own["path"]).suffix
        name = f"SR-91k/scannet/train/{scan}{ending}"
        if general:
            top = "General" if own["data_type"] == "image" else "LLaVA-Video-178K"
            name = f"{top}/{Path(own['path']).name}"
        target = folder / "SpaceR-151k" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(built / own["path"], target)
        source = name.split("/")[0] if general else "SR_dataset"
        kept = {field: own[field] for field in FIELDS}
        rows.append({"problem_id": k, **kept, "path": f"./{name}", "data_source": source})
    rows.append(general_rows(len(rows))[2])
    write_rows(folder / "SpaceR-151k.jsonl", rows)
    if maps:
        named = {own["cognitive_map_id"]: scans[own["scene_id"]] for own in made}
        drawn = [
            {**m, "video_id": named[m["video_id"]]}
            for m in read_jsonl(built / "cognitive_map.jsonl")
            if m["video_id"] in named
        ]
        write_rows(folder / "cognitive_map.jsonl", drawn)
    return folder


def pack(folder: Path, name: str, pieces: int = 1) -> None:
    """Pack what stands in ``folder / name`` into an archive beside it, and delete it."""
    whole = folder / f"{name}.tar.gz"
    with tarfile.open(whole, "w:gz") as archive:
        for path in sorted((folder / name).iterdir()):
            archive.add(path, arcname=path.name)
    shutil.rmtree(folder / name)
    if pieces > 1:
        data = whole.read_bytes()
        size = -(-len(data) // pieces)
        for k in range(pieces):
            (folder / f"{name}.part_{k:02d}").write_bytes(data[k * size : (k + 1) * size])
        whole.unlink()


def publish_vsi_bench(built: Path, folder: Path) -> None:
    """VSI-Bench about the held-out rooms of a dataset, in the folder ``VSI-Bench``."""
    import pyarrow as pa
    from pyarrow import parquet

    from spacer_utils.benchmarks.vsi_bench import VsiBench

    rows = []
    for own in read_jsonl(built / "heldout.jsonl"):
        if own["question_type"] not in VsiBench.tasks:
            continue
        scan = f"scene8{len({r['scene_name'] for r in rows}):03d}_00"
        known = {r["from"]: r["scene_name"] for r in rows}
        scan = known.get(own["scene_id"], scan)
        clip = folder / "VSI-Bench/scannet" / f"{scan}.mp4"
        clip.parent.mkdir(parents=True, exist_ok=True)
        if not clip.exists():
            shutil.copyfile(built / own["path"], clip)
        gold = own["solution"].removeprefix("<answer>").removesuffix("</answer>")
        rows.append(
            {
                "id": len(rows),
                "dataset": "scannet",
                "scene_name": scan,
                "question_type": own["question_type"],
                "question": own["problem"],
                "ground_truth": gold,
                "options": own["options"] or None,
                "from": own["scene_id"],
            }
        )
    parquet.write_table(
        pa.Table.from_pylist(rows), folder / "VSI-Bench/test-00000-of-00001.parquet"
    )


def publish_benchmarks(built: Path, folder: Path) -> Path:
    """A folder of benchmarks: VSI-Bench about filmed rooms, TempCompass and MMStar with invented
    rows, STI-Bench whose videos were not unpacked, SPAR-Bench with a shard missing."""
    from spacer_utils.benchmarks.scoring.load import synthetic

    publish_vsi_bench(built, folder)
    synthetic("mmstar", folder / "MMStar")
    synthetic("tempcompass", folder / "tempcompass")
    synthetic("sti_bench", folder / "STI-Bench")
    for clip in (folder / "STI-Bench").rglob("*.mp4"):
        clip.unlink()
    spar = folder / "SPAR-Bench/data"
    spar.mkdir(parents=True)
    (spar / "test-00001-of-00004.parquet").write_bytes(b"a shard")
    return folder
