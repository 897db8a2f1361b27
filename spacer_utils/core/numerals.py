"""Read the number that an answer gives: in digits, as a fraction or power, in LaTeX or in words.

The time is linear in the text. Why no library: math-verify 0.9 reads only 14 of 34 such answers as
meant. It reads ``1,200``, but neither ``2 1/2`` nor ``1{,}200``. It takes ``2-3`` for -1, and reads
no words. A thousand brackets take it 10 s, and its timeout needs signals, which threads don't have.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

from .metrics import NUMBER_WORDS

MAX_ANSWER = 8_192
"""Characters of an answer block that are still read; a longer one scores 0."""

# --------------------------------------------------------------------------------------- characters

_ALIKE = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
    "\u066b": ".",
    "\u066c": ",",
    "\u2044": "/",
    "\u2215": "/",
    "\u034f": "",
    "\ufe0e": "",
    "\ufe0f": "",
}
_KEPT = ("<super>", "<sub>", "<fraction>")
"""Kinds of characters that stay as they are: normalised, 10² would become 102."""


@lru_cache(maxsize=8192)
def plain_character(character: str) -> str:
    """One character in plain form: NFKC, with ASCII for dashes and for digits of any script.

    Format characters, which have no width, become empty.

    >>> [plain_character(c) for c in "３−\\u200b²"]
    ['3', '-', '', '²']
    """
    if character in _ALIKE:
        return _ALIKE[character]
    if unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.decomposition(character).startswith(_KEPT):
        return character
    return unicodedata.normalize("NFKC", character)


def plain(text: str) -> str:
    """``text`` in plain characters. The strict rewards compare texts in this form."""
    return text if text.isascii() else "".join(map(plain_character, text))


# ----------------------------------------------------------------------------------------- notation

_FRACTION = re.compile("([0-9]?)([¼-¾⅐-⅟↉])")
_RAISED = re.compile("(?<=[0-9])[⁰¹²³⁴-⁹⁺⁻]+")
_SMALL = re.compile("[²³¹⁰-ₜ]+")
_TRUE_MINUS = re.compile(r"\u2212\s+(?=[0-9.])")

_FRAC_ARGUMENT = r"\s*(?:\{([^{}]*)\}|(\d))"
_FRAC = re.compile(rf"(\d?)\s*\\[dtc]?frac{_FRAC_ARGUMENT}{_FRAC_ARGUMENT}", re.ASCII)
_THIN_SPACE = re.compile(r"\\[,;: ]")
_TIMES = re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])")
_COMMAND = re.compile(r"\\[A-Za-z]+(\s*(?=\{))?")
_OF_A_UNIT = re.compile(
    r"(?<![0-9])(?<![0-9] )\^ ?[{(]?[-+]?[0-9]+[})]?|(?<=[A-Za-z}])_\{?[0-9]+\}?"
)


def _notation(text: str) -> str:
    """The text in one notation: ``1/2``, ``2 1/2``, ``10^2``, ``×``, and no LaTeX."""
    # Unicode: dashes, ½, raised and small digits.
    if not text.isascii():
        # "- 2" may be an item of a list; with the true minus sign it is a number
        text = plain(_TRUE_MINUS.sub("-", text))
        text = _FRACTION.sub(_vulgar, text)
        text = _RAISED.sub(lambda run: "^" + _ascii(run[0]), text)
        text = _SMALL.sub(" ", text).replace("\u2019", "'")

    # LaTeX: thin spaces, fractions, products; other commands go.
    if "\\" in text or "{" in text:
        text = text.replace("{,}", ",").replace("\\!", "")
        text = _THIN_SPACE.sub(" ", text)
        text = _FRAC.sub(_latex_fraction, text)
        text = _TIMES.sub("×", text)
        # -\\boxed{2}: no space between the sign and the number
        text = _COMMAND.sub(lambda command: " " if command[1] is None else "", text)

    # The 2 in m^2 and in x_2 is no number.
    return _OF_A_UNIT.sub(" ", text)[:MAX_ANSWER]


def _ascii(text: str) -> str:
    return plain(unicodedata.normalize("NFKC", text))


def _vulgar(found: re.Match[str]) -> str:
    return (f"{found[1]} " if found[1] else "") + _ascii(found[2])


def _latex_fraction(found: re.Match[str]) -> str:
    above, below = (
        re.sub(r"[\s,]", "", argument)
        for argument in (found[2] or found[3] or "", found[4] or found[5] or "")
    )
    return (f"{found[1]} " if found[1] else "") + f"{above}/{below}"


# ------------------------------------------------------------------------------------------- tokens

_WHOLE = (
    r"(?:[0-9]{1,3}(?P<mark>[,'_\ ])[0-9]{3}(?:(?P=mark)[0-9]{3})*(?![0-9]|(?P=mark)[0-9])|[0-9]+)"
)
_BELOW = r"[0-9]{1,12}+(?:\.[0-9]{1,12}+)?(?![0-9]|\ ?/\ ?[0-9])"
_RAISED_TO = r"\ *(?:\^|\*\*)\ *[{(]?\ *"
_TOKEN = re.compile(
    rf"""
    (?<![A-Za-z0-9./])(?:(?<!\))(?P<sign>[-+])[$*_{{(]{{0,4}})?
    (?P<literal>(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]{{1,3}}(?!\w))?)
    (?:\ ?/\ ?(?P<below>{_BELOW})
      |(?:\ +and\ +|\ +|-)(?P<part>[0-9]{{1,12}}+)\ ?/\ ?(?P<of>{_BELOW}))?
    (?:{_RAISED_TO}(?P<power>[-+]?[0-9]{{1,3}}+(?:\.[0-9]{{1,12}}+)?)(?!\.?[0-9])[{{}})]?)?
    (?:\ *(?:[×*xX·⋅∙]|times)\ *10{_RAISED_TO}(?P<ten>[-+]?[0-9]{{1,3}}+)(?!\.?[0-9])[{{}})]?)?
    (?:(?P<ordinal>(?:st|nd|rd|th)(?![A-Za-z]))|(?P<kilo>k(?![A-Za-z])))?
    |(?P<word>[A-Za-z]+)
    """,
    re.ASCII | re.VERBOSE,
)
_PLAIN = re.compile(r"[-+]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_GAP = re.compile(r"[\s\-{}$*_]*")
_GAP_AFTER_SCALE = re.compile(r"[\s\-{}$*_]*|,\s+")

_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_NAMES = {
    2: "half",
    3: "third",
    5: "fifth",
    6: "sixth",
    7: "seventh",
    8: "eighth",
    9: "ninth",
    10: "tenth",
    12: "twelfth",
    20: "twentieth",
    100: "hundredth",
    1000: "thousandth",
}
_PART = {name: n for n, name in _NAMES.items()} | {"quarter": 4, "fourth": 4}
_PARTS = {f"{name}s": n for name, n in _PART.items()} | {"halves": 2}
_SIGNS = ("minus", "negative")
_ARTICLES = ("a", "an")
_KNOWN = {
    *NUMBER_WORDS,
    *_SCALES,
    *(f"{s}s" for s in _SCALES),
    *_PART,
    *_PARTS,
    *_SIGNS,
    *_ARTICLES,
    "and",
    "of",
    "point",
    "oh",
    "first",
}

Token = Fraction | str
"""A number in digits, a fraction as it is written (``"3/4"``), or a word in lower case."""


def _chunks(text: str) -> Iterator[list[Token]]:
    """Runs of neighbouring tokens that may form one number, in the order of the text."""
    chunk: list[Token] = []
    end = 0
    for found in _TOKEN.finditer(text):
        # What it is: a word, an ordinal (never part of a number), or digits.
        token: Token | None
        if found["word"]:
            token = found["word"].lower()
            known = token in _KNOWN
        else:
            token = None if found["ordinal"] else _digits(found)
            known = token is not None

        # An unknown word, or other text in between, ends the run.
        gap = _GAP_AFTER_SCALE if chunk and chunk[-1] in _SCALES else _GAP
        if chunk and not (known and gap.fullmatch(text, end, found.start())):
            yield chunk
            chunk = []
        if known and token is not None:
            chunk.append(token)
        end = found.end()
    if chunk:
        yield chunk


def _digits(found: re.Match[str]) -> Token:
    """The value of one number in digits.

    Raises:
        OverflowError, ZeroDivisionError: it has none.
    """
    sign = "-" if found["sign"] == "-" else ""
    mark = found["mark"]
    literal = found["literal"].replace(mark, "") if mark else found["literal"]
    # a float is enough for a literal of over 40 characters, and quick
    value = Fraction(literal if len(literal) <= 40 else float(literal))
    simple = not (found["power"] or found["ten"] or found["kilo"])
    if found["below"]:
        if simple and literal.isdigit() and found["below"].isdigit() and int(found["below"]):
            return f"{sign}{literal}/{found['below']}"
        value /= Fraction(found["below"])
    elif found["part"] and literal.isdigit() and Fraction(found["part"]) < Fraction(found["of"]):
        value += Fraction(found["part"]) / Fraction(found["of"])
    if found["power"]:
        value = Fraction(value ** Fraction(found["power"]))
    if found["ten"]:
        value *= Fraction(10) ** int(found["ten"])
    if found["kilo"]:
        value *= 1000
    return -value if sign else value


# ------------------------------------------------------------------------------------------- values


def number(text: str) -> float | None:
    """The first number in digits; without one, the first in words; None without either.

    Read:

    * a sign: any dash, ``minus``
    * thousands in groups of three: comma, apostrophe, underscore, any space, ``{,}``, ``\\,``
    * fractions, mixed numbers, powers, ``1.5 × 10^2`` in any spelling
    * a scale in words (``2.4 million``, ``two dozen``) or ``k``
    * decimals in words (``one point two``), parts in words (``one and a half``, ``three quarters``)
    * digits of any script

    Not read: ordinals (``3rd``), names (``No3``), and what stands behind ``MAX_ANSWER`` characters.

    Units are passed over. A percentage stays as it is written. Of a range, the first number counts.
    A comma ends a number, unless three digits follow. ``M`` is no scale: it may mean metres.

    >>> [number(t) for t in ("about 3½ m", "-2", "1,200", "2-3", "twenty-one", "two hundred and five cm", "a chair")]
    [3.5, -2.0, 1200.0, 2.0, 21.0, 205.0, None]
    >>> [number(t) for t in ("2 1/2", r"\\frac{1}{4}", "1.5×10^2", "2.4 million", "one point two", "minus 2", "No3")]
    [2.5, 0.25, 150.0, 2400000.0, 1.2, -2.0, None]
    """
    if _PLAIN.fullmatch(text):
        return float(text)
    spoken: Fraction | None = None
    half = False
    try:
        for chunk in _chunks(_notation(text[:MAX_ANSWER])):
            for value, in_digits in _values(chunk):
                if in_digits:
                    return float(value)
                spoken = value if spoken is None else spoken
            half = half or "half" in chunk
        # "half" counts only where there is no number: "the left half has three chairs"
        return float(spoken) if spoken is not None else 0.5 if half else None
    except (OverflowError, ZeroDivisionError):
        return None


def _values(chunk: Sequence[Token]) -> Iterator[tuple[Fraction, bool]]:
    """The numbers of a chunk; the flag says whether a number has digits."""
    k = 0
    while k < len(chunk):
        value, end = _signed(chunk, k)
        if value is not None:
            yield value, any(isinstance(token, Fraction) or "/" in token for token in chunk[k:end])
        k = max(end, k + 1)


def _signed(chunk: Sequence[Token], k: int) -> tuple[Fraction | None, int]:
    """The number that begins at ``k``, None without one; and the place behind it."""
    # A sign in words; "five minus 2" is no negative number.
    worded = chunk[k] in _SIGNS and (k == 0 or chunk[k - 1] in (*_ARTICLES, "and", "of"))
    k += worded
    if k == len(chunk):
        return None, k
    if worded and chunk[k] == "half":
        return Fraction(-1, 2), k + 1

    # A sign in digits belongs to the whole number: -2 and a half is -2.5.
    negative = chunk[k] if isinstance(chunk[k], Fraction) else Fraction(0)
    if isinstance(negative, Fraction) and negative < 0:
        chunk, start = [-negative, *chunk[k + 1 :]], k
        value, end = _unsigned(chunk, 0)
        return (None if value is None else -value), start + end
    value, end = _unsigned(chunk, k)
    return (-abs(value) if worded and value is not None else value), end


def _unsigned(chunk: Sequence[Token], k: int) -> tuple[Fraction | None, int]:
    """The number without a sign that begins at ``k``, None without one; and the place behind it."""
    # A fraction: a quarter, half a million.
    value, end = _part(chunk, k)
    if value is not None:
        return _scaled(value, chunk, end)

    # A whole number with nothing behind it.
    value, end = _whole(chunk, k)
    if value is None or end == len(chunk):
        return value, end

    # Ordinals (twenty-first) and other fractions (twenty-one hundredths) are not read.
    tens = NUMBER_WORDS.get(str(chunk[end - 1]), 0) >= 20 or chunk[end - 1] in _SCALES
    name = chunk[end + 1] if chunk[end] == "and" and end + 1 < len(chunk) else chunk[end]
    if chunk[end] in _PARTS or (tens and (name in _PART or name == "first")):
        return None, end + 1

    # A mixed number: two and a half, one and a half million.
    if chunk[end] == "and" and end + 1 < len(chunk) and value.denominator == 1:
        part, after = _part(chunk, end + 1)
        if part is not None and 0 < part < 1:
            return _scaled(value + part, chunk, after)
    return value, end


def _part(chunk: Sequence[Token], k: int) -> tuple[Fraction | None, int]:
    """The fraction that begins at ``k``: ``3/4``, three quarters, a third, half a."""
    # 3/4, and half a.
    token = chunk[k]
    following = chunk[k + 1] if k + 1 < len(chunk) else ""
    if isinstance(token, str) and "/" in token:
        return Fraction(token), k + 1
    if token == "half" and following in _ARTICLES:
        return Fraction(1, 2), k + 1

    # How many parts.
    count: Fraction | int | None
    if token in _ARTICLES:
        count = Fraction(1)
    elif isinstance(token, Fraction):
        count = token
    else:
        count = NUMBER_WORDS.get(token)

    # Which part: three quarters, a third.
    if count is None or isinstance(following, Fraction):
        return None, k
    if following in _PARTS:
        return Fraction(count) / _PARTS[following], k + 2
    if following in _PART and count == 1:
        return Fraction(1, _PART[following]), k + 2
    return None, k


def _scaled(value: Fraction, chunk: Sequence[Token], k: int) -> tuple[Fraction, int]:
    """``value`` times the scale behind it, if there is one; and the place behind that.

    Between them may stand "of", "a" or "an": half a million, a quarter of a million.
    """
    at = k
    for fillers in (("of",), _ARTICLES):
        at += at < len(chunk) and chunk[at] in fillers
    scale = _SCALES.get(str(chunk[at])) if at < len(chunk) else None
    return (value * scale, at + 1) if scale else (value, k)


def _whole(chunk: Sequence[Token], k: int) -> tuple[Fraction | None, int]:
    """The number that begins at ``k``, in words or in digits and words: two hundred and five, 3
    thousand 200, one point two million.

    It ends where the next token can't go on with it: "three and four" is 3.
    """
    total = current = Fraction(0)  # up to the last thousand, million, ...; and since
    last, scale = "", 0  # what was read last (digits, word, scale); the last scale
    while k < len(chunk):
        token = chunk[k]
        following = chunk[k + 1] if k + 1 < len(chunk) else ""
        if isinstance(token, Fraction):
            if last in ("digits", "word") or (last and not 0 <= token < scale):
                break
            current, last = current + token, "digits"
        elif token in _SCALES or (last and token[:-1] in _SCALES):
            scale = _SCALES[token if token in _SCALES else token[:-1]]
            current = (current if current or last in ("digits", "word") else 1) * Fraction(scale)
            if scale >= 1000:
                total, current = total + current, Fraction(0)
            last = "scale"
        elif token in NUMBER_WORDS:
            value = NUMBER_WORDS[token]
            # a hundred takes any word, twenty takes one to nine
            fits = current % 100 == 0 or (current % 10 == 0 and value < 10 and current % 100 >= 20)
            if last == "digits" or (last and not fits):
                break
            current, last = current + value, "word"
        elif token == "point":
            decimals, end = _decimals(chunk, k + 1)
            if not decimals or current.denominator != 1:
                break
            current, last, k = current + Fraction(f"0.{decimals}"), "digits", end - 1
        elif token == "and" and last == "scale":
            # two hundred and five, but not two hundred and a half
            part, _ = _part(chunk, k + 1) if following else (None, k)
            if part is not None or not (
                isinstance(following, Fraction) or following in NUMBER_WORDS
            ):
                break
        elif not (token in _ARTICLES and not last and following in _SCALES):
            break
        k += 1
    return (total + current, k) if last else (None, k)


def _decimals(chunk: Sequence[Token], k: int) -> tuple[str, int]:
    """The digits behind "point" (two five, or twenty-five), and the place behind them."""
    digits, last = "", 0
    while k < len(chunk) and (chunk[k] == "oh" or chunk[k] in NUMBER_WORDS):
        value = NUMBER_WORDS.get(str(chunk[k]), 0)
        if last >= 20 and 0 < value < 10:
            digits = digits[:-1]
        digits += str(value)
        last, k = value, k + 1
    return digits, k
