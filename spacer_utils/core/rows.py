"""Read rows of SpaceR-151k and its relatives. Known variants are accepted, broken rows refused.

Variants seen in public files:

* ``question`` for ``problem``, ``answer`` or ``ground_truth`` for ``solution``, or a chat
* a solution with or without tags, in ``\\boxed{}``, as a number, or as an option's text
* options as a list, a dict or lines; types with hyphens or underscores
* media in any field and form of ``media_of``
* JSON lines, one JSON list, ``{"data": [...]}``, parquet
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from . import media_of, options
from .answers import number
from .files import inside, iterate_jsonl
from .maps import read_cells, read_grid
from .prompts import special_token
from .row_files import MAPS, no_rows, numbered
from .types import PROBLEM_TYPES, BadRow, CognitiveMap, MapCells, Sample, WorkbookError, map_frame

ALIASES = {
    "problem": ("problem", "question"),
    "solution": ("solution", "answer", "ground_truth"),
    "problem_id": ("problem_id", "id"),
    "question_type": ("question_type", "original_question_type"),
    "scene_id": ("scene_id", "scene_name"),
    "data_source": ("data_source", "dataset"),
    "map_grid": ("map_grid", "grid"),
}
TYPE_NAMES = {re.sub("[^a-z]", "", t.lower()): t for t in PROBLEM_TYPES} | {
    "mcq": "multiple choice",
    "mca": "multiple choice",
    "choice": "multiple choice",
    "number": "numerical",
    "na": "numerical",
}
TEXTS = ("problem_type", "data_source", "question_type", "scene_id", "cognitive_map_id")
"""Fields that are text or null."""
GENERAL = "general"
"""Question types that begin with this are about no room, and have no map."""
Maps = dict[str, dict[str, CognitiveMap]]
"""Name of a video -> its path as it is written, without extension -> map."""


def load(
    source: Path | str, problems: list[str] | None = None, special: Collection[str] = ()
) -> list[Sample]:
    """Samples of a JSONL or parquet file, a JSON list, or a hub dataset (``owner/name``), maps
    joined from the file beside them.

    Args:
        problems: gets a line for each broken row; the other rows are returned. Without it, a broken
            row is an error.
        special: the special tokens of a tokenizer. A row whose texts hold one is broken.

    Raises:
        MissingArtifact: there is no such file, and a stage of the workbook writes it.
        BadRow: there is no such file, no row in it, or a broken row; the message gives the line and
            field of each.
    """
    # The maps beside the rows, and what the loop remembers.
    path = Path(source)
    maps = _maps(path.parent / MAPS) if path.exists() and (path.parent / MAPS).exists() else {}
    samples: list[Sample] = []
    found: list[str] = []
    lines: dict[int, int] = {}
    own: dict[str, tuple[str, Sample]] = {}

    # Each row by itself, then against the rows before it: ids and maps.
    called, rows = numbered(source)
    place = 0
    for place, row in rows:
        try:
            sample = _join(sample_of(row, place, special), maps, path.parent)
            if sample.problem_id in lines:
                raise BadRow(
                    f"problem_id {sample.problem_id} is taken by {called} {lines[sample.problem_id]}"
                )
            _same_map(sample, f"{called} {place}", own)
        except WorkbookError as error:
            found.append(f"{source}, {called} {place}: {error}")
            continue
        lines[sample.problem_id] = place
        samples.append(sample)

    # No rows at all, or broken ones.
    if not place:
        raise no_rows(path)
    if found and problems is None:
        rest = f"\n... and {len(found) - 20} more" if len(found) > 20 else ""
        raise BadRow("\n".join(found[:20]) + rest + f"\nMend or remove these {called}s.")
    (problems if problems is not None else []).extend(found)
    return samples


def need_maps(samples: Sequence[Sample], source: Path) -> int:
    """How many questions about rooms have no map, for a method that rewards maps.

    Raises:
        WorkbookError: no row has a map.
    """
    bare = [s for s in samples if not any((s.cognitive_map or {}).values())]
    if len(bare) == len(samples):
        raise WorkbookError(
            f"{source}: none of the {len(samples)} rows has a map, and the method rewards maps. Put {MAPS} "
            "beside it (video_id, cognitive_map), or choose a method without a map, for example rlvr."
        )
    return sum(not is_general(s.question_type) and bool(s.path) for s in bare)


def _maps(path: Path) -> Maps:
    """The maps of a file.

    Raises:
        BadRow: a line is broken, or two lines give one video different maps.
    """
    maps: Maps = {}
    lines: dict[str, int] = {}
    for line, row in iterate_jsonl(path):
        try:
            row = _object(row)
            video = _needed(row, "video_id")
            grid = read_grid(row.get("grid"))
            cells = _cells(row.get("cognitive_map"), grid)
            drawn = CognitiveMap(video, cells, tuple(cells), map_frame(row.get("frame")), grid)
            place = _place(video)
            known = maps.setdefault(Path(place).name, {}).setdefault(place, drawn)
            if replace(known, video_id=video) != drawn:
                raise BadRow(f"video_id: {video!r} has another map in line {lines[place]}")
            lines.setdefault(place, line)
        except WorkbookError as error:
            raise BadRow(f"{path}, line {line}: {error}. Mend or remove the line.") from error
    return maps


def _place(video: str) -> str:
    """A video's path without its extension, which only some rows and maps write."""
    path = Path(video)
    known = path.suffix.lower() in (*media_of.VIDEOS, *media_of.IMAGES)
    return str(path.with_suffix("") if known else path)


def _map_of(maps: Maps, video: str) -> CognitiveMap | None:
    """The map of a video. The row or the map may name folders that the other leaves out.

    Raises:
        BadRow: several videos of that name have maps.
    """
    place = _place(video)
    named = maps.get(Path(place).name, {})
    if place in named:
        return named[place]
    near = [
        name
        for name in named
        if f"/{place}".endswith(f"/{name}") or f"/{name}".endswith(f"/{place}")
    ]
    if len(near) > 1:
        raise BadRow(
            f"cognitive_map_id: {video!r} may be {' or '.join(sorted(near)[:3])} in {MAPS}. Name its folder"
        )
    return named[near[0]] if near else None


def _join(sample: Sample, maps: Maps, root: Path) -> Sample:
    """The sample with its map, if there is one.

    Raises:
        BadRow: the named map is missing, or the row holds another one.
    """
    if sample.path:
        inside(root, sample.path)
    general = is_general(sample.question_type)
    name = sample.cognitive_map_id or ("" if general else sample.path)
    drawn = _map_of(maps, name) if name else None
    if drawn is None:
        if sample.cognitive_map_id and maps:
            raise BadRow(f"cognitive_map_id: {MAPS} has no row {name!r}")
        return sample
    if sample.cognitive_map is not None and sample.cognitive_map != drawn.cognitive_map:
        raise BadRow(
            f"cognitive_map: another than that of {drawn.video_id!r} in {MAPS}. Keep one of them"
        )
    return sample.joined(drawn)


def _same_map(sample: Sample, where: str, known: dict[str, tuple[str, Sample]]) -> None:
    """Refuse a row whose map differs from an earlier row's of the same video."""
    if sample.cognitive_map is None or not sample.path:
        return
    before, other = known.setdefault(sample.path, (where, sample))
    for mine, theirs in (
        (sample.cognitive_map, other.cognitive_map),
        (sample.map_frame, other.map_frame),
        (sample.map_grid, other.map_grid),
    ):
        if mine != theirs:
            raise BadRow(f"cognitive_map: {sample.path!r} has another map in {before}")


def sample_of(row: Any, line: int = 0, special: Collection[str] = ()) -> Sample:
    """The sample of one row of any known variant.

    Args:
        line: the sample's id, if the row has none.
        special: as in ``load``.

    Raises:
        BadRow: a field is missing, has another type, or contradicts another; the message names it.
    """
    # Every field under its own name: from a chat's turns, or from an alias.
    row = _object(row)
    chat = media_of.turns(row)
    row = {
        **row,
        **{name: text for name, text in chat.items() if _first(row, ALIASES[name]) is None},
    }
    row = {
        **row,
        **{
            name: value
            for name, names in ALIASES.items()
            if (value := _first(row, names)) is not None
        },
    }

    # Every field in its own form.
    solution = _solution(_needed(row, "solution", number=True))
    texts = {name: _text(row.get(name), name) for name in TEXTS}
    path, data_type = media_of.medium(row)
    problem = media_of.question(_needed(row, "problem"), data_type)
    choices = options.read(row.get("options"))
    kind = re.sub("[^a-z]", "", (texts["problem_type"] or ("mcq" if choices.texts else "")).lower())
    if kind not in TYPE_NAMES:
        raise BadRow(
            f"problem_type: {texts['problem_type']!r} is none of {', '.join(PROBLEM_TYPES)}"
        )
    cells, grid = row.get("cognitive_map"), read_grid(row.get("map_grid"))

    # Together, and checked against each other.
    sample = Sample.from_row(
        {
            **texts,
            "problem_id": _id(row.get("problem_id"), line),
            "problem": problem,
            "data_type": data_type,
            "problem_type": TYPE_NAMES[kind],
            "options": choices.lines(),
            "solution": f"<answer>{solution}</answer>",
            "path": path,
            "categories": _categories(row.get("categories")),
            "cognitive_map": None if cells is None else _cells(cells, grid),
            "map_frame": map_frame(row.get("map_frame")),
            "map_grid": grid,
        }
    )
    _refuse_tokens(sample, special)
    return _checked(sample, choices)


def _refuse_tokens(sample: Sample, special: Collection[str]) -> None:
    """Refuse a row whose texts hold a special token, or the mark of a medium where none belongs."""
    texts = {
        "problem": [sample.problem],
        "options": sample.options,
        "solution": [sample.gold],
        "categories": sample.categories,
        "cognitive_map": sample.cognitive_map or (),
    }
    for name, held in texts.items():
        for text in held:
            if found := special_token(text, special):
                raise BadRow(
                    f"{name}: holds {found}, which a tokenizer takes for a sign of its own. Write it in other words"
                )
            if mark := next((m for m in media_of.MARKS if m in text), ""):
                raise BadRow(
                    f"{name}: holds {mark}, where trainers put a medium. Write it in other words"
                )


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[n] for n in names if row.get(n) is not None), None)


def _object(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadRow(f"a {type(row).__name__}, not an object with fields")
    return row


def _needed(row: dict[str, Any], name: str, number: bool = False) -> str:
    """The text of a required field."""
    text = _text(row.get(name), name, number)
    if not text.strip():
        raise BadRow(f"{name}: missing or empty")
    return text


def _text(value: Any, name: str, number: bool = False) -> str:
    """The text of a field; empty for null. With ``number``, a number counts as text."""
    if (
        number
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < math.inf
    ):
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


def _categories(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | None) or not all(
        isinstance(c, str) for c in value or ()
    ):
        raise BadRow(f"categories: {brief(value)} is no list of texts")
    return [_text(c, "categories") for c in value or ()]


def _cells(value: Any, grid: int) -> MapCells:
    try:
        return {
            _text(category, "cognitive_map"): places
            for category, places in read_cells(value, grid).items()
        }
    except BadRow as error:
        raise BadRow(
            str(error) if "cognitive_map" in str(error) else f"cognitive_map: {error}"
        ) from error


def _solution(text: str) -> str:
    """The answer without its tags.

    Raises:
        BadRow: two tagged answers that differ.
    """
    tagged = [found.strip() for found in re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)]
    if len(set(tagged)) > 1:
        raise BadRow(f"solution: {brief(text)} has {len(tagged)} different answers")
    boxed = re.fullmatch(r"\s*\\boxed\{(.*)\}\s*", text, re.DOTALL)
    return tagged[0] if tagged else (boxed[1] if boxed else text).strip()


def _checked(sample: Sample, choices: options.Options) -> Sample:
    """The sample, with the bare letter as the solution of a multiple-choice question.

    Raises:
        BadRow: the solution is no answer to such a question.
    """
    if not sample.gold:
        raise BadRow("solution: empty")
    if sample.problem_type == "multiple choice":
        if len(choices.texts) < 2:
            raise BadRow(
                f"solution: {sample.gold!r} is none of the options {', '.join(sample.options) or '(none)'}, "
                "and a choice needs two"
            )
        found = choices.gold(sample.gold)
        return replace(sample, solution=f"<answer>{found}</answer>")
    if sample.problem_type in ("numerical", "regression") and number(sample.gold) is None:
        raise BadRow(f"solution: {brief(sample.gold)} holds no number that the reward reads")
    return sample


def is_general(question_type: str) -> bool:
    """Whether a question type is about no room.

    Macro scores leave such types out. They show what training made the model forget.
    """
    return question_type.startswith(GENERAL)


def spread(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """At most ``limit`` samples: the first one of every question type, then the second ones, ...

    Spatial types come before general ones. Within a type, ``problem_id`` gives the order.
    """
    by_type: dict[str, list[Sample]] = defaultdict(list)
    for s in sorted(samples, key=lambda s: s.problem_id):
        by_type[s.question_type].append(s)
    longest = max(map(len, by_type.values()), default=0)
    spatial_first = sorted(by_type, key=lambda t: (is_general(t), t))
    turns = (by_type[t][k] for k in range(longest) for t in spatial_first if k < len(by_type[t]))
    return [s for s, _ in zip(turns, range(limit))]
