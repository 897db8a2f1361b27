"""Lists and dicts that were stored as text: in JSON, as Python prints them, or as NumPy prints an
array.

Files that went through pandas hold ``str(array)`` where a list was: ``['1' '2']``, with no commas.
Python's own reader joins strings that stand side by side, so that this would be one option, ``12``.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_STRING = r"'(?:[^'\\\n]|\\.)*'" + r'|"(?:[^"\\\n]|\\.)*"'
_WORD = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|None|True|False"
_ITEM = rf"(?:{_STRING}|{_WORD})"
_ARRAY = re.compile(rf"\[\s*{_ITEM}(?:\s+{_ITEM})*\s*\]")
_MARK = "\0"
_SIDE_BY_SIDE = re.compile(rf"{_MARK}[\s\\A-Za-z]*{_MARK}")


def looks_listed(text: str) -> bool:
    """Whether a text stands in brackets or braces, as a list or a dict does."""
    return text.strip()[:1] + text.strip()[-1:] in ("[]", "{}")


def read(text: str) -> Any:
    """The list or dict that ``text`` writes.

    Raises:
        ValueError: it is no list or dict, an array that was cut off (``...``), or has strings side
            by side among commas, which may be one item or several. The message is one line.

    >>> read("['1' '2']"), read("['a, b' None]"), read('["left", "right"]'), read("{'A': 1}")
    (['1', '2'], ['a, b', None], ['left', 'right'], {'A': 1})
    """
    text = text.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if _ARRAY.fullmatch(text):
        return [_item(token) for token in re.findall(_ITEM, text)]
    outside = re.sub(_STRING, _MARK, text)
    if "..." in outside:
        raise ValueError(
            f"{_brief(text)} was cut off when it was printed; write the whole list, as JSON"
        )
    if _SIDE_BY_SIDE.search(outside):
        raise ValueError(
            f"{_brief(text)} has texts side by side without a comma; write the list as JSON"
        )
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{_brief(text)} is no list that can be read; write it as JSON") from error


def _item(token: str) -> Any:
    return float(token) if token == "nan" else ast.literal_eval(token.lstrip("+"))


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def as_python(value: Any) -> Any:
    """The value as Python has it: arrays and numpy numbers converted, and lists or dicts read if
    they were stored as text (see ``printed``)."""
    try:
        return listed(value)
    except ValueError:
        return value


def listed(value: Any) -> Any:
    """As ``as_python``.

    Raises:
        ValueError: a text in brackets that can't be read.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    return read(value) if isinstance(value, str) and looks_listed(value) else value
