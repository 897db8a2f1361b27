"""The README's picture, from a committed study: frames of a clip, the map that a model drew over
the true one, and what training did."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ..core.files import write_atomic
from ..core.types import WorkbookError
from .dot_figures import name_lines
from .figures import colour, smooth
from .published import REFERENCE, mean_curves

NAME, MOST_BYTES = "readme.png", 300_000
CURVES = {
    "heldout accuracy (%)": "right answers on rooms never trained on (%)",
    "rewards/accuracy/mean": "right answers while training, of its own rooms (0-1)",
}
"""What the curve shows: the first that the study has."""


def source(study: Path) -> dict[str, Any]:
    """What the picture shows of a study's folder: ``example.json``, and one curve per method.

    Raises:
        WorkbookError: the study holds no example, or no curve.
    """
    if not (study / "example.json").exists():
        raise WorkbookError(
            f"the study {study.name} has no example.json to draw. Make it anew: make study"
        )
    curves = mean_curves(json.loads((study / "curves.json").read_text(encoding="utf-8")))
    what = next((k for k in CURVES if any(k in r for rows in curves.values() for r in rows)), None)
    if what is None:
        raise WorkbookError(
            f"curves.json of the study {study.name} has none of: {', '.join(CURVES)}"
        )
    return {
        "example": json.loads((study / "example.json").read_text(encoding="utf-8")),
        "what": what,
        "curves": {
            name: [[r["step"], r[what]] for r in rows if what in r]
            for name, rows in curves.items()
            if any(what in r for r in rows)
        },
    }


def digest(data: Mapping[str, Any]) -> str:
    """Hash of what a picture shows, kept in its file."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def draw(data: Mapping[str, Any]) -> Figure:
    """The picture of ``source``: frames above, map and curve below."""
    figure = plt.figure(figsize=(9.2, 5.2), layout="constrained")
    plt.close(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.45, 3.6)).flat
    example = data["example"]
    frames = [Image.open(io.BytesIO(base64.b64decode(text))) for text in example["frames"]]
    for frame, axis in zip(frames, above.subplots(1, len(frames), squeeze=False).flat):
        axis.imshow(np.asarray(frame))
        axis.axis("off")
    left, right = below.subplots(1, 2, width_ratios=(1, 1.45))
    _map(left, example)
    _curve(right, data)
    return figure


def _map(axis: Axes, example: Mapping[str, Any]) -> None:
    """Rings where objects are, dots where the model drew them, a line between the two."""
    for category, true in example["true"].items():
        drawn = example["drawn"].get(category, [])
        for x, y, *_ in true:
            axis.plot(x + 0.5, y + 0.5, "o", ms=11, mfc="none", mec=colour(category), mew=1.8)
            axis.annotate(
                category, (x + 0.5, y + 0.95), ha="center", va="bottom", fontsize=8, zorder=3
            )
            if drawn:
                u, v = min(
                    ((p[0], p[1]) for p in drawn), key=lambda p: abs(p[0] - x) + abs(p[1] - y)
                )
                axis.plot([x + 0.5, u + 0.5], [y + 0.5, v + 0.5], color="#8A8F98", lw=0.9, zorder=1)
        for x, y, *_ in drawn:
            axis.plot(x + 0.5, y + 0.5, "o", ms=7, color=colour(category))
    axis.set_xlim(0, example["grid"])
    axis.set_ylim(0, example["grid"] + 0.6)
    axis.set_xticks(range(example["grid"] + 1), [])
    axis.set_yticks(range(example["grid"] + 1), [])
    axis.set_aspect("equal")
    axis.set_title("map drawn from the clip (dots), and the truth (rings)", fontsize=9, loc="left")


def _curve(axis: Axes, data: Mapping[str, Any]) -> None:
    for name, points in data["curves"].items():
        steps, values = zip(*points)
        shown = smooth(values, 9) if len(steps) > 20 else values
        axis.plot(steps, shown, color=colour(name), lw=2, label=name.rsplit("-", 1)[0])
    axis.set_title(CURVES[data["what"]], fontsize=9, loc="left")
    axis.set_xlabel("optimiser step", fontsize=8)
    axis.tick_params(labelsize=8)
    name_lines(axis, 4.9, 2.9)


def write(name: str) -> Path:
    """Draw ``outputs/reference/<name>/readme.png``.

    Raises:
        WorkbookError: the study lacks something (see ``source``), or the file would be larger than
            ``MOST_BYTES``.
    """
    data = source(REFERENCE / name)
    buffer = io.BytesIO()
    draw(data).savefig(
        buffer, format="png", dpi=110, metadata={"Software": None, "Source": digest(data)}
    )
    if buffer.tell() > MOST_BYTES:
        raise WorkbookError(f"{NAME} would have {buffer.tell():,} bytes, more than {MOST_BYTES:,}")
    return write_atomic(REFERENCE / name / NAME, buffer.getvalue())
