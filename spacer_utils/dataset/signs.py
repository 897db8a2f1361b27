"""Makes the pictures and videos of the general questions from the video of a room.

How to make one is in ``Candidate.media``, here called a recipe. Its ``path`` is the file to write.
It has either a ``frame`` for a picture, maybe with a ``sign`` or a ``gauge`` to paint on the wall at
``corners``, or an ``order`` of frames for a video.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..core.files import inside, write_atomic
from ..core.types import Clip
from ..questions.projection import project

Pixels = npt.NDArray[np.uint8]
SIDE = 480
"""Width of a sign or gauge before it is painted on the wall, pixels."""
INK, PAPER, RED = (25, 25, 35), (250, 248, 240), (190, 30, 30)


def make(recipes: Sequence[Mapping[str, Any]], clip: Clip, out: Path) -> None:
    """Write the files of a room's recipes below ``out``.

    Raises:
        WorkbookError: the room's video is damaged, or the disk refuses.
    """
    from ..core.frames import read_frames
    from ..render.film import write_clip

    frames = read_frames(out / "videos" / f"{clip.video_id}.mp4")
    for recipe in recipes:
        path = inside(out, recipe["path"])

        # A video of some of the frames.
        if "order" in recipe:
            order = recipe["order"]
            write_clip(frames[order], reordered(clip, order, path.stem), out / "videos")
            continue

        # A picture of one frame, maybe with a panel on the wall.
        picture = Image.fromarray(frames[recipe["frame"]])
        if "corners" in recipe:
            corners, _ = project(clip, recipe["frame"], recipe["corners"])
            panel = sign(recipe["sign"]) if "sign" in recipe else gauge(recipe["gauge"])
            picture = hang(picture, panel, corners)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=92)
        write_atomic(path, buffer.getvalue())


def reordered(clip: Clip, order: Sequence[int], name: str) -> Clip:
    """The description of a video that shows some of a clip's frames in the given order."""
    shares = {i: tuple(row[k] for k in order) for i, row in clip.visible_share.items()}
    folder = clip.video_id.rpartition("/")[0]
    return replace(
        clip,
        video_id=f"{folder}/{name}" if folder else name,
        visible_share=shares,
        poses=tuple(clip.poses[k] for k in order),
    )


def sign(text: str) -> Image.Image:
    """A framed sheet with the text as large as possible: the first word over the others."""
    panel = Image.new("RGB", (SIDE, SIDE * 5 // 12), PAPER)
    draw = ImageDraw.Draw(panel)
    draw.rectangle((4, 4, panel.width - 5, panel.height - 5), outline=INK, width=6)

    # The largest font in which both lines fit.
    words = text.split()
    lines = [words[0], " ".join(words[1:])] if len(words) > 1 else words
    size = next(
        s
        for s in range(96, 8, -2)
        if max(draw.textlength(line, ImageFont.load_default(s)) for line in lines) < 0.88 * SIDE
    )
    for k, line in enumerate(lines):
        height = panel.height * (2 * k + 1) / (2 * len(lines))
        draw.text((SIDE / 2, height), line, INK, ImageFont.load_default(size), anchor="mm")
    return panel


def gauge(value: float) -> Image.Image:
    """A round gauge: 0 is at the lower left, 50 at the top, 100 at the lower right."""
    panel = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(panel)
    middle, radius = SIDE / 2, 0.46 * SIDE
    draw.ellipse(
        (middle - radius, middle - radius, middle + radius, middle + radius), outline=INK, width=8
    )

    def point(v: float, share: float) -> tuple[float, float]:
        """The pixel in the direction of value ``v``, at a share of the radius."""
        angle = math.radians(225 - 2.7 * v)
        return middle + share * radius * math.cos(angle), middle - share * radius * math.sin(angle)

    # Marks every 10, numbers every 20, then the needle.
    for mark in range(0, 101, 10):
        draw.line((*point(mark, 0.84), *point(mark, 0.97)), INK, 6)
        if mark % 20 == 0:
            draw.text(point(mark, 0.66), str(mark), INK, ImageFont.load_default(52), anchor="mm")
    draw.line((*point(value, -0.12), *point(value, 0.8)), RED, 14)
    return panel


def hang(picture: Image.Image, panel: Image.Image, corners: npt.NDArray[np.float64]) -> Image.Image:
    """The picture with the panel warped onto four (4, 2) pixel corners, clockwise from the top
    left."""
    # Shrink a large panel first: the warp alone would lose thin strokes.
    wide = round(2 * float(np.linalg.norm(corners[1] - corners[0])))
    if wide < panel.width:
        panel = panel.resize(
            (max(wide, 8), max(wide * panel.height // panel.width, 8)), Image.Resampling.LANCZOS
        )

    # The eight coefficients of the perspective map from the picture to the panel.
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, [(0, 0), (panel.width, 0), panel.size, (0, panel.height)]):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solution = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
    warp = tuple(float(c) for c in solution)

    # Paste the warped panel.
    warped = panel.transform(
        picture.size, Image.Transform.PERSPECTIVE, warp, Image.Resampling.BICUBIC
    )
    mask = Image.new("L", panel.size, 255).transform(
        picture.size, Image.Transform.PERSPECTIVE, warp, Image.Resampling.BILINEAR
    )
    return Image.composite(warped, picture, mask)
