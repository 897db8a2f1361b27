"""Prints how fast rooms are set up and rendered: ``python tests/bench_render.py``."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from spacer_utils import camera
from spacer_utils.registry import SCENES
from spacer_utils.render import Renderer

ROOMS, VIEWS = 12, 4


def milliseconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def main() -> None:
    started = time.perf_counter()
    scenes = [s for s in SCENES["procedural"]("train", 80, 0) if 9 <= len(s.objects) <= 16][:ROOMS]
    matrix = camera.intrinsics(224, 224)
    poses = [camera.trajectory(s, "sweep", VIEWS, 2.0, 224, 224, np.random.default_rng(0)) for s in scenes]
    started = time.perf_counter()
    Renderer(scenes[0], threads=1).render(poses[0][0], matrix, 224, 224)
    print(f"first frame: {time.perf_counter() - started:.1f} s (textures; compilation in a fresh clone)")
    objects = np.mean([len(s.objects) for s in scenes])
    for shadow in (False, True):
        ready = [Renderer(s, shadow=shadow, threads=1) for s in scenes]
        set_up = np.mean([milliseconds(lambda s=s: Renderer(s, shadow=shadow, threads=1)) for s in scenes])
        print(f"\n{'with' if shadow else 'without'} shadow: {set_up:.1f} ms to set up a room of {objects:.0f} objects")
        for width, height in ((112, 112), (224, 224), (448, 336)):
            matrix = camera.intrinsics(width, height)
            spent = np.mean([milliseconds(lambda r=r, p=p: r.render(p, matrix, width, height)) for r, c in zip(ready, poses) for p in c])
            print(f"  {width} x {height}: {spent:.2f} ms a frame, {1000 / spent:.0f} frames/s on one core")


if __name__ == "__main__":
    main()
