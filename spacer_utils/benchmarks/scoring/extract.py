"""The answer extractors of the benchmarks' own evaluations, as pure functions.

No two evaluations read the same text alike, so every rule has a name. The odd cases in the
docstrings are to be reproduced, not repaired. ``vlmevalkit.py`` holds that toolkit's rules.
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
"""The think tags of reasoning models. A slash, or "end", marks the closing one."""


def _last_think_tag(text: str) -> tuple[int, int, bool] | None:
    """Start and end of the last think tag, and whether it is a closing one."""
    tags = list(_THINK.finditer(text))
    if not tags:
        return None
    marks = [mark.lower() for mark in tags[-1].groups() if mark]
    return tags[-1].start(), tags[-1].end(), marks in (["/"], ["end"])


def after_thinking(text: str) -> str | None:
    """What follows the thinking, stripped; None if the thinking doesn't end.

    A text without think tags stays as it is. Only the last tag counts: most chat templates open the
    thinking in the prompt, so that the output has only a closing tag.

    >>> after_thinking("A or B?</think>\\n\\nC"), after_thinking("C"), after_thinking("<think>A or")
    ('C', 'C', None)
    """
    last = _last_think_tag(text)
    if last is None:
        return text
    return text[last[1] :].strip() if last[2] else None


def opened_thinking(prompt: str) -> str:
    """The opening think tag at a prompt's end, with the blanks behind it; empty if there is none.

    >>> opened_thinking("<|im_start|>assistant\\n<think>\\n"), opened_thinking("<think></think>")
    ('<think>\\n', '')
    """
    last = _last_think_tag(prompt)
    return "" if last is None or last[2] or prompt[last[1] :].strip() else prompt[last[0] :]


def unwrap(text: str, policy: str = "answer_tag") -> str:
    """The part of an output that the benchmark's rule sees.

    Args:
        policy: one of

            * ``answer_tag``: the first answer block, stripped. The word ``None`` if its tag is
              never closed; the whole text if there is no tag. SpaceR-Eval does this.
            * ``last_answer_tag``: the same with the last answer block.
            * ``think``: ``answer_tag`` of what follows the thinking (see ``after_thinking``). The
              word ``None`` if the thinking doesn't end.
            * ``none``: the text as it is.
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
    """What an output begins and never ends, as far as the policy of ``unwrap`` looks for it:
    ``thinking``, ``answer tag``, or nothing (empty)."""
    rest = after_thinking(text) if policy == "think" else text
    if rest is None:
        return "thinking"
    begun = (
        policy != "none" and "<answer>" in rest and "</answer>" not in rest[rest.find("<answer>") :]
    )
    return "answer tag" if begun else ""


def ft(text: str) -> str:
    """FT: the text up to the first space (no other blank), without full stops at its end, stripped.

    >>> ft("A. chair"), ft(" A"), ft("A\\nbecause")
    ('A', '', 'A\\nbecause')
    """
    return text.split(" ")[0].rstrip(".").strip()


def _number_of(words: Iterable[str]) -> float:
    """The value of number words, added up in order: two, hundred, five."""
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
    """LE-NUM (lmms-eval's VSI-Bench): a signed decimal or a run of English number words, whichever
    comes first. "and" may stand in the run.

    >>> le_num("about twenty-one"), le_num("1,200"), le_num("a chair")
    (21.0, 1.0, None)
    """
    # The first number in digits.
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)

    # The first run of number words.
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
    """SE-MCA: "Answer:" is taken out. Then the text up to the first space, if it is a capital A-D
    with or without a full stop; else the whole text, stripped."""
    text = text.replace("Answer:", "")
    first = text.split(" ")[0].strip()
    return first.rstrip(".") if re.search(r"^[A-D]\.?$", first) else text.strip()


def spar_mca(text: str, truth: str) -> bool:
    """SPAR-MCA: right if the truth contains the text, or the text begins with the truth (a letter).

    Case is ignored. Every truth contains the empty text.
    """
    text, truth = text.lower(), truth.lower()
    return text in truth or text[0] == truth


def spar_num(text: str, last: bool = False) -> float | None:
    """SPAR-NUM: the first (or last) unsigned number with no ``^`` before it.

    Without one: None, or -1 with ``last``.
    """
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
"""SpaceR-Eval's list; in the authors' own lists some commas are missing (see ``video_mme``)."""


def abcd_first(text: str, letters: str = "ABCD", prefixes: Iterable[str] = PREFIXES) -> str:
    """ABCD-first: the first capital option letter behind the stock prefixes, even inside a word;
    "" without one.

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
    """LE-MCQ: the capital letter in the place of the highest rank, "" without one.

    The ranks, from the top: the text's start, its end, behind an answer phrase, ``(A)``, ``A.``,
    ``A:``, ``A)``, before a space, anywhere. Of equal ranks the later place wins.

    >>> le_mcq("I think the answer is (C)"), le_mcq("the correct option is D because A is wrong")
    ('C', 'A')
    """
    # The text without marks at its ends.
    text = text.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    bare, text = text.strip(), f" {text} "

    # (rank, place, letter) wherever a letter stands.
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
    """STI-RX: the letter of the first of six patterns that occurs. A bare letter matches none.

    >>> sti_rx("C."), sti_rx("Option e"), sti_rx("The answer is C")
    ('C', 'E', None)
    """
    hits = (pattern.search(text) for pattern in _STI)
    return next((hit[1].upper() for hit in hits if hit), None)


def first_letter(text: str) -> str:
    """lmms-eval's EmbSpatial-Bench: the letter A-Z that the text starts with, brackets apart.

    >>> first_letter("(b) sofa"), first_letter("The answer is B"), first_letter("**A**")
    ('B', 'T', '')
    """
    found = re.match(r"[(\s]*([A-Za-z])", text.strip())
    return found[1].upper() if found else ""


def last_line_letter(text: str) -> str | None:
    """ViewSpatial-Bench: the first word of the last line that is one letter A-D, in either case.

    So "a left view" gives A.
    """
    found = re.search(r"\b([A-D])\b", text.split("\n")[-1], re.IGNORECASE)
    return found[1].upper() if found else None


def after_answer(text: str) -> str | None:
    """We-Math: the character behind the last "Answer" (or the text's first), if it is one of A-H.

    The marks ``> < : .`` are dropped before.

    >>> after_answer("<Answer>: <<C. 5 cm>>"), after_answer("Because C"), after_answer("The answer is C")
    ('C', 'B', None)
    """
    rest = re.sub(r"[><:.]", "", text.split("Answer")[-1].strip()).strip()
    return rest[0] if rest and rest[0] in "ABCDEFGH" else None


def pope_word(text: str) -> str:
    """POPE: ``no`` if the first sentence has the word No, no or not; else ``yes``, even for an empty
    text."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def position_letter(text: str) -> str | None:
    """MMStar: the character behind a leading "(", "option " or "the answer is "; else the first one.

    In lower case.
    """
    text = text.lower().strip().replace("\n", " ")
    for lead in ("(", "option ", "the answer is "):
        if text.startswith(lead) and len(text) > len(lead):
            return text[len(lead)]
    return text[:1] or None


def bracketed(text: str, count: int) -> str | None:
    """BLINK: the option ``(X)``, if the text is one, or has just one among its words.

    The words of the last paragraph are looked at first. ``count`` options are allowed.
    """
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
    """MindCube: a capital A-E. What is found first counts, in this order:

    1. the last ``X.``
    2. the last letter of an ``<Answer>`` section, by three patterns
    3. the last hit of five more patterns, one after another
    4. the first letter that is a word of its own, in the lowest line that has one

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
