"""Pictures of phones, scanners and old cameras: read right, or refused in one line that names the
file."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fuzz_pictures import fuzz, sources
from PIL import ExifTags, Image, ImageFile

from spacer_utils.core import pictures
from spacer_utils.core.types import WorkbookError

Array = npt.NDArray[Any]


def read(path: Path, size: int | None = None) -> Array:
    """What the reader gives, with every warning an error: none may be printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pictures.read_image(path, size)


def scene(height: int = 24, width: int = 40) -> Array:
    """(H, W, 3) smooth picture whose four corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], axis=-1).astype(
        np.uint8
    )


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(colour: int, depth: int, rows: list[bytes], width: int, clear: bytes = b"") -> bytes:
    """A PNG of raw rows; ``clear`` is its transparent colour."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [
        chunk(b"IHDR", head),
        chunk(b"tRNS", clear) if clear else b"",
        chunk(b"IDAT", body),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# -------------------------------------------------------------------------------------- orientation

TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "photo"
    picture = Image.fromarray(scene())
    more: dict[str, Any] = (
        {"append_images": [picture.rotate(90)], "save_all": True} if kind == "MPO" else {}
    )
    picture.save(path, kind, exif=exif, quality=95, lossless=True, **more)
    expected = TURNED[orientation](scene())
    got = read(path)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < (
        0.5 if kind in ("PNG", "WEBP", "TIFF") else 6
    )


def test_orientation_holds_for_16_bit_greys(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257 * 50
    Image.fromarray(deep).save(tmp_path / "a.png", exif=exif)
    assert (read(tmp_path / "a.png")[..., 0] == np.rot90(deep // 257, -1)).all()


# ------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_shows_white(tmp_path: Path, mode: str) -> None:
    colour = Image.fromarray(np.full((4, 4, 3), 51, np.uint8))
    alpha = Image.fromarray(np.repeat(np.array([[0, 0, 255, 255]], np.uint8), 4, 0))
    path = tmp_path / "a"
    if mode == "P":
        picture = Image.fromarray(np.repeat(np.array([[1, 1, 0, 0]], np.uint8), 4, 0), "P")
        picture.putpalette([51, 51, 51, 0, 0, 0])
        picture.save(path, "PNG", transparency=1)
    else:
        picture = colour.convert({"LA": "L"}.get(mode, mode.replace("A", "")))
        picture.putalpha(alpha)
        assert picture.mode == mode
        picture.save(path, "TIFF" if mode == "PA" else "PNG")
    assert read(path)[0].tolist() == [[255] * 3] * 2 + [[51] * 3] * 2


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 127)).save(tmp_path / "a.webp", lossless=True)
    assert read(tmp_path / "a.webp")[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("colour", "depth", "row", "clear", "width", "grey"),
    [
        (0, 1, b"\x40", 0, 2, 255),
        (0, 2, b"\x10", 1, 2, None),
        (0, 4, b"\x70", 7, 2, None),
        (0, 8, b"\x33\x00", 0x33, 2, None),
        (0, 16, b"\x12\x34\x00\x00", 0x1234, 2, None),
        (0, 16, b"\x12\x35\x00\x00", 0x1234, 2, 0x12),
    ],
    ids=["1", "2", "4", "8", "16", "16 other"],
)
def test_a_transparent_grey_of_any_depth(
    tmp_path: Path, colour: int, depth: int, row: bytes, clear: int, width: int, grey: int | None
) -> None:
    (tmp_path / "a.png").write_bytes(png(colour, depth, [row] * 2, width, struct.pack(">H", clear)))
    first = read(tmp_path / "a.png")[0]
    if depth == 1:
        assert first.tolist() == [[255] * 3] * 2
    elif depth == 2:
        assert first.tolist() == [[0] * 3, [255] * 3]
    else:
        assert first.tolist() == [[255 if grey is None else grey] * 3, [0] * 3]


def test_a_transparent_colour_of_16_bits(tmp_path: Path) -> None:
    row = struct.pack(">6H", 0x1234, 0x2345, 0x3456, 0xFFFF, 0, 0)
    (tmp_path / "a.png").write_bytes(
        png(2, 16, [row] * 2, 2, struct.pack(">3H", 0x1234, 0x2345, 0x3456))
    )
    assert read(tmp_path / "a.png")[0].tolist() == [[255] * 3, [255, 0, 0]]


# -------------------------------------------------------------------------------------------- depth


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_greys_are_scaled(tmp_path: Path, kind: str) -> None:
    Image.fromarray(np.array([[0, 257, 25700, 65535]] * 2, np.uint16)).save(tmp_path / "a", kind)
    assert read(tmp_path / "a")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_big_endian_and_inverted_16_bit_greys(tmp_path: Path) -> None:
    values = np.array([[0, 25700, 65535]] * 2, np.uint16)
    Image.fromarray(values.astype(">u2")).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 100, 255]
    Image.fromarray(values).save(tmp_path / "b.tif")
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0))
    data = (tmp_path / "b.tif").read_bytes()
    assert black_is_zero in data
    (tmp_path / "b.tif").write_bytes(data.replace(black_is_zero, white_is_zero))
    assert read(tmp_path / "b.tif")[0, :, 0].tolist() == [255, 155, 0]


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        (np.array([[0, 0.5, 1]] * 2, np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]] * 2, np.float32), [0, 100, 255]),
        (np.array([[0, 100, 255]] * 2, np.int32), [0, 100, 255]),
        (np.array([[0, 25700, 65535]] * 2, np.int32), [0, 100, 255]),
    ],
)
def test_32_bit_greys_are_scaled_by_their_largest(
    tmp_path: Path, values: Array, greys: list[int]
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[0, :, 0].tolist() == greys


@pytest.mark.parametrize("value", [-1.0, 1e9, float("nan")])
def test_greys_without_a_white_are_refused(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.array([[0.5, value]] * 2, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(WorkbookError, match=r"a\.tif.*greys from .*: save it with 8 or 16 bits"):
        read(tmp_path / "a.tif")


# -------------------------------------------------------------------------------------- other kinds


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
def test_colours_of_every_mode(tmp_path: Path, mode: str, kind: str) -> None:
    picture = Image.fromarray(scene(48, 80))
    picture = picture.convert(mode)
    try:
        picture.save(
            tmp_path / "a",
            kind,
            **({"quality": 95, "lossless": True} if kind in ("JPEG", "WEBP") else {}),
        )
    except (OSError, ValueError):
        pytest.skip(f"Pillow writes no {kind} of mode {mode}")
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(read(tmp_path / "a") - expected).mean() < (5 if kind in ("JPEG", "GIF") else 0.6)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_frames_is_taken(tmp_path: Path, kind: str) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a", kind, save_all=True, append_images=[second], lossless=True)
    assert read(tmp_path / "a")[4, 4].tolist() == [255, 0, 0]


def test_a_size_squashes(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", 16).shape == (16, 16, 3)


# ------------------------------------------------------------------------------------------ refused


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(WorkbookError, match=match) as told:
        read(path)
    assert path.name in str(told.value)
    assert "\n" not in str(told.value)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side in (10_001, 60_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        path = tmp_path / f"{side}.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
        refused(path, "pixels")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_half_a_picture_is_refused(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, kind)
    path = tmp_path / "half"
    path.write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    refused(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"tEXt", b"eXIf"])
def test_a_flipped_byte_of_a_png_is_noticed(tmp_path: Path, name: bytes) -> None:
    from PIL import PngImagePlugin

    told = PngImagePlugin.PngInfo()
    told.add_text("Title", "a room")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = io.BytesIO()
    # Stored blocks: a flip is another pixel, and no mistake to the decompressor.
    Image.fromarray(scene()).save(data, "PNG", compress_level=0, pnginfo=told, exif=exif)
    whole = bytearray(data.getvalue())
    whole[whole.index(name) + 4 + (40 if name == b"IDAT" else 3)] ^= 0x10
    (tmp_path / "a.png").write_bytes(whole)
    refused(tmp_path / "a.png")


@pytest.mark.parametrize("before_end", [-7, 5])
def test_a_checksum_of_a_png_that_decoding_passes_over_is_checked(
    tmp_path: Path, before_end: int
) -> None:
    data = io.BytesIO()
    Image.fromarray(scene()).save(data, "PNG")
    whole = bytearray(data.getvalue())
    whole[whole.index(b"IEND") + before_end] ^= 0x10
    (tmp_path / "a.png").write_bytes(whole)
    assert Image.open(tmp_path / "a.png").convert("RGB").size == (40, 24)
    refused(tmp_path / "a.png")


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "gone.png", "no picture at")
    (tmp_path / "folder.png").mkdir()
    refused(tmp_path / "folder.png", "no picture at")
    for content in (b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        (tmp_path / "a.png").write_bytes(content)
        refused(tmp_path / "a.png", "as one of JPEG")


@pytest.mark.parametrize(
    "error",
    [
        struct.error("x"),
        zlib.error("x"),
        KeyError("x"),
        IndexError(),
        MemoryError(),
        SyntaxError("a\nb"),
        OverflowError("x"),
        TypeError("x"),
        EOFError("x"),
        RecursionError("x"),
        AssertionError(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_every_exception_of_the_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    Image.fromarray(scene()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    refused(tmp_path / "a.png")


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.slow
def test_damaged_pictures_are_refused_or_read_as_ffmpeg_reads_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes, told = fuzz(int(os.environ.get("FUZZ_PICTURES", "400")), 1, tmp_path)
    assert not told, "\n".join(told)
    assert min(outcomes["read"], outcomes["refused"]) > 0.2 * outcomes.total()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("seed", range(3))
def test_whole_pictures_of_every_kind_are_read(tmp_path: Path, seed: int) -> None:
    for name, data in sources(np.random.default_rng(seed)):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name).ndim == 3


def test_a_jpeg_that_libjpeg_fills_up_with_grey_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "a.jpg").write_bytes(data)
    assert Image.open(tmp_path / "a.jpg").convert("RGB").size == (96, 96)
    refused(tmp_path / "a.jpg", "damaged")


def test_a_tiff_that_libtiff_complains_of_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.tif", compression="tiff_adobe_deflate")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = b"\xff" * 8
    (tmp_path / "a.tif").write_bytes(data)
    refused(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "what", ["animated webp", "webp in a GIF's place", "CMYK jpeg", "tiled noise", "red on blue"]
)
def test_no_whole_picture_is_refused_for_its_witness(tmp_path: Path, what: str) -> None:
    picture = Image.fromarray(scene(64, 80))
    path = tmp_path / "a"
    if what == "animated webp":
        picture.save(path, "WEBP", save_all=True, append_images=[picture.rotate(90)])
    elif what == "webp in a GIF's place":
        path = tmp_path / "a.gif"
        picture.save(path, "WEBP")
    elif what == "CMYK jpeg":
        picture.convert("CMYK").save(path, "JPEG")
    elif what == "tiled noise":
        tiles = np.random.default_rng(0).integers(0, 2, (5, 6, 3)) * 255
        Image.fromarray(np.kron(tiles, np.ones((16, 16, 1))).astype(np.uint8)).save(
            path, "JPEG", quality=10
        )
    else:
        stripes = np.zeros((50, 70, 3), np.uint8)
        stripes[..., 2] = 255
        stripes[:, ::2] = (255, 0, 0)
        Image.fromarray(stripes).save(path, "JPEG", quality=75)
    assert read(path).shape[2] == 3
