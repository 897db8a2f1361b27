"""Real scans: a room written in ScanNet's on-disk format comes back with its boxes, poses, frames
and visibility."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kit.rooms import random_room
from PIL import Image
from scipy.spatial.transform import Rotation

from spacer_utils.core import profiles
from spacer_utils.core.registry import SCENES
from spacer_utils.core.types import Clip, Scene, WorkbookError
from spacer_utils.dataset.build import build, load
from spacer_utils.render import Renderer, scan_film
from spacer_utils.render import film as video
from spacer_utils.scenes import floor_plan, procedural, scans

DATA = replace(profiles.get("smoke").data, clip_frames=6, width=96, height=72)
Floats = npt.NDArray[np.float64]


def turned(degrees: float, shift: tuple[float, float, float]) -> Floats:
    """(4, 4) turn about z, then shift: the scanner's world is not the room's."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    result = np.eye(4)
    result[:2, :2], result[:3, 3] = [(c, -s), (s, c)], shift
    return result


def write_sens(
    path: Path, pictures: Iterable[npt.NDArray[np.uint8]], poses: Floats, matrix: Floats
) -> None:
    """ScanNet's sensor stream, version 4: JPEG colour, zlib depth (empty here), camera-to-world
    poses, no IMU."""
    frames = [np.asarray(p) for p in pictures]
    height, width, _ = frames[0].shape
    intrinsic = np.eye(4, dtype="<f4")
    intrinsic[:3, :3] = matrix
    depth = zlib.compress(np.zeros((height, width), "<u2").tobytes())
    name = b"StructureSensor"
    parts = [
        struct.pack("<IQ", 4, len(name)),
        name,
        *[m.astype("<f4").tobytes() for m in (intrinsic, np.eye(4)) * 2],
        struct.pack("<ii", 2, 1),
        struct.pack("<IIII", width, height, width, height),
        struct.pack("<f", 1000.0),
        struct.pack("<Q", len(frames)),
    ]
    for k, (picture, pose) in enumerate(zip(frames, poses)):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=98, subsampling=0)
        parts += [
            pose.astype("<f4").tobytes(),
            struct.pack("<QQ", 33_333 * k, 33_333 * k),
            struct.pack("<QQ", buffer.tell(), len(depth)),
            buffer.getvalue(),
            depth,
        ]
    path.write_bytes(b"".join([*parts, struct.pack("<Q", 0)]))


def write_ply(path: Path, vertices: Floats, faces: npt.NDArray[np.int32]) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), dtype=[("n", "u1"), ("v", "<i4", 3)])
    rows["n"], rows["v"] = 3, faces
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes())


def labelled_mesh(
    scene: Scene, world: Floats
) -> tuple[Floats, npt.NDArray[np.int32], list[int], list[dict[str, Any]]]:
    """(vertices in the scanner's world, faces, segment of each vertex, annotated groups of
    segments)."""
    mesh = Renderer(scene, shadow=False).stage.mesh
    owner = np.zeros(len(mesh.vertices), dtype=int)
    owner[mesh.faces.ravel()] = np.repeat(mesh.ids, 3)
    named = [(o.category, o.instance_id) for o in scene.objects] + [("wall", 0)]
    groups = [
        {"id": k, "objectId": k, "segments": [segment], "label": label}
        for k, (label, segment) in enumerate(named)
    ]
    return mesh.vertices @ world[:3, :3].T + world[:3, 3], mesh.faces, owner.tolist(), groups


def write_scannet(
    root: Path, scan_id: str, scene: Scene, clip: Clip, pictures: npt.NDArray[np.uint8]
) -> None:
    """The files of one ScanNet scan that hold mesh, annotation, alignment and sensor stream, 30
    degrees off the room's axes."""
    folder = root / "scans" / scan_id
    folder.mkdir(parents=True)
    align = turned(30.0, (1.5, -2.0, 0.0))
    world = np.linalg.inv(align)
    vertices, faces, segments, groups = labelled_mesh(scene, world)
    write_ply(folder / f"{scan_id}_vh_clean_2.ply", vertices, faces)
    (folder / f"{scan_id}_vh_clean_2.0.010000.segs.json").write_text(
        json.dumps({"segIndices": segments})
    )
    (folder / f"{scan_id}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    (folder / f"{scan_id}.txt").write_text(
        "axisAlignment = " + " ".join(str(v) for v in align.ravel()) + "\n"
    )
    matrix = np.array(clip.intrinsics)
    matrix[:2, 2] -= 0.5
    write_sens(folder / f"{scan_id}.sens", pictures, world @ np.array(clip.poses), matrix)


def test_scenezoo_is_named_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "scenezoo", None)
    with pytest.raises(WorkbookError, match=r"pip install .*scans"):
        next(SCENES["scans"]("train", 1, 0, folder=tmp_path))


def test_benchmark_rooms_are_known_without_their_files() -> None:
    names = scans.benchmark_names()
    assert len(names) == 288 + 88
    assert {
        "scannet-scene0025",
        "scannet-scene0025_01",
        "arkitscenes-41069025",
        "scannetpp-7b6477cb95",
    } <= names


def test_splits_never_divide_a_space() -> None:
    reader = SimpleNamespace(
        metadata={"1": {"visit_id": 7}, "2": {"visit_id": 7}, "3": {"visit_id": None}}
    )
    assert scans.space_of(reader, "scannet", "scene0100_02") == "scannet-scene0100"
    assert (
        scans.space_of(reader, "arkitscenes", "1")
        == scans.space_of(reader, "arkitscenes", "2")
        == "arkitscenes-visit7"
    )
    assert scans.space_of(reader, "arkitscenes", "3") == "arkitscenes-3"
    splits = [scans.split_of(f"scannet-scene{k:04d}", 0) for k in range(1000)]
    assert 60 < splits.count("heldout") < 140


def write_scannetpp(root: Path, scan_id: str, scene: Scene) -> None:
    """Mesh and annotation of one ScanNet++ scan."""
    folder = root / "data" / scan_id / "scans"
    folder.mkdir(parents=True)
    vertices, faces, segments, groups = labelled_mesh(scene, np.eye(4))
    write_ply(folder / "mesh_aligned_0.05.ply", vertices, faces)
    (folder / "segments.json").write_text(json.dumps({"segIndices": segments}))
    (folder / "segments_anno.json").write_text(json.dumps({"segGroups": groups}))


def write_arkitscenes(
    root: Path, scan_id: str, visit: int, scene: Scene, clip: Clip, pictures: npt.NDArray[np.uint8]
) -> None:
    """Mesh, boxes, trajectory and 640 x 480 stream of one ARKitScenes capture, whose world is only
    gravity-aligned."""
    folder = root / "raw" / "Training" / scan_id
    for stream in ("vga_wide", "vga_wide_intrinsics"):
        (folder / stream).mkdir(parents=True)
    world = turned(-20.0, (0.3, 0.7, -1.1))
    vertices, faces, _, _ = labelled_mesh(scene, world)
    write_ply(folder / f"{scan_id}_3dod_mesh.ply", vertices, faces)
    boxes = []
    for o in scene.objects:
        axes = (world @ turned(float(np.degrees(o.box.yaw)), (0, 0, 0)))[:3, :3]
        center = world[:3, :3] @ np.array(o.box.center) + world[:3, 3]
        boxes.append(
            {
                "label": o.category,
                "segments": {
                    "obbAligned": {
                        "centroid": center.tolist(),
                        "axesLengths": [side + 0.01 for side in o.box.size],
                        "normalizedAxes": axes.T.ravel().tolist(),
                    }
                },
            }
        )
    (folder / f"{scan_id}_3dod_annotation.json").write_text(json.dumps({"data": boxes}))
    rows = []
    (fx, _, cx), (_, fy, cy), _ = clip.intrinsics
    for k, (picture, pose) in enumerate(zip(pictures, np.array(clip.poses))):
        to_camera = np.linalg.inv(world @ pose)
        rows.append(
            [k / 30, *Rotation.from_matrix(to_camera[:3, :3]).as_rotvec(), *to_camera[:3, 3]]
        )
        Image.fromarray(picture).save(folder / "vga_wide" / f"{scan_id}_{k / 30:.3f}.png")
        (folder / "vga_wide_intrinsics" / f"{scan_id}_{k / 30:.3f}.pincam").write_text(
            f"640 480 {fx} {fy} {cx - 0.5} {cy - 0.5}"
        )
    np.savetxt(folder / "lowres_wide.traj", rows)
    (root / "raw" / "metadata.csv").write_text(
        "video_id,visit_id,fold,sky_direction\n" + f"{scan_id},{visit},Training,Up\n"
    )


def agree(back: Scene, scene: Scene, align: bool = True) -> None:
    """The same categories and box sizes; the same centres too where the dataset's axes are the
    room's."""
    assert [o.category for o in back.objects] == [o.category for o in scene.objects]
    for ours, theirs in zip(scene.objects, back.objects):
        assert sorted(theirs.box.size) == pytest.approx(sorted(ours.box.size), abs=0.03)
        if align:
            assert np.array(theirs.box.center) == pytest.approx(np.array(ours.box.center), abs=0.02)
    assert floor_plan.area(back.polygon) == pytest.approx(floor_plan.area(scene.polygon), rel=0.1)
    assert back.floor_area == pytest.approx(scene.floor_area, rel=0.15)


def test_scannetpp_and_arkitscenes_come_back(tmp_path: Path) -> None:
    pytest.importorskip(
        "scenezoo", reason="the extra 'scans' is not installed", exc_type=ImportError
    )
    scene = procedural.room("train", 3, 9, min_objects=5)
    data = replace(DATA, width=640, height=480, clip_frames=3)
    pictures, clip = video.film(scene, data)
    write_scannetpp(tmp_path / "pp", "0123456789", scene)
    write_arkitscenes(tmp_path / "arkit", "10000001", 4, scene, clip, pictures)
    for dataset, folder in (("scannetpp", tmp_path / "pp"), ("arkitscenes", tmp_path / "arkit")):
        found = [
            s
            for split in ("train", "heldout")
            for s in SCENES["scans"](split, 1, 0, folder=folder, dataset=dataset)
        ]
        assert len(found) == 1
        agree(found[0], scene, dataset == "scannetpp")
        sides = np.array([o.box.yaw for o in found[0].objects]) - np.array(
            [o.box.yaw for o in scene.objects]
        )
        assert np.median(np.abs(np.remainder(sides + np.pi / 4, np.pi / 2) - np.pi / 4)) < 0.02
    assert found[0].space_id == "arkitscenes-visit4"
    frames, seen = scan_film.film(
        scans.open_dataset("arkitscenes", tmp_path / "arkit"), "arkitscenes", found[0], data
    )
    assert (frames == pictures).all()
    assert seen.fps == pytest.approx(30.0)
    for instance, shares in clip.visible_share.items():
        assert np.array(seen.visible_share[instance]) == pytest.approx(np.array(shares), abs=0.01)


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Scene, Clip, npt.NDArray[np.uint8]]:
    pytest.importorskip(
        "scenezoo", reason="the extra 'scans' is not installed", exc_type=ImportError
    )
    root = tmp_path_factory.mktemp("scannet")
    scene = procedural.room("train", 3, 7, min_objects=7)
    pictures, clip = video.film(scene, DATA)
    trained = next(
        f"scene{k:04d}"
        for k in range(9000, 9999)
        if scans.split_of(f"scannet-scene{k:04d}", 0) == "train"
    )
    for scan_id in (f"{trained}_00", f"{trained}_01", "scene0025_01", "scene0025_09"):
        write_scannet(root, scan_id, scene, clip, pictures)
    (root / "scans" / f"{trained}_01" / f"{trained}_01.aggregation.json").write_text("{")
    return root, scene, clip, pictures


def test_a_written_scan_comes_back(
    written: tuple[Path, Scene, Clip, npt.NDArray[np.uint8]],
) -> None:
    root, scene, clip, pictures = written
    with pytest.warns(UserWarning, match=r"left out: scannet scan scene9\d+_01"):
        found = list(SCENES["scans"]("train", None, 0, folder=root))
    assert len(found) == 1
    back = found[0]
    assert back.source == "scans"
    agree(back, scene)
    reader = scans.open_dataset("scannet", root)
    frames, seen = scan_film.film(reader, "scannet", back, DATA)
    assert frames.shape == pictures.shape
    assert np.abs(frames.astype(int) - pictures.astype(int)).mean() < 3
    assert np.array(seen.poses) == pytest.approx(np.array(clip.poses), abs=0.02)
    assert np.array(seen.intrinsics) == pytest.approx(np.array(clip.intrinsics), abs=1e-3)
    assert seen.fps == pytest.approx(30.0)
    for instance, shares in clip.visible_share.items():
        assert np.array(seen.visible_share[instance]) == pytest.approx(np.array(shares), abs=0.01)
    folder = root / "clips"
    assert video.read_clip(video.write_clip(frames, seen, folder).with_suffix(".json")) == seen


def test_benchmark_and_listed_scans_stay_out(
    written: tuple[Path, Scene, Clip, npt.NDArray[np.uint8]],
) -> None:
    root = written[0]
    with pytest.warns(UserWarning, match="left out"):
        ids = [
            s.scene_id
            for split in ("train", "heldout")
            for s in SCENES["scans"](split, None, 0, folder=root)
        ]
    assert len(ids) == 1
    assert not any("scene0025" in i for i in ids)
    space = ids[0].rsplit("_", 1)[0]
    assert list(SCENES["scans"]("train", None, 0, folder=root, exclude=[space])) == []
    with pytest.raises(WorkbookError, match="real_layouts"):
        next(SCENES["scans"]("real_layouts", 1, 0, folder=root))


@pytest.mark.slow
def test_scans_become_a_dataset_without_the_benchmarks_rooms(
    written: tuple[Path, Scene, Clip, npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    profile = profiles.get("smoke").with_overrides(
        width=96, height=72, clip_frames=6, questions_per_type=2
    )
    found = build(profile, tmp_path, scanned=("scannet", written[0]))
    rows = load(tmp_path / "train.jsonl")
    assert {s.data_source for s in rows} == {"scans"}
    assert {s.scene_id for s in rows} <= {
        f"scannet-{p.name}" for p in (written[0] / "scans").iterdir() if "scene9" in p.name
    }
    assert len({s.question_type for s in rows}) > 4
    assert found["benchmark rooms in train"] == []
    assert [
        p for p in found["problems"] if "scene9" in p and "_01" in p
    ]  # the damaged one is named, the other goes on
    assert video.read_clip(tmp_path / rows[0].path.replace(".mp4", ".json")).scene.source == "scans"


def test_a_scan_is_filmed_again_when_its_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_scan(reader: Any, dataset: str, scan_id: str, split: Any) -> Scene:
        return replace(
            random_room(1),
            scene_id=f"scannet-{scan_id}",
            space_id=f"scannet-{scan_id[:-3]}",
            source="scans",
        )

    def film(reader: Any, dataset: str, scene: Scene, data: Any) -> Any:
        filmed.append(scene.scene_id)
        return video.film(scene, data)

    filmed: list[str] = []
    monkeypatch.setattr(scans, "open_dataset", lambda *_: None)
    monkeypatch.setattr(scans, "read_scan", read_scan)
    monkeypatch.setattr(scan_film, "film", film)
    profile = profiles.get("smoke").with_overrides(
        width=96, height=72, clip_frames=6, questions_per_type=2
    )
    files = [
        tmp_path / "scannet" / "scans" / f"scene90{k:02d}_00" / "frames" / "a.sens"
        for k in range(3)
    ]
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text("frames")
    names = [f"scannet-{path.parents[1].name}" for path in files]
    for change, expected in (
        (lambda: None, names),
        (lambda: None, []),
        (lambda: files[1].write_text("other frames"), names[1:2]),
        (lambda: os.utime(files[2], (1, 1)), names[2:]),
    ):
        change()
        filmed.clear()
        build(profile, tmp_path / "data", scanned=("scannet", tmp_path / "scannet"), overwrite=True)
        assert sorted(filmed) == expected


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", "x.sens"),
        struct.error("unpack requires 8 bytes"),
        IndexError("list index out of range"),
        Exception("not a .sens stream"),
    ],
    ids=repr,
)
def test_a_scan_with_damaged_files_is_named(error: Exception) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    scene, reader = (
        replace(random_room(1), scene_id="scannet-scene9000_00"),
        SimpleNamespace(get_mesh=broken, get_frames=broken),
    )
    for read in (
        lambda: scan_film.film(reader, "scannet", scene, DATA),
        lambda: scans.read_scan(reader, "scannet", "scene9000_00", "train"),
    ):
        with pytest.raises(WorkbookError, match=r"^scannet scan scene9000_00: ") as caught:
            read()
        assert str(error) in str(caught.value)
        assert caught.value.__cause__ is None, (
            "which would be taken for a disk that can't be written"
        )


def test_an_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="expected folders in scans"):
        scans.scan_ids("scannet", tmp_path)
