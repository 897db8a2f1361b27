"""Reward throughput: ours against a stand-in for the paper's released code, on the golden inputs.
Run: make bench.

The stand-in was written here from the specification, in the released code's manner:
``ast.literal_eval`` for every map, a check of every value's type, number words searched one by one,
thresholds and ROUGE scorer built anew for every row, and log lines at every step, of which the
levels INFO and above are written (here to a stream that drops them). The second figure leaves the
logging out. Equal results are asserted on every row before anything is timed.
"""

from __future__ import annotations

import ast
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from conftest import SHARED

from spacer_utils import rewards
from spacer_utils.core import answers
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.types import Sample
from spacer_utils.rewards import map as released_map
from spacer_utils.rewards.accuracy_spacer import accuracy_spacer
from spacer_utils.rewards.format_spacer import format_spacer
from spacer_utils.rewards.map import map_score
from spacer_utils.rewards.score_rewards import sample_of
from spacer_utils.rewards.sets import SETS, with_map

LOG = logging.getLogger("stand-in")
LOG.propagate = False
LOG.setLevel(logging.INFO)
NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety zero"
)
WORDS: dict[str, str] = dict(
    zip(re.findall(r"\w+", NUMBERS), [*map(str, range(1, 21)), *map(str, range(30, 100, 10)), "0"])
)
WORDS |= {"a": "1", "an": "1"}


# ------------------------------------------------------------------------------------- the stand-in


def slow_pair(item: Any, name: str) -> list[int] | None:
    LOG.debug(f"pair of {name}: {item} ({type(item)})")
    if isinstance(item, list | tuple):
        if len(item) == 1 and isinstance(item[0], list | tuple):
            item = item[0]
        if len(item) != 2:
            return None
        parts = list(item)
    elif isinstance(item, str):
        parts = re.findall(r"-?\d+(?:\.\d+)?", item)[:2]
        if len(parts) < 2:
            return None
    else:
        return None
    numbers: list[float] = []
    for part in parts:
        if isinstance(part, int | float):
            numbers.append(part)
        elif isinstance(part, str):
            match = re.match(r"^[<\[(]*(-?\d+(?:\.\d+)?)[>\])]*$", part.strip())
            LOG.debug(f"number {part} of {name} cleaned: {match}")
            try:
                numbers.append(float(match.group(1) if match else part.strip()))
            except ValueError:
                return None
        else:
            return None
    try:
        final = [int(n) for n in numbers]
    except ValueError:
        return None
    for before, after in zip(numbers, final):
        if isinstance(before, float) and not before.is_integer():
            LOG.warning(f"{before} of {name} became {after}")
    LOG.debug(f"pair of {name} is {final}")
    return final


def slow_dict(data: dict[Any, Any], known: set[str]) -> dict[str, list[list[int]]]:
    LOG.info("reading a dict")
    found: dict[str, list[list[int]]] = {}
    for key, value in data.items():
        text = str(key).lower().strip()
        match = re.match(r"^[^\w\s]*([\w\s]+)[^\w\s]*$", text)
        name = match.group(1).strip() if match else text
        LOG.debug(f"key {text} is {name}")
        if name in known:
            pairs = (
                [slow_pair(v, name) for v in value]
                if isinstance(value, list)
                else [slow_pair(value, name)]
            )
            if good := [p for p in pairs if p is not None]:
                found.setdefault(name, []).extend(good)
                LOG.debug(f"{len(good)} pairs of {name}")
    LOG.info(f"read a dict: {found}")
    return found


def slow_words(text: str, names: list[str]) -> dict[str, list[list[int]]]:
    LOG.info("reading by position")
    spans: list[tuple[int, int, str]] = []
    for name in names:
        pattern = re.compile(r"(?<![a-zA-Z])" + re.escape(name) + r"(?![a-zA-Z])", re.IGNORECASE)
        for match in pattern.finditer(text):
            LOG.debug(f"{name} at {match.start()} to {match.end()}")
            spans.append((match.start(), match.end(), name.lower()))
    spans.sort(key=lambda s: (s[0], -s[1]))
    LOG.debug(f"{len(spans)} names, by place: {[(name, start, end) for start, end, name in spans]}")
    kept: list[tuple[int, int, str]] = []
    for span in spans:
        if kept and span[0] < kept[-1][1]:
            if span[1] > kept[-1][1]:
                kept[-1] = span
        else:
            kept.append(span)
    LOG.info(f"{len(kept)} names do not overlap")
    LOG.debug(f"these: {[(name, start, end) for start, end, name in kept]}")
    found: dict[str, list[list[int]]] = {}
    for k, (_, end, name) in enumerate(kept):
        region = text[end : kept[k + 1][0] if k + 1 < len(kept) else len(text)]
        LOG.debug(f"region of {name} from {end}: {region[:100]}")
        numbers = re.findall(r"-?\d+(?:\.\d+)?", region)
        LOG.debug(f"numbers of {name}: {numbers}")
        pairs = [
            slow_pair((numbers[j], numbers[j + 1]), name) for j in range(0, len(numbers) - 1, 2)
        ]
        if good := [p for p in pairs if p is not None]:
            LOG.info(f"{len(good)} pairs of {name}: {good}")
            found.setdefault(name, []).extend(good)
    LOG.info(f"read by position: {found}")
    return found


def slow_read(text: str, categories: list[str]) -> dict[str, list[list[int]]]:
    names = [c for c in categories if isinstance(c, str) and c]
    known = {c.lower() for c in names}
    text = text.strip()
    if not text or not known:
        LOG.warning("nothing to read")
        return {}
    LOG.info(f"reading {len(text)} characters: {text[:100]}")
    LOG.debug(f"categories: {known}")
    literal = text
    if text.startswith("str{") and text.endswith("}"):
        inner = text[4:-1].strip()
        literal = inner if inner.startswith("{") and inner.endswith("}") else text
    if literal.startswith("{") and literal.endswith("}"):
        LOG.info("trying a literal")
        try:
            data = ast.literal_eval(literal)
            if isinstance(data, dict):
                LOG.info("a dict literal")
                return slow_dict(data, known)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            LOG.info(f"no literal: {error}")
    return slow_words(text, names)


def slow_score(
    found: dict[str, list[list[int]]], true: dict[str, list[list[int]]], grid: int = 10
) -> float:
    farthest, weighted, total = grid * math.sqrt(2), 0.0, 0
    for name in set(found) | set(true):
        mine, places = found.get(name, []), true.get(name, [])
        total += len(places)
        if not mine or not places:
            continue
        distances = []
        for i, p in enumerate(mine):
            for j, q in enumerate(places):
                distances.append((math.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2), i, j))
        distances.sort()
        used: set[int] = set()
        taken: set[int] = set()
        earned = 0.0
        for distance, i, j in distances:
            if i not in used and j not in taken:
                earned += max(0.0, 1.0 - distance / farthest)
                used.add(i)
                taken.add(j)
        weighted += earned / max(len(mine), len(places)) * len(places)
    return weighted / total if total else float(not found)


def slow_number(text: str) -> str:
    text = text.strip().lower()
    for word, digits in WORDS.items():
        if re.search(r"\b" + word + r"\b", text):
            return digits
    match = re.search(r"\d+(\.\d+)?", text)
    return str(match.group(0)) if match else "None"


def slow_mra(p: float, g: float) -> float:
    points = int((0.95 - 0.5) / 0.05 + 2)
    return float((abs(p - g) / g <= 1 - np.linspace(0.5, 0.95, points)).mean())


def slow_wer(reference: str, hypothesis: str) -> float:
    a, b = reference.split(), hypothesis.split()
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        table[i][0] = i
    for j in range(len(b) + 1):
        table[0][j] = j
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = (
                table[i - 1][j - 1]
                if a[i - 1] == b[j - 1]
                else 1 + min(table[i - 1][j], table[i][j - 1], table[i - 1][j - 1])
            )
    return table[-1][-1] / max(1, len(a))


def slow_rouge(reference: str, hypothesis: str) -> float:
    from rouge_score import rouge_scorer

    names = ["rouge1", "rouge2", "rougeL"]
    found = rouge_scorer.RougeScorer(names, use_stemmer=True).score(reference, hypothesis)
    return float(sum(found[n].fmeasure for n in names) / 3)


def slow_answer(text: str) -> str:
    match = re.search(r"<answer>\s*(.*?)\s*</answer>", text, re.DOTALL)
    return str(match.group(1).strip()) if match else ""


def slow_with_map(row: dict[str, Any], accuracy: float) -> float:
    if "<map>" not in row["completion"] or "</map>" not in row["completion"]:
        return accuracy
    match = re.search(r"<map>\s*(.*?)\s*</map>", row["completion"], re.DOTALL)
    found = slow_read(match.group(1).strip() if match else "", list(row["cognitive_map"]))
    value = slow_score(found, row["cognitive_map"])
    return accuracy + value if value > 0 else 0.0


def slow_accuracy(row: dict[str, Any]) -> float:
    given, gold, kind = (
        slow_answer(row["completion"]),
        slow_answer(row["solution"]),
        row["problem_type"],
    )
    if kind == "multiple choice":
        return slow_with_map(row, 1.0) if given == gold else 0.0
    try:
        if kind == "numerical":
            value = slow_mra(float(slow_number(given)), float(gold))
            return slow_with_map(row, value) if value > 0.5 else value
        if kind == "OCR":
            return max(0.0, min(1.0, 1 - slow_wer(gold, given)))
        if kind == "free-form":
            return max(0.0, min(1.0, slow_rouge(gold, given)))
        if kind == "regression":
            p, g = float(given.replace(",", "")), float(gold.replace(",", ""))
            return 1 - min(1.0, max(0.0, (abs(p - g) + 1e-9) / (abs(g) + 1e-9)))
    except (ValueError, ZeroDivisionError):
        return 0.0
    return 0.0


def slow_format(row: dict[str, Any]) -> float:
    return float(
        re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", row["completion"], re.DOTALL)
        is not None
    )


# ---------------------------------------------------------------------------------------- the clock


def fast_rewards(sample: Sample, completion: str) -> tuple[float | None, float | None]:
    answer = answers.parse(completion)
    accuracy, form = accuracy_spacer(sample, answer)[0], format_spacer(sample, answer)[0]
    return with_map(SETS["spacer"], sample, answer, accuracy, lambda: map_score(sample, answer)[0])[
        0
    ], form


def fastest(work: Callable[[], Any], rounds: int = 7) -> float:
    """Processor seconds of the best of several rounds: other work on the machine disturbs them less
    than the clock's."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def print_long_texts() -> None:
    """Milliseconds of the dearest long completion: the shares of a step that hostile or broken text
    can take."""
    from test_rewards_properties import (
        FRAGMENTS,
        LENGTHS,
        long_texts,
    )  # which imports the stand-in from here

    for length in LENGTHS:
        dearest = max(
            fastest(lambda: rewards.score(row, text), 2)  # noqa: B023 (called at once)
            for fragment in FRAGMENTS
            for row, text in long_texts(fragment, length)
        )
        print(f"a completion of {length:,} characters: at most {1000 * dearest:.0f} ms")


def main() -> None:
    """Assert equal results, then print rows per second and ratios."""
    if not (SHARED / "golden").exists():
        print(
            "the golden inputs are not part of the repository; set SPACER_SHARED to the folder that holds them"
        )
        return
    maps, rows = (
        read_jsonl(SHARED / "golden/spacer_maps.jsonl"),
        read_jsonl(SHARED / "golden/spacer_rewards.jsonl"),
    )
    samples = [sample_of(r, k) for k, r in enumerate(rows)]
    LOG.disabled = True
    for r in maps:
        found = released_map.read(r["map_text"], r["categories"])
        assert found == slow_read(r["map_text"], r["categories"]) == r["parsed"]
        assert (
            abs(released_map.score(found, r["solution"]) - slow_score(found, r["solution"])) < 1e-9
        )
    for r, s in zip(rows, samples):
        total, form = fast_rewards(s, r["completion"])
        assert abs((total or 0.0) - slow_accuracy(r)) < 1e-9
        assert abs(slow_accuracy(r) - r["accuracy_with_map"]) < 1e-9
        assert form == slow_format(r) == r["format"]

    def slow_maps() -> None:
        for r in maps:
            slow_score(slow_read(r["map_text"], r["categories"]), r["solution"])

    def fast_maps() -> None:
        for r in maps:
            released_map.score(released_map.read(r["map_text"], r["categories"]), r["solution"])

    def slow_rows() -> None:
        for r in rows:
            slow_accuracy(r)
            slow_format(r)

    def fast_rows() -> None:
        for r, s in zip(rows, samples):
            fast_rewards(s, r["completion"])

    for what, slow, fast in (
        ("map parse and score", slow_maps, fast_maps),
        ("all rewards of a row", slow_rows, fast_rows),
    ):
        quick = fastest(fast)
        quiet = fastest(slow, 3)
        with open(os.devnull, "w") as nowhere:
            handler = logging.StreamHandler(nowhere)
            handler.setFormatter(
                logging.Formatter("%(levelname)s:%(filename)s:%(lineno)d: %(message)s")
            )
            LOG.handlers, LOG.disabled = [handler], False
            loud = fastest(slow, 3)
        LOG.disabled = True
        print(
            f"{what}: ours {len(maps) / quick:,.0f} rows/s; {loud / quick:.1f} times the stand-in as released, with log lines "
            f"({len(maps) / loud:,.0f} rows/s); {quiet / quick:.1f} times the stand-in with logging disabled "
            f"({len(maps) / quiet:,.0f} rows/s)"
        )


if __name__ == "__main__":
    main()
    print_long_texts()
