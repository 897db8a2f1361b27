"""Pictures as a model gets them: upright, on white, 8 bits a channel, and whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from .types import WorkbookError

Pixels = npt.NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "GIF", "TIFF", "BMP", "PPM")
"""What is read. Of Pillow's other formats some have no mark of their own, so that noise passes for them; one starts a program."""
MOST_PIXELS = 100_000_000
"""Pixels of the largest picture that is decoded: a small file can claim any number of them."""
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and a value of the second."""


def read_image(path: Path, size: int | None = None) -> Pixels:
    """(H, W, 3) uint8 picture, at ``size`` x ``size`` unless None or 0.

    It is turned as its EXIF block says, what is transparent shows white, and of several frames the first is taken.

    Raises:
        WorkbookError: the file is missing, no picture, damaged, or too large; the message names it.
    """
    if not path.is_file():
        raise WorkbookError(f"no picture at {path}. Write it again, or mend the row's path.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of metadata that nobody reads here, and of sizes, which are checked below.
            warnings.simplefilter("ignore")
            picture = _decode(path)
    except WorkbookError:
        raise
    except Exception as error:  # Pillow lets out what its parsers raise: struct.error, zlib.error, KeyError, ...
        raise WorkbookError(f"can't read {path} as a picture ({_reason(error)}). Write or download it again, "
                            f"as one of {', '.join(FORMATS)}.") from error
    if size:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _decode(path: Path) -> Image.Image:
    """The picture in RGB."""
    with _open(path) as image:
        # The checksums of a PNG, which decoding passes over.
        image.verify()
    with _open(path) as image:
        _scale_clear_colour(image)
        # In place, and first: what the file says of itself is lost with the first copy.
        ImageOps.exif_transpose(image, in_place=True)
        return _on_white(_eight_bits(image) if image.mode[0] in "IF" else image)


def _open(path: Path) -> ImageFile.ImageFile:
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MOST_PIXELS:
        image.close()
        raise WorkbookError(f"{path} has {width} x {height} pixels, more than {MOST_PIXELS:,}. Shrink it.")
    return image


def _reason(error: Exception) -> str:
    said = str(error).strip().split("\n")[0][:160]
    return said or type(error).__name__


def _whites(image: Image.Image) -> tuple[float, ...]:
    """Numbers that can be white where a grey has more than 8 bits: of 32 bits the file leaves it open."""
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        return (2.0 ** tags.get(BITS, (16,))[0] - 1,)
    if image.format == "PPM" and image.mode == "I":
        return (65535.0,)
    return (255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A deep grey picture with 8 bits; white is the least of ``_whites`` that holds its largest number.

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
    """Give the transparent colour of a PNG the depth of the pixels; Pillow leaves it at the file's."""
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
