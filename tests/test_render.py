"""The renderer: agreement with ray casting, equal bits on any number of threads, furniture that
fills its box."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kit.numpy_renderer import NumpyRenderer

from spacer_utils.core.types import Box, Scene, SceneObject, WorkbookError
from spacer_utils.render import Renderer, furniture, shell
from spacer_utils.render.optics import NEAR, ray_matrix
from spacer_utils.render.textures import atlas
from spacer_utils.scenes import placement

SIZES = {
    name: furniture.RECIPES[furniture.ALIASES.get(name, name)].size for name in furniture.CATEGORIES
}
ROOM = ((-3.0, -2.5), (3.0, -2.5), (3.0, 2.5), (-3.0, 2.5))
CORNERED = ((-3.0, -2.5), (3.0, -2.5), (3.0, 0.5), (0.5, 0.5), (0.5, 2.5), (-3.0, 2.5))
FLAT = (ROOM, ((3.12, -2.0), (6.5, -2.0), (6.5, 1.8), (3.12, 1.8)))


def furnished(seed: int, polygon=ROOM, rooms=(), count: int = 14) -> Scene:
    """Random things at random places, turned and overlapping at will: harder than a tidy room."""
    rng = np.random.default_rng(seed)
    objects = []
    for k in range(count):
        category = str(rng.choice(furniture.CATEGORIES))
        size = tuple((np.array(SIZES[category]) * rng.uniform(0.7, 1.4, 3)).tolist())
        center = (
            float(rng.uniform(-2.5, 2.5)),
            float(rng.uniform(-2, 2)),
            float(rng.uniform(size[2] / 2, 2)),
        )
        objects.append(
            SceneObject(
                k + 1,
                category,
                Box(center, size, float(rng.uniform(0, 6))),
                int(rng.integers(1000)),
            )
        )
    return Scene(
        f"test-{seed}",
        f"test-{seed}",
        "test",
        "train",
        polygon,
        30.0,
        2.7,
        tuple(objects),
        rooms=rooms,
        seed=seed,
    )


def camera(eye, yaw: float, pitch: float, width: int, height: int, degrees: float = 65.0):
    """(pose, intrinsics) of a camera that looks along ``yaw`` and ``pitch``."""
    forward = np.array(
        [math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)]
    )
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = (
        right,
        np.cross(forward, right),
        forward,
        eye,
    )
    focal = width / 2 / math.tan(math.radians(degrees) / 2)
    return pose, np.array([(focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1)])


def views(seed: int, count: int, width: int, height: int):
    rng = np.random.default_rng([seed, 1])
    for _ in range(count):
        eye = rng.uniform((-2.5, -2.2, 0.8), (2.5, 0.3, 1.9))
        yield camera(eye, rng.uniform(0, 2 * math.pi), rng.uniform(-0.6, 0.3), width, height)


@pytest.mark.slow
def test_ids_and_depth_agree_with_ray_casting():
    pytest.importorskip("embreex")
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    agree, errors = [], []
    for seed, (polygon, rooms) in enumerate(
        [(ROOM, ()), (CORNERED, ()), (ROOM, FLAT), (ROOM, ()), (CORNERED, ())]
    ):
        renderer = Renderer(furnished(seed, polygon, rooms), shadow=False)
        mesh = renderer.stage.mesh
        oracle = EmbreeScene()
        TriangleMesh(oracle, mesh.vertices[mesh.faces].astype(np.float32))
        for pose, intrinsics in views(seed, 10, 120, 90):
            frame = renderer.render(pose, intrinsics, 120, 90)
            pixels = np.stack(
                [*np.meshgrid(np.arange(120) + 0.5, np.arange(90) + 0.5), np.ones((90, 120))], -1
            ).reshape(-1, 3)
            rays = (pixels @ ray_matrix(pose, intrinsics).T).astype(np.float32)
            hits = oracle.run(
                np.tile(pose[:3, 3].astype(np.float32), (len(rays), 1)), rays, output=True
            )
            hit, beyond = hits["primID"] >= 0, hits["tfar"] > 1.01 * NEAR
            ids = np.where(hit, mesh.ids[np.maximum(hits["primID"], 0)], 0)
            agree.append((ids == frame.ids.ravel())[beyond].mean())
            errors.append(np.abs(np.where(hit, hits["tfar"], 0) - frame.depth.ravel())[beyond])
    assert len(agree) == 50
    assert len(np.concatenate(errors)) > 49 * 120 * 90
    assert np.mean(agree) >= 0.999, (
        f"ids agree on {np.mean(agree):.4%} of the pixels (worst view {min(agree):.4%})"
    )
    assert np.median(np.concatenate(errors)) < 1e-3
    assert np.mean(np.concatenate(errors) < 1e-3) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("shadow", [False, True])
def test_pixels_do_not_depend_on_threads(shadow):
    scene = furnished(7)
    one, three = (Renderer(scene, shadow=shadow, threads=n) for n in (1, 3))
    for pose, intrinsics in views(7, 4, 97, 61):
        for a, b in zip(
            one.render(pose, intrinsics, 97, 61), three.render(pose, intrinsics, 97, 61)
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_pixels_repeat_in_other_processes():
    code = (
        "import hashlib, test_render as t; r = t.Renderer(t.furnished(2)); arrays = [a for pose, k in t.views(2, 3, 90, 70) "
        "for a in r.render(pose, k, 90, 70)]; print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())"
    )
    digests = set()
    for number in ("1", "2"):
        env = {
            **os.environ,
            "NUMBA_NUM_THREADS": number,
            "OMP_NUM_THREADS": number,
            "PYTHONHASHSEED": number,
        }
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1


@pytest.mark.slow
def test_numpy_gives_equal_ids_and_depth():
    scene = furnished(3, CORNERED)
    fast, slow = Renderer(scene), NumpyRenderer(scene)
    for pose, intrinsics in views(3, 3, 100, 75):
        a, b = fast.render(pose, intrinsics, 100, 75), slow.render(pose, intrinsics, 100, 75)
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.depth, b.depth)
        assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 0.5


def test_shadows_darken_and_never_move_anything():
    scene = furnished(5)
    for pose, intrinsics in views(5, 3, 80, 60):
        dark, light = (
            Renderer(scene, shadow=s).render(pose, intrinsics, 80, 60) for s in (True, False)
        )
        np.testing.assert_array_equal(dark.ids, light.ids)
        assert (dark.rgb.astype(int) <= light.rgb).all()
        assert dark.rgb.mean() < light.rgb.mean()


@pytest.mark.parametrize("category", furniture.CATEGORIES)
def test_furniture_fills_its_box_exactly(category):
    rng = np.random.default_rng(0)
    sizes = [
        SIZES[category],
        *(tuple((np.array(SIZES[category]) * rng.uniform(0.3, 2.5, 3)).tolist()) for _ in range(5)),
    ]
    for seed, size in enumerate(sizes):
        mesh = furniture.build(category, size, seed)
        np.testing.assert_allclose(mesh.vertices.max(0), np.array(size) / 2, atol=1e-9)
        np.testing.assert_allclose(mesh.vertices.min(0), np.array(size) / -2, atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)
        assert np.isfinite(mesh.uv).all()
        assert mesh.faces.max() < len(mesh.vertices)
        assert (mesh.colors > 0).all()
        assert np.isin(mesh.textures, list(atlas().index.values())).all()


def test_a_turned_box_is_filled_along_its_own_axes():
    box = Box((1.0, -0.5, 0.45), (1.2, 0.6, 0.9), 0.6)
    scene = Scene("a", "a", "test", "train", ROOM, 30.0, 2.7, (SceneObject(4, "desk", box, 1),))
    mesh = Renderer(scene, shadow=False).stage.mesh
    points = mesh.vertices[np.unique(mesh.faces[mesh.ids == 4])] - box.center
    cos, sin = math.cos(box.yaw), math.sin(box.yaw)
    own = points @ np.array([(cos, -sin, 0), (sin, cos, 0), (0, 0, 1)])
    np.testing.assert_allclose(own.max(0), np.array(box.size) / 2, atol=1e-9)


def test_instances_of_a_category_vary_and_repeat_by_seed():
    build = lambda seed: furniture.build("sofa", (1.9, 0.9, 0.8), seed)  # noqa: E731
    np.testing.assert_array_equal(build(1).colors, build(1).colors)
    assert len({build(seed).colors.tobytes() for seed in range(8)}) > 4


@pytest.mark.parametrize(
    ("category", "image"), [("tv", "screen"), ("monitor", "desktop"), ("clock", "clockface")]
)
def test_fronts_face_minus_y(category, image):
    mesh = furniture.build(category, SIZES[category], 0)
    shown = mesh.faces[mesh.textures == atlas().index[image]]
    facing = mesh.normals[shown].mean(1)
    assert mesh.vertices[shown[facing[:, 1] < -0.9]][:, :, 1].max() < 0


def test_unknown_category_is_named():
    with pytest.raises(WorkbookError, match=r"'flux capacitor'.*sofa"):
        furniture.parts("flux capacitor", (1, 1, 1), 0)


@pytest.mark.parametrize(
    ("box", "instance", "message"),
    [
        (Box((0, 0, 1), (1, -0.5, 1)), 7, "instance 7 .sofa. has the box"),
        (Box((0, float("nan"), 1), (1, 1, 1)), 7, "instance 7 .sofa. has the box"),
        (Box((0, 0, 1), (1, 1, 1)), 1, "instance id 1 .sofa. is below 1 or taken"),
        (Box((0, 0, 1), (1, 1, 1)), 0, "instance id 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(box, instance, message):
    scene = replace(furnished(0, count=1), scene_id="broken")
    scene = replace(scene, objects=(*scene.objects, SceneObject(instance, "sofa", box)))
    with pytest.raises(WorkbookError, match=f"scene broken: {message}"):
        Renderer(scene)


def test_a_pose_that_is_not_finite_is_refused():
    with pytest.raises(WorkbookError, match="camera pose"):
        Renderer(furnished(0, count=1), shadow=False).render(
            np.full((4, 4), np.nan), np.eye(3), 8, 8
        )


def test_every_name_of_the_real_layouts_can_be_drawn(real_layouts):
    names = {
        c
        for path in real_layouts.glob("*_meta_info_val.json")
        for room in json.loads(path.read_text()).values()
        for c in room["object_bbox"]
    }
    assert len(names) == 65
    assert names <= set(furniture.CATEGORIES)
    assert len(furniture.CATEGORIES) >= 65 + 10


def test_rooms_have_no_holes():
    for seed, (polygon, rooms) in enumerate([(ROOM, ()), (CORNERED, ()), (ROOM, FLAT)]):
        renderer = Renderer(furnished(seed, polygon, rooms, count=2), shadow=False)
        for pose, intrinsics in views(seed, 12, 64, 48):
            assert (renderer.render(pose, intrinsics, 64, 48).depth > 0).all()


def test_rooms_of_a_flat_are_joined_by_a_doorway():
    (room, edge, a, b), (other, _, c, d) = shell.openings(FLAT)
    assert (room, edge, other) == (0, 1, 1)
    assert math.dist(a, b) == pytest.approx(shell.DOOR_WIDTH)
    assert {a[0], b[0]} == {3.0}
    assert {c[0], d[0]} == {3.12}
    assert (a[1] + b[1]) / 2 == pytest.approx(-0.1)
    renderer = Renderer(furnished(0, ROOM, FLAT, count=0), shadow=True)
    pose, intrinsics = camera((0, -0.1, 1.2), 0.0, 0.0, 41, 41)
    depth = renderer.render(pose, intrinsics, 41, 41).depth
    assert depth[20, 20] == pytest.approx(6.5, abs=1e-5)
    assert depth[20, 0] == pytest.approx(3.0, abs=1e-5)


DART = ((0, 0), (4, 0), (4, 3), (2, 1), (0, 3))
STRAIGHT_CORNERS = ((0, 0), (1, 0), (2, 0), (2, 2), (1, 2), (0, 2))


@pytest.mark.parametrize("outline", [ROOM, CORNERED, DART, STRAIGHT_CORNERS])
def test_floors_of_any_outline_are_covered_once(outline):
    points = np.array(outline, dtype=float)
    x, y = points.T
    whole = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    corners = points[np.array(shell.triangulate(outline))]
    edge, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = (edge[:, 0] * side[:, 1] - edge[:, 1] * side[:, 0]) / 2
    assert (areas >= -1e-9).all()
    assert areas.sum() == pytest.approx(whole)


def test_what_is_drawn_to_hang_or_rest_is_placed_so():
    where = {
        **dict.fromkeys(placement.HANGING, "wall"),
        **dict.fromkeys(placement.RESTING, "on-top"),
        **dict.fromkeys(placement.CEILING, "ceiling"),
    }
    assert {name: where.get(name, "floor") for name in furniture.CATEGORIES} == furniture.MOUNT
