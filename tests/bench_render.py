"""Prints how fast rooms are set up and rendered: ``python tests/bench_render.py``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from spacer_utils.core.registry import SCENES
from spacer_utils.core.types import Scene
from spacer_utils.render import Renderer, camera

ROOMS, VIEWS = 12, 4
SIZES = ((112, 112), (224, 224), (448, 336))


def milliseconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def bench(scenes: list[Scene], shadow: bool) -> None:
    """Set-up time of a room and frame time at three sizes, one thread."""
    made = partial(Renderer, shadow=shadow, threads=1)
    set_up = np.mean([milliseconds(partial(made, s)) for s in scenes])
    objects = np.mean([len(s.objects) for s in scenes])
    print(
        f"\n{'with' if shadow else 'without'} shadow: {set_up:.1f} ms to set up a room of {objects:.0f} objects"
    )
    for width, height in SIZES:
        matrix = camera.intrinsics(width, height)
        spent = np.mean(
            [
                milliseconds(partial(renderer.render, pose, matrix, width, height))
                for s in scenes
                for renderer in [made(s)]
                for pose in poses(s)
            ]
        )
        print(
            f"  {width} x {height}: {spent:.2f} ms a frame, {1000 / spent:.0f} frames/s on one core"
        )


def poses(scene: Scene) -> Any:
    """A few poses of one sweep through a room."""
    return camera.trajectory(scene, "sweep", VIEWS, 2.0, 224, 224, np.random.default_rng(0))


def main() -> None:
    scenes = [s for s in SCENES["procedural"]("train", 80, 0) if 9 <= len(s.objects) <= 16][:ROOMS]
    started = time.perf_counter()
    Renderer(scenes[0], threads=1).render(
        poses(scenes[0])[0], camera.intrinsics(224, 224), 224, 224
    )
    print(
        f"first frame: {time.perf_counter() - started:.1f} s (textures; in a fresh clone also compilation)"
    )
    for shadow in (False, True):
        bench(scenes, shadow)


if __name__ == "__main__":
    main()
