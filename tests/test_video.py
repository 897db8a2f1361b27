"""Clips: cameras stay in the room and see it, bytes repeat, times are true, damage is named, the
cache decodes once."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from conftest import effort
from PIL import Image

from spacer_utils.core import frames, pictures, profiles
from spacer_utils.core import mp4 as mp4_
from spacer_utils.core.profiles import Data, Frames
from spacer_utils.core.types import Box, Clip, Scene, SceneObject, WorkbookError
from spacer_utils.render import camera, film
from spacer_utils.scenes import floor_plan, procedural

pytestmark = pytest.mark.slow
DATA = replace(profiles.get("smoke").data, clip_frames=8, width=96, height=64)
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return procedural.room("train", 2, 1, min_objects=6)


@pytest.fixture(scope="module")
def filmed(scene: Scene) -> tuple[Pixels, Clip]:
    return film.film(scene, DATA, seed=3)


@pytest.fixture
def mp4(filmed: tuple[Pixels, Clip], tmp_path: Path) -> Path:
    return film.write_clip(*filmed, tmp_path)


def ramp(count: int, width: int = 64, height: int = 48) -> Pixels:
    """Frames whose grey level tells their number: 10, 20, 30, ..."""
    return np.stack([np.full((height, width, 3), 10 * (k + 1), np.uint8) for k in range(count)])


def levels(pixels: Pixels) -> list[int]:
    return [round(float(f.mean()) / 10) - 1 for f in pixels]


@pytest.mark.slow
@pytest.mark.parametrize("kind", camera.TRAJECTORIES)
def test_cameras_stand_on_free_floor(kind: str) -> None:
    for k in range(effort(6, 15)):
        room = procedural.room("train", 4, k, rooms=1 + k % 3, min_objects=12 if k % 2 else 1)
        cameras = camera.trajectory(room, kind, 12, 2.0, 112, 112, np.random.default_rng(k))
        assert cameras.shape == (12, 4, 4)
        assert camera.inside_room(room, cameras)
        assert floor_plan.free_floor(room, 0.02).is_free(cameras[:, :2, 3]).all()
        assert (cameras[:, 2, 3] > 1.2).all()
        assert (cameras[:, 2, 3] < room.ceiling_height).all()
        turned = cameras[:, :3, :3]
        assert np.allclose(turned @ turned.transpose(0, 2, 1), np.eye(3), atol=1e-9)
        assert np.allclose(np.linalg.det(turned), 1)
        for o in room.objects:
            c, s = math.cos(o.box.yaw), math.sin(o.box.yaw)
            local = (cameras[:, :3, 3] - np.array(o.box.center)) @ np.array(
                [(c, -s, 0), (s, c, 0), (0, 0, 1.0)]
            )
            assert not (np.abs(local) < np.array(o.box.size) / 2).all(1).any(), (
                room.scene_id,
                o.category,
            )


def beginnings(scene: Scene, kind: str) -> tuple[set[int], float]:
    """Of a dozen clips: the room axes nearest to their first directions, and the largest angle
    between the two, radians."""
    firsts = np.array(
        [
            camera.trajectory(scene, kind, 24, 2.0, 112, 112, np.random.default_rng(seed))[0]
            for seed in range(12)
        ]
    )
    quarters = np.arctan2(firsts[:, 1, 2], firsts[:, 0, 2]) / (math.pi / 2)
    nearest = np.round(quarters)
    return set((nearest % 4).astype(int).tolist()), float(
        np.abs(quarters - nearest).max() * math.pi / 2
    )


@pytest.mark.slow
def test_a_sweep_turns_once_around_and_begins_square_to_a_wall(scene: Scene) -> None:
    for seed in range(12):
        cameras = camera.trajectory(scene, "sweep", 24, 2.0, 112, 112, np.random.default_rng(seed))
        yaw = np.unwrap(np.arctan2(cameras[:, 1, 2], cameras[:, 0, 2]))
        assert yaw[-1] - yaw[0] == pytest.approx(-2 * math.pi * 23 / 24, abs=0.2)
        assert np.ptp(cameras[:, :2, 3], axis=0).max() < 0.15
    axes, off = beginnings(scene, "sweep")
    assert axes == {0, 1, 2, 3}
    assert off < math.radians(6)


def test_a_walk_begins_within_30_degrees_of_an_axis(scene: Scene) -> None:
    axes, off = beginnings(scene, "walk")
    assert len(axes) > 2
    assert math.radians(10) < off < math.radians(36)


def test_most_objects_are_seen() -> None:
    seen, total = 0, 0
    for k in range(effort(6, 12)):
        clip = film.film(procedural.room("train", 9, k), replace(DATA, width=112, height=112))[1]
        seen += len(film.seen_instances(clip, range(clip.num_frames), 0.002))
        total += len(clip.scene.objects)
    assert seen / total > 0.6


def test_unknown_trajectory_and_a_room_without_floor(scene: Scene) -> None:
    with pytest.raises(WorkbookError, match=r"moonwalk.*sweep, walk"):
        camera.trajectory(scene, "moonwalk", 4, 2.0, 64, 64, np.random.default_rng(0))
    full = replace(scene, objects=(SceneObject(1, "bed", Box((0.0, 0.0, 1.0), (50.0, 50.0, 2.0))),))
    with pytest.raises(WorkbookError, match=f"{scene.scene_id}: no floor"):
        camera.trajectory(full, "sweep", 4, 2.0, 64, 64, np.random.default_rng(0))


def test_the_clip_tells_what_the_picture_shows(filmed: tuple[Pixels, Clip]) -> None:
    pixels, clip = filmed
    assert pixels.shape == (8, 64, 96, 3)
    assert (clip.num_frames, clip.fps) == (8, DATA.fps)
    assert set(clip.visible_share) == {o.instance_id for o in clip.scene.objects}
    shares = np.array(list(clip.visible_share.values()))
    assert shares.min() >= 0
    assert shares.sum(0).max() <= 1
    hidden = replace(clip.scene, objects=())
    assert (film.film(replace(hidden, objects=clip.scene.objects), DATA, 3)[0] == pixels).all()
    assert (film.film(clip.scene, DATA, 4)[0] != pixels).any()


def test_seen_uses_the_given_frames_and_the_threshold(filmed: tuple[Pixels, Clip]) -> None:
    clip = replace(
        filmed[1],
        visible_share={1: (0.0, 0.01, 0.2), 2: (0.3, 0.0, 0.0), 3: (0.0, 0.004, 0.0)},
        scene=replace(
            filmed[1].scene,
            objects=tuple(
                SceneObject(k, c, Box((0, 0, 0), (1, 1, 1)))
                for k, c in ((1, "chair"), (2, "chair"), (3, "cup"))
            ),
        ),
    )
    assert film.seen_instances(clip, range(3), 0.005) == {1: 1, 2: 0}
    assert film.seen_instances(clip, [1, 2], 0.05) == {1: 2}
    assert film.seen_categories(clip, range(3), 0.001) == {"chair": 0, "cup": 1}
    assert film.seen_categories(clip, [2], 0.005) == {"chair": 2}


@pytest.mark.slow
def test_same_frames_same_bytes_and_a_true_round_trip(
    filmed: tuple[Pixels, Clip], mp4: Path, tmp_path: Path
) -> None:
    again = film.write_clip(*film.film(filmed[1].scene, DATA, seed=3), tmp_path / "again")
    assert again.read_bytes() == mp4.read_bytes()
    assert (
        b" mbtree=0 " in mp4.read_bytes()
    )  # with x264's macroblock tree they are the same 99 times of 100
    assert again.with_suffix(".json").read_bytes() == mp4.with_suffix(".json").read_bytes()
    assert film.read_clip(mp4.with_suffix(".json")) == filmed[1]
    assert sorted(p.suffix for p in tmp_path.iterdir() if p.is_file()) == [".json", ".mp4"]
    decoded, _ = frames.load(mp4, Frames(8, 0))
    assert np.abs(decoded.astype(int) - filmed[0].astype(int)).mean() < 6
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


def test_writing_refuses_what_does_not_fit(filmed: tuple[Pixels, Clip], tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="7 frames but 8 poses"):
        film.write_clip(filmed[0][:7], filmed[1], tmp_path)
    with pytest.raises(WorkbookError, match=r"63 x 48.*even"):
        mp4_.encode(ramp(3, width=63), 2.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbookError, match="could not write"):
        film.write_clip(*filmed, tmp_path / "file")


@pytest.mark.parametrize(("total", "n"), [(16, 6), (16, 8), (8, 8), (3, 8), (32, 16), (100, 7)])
def test_uniform_sampling_spaces_evenly_from_the_first_frame(total: int, n: int) -> None:
    picked = frames.sample_indices(total, n)
    assert len(picked) == min(n, total)
    assert picked[0] == 0
    assert picked == sorted(set(picked))
    assert picked[-1] < total
    gaps = np.diff(picked)
    assert gaps.max() - gaps.min() <= 1


def test_named_samplings() -> None:
    assert frames.linspace_indices(100, 4) == [0, 33, 66, 99]
    assert len(frames.sampling("uniform32").indices(1000, 30.0, 8)) == 32
    assert frames.spacer_indices(300, 30.0) == [0, 33, 66, 99, 132, 166, 199, 232, 265, 299]
    assert len(frames.spacer_indices(3000, 30.0)) == 32
    assert frames.spacer_indices(10, 30.0) == [0]
    with pytest.raises(WorkbookError, match=r"randomly.*uniform32"):
        frames.sampling("randomly")


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ((640, 480), (336, 448)),
        ((1920, 1080), (252, 448)),
        ((480, 640), (448, 336)),
        ((448, 336), (448, 336)),
        ((320, 240), (320, 240)),
    ],
)
def test_spacer_resize_transposes(given: tuple[int, int], result: tuple[int, int]) -> None:
    assert frames.spacer_size(*given) == result


@pytest.mark.slow
def test_spacer_sampling_squashes_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    path.write_bytes(mp4_.encode(ramp(6, width=640, height=480), 2.0))
    pixels, about = frames.load(path, Frames(4, 0, sampling="spacer"))
    assert pixels.shape == (3, 448, 336, 3)
    assert about.frames_indices == [0, 2, 5]
    assert frames.load(path, Frames(4, 0, sampling="spacer-keep-aspect"))[0].shape == (
        3,
        480,
        640,
        3,
    )
    assert frames.load(path, Frames(4, 56, sampling="spacer"))[0].shape == (3, 56, 56, 3)


@pytest.mark.parametrize("fps", [2.0, 2.5, 30.0, 29.97])
def test_frames_and_their_times_are_the_right_ones(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "ramp.mp4"
    path.write_bytes(mp4_.encode(ramp(20), fps))
    pixels, about = frames.load(path, Frames(5, 0))
    assert levels(pixels) == [0, 4, 8, 12, 16]
    assert about.frames_indices == [0, 4, 8, 12, 16]
    assert about.fps == pytest.approx(fps, rel=1e-4)
    assert about.timestamps == pytest.approx([k / fps for k in (0, 4, 8, 12, 16)], rel=1e-4)
    assert 1 / about.sampled_fps == pytest.approx(4 / fps, rel=1e-4)


def test_uneven_clocks_keep_each_frame_s_own_time(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    ticks = [0, 1, 2, 3, 10, 11, 12, 20]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for tick, picture in zip(ticks, ramp(8)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    pixels, about = frames.load(path, Frames(4, 0))
    assert levels(pixels) == [0, 2, 4, 6]
    assert about.timestamps == pytest.approx([0.0, 0.2, 1.0, 1.2], abs=0.01)


def processors() -> dict[str, Any]:
    """The stock video processors of both families."""
    from spacer_utils import training  # noqa: F401, I001  (makes torchvision importable)
    from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

    return {"qwen2_5_vl": Qwen2VLVideoProcessor(patch_size=14), "qwen3_vl": Qwen3VLVideoProcessor()}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_stock_processors_derive_the_true_times(tmp_path: Path, family: str) -> None:
    path = tmp_path / "ramp.mp4"
    path.write_bytes(mp4_.encode(ramp(16, 56, 56), 2.0))
    pixels, about = frames.load(path, Frames(8, 0))
    done = processors()[family](
        videos=[pixels], video_metadata=[about], do_sample_frames=False, return_metadata=True
    )
    kept = done["video_metadata"][0]
    assert int(done["video_grid_thw"][0][0]) == 4
    assert kept.timestamps == pytest.approx([0, 1, 2, 3, 4, 5, 6, 7])
    assert 2 / kept.sampled_fps == pytest.approx(2.0)


def test_size_resizes_once_and_zero_keeps(mp4: Path) -> None:
    assert frames.load(mp4, Frames(4, 48))[0].shape == (4, 48, 48, 3)
    assert frames.load(mp4, Frames(4, 0))[0].shape == (4, 64, 96, 3)


def test_the_cache_decodes_once_and_knows_content_from_name(mp4: Path, tmp_path: Path) -> None:
    store, asked = tmp_path / "cache", Frames(4, 48)
    frames.decodes.clear()
    first, about = frames.load(mp4, asked, store)
    again, about_again = frames.load(mp4, asked, store)
    assert frames.decodes == {mp4.name: 1}
    assert isinstance(again, np.memmap)
    assert (np.asarray(first) == np.asarray(again)).all()
    assert about == about_again
    assert (np.asarray(again) == frames.load(mp4, asked)[0]).all()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(mp4.read_bytes())
    frames.load(copy, asked, store)
    assert frames.decodes["copy.mp4"] == 0
    frames.load(mp4, replace(asked, num_frames=2), store)
    assert frames.decodes[mp4.name] == 3
    mp4.write_bytes(mp4_.encode(ramp(8), 2.0))
    assert levels(frames.load(mp4, asked, store)[0]) == [0, 2, 4, 6]


@pytest.mark.parametrize("damage", ["half", "empty", "text", "scrambled"])
def test_a_damaged_file_is_named(mp4: Path, damage: str) -> None:
    content = mp4.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    mp4.write_bytes(
        {
            "half": content[: len(content) // 2],
            "empty": b"",
            "text": b"hello" * 100,
            "scrambled": content[:start] + bytes(end - start) + content[end:],
        }[damage]
    )
    with pytest.raises(WorkbookError, match=mp4.name):
        frames.load(mp4, Frames(4, 48))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(WorkbookError, match=r"gone\.mp4"):
            frames.load(tmp_path / "gone.mp4", Frames(4, 48), cache)
    with pytest.raises(WorkbookError, match=r"gone\.png"):
        pictures.read_image(tmp_path / "gone.png", 48)


def test_pictures(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGBA", (30, 20), (10, 20, 30, 255)).save(path)
    assert pictures.read_image(path, None).shape == (20, 30, 3)
    assert pictures.read_image(path, 48).shape == (48, 48, 3)
    path.write_bytes(b"no picture")
    with pytest.raises(WorkbookError, match=r"picture\.png"):
        pictures.read_image(path, 48)


def test_descriptions_with_broken_poses_are_refused(mp4: Path) -> None:
    path = mp4.with_suffix(".json")
    row = json.loads(path.read_text())
    row["poses"][2][0][3] = math.nan
    path.write_text(json.dumps(row))
    with pytest.raises(WorkbookError, match="not finite"):
        film.read_clip(path)
    path.write_text("{}")
    with pytest.raises(WorkbookError, match=path.name):
        film.read_clip(path)


def test_films_differ_by_data_not_by_order(scene: Scene) -> None:
    small: Data = replace(DATA, width=64, height=48)
    assert (film.film(scene, small, 1)[0] == film.film(scene, small, 1)[0]).all()
    assert (
        film.film(scene, replace(small, trajectory="walk"), 1)[1].poses
        != film.film(scene, small, 1)[1].poses
    )
