"""How many bytes a clip's file should have, by the sizes that it states itself.

A copy that was cut off is found this way without decoding.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_BOXES = (
    b"ftyp",
    b"styp",
    b"moov",
    b"moof",
    b"mdat",
    b"mfra",
    b"sidx",
    b"free",
    b"skip",
    b"wide",
    b"uuid",
    b"udta",
    b"meta",
)
_SEGMENT, _CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def promised(path: Path) -> int:
    """Bytes that the file should have; 0 where it doesn't say.

    MP4 and MOV, AVI, Matroska and WebM, GIF, FLV, ASF and WMV say it, MPEG-TS in whole packets.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
        size = path.stat().st_size
        if head[4:8] in _BOXES:
            return _boxes(file)
        if head[:4] == b"RIFF":
            return _chunks(file)
        if head[:4] == b"\x1aE\xdf\xa3":
            return _elements(file, size)
        if head[:3] == b"GIF":
            return _gif(file)
        if head[:3] == b"FLV":
            return _flv(file, size)
        if head[:16] == _ASF and (place := head.find(_ASF_PROPERTIES)) > 0:
            return int.from_bytes(head[place + 40 : place + 48], "little")
        for first, length in ((0, 188), (4, 192)):
            if head[first::length][:3] == b"GGG":
                return -(-size // length) * length
    return 0


def _boxes(file: BinaryIO) -> int:
    """End of the last MP4 box. What follows it, as the trailer of some phones, doesn't count."""
    place = 0
    while True:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or size < 8 or head[4:8] not in _BOXES:
            return place
        place += size


def _chunks(file: BinaryIO) -> int:
    """End of an AVI's last RIFF chunk; large files have several."""
    place = 0
    while True:
        file.seek(place)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return place
        place += 8 + int.from_bytes(head[4:8], "little")


def _elements(file: BinaryIO, length: int) -> int:
    """End of Matroska's segment; if a live recording states no size, of its last element."""
    place = 0
    while place < length:
        file.seek(place)
        head = file.read(16)
        name_width = 9 - head[0].bit_length()
        size_width = 9 - head[name_width].bit_length() if name_width < len(head) else 9
        begin = place + name_width + size_width
        # No element, or one whose head is cut off.
        if name_width > 4 or size_width > 8 or begin > length:
            return begin if name_width <= 4 and begin > length else 0
        name, whole = head[:name_width], head[name_width : name_width + size_width]
        most = (1 << 7 * size_width) - 1
        size = int.from_bytes(whole, "big") & most
        if size == most and name not in (_SEGMENT, _CLUSTER):
            return 0
        if size < most and name == _SEGMENT:
            return begin + size
        # Enter an element without a size; step over others.
        place = begin if size == most else begin + size
    return place


def _gif(file: BinaryIO) -> int:
    """End of a GIF with its trailer, the last byte. Without a trailer this is one byte more than
    the file has."""
    file.seek(10)
    flags = file.read(3)[:1]
    file.seek(13 + _palette(flags))
    while True:
        kind = file.read(1)
        if kind == b"\x21":
            file.read(1)
        elif kind == b"\x2c":
            flags = file.read(9)[8:]
            file.seek(_palette(flags) + 1, 1)
        else:
            return file.tell() if kind else file.tell() + 1
        # Blocks of a known length, the last of length 0.
        while (block := file.read(1)) not in (b"", b"\0"):
            file.seek(block[0], 1)


def _palette(flags: bytes) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 128 else 0


def _flv(file: BinaryIO, length: int) -> int:
    """End of the last FLV tag and of the copy of its size behind it."""
    place = 13
    while place + 11 <= length:
        file.seek(place)
        head = file.read(4)
        if head[0] & 31 not in (8, 9, 18):
            return 0
        place += 11 + int.from_bytes(head[1:4], "big") + 4
    return place if place >= length else place + 11
