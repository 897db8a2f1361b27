"""Take a completion apart: blocks, letters, numbers and maps, in time linear in its length.

What no model writes within a budget of 1,024 tokens is not read at all, so that no text is expensive: an answer over
``MAX_ANSWER`` characters, a map over ``MAX_MAP`` characters.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import cast

from .scoring.extract import NUMBER_WORDS
from .types import Answer, MapCells

MAX_ANSWER = 8_192
"""Characters of an answer block that are still read; a longer one scores 0."""
MAX_MAP = 20_000
"""Characters of a map that are still read; a longer one counts as unreadable."""
OUTSIDE = ("text outside the blocks", "map outside the think block")
"""Problems that leave no doubt about what the answer is."""

Points = dict[str, list[tuple[float, float]]]
"""``{category: [(x, y), ...]}`` in cells, not necessarily on the grid."""


def block(text: str, tag: str) -> str | None:
    """The text between the first ``<tag>`` and the next ``</tag>``, stripped; None without both.

    >>> block("so <answer> B </answer>", "answer")
    'B'
    """
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(tag) + 2:end].strip() if end >= 0 else None


def parse(text: str) -> Answer:
    """Split a completion into think, map and answer, and list what keeps it from being well formed.

    Well formed: exactly one think block, then exactly one answer block, nothing else but white space; the map, if there is one,
    inside the think block.

    >>> parse("<think>near <map>{'tv': [[1, 2]]}</map></think><answer>A</answer>").map_text
    "{'tv': [[1, 2]]}"
    >>> parse("<answer>A</answer><answer>B</answer>").problems
    ('no think block', 'two answer blocks')
    """
    problems = [p for tag in ("think", "answer") if (p := _block_problem(text, tag))]
    if not problems:
        problems = _place_problems(text.strip())
    return Answer(text, block(text, "think"), block(text, "map"), block(text, "answer"), tuple(problems))


def _block_problem(text: str, tag: str) -> str | None:
    opened, closed = text.count(f"<{tag}>"), text.count(f"</{tag}>")
    if opened == 1 and closed == 1:
        return None if block(text, tag) is not None else f"{tag} block closed before it opens"
    if not opened and not closed:
        return f"no {tag} block"
    return f"{tag} block not closed" if opened > closed == 0 else f"{tag} block not opened" if not opened else f"two {tag} blocks"


def _place_problems(text: str) -> list[str]:
    """Faults of order, in a stripped text with exactly one think block and one answer block."""
    thought, answered = text.find("</think>"), text.find("<answer>")
    if answered < thought:
        return ["answer before the end of the think block"]
    found = []
    between = text[thought + len("</think>"):answered]
    if between.strip() or not text.startswith("<think>") or not text.endswith("</answer>"):
        found.append(OUTSIDE[0])
    if text.rfind("<map>") > thought or text.rfind("</map>") > thought or -1 < text.find("<map>") < text.find("<think>"):
        found.append(OUTSIDE[1])
    return found


def answer_of(answer: Answer) -> tuple[str | None, str]:
    """The one answer of a completion, or None with the reason why it has none (strict reading).

    Text around the blocks costs the format reward only; a missing, doubled or misplaced block leaves no answer.
    """
    doubts = [p for p in answer.problems if p not in OUTSIDE]
    if doubts or answer.answer is None:
        return None, "; ".join(doubts) or "no answer block"
    if len(answer.answer) > MAX_ANSWER:
        return None, f"the answer is longer than {MAX_ANSWER:,} characters"
    return answer.answer, ""


# ----------------------------------------------------------------------------------------------------------------- letters

_LETTER = re.compile(r"\(?([A-Za-z])(?:\)[.:]?|[.:])?")
_ARTICLE = re.compile(r"\b[AI]\s+(?=\w)(?!(?:or|and)\b)")
_LETTER_AND_TEXT = re.compile(r"(?:\(([A-Za-z])\)[.:]?|([A-Za-z])[.:)])\s*(\S.*)", re.DOTALL)


def option_texts(options: Sequence[str]) -> dict[str, str]:
    """Letter -> text of ``("A. chair", ...)``; options without letters are lettered in order.

    >>> option_texts(("A. chair", "B. sofa")), option_texts(("left", "right"))
    ({'A': 'chair', 'B': 'sofa'}, {'A': 'left', 'B': 'right'})
    """
    parts = [_LETTER_AND_TEXT.fullmatch(o.strip()) for o in options]
    if parts and all(parts):
        return {(p[1] or p[2]).upper(): p[3].strip() for p in parts if p}
    bare = [_LETTER.fullmatch(o.strip()) for o in options]
    if bare and all(bare):
        return {b[1].upper(): "" for b in bare if b}
    return {chr(ord("A") + k): o.strip() for k, o in enumerate(options)}


def letter(text: str, options: Sequence[str] = ()) -> str | None:
    """The option that an answer names: ``A``, ``A.``, ``(A)``, ``A)``, ``A:``, ``A. chair``; capital or not; None otherwise.

    The letter must be among the options where these are given. A second letter in the text behind the first is hedging, unless
    the text is that of the option itself; without a mark behind it, "A" may be an article, which, like "I", is no second letter
    where the options aren't known.

    >>> [letter(t) for t in ("A", "b.", "(C)", "D. A sofa", "A chair", "A. or B", "left")]
    ['A', 'B', 'C', 'D', None, None, None]
    >>> letter("E", ("A. chair", "B. sofa")) is None
    True
    """
    text = unicodedata.normalize("NFKC", text[:MAX_ANSWER]).strip()
    known = option_texts(options)
    if bare := _LETTER.fullmatch(text):
        found = bare[1].upper()
    elif full := _LETTER_AND_TEXT.fullmatch(text):
        found = (full[1] or full[2]).upper()
        words = set(re.findall(r"\w+", full[3] if known else _ARTICLE.sub("", full[3]))) - {found}
        others = set(known) if known else set("ABCDEFGHIJ")
        if same_text(full[3]) != same_text(known.get(found, "")) and words & others:
            return None
    else:
        return None
    return found if not known or found in known else None


def same_text(text: str) -> str:
    """``text`` in the form in which two texts are compared: case, white space and a final full stop don't count."""
    return " ".join(text.casefold().split()).rstrip(".")


# ----------------------------------------------------------------------------------------------------------------- numbers

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+)"
_NUMBER = re.compile(rf"(?<![\w.])(?:(?<!\))[-+−])?(?:{_WHOLE}(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{{1,3}}(?!\w))?", re.ASCII)
_FRACTION, _RAISED = re.compile("[¼-¾⅐-⅞]"), re.compile("[²³¹⁰-ₜ]")
_SCALES = {"hundred": 100.0, "thousand": 1_000.0, "million": 1_000_000.0}


def number(text: str) -> float | None:
    """The first number of a text: digits (sign, thousands separators, exponent) before number words; units are passed over.

    >>> [number(t) for t in ("about 3½ m", "-2", "1,200", "2-3", "twenty-one", "two hundred and five cm", "a chair")]
    [3.5, -2.0, 1200.0, 2.0, 21.0, 205.0, None]
    """
    # normalised first, ½ would be 1⁄2 and ² a plain digit, glued to those before it
    text = _FRACTION.sub(lambda c: f"{unicodedata.numeric(c[0]):.6f}"[1:], _RAISED.sub(" ", text[:MAX_ANSWER]))
    text = unicodedata.normalize("NFKC", text)
    if found := _NUMBER.search(text):
        value = float(found[0].replace(",", "").replace("−", "-"))
        return value if math.isfinite(value) else None
    return _spoken(re.findall(r"[a-z]+", text.lower()))


def _spoken(words: Sequence[str]) -> float | None:
    """Value of the first run of number words; "three and four" is 3, because 4 can't follow 3 in one number."""
    total = current = 0.0
    seen = False
    for word in words:
        if word in _SCALES:
            scale = _SCALES[word]
            current = max(current, 1.0) * scale
            if scale > 100:
                total, current = total + current, 0.0
            seen = True
        elif word in NUMBER_WORDS:
            value = NUMBER_WORDS[word]
            room = current % 100 == 0 or (current % 10 == 0 and value < 10 and current % 100 >= 20)
            if seen and not room:
                break
            current, seen = current + value, True
        elif seen and word != "and":
            break
    return total + current if seen and math.isfinite(total + current) else None


# -------------------------------------------------------------------------------------------------------------------- maps

_COORDINATE = r"[-+]?\d{1,6}(?:\.\d{0,9})?"
_PAIR = re.compile(rf"[\[(]\s*({_COORDINATE})\s*,\s*({_COORDINATE})\s*[\])]", re.ASCII)
_BEFORE_NAME = re.compile(r"[,;\[\](){}<>\n'\"]")
# A quoted name holds no pair and no empty list, else its closing quote is that of a later name; in linear time, because a quote
# behind a backslash, or behind a letter, opens none.
_HEAD = re.compile(rf"""(?:(?<![\\\w])((['"])(?:(?!\2|\[\s*\]|{_PAIR.pattern})[^\\\n]|\\.)*+\2)\s*)?:""", re.ASCII)


def same_category(name: str) -> str:
    """A category's name as maps are compared by: lower case, single spaces, no underscores."""
    return " ".join(name.lower().replace("_", " ").split())


def map_points(text: str) -> Points:
    """Every ``name: pairs`` of a map, with names and coordinates as they stand (strict reading).

    A value is any run of ``[x, y]`` or ``(x, y)``; a pair that is cut off or not made of two plain numbers is not read. The same
    name twice counts with all its pairs. Nothing is read of a text over ``MAX_MAP`` characters.

    >>> map_points("{'Trash_bin': [[1, 2], [3, 4.5]], tv: (5, 6)}")
    {'trash bin': [(1.0, 2.0), (3.0, 4.5)], 'tv': [(5.0, 6.0)]}
    """
    found: Points = {}
    for name, pairs in _entries(text):
        found.setdefault(name, []).extend((float(p[1]), float(p[2])) for p in pairs)
    return found


def map_spans(text: str) -> list[tuple[str, int, int]]:
    """``(name, start, stop)`` of the numbers behind every name of a map that has any, read as in ``map_points``.

    >>> [(name, "{'tv': [[1, 2], [3, 4]]}"[i:j]) for name, i, j in map_spans("{'tv': [[1, 2], [3, 4]]}")]
    [('tv', '1, 2], [3, 4')]
    """
    return [(name, pairs[0].start(1), pairs[-1].end(2)) for name, pairs in _entries(text) if pairs]


def _entries(text: str) -> Iterator[tuple[str, list[re.Match[str]]]]:
    """The names of a map with their pairs, in the order written."""
    if len(text) > MAX_MAP:
        return
    heads, at = list(_HEAD.finditer(text)), 0
    for head, following in zip(heads, [*heads[1:], None]):
        name = _unquoted(head[1]) if head[1] else _BEFORE_NAME.split(text[at:head.start()].rstrip(" \t\r\n'\""))[-1]
        at = head.end()
        if name := same_category(name):
            yield name, list(_PAIR.finditer(text, at, following.start() if following else len(text)))


def _unquoted(name: str) -> str:
    """A name without its quotes; escapes, which Python and JSON write alike, are undone where they are whole."""
    try:
        return str(ast.literal_eval(name)) if "\\" in name else name[1:-1]
    except (SyntaxError, ValueError):
        return name[1:-1]


def parse_map(map_text: str, categories: Collection[str]) -> MapCells:
    """The map that a completion draws, for the given categories only; categories without a readable pair are left out.

    Coordinates are kept as they stand (also off the grid, also with a fraction); whole numbers are ints.

    >>> parse_map("{'tv': [[1, 2]], 'lamp': [[3, 4]], 'bed': []}", ("tv", "bed"))
    {'tv': [[1, 2]]}
    """
    names = {same_category(c): c for c in categories}
    plain = {names[n]: [[int(v) if v.is_integer() else v for v in p] for p in ps]
             for n, ps in map_points(map_text).items() if n in names and ps}
    return cast(MapCells, plain)
