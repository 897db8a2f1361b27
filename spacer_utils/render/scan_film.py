"""Film a scan: its own frames with their poses, and what was seen in which of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.frames import sample_indices
from ..core.profiles import Data
from ..core.types import Clip, Scene, WorkbookError
from ..scenes.scans import RELEASES, named_errors, surface
from .optics import camera_rows
from .raster import visible


def film(reader: Any, dataset: str, scene: Scene, data: Data) -> tuple[npt.NDArray[np.uint8], Clip]:
    """Evenly spaced real frames of a scan with their poses; visible shares come from its mesh, seen
    from the same cameras.

    Returns:
        (T, H, W, 3) uint8 frames, cropped to ``data.width`` x ``data.height``, and their clip at
        its true rate.

    Raises:
        WorkbookError: the scan has no frame with a pose, or damaged files; the message names the
            scan.
    """
    scan_id = scene.scene_id.removeprefix(f"{dataset}-")
    with named_errors(dataset, scan_id):
        frames, clip = _film(reader, dataset, scan_id, scene, data)
    return frames, clip


def _film(
    reader: Any, dataset: str, scan_id: str, scene: Scene, data: Data
) -> tuple[npt.NDArray[np.uint8], Clip]:
    # Evenly spaced frames that have a pose.
    release, size = RELEASES[dataset], (data.width, data.height)
    usable = reader.get_frames(scan_id, items=("world_to_camera",), **release.frames).indices
    if not len(usable):
        raise WorkbookError("no frame with a camera pose. Leave the scan out.")
    picked = usable[sample_indices(len(usable), data.clip_frames)]
    batch = reader.get_frames(
        scan_id,
        indices=picked,
        items=("rgb", "rgb_intrinsics", "world_to_camera"),
        output_size=size,
        center_crop=True,
        **release.frames,
    )

    # The cameras, in the scene's axes.
    ground = surface(reader, dataset, scan_id)
    owner = face_owners(reader, scene, scan_id, ground.faces)
    poses = np.round(ground.align @ np.linalg.inv(batch.world_to_camera.astype(np.float64)), 6)
    matrix = batch.rgb_intrinsics.astype(np.float64).mean(0)
    matrix[:2, 2] += 0.5  # scenezoo puts pixel centres on whole numbers, the renderer on halves

    # What each instance covers of every frame.
    shares = np.zeros((len(poses), len(scene.objects) + 1))
    for k, pose in enumerate(poses):
        cover = visible(ground.vertices, ground.faces, camera_rows(pose, matrix), *size)
        seen = np.append(owner[cover.triangle], 0)[cover.owner]
        shares[k] = np.bincount(seen.ravel(), minlength=len(scene.objects) + 1) / seen.size

    step = (picked[-1] - picked[0]) / max(len(picked) - 1, 1)
    return batch.rgb, Clip(
        video_id=scene.scene_id,
        scene=scene,
        fps=float(release.rate / max(step, 1.0)),
        width=data.width,
        height=data.height,
        intrinsics=tuple(tuple(float(v) for v in row) for row in matrix),
        poses=tuple(tuple(tuple(float(v) for v in row) for row in p) for p in poses),
        visible_share={
            o.instance_id: tuple(np.round(shares[:, o.instance_id], 6).tolist())
            for o in scene.objects
        },
    )


def face_owners(
    reader: Any, scene: Scene, scan_id: str, faces: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """(m,) instance id of each triangle of the scan's mesh, by two of its three corners; 0 for
    none."""
    labels = reader.get_segmentation(scan_id).labels
    labels = labels if labels.ndim == 1 else labels[:, 0]
    instance = {o.seed: o.instance_id for o in scene.objects}
    of_vertex: npt.NDArray[np.int64] = np.array(
        [instance.get(int(v), 0) for v in labels], dtype=np.int64
    )
    a, b, c = of_vertex[faces].T
    owner: npt.NDArray[np.int64] = np.where(b == c, b, a)
    return owner
