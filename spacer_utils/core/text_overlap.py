"""Word error rate and ROUGE for transcriptions and free text, bounded in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from .answers import same_text


def word_errors(reference: str, hypothesis: str) -> float:
    """Word error rate: insertions, deletions and substitutions over the reference's words, at most
    1.

    >>> word_errors("two red chairs", "two chairs")
    0.3333333333333333
    """
    want, got = reference.split(), hypothesis.split()
    if want == got:
        return 0.0
    if not want or len(got) >= 2 * len(want):  # at least as many insertions as there are words
        return 1.0
    return min(1.0, _edits(want, got) / len(want))


def _edits(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance, bit-parallel (Myers 1999, simplified by Hyyrö 2003).

    Each column of the usual table is one big integer.
    """
    places: dict[str, int] = {}
    for k, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << k
    every, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    plus, minus, distance = every, 0, len(a)
    for word in b:
        match = places.get(word, 0)
        zero = (((match & plus) + plus) ^ plus) | match | minus
        up, down = minus | ~(zero | plus) & every, plus & zero
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & every, down << 1 & every
        plus, minus = down | ~(zero | up) & every, up & zero
    return distance


def rouge(reference: str, hypothesis: str) -> float:
    """Mean F-measure of ROUGE-1, ROUGE-2 and ROUGE-L with Porter stemming, equal to
    ``rouge_score.RougeScorer``.

    >>> round(rouge("the red chair", "a red chair"), 4)
    0.6111
    """
    want, got = _stems(reference), _stems(hypothesis)
    pairs = [
        _f(_shared(want, got), len(want), len(got)),
        _f(_shared(pairwise(want), pairwise(got)), len(want) - 1, len(got) - 1),
        _f(_common_subsequence(want, got), len(want), len(got)),
    ]
    return sum(pairs) / 3


def transcription(gold: str, given: str) -> tuple[float, str]:
    """1 - word error rate of a transcription, and why."""
    errors = word_errors(gold, given)
    return 1 - errors, f"word error rate {errors:.2f}"


def free_form(gold: str, given: str) -> tuple[float, str]:
    """ROUGE of free text, and why. The gold text itself scores 1.

    ROUGE alone gives some equal texts less than 1: one word has no pairs, and ``rouge_score`` finds
    no words in scripts other than Latin.
    """
    if same_text(given) == same_text(gold):
        return 1.0, "equal to the gold text"
    value = rouge(gold, given)
    return value, f"ROUGE {value:.2f}"


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


@lru_cache(maxsize=1024)
def _stems(text: str) -> tuple[str, ...]:
    return tuple(_tokenizer().tokenize(text))


def _shared(a: Iterable[Any], b: Iterable[Any]) -> int:
    return (Counter(a) & Counter(b)).total()


def _f(shared: int, want: int, got: int) -> float:
    """F-measure of ``shared`` pieces among ``want`` of the reference and ``got`` of the text."""
    return 2 * shared / (want + got) if shared else 0.0


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for k, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << k
    every = (1 << len(a)) - 1
    row = every
    for word in b:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & every
    return len(a) - row.bit_count()
