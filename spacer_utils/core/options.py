"""Lettered options: what a question's options are, and which of them an answer names.

``read`` takes options as people publish them and refuses what is ambiguous. ``option_texts`` reads
the package's own lines (``A. chair``) back and never fails, because a score must not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from unicodedata import normalize

from . import numerals
from .answers import MAX_ANSWER, same_text
from .printed_lists import as_python
from .types import BadRow

# -------------------------------------------------------------------- options as they are published

_LEAD = r"\*{0,2}(?:(?:option|choice)\s+)?"
_LETTERED = re.compile(
    rf"{_LEAD}(?:[(\[]([a-z])[)\]][.:]?|([a-z])(?:\s?([.):、])|\s+[-–—]\s|\s(?![-–—])))\*{{0,2}}(\s*)(.*)",
    re.IGNORECASE | re.DOTALL,
)
"""Groups: letter in brackets, letter without, its mark, white space, text."""
_NUMBERED = re.compile(
    rf"{_LEAD}(?:[(\[](\d\d?)[)\]][.:]?|(\d\d?)([.):、]))(?!\d)\*{{0,2}}(\s*)(.*)",
    re.IGNORECASE | re.DOTALL,
)
_STRANGE = re.compile(r"\W*(?:[a-z]+\W+)?([a-z])(?=\W)", re.IGNORECASE)
"""A letter that may name an option, in a form that isn't read."""
_SIGN = re.compile(r"[A-Za-z]")
_NUMBER = re.compile(r"\(?(\d\d?)[.)]?")


@dataclass(frozen=True)
class Options:
    """The options of one question."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """Letter -> text, in published order; texts are empty where only letters were published."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    """Published number -> letter, where options were numbered."""
    published: bool = False
    """The letters were published, and not given here."""

    def lines(self) -> list[str]:
        """The options as prompts list them: ``A. chair``, or ``A`` without a text."""
        return [f"{name}. {text}" if text else name for name, text in self.texts.items()]

    def gold(self, solution: str) -> str:
        """The letter of the option that a solution names, by its letter, its number or its text.

        Raises:
            BadRow: it names none, or two.
        """
        lines = self.lines()
        listed = ", ".join(lines) or "(none)"
        named = letter(solution, lines) if lines else None
        # "B. tv" where A is the tv
        told = same_text(_mark(solution, _LETTERED).text)
        if named and told and told != same_text(self.texts[named]) and self._called(told):
            raise BadRow(
                f"solution: {solution!r} has the letter of one option and the text of another in {listed}"
            )
        if named and self.published:
            return named
        # if no letters were published, a solution like "B" may be a letter or an option's text
        found = self._called(same_text(solution)) | ({named} if named else set())
        bare = _NUMBER.fullmatch(solution.strip())
        number = bare[1] if bare else _mark(solution, _NUMBERED).name
        found |= {self.numbers[number]} if number in self.numbers else set()
        if len(found) > 1:
            raise BadRow(
                f"solution: {solution!r} is none of the options alone: "
                f"it may be {' or '.join(sorted(found))} of {listed}"
            )
        if not found:
            raise BadRow(f"solution: {solution!r} is none of the options {listed}")
        return found.pop()

    def _called(self, text: str) -> set[str]:
        return {name for name, own in self.texts.items() if own and same_text(own) == text}


@dataclass(frozen=True)
class _Mark:
    """What stands before an option's text."""

    name: str = ""
    """A letter, or a number; empty without."""
    text: str = ""
    sure: bool = False
    """The letter or number is surely no part of the text: it has brackets, or a mark and a space
    behind it, unlike ``U.S.``."""


def read(value: Any) -> Options:
    """Options from a list, a mapping, lines, or the JSON text of one.

    An empty or null option is left out, and the others keep their letters.

    Raises:
        BadRow: they are none of these, or their letters or numbers contradict each other.

    >>> read(["B. bed", "A. tv"]).texts, read(["", "bed", "tv"]).lines()
    ({'B': 'bed', 'A': 'tv'}, ['B. bed', 'C. tv'])
    """
    value = as_python(value)
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, str):
        if re.match(r"\s*\[\s*['\"]", value):
            raise BadRow(
                f"options: {value[:60]!r} is no list that can be read. Give a JSON list of texts"
            )
        value = [line for line in value.splitlines() if line.strip()]
    if value is not None and not isinstance(value, list | tuple):
        raise BadRow(f"options: {value!r} is neither a list nor a text nor a mapping")
    texts = {k: text for k, entry in enumerate(value or ()) if (text := _text(entry))}
    if not texts:
        return Options()
    return _signs(texts) or _lettered(texts) or _numbered(texts) or _in_order(texts)


def _text(entry: Any) -> str:
    if entry is None:
        return ""
    number = (
        isinstance(entry, int | float) and not isinstance(entry, bool) and abs(entry) < float("inf")
    )
    if not isinstance(entry, str) and not number:
        raise BadRow(f"options: {entry!r} is no text")
    text = str(entry).strip()
    if re.search("[\ud800-\udfff]", text):
        raise BadRow(f"options: {text!r} holds half a character (a lone surrogate)")
    return text


def _mark(text: str, form: re.Pattern[str]) -> _Mark:
    """Name and text of ``A. chair``, ``(1) chair`` and the like; full-width ones too."""
    # each character alone, so that places in the text stay
    wide = "".join(n if len(n := normalize("NFKC", c)) == 1 else c for c in text.strip())
    found = form.fullmatch(wide)
    if not found:
        return _Mark()
    behind = text.strip()[found.start(5) :].strip()
    sure = bool(found[1] or (found[3] and (found[4] or not behind)))
    return _Mark((found[1] or found[2]).upper(), behind, sure)


def _signs(texts: Mapping[int, str]) -> Options | None:
    """Letters alone, as where the options are pictures."""
    marks = [
        _Mark(text.upper()) if _SIGN.fullmatch(text) else _mark(text, _LETTERED)
        for text in texts.values()
    ]
    if not all(mark.name and not mark.text for mark in marks):
        return None
    names = [mark.name for mark in marks]
    _once(names)
    return Options(dict.fromkeys(names, ""), published=True)


def _lettered(texts: Mapping[int, str]) -> Options | None:
    """Options with letters. Either all have one, or some have the letter of their place."""
    marks = {k: _mark(text, _LETTERED) for k, text in texts.items()}
    sure = {k: mark for k, mark in marks.items() if mark.sure}
    names = [mark.name for mark in marks.values()]
    if len(sure) == len(texts):
        _once(names)
    in_order = len(sure) == len(texts) and names == sorted(names)
    if in_order or (all(names) and _run(names)):
        return Options(
            {mark.name: mark.text for mark in marks.values() if mark.text}, published=True
        )
    if any(mark.name != _letter_at(k) for k, mark in sure.items()):
        raise BadRow(
            f"options: the letters in {', '.join(texts.values())} contradict each other. "
            "Letter all of them, or none"
        )
    if not sure:
        return None
    given = {_letter_at(k): sure[k].text if k in sure else text for k, text in texts.items()}
    return Options({name: text for name, text in given.items() if text}, published=True)


def _numbered(texts: Mapping[int, str]) -> Options | None:
    """Options with numbers get the letters of their numbers: ``2. tv`` is B; if the numbers begin
    at 0, C."""
    marks = [_mark(text, _NUMBERED) for text in texts.values()]
    if not all(mark.name for mark in marks):
        return None
    numbers = [int(mark.name) for mark in marks]
    _once([str(n) for n in numbers])
    if not _run([chr(n) for n in numbers]):
        return None
    names = [_letter_at(n - (0 not in numbers)) for n in numbers]
    found = {name: mark.text for name, mark in zip(names, marks) if mark.text}
    return Options(found, {str(n): name for n, name in zip(numbers, names)})


def _in_order(texts: Mapping[int, str]) -> Options:
    found = {_letter_at(k): text for k, text in texts.items()}
    strange = [mark[1].upper() if (mark := _STRANGE.match(text)) else "" for text in texts.values()]
    if all(strange) and _run(strange) and strange != [*found]:
        raise BadRow(
            f"options: the letters of {', '.join(texts.values())} can't be read. Write A. text"
        )
    return Options(found)


def _of_mapping(value: Mapping[Any, Any]) -> Options:
    """Options under their letters or numbers."""
    keys = [
        re.sub(r"^(OPTION|CHOICE)[ _]?|[().:\[\]\s]", "", normalize("NFKC", str(key)).upper())
        for key in value
    ]
    _once(keys)
    texts = {key: text for key, entry in zip(keys, value.values()) if (text := _text(entry))}
    if keys and all(key.isdecimal() and len(key) < 3 for key in keys):
        found = _numbered({k: f"{key}. {text}" for k, (key, text) in enumerate(texts.items())})
        if found:
            return found
    if not all(_SIGN.fullmatch(key) for key in keys):
        raise BadRow(
            f"options: the keys {', '.join(map(str, value))} are neither letters nor numbers from 1 on"
        )
    for key, text in texts.items():
        mark = _mark(text, _LETTERED)
        if mark.sure and mark.name != key:
            raise BadRow(f"options: {text!r} stands under {key}. Letter it once")
        texts[key] = mark.text if mark.sure and mark.text else text
    return Options(texts, published=True)


def _letter_at(place: int) -> str:
    if not 0 <= place < 26:
        raise BadRow(f"options: there is no letter for option {place + 1}; they end at Z")
    return chr(ord("A") + place)


def _once(names: Sequence[str]) -> None:
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise BadRow(f"options: {again[0]} stands before two of them. Give each its own")


def _run(names: Sequence[str]) -> bool:
    """Whether these letters, in any order, are a run without gaps and repetitions."""
    codes = sorted(map(ord, names))
    return all(b - a == 1 for a, b in pairwise(codes))


# ---------------------------------------------------------------------------- answers that name one

_LETTER = re.compile(r"\(?([A-Za-z])(?:\)[.:]?|[.:、])?")
_LETTER_AND_TEXT = re.compile(r"(?:\(([A-Za-z])\)[.:、]?|([A-Za-z])[.:)、])\s*(\S.*)", re.DOTALL)
_MARKUP = re.compile(
    r"\\(?:boxed|fbox|mbox|text\w*|math\w*|operatorname|left|right|bf|it|rm)(?![A-Za-z])|\\(?=[()\[\]])|[{}$*`]"
    r"|(?<![^\W_])_+|_+(?![^\W_])"
)
_BRACKETS = str.maketrans("[]【】", "()()")
_LABEL = re.compile(
    r"(?:(?:final |correct |best )?(?:answer|option|choice)\b[\s:]*){1,2}", re.IGNORECASE
)
_ARTICLE = re.compile(
    r"\b[AI]\s+(?=\w)(?!(?:or|and|nor|but|is|was|has|are|can|could|may|might|would|should|also|too|seems)\b)"
)
_OTHER = re.compile(
    r"(?<![\w-])[A-Z](?![\w]|-\w)|(?<=\bor )[a-z]\b(?! \w)|(?<=\band )[a-z]\b(?! \w)"
)


def _bare(text: str) -> str:
    """An answer in plain characters, without LaTeX, Markdown, quotes and a label (``Answer:``,
    ``Option``)."""
    text = (
        _MARKUP.sub("", numerals.plain(text[:MAX_ANSWER]))
        .translate(_BRACKETS)
        .strip()
        .strip("\"'“”‘’")
        .strip()
    )
    label = _LABEL.match(text)
    return text[label.end() :] if label else text


def option_texts(options: Sequence[str]) -> dict[str, str]:
    """Letter -> text of ``("A. chair", ...)``. Unless every option has a letter of its own, they
    get letters in order.

    >>> option_texts(("A. chair", "B. sofa")), option_texts(("left", "right"))
    ({'A': 'chair', 'B': 'sofa'}, {'A': 'left', 'B': 'right'})
    >>> option_texts(("B. sofa", "A."))
    {'B': 'sofa', 'A': ''}
    """
    found: dict[str, str] = {}
    for text in (numerals.plain(o).strip() for o in options):
        if full := _LETTER_AND_TEXT.fullmatch(text):
            found[(full[1] or full[2]).upper()] = full[3].strip()
        elif bare := _LETTER.fullmatch(text):
            found[bare[1].upper()] = ""
    return (
        found
        if len(found) == len(options)
        else {chr(ord("A") + k): numerals.plain(o).strip() for k, o in enumerate(options)}
    )


def letter(text: str, options: Sequence[str] = ()) -> str | None:
    """The option that an answer names; None if it names none or several.

    Forms: ``A``, ``a``, ``A.``, ``(A)``, ``A)``, ``A:``, ``A. chair``.

    It may stand in ``\\boxed{}``, ``\\text{}``, ``$``, bold, code, quotes or brackets, and behind a
    label (``Answer:``, ``Option``). Wide letters count, look-alikes of other scripts don't. If
    options are given, the letter must be one of theirs. If the text behind the letter has another
    letter, the answer names several; the option's own text, articles ("A" or "I" before a word) and
    parts of words (A-frame) don't count.

    >>> [letter(t) for t in ("A", "b.", "(C)", "D. A sofa", "**B**", "A chair", "A. or B", "left")]
    ['A', 'B', 'C', 'D', 'B', None, None, None]
    >>> letter("B. A sofa", ("A. chair", "B. sofa")), letter("E", ("A. chair", "B. sofa"))
    ('B', None)
    """
    text, known = _bare(text), option_texts(options)
    if bare := _LETTER.fullmatch(text):
        found = bare[1].upper()
    elif full := _LETTER_AND_TEXT.fullmatch(text):
        found = (full[1] or full[2]).upper()
        others = {other.upper() for other in _OTHER.findall(_ARTICLE.sub("", full[3]))} - {found}
        hedged = others & (set(known) if known else set("ABCDEFGHIJ"))
        if hedged and same_text(full[3]) != same_text(_bare(known.get(found, ""))):
            return None
    else:
        return None
    return found if not known or found in known else None


def option(text: str, options: Sequence[str]) -> str | None:
    """The option that a published solution names, by its letter or by its text; None if by neither,
    or if two have that text.

    >>> [option(t, ("A. cup", "B. sofa")) for t in ("b", "Sofa", "B. sofa", "tv")]
    ['B', 'B', 'B', None]
    """
    if found := letter(text, options):
        return found
    wanted = same_text(_bare(text))
    same = [k for k, t in option_texts(options).items() if wanted and same_text(_bare(t)) == wanted]
    return same[0] if len(same) == 1 else None


def option_reader(solution: str, options: Sequence[str]) -> Callable[[str], str | None]:
    """The reader for answers to a question with this solution. Answers name an option by its
    letter; where the solution is a text, also by its text.

    >>> [option_reader(s, ("A. cup", "B. sofa"))("sofa") for s in ("B", "sofa")]
    [None, 'B']
    """
    return partial(option if letter(solution, options) is None else letter, options=options)
