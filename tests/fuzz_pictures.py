"""Damaged pictures: each is refused in one line, or read as a second decoder (FFmpeg, through PyAV)
reads it.

    python tests/fuzz_pictures.py --count 25000

A *silent wrong read* is a picture that the reader returns although FFmpeg, told to stop at errors,
finds the file damaged, gives another size, or has some block of 16 x 16 pixels whose mean differs
by more than ``MOST_GREY`` or ``MOST_COLOUR``. That leaves room for the two decoders' own ways to
enlarge colour planes and to round.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation
from PIL import ExifTags, Image

from spacer_utils.core import pictures
from spacer_utils.core.types import WorkbookError

Array = npt.NDArray[Any]
MOST_GREY, MOST_COLOUR = 8, 32
"""Levels of 255 by which the mean grey and colour of a block may differ between two decoders of one
lossy file."""
BLOCK = 16
SMOOTH = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
)
"""Enlarges colour planes as evenly as Pillow's decoders do."""
TURNS = (
    lambda a: a,
    np.fliplr,
    np.flipud,
    lambda a: a[::-1, ::-1],
    lambda a: a.transpose(1, 0, 2),
    np.rot90,
    lambda a: np.rot90(a, -1),
    lambda a: np.rot90(a, 2).transpose(1, 0, 2),
)
"""What an orientation can do."""


# ------------------------------------------------------------------------------------------ sources


def scene(rng: np.random.Generator) -> Array:
    """(H, W, 3) a picture with slopes, edges and a little noise, of random size."""
    height, width = rng.integers(24, 120, 2)
    y, x = np.mgrid[0:height, 0:width]
    slope = np.stack(
        [30 + x * 190 / width, 30 + y * 190 / height, 40 + abs((x + y) % 64 - 32) * 5], axis=-1
    )
    slope[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(60, 190, 3)
    return np.clip(slope + rng.normal(0, 4, slope.shape), 0, 255).astype(np.uint8)


def sources(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """(name, file) of every kind that people have, as Pillow writes them."""
    picture = Image.fromarray(scene(rng))
    alpha = Image.linear_gradient("L").resize(picture.size)
    clear = picture.copy()
    clear.putalpha(alpha)
    grey16 = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=int(rng.integers(2, 256)))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = int(rng.integers(2, 9))
    made: list[tuple[str, Image.Image, str, dict[str, Any]]] = [
        ("jpeg baseline", picture, "JPEG", {"quality": int(rng.integers(40, 98))}),
        ("jpeg 4:4:4", picture, "JPEG", {"subsampling": 0, "restart_marker_rows": 1}),
        ("jpeg progressive", picture, "JPEG", {"progressive": True}),
        ("jpeg grey", picture.convert("L"), "JPEG", {}),
        ("jpeg turned", picture, "JPEG", {"exif": turned}),
        ("png", picture, "PNG", {"compress_level": int(rng.integers(0, 10))}),
        ("png alpha", clear, "PNG", {}),
        ("png grey", picture.convert("L"), "PNG", {}),
        ("png 16 bit", grey16, "PNG", {}),
        ("png palette", palette, "PNG", {}),
        ("png 1 bit", picture.convert("1"), "PNG", {}),
        ("webp", picture, "WEBP", {}),
        ("webp lossless", picture, "WEBP", {"lossless": True}),
        ("webp alpha", clear, "WEBP", {}),
        ("gif", palette, "GIF", {}),
        ("gif interlaced", palette, "GIF", {"interlace": 1}),
        ("bmp", picture, "BMP", {}),
        ("bmp palette", palette, "BMP", {}),
        ("tiff", picture, "TIFF", {}),
        ("tiff lzw", picture, "TIFF", {"compression": "tiff_lzw"}),
        ("tiff deflate", picture, "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("tiff packbits", picture.convert("L"), "TIFF", {"compression": "packbits"}),
        ("tiff 16 bit", grey16, "TIFF", {}),
        ("ppm", picture, "PPM", {}),
    ]
    files = []
    for name, image, kind, options in made:
        data = io.BytesIO()
        image.save(data, kind, **options)
        files.append((name, data.getvalue()))
    return [*files, ("png interlaced", interlaced(np.asarray(picture)))]


def interlaced(pixels: Array) -> bytes:
    """A PNG of (H, W, 3) in the seven passes of Adam7, which Pillow reads but doesn't write."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = [
        b"\0" + row.tobytes() for y, x, dy, dx in passes for row in pixels[y::dy, x::dx] if row.size
    ]
    height, width = pixels.shape[:2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


# ------------------------------------------------------------------------------------------- damage


def damaged(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """(what was done, the file after it)."""
    whole, length = bytearray(data), len(data)
    how = str(
        rng.choice(
            ["cut", "zeroed", "swapped", "flipped", "removed", "none"],
            p=[0.2, 0.2, 0.2, 0.25, 0.1, 0.05],
        )
    )
    start = int(rng.integers(0, length))
    # Half of the damage is small, half reaches up to a quarter of the file.
    reach = int(rng.integers(1, 5 if rng.random() < 0.5 else max(6, length // 4)))
    if how == "cut":
        whole = whole[:start]
    elif how == "zeroed":
        whole[start : start + reach] = bytes(len(whole[start : start + reach]))
    elif how == "swapped":
        other = int(rng.integers(0, length))
        whole[start], whole[other] = whole[other], whole[start]
    elif how == "flipped":
        for k in rng.integers(0, length, int(rng.integers(1, 4))):
            whole[k] ^= int(rng.integers(1, 256))
    elif how == "removed":
        del whole[start : start + reach]
    return how, bytes(whole)


# ------------------------------------------------------------------------------------------- oracle


def ffmpeg(data: bytes) -> Array:
    """(H, W, 3) uint8 of the first picture on white.

    Raises:
        av.FFmpegError: the file is damaged, or no picture. ValueError: FFmpeg gives up without
            saying so.
    """
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        # Of other formats it would make an error of every tag that FFmpeg doesn't know.
        strict = container.format.name in ("jpeg_pipe", "png_pipe")
        stream.codec_context.options = {"err_detect": "crccheck+explode"} if strict else {}
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ValueError("a corrupt frame")
            return on_white(frame)
    raise ValueError("no frame")


def on_white(frame: Any) -> Array:
    if frame.format.name.startswith("gray1"):
        deep = frame.to_ndarray(format="gray16le")
        return np.repeat(np.rint(deep / 257).astype(np.uint8)[..., None], 3, axis=-1)
    colours = frame.reformat(format="rgba", interpolation=SMOOTH).to_ndarray().astype(float)
    alpha = colours[..., 3:] / 255
    return np.rint(colours[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def blocks(pixels: Array) -> Array:
    """(rows, columns, 4) mean red, green, blue and grey of every block."""
    height, width = pixels.shape[:2]
    # A strip too thin for a block of its own belongs to the block before it.
    down, across = (list(range(0, side - BLOCK + 1, BLOCK)) or [0] for side in (height, width))
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    values = np.dstack([pixels, grey, np.ones((height, width))])
    sums = np.add.reduceat(np.add.reduceat(values, down, axis=0), across, axis=1)
    means: Array = sums[..., :4] / sums[..., 4:]
    return means


def differ(ours: Array, theirs: Array) -> bool:
    if ours.shape != theirs.shape:
        return True
    gaps = np.abs(blocks(ours) - blocks(theirs)).max(axis=(0, 1))
    return bool(gaps[3] > MOST_GREY or gaps[:3].max() > MOST_COLOUR)


def wrong(pixels: Array, data: bytes, turned: bool) -> str:
    """Why FFmpeg does not agree that the file holds these pixels; empty where it does."""
    try:
        theirs = ffmpeg(data)
    except (av.FFmpegError, ValueError) as error:
        return f"FFmpeg: {str(error)[:80]}"
    seen = [turn(theirs) for turn in (TURNS if turned else TURNS[:1])]
    return "another picture" if all(differ(pixels, other) for other in seen) else ""


# ---------------------------------------------------------------------------------------------- run


def fuzz(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Outcomes of ``count`` damaged pictures, and a line on each that is not as it should be."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    told: list[str] = []
    path = folder / "picture"
    known: list[tuple[str, bytes]] = []
    for number in range(count):
        if not known:
            known = sources(rng)
        name, data = known.pop()
        how, data = damaged(data, rng)
        path.write_bytes(data)
        try:
            pixels = pictures.read_image(path)
        except WorkbookError as error:
            line = str(error)
            fine = "\n" not in line and path.name in line and how != "none"
            outcomes["refused" if fine else "badly refused"] += 1
            if not fine:
                told.append(f"{number} {name}, {how}: {line}")
            continue
        except Exception:
            outcomes["traceback"] += 1
            told.append(
                f"{number} {name}, {how}: {traceback.format_exc().strip().splitlines()[-1]}"
            )
            continue
        why = wrong(pixels, data, "turned" in name)
        outcomes["silent wrong read" if why else "read"] += 1
        if why:
            told.append(f"{number} {name}, {how}: {why}")
    return outcomes, told


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory() as folder:
        outcomes, told = fuzz(args.count, args.seed, Path(folder))
    print(*told, sep="\n")
    print(", ".join(f"{name}: {n}" for name, n in sorted(outcomes.items())))
    return int(any(outcomes[name] for name in ("traceback", "badly refused", "silent wrong read")))


if __name__ == "__main__":
    sys.exit(main())
