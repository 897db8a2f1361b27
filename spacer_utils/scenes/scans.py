"""Real scans (ScanNet, ScanNet++, ARKitScenes) on disk, read with scenezoo (extra ``scans``).

A scan becomes a ``Scene`` (boxes, floor) and, with ``film``, a ``Clip`` of its own frames. All
scans of one physical space are in the same split. The rooms of VSI-Bench never enter training or
held-out data.
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
"""Labels of annotations that are no objects to ask about."""
HELDOUT_SHARE = 0.1
"""Share of the physical spaces that are held out."""
FLOOR_CELL = 0.1
"""Side of the grid cells that a scan's floor area is counted in, metres."""
FINER = 5
"""Pixels per side of such a cell where the triangles of a scan are drawn."""


@dataclass(frozen=True)
class Release:
    """Where one dataset keeps its scans on disk, and how scenezoo reads it."""

    zoo: str
    """The dataset's name in scenezoo."""
    scans: tuple[str, ...]
    """Folders that contain one folder per scan."""
    box_type: str
    """``box_type`` of scenezoo's ``get_boxes``."""
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
        count: at most this many; None for all.
        seed: fixes the order of the scans.
        folder: where the dataset was downloaded to.
        exclude: scans or physical spaces to leave out, besides the rooms of VSI-Bench.
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
    """Scans of a split, in an order that ``seed`` fixes.

    Args:
        exclude: scans or physical spaces to leave out, besides the rooms of VSI-Bench.

    Raises:
        WorkbookError: another split than train or heldout, or an empty folder.
    """
    if split not in ("train", "heldout"):
        raise WorkbookError(f"scans are split into train and heldout, not {split!r}.")
    excluded = benchmark_spaces(reader, dataset) | set(exclude)
    spaces = {scan_id: space_of(reader, dataset, scan_id) for scan_id in scan_ids(dataset, folder)}
    return [
        scan_id
        for scan_id in sorted(spaces, key=lambda s: (crc32(f"{seed}:{s}".encode()), s))
        if not excluded & {spaces[scan_id], scan_id, f"{dataset}-{scan_id}"}
        and split_of(spaces[scan_id], seed) == split
    ]


def _zoo() -> Any:
    """The module scenezoo."""
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
    """Names of the scans on disk, sorted.

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
    """Digest of the names, sizes and modification times of a scan's files."""
    files = [
        p
        for place in RELEASES[dataset].scans
        for p in sorted((Path(folder) / place / scan_id).rglob("*"))
        if p.is_file()
    ]
    about = [(str(p), (stat := p.stat()).st_size, stat.st_mtime_ns) for p in files]
    return hashlib.blake2b(repr(about).encode(), digest_size=8).hexdigest()


def space_of(reader: Any, dataset: str, scan_id: str) -> str:
    """Name of the physical space that was scanned.

    ``sceneXXXX`` in ScanNet, which may have several scans; the visit in ARKitScenes; the scan
    itself in ScanNet++.
    """
    if dataset == "scannet":
        return f"scannet-{scan_id.rsplit('_', 1)[0]}"
    if (
        dataset == "arkitscenes"
        and (visit := reader.metadata.get(scan_id, {}).get("visit_id")) is not None
    ):
        return f"arkitscenes-visit{visit}"
    return f"{dataset}-{scan_id}"


def benchmark_spaces(reader: Any, dataset: str) -> set[str]:
    """Physical spaces of VSI-Bench's rooms in a dataset, by ``assets/benchmark_rooms.json``."""
    return {
        space_of(reader, dataset, scan_id)
        for scan_id in json.loads(BENCHMARK_ROOMS.read_text())[dataset]
    }


def split_of(space: str, seed: int) -> Split:
    """``train`` or ``heldout``, the same for all scans of a space."""
    return "heldout" if crc32(f"{seed}:{space}".encode()) % 1000 < 1000 * HELDOUT_SHARE else "train"


@dataclass(frozen=True, eq=False)
class Surface:
    """A scan's mesh in the scene's coordinates: floor at z = 0, walls along x and y."""

    vertices: Floats
    faces: npt.NDArray[np.int32]
    align: Floats
    """(4, 4) matrix from the dataset's coordinates to the scene's."""


def surface(reader: Any, dataset: str, scan_id: str) -> Surface:
    """The mesh of a scan, with its walls along the axes and its floor at z = 0."""
    mesh = reader.get_mesh(scan_id)
    vertices = np.asarray(mesh.vertices)
    if len(vertices) < 3 or not np.isfinite(vertices).all():
        raise WorkbookError(
            f"its mesh has {len(vertices)} vertices, not all of them finite. Leave the scan out."
        )

    # ScanNet publishes the alignment with the walls; elsewhere the smallest rectangle around the
    # mesh gives it.
    align = np.eye(4)
    if dataset == "scannet":
        align = np.asarray(reader.get_alignment(scan_id), dtype=np.float64)
    else:
        hull = vertices[ConvexHull(vertices[:, :2]).vertices, :2]
        _, _, yaw = bounding_rectangle(hull)
        align[:2, :2] = rotation(-math.remainder(yaw, math.pi / 2))
    vertices = vertices @ align[:3, :3].T + align[:3, 3]

    # The floor is the 1% quantile of the heights: a few vertices lie below it.
    drop = np.eye(4)
    drop[2, 3] = -float(np.quantile(vertices[:, 2], 0.01))
    faces = np.ascontiguousarray(mesh.triangles, dtype=np.int32)
    return Surface(vertices + drop[:3, 3], faces, drop @ align)


def read_scan(reader: Any, dataset: str, scan_id: str, split: Split) -> Scene:
    """A scan as a scene: upright boxes of its annotated objects, outline and floor area.

    An object's ``seed`` is the key of its annotation.

    Raises:
        WorkbookError: no usable object, a box with an impossible side, or damaged files; the
            message names the scan.
    """
    with named_errors(dataset, scan_id):
        scene = _read(reader, dataset, scan_id, split)
    return scene


@contextlib.contextmanager
def named_errors(dataset: str, scan_id: str) -> Iterator[None]:
    """Turns every exception inside the block into a ``WorkbookError`` that names the scan."""
    try:
        yield
    except WorkbookError as error:
        raise WorkbookError(f"{dataset} scan {scan_id}: {error}") from None
    except Exception as error:  # the readers raise any kind of exception on damaged files
        raise WorkbookError(f"{dataset} scan {scan_id}: {type(error).__name__}: {error}") from None


def _read(reader: Any, dataset: str, scan_id: str, split: Split) -> Scene:
    """The work of ``read_scan``."""
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
    """An annotated oriented box, aligned with the scene and upright; ``where`` names it in errors."""
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
    """Scene ids and physical spaces of VSI-Bench's rooms, to check that no dataset holds them.

    For example ``scannet-scene0011_00`` and ``scannet-scene0011``.
    """
    found = {
        f"{dataset}-{scan}"
        for dataset in RELEASES
        for scan in json.loads(BENCHMARK_ROOMS.read_text())[dataset]
    }
    return frozenset(
        found | {name.rsplit("_", 1)[0] for name in found if name.startswith("scannet-")}
    )
