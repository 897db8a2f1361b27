"""Taking completions apart: blocks, letters, numbers, maps; every table of the specification that concerns our own rules."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils import answers
from spacer_utils.answers import MAX_ANSWER, MAX_MAP, letter, map_points, number, option_texts, parse, parse_map


@pytest.mark.parametrize(("text", "problems"), [
    ("<think>x</think><answer>A</answer>", ()),
    (" \n<think></think>\n\n<answer> A </answer>\n", ()),
    ("<think><map>{'tv': [[1, 2]]}</map></think><answer>A</answer>", ()),
    ("", ("no think block", "no answer block")),
    ("A", ("no think block", "no answer block")),
    ("<answer>A</answer>", ("no think block",)),
    ("<think>x</think>", ("no answer block",)),
    ("<think>x</think><answer>A", ("answer block not closed",)),
    ("<think>x<answer>A</answer>", ("think block not closed",)),
    ("<think>x</think>A</answer>", ("answer block not opened",)),
    ("x</think><answer>A</answer>", ("think block not opened",)),
    ("<think>x</think></answer>A<answer>", ("answer block closed before it opens",)),
    ("<think>x</think><answer>A</answer><answer>B</answer>", ("two answer blocks",)),
    ("<think>x</think><think>y</think><answer>A</answer>", ("two think blocks",)),
    ("<think><answer>B</answer></think><answer>A</answer>", ("two answer blocks",)),
    ("<answer>A</answer><think>x</think>", ("answer before the end of the think block",)),
    ("<think>x<answer>A</answer></think>", ("answer before the end of the think block",)),
    ("so <think>x</think><answer>A</answer>", ("text outside the blocks",)),
    ("<think>x</think> so <answer>A</answer>", ("text outside the blocks",)),
    ("<think>x</think><answer>A</answer> done", ("text outside the blocks",)),
    ("<think>x</think><map>{}</map><answer>A</answer>", ("text outside the blocks", "map outside the think block")),
    ("<map>{}</map><think>x</think><answer>A</answer>", ("text outside the blocks", "map outside the think block")),
    ("<think>x</think><answer>A<map>{}</map></answer>", ("map outside the think block",)),
    ("<think>x<map></think><answer></map>A</answer>", ("map outside the think block",)),
    ("<Think>x</Think><answer>A</answer>", ("no think block",)),
])
def test_problems_name_every_fault(text: str, problems: tuple[str, ...]) -> None:
    assert parse(text).problems == problems
    assert parse(text).well_formed is (not problems)


def test_blocks_are_the_first_ones_stripped() -> None:
    found = parse("<think> a <map> m </map> <map>n</map></think><answer> b </answer><answer>c</answer>")
    assert (found.think, found.map_text, found.answer) == ("a <map> m </map> <map>n</map>", "m", "b")
    assert parse("</map><map>").map_text is None
    assert parse("</map><map>m</map>").map_text == "m"


def test_text_around_the_blocks_leaves_the_answer_clear_and_doubt_does_not() -> None:
    assert answers.answer_of(parse("so <think>x</think><map></map><answer>A</answer>!"))[0] == "A"
    for text in ("<answer>A</answer>", "<think></think><answer>A</answer><answer>A</answer>", "<think></think>A"):
        assert answers.answer_of(parse(text))[0] is None
    long = answers.answer_of(parse(f"<think></think><answer>{'a' * (MAX_ANSWER + 1)}</answer>"))
    assert long == (None, "the answer is longer than 8,192 characters")
    assert answers.answer_of(parse(f"<think></think><answer>{'a' * MAX_ANSWER}</answer>"))[0] == "a" * MAX_ANSWER


OPTIONS = ("A. chair", "B. sofa", "C. tv", "D. table")


@pytest.mark.parametrize(("text", "found"), [
    ("A", "A"), ("a", "A"), ("A.", "A"), ("(A)", "A"), ("(A).", "A"), ("A)", "A"), ("A:", "A"), (" A ", "A"), ("A. chair", "A"),
    ("A.chair", "A"), ("(b) sofa", "B"), ("C: tv", "C"), ("D) the round table", "D"), ("（A）", "A"), ("Ｂ．", "B"),
    ("A. Chair.", "A"), ("E", None), ("E. lamp", None), ("A chair", None), ("A sofa and B", None), ("A. or B", None),
    ("A, B", None), ("A. B. C. D", None), ("AB", None), ("", None), ("chair", None), ("The answer is A", None), ("<A>", None),
    ("1", None), ("α", None), ("A.\nB.", None),
])
def test_letters(text: str, found: str | None) -> None:
    assert letter(text, OPTIONS) == found


def test_letters_without_options_may_be_any() -> None:
    assert [letter(t) for t in ("E", "Z.", "A. or B", "D. chair")] == ["E", "Z", None, "D"]


@pytest.mark.parametrize(("text", "found"), [
    ("B. A chair", "B"), ("C) I see a chair", "C"), ("B. A chair or C", None), ("B. or A", None), ("B. A", None),
    ("B. A or B", None), ("B. A and I", None), ("B. A C", None), ("B. A, C", None),
])
def test_without_options_an_article_is_no_second_letter(text: str, found: str | None) -> None:
    assert letter(text) == found


def test_an_option_text_may_contain_another_letter() -> None:
    assert letter("A. vitamin B", ("A. vitamin B", "B. zinc")) == "A"
    assert letter("A. rather B", ("A. vitamin B", "B. zinc")) is None


def test_options_without_letters_are_lettered_in_order() -> None:
    assert option_texts(("left", "right", "back")) == {"A": "left", "B": "right", "C": "back"}
    assert option_texts(("A", "B")) == {"A": "", "B": ""}
    assert option_texts(("(A) left", "b) right")) == {"A": "left", "B": "right"}
    assert option_texts(()) == {}
    assert letter("C", ("left", "right")) is None


def test_a_completion_without_one_answer_says_why() -> None:
    for text, why in (("<think></think><answer>A</answer><answer>B</answer>", "two answer blocks"),
                      ("<think></think>", "no answer block"), ("<answer>A</answer> text", "no think block")):
        answer, reason = answers.answer_of(parse(text))
        assert answer is None
        assert why in reason


@pytest.mark.parametrize(("text", "value"), [
    ("3", 3), ("3.", 3), ("3.0", 3), ("3 meters", 3), ("3\n", 3), ("There are 3 chairs", 3), ("three", 3), ("Three.", 3),
    ("-3", -3), ("−3", -3), ("+3", 3), ("1,200", 1200), ("1,234,567.5", 1234567.5), ("3.5m", 3.5), ("about 2.5 m", 2.5),
    ("~4", 4), ("2-3", 2), ("twenty-one", 21), ("twenty one", 21), ("one hundred and five", 105), ("a hundred", 100),
    ("two thousand three hundred", 2300), ("two hundred five", 205), ("two hundred thousand", 200_000),
    ("a chair at 3.5 m", 3.5), ("1e1", 10), ("1.5E-1 m", 0.15), (".5", 0.5), ("m2: 5", 5),
    ("three and four", 3), ("one two", 1), ("zero", 0), ("nineteen", 19), ("ninety nine", 99), ("three million", 3e6),
    ("3\u00a0m", 3), ("３", 3), ("12,34", 12), ("1,200, roughly", 1200), ("1,2345", 1), ("1,200,3", 1), ("3½ m", 3.5), ("½", 0.5),
    ("-¼ m", -0.25), ("10² m", 10), ("10⁻² m", 10), ("5 m² or 7", 5), ("H₂O", None), ("hundred " * 155, None),
    ("(-2)", -2), ("x-2", 2), ("area=-2", -2),
    ("", None), ("a chair", None), ("an", None), ("none", None), ("nan", None), ("inf", None), ("1e999", None), ("someone", None),
])
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value


def test_a_number_of_a_million_digits_is_no_number() -> None:
    assert number("9" * 1_000_000) is None
    assert number("nine " * 1_000_000) == 9


@pytest.mark.parametrize(("text", "points"), [
    ("{'tv': [[1, 2]]}", {"tv": [(1, 2)]}),
    ('{"tv": [[1,2],[3,4]], "bed": []}', {"tv": [(1, 2), (3, 4)], "bed": []}),
    ("{tv: [[1, 2]], trash bin: [(3, 4)]}", {"tv": [(1, 2)], "trash bin": [(3, 4)]}),
    ("tv: (1, 2), (3, 4)\ntrash bin: (5, 6)", {"tv": [(1, 2), (3, 4)], "trash bin": [(5, 6)]}),
    ("{'tv': [1, 2]}", {"tv": [(1, 2)]}),
    ("{'TV': [[1, 2]], 'tv': [[3, 4]]}", {"tv": [(1, 2), (3, 4)]}),
    ("{'tv': [[-0.6, 2], [10, 11]]}", {"tv": [(-0.6, 2), (10, 11)]}),
    ("{'tv': [[1, 2], [3", {"tv": [(1, 2)]}),
    ("{'tv': [[1, 2, 3], [nan, 1], [1e3, 2], ['1', 2]]}", {"tv": []}),
    ("map: {'computer_mouse' : [[1,2]]}", {"map": [], "computer mouse": [(1, 2)]}),
    ("", {}), ("[[1, 2]]", {}), ("no map", {}),
])
def test_maps_are_read_as_they_stand(text: str, points: dict[str, list[tuple[float, float]]]) -> None:
    assert map_points(text) == points


@pytest.mark.parametrize("name", ["men's shoes", "tv (large)", "a,b", "tv: big", "tv: (big)", "{x}", '5" pipe', "o'clock \"tv\"",
                                  "back\\slash", "no\u00a0break", "[a; b]", "<bin>", "Größe"])
@pytest.mark.parametrize("written", [repr, json.dumps], ids=["Python", "JSON"])
def test_quoted_names_are_read_whole(name: str, written: Callable[[str], str]) -> None:
    text = f"{{{written(name)}: [[1, 2]], {written('bed')} : [[8, 8]]}}"
    assert map_points(text) == {answers.same_category(name): [(1, 2)], "bed": [(8, 8)]}
    assert [text[i:j] for _, i, j in answers.map_spans(text)] == ["1, 2", "8, 8"]


@pytest.mark.parametrize(("text", "points"), [
    ("{'tv: [[1, 2]], 'bed': [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
    ("{'tv: [[1, 2]], bed': [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
    ("{tv': [[1, 2]], \"bed: [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
    ("{tv': [], bed': [[3, 4]]}", {"tv": [], "bed": [(3, 4)]}),
    ("{'tv: [ ], bed': [[3, 4]]}", {"tv": [], "bed": [(3, 4)]}),
    ("{'tv\\': [[1, 2]], 'bed\\x': [[3, 4]]}", {"tv\\": [(1, 2)], "bed\\x": [(3, 4)]}),
    ("the bed's at: (1, 2), the men's shoes' tv : (3, 4)", {"s at": [(1, 2)], "tv": [(3, 4)]}),
])
def test_stray_quotes_spoil_no_neighbour(text: str, points: dict[str, list[tuple[float, float]]]) -> None:
    assert map_points(text) == points


def test_parse_map_keeps_the_named_categories_and_their_spelling() -> None:
    text = "{'Trash_Bin': [[1, 2], [3.5, 4]], 'lamp': [[5, 6]], 'bed': []}"
    assert parse_map(text, ("trash bin", "bed")) == {"trash bin": [[1, 2], [3.5, 4]]}
    assert parse_map(text, {"Lamp": None}) == {"Lamp": [[5, 6]]}


def test_limits_are_the_last_that_counts() -> None:
    assert number("twenty ten") == 20, "a ten is no unit: two numbers, the first counts"
    assert map_points("{'tv': [[1, 2]]}".ljust(MAX_MAP)) == {"tv": [(1.0, 2.0)]}
    assert map_points("{'tv': [[1, 2]]}".ljust(MAX_MAP + 1)) == {}


def test_a_map_over_the_limit_is_not_read() -> None:
    text = "{'tv': [" + "[1, 2], " * (MAX_MAP // 8) + "]}"
    assert len(text) > MAX_MAP
    assert map_points(text) == {}
    assert len(map_points(text[:8_000])["tv"]) > 900


@given(st.text(), st.text(), st.text())
def test_parsers_take_any_text(a: str, b: str, c: str) -> None:
    found = parse(f"{a}<think>{b}</think><answer>{c}</answer>")
    assert found.answer is not None
    value = number(c)
    assert value is None or math.isfinite(value)
    assert letter(c, (a, b)) in {None, *option_texts((a, b))}
    assert all(math.isfinite(v) for points in map_points(b).values() for point in points for v in point)
