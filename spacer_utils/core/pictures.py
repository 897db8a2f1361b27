"""Pictures as a model gets them: upright, on white, 8 bits a channel. Damaged ones are refused."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from .types import WorkbookError, first_line

# Otherwise Pillow's errors are printed beside ours.
logging.getLogger("PIL").addHandler(logging.NullHandler())
Pixels = npt.NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "GIF", "TIFF", "BMP", "PPM")
"""Formats that are read. Some of Pillow's others have no mark, so that noise passes for a picture;
one starts a program."""
MOST_PIXELS = 100_000_000
"""Pixels of the largest picture that is decoded: a small file can claim any number of them."""
PNG_END = b"IEND\xae\x42\x60\x82"
"""Name and checksum of the empty chunk that ends a PNG."""
LONGEST = 200
"""Largest ratio of the longer side to the shorter: Qwen's processors refuse more."""
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and a value of the second."""
BLOCK, MOST_GREY, MOST_COLOUR = 16, 6, 30
"""Size of a block in pixels, and by how much two decoders' means of a block may differ. Measured on
noise, stripes and red text on blue: at most 3 levels of grey, and 20 of a colour, because decoders
enlarge colour planes of half the size differently."""


def read_image(path: Path, size: int | None = None) -> Pixels:
    """(H, W, 3) uint8 picture, at ``size`` x ``size`` unless None or 0.

    It is turned as its EXIF block says. Transparent parts are white. Of several frames, the first
    counts.

    Raises:
        WorkbookError: the file is missing, no picture, damaged, or too large; the message names it.
    """
    if not path.is_file():
        raise WorkbookError(f"no picture at {path}. Write it again, or mend the row's path.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of metadata that nobody reads here, and of sizes, which are checked
            # below.
            warnings.simplefilter("ignore")
            picture = _decode(path)
    except WorkbookError:
        raise
    except Exception as error:
        # Pillow passes on whatever its parsers raise: struct.error, zlib.error, KeyError, ...
        raise WorkbookError(
            f"can't read {path} as a picture ({first_line(error)}). Write or download it again, "
            f"as one of {', '.join(FORMATS)}."
        ) from error
    check_shape(path, *picture.size)
    if size:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def check_shape(path: Path, width: int, height: int) -> None:
    """Refuse pictures of one pixel's height or width, and strips. Profiles with a fixed size would
    squash them, and models see nothing in them.

    Raises:
        WorkbookError: a side of one pixel, or a strip; the message names the file.
    """
    shorter, longer = sorted((width, height))
    if shorter < 2 or longer > LONGEST * shorter:
        raise WorkbookError(
            f"{path} is {width} x {height} pixels, a dot or a strip: sides from 2 pixels on, and the longer at "
            f"most {LONGEST} times the shorter, are taken. Crop it, or leave its row out."
        )


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(T, H, W, 3) frames at (width, height), bicubic with antialiasing."""
    if pixels.shape[2::-1][:2] == size:
        return pixels
    return np.stack(
        [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in pixels]
    )


def _decode(path: Path) -> Image.Image:
    """The picture in RGB."""
    with _open(path) as image:
        # Check the checksums of a PNG, which decoding ignores, and its end, which Pillow doesn't
        # need.
        image.verify()
        if image.format == "PNG" and PNG_END not in path.read_bytes():
            raise ValueError("its end is missing")
    with _open(path) as image, _hushed(image.format == "TIFF"):
        witness = _second_reading(path) if _has_witness(image) else None
        _scale_clear_colour(image)
        # In place, and first: what the file says of itself is lost with the first copy.
        ImageOps.exif_transpose(image, in_place=True)
        picture = _on_white(_eight_bits(image) if image.mode[0] in "IF" else image)
    if witness is not None:
        _agree(picture, witness)
    return picture


def _open(path: Path) -> ImageFile.ImageFile:
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MOST_PIXELS:
        image.close()
        raise WorkbookError(
            f"{path} has {width} x {height} pixels, more than {MOST_PIXELS:,}. Shrink it."
        )
    return image


def _whites(image: Image.Image) -> tuple[float, ...]:
    """Numbers that may mean white in grey pictures of more than 8 bits. A file of 32 bits doesn't
    say."""
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        return (2.0 ** tags.get(BITS, (16,))[0] - 1,)
    if image.format == "PPM" and image.mode == "I":
        return (65535.0,)
    return (255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, with 8 bits. White is the least of ``_whites`` that its
    numbers don't exceed.

    Raises:
        ValueError: a number is below black, above every white, or none.
    """
    values = np.asarray(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    white = next((w for w in _whites(image) if high <= w), None)
    if white is None or not low >= 0:
        raise ValueError(f"greys from {low:g} to {high:g}: save it with 8 or 16 bits")
    shades = np.rint(values * (255 / white)).astype(np.uint8)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        shades = 255 - shades
    clear = image.info.get("transparency")
    if clear is not None:
        shades[values == clear] = 255
    return Image.fromarray(shades)


def _scale_clear_colour(image: ImageFile.ImageFile) -> None:
    """Give the transparent colour of a PNG the depth of the pixels; Pillow leaves it at the
    file's."""
    factors = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}
    clear = image.info.get("transparency")
    layout = str(image.tile[0].args) if image.format == "PNG" else ""
    if clear is None or layout not in factors:
        return
    scaled = tuple(int(c * factors[layout]) for c in np.atleast_1d(clear))
    image.info["transparency"] = scaled if len(scaled) > 1 else scaled[0]


def _on_white(image: Image.Image) -> Image.Image:
    """In RGB, with white behind what is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


@contextmanager
def _hushed(needed: bool) -> Iterator[None]:
    """Hide what C libraries write to standard error: libtiff does so for every damaged file."""
    if not needed:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# ----------------------------------------------------------------------------------- second decoder


def _has_witness(image: Image.Image) -> bool:
    """Whether FFmpeg should read the file, too. It should if the format has no checksum that shows
    damage, and FFmpeg can read it."""
    plain = image.mode in ("1", "L", "P", "RGB")
    if image.format == "TIFF":
        return (plain or image.mode == "I;16") and image.info.get("compression") in (
            "raw",
            "packbits",
            "tiff_lzw",
        )
    if image.format == "WEBP":
        return not getattr(image, "is_animated", False)
    return image.format in ("JPEG", "MPO", "GIF") or (image.format == "BMP" and plain)


def _second_reading(path: Path) -> Image.Image | None:
    """The picture as FFmpeg decodes it, in RGB, not turned; None: it doesn't know this variety.

    Pillow goes on where libjpeg finds damage, and fills up with grey; FFmpeg can be told to stop.

    Raises:
        ValueError: FFmpeg finds the file damaged.
    """
    import av
    from av.video.reformatter import Interpolation

    smooth = (
        Interpolation.BICUBIC
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.FULL_CHR_H_INP
        | Interpolation.ACCURATE_RND
    )
    try:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            # In other formats than JPEG this would make an error of every tag that FFmpeg doesn't
            # know.
            codec.options = {"err_detect": "explode"} if codec.name == "mjpeg" else {}
            frame = next(container.decode(video=0))
            return _on_white(
                Image.fromarray(frame.reformat(format="rgba", interpolation=smooth).to_ndarray())
            )
    except NotImplementedError:
        return None
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ValueError("its data are damaged") from error


def _agree(picture: Image.Image, witness: Image.Image) -> None:
    """Compare two decoders' pictures by the means of their blocks. One decoder turns pictures as
    the file says, the other doesn't.

    Raises:
        ValueError: they are two pictures.
    """
    turned = [witness, *(witness.transpose(t) for t in Image.Transpose)]
    if not any(_same(picture, other) for other in turned if other.size == picture.size):
        raise ValueError("its data are damaged: two decoders see two pictures")


def _same(a: Image.Image, b: Image.Image) -> bool:
    blocks = max(1, a.width // BLOCK), max(1, a.height // BLOCK)
    for mode, most in (("L", MOST_GREY), ("RGB", MOST_COLOUR)):
        means = [
            np.asarray(p.convert(mode).resize(blocks, Image.Resampling.BOX)).astype(int)
            for p in (a, b)
        ]
        if np.abs(means[0] - means[1]).max() > most:
            return False
    return True
