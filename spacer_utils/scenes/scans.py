"""Real scans (ScanNet, ScanNet++, ARKitScenes) from a folder on disk, through scenezoo (optional
extra ``scans``).

A scan becomes a ``Scene`` (boxes, floor) and, with ``film``, a ``Clip`` of its own frames. Scans
are split by physical space, and the rooms of VSI-Bench never enter training or held-out data.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from ..core.registry import SCENES
from ..core.types import Box, Scene, SceneObject, Split, WorkbookError
from .contents import room_type
from .floor_plan import Floats, bounding_rectangle
from .real_layouts import rotation, upright

BENCHMARK_ROOMS = Path(__file__).parent.parent / "assets" / "benchmark_rooms.json"
GENERIC = frozenset(
    {"wall", "floor", "ceiling", "object", "objects", "unknown", "remove", "split", "unlabeled"}
)
"""Labels that no question may name."""
HELDOUT_SHARE = 0.1
"""Share of the physical spaces that are held out."""
FLOOR_CELL = 0.1
"""Side of the cells in which a scan's floor area is counted, metres."""
FINER = 5
"""Pixels per side of such a cell where the triangles of a scan are drawn."""


@dataclass(frozen=True)
class Release:
    """How one dataset lies on disk and is asked for."""

    zoo: str
    """Its name in scenezoo."""
    scans: tuple[str, ...]
    """Folders that hold one folder per scan."""
    box_type: str
    rate: float
    """Frames per second of the camera."""
    frames: dict[str, Any] = field(default_factory=dict)
    """Options of scenezoo's ``get_frames``."""


RELEASES: dict[str, Release] = {
    "scannet": Release("scannetv2", ("scans",), "mobb_gravity", 30.0),
    "scannetpp": Release("scannetppv2", ("data",), "mobb_gravity", 60.0, {"source": "iphone"}),
    "arkitscenes": Release(
        "arkitscenes", ("raw/Training", "raw/Validation"), "obb_gt", 30.0, {"source": "vga_wide"}
    ),
}


@SCENES.register("scans", needs="folder")
def rooms(
    split: Split = "train",
    count: int | None = None,
    seed: int = 0,
    *,
    folder: Path | str,
    dataset: str = "scannet",
    exclude: Collection[str] = (),
    **options: Any,
) -> Iterator[Scene]:
    """Real scans of ScanNet, ScanNet++ or ARKitScenes on disk (needs the extra ``scans``).

    Args:
        count: at most this many, in an order that ``seed`` fixes; None for all.
        folder: where the dataset was downloaded to.
        exclude: scans, or physical spaces, that must not appear, beside the rooms of VSI-Bench.
        options: passed on to ``scenezoo.get_dataset``.

    Raises:
        WorkbookError: scenezoo is missing, another split than train or heldout, an unknown dataset,
            or an empty folder.
    """
    reader = open_dataset(dataset, folder, **options)
    left = count
    for scan_id in usable_scans(reader, dataset, folder, split, seed, exclude):
        if left == 0:
            return
        try:
            scene = read_scan(reader, dataset, scan_id, split)
        except WorkbookError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        yield scene
        left = None if left is None else left - 1


def usable_scans(
    reader: Any,
    dataset: str,
    folder: Path | str,
    split: Split,
    seed: int = 0,
    exclude: Collection[str] = (),
) -> list[str]:
    """Scans of a split in an order that ``seed`` fixes: by physical space, without VSI-Bench's
    rooms and what is excluded.

    Raises:
        WorkbookError: another split than train or heldout, or an empty folder.
    """
    if split not in ("train", "heldout"):
        raise WorkbookError(f"scans are split into train and heldout, not {split!r}.")
    shunned = benchmark_spaces(reader, dataset) | set(exclude)
    spaces = {scan_id: space_of(reader, dataset, scan_id) for scan_id in scan_ids(dataset, folder)}
    return [
        scan_id
        for scan_id in sorted(spaces, key=lambda s: (crc32(f"{seed}:{s}".encode()), s))
        if not shunned & {spaces[scan_id], scan_id, f"{dataset}-{scan_id}"}
        and split_of(spaces[scan_id], seed) == split
    ]


def _zoo() -> Any:
    try:
        import scenezoo
    except ImportError as error:
        raise WorkbookError(
            f"real scans need scenezoo ({error}). "
            "Run in the project's folder: pip install -e '.[scans]'"
        ) from error
    return scenezoo


def open_dataset(dataset: str, folder: Path | str, **options: Any) -> Any:
    """The scenezoo reader of a downloaded dataset.

    Raises:
        WorkbookError: scenezoo is missing, or the dataset is unknown.
    """
    if dataset not in RELEASES:
        raise WorkbookError(f"unknown scan dataset {dataset!r}. Known: {', '.join(RELEASES)}.")
    return _zoo().get_dataset(RELEASES[dataset].zoo, str(folder), **options)


def scan_ids(dataset: str, folder: Path | str) -> list[str]:
    """Names of the scans that lie on disk.

    Raises:
        WorkbookError: there is none.
    """
    places = [Path(folder) / p for p in RELEASES[dataset].scans]
    found = sorted(
        scan.name for place in places if place.is_dir() for scan in place.iterdir() if scan.is_dir()
    )
    if not found:
        raise WorkbookError(
            f"no {dataset} scan under {folder}: expected folders in {', '.join(RELEASES[dataset].scans)}. "
            f"Download the dataset with its own script, then pass its folder."
        )
    return found


def state_of(dataset: str, folder: Path | str, scan_id: str) -> str:
    """Digest of the names, sizes and times of change of a scan's files."""
    files = [
        p
        for place in RELEASES[dataset].scans
        for p in sorted((Path(folder) / place / scan_id).rglob("*"))
        if p.is_file()
    ]
    about = [(str(p), (stat := p.stat()).st_size, stat.st_mtime_ns) for p in files]
    return hashlib.blake2b(repr(about).encode(), digest_size=8).hexdigest()


def space_of(reader: Any, dataset: str, scan_id: str) -> str:
    """Physical space of a scan: ScanNet's ``sceneXXXX``, ARKitScenes' visit, ScanNet++'s scene."""
    if dataset == "scannet":
        return f"scannet-{scan_id.rsplit('_', 1)[0]}"
    if (
        dataset == "arkitscenes"
        and (visit := reader.metadata.get(scan_id, {}).get("visit_id")) is not None
    ):
        return f"arkitscenes-visit{visit}"
    return f"{dataset}-{scan_id}"


def benchmark_spaces(reader: Any, dataset: str) -> set[str]:
    """Physical spaces of VSI-Bench's rooms in a dataset; the list ships with the package."""
    return {
        space_of(reader, dataset, scan_id)
        for scan_id in json.loads(BENCHMARK_ROOMS.read_text())[dataset]
    }


def split_of(space: str, seed: int) -> Split:
    """``train`` or ``heldout``, the same for all scans of a space."""
    return "heldout" if crc32(f"{seed}:{space}".encode()) % 1000 < 1000 * HELDOUT_SHARE else "train"


@dataclass(frozen=True, eq=False)
class Surface:
    """A scan's mesh in the scene's frame: floor at z = 0, main walls along the axes."""

    vertices: Floats
    faces: npt.NDArray[np.int32]
    align: Floats
    """(4, 4) from the dataset's world to the scene's frame."""


def surface(reader: Any, dataset: str, scan_id: str) -> Surface:
    """The mesh of a scan, aligned and set on its floor."""
    mesh = reader.get_mesh(scan_id)
    vertices = np.asarray(mesh.vertices)
    if len(vertices) < 3 or not np.isfinite(vertices).all():
        raise WorkbookError(
            f"its mesh has {len(vertices)} vertices, not all of them finite. Leave the scan out."
        )
    align = np.eye(4)
    if dataset == "scannet":
        align = np.asarray(reader.get_alignment(scan_id), dtype=np.float64)
    else:
        yaw = bounding_rectangle(vertices[ConvexHull(vertices[:, :2]).vertices, :2])[2]
        align[:2, :2] = rotation(-math.remainder(yaw, math.pi / 2))
    vertices = vertices @ align[:3, :3].T + align[:3, 3]
    drop = np.eye(4)
    drop[2, 3] = -float(np.quantile(vertices[:, 2], 0.01))
    return Surface(
        vertices + drop[:3, 3], np.ascontiguousarray(mesh.triangles, dtype=np.int32), drop @ align
    )


def read_scan(reader: Any, dataset: str, scan_id: str, split: Split) -> Scene:
    """A scan as a scene: upright boxes of annotated objects (``seed`` is the annotation's key),
    outline and floor area.

    Raises:
        WorkbookError: no usable object, a box with a side that is not a length, or damaged files;
            the message names the scan.
    """
    with named_errors(dataset, scan_id):
        scene = _read(reader, dataset, scan_id, split)
    return scene


@contextlib.contextmanager
def named_errors(dataset: str, scan_id: str) -> Iterator[None]:
    """Whatever goes wrong while a scan is read becomes an error that names it."""
    try:
        yield
    except WorkbookError as error:
        raise WorkbookError(f"{dataset} scan {scan_id}: {error}") from None
    except Exception as error:  # of damaged files, the readers raise any kind
        raise WorkbookError(f"{dataset} scan {scan_id}: {type(error).__name__}: {error}") from None


def _read(reader: Any, dataset: str, scan_id: str, split: Split) -> Scene:
    ground = surface(reader, dataset, scan_id)
    boxes, names = reader.get_boxes(scan_id, box_type=RELEASES[dataset].box_type)
    objects: list[SceneObject] = []
    for key in sorted(boxes):
        label = str(names[key]).strip().lower()
        if label not in GENERIC:
            box = _box(boxes[key], ground.align, f"object {key} ({label})")
            objects.append(SceneObject(len(objects) + 1, label, box, seed=int(key)))
    if not objects:
        raise WorkbookError("no annotated object")
    outline, area = floor_of(ground)
    return Scene(
        scene_id=f"{dataset}-{scan_id}",
        space_id=space_of(reader, dataset, scan_id),
        source="scans",
        split=split,
        polygon=outline,
        floor_area=area,
        ceiling_height=round(float(np.quantile(ground.vertices[:, 2], 0.999)), 3),
        objects=tuple(objects),
        room_type=room_type({o.category for o in objects}),
        seed=crc32(scan_id.encode()),
    )


def _box(box: Any, align: Floats, where: str) -> Box:
    axes = (align[:3, :3] @ np.asarray(box.R)).T
    center = align[:3, :3] @ np.asarray(box.center) + align[:3, 3]
    try:
        return upright(
            {
                "axesLengths": list(box.extent),
                "centroid": list(center),
                "normalizedAxes": axes.ravel().tolist(),
            }
        )
    except ValueError as error:
        raise WorkbookError(f"{where}: {error}") from error


def floor_of(ground: Surface) -> tuple[tuple[tuple[float, float], ...], float]:
    """(convex outline, floor area in m2) of what was scanned, seen from above; gaps of half a metre
    are closed."""
    flat = ground.vertices[:, :2]
    hull = ConvexHull(flat)
    outline = tuple((float(x), float(y)) for x, y in flat[hull.vertices])
    low, scale = flat.min(0) - 1.0, 1 / FLOOR_CELL
    width, height = (int(v) for v in (flat.max(0) + 1.0 - low) * scale)
    # draw every triangle on a sheet of five times as many pixels, and look at the cells' middles
    sheet = Image.new("1", (FINER * width, FINER * height))
    pen = ImageDraw.Draw(sheet)
    for corners in (FINER * scale * (flat - low))[ground.faces]:
        pen.polygon(corners.ravel().tolist(), fill=1)
    seen = np.asarray(sheet)[FINER // 2 :: FINER, FINER // 2 :: FINER]
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(seen, iterations=5))
    return outline, round(min(float(closed.sum()) * FLOOR_CELL**2, float(hull.volume)), 3)


@functools.cache
def benchmark_names() -> frozenset[str]:
    """Scene ids and physical spaces (``scannet-scene0011_00``, ``scannet-scene0011``) of
    VSI-Bench's rooms, for audits."""
    found = {
        f"{dataset}-{scan}"
        for dataset in RELEASES
        for scan in json.loads(BENCHMARK_ROOMS.read_text())[dataset]
    }
    return frozenset(
        found | {name.rsplit("_", 1)[0] for name in found if name.startswith("scannet-")}
    )
