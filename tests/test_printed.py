"""Lists stored as text: what JSON, Python and NumPy print is read item by item, or refused in one
line."""

from __future__ import annotations

import doctest
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.benchmarks.scoring.load import load
from spacer_utils.benchmarks.scoring.record import options_of, read, several
from spacer_utils.benchmarks.scoring.score_benchmark import score_lines
from spacer_utils.core import printed_lists
from spacer_utils.core.printed_lists import as_python
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import BadRow

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=12)


def test_doctests() -> None:
    assert doctest.testmod(printed_lists).attempted >= 1


@given(TEXTS)
def test_what_numpy_prints_is_read_item_by_item(texts: list[str]) -> None:
    for kind in (object, np.str_):
        with np.printoptions(threshold=1000, linewidth=30):
            array = np.array(texts, dtype=kind)
            assert printed_lists.read(str(array)) == array.tolist()
    assert printed_lists.read(str(texts)) == printed_lists.read(json.dumps(texts)) == texts


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("['1' '2' '3' '4']", ["1", "2", "3", "4"]),
        ("['A. a cup'\n 'B. a lamp'\n 'C. it']", ["A. a cup", "B. a lamp", "C. it"]),
        ("[\"the chair's leg\" 'b']", ["the chair's leg", "b"]),
        ("['a, b' 'c']", ["a, b", "c"]),
        ("['one']", ["one"]),
        ("[1 2 3]", [1, 2, 3]),
        ("[1.  2.5 -3. ]", [1, 2.5, -3]),
        ("['a' None 'c']", ["a", None, "c"]),
        ("[]", []),
        ("['...' 'b']", ["...", "b"]),
        ("['a\\'b\"' 'c']", ["a'b\"", "c"]),
        (" ['a' 'b'] ", ["a", "b"]),
    ],
)
def test_printed_lists(text: str, items: list[Any]) -> None:
    assert printed_lists.read(text) == items


def test_a_gap_that_numpy_prints_stays_one() -> None:
    first, second = printed_lists.read("['a' nan]")
    assert first == "a"
    assert math.isnan(second)
    assert options_of("['a' nan 'c']") == {"A": "a", "C": "c"}


@pytest.mark.parametrize(
    "text",
    [
        "['1' '2' ... '9']",
        "['0', '1', ..., '9']",
        "['a', 'b' 'c']",
        "['a' 'b', 'c']",
        "[['a' 'b']]",
        "['a''b']",
        "['a'\\\n'b']",
        "{'A': 'x' 'y'}",
        "[b'a' b'b']",
        "[left right]",
        "['a' 'b'",
        "[" * 5000 + "]" * 5000,
    ],
)
def test_what_cannot_be_told_apart_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="JSON") as refused:
        printed_lists.read(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 160
    with pytest.raises(ValueError, match=r"JSON|neither a list"):
        options_of(text)


OPTIONS = {
    "blink": "choices",
    "embspatial": "answer_options",
    "video_mme": "options",
    "vsi_bench": "options",
    "longvideobench": "candidates",
    "heldout": "options",
    "viewspatial": "choices",
}


@pytest.mark.parametrize(("name", "field"), OPTIONS.items())
def test_every_benchmark_reads_or_refuses_them(name: str, field: str) -> None:
    row = next(r for r in BENCHMARKS[name].sample if read(BENCHMARKS[name], r).options)
    wanted = {"A": "a bed", "B": "the sofa's arm", "C": "1, 2", "D": "door"}
    text = str(np.array(list(wanted.values()), dtype=object))
    assert read(BENCHMARKS[name], {**row, field: text}).options == wanted
    line = json.dumps({**row, field: "['a bed' 'a sofa' ... 'a door']", "output": "A"}).encode()
    with pytest.raises(BadRow, match=r"line 1: .*cut off.*JSON"):
        score_lines([line], name)


def test_media_that_numpy_printed_are_several() -> None:
    assert several("['a.png' 'b.png']") == ("a.png", "b.png")
    assert several("a.png") == ("a.png",)
    assert several("[1] a.png") == ("[1] a.png",)
    with pytest.raises(ValueError, match="cut off"):
        several("['a.png' ... 'b.png']")


def test_a_list_in_a_list_is_no_option() -> None:
    with pytest.raises(ValueError, match="list"):
        options_of([["a", "b"]])


@pytest.mark.parametrize("text", ["[unfinished", "['a' ... 'b']", "[x]", "a", "{", ""])
def test_other_fields_keep_a_text_that_is_no_list(text: str) -> None:
    assert as_python(text) == text


def test_a_table_with_printed_options_loads(tmp_path: Any) -> None:
    (tmp_path / "VSI-Bench.tsv").write_text(
        "index\tquestion\tcandidates\tanswer\tquestion_type\tvideo\n"
        "7\tWhich?\t['A. chair' 'B. sofa']\tB\troute_planning\tv.mp4\n"
    )
    (row,) = load("vsi_bench", tmp_path)
    assert read(BENCHMARKS["vsi_bench"], row).options == {"A": "chair", "B": "sofa"}


def test_choices_in_a_list_are_asked_as_published() -> None:
    benchmark = BENCHMARKS["viewspatial"]
    row = benchmark.sample[1]
    asked = [
        benchmark.prompt(read(benchmark, r), r, "official")
        for r in (row, {**row, "choices": "['A. right' 'B. left']"})
    ]
    assert asked[0] == asked[1]
