"""Read rows of SpaceR-151k and its relatives: tolerant of known variants, strict about broken rows.

Variants seen in public files: ``question`` for ``problem``, ``answer`` or ``ground_truth`` for ``solution``, ``video`` or
``image`` for ``path``, a solution with or without tags or in ``\\boxed{}``, as a number or as an option's text, options as a
list, a dict or lines, types with hyphens or underscores, one JSON list instead of lines, paths that begin with ``./``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

from ..answers import letter, option_texts, same_text
from ..files import inside, iterate_jsonl
from ..types import PROBLEM_TYPES, BadRow, CognitiveMap, MissingArtifact, Sample, WorkbookError

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
        with open(path, encoding="utf-8", errors="replace") as file:
            whole = file.read(1).lstrip() == "["
        if not whole:
            yield from iterate_jsonl(path)
            return
        try:
            yield from enumerate(loads(path.read_text(encoding="utf-8")), 1)
        except JSONDecodeError as error:
            raise BadRow(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from error
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) and not path.suffix:
        from datasets import load_dataset

        yield from enumerate(load_dataset(str(source), split="train"), 1)
    else:
        raise MissingArtifact(str(source), "02_questions", "make nb02")


def _maps(path: Path) -> dict[str, CognitiveMap]:
    maps: dict[str, CognitiveMap] = {}
    for line, row in iterate_jsonl(path):
        try:
            maps[row["video_id"]] = CognitiveMap.from_json(row)
        except (KeyError, TypeError) as error:
            raise BadRow(f"{path}, line {line}: no cognitive map ({type(error).__name__}: {error}).") from error
    return maps


def _join(sample: Sample, maps: dict[str, CognitiveMap], root: Path) -> Sample:
    if sample.path:
        inside(root, sample.path)
    name = sample.cognitive_map_id or (Path(sample.path).stem if not sample.question_type else "")
    if sample.cognitive_map_id and maps and name not in maps:
        raise BadRow(f"cognitive_map_id: {MAPS} has no row {name!r}")
    found = maps.get(name)
    return replace(sample, cognitive_map_id=name, cognitive_map=found.cognitive_map) if found else sample


def sample_of(row: Any, line: int = 0) -> Sample:
    """The sample that one row of any known variant means; ``line`` is its id if it has none.

    Raises:
        BadRow: a field is missing or contradicts another; the message names it.
    """
    if not isinstance(row, dict):
        raise BadRow(f"a {type(row).__name__}, not an object with fields")
    row = {**row, **{name: value for name, names in ALIASES.items() if (value := _first(row, names)) is not None}}
    for name in ("problem", "solution"):
        if not str(row.get(name, "")).strip():
            raise BadRow(f"{name}: missing or empty")
    path = str(row.get("path") or "").removeprefix("./")
    fields = {
        **row, "problem_id": _id(row.get("problem_id", line)), "problem": str(row["problem"]), "path": path,
        "data_type": row.get("data_type") or ("image" if path.lower().endswith(IMAGES) else "video" if path else "text"),
        "options": _options(row.get("options")), "data_source": str(row.get("data_source", "")),
    }
    if fields["data_type"] not in ("image", "video", "text"):
        raise BadRow(f"data_type: {fields['data_type']!r} is none of image, video, text")
    if not path and fields["data_type"] != "text":
        raise BadRow("path: missing")
    kind = re.sub("[^a-z]", "", str(row.get("problem_type") or ("mcq" if fields["options"] else "")).lower())
    if kind not in TYPE_NAMES:
        raise BadRow(f"problem_type: {row.get('problem_type')!r} is none of {', '.join(PROBLEM_TYPES)}")
    fields["problem_type"] = TYPE_NAMES[kind]
    sample = Sample.from_row({**fields, "solution": f"<answer>{_solution(str(row['solution']))}</answer>"})
    return _checked(sample)


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[n] for n in names if row.get(n) is not None), None)


def _id(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadRow(f"problem_id: {value!r} is no whole number") from None


def _options(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{k}. {v}" for k, v in value.items() if v is not None]
    texts = value.splitlines() if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, (list, tuple)):
        raise BadRow(f"options: {value!r} is neither a list nor a text nor a mapping")
    texts = [str(t).strip() for t in texts if str(t).strip()]
    lettered = all(re.match(rf"\(?{chr(65 + k)}[.):\s]", t) for k, t in enumerate(texts))
    return texts if lettered else [f"{chr(65 + k)}. {t}" for k, t in enumerate(texts)]


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
