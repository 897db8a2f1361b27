"""The answer extractors of the benchmarks' own evaluations, as pure functions.

No two harnesses read the same text alike, so each rule has a name and keeps its quirks: the corner
cases in the docstrings are behaviour to reproduce, not to repair. ``vlmevalkit.py`` holds that
toolkit's rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ...core.metrics import NUMBER_WORDS, se_num

UNWRAPPING = ("answer_tag", "last_answer_tag", "think", "none")
_THINK = re.compile(
    r"< ?(/?) ?(?:seed:)?(?:think|thinking|thought|reason|reasoning) ?>|<\|(/?)think\|>|\[(/?)THINK\]|◁(/?)think▷"
    r"|<\|(begin|end)_of_thought\|>",
    re.IGNORECASE,
)
"""The tags around the thinking of native reasoning models; a slash, or "end", closes."""


def _last_think_tag(text: str) -> tuple[int, int, bool] | None:
    """Start and end of the last think tag, and whether it closes."""
    tags = list(_THINK.finditer(text))
    if not tags:
        return None
    marks = [mark.lower() for mark in tags[-1].groups() if mark]
    return tags[-1].start(), tags[-1].end(), marks in (["/"], ["end"])


def after_thinking(text: str) -> str | None:
    """What follows the last closing think tag, stripped; the text as it is without any tag; None
    where a tag is left open.

    Most chat templates open the tag in the prompt, so that an output only closes it.

    >>> after_thinking("A or B?</think>\\n\\nC"), after_thinking("C"), after_thinking("<think>A or")
    ('C', 'C', None)
    """
    last = _last_think_tag(text)
    if last is None:
        return text
    return text[last[1] :].strip() if last[2] else None


def opened_thinking(prompt: str) -> str:
    """The think tag that a prompt ends with, blanks behind it included; empty where it ends
    otherwise.

    >>> opened_thinking("<|im_start|>assistant\\n<think>\\n"), opened_thinking("<think></think>")
    ('<think>\\n', '')
    """
    last = _last_think_tag(prompt)
    return "" if last is None or last[2] or prompt[last[1] :].strip() else prompt[last[0] :]


def unwrap(text: str, policy: str = "answer_tag") -> str:
    """The part of a thinking model's output that the benchmark's rule sees.

    Args:
        policy: ``answer_tag``: the first answer block, stripped; the word ``None`` if its tag is
            never closed; the whole text if there is no tag (SpaceR-Eval). ``last_answer_tag``: the
            last block instead. ``think``: what follows the thinking (see ``after_thinking``), and
            the first answer block of that; ``None`` as well if a think tag is left open. ``none``:
            the text as it is.
    """
    if policy == "think":
        rest = after_thinking(text)
        return "None" if rest is None else unwrap(rest)
    if policy == "none" or "<answer>" not in text:
        return text
    start = text.find("<answer>")
    if policy == "last_answer_tag":
        start = max(text.rfind("<answer>", 0, text.rfind("</answer>") + 1), start)
    end = text.find("</answer>", start)
    return text[start + len("<answer>") : end].strip() if end >= 0 else "None"


def left_open(text: str, policy: str = "answer_tag") -> str:
    """Which tag, of those that a policy of ``unwrap`` goes by, is never closed: ``thinking``,
    ``answer tag``, or none."""
    rest = after_thinking(text) if policy == "think" else text
    if rest is None:
        return "thinking"
    begun = (
        policy != "none" and "<answer>" in rest and "</answer>" not in rest[rest.find("<answer>") :]
    )
    return "answer tag" if begun else ""


def ft(text: str) -> str:
    """FT: text up to the first space (only a space), trailing full stops off, then stripped.

    >>> ft("A. chair"), ft(" A"), ft("A\\nbecause")
    ('A', '', 'A\\nbecause')
    """
    return text.split(" ")[0].rstrip(".").strip()


def _number_of(words: Iterable[str]) -> float:
    total = current = 0.0
    for word in words:
        if word == "hundred":
            current = max(current, 1.0) * 100
        elif word == "thousand":
            total, current = total + max(current, 1.0) * 1000, 0.0
        else:
            current += NUMBER_WORDS[word]
    return total + current


def le_num(text: str) -> float | None:
    """LE-NUM: whichever comes first, a signed decimal or a run of English number words ("and"
    skipped); lmms-eval's VSI-Bench.

    >>> le_num("about twenty-one"), le_num("1,200"), le_num("a chair")
    (21.0, 1.0, None)
    """
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    start, run = None, []
    for word in re.finditer(r"[a-z]+", text):
        if word[0] in NUMBER_WORDS or word[0] in ("hundred", "thousand"):
            start = word.start() if start is None else start
            run.append(word[0])
        elif start is not None and word[0] != "and":
            break
    if digits and (start is None or digits.start() < start):
        return float(digits[0])
    return None if start is None else _number_of(run)


def se_mca(text: str) -> str:
    """SE-MCA: every "Answer:" off; the first space-delimited token if it is a capital A-D, else the
    whole stripped text."""
    text = text.replace("Answer:", "")
    first = text.split(" ")[0].strip()
    return first.rstrip(".") if re.search(r"^[A-D]\.?$", first) else text.strip()


def spar_mca(text: str, truth: str) -> bool:
    """SPAR-MCA: equal, or contained in the truth (so is the empty string), or its first character
    is the truth; case ignored."""
    text, truth = text.lower(), truth.lower()
    return text in truth or text[0] == truth


def spar_num(text: str, last: bool = False) -> float | None:
    """SPAR-NUM: first (or last) of the unsigned numbers that no ``^`` precedes; without any, None,
    or -1 for ``last``."""
    numbers = re.findall(r"(?<!\^)\d+\.\d+|(?<!\^)\d+", text)
    if last:
        return float(numbers[-1]) if numbers else -1.0
    return float(numbers[0]) if numbers else None


PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
    "Answer:",
    "Option:",
    "The correct answer",
    "The correct option",
)
"""SpaceR-Eval's list, with commas between all of them."""


def abcd_first(text: str, letters: str = "ABCD", prefixes: Iterable[str] = PREFIXES) -> str:
    """ABCD-first: stock prefixes off, then the first capital option letter anywhere, inside a word
    too; "" without one.

    >>> abcd_first("Best option: D"), abcd_first("As seen in the video, B")
    ('D', 'A')
    """
    text = text.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    found = re.search(f"[{letters}]", text)
    return found[0] if found else ""


_PHRASES = (
    *(
        f"{article}{noun} is"
        for article in ("", "the ")
        for noun in (
            "answer",
            "correct answer",
            "best answer",
            "correct option",
            "best option",
            "choice",
            "correct choice",
        )
    ),
    "my answer is",
    "my choice is",
    "i choose",
    "i select",
    "i pick",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
)


def le_mcq(text: str, letters: str = "ABCDEFGH") -> str:
    """LE-MCQ: the capital letter in the most telling place (start, end, after an answer phrase, in
    brackets, ...), or "".

    >>> le_mcq("I think the answer is (C)"), le_mcq("the correct option is D because A is wrong")
    ('C', 'A')
    """
    text = text.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    bare, text = text.strip(), f" {text} "
    found: list[tuple[int, int, str]] = []
    for letter in letters:
        for rank, form in ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} ")):
            place = text.rfind(form.format(letter))
            if place >= 0:
                found.append((rank, place, letter))
        found += [
            (7, place, letter)
            for phrase in _PHRASES
            if (at := text.lower().find(phrase)) >= 0
            and (place := text.find(letter, at + len(phrase))) >= 0
        ]
        if bare.startswith(letter) and not bare[1:2].isalpha():
            found.append((10, 0, letter))
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            found.append((9, len(text) - 1, letter))
    found = found or [(0, text.rfind(letter), letter) for letter in letters if letter in text]
    return max(found, key=lambda c: c[:2])[2] if found else ""


_STI = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"\(([A-E])\)",
        r"Ans\s*=\s*['\"]?([A-E])",
        r"Answer\s*[:=]\s*([A-E])",
        r"Option\s+([A-E])",
        r"\b([A-E])\s*(?:is|was)\s*correct",
        r"\b([A-E])[.)]\s*$",
    )
)


def sti_rx(text: str) -> str | None:
    """STI-RX: the first of six patterns that occurs, ``(X)`` to ``X.`` at a line's end; a bare
    letter matches none of them.

    >>> sti_rx("C."), sti_rx("Option e"), sti_rx("The answer is C")
    ('C', 'E', None)
    """
    hits = (pattern.search(text) for pattern in _STI)
    return next((hit[1].upper() for hit in hits if hit), None)


def first_letter(text: str) -> str:
    """The letter that the text starts with, brackets apart, whatever it is: lmms-eval's
    EmbSpatial-Bench.

    >>> first_letter("(b) sofa"), first_letter("The answer is B"), first_letter("**A**")
    ('B', 'T', '')
    """
    found = re.match(r"[(\s]*([A-Za-z])", text.strip())
    return found[1].upper() if found else ""


def last_line_letter(text: str) -> str | None:
    """The first standalone A-D, in either case, of the last line; "a left view" gives A:
    ViewSpatial-Bench."""
    found = re.search(r"\b([A-D])\b", text.split("\n")[-1], re.IGNORECASE)
    return found[1].upper() if found else None


def after_answer(text: str) -> str | None:
    """The character after the last capital "Answer", marks ``> < : .`` dropped, if it is one of
    A-H: We-Math.

    >>> after_answer("<Answer>: <<C. 5 cm>>"), after_answer("Because C"), after_answer("The answer is C")
    ('C', 'B', None)
    """
    rest = re.sub(r"[><:.]", "", text.split("Answer")[-1].strip()).strip()
    return rest[0] if rest and rest[0] in "ABCDEFGH" else None


def pope_word(text: str) -> str:
    """``no`` if a word of the first sentence is exactly No, no or not, else ``yes`` (so the empty
    text says yes): POPE."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def position_letter(text: str) -> str | None:
    """The character (lower case) in MMStar's places: after a leading "(", "option " or "the answer
    is ", else the first one."""
    text = text.lower().strip().replace("\n", " ")
    for lead in ("(", "option ", "the answer is "):
        if text.startswith(lead) and len(text) > len(lead):
            return text[len(lead)]
    return text[:1] or None


def bracketed(text: str, count: int) -> str | None:
    """The option ``(X)`` among ``count``: the text itself, or the only one among its words (last
    paragraph first): BLINK."""
    if text in tuple("ABCDE"):
        return f"({text})"
    allowed = [f"({letter})" for letter in "ABCDE"]
    if text in allowed:
        return text
    everywhere = set(allowed[:count]) & set(text.split())
    at_end = set(allowed[:count]) & set(text.split("\n\n")[-1].split())
    for found in (at_end, everywhere):
        if len(found) == 1:
            return found.pop()
    return None


_MINDCUBE = tuple(
    re.compile(pattern)
    for pattern in (
        r"([A-E])\.",
        r"(?:^|\n)(?:Answer: )?([A-E])(?:\.|$|\s)",
        r"[*\"]([A-E])[*\"]",
        r"\bAnswer:?\s*([A-E])\b",
        r"[Mm]y answer is ([A-E])",
        r"answer is ([A-E])",
    )
)
_MINDCUBE_SECTION = tuple(
    re.compile(p) for p in (r"[Mm]y answer is ([A-E])", r"[Tt]he answer is ([A-E])", r"\b([A-E])\b")
)


def mindcube_letter(text: str) -> str | None:
    """The last ``X.``; else the letter of an ``<Answer>`` section; else the last hit of the first
    pattern; else the first standalone letter of the lowest line that has one. Capitals A-E only:
    MindCube.

    >>> mindcube_letter("I considered A. and B. so C"), mindcube_letter("A or B")
    ('B', 'A')
    """
    section = re.search(r"<Answer>(.*?)(?:<|$)", text, re.DOTALL)
    inside = [(pattern, section[1]) for pattern in _MINDCUBE_SECTION] if section else []
    tries = [(_MINDCUBE[0], text), *inside, *((pattern, text) for pattern in _MINDCUBE[1:])]
    for pattern, where in tries:
        if hits := pattern.findall(where):
            return str(hits[-1])
    lines = (re.search(r"\b([A-E])\b", line) for line in reversed(text.split("\n")))
    return next((hit[1] for hit in lines if hit), None)


EXTRACTORS: dict[str, Callable[..., Any]] = {
    "FT": ft,
    "LE-NUM": le_num,
    "SE-MCA": se_mca,
    "SE-NUM": se_num,
    "SPAR-MCA": spar_mca,
    "SPAR-NUM": spar_num,
    "ABCD-first": abcd_first,
    "LE-MCQ": le_mcq,
    "STI-RX": sti_rx,
}
"""Extractors by name; ``vlmevalkit.py`` adds VK-TAG, VK-NUM and VK-INFER."""
