"""Take a completion apart: blocks, numbers and maps, in time linear in its length.

An answer over ``MAX_ANSWER`` or a map over ``MAX_MAP`` characters is not read, so that no text is
expensive. No model writes so much within 1,024 tokens.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import cast

from .numerals import MAX_ANSWER as MAX_ANSWER
from .numerals import number as number
from .numerals import plain, plain_character
from .types import Answer, MapCells

MAX_MAP = 20_000
"""Characters of a map that are still read; a longer one counts as unreadable."""
OUTSIDE = ("text outside the blocks", "map outside the think block")
"""Problems despite which the answer is clear."""

Points = dict[str, list[tuple[float, float]]]
"""``{category: [(x, y), ...]}`` in cells, not necessarily on the grid."""


def block(text: str, tag: str) -> str | None:
    """The text between the first ``<tag>`` and the next ``</tag>``, stripped; None without both.

    >>> block("so <answer> B </answer>", "answer")
    'B'
    """
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(tag) + 2 : end].strip() if end >= 0 else None


def parse(text: str) -> Answer:
    """Split a completion into think, map and answer, and list what keeps it from being well formed.

    Well formed: exactly one think block, then exactly one answer block, nothing else but white
    space; the map, if there is one, inside the think block.

    >>> parse("<think>near <map>{'tv': [[1, 2]]}</map></think><answer>A</answer>").map_text
    "{'tv': [[1, 2]]}"
    >>> parse("<answer>A</answer><answer>B</answer>").problems
    ('no think block', 'two answer blocks')
    """
    problems = [p for tag in ("think", "answer") if (p := _block_problem(text, tag))]
    if not problems:
        problems = _place_problems(text.strip())
    return Answer(
        text, block(text, "think"), block(text, "map"), block(text, "answer"), tuple(problems)
    )


def _block_problem(text: str, tag: str) -> str | None:
    opened, closed = text.count(f"<{tag}>"), text.count(f"</{tag}>")
    if opened == 1 and closed == 1:
        return None if block(text, tag) is not None else f"{tag} block closed before it opens"
    if not opened and not closed:
        return f"no {tag} block"
    return (
        f"{tag} block not closed"
        if opened > closed == 0
        else f"{tag} block not opened"
        if not opened
        else f"two {tag} blocks"
    )


def _place_problems(text: str) -> list[str]:
    """Faults of order, in a stripped text with exactly one think block and one answer block."""
    thought, answered = text.find("</think>"), text.find("<answer>")
    if answered < thought:
        return ["answer before the end of the think block"]
    found = []
    between = text[thought + len("</think>") : answered]
    if between.strip() or not text.startswith("<think>") or not text.endswith("</answer>"):
        found.append(OUTSIDE[0])
    if (
        text.rfind("<map>") > thought
        or text.rfind("</map>") > thought
        or -1 < text.find("<map>") < text.find("<think>")
    ):
        found.append(OUTSIDE[1])
    return found


def answer_of(answer: Answer) -> tuple[str | None, str]:
    """The one answer of a completion, or None with the reason why it has none (strict reading).

    Text around the blocks costs the format reward only; a missing, doubled or misplaced block
    leaves no answer.
    """
    doubts = [p for p in answer.problems if p not in OUTSIDE]
    if doubts or answer.answer is None:
        return None, "; ".join(doubts) or "no answer block"
    if len(answer.answer) > MAX_ANSWER:
        return None, f"the answer is longer than {MAX_ANSWER:,} characters"
    return answer.answer, ""


# -------------------------------------------------------------------------------------------- texts


def same_text(text: str) -> str:
    """``text`` in the form in which two texts are compared: case, width, white space and a final
    full stop don't count."""
    return " ".join(unicodedata.normalize("NFKC", plain(text)).casefold().split()).rstrip(".")


# --------------------------------------------------------------------------------------------- maps

_COORDINATE = r"[-+]?\d{1,6}(?:\.\d{0,9})?"
_PAIR = re.compile(rf"[\[(]\s*({_COORDINATE})\s*,\s*({_COORDINATE})\s*[\])]", re.ASCII)
_BEFORE_NAME = re.compile(r"[,;\[\](){}<>\n'\"]")
# A quoted name holds no pair and no empty list, so that it ends at its own closing quote and not at
# that of a later name. No quote behind a backslash or a letter opens a name: this keeps the time
# linear.
_HEAD = re.compile(
    rf"""(?:(?<![\\\w])((['"])(?:(?!\2|\[\s*\]|{_PAIR.pattern})[^\\\n]|\\.)*+\2)\s*)?:""", re.ASCII
)


_QUOTES = dict.fromkeys("“”„‟«»", '"') | dict.fromkeys("‘’‚‛", "'") | {"【": "[", "】": "]"}
_APOSTROPHE = re.compile(r"(?<=\w)’(?=\w)")


def same_category(name: str) -> str:
    """A category's name in the form in which maps are compared: plain characters, lower case,
    single spaces, no underscores.

    >>> same_category("Ｍen’s_shoes")
    "men's shoes"
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", plain(name.replace("’", "'")))
    return " ".join(name.lower().replace("_", " ").split())


def _plain_map(text: str) -> tuple[str, Sequence[int]]:
    """A map in plain characters, and the place of each in ``text``. Empty if it is over ``MAX_MAP``
    characters.

    Wide digits and brackets and typographic quotes become ASCII. One character may become several,
    or none.
    """
    if len(text) > MAX_MAP:
        return "", ()
    if text.isascii():
        return text, range(len(text))
    # the apostrophe of men’s must not end the name
    apostrophes = {found.start() for found in _APOSTROPHE.finditer(text)}
    found: list[str] = []
    places: list[int] = []
    for k, character in enumerate(text):
        same = (
            character if k in apostrophes else _QUOTES.get(character) or plain_character(character)
        )
        found.append(same)
        places += [k] * len(same)
    return ("".join(found), places) if len(places) <= MAX_MAP else ("", ())


def map_points(text: str) -> Points:
    """Every ``name: pairs`` of a map, with names and coordinates as they stand (strict reading).

    A value is any run of ``[x, y]`` or ``(x, y)``; a pair that is cut off or not made of two plain
    numbers is not read. The same name twice counts with all its pairs. Wide digits and brackets and
    typographic quotes are read as the ASCII ones. Nothing is read of a text over ``MAX_MAP``
    characters.

    >>> map_points("{'Trash_bin': [[1, 2], [3, 4.5]], tv: (5, 6)}")
    {'trash bin': [(1.0, 2.0), (3.0, 4.5)], 'tv': [(5.0, 6.0)]}
    """
    found: Points = {}
    for name, pairs in _entries(_plain_map(text)[0]):
        found.setdefault(name, []).extend((float(p[1]), float(p[2])) for p in pairs)
    return found


def map_spans(text: str) -> list[tuple[str, int, int]]:
    """``(name, start, stop)`` of the numbers behind every name of a map that has any, read as in
    ``map_points``.

    The positions are those in ``text`` as it is given.

    >>> [(name, "{'tv': [[1, 2], [3, 4]]}"[i:j]) for name, i, j in map_spans("{'tv': [[1, 2], [3, 4]]}")]
    [('tv', '1, 2], [3, 4')]
    """
    read, places = _plain_map(text)
    return [
        (name, places[pairs[0].start(1)], places[pairs[-1].end(2) - 1] + 1)
        for name, pairs in _entries(read)
        if pairs
    ]


def _entries(text: str) -> Iterator[tuple[str, list[re.Match[str]]]]:
    """The names of a map in plain characters, with their pairs, in the order written."""
    heads, at = list(_HEAD.finditer(text)), 0
    for head, following in zip(heads, [*heads[1:], None]):
        name = (
            _unquoted(head[1])
            if head[1]
            else _BEFORE_NAME.split(text[at : head.start()].rstrip(" \t\r\n'\""))[-1]
        )
        at = head.end()
        if name := same_category(name):
            yield (
                name,
                list(_PAIR.finditer(text, at, following.start() if following else len(text))),
            )


def _unquoted(name: str) -> str:
    """A name without its quotes; escapes, which Python and JSON write alike, are undone where they
    are whole."""
    try:
        return str(ast.literal_eval(name)) if "\\" in name else name[1:-1]
    except (SyntaxError, ValueError):
        return name[1:-1]


def parse_map(map_text: str, categories: Collection[str]) -> MapCells:
    """The map that a completion draws, for the given categories only; categories without a readable
    pair are left out.

    Coordinates are kept as they stand (also off the grid, also with a fraction); whole numbers are
    ints.

    >>> parse_map("{'tv': [[1, 2]], 'lamp': [[3, 4]], 'bed': []}", ("tv", "bed"))
    {'tv': [[1, 2]]}
    """
    names = {same_category(c): c for c in categories}
    plain = {
        names[n]: [[int(v) if v.is_integer() else v for v in p] for p in ps]
        for n, ps in map_points(map_text).items()
        if n in names and ps
    }
    return cast(MapCells, plain)
