"""Read a benchmark as it is published, from a local folder or the hub; write its synthetic sample
in the same form."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ...core.files import UNREADABLE, inside, iterate_jsonl, write_atomic, write_jsonl
from ...core.prompts import special_token
from ...core.registry import BENCHMARKS
from ...core.types import BadRow, WorkbookError
from .record import Row, read

IMAGES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".gif")
Rows = list[dict[str, Any]]


def load(name: str, source: Path | None = None) -> Rows:
    """Every row of a benchmark, in published order; images stay as stored, media need not be there.

    Args:
        source: a folder in the published layout or one file (parquet, jsonl, json, tsv); None asks
            the hub.

    Raises:
        WorkbookError: nothing to read there, or a row is broken (the message names file and row).
    """
    benchmark = BENCHMARKS[name]
    rows: Rows = []
    for place, row in _from_hub(name) if source is None else _from_files(name, Path(source)):
        for one in benchmark.expand(row) if hasattr(benchmark, "expand") else (row,):
            try:
                question = read(benchmark, one)
                for text in (question.text, *question.options.values()):
                    if found := special_token(text):
                        raise BadRow(
                            f"the question holds {found}, which a model takes for a sign of its own. Write it in other "
                            "words."
                        )
            except BadRow as error:
                raise BadRow(f"{place}: {error}") from error
            rows.append(dict(one))
    if source is not None and hasattr(benchmark, "complete"):
        rows = benchmark.complete(
            rows, Path(source) if Path(source).is_dir() else Path(source).parent
        )
    return rows


def files_of(name: str, folder: Path) -> list[Path]:
    """The annotation files of the first published layout that the folder has; ``|`` joins the parts
    of one layout."""
    patterns = BENCHMARKS.entry(name).info["files"]
    for layout in patterns:
        if found := [path for part in layout.split("|") for path in sorted(folder.glob(part))]:
            return found
    raise WorkbookError(
        f"{folder} holds none of {', '.join(patterns)} ({name}). Give the folder that has the published files."
    )


def _from_files(name: str, source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in [source] if source.is_file() else files_of(name, source):
        for place, row in _placed(path):
            if not isinstance(row, dict):
                raise BadRow(f"{place}: not a record.")
            yield place, row


def _placed(path: Path) -> Iterator[tuple[str, Any]]:
    """Every row of a file with its place.

    Raises:
        BadRow: the file can't be read, or not beyond some row.
    """
    number = 1
    try:
        for row in _read_file(path):
            yield f"{path}, row {number}", row
            number += 1
    except (
        ValueError,
        OSError,
        NotImplementedError,
        csv.Error,
    ) as error:  # those of pyarrow are among them
        raise BadRow(
            f"{path}, row {number}: can't be read ({error}). Download the file again, or save it as UTF-8."
        ) from error


def _read_file(path: Path) -> Iterable[Any]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return (
            row for batch in pq.ParquetFile(path).iter_batches(256) for row in batch.to_pylist()
        )
    if path.suffix == ".tsv":
        csv.field_size_limit(sys.maxsize)  # base64 images
        with open(path, encoding="utf-8-sig", newline="") as file:
            return [
                {k: v or None for k, v in row.items()}
                for row in csv.DictReader(file, delimiter="\t")
            ]
    if path.suffix == ".json":
        try:
            whole = json.loads(path.read_bytes())
            return whole if isinstance(whole, list) else [whole]
        except UNREADABLE:
            pass  # POPE's repository has JSON lines in .json files
    return (row for _, row in iterate_jsonl(path))


def _from_hub(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    info = BENCHMARKS.entry(name).info
    if not info["hub"]:
        raise WorkbookError(
            f"{name} isn't on the hub: it needs {info['needs']}. Give its file or folder."
        )
    import datasets

    configs = info["config"] if isinstance(info["config"], tuple) else (info["config"],)
    for config in configs:
        try:
            table = datasets.load_dataset(info["hub"], config, split=info["split"]).with_format(
                "arrow"
            )
        except Exception as error:  # the library raises whatever its transports raise
            raise WorkbookError(
                f"could not fetch {info['hub']} ({config}) from the hub: {error}. Download it elsewhere and give "
                f"the folder."
            ) from error
        for start in range(0, len(table), 256):
            for number, row in enumerate(table[start : start + 256].to_pylist(), start):
                yield f"{info['hub']} {config}, row {number}", row


# -------------------------------------------------------------------------------------------- media


def media_file(value: Any, root: Path, embedded: Path | None = None) -> Path | None:
    """The file of one medium: a path below ``root``, or an image in the row itself (bytes, base64),
    written to ``embedded``.

    Without that folder it is written to ``root/embedded``, for a ``root`` of our own.

    Raises:
        WorkbookError: the path leaves ``root``, or an embedded image can't be decoded.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if value is None:
        return None
    if isinstance(value, str) and value.lower().endswith(IMAGES + VIDEOS):
        return inside(root, value)
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(value)
    except (binascii.Error, ValueError, TypeError) as error:
        raise WorkbookError(
            f"an image of the row is neither a path of a known type nor an embedded picture: {error}."
        ) from error
    path = (embedded or root / "embedded") / f"{hashlib.sha256(data).hexdigest()[:24]}.png"
    return path if path.exists() else write_atomic(path, data)


def synthetic(name: str, folder: Path) -> Path:
    """Write the invented sample of a benchmark to ``folder`` in its published layout, with tiny
    pictures and clips.

    Returns:
        ``folder``, which ``load`` and an evaluation read like the real thing.
    """
    benchmark, info = BENCHMARKS[name], BENCHMARKS.entry(name).info
    target = folder / info["files"][0].split("|")[0].replace("**/", "").replace("*", "sample")
    rows = [
        _with_pictures(row, f"{name}{n}", as_bytes=target.suffix == ".parquet")
        for n, row in enumerate(benchmark.sample)
    ]
    _write(target, rows)
    for row in rows:
        for medium in read(benchmark, row).media:
            path = media_file(medium, folder)
            if path is not None and not path.exists():
                write_atomic(
                    path, _clip(path.name) if path.suffix in VIDEOS else _picture(path.name)
                )
    return folder


def _write(path: Path, rows: Rows) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        write_atomic(path, buffer.getvalue())
    elif path.suffix == ".tsv":
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)
        write_atomic(path, text.getvalue())
    elif path.suffix == ".json":
        write_atomic(path, json.dumps(rows, ensure_ascii=False))
    else:
        write_jsonl(path, rows)


def _noise(name: str, frames: int) -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(crc32(name.encode())).integers(
        0, 256, (frames, 6, 8, 3), dtype=np.uint8
    )
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def _picture(name: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_noise(name, 1)[0]).save(buffer, "PNG")
    return buffer.getvalue()


def _clip(name: str) -> bytes:
    from ...core.mp4 import encode

    return encode(_noise(name, 8), 4.0)


def _with_pictures(row: Row, name: str, as_bytes: bool) -> dict[str, Any]:
    """The row with a picture where it says ``image``: as the hub's parquet files store it, or
    base64."""

    def fill(value: Any, mark: str) -> Any:
        if isinstance(value, list):
            return [fill(v, f"{mark}{n}") for n, v in enumerate(value)]
        if value != "image":
            return value
        data = _picture(mark)
        return {"bytes": data, "path": None} if as_bytes else base64.b64encode(data).decode()

    return {key: fill(value, name + key) for key, value in row.items()}
