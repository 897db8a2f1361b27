"""Hand-made rooms and clips for tests: no renderer, no scene source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spacer_utils.core.types import Box, Clip, Scene, SceneObject

NAMES = (
    "bed",
    "sofa",
    "chair",
    "lamp",
    "door",
    "tv",
    "stool",
    "plant",
    "trash bin",
    "table",
    "mirror",
    "backpack",
    "radiator",
    "desk",
)


def room(
    things: list[tuple[str, Box]],
    name: str = "room_0",
    side: tuple[float, float] = (6.0, 5.0),
    split: str = "train",
) -> Scene:
    """A rectangular room with the given boxes."""
    w, d = side
    objects = tuple(SceneObject(k, c, b) for k, (c, b) in enumerate(things, 1))
    return Scene(
        name, name, "procedural", split, ((0, 0), (w, 0), (w, d), (0, d)), w * d, 2.6, objects
    )  # type: ignore[arg-type]


def random_room(seed: int, name: str | None = None, objects: int = 11) -> Scene:
    """A room of small things at random places; a few categories have several instances."""
    rng = np.random.default_rng([seed, 77])
    side = (float(rng.uniform(4, 8)), float(rng.uniform(4, 8)))
    names = [str(n) for n in rng.permutation(NAMES)[:objects]]
    names += [names[0]] * int(rng.integers(0, 6))
    things = []
    for category in names:
        size = rng.uniform(0.2, 1.1, 3)
        centre = (*(rng.uniform(0.6, np.array(side) - 0.6)), size[2] / 2)
        things.append(
            (
                category,
                Box(tuple(map(float, centre)), tuple(map(float, size)), float(rng.uniform(-3, 3))),
            )
        )
    return room(things, name or f"room_{seed}", side)


def write_layouts(folder: Path, rooms: Mapping[str, Scene]) -> Path:
    """Rooms in the format of VSI-Bench's object boxes, as ScanNet's of these names; the other
    datasets' files hold none."""
    table = {}
    for name, scene in rooms.items():
        boxes: dict[str, list[dict[str, Any]]] = {c: [] for c in scene.categories}
        for o in scene.objects:
            c, s = float(np.cos(o.box.yaw)), float(np.sin(o.box.yaw))
            boxes[o.category].append(
                {
                    "centroid": o.box.center,
                    "axesLengths": o.box.size,
                    "normalizedAxes": [c, s, 0, -s, c, 0, 0, 0, 1],
                }
            )
        table[name] = {
            "room_size": scene.floor_area,
            "room_center": [*np.mean(scene.polygon, axis=0), 1.2],
            "object_bbox": boxes,
            "object_counts": {c: len(b) for c, b in boxes.items()},
        }
    folder.mkdir(exist_ok=True)
    for dataset in ("arkitscenes", "scannet", "scannetpp"):
        (folder / f"{dataset}_meta_info_val.json").write_text(
            json.dumps(table if dataset == "scannet" else {})
        )
    return folder


def clip_of(scene: Scene, seed: int = 0, frames: int = 16) -> Clip:
    """A clip in which every object comes into view at its own random frame; the camera turns left
    in the middle of the room."""
    rng = np.random.default_rng([seed, 78])
    shares = {}
    for thing in scene.objects:
        row = np.zeros(frames)
        start = int(rng.integers(0, frames - 3))
        row[start : start + 4] = rng.uniform(0.02, 0.08)
        shares[thing.instance_id] = tuple(float(v) for v in row)
    middle = np.array(scene.polygon).mean(0)
    return Clip(
        f"{scene.scene_id}-v",
        scene,
        2.0,
        64,
        48,
        ((50.0, 0.0, 32.0), (0.0, 50.0, 24.0), (0.0, 0.0, 1.0)),
        tuple(_pose(middle, k / frames * 2 * np.pi) for k in range(frames)),
        shares,
    )


def _pose(eye: np.ndarray, yaw: float) -> tuple[tuple[float, ...], ...]:
    c, s = float(np.cos(yaw)), float(np.sin(yaw))
    return (
        (s, 0.0, c, float(eye[0])),
        (-c, 0.0, s, float(eye[1])),
        (0.0, -1.0, 0.0, 1.5),
        (0.0, 0.0, 0.0, 1.0),
    )
