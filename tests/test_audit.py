"""The audit finds what is wrong: each fault is put into rows by hand, and the clean rows pass."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit.rooms import clip_of, random_room, room

from spacer_utils.core import clip_reader, mp4, profiles
from spacer_utils.core.files import write_jsonl
from spacer_utils.core.types import Box, Clip, Sample
from spacer_utils.dataset import audit, balance, card, oracle, samples, shortcuts

PROFILE = profiles.get("smoke")
NOISE = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
VIDEO = mp4.encode(NOISE, 3.0)
CLIPS = [clip_of(random_room(seed), seed) for seed in range(6)]


@cache
def asked(number: int) -> list[Sample]:
    return [
        replace(s, cognitive_map=None)
        for s in samples.room_samples(CLIPS[number], PROFILE, wordings=("vsi",))
    ]


def questions(numbers: range) -> list[Sample]:
    return [s for number in numbers for s in asked(number)]


def written(
    folder: Path, train: list[Sample], heldout: list[Sample], clips: list[Clip] = CLIPS
) -> Path:
    (folder / "videos").mkdir()
    for clip in clips:
        (folder / "videos" / f"{clip.video_id}.json").write_text(json.dumps(clip.to_json()))
    for s in (s for s in (*train, *heldout) if s.path):
        (folder / s.path).parent.mkdir(exist_ok=True)
        (folder / s.path).write_bytes(VIDEO)
    for name, rows in (("train", train), ("heldout", heldout)):
        write_jsonl(folder / f"{name}.jsonl", (s.to_row() for s in rows))
    return folder


@pytest.mark.slow
def test_clean_rows_pass_and_are_described(tmp_path: Path) -> None:
    found = audit.run(
        written(tmp_path, questions(range(4)), questions(range(4, 6))),
        PROFILE,
        problems=["room 9: no floor"],
    )
    assert found["failures"] == []
    assert json.loads((tmp_path / "audit.json").read_text()) == json.loads(json.dumps(found))
    text = card.readme(found)
    assert "room 9: no floor" in text
    assert "object_abs_distance | numerical | m |" in text
    assert all(row["disagree"] == 0 for row in found["oracle"])
    assert {row["question_type"] for row in found["oracle"]} >= {
        "object_abs_distance",
        "object_counting",
        "object_size_estimation",
        "room_size_estimation",
    }


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda s: [*s, s[0]], "1 duplicates"),
        (
            lambda s: [
                *s,
                replace(
                    next(x for x in s if not x.options),
                    problem_id=5,
                    solution="<answer>77</answer>",
                ),
            ],
            "1 conflicts",
        ),
        (
            lambda s: [
                replace(x, solution="<answer>9.9</answer>")
                if x.question_type == "object_abs_distance"
                else x
                for x in s
            ],
            "object_abs_distance: the oracle disagrees",
        ),
        (
            lambda s: [
                replace(x, solution="<answer>8</answer>")
                if x.question_type == "object_counting"
                else x
                for x in s
            ],
            "object_counting: the oracle disagrees",
        ),
        (
            lambda s: [replace(s[0], scene_id="scannet-scene0025_01"), *s[1:]],
            "1 rooms of VSI-Bench, scannet-scene0025_01",
        ),
        (lambda s: s + questions(range(4, 5)), "shares 1 physical spaces with train"),
    ],
)
def test_faults_are_found(tmp_path: Path, fault: object, says: str) -> None:
    rows = fault(questions(range(4)))  # type: ignore[operator]
    failures = audit.run(written(tmp_path, rows, questions(range(4, 6))), PROFILE)["failures"]
    assert any(says in line for line in failures)


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["lost", "empty"]
)
def test_files_that_are_not_there_are_found(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    rows = questions(range(4))
    written(
        tmp_path,
        [replace(rows[0], problem_id=1, data_type="text", path=""), *rows[1:]],
        questions(range(4, 6)),
    )
    damage(tmp_path / rows[0].path)
    found = audit.run(tmp_path, PROFILE)
    assert found["failures"] == [
        f"train: 1 files that rows name are missing or empty, {rows[0].path} among them"
    ]


def test_a_second_reader_compares_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [tmp_path / f"{k}.mp4" for k in range(9)]
    for clip in clips:
        clip.write_bytes(VIDEO)
    assert audit.second_reader(clips) == {"clips": 4, "largest difference": 0}
    assert audit.second_reader([]) == {"clips": 0, "largest difference": 0}
    read = clip_reader.read

    def off(*args: Any) -> Any:
        frames, found = read(*args)
        return [255 - frame for frame in frames], found

    monkeypatch.setattr(clip_reader, "read", off)
    assert audit.second_reader(clips)["largest difference"] > 100
    clips[0].write_bytes(b"no video")
    assert audit.second_reader(clips[:1]) == {"clips": 1, "largest difference": 255}
    monkeypatch.setitem(sys.modules, "decord", None)
    assert audit.second_reader(clips)["clips"] == "not compared"


def test_lopsided_letters_and_answers_are_found(tmp_path: Path) -> None:
    row = Sample(
        0,
        "?",
        "video",
        "multiple choice",
        ("A. left", "B. right"),
        "<answer>A</answer>",
        "videos/x.mp4",
        "t",
        question_type="object_rel_direction_easy",
        scene_id="s",
    )
    rows = [
        replace(row, problem_id=k, problem=f"{k}?", solution=f"<answer>{'AB'[k < 10]}</answer>")
        for k in range(200)
    ]
    (entry,) = audit.balance(rows)
    assert entry["letter excess"] == entry["answer excess"] == pytest.approx(1.9)
    failures = audit.run(written(tmp_path, rows, [], []), PROFILE)["failures"]
    assert len(failures) == 2


def test_letters_are_judged_over_all_numbers_of_options() -> None:
    """One question with two options among two hundred with four says nothing about letters."""
    row = Sample(
        0,
        "?",
        "video",
        "multiple choice",
        ("A. a", "B. b", "C. c", "D. d"),
        "<answer>A</answer>",
        "videos/x.mp4",
        "t",
        question_type="object_rel_distance",
        scene_id="s",
    )
    rows = [
        replace(row, problem_id=k, solution=f"<answer>{'ABCD'[k % 4]}</answer>") for k in range(200)
    ]
    (entry,) = audit.balance([*rows, replace(row, problem_id=200, options=row.options[:2])])
    assert entry["letter excess"] == pytest.approx(51 / 50.5)
    (entry,) = audit.balance(
        [
            replace(
                row, options=(), solution="<answer>2</answer>", question_type="room_size_estimation"
            )
        ]
    )
    assert (entry["answer excess"], entry["letter excess"]) == (None, None)


def test_answerability_falls_with_fewer_frames() -> None:
    clip = clip_of(random_room(3), frames=32)
    things = [o for o in clip.scene.objects if len(clip.scene.instances(o.category)) == 1][:2]
    row = Sample(
        0,
        "?",
        "video",
        "numerical",
        (),
        "<answer>1</answer>",
        "",
        "",
        question_type="object_abs_distance",
        categories=tuple(o.category for o in things),
    )
    only_seventh = {
        **clip.visible_share,
        things[0].instance_id: tuple(float(k == 7) for k in range(32)),
    }
    hidden = replace(clip, visible_share=only_seventh)
    assert [audit.answerable(row, hidden, n, 0.005) for n in (8, 16, 32)] == [False, False, True]


def test_the_oracle_measures_by_points() -> None:
    a, b = Box((0, 0, 0.5), (1, 1, 1)), Box((3, 0, 0.5), (1, 1, 1), np.pi / 4)
    assert oracle.distance(a, b) == pytest.approx(2.5 - np.sqrt(0.5), abs=0.03)
    assert oracle.distance(a, Box((0.2, 0, 0.5), (0.1, 0.1, 0.1))) == 0
    assert oracle.longest(oracle.surface(Box((1, 2, 3), (0.7, 1.9, 1.1), 0.4))) == pytest.approx(
        1.9, abs=0.01
    )
    scene = room([])
    corner = replace(scene, polygon=((0, 0), (6, 0), (6, 5), (3, 5), (3, 2), (0, 2)))
    assert oracle.floor_area(clip_of(corner)) == pytest.approx(21, rel=0.01)


def choices(answer_of: object, n: int = 800) -> list[Sample]:
    rng, letters, rows = np.random.default_rng(0), balance.Letters(), []
    for k in range(n):
        names = [str(x) for x in rng.permutation(["bed", "tv", "sofa", "lamp", "desk", "door"])[:4]]
        candidate = samples.Candidate(
            f"{k}?", "multiple choice", answer_of(names, rng), (names[0],), tuple(names)
        )  # type: ignore[operator]
        rows.append(
            samples.sample(candidate, "object_rel_distance", f"v{k}", f"s{k}", "t", letters, rng)
        )
    return rows


@pytest.mark.slow
def test_blind_predictors_find_a_shortcut_and_only_a_shortcut() -> None:
    (honest,) = shortcuts.table(choices(lambda names, rng: str(rng.choice(names))))
    assert all(abs(honest[p] - 25) < 6 for p in ("constant", "per category", "text only"))
    (telling,) = shortcuts.table(choices(lambda names, rng: min(names)))
    assert telling["text only"] > 80
    assert abs(telling["constant"] - 25) < 6


def test_golds_in_words_and_signs_are_numbers() -> None:
    rows = [s for k in range(6) for s in asked(k) if s.problem_type == "numerical"]
    said = {"2": "two", "3": "three", "4": "4.0", "0.5": "½"}
    worded = [replace(s, solution=f"<answer>{said.get(s.gold, s.gold)}</answer>") for s in rows]
    assert [s.gold for s in worded] != [s.gold for s in rows]
    assert shortcuts.table(worded) == shortcuts.table(rows)
    assert shortcuts.right_number(replace(rows[0], solution="<answer>½</answer>")) == 0.5


def test_the_best_constant_of_skewed_numbers() -> None:
    assert shortcuts.best_number([2.0] * 60 + [7.0] * 40) == 2.0
    assert 2 <= shortcuts.best_number([0.0, 3.0, 3.0, 4.0, 3.0]) <= 4
