"""A published set of rows in place of generated rooms: what is read, what is left out, what is
said."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from kit.published_kit import general_rows, pack, row, small_set, touch_media, write_rows

from spacer_utils.core import folders, profiles
from spacer_utils.core.files import inside, read_jsonl
from spacer_utils.core.rows import load
from spacer_utils.core.types import WorkbookError
from spacer_utils.dataset import published_rows, wordings
from spacer_utils.dataset.published_rows import read, take

SMOKE = profiles.get("smoke")


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an outputs folder of its own."""
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path / "outputs"))
    return SMOKE.outputs / "data"


def test_rows_of_rooms_media_and_texts_become_a_dataset(tmp_path: Path, out: Path) -> None:
    folder = small_set(tmp_path / "SpaceR", rooms=8)
    report = take(SMOKE, str(folder), out, seed=0)
    train, heldout = load(out / "train.jsonl"), load(out / "heldout.jsonl")
    assert len(train) + len(heldout) == report["published"]["used"] == 11
    assert not {s.scene_id for s in train} & {s.scene_id for s in heldout}
    for s in [*train, *heldout]:
        assert not s.path or inside(out, s.path).is_file()
    types = {s.question_type for s in [*train, *heldout]}
    assert types == {
        "object_counting",
        "general_video_choice",
        "general_free_form",
        "general_numerical",
    }
    table = {(r["source"], r["data type"]): r["used"] for r in report["published"]["by source"]}
    assert table == {
        ("SR_dataset", "video"): 8,
        ("CLEVRER", "video"): 1,
        ("ChartQA", "image"): 1,
        ("Math", "text"): 1,
    }
    assert json.loads((out / "audit.json").read_text())["published"]["name"] == "SpaceR"
    assert {r["medium"] for r in report["published"]["unreadable"]}  # they are no media at all


def test_the_same_set_gives_the_same_bytes_and_another_seed_another_split(
    tmp_path: Path, out: Path
) -> None:
    folder = small_set(tmp_path / "set", rooms=12)
    held = []
    for seed in (0, 0, 1):
        take(SMOKE, str(folder), out, seed=seed)
        held.append((out / "heldout.jsonl").read_bytes())
    assert held[0] == held[1] != held[2]


def test_a_json_list_parquet_shards_and_a_file_for_evaluation_are_read_together(
    tmp_path: Path, out: Path
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder = tmp_path / "Video-R1-data"
    rows = [row(k) for k in range(1, 7)]
    (folder / "data").mkdir(parents=True)
    (folder / "Video-R1-260k.json").write_text(json.dumps(rows[:2]))
    for k in range(2):
        some = pa.Table.from_pylist(rows[2 + k : 3 + k])
        parquet.write_table(some, folder / f"data/train-{k:05d}-of-00002.parquet")
    write_rows(folder / "test.jsonl", rows[4:])
    touch_media(folder, rows)
    take(SMOKE, str(folder), out)
    assert len(load(out / "train.jsonl")) == 4
    assert [s.path for s in load(out / "heldout.jsonl")] == [
        f"media/SR-91k/scannet/train/scene9{k:03d}_00.mp4" for k in (5, 6)
    ]


def test_maps_beside_the_rows_come_along(tmp_path: Path, out: Path) -> None:
    folder = small_set(tmp_path / "set")
    maps = [
        {"video_id": f"scene9{k:03d}_00", "cognitive_map": {"chair": [[k, 1]]}} for k in range(1, 6)
    ]
    write_rows(folder / "cognitive_map.jsonl", maps)
    report = take(SMOKE, str(folder), out)
    assert report["published"]["rooms with a map"] == 5
    samples = [*load(out / "train.jsonl"), *load(out / "heldout.jsonl")]
    drawn = {s.path: s.cognitive_map for s in samples if s.cognitive_map}
    assert drawn["media/SpaceR-151k/SR-91k/scannet/train/scene9002_00.mp4"] == {"chair": [[2, 1]]}
    assert len(drawn) == 5


def test_what_can_not_be_used_is_left_out_counted_and_named(tmp_path: Path, out: Path) -> None:
    folder = small_set(tmp_path / "set", rooms=8)
    rows = read_jsonl(folder / "SpaceR-151k.jsonl")
    broken = row(90, problem_type="riddle")
    twice = {**rows[0], "problem_id": 91}
    leaked = row(92, path="./SR-91k/scannet/train/scene0025_01.mp4")
    outside = row(93, path="../../secret.mp4")
    touch_media(folder / "SpaceR-151k", [leaked])
    write_rows(folder / "SpaceR-151k.jsonl", [*rows, broken, twice, leaked, outside])
    (folder / "SpaceR-151k/SR-91k/scannet/train/scene9003_00.mp4").unlink()
    report = take(SMOKE, str(folder), out)
    left = {r["left out"]: (r["rows"], r["first"]) for r in report["published"]["left out"]}
    assert left["media not there"] == (1, "SR-91k/scannet/train/scene9003_00.mp4")
    assert left["rooms of VSI-Bench"] == (1, "SR-91k/scannet/train/scene0025_01.mp4")
    assert left["a second time in the set"][0] == 1
    assert left["broken"][0] == 2
    assert "line 12: problem_type: 'riddle'" in left["broken"][1]
    assert report["published"]["used"] == 10
    assert report["published"]["rows"] == 15


def refused(source: Path | str, out: Path) -> str:
    """The message of a set that can't be taken, in one line; what stood there still stands."""
    before = sorted(p.name for p in out.glob("*"))
    with pytest.raises(WorkbookError) as caught:
        take(SMOKE, str(source), out)
    assert sorted(p.name for p in out.glob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_absent_media_and_packed_archives_are_named_with_the_command(
    tmp_path: Path, out: Path
) -> None:
    take(SMOKE, str(small_set(tmp_path / "whole")), out)
    rows = [row(k) for k in range(1, 5)]
    write_rows(tmp_path / "bare/SR-91k.jsonl", rows)
    assert "none of its 4 rows can be used: 4 media not there (SR-91k/scannet" in refused(
        tmp_path / "bare", out
    )
    packed = tmp_path / "packed"
    write_rows(packed / "SpaceR-151k.jsonl", rows)
    touch_media(packed / "SpaceR-151k", rows)
    pack(packed, "SpaceR-151k", pieces=3)
    said = refused(packed, out)
    assert "not unpacked: SpaceR-151k.part in 3 pieces: cd . && cat SpaceR-151k.part* |" in said
    assert len(load(out / "train.jsonl")) > 4  # the set that was there is still there


def test_an_archive_that_was_unpacked_is_not_named(tmp_path: Path) -> None:
    rows = [row(k) for k in range(1, 5)]
    write_rows(tmp_path / "SR-91k.jsonl", rows)
    touch_media(tmp_path / "videos", rows)
    pack(tmp_path, "videos")
    assert read_packed(tmp_path) == ["videos.tar.gz: cd . && tar -xf videos.tar.gz"]
    touch_media(tmp_path, rows)
    assert read(str(tmp_path)).packed == []


def read_packed(folder: Path) -> list[str]:
    from spacer_utils.core.downloads import still_packed

    return still_packed(folder)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archives_of_any_content_are_named_and_end_nothing(tmp_path: Path, ending: str) -> None:
    kind = {"tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar"}.get(ending, ending)
    for name in ("clip.mp4", "l" * 200 + "/" + "o" * 200):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).write_bytes(bytes(range(256)) * 40)
    made = Path(shutil.make_archive(str(tmp_path / "made"), kind, tmp_path / "media"))
    folder, good = tmp_path / "set", made.read_bytes()
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(60):
        bad = bytearray(good[: int(rng.integers(1, len(good)))] if k % 2 else good)
        for at in rng.integers(0, len(bad), 5 if k else 0):
            bad[at] ^= int(rng.integers(1, 256))
        (folder / f"set.{ending}").write_bytes(bytes(bad))
        assert len(read_packed(folder)) <= 1
    with tarfile.open(folder / "long.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("n" * 5000))
    assert any(line.startswith("long.tar") for line in read_packed(folder))


def test_a_wrong_name_and_a_missing_shard_are_one_line(tmp_path: Path, out: Path) -> None:
    assert "no such folder, and it is no hub id" in refused(tmp_path / "nowhere/at/all", out)
    said = refused("nobody/no-such-rows", out)
    assert "nobody/no-such-rows can't be had from the hub" in said
    assert "hf download nobody/no-such-rows --repo-type dataset" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no file of rows" in refused(empty, out)
    (empty / "train-00001-of-00002.parquet").write_bytes(b"x")
    assert "lacks train-00000-of-00002.parquet (1 of 2 shards are there)" in refused(empty, out)


def test_everything_about_one_medium_is_refused(tmp_path: Path, out: Path) -> None:
    rows = [row(1), row(1, problem="What is the size of this room (in square meters)?")]
    write_rows(tmp_path / "one/SR-91k.jsonl", rows)
    touch_media(tmp_path / "one", rows)
    assert "are about one medium" in refused(tmp_path / "one", out)


def test_a_generated_set_may_follow_and_the_other_way_round(tmp_path: Path, out: Path) -> None:
    from spacer_utils.dataset import build

    take(SMOKE, str(small_set(tmp_path / "set")), out)
    build._claim(out, out / build.WORK / "work")  # a build may replace it
    record = folders.Record.of(out)
    assert record.inputs is not None
    assert record.inputs.kind == build.PUBLISHED
    assert record.inputs.settings["source"] == str(tmp_path / "set")


def test_only_our_own_link_leads_out_of_a_dataset(tmp_path: Path, out: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.mp4").write_bytes(b"x")
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    (downloaded / "media").symlink_to(elsewhere)
    with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
        inside(downloaded, "media/a.mp4")
    out.mkdir(parents=True)
    (out / "media").symlink_to(elsewhere)
    assert inside(out, "media/a.mp4").is_file()
    (elsewhere / "up").symlink_to(tmp_path)
    with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
        inside(out, "media/up/elsewhere/../x.mp4")


@pytest.mark.parametrize(
    ("problem", "options", "kind", "categories"),
    [
        (
            "Measuring from the closest point of each object, what is the direct distance between the tv and the "
            "bed (in meters)?",
            (),
            "object_abs_distance",
            ("tv", "bed"),
        ),
        (
            "What is the length of the longest dimension (length, width, or height) of the sofa, measured in "
            "centimeters?",
            (),
            "object_size_estimation",
            ("sofa",),
        ),
        (
            "Measuring from the closest point of each object, which of the following objects is the closest to the "
            "door?",
            ("A. tv", "B. bed"),
            "object_rel_distance",
            ("door", "tv", "bed"),
        ),
        (
            "If I am standing by the tv and facing the bed, is the lamp to the left or the right of the bed?",
            ("A. left", "B. right"),
            "object_rel_direction_easy",
            ("tv", "bed", "lamp"),
        ),
        (
            "What will be the first-time appearance order of the following categories in the video: tv, trash bin, "
            "bed, lamp?",
            ("A. tv, trash bin, bed, lamp", "B. bed, tv, lamp, trash bin"),
            "obj_appearance_order",
            ("tv", "trash bin", "bed", "lamp"),
        ),
        ("What colour is the sofa?", (), wordings.OTHER, ()),
    ],
)
def test_words_tell_the_question_type(
    problem: str, options: tuple[str, ...], kind: str, categories: tuple[str, ...]
) -> None:
    from spacer_utils.core.rows import sample_of

    given = row(1, problem=problem, options=list(options))
    given |= (
        {"problem_type": "multiple choice", "solution": "<answer>A</answer>"} if options else {}
    )
    found = wordings.named(sample_of(given))
    assert (found.question_type, found.categories) == (kind, categories)


def test_general_rows_are_about_no_room() -> None:
    from spacer_utils.core.rows import is_general, sample_of

    assert all(is_general(wordings.named(sample_of(r)).question_type) for r in general_rows(0))
    assert published_rows._space(sample_of(row(7))) == "scannet-scene9007"


def test_files_for_evaluation_keep_their_media_from_training(tmp_path: Path, out: Path) -> None:
    folder = small_set(tmp_path / "set", rooms=6)
    again = row(1, problem="What is the size of this room (in square meters)?")
    write_rows(folder / "test.jsonl", [again])
    report = take(SMOKE, str(folder), out)
    left = {r["left out"]: r["rows"] for r in report["published"]["left out"]}
    assert left == {published_rows.EVALUATED: 1}
    assert [s.problem for s in load(out / "heldout.jsonl")] == [again["problem"]]
    assert not any("scene9001" in s.path for s in load(out / "train.jsonl"))
    only = tmp_path / "only"
    write_rows(only / "validation.jsonl", [row(k) for k in range(1, 5)])
    touch_media(only, [row(k) for k in range(1, 5)])
    take(SMOKE, str(only), out)
    assert len(load(out / "train.jsonl")) == 3


def test_a_type_may_have_letters_and_numbers_and_odd_golds(tmp_path: Path, out: Path) -> None:
    rows = [row(k, solution=f"<answer>about {k} chairs</answer>") for k in range(1, 9)]
    letters = {"problem_type": "multiple choice", "options": ["A. 1", "B. 2"]}
    rows += [row(k, solution="<answer>B</answer>", **letters) for k in range(9, 15)]
    write_rows(tmp_path / "set/SR-91k.jsonl", rows)
    touch_media(tmp_path / "set", rows)
    report = take(SMOKE, str(tmp_path / "set"), out)
    assert {r["question_type"] for r in report["shortcuts"]} == {
        "object_counting",
        "object_counting, as numbers",
    }


@pytest.mark.parametrize(("rooms", "held"), [(2, 1), (4, 1), (6, 2), (12, 4), (400, 4)])
def test_a_few_rooms_of_each_kind_are_held_out(rooms: int, held: int) -> None:
    from dataclasses import replace

    from spacer_utils.core.rows import sample_of

    asked = [wordings.named(sample_of(row(k % 900))) for k in range(rooms)]
    asked = [replace(s, scene_id=f"room {k}") for k, s in enumerate(asked) for _ in range(3)]
    general = [replace(wordings.named(sample_of(general_rows(0)[0])), scene_id="a clip")]
    train, heldout = published_rows._split([*asked, *general], 12, 0)
    assert len({s.scene_id for s in heldout}) == held
    assert "a clip" in {s.scene_id for s in train}  # the only one of its kind
