"""The paper's map score, with the released parser: wrong corners included, so that the paper's numbers can be reproduced."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..answers import MAX_MAP
from ..registry import REWARDS
from ..types import Answer, MapCells, Sample

Pair = list[int]
MATCHED = 256
"""Predicted pairs of one category that are still matched: more than 1,024 tokens can write. Those beyond count as wrong."""
_DIAGONAL = 10 * math.sqrt(2)
_ROUND_PAIR = re.compile(r"\(\s*(-?[\d.]+\s*,\s*-?[\d.]+)\s*\)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WRAPPED_NUMBER = re.compile(r"[<\[(]*(-?\d+(?:\.\d+)?)[>\])]*")
_KEY = re.compile(r"[^\w\s]*([\w\s]+)[^\w\s]*")


class _Irregular(Exception):
    """The fast reading can't vouch for this text."""


@REWARDS.register("map")
def map_score(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Paper's map score: greedy nearest matching per category, 0-1; an uninformative map earns about .7.

    >>> from spacer_utils.answers import parse
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map={"tv": [[5, 5]]})
    >>> map_score(room, parse("<think><map>{'tv': [[5, 5]]}</map></think><answer>2</answer>"))
    (1.0, '1 of 1 categories drawn')
    """
    true = sample.cognitive_map
    if true is None:
        return None, "the sample has no map"
    if answer.map_text is None:
        return 0.0, "no map"
    try:
        predicted = read(answer.map_text, tuple(true))
        value = score(predicted, true)
    except OverflowError:  # the released code drops the whole completion here
        return 0.0, "a coordinate is beyond every number"
    drawn = sum(1 for c in true if predicted.get(c))
    return value, f"{drawn} of {len(true)} categories drawn" if predicted or not true else "nothing readable in the map"


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
    names = [c for c in categories if c]
    text = text.strip()
    if not text or not names or len(text) > MAX_MAP:
        return {}
    known = {c.lower() for c in names}
    literal = text
    if text.startswith("str{") and text.endswith("}"):
        inner = text[4:-1].strip()
        literal = inner if inner.startswith("{") and inner.endswith("}") else text
    if literal.startswith("{") and literal.endswith("}"):
        try:
            return _read_regular(literal, known)
        except (_Irregular, ValueError, RecursionError):
            pass
        try:
            data = ast.literal_eval(literal)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            data = None
        if isinstance(data, dict):
            return _from_dict(data, known)
    return _from_words(text, names)


def _read_regular(text: str, known: set[str]) -> dict[str, list[Pair]]:
    """The usual form, names in quotes and lists of number pairs, by the JSON reader: ten times as fast as ``literal_eval``.

    Raises:
        _Irregular, ValueError, RecursionError: the text has another form, or one that JSON and Python read differently.
    """
    if "(" in text:
        text = _ROUND_PAIR.sub(r"[\1]", text)
    if not text.isascii() or "\\" in text or "(" in text:
        raise _Irregular
    if "'" in text:
        if '"' in text:
            raise _Irregular
        text = text.replace("'", '"')
    found: dict[str, list[Pair]] = {}
    for key, value in json.loads(text).items():
        if type(value) is not list:
            raise _Irregular
        pairs = []
        for pair in value:
            if type(pair) is not list or len(pair) != 2:
                raise _Irregular
            x, y = pair
            if type(x) is not int or type(y) is not int:
                if not (type(x) in (int, float) and type(y) in (int, float) and math.isfinite(x) and math.isfinite(y)):
                    raise _Irregular
                pair = [int(x), int(y)]
            pairs.append(pair)
        name = _clean_key(key)
        if pairs and name in known:
            found[name] = found[name] + pairs if name in found else pairs
    return found


@lru_cache(maxsize=4096)
def _clean_key(key: str) -> str:
    key = key.lower().strip()
    match = _KEY.fullmatch(key)
    return match[1].strip() if match else key


def _from_dict(data: Mapping[Any, Any], known: set[str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for key, value in data.items():
        name = _clean_key(str(key))
        if name in known:
            items = value if isinstance(value, list) else [value]
            pairs = [p for item in items if (p := _pair(item)) is not None]
            if pairs:
                found[name] = found.get(name, []) + pairs
    return found


def _pair(item: Any) -> Pair | None:
    """Two numbers, truncated, from a list, a tuple, one of them inside a list of one, or a string with at least two numbers."""
    if isinstance(item, str):
        item = _NUMBER.findall(item)[:2]
    elif isinstance(item, list | tuple) and len(item) == 1:
        item = item[0] if isinstance(item[0], list | tuple) else None
    if not isinstance(item, list | tuple) or len(item) != 2:
        return None
    try:
        return [_whole(v) for v in item]
    except (ValueError, TypeError):
        return None


def _whole(value: Any) -> int:
    if isinstance(value, str):
        value = value.strip()
        match = _WRAPPED_NUMBER.fullmatch(value)
        return int(float(match[1] if match else value))
    if isinstance(value, int | float):
        return int(value)
    raise TypeError


def _from_words(text: str, names: Iterable[str]) -> dict[str, list[Pair]]:
    """Whole-word names, the longest where they overlap; the numbers up to the next name are read in pairs."""
    spans = sorted(((m.start(), -m.end(), c.lower()) for c in names for m in _whole_word(c).finditer(text)), key=lambda s: s[:2])
    kept: list[tuple[int, int, str]] = []
    for start, minus_end, name in spans:
        if not kept or start >= kept[-1][1]:
            kept.append((start, -minus_end, name))
        elif -minus_end > kept[-1][1]:
            kept[-1] = (start, -minus_end, name)
    found: dict[str, list[Pair]] = {}
    for (_, end, name), following in zip(kept, [s for s, _, _ in kept[1:]] + [len(text)]):
        numbers = [int(float(n)) for n in _NUMBER.findall(text, end, following)]
        if len(numbers) > 1:
            found.setdefault(name, []).extend([x, y] for x, y in zip(numbers[::2], numbers[1::2]))
    return found


@lru_cache(maxsize=4096)
def _whole_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-zA-Z]){re.escape(name)}(?![a-zA-Z])", re.IGNORECASE)


def score(predicted: Mapping[str, Sequence[Sequence[float]]], true: MapCells) -> float:
    """The released score of a read map, 0-1; without a single true object, 1 for an empty prediction, else 0.

    Raises:
        OverflowError: a coordinate is too large for a float.
    """
    total = earned = 0.0
    for category, places in true.items():
        count = len(places)
        total += count
        pairs = predicted.get(category)
        if not pairs or not places:
            continue
        if count == 1 and len(pairs) == 1:
            (x, y), (u, v) = pairs[0], places[0]
            earned += max(0.0, 1.0 - math.sqrt((x - u) ** 2 + (y - v) ** 2) / _DIAGONAL)
        else:
            earned += _greedy(pairs[:MATCHED], places) * count / max(len(pairs), count)
    if not total:
        return 0.0 if predicted else 1.0
    return earned / total


def _greedy(pairs: Sequence[Sequence[float]], places: Sequence[Sequence[float]]) -> float:
    """Sum of the pair scores when the closest pair is matched first; ties go to the earlier predicted, then true, pair."""
    order = sorted([((x - u) ** 2 + (y - v) ** 2, i, j) for i, (x, y) in enumerate(pairs) for j, (u, v) in enumerate(places)])
    free, open_places, total = set(range(len(pairs))), set(range(len(places))), 0.0
    for squared, i, j in order:
        if i in free and j in open_places:
            total += max(0.0, 1.0 - math.sqrt(squared) / _DIAGONAL)
            free.discard(i)
            open_places.discard(j)
            if not free or not open_places:
                break
    return total
