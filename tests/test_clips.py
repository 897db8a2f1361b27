"""Other people's clips: every kind is read at its shown times, what is cut or damaged is named, the
cache is bounded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import decord
import fuzz_clips
import numpy as np
import pytest
from conftest import effort
from kit.clip_kit import BY_NAME, KINDS, Kind, numbers, pictures, write

from spacer_utils.core import clip_sizes, files, frame_cache, frames, mp4
from spacer_utils.core.profiles import Frames
from spacer_utils.core.types import WorkbookError

pytestmark = pytest.mark.slow
EVERY = Frames(num_frames=1000, size=0)
FIVE = Frames(num_frames=5, size=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of 20 pictures of every kind."""
    folder = tmp_path_factory.mktemp("clips")
    for kind in KINDS:
        write(folder, kind)
    return folder


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_every_kind_of_clip_is_read_in_order_at_its_times(clips: Path, kind: Kind) -> None:
    path = clips / kind.name
    pixels, about = frames.load(path, EVERY)
    assert numbers(pixels) == list(range(20))
    assert about.fps == pytest.approx(kind.rate)
    assert about.frames_indices == list(range(20))
    assert frames.times(path, EVERY) == pytest.approx([k / kind.rate for k in range(20)], abs=0.001)
    some, _ = frames.load(path, Frames(3, 0))
    assert all(np.array_equal(a, b) for a, b in zip(some, pixels[[0, 6, 13]]))
    if kind.pix_fmt != "rgb8":
        assert np.abs(pixels.astype(int) - pictures(20, *kind.size)).mean() < 8


@pytest.mark.parametrize(
    "name",
    [
        "h264.mp4",
        "h264_reordered.avi",
        "hevc_open_groups.mkv",
        "mpeg2.ts",
        "vp8_live.webm",
        "av1.mkv",
    ],
)
def test_far_frames_are_those_that_decoding_in_order_shows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, BY_NAME[name], 160)
    with av.open(str(path)) as container:
        expected = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    pixels, about = frames.load(path, Frames(3, 0))
    assert [round(i) for i in about.frames_indices] == [0, 53, 106]
    assert all(np.array_equal(a, expected[k]) for a, k in zip(pixels, (0, 53, 106)))


def test_plain_clips_are_what_another_reader_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = (
        rng.integers(0, 256, (30, 12, 16, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    )
    path = files.write_atomic(tmp_path / "plain.mp4", mp4.encode(noise, 2.5))
    decord.logging.set_level(decord.logging.QUIET)
    other = decord.VideoReader(str(path), num_threads=1)
    pixels, about = frames.load(path, Frames(7, 0))
    assert np.array_equal(
        pixels, other.get_batch([round(i) for i in about.frames_indices]).asnumpy()
    )
    assert about.fps == other.get_avg_fps()


@pytest.mark.parametrize("side", [16, 18, 24, 32, 48, 72])
def test_narrow_clips_are_read(tmp_path: Path, side: int) -> None:
    path = write(tmp_path, Kind(f"{side}.mp4", "libx264", size=(side, 32)))
    assert frames.load(path, FIVE)[0].shape == (5, 32, side, 3)


# --------------------------------------------------------------------------- what a header promises


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_a_cut_clip_is_named_and_never_a_shorter_one(
    clips: Path, tmp_path: Path, kind: Kind
) -> None:
    data = (clips / kind.name).read_bytes()
    assert clip_sizes.promised(clips / kind.name) == len(data)
    cut = tmp_path / f"cut_{kind.name}"
    for left in (0, 1, 10, len(data) // 10, len(data) // 2, len(data) * 9 // 10, len(data) - 1):
        if kind.name.endswith(".ts") and left % 188 == 0 and left:
            left += 1  # of whole packets nothing tells that there were more
        cut.write_bytes(data[:left])
        for read in (lambda: frames.load(cut, FIVE), lambda: frames.times(cut, FIVE)):
            with pytest.raises(WorkbookError, match=cut.name) as told:
                read()
            assert "\n" not in str(told.value)


def test_a_phone_s_trailer_and_a_live_recording_are_whole(clips: Path, tmp_path: Path) -> None:
    trailed = tmp_path / "trailed.mp4"
    trailed.write_bytes((clips / "h264.mp4").read_bytes() + b"\0\0\0\x20SEFH" + bytes(90))
    assert len(frames.load(trailed, EVERY)[0]) == 20
    assert len(frames.load(clips / "vp8_live.webm", EVERY)[0]) == 20


@pytest.mark.parametrize(
    "name", ["h264_one_group.mp4", "h264_moov_first.mp4", "hevc.mp4", "mpeg4.avi", "vp9.webm"]
)
def test_damage_that_a_decoder_would_conceal_is_named(
    clips: Path, tmp_path: Path, name: str
) -> None:
    data = bytearray((clips / name).read_bytes())
    with av.open(str(clips / name)) as container:
        packet = [p for p in container.demux(video=0) if p.size][3]
    data[packet.pos + packet.size // 4 : packet.pos + packet.size] = bytes(
        packet.size - packet.size // 4
    )
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(WorkbookError, match=rf"{name}.*damaged"):
        frames.load(path, EVERY)


def test_frames_before_a_damage_are_still_read(clips: Path, tmp_path: Path) -> None:
    data = bytearray((clips / "h264.mp4").read_bytes())
    with av.open(str(clips / "h264.mp4")) as container:
        last = [p for p in container.demux(video=0) if p.size][-1]
    data[last.pos + 6 : last.pos + last.size] = bytes(last.size - 6)
    path = tmp_path / "end.mp4"
    path.write_bytes(data)
    assert numbers(frames.load(path, Frames(2, 0))[0]) == [0, 10]


def test_what_is_no_video_and_what_has_an_unknown_codec_say_so(clips: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard.mp4"
    with av.open(str(heard), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        quiet = av.AudioFrame.from_ndarray(
            np.zeros((1, 44100), np.float32), format="fltp", layout="mono"
        )
        quiet.sample_rate = 44100
        container.mux([*stream.encode(quiet), *stream.encode()])
    with pytest.raises(WorkbookError, match=r"heard\.mp4 holds no video, only audio"):
        frames.load(heard, FIVE)
    foreign = tmp_path / "foreign.mp4"
    foreign.write_bytes((clips / "h264.mp4").read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(
        WorkbookError, match=r"codec.*zzz1.*Re-encode it: ffmpeg -i 'foreign.mp4' -c:v libx264"
    ) as told:
        frames.load(foreign, FIVE)
    assert "damaged" not in str(told.value)


# ----------------------------------------------------------------------------- as a player shows it


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "vp8.webm", "h264.flv", "mpeg2.ts"])
def test_frames_of_an_uneven_clock_have_the_times_at_which_they_are_shown(
    tmp_path: Path, name: str
) -> None:
    ticks = [k + 5 * (k // 4) for k in range(20)]
    path = write(tmp_path, BY_NAME[name], ticks=ticks)
    rate = BY_NAME[name].rate
    pixels, about = frames.load(path, FIVE)
    given = [ticks[k] / rate for k in numbers(pixels)]
    assert frames.times(path, FIVE) == pytest.approx(given, abs=0.002)
    assert about.timestamps == pytest.approx(given, abs=0.002)


def test_sound_that_begins_first_and_covers_don_t_count(tmp_path: Path) -> None:
    ticks = [k + 5 for k in range(20)]
    path = write(tmp_path, BY_NAME["h264.mp4"], ticks=ticks, sound=2.0, cover=True)
    assert frames.load(path, FIVE)[0].shape == (5, 48, 64, 3)
    assert frames.times(path, EVERY) == pytest.approx([k / 10 for k in ticks], abs=0.03)


def test_frames_that_an_edit_list_hides_are_not_given(tmp_path: Path) -> None:
    path = write(tmp_path, BY_NAME["h264_one_group.mp4"], ticks=list(range(-6, 14)))
    with av.open(str(path)) as container:
        expected = numbers([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    pixels, _ = frames.load(path, EVERY)
    assert numbers(pixels) == expected
    assert len(frames.times(path, EVERY)) == len(expected)


@pytest.mark.parametrize(
    ("degrees", "across", "down"),
    [
        (90, False, False),
        (180, False, False),
        (-90, False, False),
        (0, True, False),
        (0, False, True),
        (90, True, False),
    ],
)
def test_turned_and_mirrored_clips_stand_upright(
    tmp_path: Path, degrees: float, across: bool, down: bool
) -> None:
    path = write(tmp_path, BY_NAME["h264.mp4"], turned=(degrees, across, down))
    with av.open(str(path)) as container:
        flat = next(container.decode(video=0)).to_ndarray(format="rgb24")
    # The file's matrix turns by so many degrees against the clock, then mirrors.
    expected = np.rot90(flat, degrees // 90)
    expected = expected[:, ::-1] if across else expected[::-1] if down else expected
    found = frames.load(path, FIVE)[0][0]
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "aspect", "wide"),
    [
        ("h264.mp4", Fraction(16, 11), 93),
        ("h264.mkv", Fraction(8, 9), 57),
        ("hevc.mp4", Fraction(16, 9), 114),
    ],
)
def test_pixels_become_square(tmp_path: Path, name: str, aspect: Fraction, wide: int) -> None:
    path = write(tmp_path, BY_NAME[name], aspect=aspect)
    assert frames.load(path, FIVE)[0].shape == (5, 48, wide, 3)


# ---------------------------------------------------------------------------------------- the cache


@pytest.mark.parametrize("family", ["Qwen2VLVideoProcessor", "Qwen3VLVideoProcessor"])
def test_the_budget_is_the_processor_s_own_rule(family: str) -> None:
    from spacer_utils import training  # noqa: F401, I001  (makes torchvision importable)
    import transformers
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import smart_resize as of_each
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as of_all

    processor = getattr(transformers, family)()
    factor, least = processor.patch_size * processor.merge_size, processor.size["shortest_edge"]
    whole = processor.temporal_patch_size if family.startswith("Qwen3") else 0
    budget, rng = frames.Budget(factor, least, 100_352, whole), np.random.default_rng(0)
    for _ in range(effort(200, 2000)):
        width, height, count = (int(n) for n in rng.integers((60, 60, 2), (4000, 2200, 40)))
        if whole:
            most = 100_352 * count
            high, wide = of_all(count, height, width, whole, factor, min(least, most), most)
        else:
            high, wide = of_each(height, width, factor, min(least, 100_352), 100_352)
        given = (wide, high) if wide <= width and high <= height else (width, height)
        assert budget.size(width, height, count) == given


def test_large_frames_are_kept_at_the_model_s_size(tmp_path: Path) -> None:
    path = write(tmp_path, Kind("large.mp4", "libx264", size=(1280, 720)), 4)
    budget = frames.Budget(28, 3136, 100_352)
    pixels, about = frames.load(path, Frames(2, 0), tmp_path / "cache", budget)
    assert pixels.shape == (2, 224, 420, 3)
    assert (about.width, about.height) == (420, 224)
    assert sum(p.stat().st_size for p in (tmp_path / "cache").iterdir()) < 2 * 224 * 420 * 3 + 1000
    assert frames.load(path, Frames(2, 0), tmp_path / "cache")[0].shape == (2, 720, 1280, 3)


def test_the_cache_lets_go_of_what_was_used_longest_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cache = Frames(4, 32), tmp_path / "cache"
    one = 4 * 32 * 32 * 3 + 500
    monkeypatch.setattr(frame_cache, "LIMIT", 3 * one)
    paths = []
    for k in range(4):
        paths.append(files.write_atomic(tmp_path / f"{k}.mp4", mp4.encode(pictures(4 + k), 2.0)))
    frames.decodes.clear()
    (cache / "x").mkdir(parents=True)
    (cache / "foreign.txt").write_text("mine")
    for path in paths[:3]:
        frames.load(path, asked, cache)
    for age, file in enumerate(sorted(cache.glob("*.npy"), key=os.path.getmtime)):
        os.utime(file, (age + 1, age + 1))
    held, _ = frames.load(paths[0], asked, cache)  # used again: now the youngest
    frames.load(paths[3], asked, cache)
    for path in (paths[0], paths[2], paths[3]):
        frames.load(path, asked, cache)
    assert frames.decodes == {f"{k}.mp4": 1 for k in range(4)}
    frames.load(paths[1], asked, cache)
    assert frames.decodes["1.mp4"] == 2
    assert sum(p.stat().st_size for p in cache.glob("*.npy")) <= 3 * one
    assert (cache / "foreign.txt").read_text() == "mine"
    assert len(np.array(held)) == 4


def test_two_processes_share_a_small_cache(tmp_path: Path) -> None:
    for k in range(6):
        files.write_atomic(tmp_path / f"{k}.mp4", mp4.encode(pictures(4 + k), 2.0))
    code = (
        "import sys, numpy as np; from pathlib import Path; from spacer_utils.core import frame_cache, frames\n"
        "from spacer_utils.core.profiles import Frames\n"
        "frame_cache.LIMIT = 40_000; root = Path(sys.argv[1])\n"
        "for k in np.random.default_rng(int(sys.argv[2])).integers(0, 6, 150):\n"
        "    pixels, _ = frames.load(root / f'{k}.mp4', Frames(4, 32), root / 'cache')\n"
        "    assert np.array_equal(pixels, frames.load(root / f'{k}.mp4', Frames(4, 32))[0])\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(tmp_path), str(k)])
        for k in range(2)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]


def test_a_cache_that_can_t_be_written_costs_only_a_warning(tmp_path: Path) -> None:
    path = files.write_atomic(tmp_path / "a.mp4", mp4.encode(pictures(4), 2.0))
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="decoded frames are not kept: could not write"):
        assert len(frames.load(path, FIVE, tmp_path / "file")[0]) == 4


# ---------------------------------------------------------------------------------- folders of data


def snapshot(root: Path) -> Path:
    """A hub's cache of a data set as it lies on disk: files are links to blobs."""
    repository = root / "hub" / "datasets--lab--rooms"
    folder = repository / "snapshots" / "0123abcd"
    for name in ("train.jsonl", "videos/a.mp4"):
        blob = files.write_atomic(
            repository / "blobs" / name.replace("/", "_").encode().hex(), name
        )
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(os.path.relpath(blob, (folder / name).parent))
    return folder


def test_links_of_a_hub_s_snapshot_are_followed(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    found = files.inside(folder, "videos/a.mp4")
    assert found.read_text() == "videos/a.mp4"
    assert found.name == "a.mp4"
    assert files.inside(folder / "videos", "a.mp4").read_text() == "videos/a.mp4"
    (tmp_path / "data").symlink_to(folder)
    assert files.inside(tmp_path / "data", "videos/a.mp4").read_text() == "videos/a.mp4"


def test_links_that_leave_folder_and_repository_are_refused(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    secret = files.write_atomic(tmp_path / "secret", "x")
    other = files.write_atomic(tmp_path / "hub" / "datasets--lab--other" / "blobs" / "b", "x")
    (folder / "out").symlink_to(secret)
    (folder / "neighbour").symlink_to(other)
    (folder / "far").symlink_to(tmp_path)
    for path in ("out", "neighbour", "far/secret", "../../blobs/x", "videos/../../../blobs/x"):
        with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
            files.inside(folder, path)
    plain = tmp_path / "snapshots" / "0123abcd"  # no repository of a hub
    files.write_atomic(plain / "a.txt", "x")
    (plain / "b").symlink_to(secret)
    with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
        files.inside(plain, "b")


def test_links_within_a_folder_are_followed(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "data" / "store" / "a.mp4", "x")
    (tmp_path / "data" / "videos").symlink_to("store")
    assert files.inside(tmp_path / "data", "videos/a.mp4").read_text() == "x"


def test_a_folder_of_data_that_can_only_be_read_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spacer_utils.analysis.bench import prompts_of
    from spacer_utils.benchmarks.scoring.load import load, synthetic
    from spacer_utils.core import profiles
    from spacer_utils.core.registry import BENCHMARKS

    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path / "outputs"))
    profile = profiles.get("smoke")
    for name in BENCHMARKS.names():
        folder = synthetic(name, tmp_path / name)
        shutil.rmtree(folder / "embedded", ignore_errors=True)
        before = sorted(folder.rglob("*"))
        for item in prompts_of(
            name, load(name, folder), folder, "official", None, profile.outputs / "embedded"
        ):
            assert all(Path(path).is_file() for _, path in item.media)
        assert sorted(folder.rglob("*")) == before


# ----------------------------------------------------------------------------------------- at large


def test_damaged_clips_are_refused_or_read_as_ffmpeg_reads_them(tmp_path: Path) -> None:
    found = fuzz_clips.run(tmp_path, effort(28, 112), seed=3)
    assert not fuzz_clips.bad(found)
    assert {case[2] for case in found} == {"refused", "read"}


@pytest.mark.parametrize("number", [47, 132, 328, 690, 720, 747])
def test_a_picture_that_a_decoder_leaves_half_done_is_no_picture(
    tmp_path: Path, number: int
) -> None:
    kind = KINDS[number % len(KINDS)]
    assert kind.codec == "libvpx"
    rng = np.random.default_rng([1, number])
    damage = fuzz_clips.DAMAGES[int(rng.integers(0, len(fuzz_clips.DAMAGES)))]
    path = write(tmp_path, kind)
    path.write_bytes(fuzz_clips.damaged(path.read_bytes(), damage, rng))
    with pytest.raises(WorkbookError, match="damaged"):
        frames.load(path, FIVE)
