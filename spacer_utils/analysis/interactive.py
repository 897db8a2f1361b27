"""Plotly figures for where interaction carries meaning; each has a static twin in ``plots``."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core.types import MapCells
from .figures import colour, smooth


def curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], key: str, ylabel: str, window: int = 5
) -> Any:
    """Plotly twin of one panel of ``plots.curves``: hover shows run, step, moving average and the
    step's own value."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, rows in runs.items():
        points = [(r["step"], r[key]) for r in rows if isinstance(r.get(key), int | float)]
        if points:
            steps, values = zip(*points)
            figure.add_trace(
                go.Scatter(
                    x=steps,
                    y=smooth(values, window).tolist(),
                    customdata=values,
                    name=name,
                    mode="lines+markers",
                    line={"color": colour(name), "dash": "dash" if "-full" in name else "solid"},
                    marker={"size": 4},
                    hovertemplate="step %{x}<br>average %{y:.3f}<br>this step %{customdata:.3f}",
                )
            )
    figure.update_layout(
        xaxis_title="optimiser step",
        yaxis_title=ylabel,
        template="plotly_white",
        height=380,
        margin={"l": 50, "r": 10, "t": 20, "b": 45},
    )
    return figure


def _data_uri(frame: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def map_scrubber(
    frames: Sequence[npt.NDArray[np.uint8]],
    maps: Mapping[str, MapCells],
    seen_until: Sequence[set[str]],
    grid: int = 10,
) -> Any:
    """Plotly slider over the given frames: the frame on the left, the maps on the right, objects
    seen so far filled.

    Args:
        frames: (H, W, 3) uint8, one per step.
        maps: title -> cells, e.g. the true and the predicted map.
        seen_until: per step, the categories seen up to it.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        1, 1 + len(maps), subplot_titles=["video frame", *maps], horizontal_spacing=0.05
    )
    places = {
        title: [(c, x + 0.5, y + 0.5) for c, ps in cells.items() for x, y in (p[:2] for p in ps)]
        for title, cells in maps.items()
    }

    def traces(step: int) -> list[Any]:
        out = [go.Image(source=_data_uri(frames[step]), hoverinfo="skip")]
        for points in places.values():
            out.append(
                go.Scatter(
                    x=[x for _, x, _ in points],
                    y=[y for _, _, y in points],
                    text=[c for c, _, _ in points],
                    mode="markers+text",
                    textposition="top center",
                    textfont={"size": 9},
                    showlegend=False,
                    marker={
                        "size": 13,
                        "color": [colour(c) for c, _, _ in points],
                        "line": {"width": 1},
                        "opacity": [0.95 if c in seen_until[step] else 0.2 for c, _, _ in points],
                    },
                )
            )
        return out

    for k, trace in enumerate(traces(0)):
        figure.add_trace(trace, 1, k + 1)
    figure.frames = [
        go.Frame(data=traces(s), name=str(s), traces=list(range(1 + len(maps))))
        for s in range(len(frames))
    ]
    figure.update_layout(
        height=380,
        template="plotly_white",
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        sliders=[
            {
                "steps": [
                    {
                        "label": str(s + 1),
                        "method": "animate",
                        "args": [
                            [str(s)],
                            {"mode": "immediate", "frame": {"duration": 0, "redraw": True}},
                        ],
                    }
                    for s in range(len(frames))
                ],
                "currentvalue": {"prefix": "frame "},
            }
        ],
    )
    for k in range(len(maps)):
        figure.update_xaxes(range=[0, grid], dtick=1, showticklabels=False, row=1, col=k + 2)
        figure.update_yaxes(
            range=[0, grid + 0.8],
            dtick=1,
            showticklabels=False,
            scaleanchor=f"x{k + 2}",
            row=1,
            col=k + 2,
        )
    figure.update_xaxes(visible=False, row=1, col=1)
    figure.update_yaxes(visible=False, row=1, col=1)
    return figure
