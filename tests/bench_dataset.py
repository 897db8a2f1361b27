"""Dataset throughput on one core against frame count and resolution, and what the paper's size
takes at each. Run: make bench."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spacer_utils.core import profiles
from spacer_utils.core.mp4 import encode
from spacer_utils.dataset.build import MIX_ROOMS, MIXES, SIZES
from spacer_utils.dataset.clips import Job, scene_of
from spacer_utils.dataset.samples import ask, view_of
from spacer_utils.render.film import film

FRAMES, RESOLUTIONS = (8, 16, 32), ((112, 112), (224, 224), (448, 336))
ROOMS = 4
"""One of each turn."""
PER_CLIP = 20


def timed(spent: dict[str, float], name: str, work: Callable[..., Any], *given: Any) -> Any:
    """What the work gives; its processor time is added to ``spent``."""
    start = time.process_time()
    result = work(*given)
    spent[name] += time.process_time() - start
    return result


def main() -> None:
    """Print seconds of processor time for a clip, by stage, and the minutes that all clips of the
    paper's size would take."""
    profile = profiles.get("gpu-lora")
    scenes = [scene_of(Job("train", k, 0, profile, "", "", PER_CLIP)) for k in range(ROOMS)]
    film(scenes[0], replace(profile.data, clip_frames=1))  # compiles
    clips, rows = MIX_ROOMS * SIZES["paper"]["takes"], sum(MIXES["paper"].values())
    print(
        f"seconds per clip on one core, and what {clips:,} clips for {rows:,} rows take on two (without pictures, audit)"
    )
    for width, height in RESOLUTIONS:
        for frames in FRAMES:
            sized = profile.with_overrides(width=width, height=height, clip_frames=frames)
            spent = {"film": 0.0, "encode": 0.0, "ask": 0.0}
            for scene in scenes:
                pictures, clip = timed(spent, "film", film, scene, sized.data)
                timed(spent, "encode", encode, pictures, clip.fps)
                timed(spent, "ask", ask, view_of(clip, sized), 0, ("spacer",), PER_CLIP)
            each = sum(spent.values()) / ROOMS
            stages = ", ".join(f"{name} {seconds / ROOMS:.2f}" for name, seconds in spent.items())
            print(
                f"{frames:2} frames of {width} x {height}: {each:.2f} s ({stages}); {1 / each:.2f} clips/s, "
                f"{rows / clips / each:.0f} rows/s a core; all clips {clips * each / 2 / 60:.0f} min"
            )


if __name__ == "__main__":
    main()
