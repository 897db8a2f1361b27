"""One form for the records of all benchmarks, and what a benchmark's file has to define.

A published row becomes a ``Question`` (``Benchmark.read``). A rule turns question and text into a
``Verdict``. ``judge_row`` does what all benchmarks share: missing outputs, unwrapping, truncation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, ClassVar

from ...core.metrics import mra
from ...core.printed_lists import as_python, listed
from ...core.types import BadRow, WorkbookError
from .extract import UNWRAPPING, after_thinking, left_open, unwrap

Row = Mapping[str, Any]
SCORINGS = ("official", "spacer")
"""Whose rule scores: ``official`` is that of the benchmark's authors, ``spacer`` that of SpaceR-Eval.
Where SpaceR-Eval has none, both are the same."""
MISSING = ("wrong", "drop")
"""What a row without an output does: score 0, or leave the means."""
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Question:
    """A published record in neutral form."""

    task: str
    """Row of the per-task table; one of ``Benchmark.tasks``, if those are listed."""
    gold: str
    """An output that scores 1: a letter, a number, ``yes``. Empty if the split hides its answers."""
    text: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """Letter -> text; empty for open questions."""
    media: tuple[Any, ...] = ()
    """Paths relative to the benchmark's folder, or the embedded images as published."""
    key: str = ""
    """The published identifier."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Further groupings to report by, e.g. ``{"duration": "short"}``."""
    chance: float | None = None
    """Expected score of a uniform guess; None: 1 / number of options."""


@dataclass(frozen=True)
class Verdict:
    """What a rule makes of one text."""

    score: float | None
    """0-1, or None: not scored (needs a judge, or has no answer)."""
    parsed: str | float | None
    """The answer that the rule read; None if it found none."""
    reason: str = ""


@dataclass(frozen=True)
class Item:
    """One scored row."""

    question: Question
    row: Row
    score: float | None
    parsed: str | float | None
    reason: str
    missing: bool = False
    truncated: bool = False
    unwrapped: bool = False
    unanswered: bool = False
    """The rule found no answer, and the scoring takes means over answered rows only."""
    unwrap: str = UNWRAPPING[0]
    """The policy of ``extract.unwrap`` for this output."""

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.question.key,
            "task": self.question.task,
            "gold": self.question.gold,
            "score": self.score,
            "parsed": self.parsed,
            "reason": self.reason,
            "missing": self.missing,
            "truncated": self.truncated,
            "unwrapped": self.unwrapped,
            "unanswered": self.unanswered,
            "unwrap": self.unwrap,
        }


class Benchmark:
    """What a benchmark's file defines (``benchmarks/`` has examples of about 50 lines).

    It adds static methods:

    * ``read(row) -> Question``; a KeyError or ValueError names the broken field
    * ``prompt(question, row, style) -> str``
    * ``rule(question, row, text, scoring) -> Verdict``
    * ``variants(items) -> {name: fraction or table of fractions}``, if plain means are not enough;
      the first is the headline of the official scoring
    """

    tasks: ClassVar[tuple[str, ...]] = ()
    """Known tasks; empty if the published list is open."""
    task_field: ClassVar[str] = ""
    """The field that holds the task. An unknown task is refused before other fields are read."""
    empty_is_missing: ClassVar[bool] = False
    """An empty output counts as missing, because the rule would give it a score."""
    over_answered: ClassVar[tuple[str, ...]] = ()
    """Scorings that take means over answered rows only. Rows leave the means if the rule finds no
    answer in an output that wasn't cut off."""
    frames: ClassVar[int] = 0
    """How many frames of a clip the answers hold for; a model is given as many. 0: any number, that
    of the profile."""
    spacer_headline: ClassVar[str] = ""
    """The variant that SpaceR reports; empty: the first."""
    sample: ClassVar[tuple[dict[str, Any], ...]] = ()
    """A few invented rows with the published fields. ``image`` stands for a picture
    (``load.synthetic`` puts one there)."""

    @classmethod
    def score(
        cls, row: Row, scoring: str = "official", unwrap_policy: str = "answer_tag"
    ) -> dict[str, Any]:
        """Score one published row that has an ``output``, too.

        Returns:
            ``Item.to_json``: ``score`` (0-1; None: not scored), ``parsed``, ``reason`` and more.

        Raises:
            BadRow: a field is missing or broken.
        """
        return judge_row(cls, row, scoring, unwrap_policy).to_json()


def read(benchmark: Any, row: Row) -> Question:
    """The row as a ``Question``.

    Raises:
        BadRow: a field is missing or broken, or the task is unknown.
    """
    with _faults_of_the_row():
        if benchmark.task_field and (task := row[benchmark.task_field]) not in benchmark.tasks:
            raise BadRow(
                f"unknown task {task!r} in {benchmark.task_field}. Known: {', '.join(benchmark.tasks)}."
            )
        question: Question = benchmark.read(row)
    return question


@contextmanager
def _faults_of_the_row() -> Iterator[None]:
    """Turn errors of a benchmark's functions into a ``BadRow``: the row that they read is broken."""
    try:
        yield
    except KeyError as error:
        raise BadRow(
            f"the row has no field {error}. It needs the published record's fields."
        ) from error
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise BadRow(f"a field of the row is broken: {error}.") from error


def judge_row(
    benchmark: Any, row: Row, scoring: str = "official", unwrap_policy: str = "answer_tag"
) -> Item:
    """Score one row. A missing output is wrong, and so is one that was cut off before its answer,
    whatever the rule says.

    Raises:
        BadRow: a field is missing or broken.
        WorkbookError: no such scoring or policy.
    """
    if scoring not in SCORINGS:
        raise WorkbookError(f"unknown scoring {scoring!r}. Known: {', '.join(SCORINGS)}.")
    if unwrap_policy not in UNWRAPPING:
        raise WorkbookError(
            f"unknown way to unwrap outputs {unwrap_policy!r}. Known: {', '.join(UNWRAPPING)}."
        )

    # No output.
    question, output = read(benchmark, row), row.get("output")
    if isinstance(output, float) and math.isnan(output):
        output = None  # pandas writes NaN for a missing text
    if output is not None and not isinstance(output, str):
        raise BadRow(f"output is {type(output).__name__}, not text or null.")
    if output is None or (benchmark.empty_is_missing and not output.strip()):
        return Item(
            question,
            row,
            score=0.0 if question.gold else None,
            parsed=None,
            reason="no output" if output is None else "empty output",
            missing=True,
            unwrap=unwrap_policy,
        )

    # What the rule says about the part of the output that it sees.
    text, unclosed = unwrap(output, unwrap_policy), left_open(output, unwrap_policy)
    truncated = is_true(row.get("truncated")) or bool(unclosed) or after_thinking(output) is None
    if not question.gold:
        verdict = Verdict(None, None, "not scored: the record has no answer")
    elif unclosed:
        verdict = Verdict(0.0, None, f"{unclosed} never closed")
    else:
        with _faults_of_the_row():
            verdict = benchmark.rule(question, row, text, scoring)

    # An infinite number is no answer.
    parsed = verdict.parsed
    if isinstance(parsed, float) and not math.isfinite(parsed):
        parsed = None

    # An output that was cut off scores nothing without an answer. Some rules would guess one.
    if truncated and parsed is None and verdict.score:
        verdict = Verdict(0.0, None, "cut off before its answer")

    # For means over answered rows: whole, and without an answer.
    left_out = (
        scoring in benchmark.over_answered
        and verdict.score is not None
        and parsed is None
        and not truncated
    )
    return Item(
        question,
        row,
        verdict.score,
        parsed,
        verdict.reason,
        truncated=truncated,
        unwrapped=text != output,
        unanswered=left_out,
        unwrap=unwrap_policy,
    )


def number(parsed: float | None, gold: str, rule: str) -> Verdict:
    """Verdict on a number by mean relative accuracy. The reason names the ``rule``."""
    if parsed is None:
        return Verdict(0.0, None, f"{rule} finds no number")
    return Verdict(mra(parsed, float(gold)), parsed, f"{rule}: MRA of {parsed:g} against {gold}")


def choice(parsed: str | None, gold: str, rule: str) -> Verdict:
    """Verdict on a letter, in either case. Anything but a letter A-J is no answer. The reason names
    the ``rule``."""
    if not parsed or parsed.upper() not in tuple(LETTERS):
        return Verdict(
            0.0, None, f"{rule} finds no option" + (f" in {parsed[:20]!r}" if parsed else "")
        )
    right = parsed.upper() == gold.upper()
    return Verdict(
        float(right),
        parsed,
        f"{rule}: {parsed} is {'right' if right else f'wrong, {gold} is right'}",
    )


# ------------------------------------------------------------------------------ fields as they come


def is_absent(value: Any) -> bool:
    """None, NaN, or the text that pandas and spreadsheets make of them."""
    if isinstance(value, str):
        return value.strip() in ("", "nan")
    return value is None or (isinstance(value, float) and math.isnan(value))


def judged(row: Row) -> str:
    """What a judge replied about a row (``judge_output``); empty without a reply."""
    reply = row.get("judge_output")
    return "" if is_absent(reply) else str(reply)


def is_true(value: Any) -> bool:
    """Whether a field says true. Text files hold it as text, tables with gaps as a number."""
    return str(as_python(value)).strip().lower() in ("true", "1", "1.0")


def inline_options(text: str) -> dict[str, str]:
    """Options inside a question's text, as ``A. chair B. sofa`` or ``A: chair, B: sofa``.

    Empty for fewer than two. Only benchmarks list options inside the question.

    >>> inline_options("Which one? A. chair B. sofa")
    {'A': 'chair', 'B': 'sofa'}
    """
    marks = list(re.finditer(r"(?<![A-Za-z])\(?([A-J])[.:)]\s*", text))
    for start in range(len(marks) - 1, -1, -1):
        run = [
            m for m, _ in takewhile(lambda pair: pair[0][1] == pair[1], zip(marks[start:], LETTERS))
        ]
        if marks[start][1] == "A" and len(run) >= 2:
            ends = [*(m.start() for m in run[1:]), len(text)]
            return {m[1]: text[m.end() : end].strip(" ,;\n") for m, end in zip(run, ends)}
    return {}


_PREFIX = re.compile(r"^\(?([A-J])[.):]\)?\s*")


def options_of(value: Any) -> dict[str, str]:
    """Letter -> option text, from a list (with letters or not), a dict, an array, or one of these as
    text. Absent options are left out.

    ``core.options.read`` can't do this: it refuses lists in which only some texts have letters.
    Benchmarks publish such lists, and their authors' code letters them A to J in order.

    Raises:
        ValueError: it is something else, or a text that can't be read as a list.

    >>> options_of(["A. chair", "B. sofa"]), options_of('{"A": "1 m", "B": null}')
    ({'A': 'chair', 'B': 'sofa'}, {'A': '1 m'})
    """
    value = listed(value)
    if is_absent(value):
        return {}
    if isinstance(value, Mapping):
        return {
            str(letter): str(text) for letter, text in sorted(value.items()) if not is_absent(text)
        }
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"options {value!r} are neither a list nor a dict")
    if any(isinstance(text, list | tuple | Mapping) for text in value):
        raise ValueError(f"options {value!r} hold a list or a dict; each must be a text")
    texts = {letter: str(text) for letter, text in zip(LETTERS, value) if not is_absent(text)}
    published = [hit[1] for text in texts.values() if (hit := _PREFIX.match(text))]
    if len(set(published)) < len(texts):
        return texts
    return {
        letter: _PREFIX.sub("", text, count=1) for letter, text in zip(published, texts.values())
    }


def first_of(row: Row, *names: str) -> Any:
    """The first of these fields that the row has.

    Raises:
        KeyError: it has none of them; the error names the first.
    """
    return row[next((name for name in names if name in row), names[0])]


def several(value: Any) -> tuple[Any, ...]:
    """The media of a field: it may hold one, a list, an array, one of these as text, or nothing.

    Raises:
        ValueError: a text in brackets that can't be read.
    """
    value = listed(value)
    return tuple(value) if isinstance(value, list) else () if value is None else (value,)


def columns(row: Row) -> dict[str, str]:
    """Options from the columns ``A``, ``B``, ... of TSV files."""
    return {
        letter: str(row[letter])
        for letter in LETTERS
        if letter in row and not is_absent(row[letter])
    }


def letter_of(value: Any) -> str:
    """The option letter of an answer field: ``"B"``, ``"b"``, ``"(B)"``, ``"B. sofa"`` or the index
    1.

    Raises:
        ValueError: none of these.
    """
    value = as_python(value)
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value == int(value)
        and 0 <= value < len(LETTERS)
    ):
        return LETTERS[int(value)]
    text = str(value).strip()
    hit = re.fullmatch(r"\(?([A-Ja-j])(?:[.):].*)?", text, re.DOTALL)
    if hit is None and text.isdigit() and int(text) < len(LETTERS):
        return LETTERS[int(text)]
    if hit is None:
        raise ValueError(f"{value!r} is not an option letter")
    return hit[1].upper()


def number_text(value: Any) -> str:
    """A numeric answer field as text.

    Raises:
        ValueError: it is not a finite number.
    """
    value = as_python(value)
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(f"{value!r} is not a finite number")
    return str(value).strip()
