"""Read rows of SpaceR-151k and its relatives: tolerant of known variants, strict about broken rows.

Variants seen in public files: ``question`` for ``problem``, ``answer`` or ``ground_truth`` for ``solution``, ``video`` or
``image`` for ``path``, a solution with or without tags or in ``\\boxed{}``, as a number or as an option's text, options as a
list, a dict or lines, types with hyphens or underscores, one JSON list instead of lines, paths that begin with ``./``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from json import loads
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from ..answers import letter, option_texts, same_text
from ..files import UNREADABLE, inside, iterate_jsonl
from ..maps import is_place
from ..types import PROBLEM_TYPES, BadRow, CognitiveMap, MapCells, MissingArtifact, Sample, WorkbookError, map_frame

ALIASES = {
    "problem": ("problem", "question"),
    "solution": ("solution", "answer", "ground_truth"),
    "path": ("path", "video", "image", "video_path", "image_path"),
    "problem_id": ("problem_id", "id"),
    "question_type": ("question_type", "original_question_type"),
    "scene_id": ("scene_id", "scene_name"),
    "data_source": ("data_source", "dataset"),
}
TYPE_NAMES = {re.sub("[^a-z]", "", t.lower()): t for t in PROBLEM_TYPES} | {
    "mcq": "multiple choice", "mca": "multiple choice", "choice": "multiple choice", "number": "numerical", "na": "numerical",
}
TEXTS = ("path", "data_type", "problem_type", "data_source", "question_type", "scene_id", "cognitive_map_id")
"""Fields that are text or nothing."""
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAPS = "cognitive_map.jsonl"


def load(source: Path | str, problems: list[str] | None = None) -> list[Sample]:
    """Samples of a JSONL file, a JSON list, or a hub dataset (``owner/name``), maps joined from the file beside them.

    Args:
        problems: takes one line per broken row, and the others are returned; without it any broken row is an error.

    Raises:
        MissingArtifact: no such file. BadRow: broken rows; the message gives the line and field of each.
    """
    path = Path(source)
    maps = _maps(path.parent / MAPS) if path.exists() and (path.parent / MAPS).exists() else {}
    samples: list[Sample] = []
    found: list[str] = []
    lines: dict[int, int] = {}
    for line, row in _rows(source):
        try:
            sample = _join(sample_of(row, line), maps, path.parent)
            if sample.problem_id in lines:
                raise BadRow(f"problem_id {sample.problem_id} is taken by line {lines[sample.problem_id]}")
        except WorkbookError as error:
            found.append(f"{source}, line {line}: {error}")
            continue
        lines[sample.problem_id] = line
        samples.append(sample)
    if found and problems is None:
        rest = f"\n... and {len(found) - 20} more" if len(found) > 20 else ""
        raise BadRow("\n".join(found[:20]) + rest + "\nMend or remove these lines.")
    (problems if problems is not None else []).extend(found)
    return samples


def _rows(source: Path | str) -> Iterator[tuple[int, Any]]:
    path = Path(source)
    if path.is_file():
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            whole = file.read(4096).lstrip().startswith("[")
        yield from enumerate(_list(path), 1) if whole else iterate_jsonl(path)
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) and not path.suffix:
        from datasets import load_dataset

        yield from enumerate(load_dataset(str(source), split="train"), 1)
    else:
        raise MissingArtifact(str(source), "02_questions", "make nb02")


def _list(path: Path) -> Any:
    try:
        return loads(path.read_bytes())
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadRow(f"{path}, line {line}: not UTF-8 ({error.reason}).") from error
    except UNREADABLE as error:
        raise BadRow(f"{path}: not JSON ({error}).") from error


def _maps(path: Path) -> dict[str, CognitiveMap]:
    maps: dict[str, CognitiveMap] = {}
    for line, row in iterate_jsonl(path):
        try:
            row = _object(row)
            name, cells = _needed(row, "video_id"), _cells(row.get("cognitive_map"))
            maps[name] = CognitiveMap(name, cells, tuple(cells), map_frame(row.get("frame")))
        except WorkbookError as error:
            raise BadRow(f"{path}, line {line}: {error}. Mend or remove the line.") from error
    return maps


def _join(sample: Sample, maps: dict[str, CognitiveMap], root: Path) -> Sample:
    if sample.path:
        inside(root, sample.path)
    name = sample.cognitive_map_id or (Path(sample.path).stem if not sample.question_type else "")
    if sample.cognitive_map_id and maps and name not in maps:
        raise BadRow(f"cognitive_map_id: {MAPS} has no row {name!r}")
    return sample.joined(maps[name]) if name in maps else sample


def sample_of(row: Any, line: int = 0) -> Sample:
    """The sample that one row of any known variant means; ``line`` is its id if it has none.

    Raises:
        BadRow: a field is missing, of another type, or contradicts another; the message names it.
    """
    row = _object(row)
    row = {**row, **{name: value for name, names in ALIASES.items() if (value := _first(row, names)) is not None}}
    problem, solution = _needed(row, "problem"), _solution(_needed(row, "solution", number=True))
    texts = {name: _text(row.get(name), name) for name in TEXTS}
    path = texts["path"].removeprefix("./")
    options = _options(row.get("options"))
    data_type = texts["data_type"] or ("image" if path.lower().endswith(IMAGES) else "video" if path else "text")
    if data_type not in ("image", "video", "text"):
        raise BadRow(f"data_type: {data_type!r} is none of image, video, text")
    if not path and data_type != "text":
        raise BadRow("path: missing")
    kind = re.sub("[^a-z]", "", (texts["problem_type"] or ("mcq" if options else "")).lower())
    if kind not in TYPE_NAMES:
        raise BadRow(f"problem_type: {texts['problem_type']!r} is none of {', '.join(PROBLEM_TYPES)}")
    cells = row.get("cognitive_map")
    return _checked(Sample.from_row({
        **texts, "problem_id": _id(row.get("problem_id"), line), "problem": problem, "data_type": data_type,
        "problem_type": TYPE_NAMES[kind], "options": options, "solution": f"<answer>{solution}</answer>", "path": path,
        "categories": _categories(row.get("categories")), "cognitive_map": None if cells is None else _cells(cells),
        "map_frame": map_frame(row.get("map_frame")),
    }))


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[n] for n in names if row.get(n) is not None), None)


def _object(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadRow(f"a {type(row).__name__}, not an object with fields")
    return row


def _needed(row: dict[str, Any], name: str, number: bool = False) -> str:
    """The text of a field that no row can be without."""
    text = _text(row.get(name), name, number)
    if not text.strip():
        raise BadRow(f"{name}: missing or empty")
    return text


def _text(value: Any, name: str, number: bool = False) -> str:
    """The text of a field, empty for null; with ``number``, that of a number as well."""
    if number and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
        return str(value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{name}: {brief(value)} is no text")
    if re.search("[\ud800-\udfff]", value):
        raise BadRow(f"{name}: {brief(value)} holds half a character (a lone surrogate)")
    return value


def _id(value: Any, line: int) -> int:
    try:
        number = line if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or (isinstance(value, float) and value != number):
        raise BadRow(f"problem_id: {brief(value)} is no whole number")
    return number


def _options(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [_text(f"{k}. {text}", "options") for k, v in value.items() if (text := _text(v, "options", number=True))]
    texts = value.splitlines() if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, (list, tuple)):
        raise BadRow(f"options: {brief(value)} is neither a list nor a text nor a mapping")
    texts = [text for t in texts if (text := _text(t, "options", number=True).strip())]
    lettered = all(re.match(rf"\(?{re.escape(chr(65 + k))}[.):\s]", t) for k, t in enumerate(texts))
    return texts if lettered else [f"{chr(65 + k)}. {t}" for k, t in enumerate(texts)]


def _categories(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | None) or not all(isinstance(c, str) for c in value or ()):
        raise BadRow(f"categories: {brief(value)} is no list of texts")
    return [_text(c, "categories") for c in value or ()]


def _cells(value: Any) -> MapCells:
    if not isinstance(value, dict):
        raise BadRow(f"cognitive_map: {brief(value)} is no {{category: [[x, y], ...]}}")
    for category, places in value.items():
        if not isinstance(places, list) or not all(map(is_place, places)):
            raise BadRow(f"cognitive_map: {brief(category)} has {brief(places)}, no list of [x, y] with two finite numbers each")
    return {_text(category, "cognitive_map"): places for category, places in value.items()}


def _solution(text: str) -> str:
    tagged = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL) or re.fullmatch(r"\s*\\boxed\{(.*)\}\s*", text, re.DOTALL)
    return (tagged.group(1) if tagged else text).strip()


def _checked(sample: Sample) -> Sample:
    """The sample; a gold of multiple choice becomes the bare letter, which all that follows compares.

    Raises:
        BadRow: the solution is no answer to such a question.
    """
    if not sample.gold:
        raise BadRow("solution: empty")
    if sample.problem_type == "multiple choice":
        texts = option_texts(sample.options)
        same = [k for k, text in texts.items() if same_text(text) == same_text(sample.gold)]
        found = letter(sample.gold, sample.options) or (same[0] if len(same) == 1 else None)
        if len(sample.options) < 2 or found is None:
            raise BadRow(f"solution: {sample.gold!r} is none of the options {', '.join(sample.options) or '(none)'}")
        return replace(sample, solution=f"<answer>{found}</answer>")
    if sample.problem_type in ("numerical", "regression") and not re.search(r"\d", sample.gold):
        raise BadRow(f"solution: {sample.gold!r} holds no number")
    return sample
