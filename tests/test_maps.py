"""Ground-truth maps: cells, frames, turns, metres."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rooms import clip_of, random_room

from spacer_utils.core import maps, profiles
from spacer_utils.core.files import write_jsonl
from spacer_utils.core.rows import load
from spacer_utils.core.types import (
    BadRow,
    Box,
    Clip,
    MapCells,
    MapFrame,
    Sample,
    Scene,
    SceneObject,
    WorkbookError,
)
from spacer_utils.dataset import samples
from spacer_utils.questions.view import View

PLACES = st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=4)
CELLS = st.dictionaries(st.sampled_from(["tv", "bed", "chair"]), PLACES)
GRIDS = st.sampled_from([10, 7, 20])


def room(*places: tuple[str, float, float]) -> Scene:
    """A room of 4 m by 2 m whose corner stands at (1, 10) in the scan frame."""
    objects = tuple(
        SceneObject(k, c, Box((x, y, 0.5), (0.4, 0.4, 1.0)))
        for k, (c, x, y) in enumerate(places, 1)
    )
    return Scene(
        "room", "room", "test", "train", ((1, 10), (5, 10), (5, 12), (1, 12)), 8.0, 2.5, objects
    )


def clip(
    scene: Scene,
    forward: tuple[float, float, float],
    eye: tuple[float, float] = (3, 11),
    up: tuple[float, float, float] = (0, 0, 1),
) -> Clip:
    """One frame from ``eye``, looking along ``forward``; ``up`` is the direction of the image's
    upper edge."""
    down = [-v for v in up]
    right = [
        down[1] * forward[2] - down[2] * forward[1],
        down[2] * forward[0] - down[0] * forward[2],
        down[0] * forward[1] - down[1] * forward[0],
    ]
    rows = [(right[k], down[k], forward[k], (*eye, 1.5)[k]) for k in range(3)]
    return Clip(
        "clip",
        scene,
        2.0,
        64,
        64,
        ((50, 0, 32), (0, 50, 32), (0, 0, 1)),
        ((*rows, (0.0, 0.0, 0.0, 1.0)),),
        {},
    )


def test_cells_are_shares_of_the_rooms_extent() -> None:
    scene = room(
        ("tv", 1.0, 10.0),
        ("tv", 5.0, 12.0),
        ("bed", 3.0, 11.0),
        ("lamp", 4.99, 11.99),
        ("door", 1.39, 10.21),
        ("door", 1.41, 10.19),
    )
    assert maps.scan_cells(scene) == {
        "tv": [[0, 0], [9, 9]],
        "bed": [[5, 5]],
        "lamp": [[9, 9]],
        "door": [[0, 1], [1, 0]],
    }
    assert maps.scan_cells(scene, grid=20)["bed"] == [[10, 10]]


def test_objects_outside_the_outline_go_to_the_nearest_cell() -> None:
    assert maps.scan_cells(room(("window", 0.9, 12.3))) == {"window": [[0, 9]]}


def test_order_of_instances_and_categories_is_that_of_the_scene() -> None:
    found = maps.scan_cells(room(("tv", 5, 12), ("bed", 1, 10), ("tv", 1, 10)))
    assert list(found) == ["tv", "bed"]
    assert found["tv"] == [[9, 9], [0, 0]]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        ((0, 1, 0), [8, 1]),  # looks along +y already
        ((1, 0, 0), [8, 8]),  # +x becomes up: what stood right in front stands at the top
        ((-1, 0, 0), [1, 1]),
        ((0, -1, 0), [1, 8]),
        ((math.sin(0.7), math.cos(0.7), 0), [8, 1]),  # 40 degrees off +y is still nearest to +y
        ((math.sin(0.9), math.cos(0.9), 0), [8, 8]),
        ((0, 0.8, -0.6), [8, 1]),  # tilted down
    ],
)
def test_first_view_looks_up(forward: tuple[float, float, float], expected: list[int]) -> None:
    scene = room(("tv", 4.5, 10.3))  # scan cell [8, 1]
    assert maps.scan_cells(scene)["tv"] == [[8, 1]]
    tilt_up = (0, 0, 1) if forward[2] == 0 else (0, 0.6, 0.8)
    assert maps.first_view_cells(clip(scene, forward, up=tilt_up))["tv"] == [expected]


def test_what_lies_ahead_stands_higher_and_right_stays_right() -> None:
    for angle in range(5, 360, 10):
        forward = (math.cos(math.radians(angle)), math.sin(math.radians(angle)), 0.0)
        if angle % 90 == 45:
            continue  # both axes are as near
        nearest = round(angle / 90) * 90
        ahead = (math.cos(math.radians(nearest)), math.sin(math.radians(nearest)))
        scene = room(
            ("ahead", 3 + 1.9 * ahead[0], 11 + 0.9 * ahead[1]),
            ("right", 3 + 1.9 * ahead[1], 11 - 0.9 * ahead[0]),
        )
        found = maps.first_view_cells(clip(scene, forward))
        assert found["ahead"][0][1] == 9, angle
        assert found["right"][0][0] == 9, angle


def test_a_camera_that_looks_down_has_the_heading_of_its_upper_edge() -> None:
    assert maps.heading(clip(room(), (0, 0, -1), up=(-1, 0, 0))) == pytest.approx(math.pi)
    assert maps.heading(clip(room(), (0, 0, 1), up=(0.6, 0.8, 0))) == pytest.approx(
        math.atan2(0.8, 0.6)
    )


def test_frames_by_name() -> None:
    filmed = clip(room(("tv", 4.5, 10.3)), (1, 0, 0))
    assert maps.cells(filmed) == maps.cells(filmed, "first-view") == {"tv": [[8, 8]]}
    assert maps.cells(filmed, frame="scan") == {"tv": [[8, 1]]}
    assert maps.cells(filmed, frame="scan", grid=100) == {"tv": [[87, 15]]}
    with pytest.raises(WorkbookError, match="first-view, scan"):
        maps.cells(filmed, frame="north")  # type: ignore[arg-type]


def test_metric_maps_are_metres_to_the_right_and_ahead() -> None:
    scene = room(("tv", 4.5, 10.3), ("bed", 3.0, 11.0))
    assert maps.metric(clip(scene, (1, 0, 0))) == {"tv": [[0.7, 1.5]], "bed": [[0.0, 0.0]]}
    assert maps.metric(clip(scene, (0, 1, 0), eye=(3.0, 10.0))) == {
        "tv": [[1.5, 0.3]],
        "bed": [[0.0, 1.0]],
    }


def test_metric_maps_are_round_to_the_centimetre() -> None:
    assert maps.metric(clip(room(("tv", 4.5, 10.3)), (0, 1, 0), eye=(3.1234, 10.0))) == {
        "tv": [[1.38, 0.3]]
    }


def test_cameras_stand_on_the_first_views_map() -> None:
    filmed = clip(room(("tv", 2.0, 10.5)), (1, 0, 0), eye=(2.0, 10.5))
    filmed = replace(
        filmed, poses=filmed.poses + clip(filmed.scene, (0, 1, 0), eye=(4.5, 11.8)).poses
    )
    first, second = maps.cameras(filmed)
    assert first == pytest.approx((0, 1, 0.75, 0.25, 2, 4)), (
        "looks up; the room of 4 by 2 m stands on its side"
    )
    assert second == pytest.approx((1, 0, 0.1, 0.875, 2, 4)), "looks left"
    assert [math.floor(10 * share) for share in first[2:4]] == maps.first_view_cells(filmed)["tv"][
        0
    ]
    (upright,) = maps.cameras(clip(filmed.scene, (0, 1, 0), eye=(2.0, 10.5)))
    assert upright == pytest.approx((0, 1, 0.25, 0.25, 4, 2))


def test_a_camera_that_looks_back_sees_the_rooms_extent_as_the_scan_does() -> None:
    (turned,) = maps.cameras(clip(room(), (0, -1, 0), eye=(2.0, 10.5)))
    assert turned[2:] == pytest.approx((0.75, 0.75, 4, 2))


def test_a_narrow_room_has_its_cells() -> None:
    narrow = replace(
        room(("tv", 1.0, 10.1), ("tv", 1.0, 10.7)), polygon=((1, 10), (5, 10), (5, 10.8), (1, 10.8))
    )
    assert maps.scan_cells(narrow) == {"tv": [[0, 1], [0, 8]]}


def test_a_room_without_width_keeps_its_map() -> None:
    flat = replace(room(("tv", 1.0, 10.4)), polygon=((1, 10), (1, 12), (1, 11)))
    assert maps.scan_cells(flat) == {"tv": [[5, 2]]}


def test_a_map_knows_its_frame_up_to_the_reward(tmp_path: Path) -> None:
    view = View(clip_of(random_room(1)), tuple(range(16)))
    made = {frame: samples.true_map(view, frame) for frame in get_args(MapFrame)}
    assert {frame: m.frame for frame, m in made.items()} == {
        "first-view": "first-view",
        "scan": "scan",
    }
    assert samples.true_map(view).frame == "first-view"
    papers = made["scan"].to_json()
    del papers["frame"]  # rows of three fields are drawn along the scan's axes, as the paper's
    for row, frame in ((made["first-view"].to_json(), "first-view"), (papers, "scan")):
        write_jsonl(tmp_path / "cognitive_map.jsonl", [row])
        write_jsonl(
            tmp_path / "train.jsonl",
            [
                {
                    "problem": "How many?",
                    "problem_type": "numerical",
                    "solution": "3",
                    "path": "v.mp4",
                    "cognitive_map_id": row["video_id"],
                }
            ],
        )
        (sample,) = load(tmp_path / "train.jsonl")
        assert sample.map_frame == Sample.from_json_text(sample.to_json_text()).map_frame == frame
        assert not {"cognitive_map", "map_frame"} & set(sample.to_row())
    write_jsonl(tmp_path / "cognitive_map.jsonl", [{**papers, "frame": "north"}])
    with pytest.raises(
        BadRow, match=r"line 1: unknown map frame 'north'. Known: first-view, scan\. Mend"
    ):
        load(tmp_path / "train.jsonl")


def test_questions_about_one_room_know_the_frame_of_their_map() -> None:
    rows = samples.room_samples(clip_of(random_room(1)), profiles.get("smoke"))
    assert {s.map_frame for s in rows if s.cognitive_map} == {"first-view"}


@given(CELLS, st.integers(-5, 5), st.integers(-5, 5), GRIDS)
def test_turns_add_up(cells: MapCells, a: int, b: int, grid: int) -> None:
    assert maps.turn(maps.turn(cells, a, grid), b, grid) == maps.turn(cells, a + b, grid)
    assert maps.turn(cells, 4, grid) == cells


@given(CELLS, st.integers(0, 3), GRIDS)
def test_a_mirror_undoes_itself_and_reverses_turns(cells: MapCells, turns: int, grid: int) -> None:
    assert maps.mirror(maps.mirror(cells, grid), grid) == cells
    assert maps.mirror(maps.turn(cells, turns, grid), grid) == maps.turn(
        maps.mirror(cells, grid), -turns, grid
    )


def test_turn_is_counter_clockwise_and_leaves_its_argument_alone() -> None:
    cells = {"tv": [[9, 4]]}
    turned = maps.turn(cells, 1)
    assert turned == {"tv": [[5, 9]]}
    turned["tv"][0][0] = 0
    maps.turn(cells, 0)["tv"].append([1, 1])
    assert cells == {"tv": [[9, 4]]}
