"""VLMEvalKit's answer extractors (VK-TAG, VK-NUM, VK-INFER) and two older rules that they come
from.

Some benchmarks are officially scored by that toolkit; for others its rules are a cross-check.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from ...core.metrics import NUMBER_WORDS
from .extract import EXTRACTORS

LETTERS = "ABCDEF"
_OPEN, _SHUT = r"[(\[{（【]?\s*", r"\s*[)\]}）】]?"
_ZERO_WIDTH = re.compile("[\u200b\u200c\u200d\ufeff]")
_TAGGED = re.compile(r"<\s*answer\b[^<>]*>\s*([A-J])", re.IGNORECASE)
_SHUT_TAG = re.compile(r"<\s*/\s*answer\s*>", re.IGNORECASE)
_LISTED = re.compile(r"^(?:[*_>\-\s]*)(?:option|选项)\s+[A-J]\s*[:：]", re.IGNORECASE)
_ALONE = re.compile(r"[*_`>（）\[\]【】()]*\s*([A-Fa-f])\s*[*_`（）\[\]【】()]*")
_LABEL = re.compile(r"([A-F])\s*[.．:：)\]】、-]\s+", re.IGNORECASE)
_INLINE = re.compile(
    r"(?<![A-Za-z])[*_`（\[{(]*\s*([A-F])\s*[*_`）\]})]*(?=$|[\s.,:;!?)\]】》」』，。；、：）])"
)


def _from_lines(lines: Sequence[str]) -> str | None:
    """The letter of the lowest line that is a letter, starts with a label, or has exactly one
    capital letter."""
    for line in reversed([line.strip() for line in lines if line.strip()]):
        if _LISTED.search(line):
            continue
        if hit := _ALONE.fullmatch(line) or _LABEL.match(line):
            return hit[1].upper()
        if len(letters := set(_INLINE.findall(line))) == 1:
            return str(letters.pop())
    return None


def after_think(text: str) -> str:
    """The text after the last ``</think>``, else after the last ``<think>``, else all of it."""
    for tag in (r"</\s*think\s*>", r"<\s*think\s*>"):
        if hits := list(re.finditer(tag, text, re.IGNORECASE)):
            return text[hits[-1].end() :].strip()
    return text


def vk_tag(text: str, letters: str = LETTERS) -> str | None:
    """VK-TAG: seven tries, from an answer block that starts with a letter to the only capital of
    the text that is a word.

    >>> vk_tag("<answer>chair</answer>"), vk_tag("The answer is A"), vk_tag("a.")
    ('C', 'A', None)
    """
    text = _ZERO_WIDTH.sub("", text.strip())
    block = _TAGGED.search(text)
    if block and _SHUT_TAG.search(text, block.end()):
        return block[1].upper()
    tail = text[-800:]
    for tag in ("answer", "think"):
        if hit := re.search(
            rf"(?<![A-Za-z]){_OPEN}([{letters}]){_SHUT}\s*</\s*{tag}\s*>", tail, re.IGNORECASE
        ):
            return hit[1].upper()
    for part in (after_think(text), tail):
        if pick := _from_lines(part.splitlines()[-6:]):
            return pick
    phrase = (
        rf"(?i:final\s*answer|the\s*answer\s*is|answer(?:\s*is)?|correct\s*answer|"
        rf"答案|最终答案|结论|所以|因此|我选(?:择)?|选择|选)"
        rf"\s*[:：>＝=]?\s*{_OPEN}((?i:[{letters}])){_SHUT}(?:\b|[.)、。])"
    )
    if hit := re.search(phrase, text):
        return hit[1].upper()
    kept = "\n".join(line for line in text.splitlines() if not _LISTED.search(line))
    found = set(re.findall(rf"(?<![A-Za-z]){_OPEN}([{letters}]){_SHUT}(?![A-Za-z])", kept))
    return str(found.pop()) if len(found) == 1 else None


_NUMBER = r"[-+]?(?:\d*\.\d+|\d+)(?:[eE][-+]?\d+)?"
_TAGGED_NUMBER = re.compile(
    rf"<\s*answer\b[^<>]*>\s*({_NUMBER})(?:[^\d<][^<]*)?<\s*/\s*answer\s*>", re.IGNORECASE
)
_WORDS = {word: n for word, n in NUMBER_WORDS.items() if n <= 20}


def vk_num(text: str) -> float | None:
    """VK-NUM: the first numeric answer block, else the last number (behind the thinking, if there
    is one there). Number words up to 20 count.

    Of a text in brackets, the first entry of the list that Python reads counts; without one,
    nothing does.

    >>> vk_num("1,200"), vk_num("2-3"), vk_num("twenty-one"), vk_num("[2, 5]"), vk_num("[2 m]")
    (200.0, -3.0, -1.0, 2.0, None)
    """
    if text.strip().startswith("[") and text.strip().endswith("]"):
        try:
            listed = ast.literal_eval(text.strip())
        except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):
            return None
        text = str(listed[0]) if isinstance(listed, list) and listed else text
    text = _ZERO_WIDTH.sub("", text.strip())
    text = re.sub(
        rf"\b({'|'.join(_WORDS)})\b", lambda m: str(_WORDS[m[1].lower()]), text, flags=re.IGNORECASE
    )
    if hit := _TAGGED_NUMBER.search(text):
        return float(hit[1])
    numbers = re.findall(_NUMBER, after_think(text)) or re.findall(_NUMBER, text)
    return float(numbers[-1]) if numbers else None


REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)


def _named_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text occurs in ``text``, in either case; it must be the only one."""
    found = [letter for letter, option in options.items() if option.lower() in text.lower()]
    return found[0] if len(found) == 1 else None


def _letter_word(text: str, options: Mapping[str, str], within: int | None) -> str | None:
    """The only option letter among the words, if it is one of the last ``within`` words; ``Z`` for
    a refusal."""
    if any(refusal in text for refusal in REFUSALS):
        return "Z"
    words = text.translate({ord(mark): " " for mark in ".()[],:;!*#{}"}).split()
    found = [letter for letter in options if letter in words]
    if not found and "Z" in words:
        return "Z"
    return (
        found[0]
        if len(found) == 1 and (within is None or words.index(found[0]) >= len(words) - within)
        else None
    )


def hr_infer(text: str, options: Mapping[str, str]) -> str | None:
    """The only option letter that occurs as a word, else the only option whose text occurs; ``Z``
    for a refusal: HRBench as lmms-eval infers it.

    >>> hr_infer("I see (B).", {"A": "red", "B": "blue"}), hr_infer("It is red", {"A": "red", "B": "blue"})
    ('B', 'A')
    """
    return _letter_word(text, options, None) or _named_option(text, options)


def vk_infer(text: str, options: Mapping[str, str]) -> str | None:
    """VK-INFER: ``hr_infer`` with the letter among the last 4 words; else "answer is X"; else an
    option's text, if the answer is short.

    >>> [vk_infer(text, {"A": "red", "B": "blue"}) for text in ("The answer is B", "B is what I see in this picture")]
    ['B', None]
    """
    if letter := _letter_word(text, options, 4):
        return letter
    if said := re.search(rf"(?:correct )?answer is \(?([{''.join(options) or LETTERS}])\b", text):
        return said[1]
    return (
        _named_option(text, options) if len(text) <= 2 * sum(map(len, options.values())) else None
    )


_SHAPES = (
    "{}.",
    "{},",
    "{}:",
    "{})",
    "{}).",
    "({})",
    "({}).",
    ":{}",
    ":{},",
    ":{}.",
    ":{})",
    ":{}).",
)


def mmb_infer(text: str, options: Mapping[str, str]) -> str | None:
    """Earlier circular evaluation of MMBench: the only bare letter A-E among the words ("A" only in
    up to three words), else the only one in the first of twelve forms with punctuation, else the
    only option whose text occurs.

    >>> mmb_infer("A dog sits here: B.", {"A": "cat", "B": "dog"}), mmb_infer("a dog", {"A": "cat", "B": "dog"})
    ('B', 'B')
    """
    words = text.split()
    bare = [letter for letter in "ABCDE" if letter in words]
    if len(bare) == 1 and not ("A" in words and len(words) > 3):
        return bare[0]
    for shape in _SHAPES:
        found = [letter for letter in "ABCDE" if shape.format(letter) in words]
        if len(found) == 1:
            return found[0]
    return _named_option(text, options)


EXTRACTORS.update({"VK-TAG": vk_tag, "VK-NUM": vk_num, "VK-INFER": vk_infer})
