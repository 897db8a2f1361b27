"""Question types: contracts over the registry, exact geometry, margins, and the balance of what is
chosen."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from conftest import effort
from hypothesis import given
from hypothesis import strategies as st
from kit.rooms import NAMES, clip_of, random_room, room

from spacer_utils import rewards
from spacer_utils.core import directions
from spacer_utils.core.directions import boundary_gap, sector, turn_angle
from spacer_utils.core.registry import QUESTIONS
from spacer_utils.core.types import Box, Sample
from spacer_utils.dataset import balance
from spacer_utils.dataset.oracle import distance as dense_distance
from spacer_utils.dataset.samples import sample, stream
from spacer_utils.questions import projection
from spacer_utils.questions.box_geometry import footprint, surface_distances, wall_clearance
from spacer_utils.questions.obj_appearance_order import first_frames
from spacer_utils.questions.object_rel_distance import category_distances
from spacer_utils.questions.view import GENERIC, WORDINGS, Candidate, View

CLIPS = [clip_of(random_room(seed), seed) for seed in range(effort(8, 24))]
VIEWS = [View(clip, tuple(range(0, 16, 2))) for clip in CLIPS]


@cache
def asked(name: str, wording: str = "spacer") -> list[tuple[View, Candidate]]:
    return [
        (v, c)
        for v in VIEWS
        for c in QUESTIONS[name](v, stream(3, v.clip.scene.scene_id, name), wording)
    ]


def row(
    view: View, name: str, candidate: Candidate, letters: balance.Letters | None = None
) -> Sample:
    clip = view.clip
    dealer = letters or balance.Letters()
    rng = np.random.default_rng(len(candidate.problem))
    return sample(candidate, name, clip.video_id, clip.scene.scene_id, "test", dealer, rng)


@pytest.mark.parametrize("name", QUESTIONS.names())
class TestEveryType:
    def test_asks_something_and_the_same_again(self, name: str) -> None:
        assert asked(name)
        assert asked(name) == asked.__wrapped__(name)

    @pytest.mark.parametrize("wording", WORDINGS)
    def test_fills_its_templates_and_names_no_generic_thing(self, name: str, wording: str) -> None:
        for _, c in asked(name, wording):
            assert not re.search(r"[{}]|None|nan", c.problem + c.answer)
            assert not set(c.categories) & GENERIC
            assert len(set(c.categories)) == len(c.categories)

    def test_the_gold_answer_scores_one_and_a_wrong_one_less(self, name: str) -> None:
        for view, c in asked(name)[:30]:
            s = row(view, name, c)
            number = s.problem_type in ("numerical", "regression")
            other = (
                f"{float(s.gold) * 3 + 5:g}"
                if number
                else next((o[0] for o in s.options if o[0] != s.gold), "nothing")
            )
            gold, bad = (
                rewards.score(s, f"<think></think><answer>{a}</answer>", "strict").terms["accuracy"]
                for a in (s.gold, other)
            )
            assert gold == 1.0
            assert bad is not None
            assert bad < 1.0

    def test_options_are_distinct_hold_the_answer_and_letters_are_even(self, name: str) -> None:
        letters, dealt = balance.Letters(), Counter()
        for view, c in asked(name):
            if c.problem_type != "multiple choice":
                assert c.options == ()
                continue
            assert len(set(c.options)) == len(c.options) >= 2
            s = row(view, name, c, letters)
            assert next(o for o in s.options if o[0] == s.gold) == f"{s.gold}. {c.answer}"
            dealt[len(s.options), s.gold] += 1
        for size in {k for k, _ in dealt}:
            shares = [dealt[size, "ABCD"[k]] for k in range(size)]
            assert max(shares) - min(shares) <= 2

    def test_survives_json(self, name: str) -> None:
        for view, c in asked(name)[:20]:
            s = row(view, name, c)
            assert Sample.from_row(json.loads(json.dumps(s.to_row()))) == s
            assert s.problem_type == QUESTIONS.entry(name).info["problem_type"]

    def test_asks_only_about_what_the_given_frames_show(self, name: str) -> None:
        if (
            name == "general_video_choice"
            or name.startswith("general_image")
            or name in ("general_regression", "general_ocr")
        ):
            pytest.skip("asks about the camera, or about one picture")
        for view, c in asked(name):
            for category in c.categories:
                things = view.clip.scene.instances(category)
                assert not things or any(view.is_seen(o) for o in things)

    def test_an_empty_room_does_no_harm(self, name: str) -> None:
        view = View(clip_of(room([])), (0, 4, 8, 12))
        for c in QUESTIONS[name](view, np.random.default_rng(0), "spacer"):
            assert c.answer


def test_units_are_those_of_the_benchmark() -> None:
    sofa, lamp = Box((1, 1, 0.4), (2.004, 0.9, 0.8)), Box((4.5, 1, 0.5), (0.4, 0.4, 1.0))
    view = View(clip_of(room([("sofa", sofa), ("lamp", lamp)])), tuple(range(16)))
    rng = np.random.default_rng(0)
    answers = {
        n: {c.problem: c.answer for c in QUESTIONS[n](view, rng, "spacer")}
        for n in QUESTIONS.names()
    }
    assert list(answers["object_abs_distance"].values()) == ["2.3"]
    assert {
        q.split("height) of the ")[1].split(",")[0]: a
        for q, a in answers["object_size_estimation"].items()
    } == {"sofa": "200", "lamp": "100"}
    assert list(answers["room_size_estimation"].values()) == ["30.0"]
    assert answers["object_counting"]["How many sofa(s) are in this room?"] == "1"
    assert "0" in answers["object_counting"].values()


def test_a_room_whose_walls_enclose_another_area_is_not_asked_for_its_size() -> None:
    sofa = room([("sofa", Box((1, 1, 0.4), (2.0, 0.9, 0.8)))])
    for scene, asked_for in ((sofa, True), (replace(sofa, floor_area=29.0), False)):
        view = View(clip_of(scene), (0, 8))
        assert (
            bool(QUESTIONS["room_size_estimation"](view, np.random.default_rng(0), "spacer"))
            == asked_for
        )


def test_wordings_are_the_training_sets_and_the_benchmarks() -> None:
    assert "what is the direct distance between" in asked("object_abs_distance")[0][1].problem
    assert "what is the distance between" in asked("object_abs_distance", "vsi")[0][1].problem
    assert "which of the following objects (" in asked("object_rel_distance")[0][1].problem
    assert "which of these objects (" in asked("object_rel_distance", "vsi")[0][1].problem


def test_margins_of_relative_distance() -> None:
    for name, pick in (("object_rel_distance", min), ("object_rel_distance_farthest", max)):
        for view, c in asked(name):
            target = view.clip.scene.instances(c.categories[0])[0]
            distances = category_distances(view, target)
            margin = 0.30 if view.clip.scene.floor_area > 40 else 0.15
            assert c.answer == pick(c.options, key=distances.__getitem__)
            assert all(
                b - a >= margin for a, b in pairwise(sorted(distances[o] for o in c.options))
            )


def test_of_several_instances_the_nearest_counts_and_an_unseen_one_spoils_its_category() -> None:
    small = (0.2, 0.2, 0.2)
    scene = room(
        [
            ("tv", Box((1, 1, 1), small)),
            ("chair", Box((2, 1, 1), small)),
            ("chair", Box((5, 1, 1), small)),
        ]
    )
    clip = clip_of(scene)
    assert category_distances(View(clip, tuple(range(16))), scene.objects[0]) == {
        "chair": pytest.approx(0.8)
    }
    hidden = replace(clip, visible_share={**clip.visible_share, 2: (0.0,) * 16})
    assert category_distances(View(hidden, tuple(range(16))), scene.objects[0]) == {}


@pytest.mark.parametrize(
    ("name", "sectors", "half_turn"),
    [
        ("object_rel_direction_easy", directions.EASY, 0),
        ("object_rel_direction_medium", directions.MEDIUM, 0),
        ("object_rel_direction_hard", directions.HARD, 0),
        ("object_rel_direction_backward", directions.HARD, 180),
    ],
)
def test_margins_of_direction(name: str, sectors: directions.Sectors, half_turn: float) -> None:
    for view, c in asked(name):
        a, b, target = (view.clip.scene.instances(n)[0] for n in c.categories)
        angle = turn_angle(a.box.center, b.box.center, target.box.center) + half_turn
        assert sector(angle, sectors) == c.answer
        assert boundary_gap(angle, sectors) >= 10
        assert max(o.box.size[0] * o.box.size[1] for o in (a, b, target)) <= 1
        assert min(view.distance(a, b), view.distance(a, target), view.distance(b, target)) >= 1
        corners = [
            turn_angle(a.box.center, b.box.center, p) + half_turn for p in footprint(target.box)
        ]
        assert sum(sector(corner, sectors) != c.answer for corner in corners) <= 1


def test_order_has_no_ties() -> None:
    for view, c in asked("obj_appearance_order"):
        first = first_frames(view, view.min_share)
        frames = [first[n] for n in c.answer.split(", ")]
        assert all(b > a for a, b in pairwise(frames))


def test_the_route_of_a_bare_room_is_the_obvious_one() -> None:
    small = (0.4, 0.4, 0.5)
    things = [
        ("tv", Box((1, 1, 0.25), small)),
        ("bed", Box((4, 1, 0.25), small)),
        ("sofa", Box((4, 4, 0.25), small)),
    ]

    def answers(*more: tuple[str, Box]) -> list[str]:
        view = View(clip_of(room([*things, *more])), tuple(range(16)))
        return [
            c.answer
            for c in QUESTIONS["route_planning"](view, np.random.default_rng(0), "")
            if "beginning at the tv and facing the bed. You want to navigate to the sofa"
            in c.problem
        ]

    assert answers() == ["turn left"]
    assert answers(("wardrobe", Box((4, 2.5, 0.9), (3.0, 0.5, 1.1)))) == []


def test_first_named_twice_is_never_asked_about_as_one() -> None:
    scene = room(
        [("chair", Box((1, 1, 0.5), (0.5, 0.5, 1))), ("chair", Box((4, 1, 0.5), (0.5, 0.5, 1)))]
    )
    view = View(clip_of(scene), tuple(range(16)))
    assert not QUESTIONS["object_size_estimation"](view, np.random.default_rng(0), "spacer")
    counts = QUESTIONS["object_counting"](view, np.random.default_rng(0), "spacer")
    assert [c.answer for c in counts if "chair" in c.problem] == ["2"]


@pytest.mark.parametrize(
    ("known", "other"), [("heater", "radiator"), ("trash can", "trash bin"), ("wardrobe", "closet")]
)
def test_names_that_no_picture_tells_apart_are_not_asked_about(known: str, other: str) -> None:
    def named(*more: str) -> dict[str, set[str]]:
        names = ("bed", "sofa", "tv", "stool", known, *more)
        clip = clip_of(
            room(
                [
                    (n, Box((0.5 + k, 0.5 + k / 2, 0.3), (0.4, 0.4, 0.6)))
                    for k, n in enumerate(names)
                ]
            )
        )
        in_turn = {
            k: tuple(0.05 if k <= frame < k + 4 else 0.0 for frame in range(16))
            for k in clip.visible_share
        }
        view = View(replace(clip, visible_share=in_turn), tuple(range(16)))
        rngs = [np.random.default_rng(seed) for seed in range(5)]
        return {
            t: {n for rng in rngs for c in QUESTIONS[t](view, rng, "spacer") for n in c.categories}
            & {known, other}
            for t in QUESTIONS.names()
        }

    alone = named()
    assert set.union(*alone.values()) == {known}
    assert sum(map(bool, alone.values())) >= 8
    assert not any(named(other).values())


# ----------------------------------------------------------------------------------------- geometry

coordinate = st.floats(-4, 4)
side = st.floats(0.05, 2)
boxes = st.builds(
    Box,
    st.tuples(coordinate, coordinate, st.floats(0, 2)),
    st.tuples(side, side, side),
    st.floats(-3.2, 3.2),
)


def moved(box: Box, angle: float = 0.0, mirror: bool = False, scale: float = 1.0) -> Box:
    x, y, z = box.center
    y, yaw = (-y, -box.yaw) if mirror else (y, box.yaw)
    c, s = np.cos(angle), np.sin(angle)
    center = (scale * (c * x - s * y), scale * (s * x + c * y), scale * z)
    return Box(tuple(map(float, center)), tuple(scale * v for v in box.size), float(yaw + angle))


@given(boxes, boxes, st.floats(-3.2, 3.2), st.booleans(), st.floats(0.2, 5))
def test_distance_turns_mirrors_and_scales(
    a: Box, b: Box, angle: float, mirror: bool, scale: float
) -> None:
    before = surface_distances([a, b])
    after = surface_distances([moved(a, angle, mirror, scale), moved(b, angle, mirror, scale)])
    assert before[0, 1] == pytest.approx(before[1, 0], abs=1e-9)
    assert before[0, 0] == 0
    assert after[0, 1] == pytest.approx(scale * before[0, 1], abs=1e-6)


@given(boxes, boxes)
def test_distance_agrees_with_dense_samples(a: Box, b: Box) -> None:
    exact, dense = float(surface_distances([a, b])[0, 1]), dense_distance(a, b)
    assert exact - 1e-9 <= dense + 0.05
    assert dense <= exact + 0.05


points = st.tuples(coordinate, coordinate)


@given(points, points, points, st.floats(-3.2, 3.2))
def test_turns_rotate_and_mirror(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], angle: float
) -> None:
    if min(np.hypot(b[0] - a[0], b[1] - a[1]), np.hypot(c[0] - a[0], c[1] - a[1])) < 0.1:
        return
    before = turn_angle(a, b, c)
    cos, sin = np.cos(angle), np.sin(angle)
    rotated = [(cos * x - sin * y, sin * x + cos * y) for x, y in (a, b, c)]
    assert (turn_angle(*rotated) - before + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
    mirrored = turn_angle(*[(x, -y) for x, y in (a, b, c)])
    assert (mirrored + before + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("angle", "hard", "medium"),
    [
        (45, "front-left", "left"),
        (-45, "front-right", "right"),
        (120, "back-left", "left"),
        (150, "back-left", "back"),
        (-150, "back-right", "back"),
    ],
)
def test_sectors(angle: float, hard: str, medium: str) -> None:
    assert sector(angle, directions.HARD) == hard
    assert sector(angle, directions.MEDIUM) == medium


# ------------------------------------------------------------------------------------------ balance


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 500), min_size=1),
    st.integers(1, 2000),
)
def test_quotas_keep_to_the_supply_and_the_cap(available: dict[str, int], target: int) -> None:
    taken = balance.quotas(available, target)
    total = sum(taken.values())
    assert total <= target
    assert all(taken[c] <= available[c] for c in available)
    if len(available) > 1:
        assert max(taken.values()) <= max(1, balance.CAP * total / len(available))


def test_lopsided_rooms_give_an_even_choice() -> None:
    rng = np.random.default_rng(0)

    def candidates(k: int) -> list[Candidate]:
        kinds = rng.choice(["left", "right", "back"], 6, p=[0.6, 0.35, 0.05])
        options = ("left", "right", "back")
        return [
            Candidate(f"{k}-{i}", "multiple choice", a, (), options, a)
            for i, a in enumerate(kinds.tolist())
        ]

    rooms = [{"t": candidates(k)} for k in range(300)]
    chosen = balance.choose(lambda: rooms, {"t": 600}, {"t": 2}, 0)["t"]
    counts = Counter(rooms[r]["t"][k].answer for r, k in chosen)
    assert max(counts.values()) <= balance.CAP * sum(counts.values()) / 3
    assert max(Counter(r for r, _ in chosen).values()) <= 2
    assert sum(counts.values()) > 150


def test_a_scarce_answer_is_taken_even_where_its_word_tells() -> None:
    rare = Candidate(
        "?", "numerical", "8", ("chair",), balance="8", traits={"chair|absent": -1 / 9}
    )
    usual = Candidate("?", "numerical", "0", ("bed",), balance="0", traits={"bed|absent": 8 / 9})
    rooms = [
        {"t": [replace(rare, problem=f"{k}?"), replace(usual, problem=f"{k}!")]} for k in range(40)
    ]
    chosen = balance.choose(lambda: rooms, {"t": 80}, {"t": 2}, 0)["t"]
    assert sum(k == 0 for _, k in chosen) == 40


# ------------------------------------------------------------------------------------- general rows


def test_what_is_seen_next_follows_with_nothing_between() -> None:
    told = [(v, c) for v, c in asked("general_free_form") if "comes into view right" in c.answer]
    assert {c.problem.split(" the ")[0].split()[-1] for _, c in told} == {"after", "before"}
    for view, c in told:
        first = first_frames(view, view.min_share)
        known, other = first[c.categories[0]], first[c.answer.split(" comes")[0].split(" ", 1)[1]]
        assert (other > known) == ("right after" in c.problem)
        assert not [f for f in first.values() if min(known, other) < f < max(known, other)]
        assert list(first.values()).count(other) == 1


def at_that_end(view: View, problem: str, instance_id: int) -> tuple[float, float]:
    """Shares in the first (or last) frame that this view gives, and in the first (or last) of the
    whole clip."""
    at = 0 if "at the beginning" in problem else -1
    return float(view.shares[instance_id][at]), view.clip.visible_share[instance_id][at]


def test_sentences_name_what_the_frame_shows() -> None:
    told = [
        (v, c) for v, c in asked("general_free_form") if c.problem.startswith("What is in view")
    ]
    assert told
    for view, c in told:
        for thing in view.objects:
            name = thing.category
            for share in at_that_end(view, c.problem, thing.instance_id):
                assert (
                    (re.search(rf"\b{name}", c.answer, re.IGNORECASE) is not None)
                    or share < 0.001
                    or name.endswith("lf")
                )
        assert all(
            min(shares) >= 0.01 or max(shares) < 0.001
            for shares in (at_that_end(view, c.problem, o.instance_id) for o in view.objects)
        )


def test_one_of_four_is_in_view_and_the_others_do_not_show() -> None:
    told = [(v, c) for v, c in asked("general_video_choice") if c.balance.startswith("at the")]
    assert {c.balance for _, c in told} == {"at the beginning", "at the end"}
    for view, c in told:
        shown = {
            o.category: at_that_end(view, c.problem, o.instance_id)
            for o in view.singles
            if o.category in c.options
        }
        assert len(shown) == 4
        assert [name for name, shares in shown.items() if min(shares) >= 0.01] == [c.answer]
        assert [name for name, shares in shown.items() if max(shares) > 0] == [c.answer]


def test_left_and_right_are_those_of_middles_that_the_picture_holds() -> None:
    around = [
        (n, Box((3 + 2 * np.cos(k / 2), 2.5 + 2 * np.sin(k / 2), 1.5), (0.2, 0.2, 0.2)))
        for k, n in enumerate(NAMES[:12])
    ]
    clip = clip_of(room(around))
    clip = replace(clip, visible_share=dict.fromkeys(clip.visible_share, (0.05,) * 16))
    told = [
        c
        for seed in range(20)
        for c in QUESTIONS["general_image_choice"](
            View(clip, (0,)), np.random.default_rng(seed), ""
        )
        if len(c.options) == 2
    ]
    assert {c.answer for c in told} == {"left", "right"}
    for c in told:
        middles = [clip.scene.instances(n)[0].box.center for n in c.categories]
        pixels, _ = projection.project(clip, c.media["frame"], middles)
        assert ((pixels >= 0) & (pixels < [clip.width, clip.height])).all()
        assert (pixels[0, 0] < pixels[1, 0]) == (c.answer == "left")


def test_panels_hang_on_walls_in_full_view() -> None:
    hung = 0
    for view in VIEWS:
        corners = projection.panel_corners(view.clip, 3, np.random.default_rng(1), 2.4)
        if corners is not None:
            hung += 1
            pixels, depth = projection.project(view.clip, 3, corners)
            assert (depth > 0).all()
            assert ((pixels > 0) & (pixels < [view.clip.width, view.clip.height])).all()
            assert pixels[1, 0] > pixels[0, 0]
            assert pixels[3, 1] > pixels[0, 1]
            assert wall_clearance(
                corners[:, :2], np.array(view.clip.scene.polygon)
            ) == pytest.approx([0.03] * 4, abs=1e-6)
    assert hung > len(VIEWS) / 4
