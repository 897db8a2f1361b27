"""The dataset on disk: same bytes from one or two processes and after a kill; tolerant and strict
loading; media; damage."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from kit.rooms import clip_of, random_room, room, write_layouts
from PIL import Image

from spacer_utils.__main__ import main
from spacer_utils.core import folders, profiles, types
from spacer_utils.core.files import iterate_jsonl
from spacer_utils.core.profiles import Profile
from spacer_utils.core.registry import QUESTIONS
from spacer_utils.core.types import BadRow, Box, MissingArtifact, Sample, WorkbookError
from spacer_utils.dataset import build, clips, samples, signs, workers
from spacer_utils.questions.view import Candidate, View
from spacer_utils.render import film as video
from spacer_utils.scenes import procedural

pytestmark = pytest.mark.slow
SMOKE = profiles.get("smoke")
TINY = SMOKE.with_overrides(
    train_rooms=4, heldout_rooms=2, general_rows=20, width=64, height=48, clip_frames=8
)


def tree(folder: Path) -> dict[str, str]:
    """Relative path -> digest of every file that a user gets."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and build.WORK not in p.parts
    }


def put(path: Path, text: str = "mine") -> Path:
    """A file of somebody's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    build.build(TINY, out, seed=1)
    return out


def test_writes_all_that_the_card_promises(built: Path) -> None:
    assert {"train.jsonl", "heldout.jsonl", "cognitive_map.jsonl", "README.md", "audit.json"} <= {
        p.name for p in built.iterdir()
    }
    rows = build.load(built / "train.jsonl")
    assert {s.problem_type for s in rows} == set(types.PROBLEM_TYPES)
    assert {s.data_type for s in rows} == {"image", "video"}
    for s in rows:
        assert (built / s.path).is_file()
        assert (s.cognitive_map is None) == s.question_type.startswith("general_")
    filmed = list((built / "videos").glob("procedural-*.json"))
    assert len(filmed) >= 6
    assert all(video.read_clip(p).num_frames for p in filmed)


def test_the_map_lists_only_what_is_seen(built: Path) -> None:
    for row in map(json.loads, (built / "cognitive_map.jsonl").read_text().splitlines()):
        view = samples.view_of(video.read_clip(built / "videos" / f"{row['video_id']}.json"), TINY)
        assert (
            set(row["cognitive_map"]) == {o.category for o in view.seen} == set(row["object_list"])
        )
        assert sum(map(len, row["cognitive_map"].values())) == len(view.seen)


def test_every_file_loads_with_datasets(built: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    for name in ("train", "heldout", "cognitive_map"):
        rows = load_dataset(
            "json", data_files=str(built / f"{name}.jsonl"), split="train", cache_dir=str(tmp_path)
        )
        assert len(rows) == len((built / f"{name}.jsonl").read_text().splitlines())


@pytest.mark.slow
def test_a_killed_build_goes_on_and_a_second_one_films_nothing(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filmed: list[str] = []
    real = video.film

    def film(scene: Any, *rest: Any) -> Any:
        if len(filmed) == 3:
            raise KeyboardInterrupt
        filmed.append(scene.scene_id)
        return real(scene, *rest)

    monkeypatch.setattr(clips, "film", film)
    with pytest.raises(KeyboardInterrupt):
        build.build(TINY, tmp_path, seed=1)
    assert not (tmp_path / "train.jsonl").exists()
    monkeypatch.setattr(
        clips, "film", lambda scene, *rest: filmed.append(scene.scene_id) or real(scene, *rest)
    )
    build.build(TINY, tmp_path, seed=1)
    assert len(filmed) == len(set(filmed)) == 6
    build.build(TINY, tmp_path, seed=1)
    assert len(filmed) == 6
    assert tree(tmp_path) == tree(built)


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(p.read_bytes()[::-1])],
    ids=["lost", "emptied", "scrambled"],
)
def test_what_is_lost_or_damaged_is_made_again(
    built: Path, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    out = Path(shutil.copytree(built, tmp_path / "data"))
    work = next((out / build.WORK).iterdir())
    for k, pattern in enumerate(
        (
            "videos/procedural-*-easy.mp4",
            "videos/procedural-*-easy.json",
            "images/*.jpg",
            "videos/*-backwards.mp4",
            ".work/*/train-*.json",
        )
    ):
        damage(sorted(out.glob(pattern))[k % 2])
    assert tree(out) != tree(built)
    build.build(TINY, out, seed=1)
    assert list((out / build.WORK).iterdir()) == [work]
    assert tree(out) == tree(built)


@pytest.mark.slow
def test_what_earlier_builds_made_goes_and_nothing_else(built: Path, tmp_path: Path) -> None:
    build.build(TINY.with_overrides(width=80), tmp_path, seed=1)
    clip = next((tmp_path / "videos").glob("*.mp4"))
    clip.with_name(f".{clip.name}.ab1_xyz9.tmp").write_text("of a killed build")
    foreign = [
        put(tmp_path / name)
        for name in ("videos/holiday.mp4", "images/photo.jpg", ".work/notes/diary.txt")
    ]
    before = tree(tmp_path)
    with pytest.raises(
        WorkbookError,
        match=r"a finished run of dataset, with other inputs: profile\.data\.width: 80 -> 64\. ",
    ):
        build.build(TINY, tmp_path, seed=1)
    assert tree(tmp_path) == before
    build.build(TINY, tmp_path, seed=1, overwrite=True)
    assert [path.read_text() for path in foreign] == ["mine"] * 3
    for path in foreign:
        path.unlink()
    assert tree(tmp_path) == tree(built)


@pytest.mark.parametrize(
    "name",
    [
        "videos/holiday.mp4",
        "images/photo.jpg",
        ".work/notes/diary.txt",
        "real_layouts.jsonl",
        "README.md",
    ],
)
def test_a_folder_that_no_build_has_made_is_refused(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name)
    with pytest.raises(
        WorkbookError,
        match=f"{tmp_path} holds files that no build of a dataset has made.*empty folder",
    ):
        build.build(TINY, tmp_path, seed=1)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    assert path.read_text() == "mine"


def test_rows_of_others_in_a_dataset_stay(built: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(built, tmp_path / "data"))
    mine = put(out / "real_layouts.jsonl")
    with pytest.raises(WorkbookError, match=r"real_layouts\.jsonl"):
        build.build(TINY, out, seed=1, overwrite=True)
    assert mine.read_text() == "mine"
    mine.unlink()
    with folders.held(out), pytest.raises(WorkbookError, match="another run"):
        build.build(TINY, out, seed=1)


@pytest.mark.parametrize(
    "name",
    [
        "dataset/signs.py",
        "core/types.py",
        "core/mp4.py",
        "render/shapes.py",
        "assets/layout_statistics.json",
    ],
)
def test_a_fingerprint_covers_what_data_are_made_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(
        PROJECT / "spacer_utils",
        tmp_path / "spacer_utils",
        ignore=shutil.ignore_patterns("nano_base"),
    )
    monkeypatch.setattr(profiles, "PROJECT", tmp_path)
    before = build._fingerprint(TINY, 1)
    with open(tmp_path / "spacer_utils" / name, "a") as file:
        file.write("\n")
    assert build._fingerprint(TINY, 1) != before


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(built: Path, tmp_path: Path) -> None:
    build.build(TINY, tmp_path, seed=1, workers=2)
    assert tree(tmp_path) == tree(built)


@pytest.mark.slow
def test_two_ray_workers_write_the_same_bytes(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is an optional extra")
    build.build(TINY, tmp_path, seed=1, workers=2, engine="ray")
    assert tree(tmp_path) == tree(built)
    with pytest.raises(
        WorkbookError, match=r"^unknown profile 'no'"
    ):  # a worker's error is that of one process
        workers.run(profiles.get, ["smoke", "no"], 2, "ray")


def test_a_ray_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("localhost", 0))
        address = f"localhost:{nobody.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(
            WorkbookError, match=f"RAY_ADDRESS={address} can't be reached: .*refused"
        ):
            workers._connect(None, 2)


@pytest.fixture
def one_more_type() -> Iterator[str]:
    @QUESTIONS.register("object_colour", problem_type="free-form")
    def object_colour(view: View, rng: np.random.Generator, wording: str) -> list[Candidate]:
        """A type of somebody's own."""
        return [
            Candidate(f"What colour is the {o.category}?", "free-form", "red", (o.category,))
            for o in view.singles
        ]

    yield "object_colour"
    del QUESTIONS._entries["object_colour"]


@pytest.mark.slow
def test_another_question_type_changes_no_row(
    built: Path, tmp_path: Path, one_more_type: str
) -> None:
    build.build(TINY, tmp_path, seed=1)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert any(r["question_type"] == one_more_type for r in rows)
    old = [json.loads(line) for line in (built / "train.jsonl").read_text().splitlines()]
    assert [r for r in rows if r["question_type"] != one_more_type] == old


@pytest.mark.slow
def test_a_room_that_fails_is_named_and_the_others_go_on(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clips.scene_of

    def scene_of(job: clips.Job) -> Any:
        scene = real(job)
        if job.split == "train" and job.index == 1:
            bad = replace(scene.objects[0], category="flying carpet")
            return replace(scene, objects=(bad, *scene.objects[1:]))
        return scene

    monkeypatch.setattr(clips, "scene_of", scene_of)
    found = build.build(TINY, tmp_path, seed=1)
    assert len(found["problems"]) == 1
    assert "train room 1" in found["problems"][0]
    assert "flying carpet" in found["problems"][0]
    assert found["splits"]["train"]["scenes"] == 3
    assert "flying carpet" in (tmp_path / "README.md").read_text()
    monkeypatch.undo()
    build.build(TINY, tmp_path, seed=1)
    assert tree(tmp_path) == tree(built), "it is tried again"


@pytest.mark.slow
def test_other_layouts_are_filmed_and_no_other_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = {f"scene{k:04d}_00": random_room(k) for k in (11, 15)}
    moved = rooms | {"scene0015_00": random_room(16)}
    real, filmed, out = video.film, [], tmp_path / "data"
    monkeypatch.setattr(
        clips, "film", lambda scene, *rest: filmed.append(scene.scene_id) or real(scene, *rest)
    )
    with pytest.raises(WorkbookError, match="nowhere lacks arkitscenes_meta_info_val"):
        build.build(TINY, out, seed=1, real_layouts=tmp_path / "nowhere")
    assert not out.exists()
    build.build(TINY, out, seed=1)
    other = {"scene0025_00": random_room(25)}
    for layouts, new in ((rooms, rooms), (rooms, []), (moved, ["scene0015_00"]), (other, other)):
        filmed.clear()
        found = build.build(
            TINY,
            out,
            seed=1,
            real_layouts=write_layouts(tmp_path / "layouts", layouts),
            overwrite=True,
        )
        assert sorted(filmed) == [f"scannet-{name}" for name in new], (
            "rooms of other splits are filmed once"
        )
        assert found["problems"] == []
        names = {f"scannet-{name}" for name in layouts}
        assert {row["scene_id"] for _, row in iterate_jsonl(out / "real_layouts.jsonl")} == names
        assert {
            "-".join(p.stem.split("-")[:2]) for p in (out / "videos").glob("scannet-*.json")
        } == names


@pytest.mark.slow
def test_a_room_whose_name_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    layouts = write_layouts(
        tmp_path / "layouts", {"a/../../../evil": random_room(1), "scene0011_00": random_room(2)}
    )
    found = build.build(TINY, tmp_path / "data", seed=1, real_layouts=layouts)
    assert ["leaves the dataset's folder" in line for line in found["problems"]] == [True]
    assert {p.name for p in tmp_path.iterdir()} == {"data", "layouts"}
    assert found["splits"]["real_layouts"]["scenes"] == 1


def test_clips_without_true_answers_are_refused() -> None:
    clip = clip_of(random_room(0))
    first, second, *rest = clip.scene.objects
    twin = replace(second, instance_id=first.instance_id)
    broken = {
        "shares its id": replace(clip, scene=replace(clip.scene, objects=(first, twin, *rest))),
        "must be positive": replace(clip, scene=room([("bed", Box((1, 1, 1), (1, -1, 1)))])),
        "not finite": replace(clip, poses=(((float("nan"),) * 4,) * 4, *clip.poses[1:])),
    }
    samples.check(clip)
    for message, bad in broken.items():
        with pytest.raises(WorkbookError, match=message):
            samples.check(bad)


def test_an_unwritable_disk_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(WorkbookError, match="could not write"):
        build.build(TINY, tmp_path / "data", seed=1)


def test_rooms_take_turns() -> None:
    for k in range(16):
        counts = list(clips.planned_counts("train", 0, clips.room_number("train", 0, k)).values())
        singles, crowded = clips.TURNS[k % 4]
        assert counts.count(1) >= singles
        assert not crowded or max(counts) in clips.CROWDS


@pytest.mark.parametrize("difficulty", ["easy", "real"])
def test_the_rooms_of_a_dataset_have_the_profiles_difficulty(difficulty: str) -> None:
    profile = profiles.get("smoke").with_overrides(difficulty=difficulty)
    job = clips.Job("train", 1, 0, profile, "out", "work", 1)
    number = clips.room_number("train", 0, 1) if difficulty == "real" else 1
    assert clips.scene_of(job) == procedural.room("train", 0, number, difficulty=difficulty)


def test_the_paper_mix_has_its_size() -> None:
    mix = build.MIXES["paper"]
    general = {t: n for t, n in mix.items() if t.startswith("general_")}
    assert sum(mix.values()) - sum(general.values()) == 91315
    assert sum(general.values()) == 59995
    assert set(mix) <= set(QUESTIONS.names())


@pytest.mark.slow
def test_a_fixed_mix_shrinks_with_the_rooms_and_a_shortfall_is_told(tmp_path: Path) -> None:
    assert sum(build.mix_for("paper", 130).values()) == pytest.approx(15131, abs=10)
    found = build.build(TINY, tmp_path, seed=1, mix="paper", takes=2)
    wanted = build.mix_for("paper", 4)
    have = found["splits"]["train"]["question types"]
    assert [line for line in found["failures"] if "wanted" in line] == [
        f"train, {t}: {have.get(t, 0)} rows of {n} wanted"
        for t, n in wanted.items()
        if have.get(t, 0) < 0.99 * n
    ]
    assert any(have.get(t, 0) < n for t, n in wanted.items())
    assert (
        sum(
            row["checked"]
            for row in found["oracle"]
            if row["question_type"] == "general_regression"
        )
        > 0
    )
    assert not [line for line in found["failures"] if "oracle" in line]


def test_text_rows_carry_the_map_as_text() -> None:
    rows = samples.room_samples(clip_of(random_room(1)), TINY)
    told = samples.text_rows(rows)
    assert {s.data_type for s in told} == {"text"}
    assert all(s.path == "" and s.problem.startswith("Map: {'") for s in told)
    assert {s.question_type for s in told} < {s.question_type for s in rows}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--profile nosuch", "error: argument --profile: invalid choice: 'nosuch'"),
        ("--out /dev/null/x", "error: could not write /dev/null/x"),
        ("--scans {tmp}/nowhere", "error: "),
        ("--real-layouts {tmp}/nowhere", "error: real layouts: "),
        ("--rooms 0", "argument --rooms: 0 is less than 1"),
        ("--rooms -3", "argument --rooms: -3 is less than 1"),
        ("--rooms many", "argument --rooms: 'many' is not a whole number"),
        ("--workers 0", "argument --workers: 0 is less than 1"),
        ("--seed -1", "argument --seed: -1 is less than 0"),
        ("--set difficulty=hard", "error: unknown difficulty 'hard'"),
    ],
)
def test_the_command_tells_what_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, says: str
) -> None:
    arguments = [
        "data",
        "--profile",
        "smoke",
        "--out",
        str(tmp_path / "data"),
        *options.format(tmp=tmp_path).split(),
    ]
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("failures", "code", "says"),
    [([], 0, "all checks passed"), (["a leak"], 1, "failed check: a leak")],
)
def test_a_failed_check_fails_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failures: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr(
        build, "build", lambda *_, **__: {"splits": {"train": {"rows": 3}}, "failures": failures}
    )
    assert main(["data", "--profile", "smoke", "--out", str(tmp_path)]) == code
    assert capsys.readouterr().out == f"{tmp_path}: 3 rows in train\n{says}\n"


def test_the_command_builds_with_changed_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Profile] = []

    def built(profile: Profile, *_: object, **__: object) -> dict[str, object]:
        given.append(profile)
        return {"splits": {}, "failures": []}

    monkeypatch.setattr(build, "build", built)
    main(["data", "--profile", "cpu", "--out", str(tmp_path), "--set", "difficulty=medium"])
    main(["data", "--profile", "cpu", "--out", str(tmp_path), "--rooms", "3"])
    assert [p.data.difficulty for p in given] == ["medium", profiles.get("cpu").data.difficulty]
    assert [p.data.train_rooms for p in given] == [profiles.get("cpu").data.train_rooms, 3]


def test_unknown_engine() -> None:
    with pytest.raises(WorkbookError, match="unknown engine 'slurm'"):
        workers.run(str, [1], engine="slurm")


# ------------------------------------------------------------------------------------------ loading

CHOICE = {
    "problem_id": 1,
    "problem": "Which?",
    "data_type": "video",
    "problem_type": "multiple choice",
    "options": ["A. bed", "B. tv"],
    "solution": "<answer>B</answer>",
    "path": "videos/a.mp4",
    "data_source": "x",
}


def read(tmp_path: Path, *rows: Any, problems: list[str] | None = None) -> list[Sample]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return build.load(path, problems)


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"path": "./videos/a.mp4"},
        {"problem_type": "multiple-choice"},
        {"problem_type": "MCQ"},
        {"solution": "B"},
        {"solution": "\\boxed{B}"},
        {"solution": "<think>x</think> <answer> B </answer>"},
        {"options": ["bed", "tv"]},
        {"options": {"A": "bed", "B": "tv"}},
        {"options": "A. bed\nB. tv"},
        {"problem_type": None},
        {"data_type": None},
        {"solution": None, "answer": "B"},
        {"problem": None, "question": "Which?"},
        {"path": None, "video": "videos/a.mp4"},
        {"process": "<think></think>", "reward": 1.0, "select": True},
        {"solution": "tv"},
        {"solution": "(b)"},
        {"solution": "B. TV."},
        {"problem_id": 1.0},
        {"problem_id": "1"},
        {"question_type": None},
        {"scene_id": None},
        {"categories": None},
        {"cognitive_map_id": None},
        {"cognitive_map": None},
    ],
)
def test_known_variants_mean_the_same(tmp_path: Path, variant: dict[str, Any]) -> None:
    assert read(tmp_path, {**CHOICE, **variant}) == read(tmp_path, CHOICE)


@pytest.mark.parametrize("start", ["", "\n  ", "\ufeff"])
def test_a_json_list_and_rows_without_ids(tmp_path: Path, start: str) -> None:
    rows = [{k: v for k, v in CHOICE.items() if k != "problem_id"}] * 2
    (tmp_path / "rows.json").write_text(start + json.dumps(rows, indent=1))
    assert [s.problem_id for s in build.load(tmp_path / "rows.json")] == [1, 2]
    (tmp_path / "rows.jsonl").write_text(start + "\n".join(map(json.dumps, rows)))
    assert len(build.load(tmp_path / "rows.jsonl")) == 2


@pytest.mark.parametrize(
    ("options", "solution", "gold"),
    [
        (["left", "right", "back"], "left", "A"),
        (["A. chair", "B. bed", "C. desk"], "bed", "B"),
        (["4", "7"], 7, "B"),
        (["A. bed", "B. tv", "C. bed"], "TV", "B"),
        (["A. bed", "B. tv", "C. bed"], "bed", None),
        (["A. bed", "B. tv"], "Bath", None),
        (["A. bed", "B. tv"], "A, B", None),
        (["bed"], "bed", None),
        (["(", "B"], "C", None),
        ([f"{chr(65 + k)}. {k}" for k in range(26)], "c", "C"),
    ],
)
def test_a_solution_that_is_an_options_text_becomes_its_letter(
    tmp_path: Path, options: list[str], solution: Any, gold: str | None
) -> None:
    row = {**CHOICE, "options": options, "solution": solution}
    if gold is None:
        with pytest.raises(BadRow, match=r"line 1: solution: .* is none of the options"):
            read(tmp_path, row)
    else:
        assert [s.solution for s in read(tmp_path, row)] == [f"<answer>{gold}</answer>"]


BAD_MAPS: tuple[Any, ...] = (
    "bed",
    ["bed"],
    {"bed": [1, 2]},
    {"bed": "near"},
    {"bed": [[1]]},
    {"bed": [[1, None]]},
    {"bed": [[1, math.inf]]},
    {"bed": [[True, 2]]},
    {"\ud800": [[1, 2]]},
)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"problem": ""}, "problem: missing"),
        ({"solution": ""}, "solution: missing"),
        ({"solution": "D"}, "none of the options"),
        ({"problem_type": "essay"}, "problem_type"),
        ({"data_type": "audio"}, "data_type"),
        ({"path": None}, "path: missing"),
        ({"path": "../secrets.mp4"}, "leaves the dataset"),
        ({"path": "/etc/passwd"}, "leaves the dataset"),
        ({"problem_type": "numerical", "options": [], "solution": "many"}, "holds no number"),
        *[
            ({"problem_id": bad}, "problem_id: .* no whole number")
            for bad in ("x", math.inf, math.nan, 1.9, True, [1])
        ],
        *[
            ({"path": bad}, "path")
            for bad in ("a\0.mp4", "\ud800.mp4", ["a.mp4", "b.mp4"], {"bytes": "x"})
        ],
        *[
            ({name: bad}, name)
            for name in ("problem", "question_type", "scene_id", "cognitive_map_id", "data_source")
            for bad in ("\udcff", 3, ["x"])
        ],
        *[({"categories": bad}, "categories") for bad in ("chair", 3, [1], ["\ud800"])],
        *[
            ({"options": bad}, "options")
            for bad in (3, [["x"], "B"], [True, "B"], {"A": {}, "B": "tv"}, ["\ud800", "B"])
        ],
        *[({"solution": bad}, "solution") for bad in (True, ["B"], math.inf)],
        *[({"cognitive_map": bad}, "cognitive_map") for bad in BAD_MAPS],
    ],
)
def test_broken_rows_are_named_by_line(tmp_path: Path, bad: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRow, match=f"line 2: .*{says}"):
        read(tmp_path, CHOICE, {**CHOICE, "problem_id": 2, **bad})
    problems: list[str] = []
    assert (
        len(
            read(
                tmp_path,
                CHOICE,
                {**CHOICE, "problem_id": 2, **bad},
                {**CHOICE, "problem_id": 3},
                problems=problems,
            )
        )
        == 2
    )
    assert len(problems) == 1


def test_ids_taken_twice_and_lines_that_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="line 2: problem_id 1 is taken by line 1"):
        read(tmp_path, CHOICE, CHOICE)
    with pytest.raises(BadRow, match="line 1: not JSON"):
        read(tmp_path, "{'problem'")
    with pytest.raises(BadRow, match="line 1: a int, not an object"):
        read(tmp_path, "3")
    for line in (
        b'{"problem_id": ' + b"1" * 5000 + b"}",
        b'{"a":' * 100_000,
        b'{"problem": "caf\xe9"}',
    ):
        (tmp_path / "rows.jsonl").write_bytes(b"\n" + line)
        with pytest.raises(BadRow, match=r"rows.jsonl, line 2: not (JSON|UTF-8)"):
            build.load(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b'[{"problem": "caf\xe9"}]', ", line 2: not UTF-8"),
        (b"[3, ]", r": not JSON \(.*line 2"),
        (b"[" * 100_000, ": not JSON"),
        (b"[" + b"1" * 5000 + b"]", ": not JSON"),
    ],
    ids=["latin-1", "comma", "deep", "digits"],
)
def test_a_list_that_is_no_json_is_named(tmp_path: Path, broken: bytes, says: str) -> None:
    (tmp_path / "rows.json").write_bytes(b"\n" + broken)
    with pytest.raises(BadRow, match=f"rows.json{says}"):
        build.load(tmp_path / "rows.json")


def test_a_map_that_is_not_there(tmp_path: Path) -> None:
    row = {"video_id": "a", "cognitive_map": {"tv": [[1, 2]]}, "object_list": ["tv"]}
    (tmp_path / "cognitive_map.jsonl").write_text(json.dumps(row))
    assert read(tmp_path, {**CHOICE, "cognitive_map_id": "a"})[0].cognitive_map == {"tv": [[1, 2]]}
    assert read(tmp_path, CHOICE)[0].cognitive_map == {
        "tv": [[1, 2]]
    }  # rows of the paper name no map: the video's name does
    with pytest.raises(BadRow, match="no row 'b'"):
        read(tmp_path, {**CHOICE, "cognitive_map_id": "b"})


def test_a_rows_own_map_counts_where_the_file_has_none(tmp_path: Path) -> None:
    assert read(tmp_path, {**CHOICE, "cognitive_map": {"tv": [[3, 4.0]]}})[0].cognitive_map == {
        "tv": [[3, 4]]
    }


@pytest.mark.parametrize(
    "bad",
    [
        *({"video_id": "a", "cognitive_map": m} for m in (None, *BAD_MAPS)),
        {"video_id": 3, "cognitive_map": {}},
        {"cognitive_map": {}},
        3,
        ["a"],
    ],
)
def test_a_broken_map_is_named_by_line(tmp_path: Path, bad: Any) -> None:
    whole = {**bad, "object_list": ["bed"]} if isinstance(bad, dict) else bad
    (tmp_path / "cognitive_map.jsonl").write_text("\n" + json.dumps(whole))
    with pytest.raises(
        BadRow, match=r"cognitive_map.jsonl, line 2: (video_id|cognitive_map|a \w+, not an object)"
    ):
        read(tmp_path, CHOICE)


def test_a_missing_file_says_who_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    with pytest.raises(MissingArtifact, match=r"02_questions.*make nb02 PROFILE=smoke"):
        build.load(tmp_path / "smoke" / "data" / "train.jsonl")


# -------------------------------------------------------------------------------------------- media


def test_panels_are_painted_where_their_corners_are() -> None:
    picture = Image.new("RGB", (200, 150), (0, 0, 255))
    hung = np.asarray(
        signs.hang(
            picture,
            Image.new("RGB", (480, 200), (255, 0, 0)),
            np.array([(50.0, 40.0), (150.0, 50.0), (150.0, 100.0), (50.0, 110.0)]),
        )
    )
    assert tuple(hung[75, 100]) == (255, 0, 0)
    assert tuple(hung[20, 100]) == tuple(hung[75, 20]) == tuple(hung[44, 140]) == (0, 0, 255)


def test_the_needle_points_to_its_value() -> None:
    for value in (5, 50, 95):
        pixels = np.asarray(signs.gauge(value)).astype(int)
        y, x = np.nonzero((pixels[..., 0] > 150) & (pixels[..., 1] < 80))
        angle = np.degrees(np.arctan2(signs.SIDE / 2 - y.mean(), x.mean() - signs.SIDE / 2))
        assert (225 - angle) % 360 / 2.7 == pytest.approx(value, abs=1)
