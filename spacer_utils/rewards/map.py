"""The paper's map score and its released parser. Their errors are kept, so that the paper's numbers
can be reproduced."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..core.answers import MAX_MAP
from ..core.maps import GRID
from ..core.registry import REWARDS
from ..core.types import Answer, MapCells, Sample

Pair = list[int]
MATCHED = 256
"""Most predicted pairs of one category that are matched; further ones count as wrong. A completion
of 1,024 tokens cannot write as many."""
_OTHER_BRACKET = re.compile(r"\((?!\s*-?[\d.]+\s*,\s*-?[\d.]+\s*\))", re.ASCII)
_BARE_NAME = re.compile(r"\{\s*(?!(?:True|False|None)\b)[A-Za-z_][\w ]*:", re.ASCII)
_read_json = json.JSONDecoder().raw_decode
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WRAPPED_NUMBER = re.compile(r"[<\[(]*(-?\d+(?:\.\d+)?)[>\])]*")
_KEY = re.compile(r"[^\w\s]*([\w\s]+)[^\w\s]*")
_PLAIN = (int, float)


class _Irregular(Exception):
    """The JSON reader may read this text otherwise than the released code does."""


@REWARDS.register("map")
def map_score(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Paper's map score: greedy nearest matching per category, 0-1; an uninformative map earns
    about .7.

    >>> from spacer_utils.core.answers import parse
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map={"tv": [[5, 5]]})
    >>> map_score(room, parse("<think><map>{'tv': [[5, 5]]}</map></think><answer>2</answer>"))
    (1.0, '1 of 1 categories drawn')
    """
    true = sample.cognitive_map
    if true is None:
        return None, "the sample has no map"
    text = text_read(answer)
    if text is None:
        return 0.0, "no map"
    try:
        predicted = read(text, tuple(true))
        value = score(predicted, true, sample.map_grid)
    except OverflowError:  # the released code drops the whole completion here
        return 0.0, "a coordinate is beyond every number"
    drawn = sum(1 for c in true if predicted.get(c))
    return (
        value,
        f"{drawn} of {len(true)} categories drawn"
        if predicted or not true
        else "nothing readable in the map",
    )


def text_read(answer: Answer) -> str | None:
    """The text that the released parser reads as a map; None unless both tags are there.

    It looks for each tag alone, and then for the text between them. With the tags in the wrong
    order that text is empty, which is a perfect map of an empty room.

    >>> from spacer_utils.core.answers import parse
    >>> text_read(parse("</map><map>")), text_read(parse("<map>"))
    ('', None)
    """
    if answer.map_text is None and "<map>" in answer.text and "</map>" in answer.text:
        return ""
    return answer.map_text


def read(text: str, categories: Sequence[str]) -> dict[str, list[Pair]]:
    """What the released parser makes of a map: a dict literal, else numbers behind category names.

    Deviation: nothing is read of a text over ``MAX_MAP`` characters.

    Raises:
        OverflowError: a coordinate is infinite.

    >>> read("{'TV': [[1, 2.9]], 'sofa': [3, 4]}", ("tv", "sofa"))
    {'tv': [[1, 2]]}
    >>> read("tv at 1, 2; sofa: 3", ("tv", "sofa"))
    {'tv': [[1, 2]]}
    """
    text = text.strip()
    known = _lower(tuple(categories))
    if not text or not known or len(text) > MAX_MAP:
        return {}
    literal = text
    if text.startswith("str{") and text.endswith("}"):
        inner = text[4:-1].strip()
        literal = inner if inner.startswith("{") and inner.endswith("}") else text
    if literal.startswith("{") and literal.endswith("}") and not _BARE_NAME.match(literal):
        try:
            return _read_regular(literal, known)
        except (_Irregular, ValueError, RecursionError):
            data = _literal(literal)
            if isinstance(data, dict):
                return _from_dict(data, known)
    return _from_words(text.lower(), known)


@lru_cache(maxsize=4096)
def _lower(categories: tuple[str, ...]) -> frozenset[str]:
    return frozenset(c.lower() for c in categories if c)


def _read_regular(text: str, known: frozenset[str]) -> dict[str, list[Pair]]:
    """Read the usual form: quoted names with lists of number pairs.

    It uses the JSON reader, which is ten times as fast as ``literal_eval``. Single numbers in a list
    are skipped, as in the released code.

    Raises:
        _Irregular, ValueError, RecursionError: the text has another form, or one that JSON and
            Python read differently.
    """
    round_ = "(" in text
    if round_:
        if text.count("(") != text.count(")") or _OTHER_BRACKET.search(text):
            raise _Irregular
        text = text.replace("(", "[").replace(")", "]")
    if "'" in text:
        if '"' in text:
            raise _Irregular
        text = text.replace("'", '"')
    if not text.isascii() or "\\" in text:
        raise _Irregular
    data, end = _read_json(text)
    if end != len(text):
        raise _Irregular
    found: dict[str, list[Pair]] = {}
    for key, value in data.items():
        pairs = _regular_pairs(value, round_)
        if pairs and (name := _clean_key(key)) in known:
            found[name] = found[name] + pairs if name in found else pairs
    return found


def _regular_pairs(value: Any, round_: bool) -> list[Pair]:
    if type(value) is not list:
        raise _Irregular
    pairs = []
    for item in value:
        if type(item) is list and len(item) == 2:
            x, y = item
            if type(x) is int is type(y):
                pairs.append(item)
            elif (
                type(x) in _PLAIN and type(y) in _PLAIN and x - x == 0 == y - y
            ):  # finite, however many digits
                pairs.append([int(x), int(y)])
            else:
                raise _Irregular
        elif round_ or type(item) not in _PLAIN:  # (1, 2) for a value is a pair, [1, 2] is none
            raise _Irregular
    return pairs


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


@lru_cache(maxsize=4096)
def _clean_key(key: str) -> str:
    key = key.lower().strip()
    match = _KEY.fullmatch(key)
    return match[1].strip() if match else key


def _from_dict(data: Mapping[Any, Any], known: frozenset[str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for key, value in data.items():
        try:
            name = _clean_key(str(key))
        except ValueError:  # a number of more digits than Python writes names nothing
            continue
        if name in known:
            items = value if isinstance(value, list) else [value]
            pairs = [p for item in items if (p := _pair(item)) is not None]
            if pairs:
                found[name] = found.get(name, []) + pairs
    return found


def _pair(item: Any) -> Pair | None:
    """Two truncated numbers; None if there are none.

    Accepted: a list or tuple of two, one of these inside a list of one, and a text with at least
    two numbers.
    """
    if isinstance(item, str):
        item = _NUMBER.findall(item)[:2]
    elif isinstance(item, list | tuple) and len(item) == 1:
        item = item[0] if isinstance(item[0], list | tuple) else None
    if not isinstance(item, list | tuple) or len(item) != 2:
        return None
    try:
        x, y = (_value(v) for v in item)
        return [int(x), int(y)]
    except (ValueError, TypeError):
        return None


def _value(value: Any) -> float:
    if isinstance(value, str):
        value = value.strip()
        match = _WRAPPED_NUMBER.fullmatch(value)
        return float(match[1] if match else value)
    if isinstance(value, int | float):
        return value
    raise TypeError


def _from_words(text: str, known: Iterable[str]) -> dict[str, list[Pair]]:
    """Read a lower-case text without structure: the numbers behind a name, in pairs, are its cells.

    Names count as whole words only. Where two overlap, the longer one counts.
    """
    spans = []
    for name in known:
        start = text.find(name)
        while start >= 0:
            end = start + len(name)
            if whole := not (
                "a" <= text[start - 1 : start] <= "z" or "a" <= text[end : end + 1] <= "z"
            ):  # ASCII letters only
                spans.append((start, -end, name))
            start = text.find(name, end if whole else start + 1)
    kept: list[tuple[int, int, str]] = []
    for start, minus_end, name in sorted(spans):
        if not kept or start >= kept[-1][1]:
            kept.append((start, -minus_end, name))
        elif -minus_end > kept[-1][1]:
            kept[-1] = (start, -minus_end, name)
    found: dict[str, list[Pair]] = {}
    following = len(text)
    for start, end, name in reversed(kept):
        digits = _NUMBER.findall(text, end, following)
        numbers = map(int, map(float, digits[: len(digits) & ~1]))
        if pairs := [[x, y] for x, y in zip(numbers, numbers)]:
            found[name] = pairs + found[name] if name in found else pairs
        following = start
    return found


def score(
    predicted: Mapping[str, Sequence[Sequence[float]]], true: MapCells, grid: int = GRID
) -> float:
    """The released score of a read map, 0-1; without a single true object, 1 for an empty
    prediction, else 0.

    Args:
        grid: cells per side of both; the released code knows the paper's only.

    Raises:
        OverflowError: a coordinate is too large for a float.
    """
    total = earned = 0.0
    diagonal = grid * math.sqrt(2)
    for category, places in true.items():
        count = len(places)
        total += count
        pairs = predicted.get(category)
        if not pairs or not places:
            continue
        if count == 1 == len(pairs):
            (x, y), (u, v) = pairs[0], places[0]
            near = 1.0 - math.sqrt((x - u) * (x - u) + (y - v) * (y - v)) / diagonal
            earned += near if near > 0 else 0.0
        else:
            earned += _greedy(pairs[:MATCHED], places, diagonal) * count / max(len(pairs), count)
    if not total:
        return 0.0 if predicted else 1.0
    return earned / total


def _greedy(
    pairs: Sequence[Sequence[float]], places: Sequence[Sequence[float]], diagonal: float
) -> float:
    """Sum of the pair scores when the closest pair is matched first; ties go to the earlier
    predicted, then true, pair."""
    order = [
        ((x - u) * (x - u) + (y - v) * (y - v), i, j)
        for i, (x, y) in enumerate(pairs)
        for j, (u, v) in enumerate(places)
    ]
    order.sort()
    # the released code takes the root of every distance, so it fails if the largest overflows
    math.sqrt(order[-1][0])
    left, used, taken, total = min(len(pairs), len(places)), 0, 0, 0.0
    for squared, i, j in order:
        if not (used >> i & 1 or taken >> j & 1):
            total += max(0.0, 1.0 - math.sqrt(squared) / diagonal)
            left -= 1
            if not left:
                break
            used, taken = used | 1 << i, taken | 1 << j
    return total
