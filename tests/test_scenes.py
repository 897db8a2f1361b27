"""Rooms: nothing overlaps or sticks out, floors stay walkable, streams are independent; real
layouts read and refuse rightly."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit.rooms import random_room, write_layouts

from spacer_utils.core.registry import SCENES
from spacer_utils.core.types import Box, Scene, WorkbookError
from spacer_utils.render.furniture import CATEGORIES
from spacer_utils.scenes import contents, floor_plan, procedural, statistics
from spacer_utils.scenes import real_layouts as layouts
from spacer_utils.scenes.placement import HANGING, RESTING

SINGLE = [procedural.room("train", 11, k) for k in range(60)]
FLATS = [procedural.room("heldout", 11, k, rooms=2 + k % 2) for k in range(16)]


def interpenetrating(scene: Scene) -> list[tuple[str, str]]:
    """Pairs whose boxes share volume, but for what rests on (and so within) another."""
    rects = floor_plan.footprints(o.box for o in scene.objects)
    touching = floor_plan.overlaps(rects, rects)
    pairs = []
    for i, a in enumerate(scene.objects):
        for j, b in enumerate(scene.objects[:i]):
            apart = (
                abs(a.box.center[2] - b.box.center[2]) >= (a.box.size[2] + b.box.size[2]) / 2 - 1e-6
            )
            rests = b.category in RESTING.get(a.category, ()) or a.category in RESTING.get(
                b.category, ()
            )
            if touching[i, j] and not apart and not rests:
                pairs.append((a.category, b.category))
    return pairs


@pytest.mark.parametrize("scene", SINGLE + FLATS, ids=lambda s: s.scene_id)
def test_nothing_overlaps_or_leaves_the_room(scene: Scene) -> None:
    assert interpenetrating(scene) == []
    points = floor_plan.corners(floor_plan.footprints(o.box for o in scene.objects))
    edges = np.concatenate(
        [points * (1 - t) + np.roll(points, 1, axis=1) * t for t in (0.0, 0.25, 0.5, 0.75)], 1
    )
    assert floor_plan.contains(scene.polygon, edges, 1e-3).all()
    for o in scene.objects:
        bottom = o.box.center[2] - o.box.size[2] / 2
        assert bottom >= -1e-3
        assert bottom + o.box.size[2] <= scene.ceiling_height + 1e-3


@pytest.mark.parametrize("scene", SINGLE + FLATS, ids=lambda s: s.scene_id)
def test_the_free_floor_is_one_piece_and_spans_every_room(scene: Scene) -> None:
    floor = floor_plan.free_floor(scene)
    held = floor.largest()
    assert held.sum() >= 0.85 * floor.free.sum()
    for outline in scene.rooms or (scene.polygon,):
        assert floor_plan.contains(outline, floor.points(held)).sum() >= 15


def test_walls_carry_what_hangs_and_furniture_what_rests() -> None:
    for scene in SINGLE:
        for o in scene.objects:
            if o.category in HANGING and o.category != "tv":
                front = np.array([math.sin(o.box.yaw), -math.cos(o.box.yaw)])
                back = np.array(o.box.center[:2]) - front * o.box.size[1] / 2
                assert float(floor_plan.inward(scene.polygon, back[None])[0]) < 0.12, (
                    scene.scene_id,
                    o.category,
                )
            if o.category in RESTING:
                under = [
                    h
                    for h in scene.objects
                    if h.category in RESTING[o.category]
                    and floor_plan.contains(
                        [tuple(p) for p in floor_plan.corners(floor_plan.footprints([h.box]))[0]],
                        np.array(o.box.center[:2]),
                    )
                ]
                assert under, (scene.scene_id, o.category)


def test_ids_start_at_one_and_categories_can_be_drawn() -> None:
    for scene in SINGLE + FLATS:
        assert [o.instance_id for o in scene.objects] == list(range(1, len(scene.objects) + 1))
        assert set(scene.categories) <= set(CATEGORIES)
    assert set(contents.statistics()["names"]) <= set(CATEGORIES)
    assert len(contents.statistics()["names"]) >= 45


def test_floor_area_is_that_of_the_outline() -> None:
    for scene in SINGLE:
        assert floor_plan.area(scene.polygon) == pytest.approx(scene.floor_area, abs=0.02)
    for scene in FLATS:
        assert sum(floor_plan.area(r) for r in scene.rooms) == pytest.approx(
            scene.floor_area, abs=0.02
        )
        assert floor_plan.area(scene.polygon) == pytest.approx(
            scene.floor_area + 0.12 * 0.9 * (len(scene.rooms) - 1), abs=0.02
        )


def test_a_room_depends_on_its_seed_and_index_alone() -> None:
    ahead = list(SCENES["procedural"]("train", 8, 5))
    assert list(SCENES["procedural"]("train", 2, 5, first=6)) == ahead[6:]
    assert procedural.room("train", 5, 3) == ahead[3]
    others = [
        procedural.room("train", 6, 3),
        procedural.room("heldout", 5, 3),
        procedural.room("train", 5, 4),
    ]
    assert all([o.box for o in s.objects] != [o.box for o in ahead[3].objects] for s in others)
    assert Scene.from_json(json.loads(json.dumps(ahead[3].to_json()))) == ahead[3]


def test_options() -> None:
    assert all(len(procedural.room("train", 2, k, min_objects=6).objects) >= 6 for k in range(5))
    assert procedural.room("train", 2, 0, room_type="kitchen").room_type == "kitchen"
    with pytest.raises(WorkbookError, match="rooms=4"):
        procedural.room(rooms=4)
    with pytest.raises(WorkbookError, match="ballroom"):
        procedural.room(room_type="ballroom")


@pytest.mark.slow
def test_quantities_come_near_the_real_rooms() -> None:
    rows = {
        r["quantity"]: r["distance"]
        for r in statistics.compare(list(procedural.rooms("train", 250, 3)))
    }
    assert len(rows) >= 7
    assert max(rows.values()) < 0.15, rows
    assert rows["categories"] < 0.1
    bare = [replace(s, objects=s.objects[:1]) for s in SINGLE]
    assert next(r["distance"] for r in statistics.compare(bare) if r["quantity"] == "objects") > 0.3


def test_overlaps_of_turned_rectangles() -> None:
    a = np.array([(0.0, 0.0, 1.0, 0.5, 0.0)])
    diamond = math.pi / 4
    b = np.array(
        [
            (x, 0.0, 0.5, 0.5, yaw)
            for x, yaw in ((1.9, 0.0), (1.49, 0.0), (1.7, diamond), (1.72, diamond))
        ]
    )
    assert floor_plan.overlaps(a, b).tolist() == [[False, True, True, False]]
    assert floor_plan.overlaps(b, a).T.tolist() == floor_plan.overlaps(a, b).tolist()


@pytest.mark.slow
def test_real_layouts_hold_every_room_and_box(real_layouts: Path) -> None:
    found = layouts.read(real_layouts)
    assert (len(found.scenes), len({s.scene_id for s in found.scenes})) == (288, 288)
    assert [
        sum(s.scene_id.startswith(d + "-") for s in found.scenes) for d in layouts.DATASETS
    ] == [150, 88, 50]
    assert sum(len(s.objects) for s in found.scenes) == 3197
    assert found.problems == ()
    assert len(found.count_mismatches) == 11
    for scene in found.scenes:
        points = floor_plan.corners(floor_plan.footprints(o.box for o in scene.objects))
        assert floor_plan.contains(scene.polygon, points, 1e-6).all()
        assert floor_plan.area(scene.polygon) > 0
        assert len({x for x, _ in scene.polygon}) == len({y for _, y in scene.polygon}) == 2
        assert scene.split == "real_layouts"
        lights = [o.box.center[2] - o.box.size[2] / 2 for o in scene.instances("ceiling light")]
        assert min(lights, default=2.0) > 1.9


def test_shipped_statistics_are_those_of_the_real_rooms(real_layouts: Path, tmp_path: Path) -> None:
    written = statistics.write(layouts.read(real_layouts).scenes, tmp_path / "table.json")
    assert json.loads(written.read_text()) == json.loads(contents.STATISTICS.read_text())


def test_upright_boxes_reproduce_the_published_extent(real_layouts: Path) -> None:
    rooms = json.loads((real_layouts / "arkitscenes_meta_info_val.json").read_text())
    for row in [
        r
        for room in list(rooms.values())[:20]
        for rows in room["object_bbox"].values()
        for r in rows
    ]:
        box = layouts.upright(row)
        assert sorted(box.size) == pytest.approx(sorted(row["axesLengths"]))
        points = floor_plan.corners(floor_plan.footprints([box]))[0]
        assert points.min(0) == pytest.approx(np.array(row["min"][:2]), abs=0.03)
        assert points.max(0) == pytest.approx(np.array(row["max"][:2]), abs=0.03)


def test_real_layouts_never_enter_training(real_layouts: Path) -> None:
    with pytest.raises(WorkbookError, match="can't enter split 'train'"):
        next(SCENES["real_layouts"]("train", 1, 0, folder=real_layouts))
    drawn = list(SCENES["real_layouts"]("real_layouts", 6, 0, folder=real_layouts))
    assert {s.scene_id.split("-")[0] for s in drawn} == set(layouts.DATASETS)
    assert list(SCENES["real_layouts"]("real_layouts", 3, 0, folder=real_layouts)) == drawn[:3]


def box_row(**changes: Any) -> dict[str, Any]:
    return {
        "centroid": [1.0, 1.0, 0.4],
        "axesLengths": [0.5, 0.6, 0.8],
        "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    } | changes


def room_row(**boxes: Any) -> dict[str, Any]:
    return {
        "room_size": 12.0,
        "room_center": [0.5, 0.5, 1.2],
        "object_bbox": boxes,
        "object_counts": {c: len(b) for c, b in boxes.items()},
    }


def test_broken_rooms_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    tables: dict[str, Any] = {
        "arkitscenes": {
            "good": room_row(chair=[box_row()], table=[box_row(centroid=[0, 0, 0.4])]),
            "negative": room_row(chair=[box_row(axesLengths=[0.5, -0.6, 0.8])], sofa=[box_row()]),
            "nan": room_row(chair=[box_row(centroid=[math.nan, 0, 0])], sofa=[box_row()]),
        },
        "scannet": {
            "dragon": room_row(dragon=[box_row()], chair=[box_row()]),
            "empty": room_row(),
            "text": "not a room",
            "no size": {"object_bbox": {"chair": [box_row()]}},
        },
        "scannetpp": {
            "void": room_row(chair=[box_row()]) | {"room_size": -3.0},
            "huge": room_row(chair=[box_row()]) | {"room_size": 10**400},
            "far": room_row(chair=[box_row(centroid=[0, 0, 10**400])], sofa=[box_row()]),
        },
    }
    for name, table in tables.items():
        (tmp_path / f"{name}_meta_info_val.json").write_text(json.dumps(table))
    found = layouts.read(tmp_path)
    assert [s.scene_id for s in found.scenes] == [
        "arkitscenes-good",
        "arkitscenes-negative",
        "arkitscenes-nan",
        "scannet-dragon",
        "scannetpp-far",
    ]
    assert [s.categories for s in found.scenes[1:]] == [("sofa",), ("sofa",), ("chair",), ("sofa",)]
    assert len(found.problems) == 9
    for needle in (
        "room negative: category 'chair'",
        "room nan: category 'chair'",
        "category 'dragon'",
        "room empty",
        "room text",
        "room no size",
        "scannetpp_meta_info_val.json, room void",
        "room huge",
        "room far: category 'chair'",
    ):
        assert any(needle in p for p in found.problems), needle
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(list(SCENES["real_layouts"](folder=tmp_path))) == 5
    assert len(caught) == 9


def test_a_missing_folder_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REAL_LAYOUTS", raising=False)
    with pytest.raises(WorkbookError, match="REAL_LAYOUTS"):
        layouts.read()
    with pytest.raises(WorkbookError, match="thinking-in-space"):
        layouts.read(tmp_path)
    with pytest.raises(
        WorkbookError, match=r"no room that can be used \(.*room empty: left out.*thinking-in-space"
    ):
        layouts.read(write_layouts(tmp_path, {"empty": replace(random_room(0), objects=())}))


def test_a_leaning_box_is_stood_up() -> None:
    lean, turn = math.radians(30), math.radians(20)
    up = np.array([math.sin(lean), 0, math.cos(lean)])
    side = np.array([math.cos(lean), 0, -math.sin(lean)])
    spin = np.array(
        [(math.cos(turn), -math.sin(turn), 0), (math.sin(turn), math.cos(turn), 0), (0, 0, 1)]
    )
    axes = np.stack([spin @ up, spin @ np.array([0, 1.0, 0]), spin @ side])
    box = layouts.upright(
        box_row(axesLengths=[1.8, 0.4, 0.9], normalizedAxes=axes.ravel().tolist())
    )
    assert box.size[2] == 1.8
    longer = box.yaw if box.size[0] == 0.9 else box.yaw + math.pi / 2
    assert math.remainder(longer - turn, math.pi) == pytest.approx(0, abs=1e-6)


def test_fronts_look_away_from_the_nearest_wall() -> None:
    outline = ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0))
    sofa = layouts.face_room("sofa", Box((2.0, 0.5, 0.4), (0.9, 2.0, 0.8), math.pi / 2), outline)
    assert sofa.size == (2.0, 0.9, 0.8)
    assert (math.sin(sofa.yaw), -math.cos(sofa.yaw)) == pytest.approx((0.0, 1.0), abs=1e-6)
    bed = layouts.face_room("bed", Box((1.1, 1.5, 0.4), (2.0, 1.4, 0.8), 0.0), outline)
    assert bed.size == (1.4, 2.0, 0.8)
    assert (math.sin(bed.yaw), -math.cos(bed.yaw)) == pytest.approx((1.0, 0.0), abs=1e-6)


def test_room_types() -> None:
    assert contents.room_type({"toilet", "bed"}) == "bathroom"
    assert contents.room_type({"monitor", "chair"}) == "other"
    assert contents.room_type({"monitor", "keyboard"}) == "office"


@pytest.mark.parametrize("difficulty", ["easy", "medium"])
def test_easier_rooms_hold_few_things_of_their_own_categories(difficulty: str) -> None:
    level = contents.LEVELS[difficulty]
    assert level is not None
    wanted = [
        contents.draw(np.random.default_rng(k), difficulty=difficulty).counts for k in range(200)
    ]
    fewest, most = level.kinds
    assert {len(counts) for counts in wanted} == set(range(fewest, most + 1))
    assert {c for counts in wanted for c in counts} == set(level.categories)
    assert all(sum(n > 1 for n in counts.values()) <= 1 for counts in wanted)
    assert {max(counts.values()) for counts in wanted} == set(level.crowds)
    for k in range(12):
        scene = procedural.room("train", 3, k, difficulty=difficulty)
        assert {o.category for o in scene.objects} <= set(level.categories)
        assert interpenetrating(scene) == []
        assert scene == procedural.room("train", 3, k, difficulty=difficulty)
        assert scene.scene_id == f"procedural-train-3-{k:06d}-{difficulty}"


def test_rooms_of_real_difficulty_are_the_usual_ones() -> None:
    assert procedural.room("train", 11, 0, difficulty="real") == SINGLE[0]


def test_a_difficulty_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        WorkbookError, match=r"unknown difficulty 'hard'. Known: easy, medium, real"
    ):
        procedural.room("train", 0, 0, difficulty="hard")
    with pytest.raises(WorkbookError, match="have no room type and at least 5 objects"):
        procedural.room("train", 0, 0, difficulty="easy", room_type="kitchen")
    with pytest.raises(WorkbookError, match="min_objects=9"):
        procedural.room("train", 0, 0, difficulty="easy", min_objects=9)
