"""Types that every part of the workbook shares: scene, clip, cognitive map, sample, answer, score.

One datum flows one way: ``Scene`` (metres) -> MP4 + ``Clip`` + ``CognitiveMap`` -> ``Sample`` (one
SpaceR-151k row) -> messages -> text -> ``Answer`` -> ``Score`` -> log row. Everything here is plain
data that survives a JSON round trip.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

ProblemType = Literal["multiple choice", "numerical", "OCR", "free-form", "regression"]
DataType = Literal["image", "video", "text"]
Split = Literal["train", "heldout", "real_layouts"]
SPLITS: tuple[Split, ...] = get_args(Split)
Gate = Literal["correct", "format", "none"]
"""When a map counts: after a right answer, in a well-formed one, or always."""
MapCells = dict[str, list[list[int]]]
"""``{category: [[x, y], ...]}``: one integer grid cell for each instance."""
MapFrame = Literal["first-view", "scan"]
"""Whose axes a map's cells have (see ``maps``)."""

PROBLEM_TYPES: tuple[ProblemType, ...] = (
    "multiple choice",
    "numerical",
    "OCR",
    "free-form",
    "regression",
)
PAPER_GRID = 10
"""Cells per side of the paper's maps."""
IMAGE = "<image>"
"""Marks the place of a medium in a prompt. Without marks, the media come first."""


class WorkbookError(Exception):
    """An error that a user can act on: its message says what went wrong, where, and how to fix
    it."""

    exit_code = 2
    """Status with which a command ends after this error."""


def first_line(error: BaseException, most: int = 160) -> str:
    """The first line of an error's message, cut to ``most`` characters; the error's class where the
    message is empty."""
    line = str(error).strip().split("\n")[0].strip()
    return line[:most] or type(error).__name__


class MissingArtifact(WorkbookError):
    """A stage needs a file that no earlier stage has written."""

    def __init__(self, path: str, written_by: str, run: str) -> None:
        super().__init__(f"{path} (written by {written_by}). Run: {run}")


class BadRow(WorkbookError):
    """A row of a dataset is broken; the message names the file, the line and the field."""


@dataclass(frozen=True)
class Box:
    """Oriented box that stands upright (z up)."""

    center: tuple[float, float, float]
    """Centre, metres, scan frame."""
    size: tuple[float, float, float]
    """Extent along the box's own x, y, z axes, metres; the front of a piece of furniture faces its
    own -y."""
    yaw: float = 0.0
    """Turn about +z, radians, counter-clockwise."""


@dataclass(frozen=True)
class SceneObject:
    """One instance of a category in a room."""

    instance_id: int
    """Unique within the scene, >= 1: the value of its pixels in the id buffer (see ``render``)."""
    category: str
    """Lower-case name as it appears in questions, e.g. ``trash bin``."""
    box: Box
    seed: int = 0
    """Drives shape, colour and texture of the instance."""


@dataclass(frozen=True)
class Scene:
    """A room (or a small flat) in metres, z up."""

    scene_id: str
    space_id: str
    """Physical space: scans of the same space share it, and splits never divide it."""
    source: str
    """Name of the registered scene source."""
    split: Split
    polygon: tuple[tuple[float, float], ...]
    """Floor outline, counter-clockwise, metres."""
    floor_area: float
    """Square metres."""
    ceiling_height: float
    objects: tuple[SceneObject, ...]
    room_type: str = "other"
    rooms: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Outlines of the single rooms of a multi-room flat; empty for one room (then ``polygon`` is
    the room)."""
    seed: int = 0
    """Drives wall, floor and light."""

    def instances(self, category: str) -> tuple[SceneObject, ...]:
        return tuple(o for o in self.objects if o.category == category)

    @property
    def categories(self) -> tuple[str, ...]:
        """Distinct categories in order of first appearance in ``objects``."""
        return tuple(dict.fromkeys(o.category for o in self.objects))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Scene:
        objects = tuple(
            SceneObject(
                o["instance_id"],
                o["category"],
                Box(tuple(o["box"]["center"]), tuple(o["box"]["size"]), o["box"]["yaw"]),
                o["seed"],
            )
            for o in row["objects"]
        )
        return cls(
            **{
                **row,
                "objects": objects,
                "polygon": _outline(row["polygon"]),
                "rooms": tuple(_outline(r) for r in row.get("rooms", ())),
            }
        )


def _outline(points: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)


@dataclass(frozen=True)
class Clip:
    """What is known about one rendered or scanned video besides its pixels
    (``videos/<video_id>.json``)."""

    video_id: str
    scene: Scene
    fps: float
    width: int
    height: int
    intrinsics: tuple[tuple[float, ...], ...]
    """3 x 3 pinhole matrix, pixels."""
    poses: tuple[tuple[tuple[float, ...], ...], ...]
    """(T, 4, 4) camera-to-world, OpenCV axes (x right, y down, z forward), metres."""
    visible_share: dict[int, tuple[float, ...]]
    """instance id -> (T,) share of the frame's pixels that the instance covers, 0-1, occlusion
    included."""

    @property
    def num_frames(self) -> int:
        return len(self.poses)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "scene": self.scene.to_json(), "num_frames": self.num_frames}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Clip:
        known = {f.name for f in fields(cls)}
        row = {k: v for k, v in row.items() if k in known}
        return cls(
            **{
                **row,
                "scene": Scene.from_json(row["scene"]),
                "intrinsics": tuple(tuple(r) for r in row["intrinsics"]),
                "poses": tuple(tuple(tuple(r) for r in p) for p in row["poses"]),
                "visible_share": {int(k): tuple(v) for k, v in row["visible_share"].items()},
            }
        )


def map_frame(name: Any) -> MapFrame:
    """The frame of that name; None means the paper's.

    Raises:
        WorkbookError: no such frame.
    """
    if name is not None and name not in get_args(MapFrame):
        raise WorkbookError(f"unknown map frame {name!r}. Known: {', '.join(get_args(MapFrame))}")
    return name or "scan"


@dataclass(frozen=True)
class CognitiveMap:
    """Ground-truth map of one video: a row of ``cognitive_map.jsonl`` (SpaceR reads its first three
    fields)."""

    video_id: str
    cognitive_map: MapCells
    object_list: tuple[str, ...]
    """Categories that the prompt lists; the keys of ``cognitive_map``."""
    frame: MapFrame = "scan"
    """A row without this field is in the paper's frame."""
    grid: int = PAPER_GRID
    """Cells per side."""

    def to_json(self) -> dict[str, Any]:
        """The row; the paper's grid is not written."""
        row = asdict(self)
        if self.grid == PAPER_GRID:
            del row["grid"]
        return row


@dataclass(frozen=True)
class Sample:
    """One question: a row of SpaceR-151k plus three fields of ours. It carries all that a reward
    needs."""

    problem_id: int
    problem: str
    data_type: DataType
    problem_type: ProblemType
    options: tuple[str, ...]
    """``("A. chair", ...)``; empty unless multiple choice."""
    solution: str
    """``<answer>...</answer>``."""
    path: str
    """Media file relative to the dataset's folder; empty for text."""
    data_source: str
    question_type: str = ""
    scene_id: str = ""
    cognitive_map_id: str = ""
    """``video_id`` of the row of ``cognitive_map.jsonl``; empty when the row has no map."""
    categories: tuple[str, ...] = ()
    """Categories that the question names."""
    cognitive_map: MapCells | None = field(default=None, compare=False)
    """Joined from ``cognitive_map.jsonl`` on loading; never written to the row."""
    map_frame: MapFrame = field(default="scan", compare=False)
    """The frame of ``cognitive_map``, joined with it."""
    map_grid: int = field(default=PAPER_GRID, compare=False)
    """Cells per side of ``cognitive_map``, joined with it."""

    @property
    def gold(self) -> str:
        """The text between the solution's answer tags, stripped."""
        return self.solution.replace("<answer>", "").replace("</answer>", "").strip()

    def joined(self, drawn: CognitiveMap) -> Sample:
        """The sample with its map."""
        return replace(
            self,
            cognitive_map_id=drawn.video_id,
            cognitive_map=drawn.cognitive_map,
            map_frame=drawn.frame,
            map_grid=drawn.grid,
        )

    def to_row(self) -> dict[str, Any]:
        """The JSONL row: every field but the joined map, its frame and its grid."""
        row = asdict(self)
        del row["cognitive_map"], row["map_frame"], row["map_grid"]
        return row

    def to_json_text(self) -> str:
        """The whole sample, map included, as one string: a form that pyarrow can't unify across
        rows."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Sample:
        known = {f.name for f in fields(cls)}
        row = {k: v for k, v in row.items() if k in known}
        return cls(
            **{
                **row,
                "options": tuple(row.get("options") or ()),
                "categories": tuple(row.get("categories") or ()),
            }
        )

    @classmethod
    def from_json_text(cls, text: str) -> Sample:
        return cls.from_row(json.loads(text))


@dataclass(frozen=True)
class Answer:
    """A completion taken apart."""

    text: str
    """The whole completion."""
    think: str | None
    """Inside the first think block, or None."""
    map_text: str | None
    """Between the first ``<map>`` and ``</map>``, or None."""
    answer: str | None
    """Inside the answer block, stripped, or None."""
    problems: tuple[str, ...] = ()
    """Why the completion is not well formed (``no answer block``, ``two answer blocks``, ...);
    empty when it is."""

    @property
    def well_formed(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Score:
    """What one completion earned, term by term."""

    terms: dict[str, float | None]
    """Reward name -> value; None where the reward does not apply."""
    reasons: dict[str, str]
    """Reward name -> why, in a few words."""
    total: float
    """Weighted sum of the terms that count."""
