"""The paper's map score of a batch of completions, compiled: what ``rewards.map`` gives, in a third
of the time.

Texts in a form that the compiled reader doesn't vouch for go through the plain one, which stays the
definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ..core.answers import MAX_MAP
from ..core.types import MapCells
from .map import MATCHED, read, score

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
_ROOM = 2 * MATCHED
"""Pairs and names of one map that the compiled reader has room for."""
_UNUSUAL = "str{"
"""Begins a text that the compiled reader leaves alone."""


def map_scores(texts: Sequence[str], truths: Sequence[MapCells]) -> list[float]:
    """``score(read(text, true), true)`` of every row; 0 where that raises OverflowError.

    >>> map_scores(["{'tv': [[1, 2]]}", "tv at 1, 2", "{'tv': [1, 2]}"], [{"tv": [[1, 2]]}] * 3)
    [1.0, 1.0, 0.0]
    """
    plain = [text.strip() for text in texts]
    lower = [
        t.lower() if _usual(t, true) else _UNUSUAL for t, true in zip(plain, truths, strict=True)
    ]
    names = [name for true in truths for name in true]
    groups = [places for true in truths for places in true.values()]
    cells = np.array([v for places in groups for place in places for v in place], float).reshape(
        -1, 2
    )
    encoded = [name.encode() for name in names]
    found = _scores(
        np.frombuffer("".join(lower).encode(), np.uint8),
        _ends(map(len, lower)),
        np.frombuffer(b"".join(encoded), np.uint8),
        _ends(map(len, encoded)),
        _ends(map(len, truths)),
        cells,
        _ends(map(len, groups)),
    )
    return [
        value if value >= 0 else _plain(text, true)
        for value, text, true in zip(found.tolist(), plain, truths)
    ]


def _usual(text: str, true: MapCells) -> bool:
    names = "".join(true)
    return text.isascii() and len(text) <= MAX_MAP and names == names.lower()


def _ends(lengths: Any) -> Offsets:
    return np.cumsum([0, *lengths])


def _plain(text: str, true: MapCells) -> float:
    try:
        return score(read(text, tuple(true)), true)
    except OverflowError:
        return 0.0


@njit(cache=True)
def _scores(
    texts: Bytes,
    text_at: Offsets,
    names: Bytes,
    name_at: Offsets,
    row_at: Offsets,
    cells: npt.NDArray[np.float64],
    cell_at: Offsets,
) -> npt.NDArray[np.float64]:
    """One score per row; -1 where the reader can't vouch for the text."""
    found = np.empty(len(row_at) - 1)
    pairs = np.empty((_ROOM, 3), np.int64)
    for row in range(len(found)):
        text = texts[text_at[row] : text_at[row + 1]]
        first, last = row_at[row], row_at[row + 1]
        count = _read(text, names, name_at, first, last, pairs)
        found[row] = _score(pairs[:count], cells, cell_at, first, last) if count >= 0 else -1.0
    return found


@njit(cache=True)
def _read(
    text: Bytes, names: Bytes, name_at: Offsets, first: int, last: int, pairs: npt.NDArray[np.int64]
) -> int:
    """Fill ``pairs`` with (category, x, y) rows; their number, or -1."""
    size = len(text)
    if size == 0 or first == last:
        return 0
    if size > 3 and text[0] == ord("s") and text[3] == ord("{"):
        return -1
    if text[0] != ord("{") or text[size - 1] != ord("}"):
        return _read_words(text, names, name_at, first, last, pairs)
    k = _skip(text, 1)
    if _is_letter(
        text[k]
    ):  # a bare name is no literal, unless it is one of Python's constants (true, false, none)
        start = k
        while _is_name(text[k]):
            k += 1
        constant = text[k - 1] == ord("e") and (k - start == 4 or k - start == 5)
        return (
            -1
            if text[k] != ord(":") or constant
            else _read_words(text, names, name_at, first, last, pairs)
        )
    return _read_dict(text, names, name_at, first, last, pairs)


@njit(cache=True)
def _read_dict(
    text: Bytes, names: Bytes, name_at: Offsets, first: int, last: int, pairs: npt.NDArray[np.int64]
) -> int:
    """Quoted names with lists of pairs in square or round brackets. The text ends in }, so that no
    index runs over."""
    count, k, size = 0, _skip(text, 1), len(text)
    seen = np.zeros(last - first, np.bool_)
    if k == size - 1:
        return 0
    while True:
        quote, start = text[k], k + 1
        if quote != ord("'") and quote != ord('"'):
            return -1
        k = start
        while _is_name(text[k]):
            k += 1
        if text[k] != quote:
            return -1
        category = _which(text[start:k], names, name_at, first, last)
        if category >= 0:
            if seen[category - first]:
                return -1
            seen[category - first] = True
        k = _skip(text, k + 1)
        if text[k] != ord(":"):
            return -1
        k = _skip(text, k + 1)
        if text[k] != ord("["):
            return -1
        count, k = _read_list(text, _skip(text, k + 1), category, pairs, count)
        if k < 0:
            return -1
        k = _skip(text, k)
        if k == size - 1:
            return count
        if text[k] != ord(","):
            return -1
        k = _skip(text, k + 1)


@njit(cache=True)
def _read_list(
    text: Bytes, k: int, category: int, pairs: npt.NDArray[np.int64], count: int
) -> tuple[int, int]:
    """Pairs up to the closing bracket, single numbers passed over: the new count and the place
    behind, or -1 for it."""
    if text[k] == ord("]"):
        return count, k + 1
    while True:
        opened = text[k]
        paired = opened == ord("[") or opened == ord("(")
        x, k = _number(text, _skip(text, k + 1) if paired else k, True)
        if k < 0:
            return count, -1
        k = _skip(text, k)
        if paired:
            if text[k] != ord(","):
                return count, -1
            y, k = _number(text, _skip(text, k + 1), True)
            if k < 0:
                return count, -1
            k = _skip(text, k)
            if text[k] != (ord("]") if opened == ord("[") else ord(")")) or count == _ROOM:
                return count, -1
            if category >= 0:
                _put(pairs, count, category, x, y)
                count += 1
            k = _skip(text, k + 1)
        if text[k] == ord("]"):
            return count, k + 1
        if text[k] != ord(","):
            return count, -1
        k = _skip(text, k + 1)


@njit(cache=True)
def _read_words(
    text: Bytes, names: Bytes, name_at: Offsets, first: int, last: int, pairs: npt.NDArray[np.int64]
) -> int:
    """Whole-word names, the longest where they overlap; numbers up to the next name are read in
    pairs."""
    spans, found = np.empty((_ROOM, 3), np.int64), 0
    for category in range(first, last):
        name = names[name_at[category] : name_at[category + 1]]
        k = 0
        while len(name) and k + len(name) <= len(text):
            end = k + len(name)
            if (
                not _same(text, k, name)
                or (k > 0 and _is_az(text[k - 1]))
                or (end < len(text) and _is_az(text[end]))
            ):
                k += 1
                continue
            if found == _ROOM:
                return -1
            place = found  # by start, then the longer first
            while place > 0 and (
                spans[place - 1, 0] > k or (spans[place - 1, 0] == k and spans[place - 1, 1] < end)
            ):
                _put(spans, place, spans[place - 1, 0], spans[place - 1, 1], spans[place - 1, 2])
                place -= 1
            _put(spans, place, k, end, category)
            found += 1
            k = end
    kept = 0
    for s in range(found):
        if kept == 0 or spans[s, 0] >= spans[kept - 1, 1]:
            kept += 1
            _put(spans, kept - 1, spans[s, 0], spans[s, 1], spans[s, 2])
        elif spans[s, 1] > spans[kept - 1, 1]:
            _put(spans, kept - 1, spans[s, 0], spans[s, 1], spans[s, 2])
    count = 0
    for s in range(kept):
        count = _read_region(
            text[spans[s, 1] : spans[s + 1, 0] if s + 1 < kept else len(text)],
            spans[s, 2],
            pairs,
            count,
        )
        if count < 0:
            return -1
    return count


@njit(cache=True)
def _read_region(text: Bytes, category: int, pairs: npt.NDArray[np.int64], count: int) -> int:
    """Append the numbers of one region in pairs: the new count, or -1."""
    k, waiting, x = 0, False, 0
    while k < len(text):
        if not (
            _is_digit(text[k])
            or (text[k] == ord("-") and k + 1 < len(text) and _is_digit(text[k + 1]))
        ):
            k += 1
            continue
        value, k = _number(text, k, False)
        if k < 0 or count == _ROOM:
            return -1
        if waiting:
            _put(pairs, count, category, x, value)
            count += 1
        x, waiting = value, not waiting
    return count


@njit(cache=True)
def _number(text: Bytes, k: int, literal: bool) -> tuple[int, int]:
    """A decimal number, truncated, and the place behind it; -1 for the place where there is none or
    it is unusual.

    Args:
        literal: also refuse what Python's literals write otherwise: a leading zero, nothing behind
            the point.
    """
    negative = k < len(text) and text[k] == ord("-")
    start = k + 1 if negative else k
    k, value = start, 0
    while k < len(text) and _is_digit(text[k]):
        value = 10 * value + int(text[k]) - 48
        k += 1
        if k - start > 9:
            return 0, -1
    if k == start or (literal and k - start > 1 and text[start] == 48):
        return 0, -1
    if k < len(text) and text[k] == ord("."):
        behind = k + 1
        while behind < len(text) and _is_digit(text[behind]) and behind - k < 16:
            behind += 1
        if (behind == k + 1 and literal) or behind - k == 16:
            return 0, -1
        k = behind if behind > k + 1 else k
    return -value if negative else value, k


@njit(cache=True)
def _which(name: Bytes, names: Bytes, name_at: Offsets, first: int, last: int) -> int:
    """Index of the category with this name, spaces around it apart; -1 without one."""
    start, end = 0, len(name)
    while start < end and name[start] == 32:
        start += 1
    while end > start and name[end - 1] == 32:
        end -= 1
    for category in range(first, last):
        a, b = name_at[category], name_at[category + 1]
        if b - a == end - start and end > start and _same(name, start, names[a:b]):
            return category
    return -1


@njit(cache=True)
def _same(text: Bytes, start: int, name: Bytes) -> bool:
    for k in range(len(name)):  # noqa: SIM110 (numba)
        if text[start + k] != name[k]:
            return False
    return True


@njit(cache=True)
def _put(rows: npt.NDArray[np.int64], k: int, a: int, b: int, c: int) -> None:
    rows[k, 0], rows[k, 1], rows[k, 2] = a, b, c


@njit(cache=True)
def _skip(text: Bytes, k: int) -> int:
    """The next place without white space; the last place of the text at most."""
    while k < len(text) - 1 and (text[k] == 32 or text[k] == 10 or text[k] == 9 or text[k] == 13):
        k += 1
    return k


@njit(cache=True)
def _is_digit(c: int) -> bool:
    return 48 <= c <= 57


@njit(cache=True)
def _is_az(c: int) -> bool:
    return 97 <= c <= 122


@njit(cache=True)
def _is_letter(c: int) -> bool:
    return _is_az(c) or c == 95


@njit(cache=True)
def _is_name(c: int) -> bool:
    return _is_letter(c) or _is_digit(c) or c == 32


@njit(cache=True)
def _score(
    pairs: npt.NDArray[np.int64],
    cells: npt.NDArray[np.float64],
    cell_at: Offsets,
    first: int,
    last: int,
) -> float:
    """Score of the pairs read, weighted by the true counts; -1 for more of them than are matched,
    or without a true object."""
    total = cell_at[last] - cell_at[first]
    if total == 0:
        return -1.0
    earned = 0.0
    for category in range(first, last):
        places = cells[cell_at[category] : cell_at[category + 1]]
        count = 0
        for p in range(len(pairs)):
            count += pairs[p, 0] == category
        if count > MATCHED:
            return -1.0
        if count and len(places):
            earned += (
                _greedy(pairs, category, count, places) * len(places) / max(count, len(places))
            )
    return float(earned / total)


@njit(cache=True)
def _greedy(
    pairs: npt.NDArray[np.int64], category: int, count: int, places: npt.NDArray[np.float64]
) -> float:
    """Sum of the pair scores of one category's ``count`` pairs when the closest pair is matched
    first."""
    near, i = np.empty((count, len(places))), 0
    for p in range(len(pairs)):
        if pairs[p, 0] == category:
            for j in range(len(places)):
                near[i, j] = (pairs[p, 1] - places[j, 0]) ** 2 + (pairs[p, 2] - places[j, 1]) ** 2
            i += 1
    earned = 0.0
    for _ in range(min(count, len(places))):
        row, column = 0, 0
        for i in range(count):
            for j in range(len(places)):
                if near[i, j] < near[row, column]:
                    row, column = i, j
        earned += max(0.0, 1.0 - math.sqrt(near[row, column]) / (10 * math.sqrt(2)))
        for j in range(len(places)):
            near[row, j] = np.inf
        for i in range(count):
            near[i, column] = np.inf
    return earned
