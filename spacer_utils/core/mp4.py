"""Write frames as an H.264 MP4."""

from __future__ import annotations

import io
from fractions import Fraction

from .frames import Pixels
from .types import WorkbookError

CRF = 20
"""H.264 quality: about 10 kB per frame at 448 x 336."""


def encode(frames: Pixels, fps: float) -> bytes:
    """(T, H, W, 3) uint8 frames as an H.264 MP4; the same frames give the same bytes.

    Raises:
        WorkbookError: width or height is odd (yuv420p halves the colour planes).
    """
    import av

    _, height, width, _ = frames.shape
    if width % 2 or height % 2:
        raise WorkbookError(
            f"frames of {width} x {height} pixels: H.264 with yuv420p needs even sides. Change width or height."
        )
    # Without "mbtree": "0", up to one clip in a hundred came out otherwise than the last time, a
    # macroblock here and there.
    options = {
        "crf": str(CRF),
        "preset": "veryfast",
        "bf": "0",
        "g": "16",
        "threads": "1",
        "mbtree": "0",
    }
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options=options
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
