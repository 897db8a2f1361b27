"""Taking completions apart: blocks, letters, numbers, maps; every table of the specification that
concerns our own rules."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.core import answers
from spacer_utils.core.answers import (
    MAX_ANSWER,
    MAX_MAP,
    map_points,
    number,
    parse,
    parse_map,
)
from spacer_utils.core.options import letter, option, option_reader, option_texts


@pytest.mark.parametrize(
    ("text", "problems"),
    [
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
        (
            "<think>x</think><map>{}</map><answer>A</answer>",
            ("text outside the blocks", "map outside the think block"),
        ),
        (
            "<map>{}</map><think>x</think><answer>A</answer>",
            ("text outside the blocks", "map outside the think block"),
        ),
        ("<think>x</think><answer>A<map>{}</map></answer>", ("map outside the think block",)),
        ("<think>x<map></think><answer></map>A</answer>", ("map outside the think block",)),
        ("<Think>x</Think><answer>A</answer>", ("no think block",)),
    ],
)
def test_problems_name_every_fault(text: str, problems: tuple[str, ...]) -> None:
    assert parse(text).problems == problems
    assert parse(text).well_formed is (not problems)


def test_blocks_are_the_first_ones_stripped() -> None:
    found = parse(
        "<think> a <map> m </map> <map>n</map></think><answer> b </answer><answer>c</answer>"
    )
    assert (found.think, found.map_text, found.answer) == (
        "a <map> m </map> <map>n</map>",
        "m",
        "b",
    )
    assert parse("</map><map>").map_text is None
    assert parse("</map><map>m</map>").map_text == "m"


def test_text_around_the_blocks_leaves_the_answer_clear_and_doubt_does_not() -> None:
    assert answers.answer_of(parse("so <think>x</think><map></map><answer>A</answer>!"))[0] == "A"
    for text in (
        "<answer>A</answer>",
        "<think></think><answer>A</answer><answer>A</answer>",
        "<think></think>A",
    ):
        assert answers.answer_of(parse(text))[0] is None
    long = answers.answer_of(parse(f"<think></think><answer>{'a' * (MAX_ANSWER + 1)}</answer>"))
    assert long == (None, "the answer is longer than 8,192 characters")
    assert (
        answers.answer_of(parse(f"<think></think><answer>{'a' * MAX_ANSWER}</answer>"))[0]
        == "a" * MAX_ANSWER
    )


OPTIONS = ("A. chair", "B. sofa", "C. tv", "D. table")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A", "A"),
        ("a", "A"),
        ("A.", "A"),
        ("(A)", "A"),
        ("(A).", "A"),
        ("A)", "A"),
        ("A:", "A"),
        (" A ", "A"),
        ("A. chair", "A"),
        ("A.chair", "A"),
        ("(b) sofa", "B"),
        ("C: tv", "C"),
        ("D) the round table", "D"),
        ("（A）", "A"),
        ("Ｂ．", "B"),
        ("A. Chair.", "A"),
        ("E", None),
        ("E. lamp", None),
        ("A chair", None),
        ("A sofa and B", None),
        ("A. or B", None),
        ("A, B", None),
        ("A. B. C. D", None),
        ("AB", None),
        ("", None),
        ("chair", None),
        ("The answer is A", None),
        ("<A>", None),
        ("1", None),
        ("α", None),
        ("A.\nB.", None),
    ],
)
def test_letters(text: str, found: str | None) -> None:
    assert letter(text, OPTIONS) == found


def test_letters_without_options_may_be_any() -> None:
    assert [letter(t) for t in ("E", "Z.", "A. or B", "D. chair")] == ["E", "Z", None, "D"]


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{B}",
        r"\text{B}",
        r"\mathbf{B}",
        r"$\boxed{\text{B}}$",
        r"\(B\)",
        r"\[B\]",
        "$B$",
        "**B**",
        "*B*",
        "__B__",
        "_B_",
        "`B`",
        '"B"',
        "“B”",
        "[B]",
        "【B】",
        "{B}",
        "（Ｂ）",
        "Ⓑ",
        "𝐁",
        "\u200bB\u2060",
        "B\ufeff.",
        "\u00adB",
        "**B.** sofa",
        "**B**. sofa",
        r"\boxed{B. sofa}",
        "(**B**) sofa",
        "B、sofa",
        "Option B",
        "Answer: B",
        "**Answer:** B",
        "Final answer: (B)",
        "option (b) sofa",
        "B. A sofa",
        "B: I see a sofa",
        "B. A-frame sofa",
        "B. An L-shaped sofa",
    ],
)
def test_letters_may_stand_in_what_numbers_may(text: str) -> None:
    assert letter(text, OPTIONS) == "B"
    assert letter(text) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "Β",
        "В",
        "\u200b",
        "A. or B",
        "B, or maybe C",
        "B. or c",
        "**A** or **B**",
        "B. A is right",
        r"\boxed{A}, \boxed{B}",
        "B. A",
        "B. A or C",
        "`A``B`",
        "Option A or B",
        "Answer",
        "The B",
    ],
)
def test_neither_look_alikes_nor_hedges_are_letters(text: str) -> None:
    assert letter(text, OPTIONS) is None
    assert letter(text) is None


def test_a_solution_may_be_an_options_text() -> None:
    options = ("C. a cup", "A. Sofa.", "B. tv", "D. tv")
    assert [
        option(t, options)
        for t in ("a cup", "SOFA", "ＳＯＦＡ\u200b", "**sofa**", "b", "(C)", "tv", "bed", "")
    ] == ["C", "A", "A", "A", "B", "C", None, None, None]
    assert [option_reader(s, options)("sofa") for s in ("A", "sofa")] == [None, "A"]
    assert option("left", ()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("B. A chair", "B"),
        ("C) I see a chair", "C"),
        ("B. A chair or C", None),
        ("B. or A", None),
        ("B. A", None),
        ("B. A or B", None),
        ("B. A and I", None),
        ("B. A C", None),
        ("B. A, C", None),
    ],
)
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
    assert option_texts(("B. sofa", "A.")) == {"B": "sofa", "A": ""}, "published letters stay"
    assert option_texts(("Ｂ．sofa", "（Ａ）cup")) == {"B": "sofa", "A": "cup"}
    assert option_texts(("A. x", "A. y")) == {"A": "A. x", "B": "A. y"}, "a letter twice is none"
    assert letter("C", ("left", "right")) is None


def test_a_completion_without_one_answer_says_why() -> None:
    for text, why in (
        ("<think></think><answer>A</answer><answer>B</answer>", "two answer blocks"),
        ("<think></think>", "no answer block"),
        ("<answer>A</answer> text", "no think block"),
    ):
        answer, reason = answers.answer_of(parse(text))
        assert answer is None
        assert why in reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.", 3),
        ("3.0", 3),
        ("3 meters", 3),
        ("3\n", 3),
        ("There are 3 chairs", 3),
        ("three", 3),
        ("Three.", 3),
        ("-3", -3),
        ("−3", -3),
        ("+3", 3),
        ("1,200", 1200),
        ("1,234,567.5", 1234567.5),
        ("3.5m", 3.5),
        ("about 2.5 m", 2.5),
        ("~4", 4),
        ("2-3", 2),
        ("twenty-one", 21),
        ("twenty one", 21),
        ("one hundred and five", 105),
        ("a hundred", 100),
        ("two thousand three hundred", 2300),
        ("two hundred five", 205),
        ("two hundred thousand", 200_000),
        ("a chair at 3.5 m", 3.5),
        ("1e1", 10),
        ("1.5E-1 m", 0.15),
        (".5", 0.5),
        ("m2: 5", 5),
        ("three and four", 3),
        ("one two", 1),
        ("zero", 0),
        ("nineteen", 19),
        ("ninety nine", 99),
        ("three million", 3e6),
        ("3\u00a0m", 3),
        ("３", 3),
        ("12,34", 12),
        ("1,200, roughly", 1200),
        ("1,2345", 1),
        ("1,200,3", 1),
        ("3½ m", 3.5),
        ("½", 0.5),
        ("-¼ m", -0.25),
        ("10² m", 100),
        ("10⁻² m", 0.01),
        ("5 m² or 7", 5),
        ("H₂O", None),
        ("hundred " * 155, None),
        ("(-2)", -2),
        ("x-2", 2),
        ("area=-2", -2),
        ("", None),
        ("a chair", None),
        ("an", None),
        ("none", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("someone", None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value


FRACTIONS = [
    ("1/2", 0.5),
    ("1 / 2", 0.5),
    ("2 1/2", 2.5),
    ("2-1/2", 2.5),
    ("2 and 1/2", 2.5),
    ("two and 1/2", 2.5),
    ("2 3/2", 2),
    ("-2 1/2", -2.5),
    (r"\frac{1}{4}", 0.25),
    (r"\dfrac{3}{4} m", 0.75),
    (r"-\frac12", -0.5),
    (r"2\frac12", 2.5),
    (r"-2\tfrac{1}{2}", -2.5),
    (r"\frac{-1}{2}", -0.5),
    (r"\frac{1,000}{2}", 500),
    (r"\frac{\pi}{2}", None),
    ("1½", 1.5),
    ("-1½", -1.5),
    ("1⁄2", 0.5),
    ("⅓", 1 / 3),
    ("1/2/2020", 1),
    ("1/0", None),
    ("3/4 million", 750_000),
]
POWERS = [
    ("1.5×10^2", 150),
    ("1.5 × 10^2", 150),
    (r"1.5 \times 10^{2}", 150),
    (r"1.5\cdot10^{-1}", 0.15),
    ("1.5x10^2", 150),
    ("1.5 x 10^2", 150),
    ("1.5*10**2", 150),
    ("1.5·10^2", 150),
    ("1.5 times 10^2", 150),
    ("1.5×10²", 150),
    ("2×10⁻²", 0.02),
    ("10^3", 1000),
    ("2^3", 8),
    ("2^0.5", 2**0.5),
    ("1×10^999", None),
    ("0^-1", None),
    ("3 x 4 m", 3),
    ("4 × 10 m", 4),
    ("m^2: 5", 5),
    ("x^{2} is 5", 5),
    ("x_1 = 5", 5),
    ("5 m^2", 5),
    ("5㎡", 5),
]
SEPARATED = [
    ("1{,}200", 1200),
    (r"1\,200", 1200),
    ("1\u00a0200", 1200),
    ("1\u2009200", 1200),
    ("1\u202f200.5", 1200.5),
    ("1 200", 1200),
    ("1'200", 1200),
    ("1’200", 1200),
    ("1_200", 1200),
    ("12 345 678", 12_345_678),
    ("1 200 3", 1),
    ("100~200", 100),
    ("2020 100", 2020),
    ("5'10\"", 5),
    ("1,200 300", 1200),
]
SCALES = [
    ("2.4 million", 2_400_000),
    ("2.4million", 2_400_000),
    ("2.3 million", 2_300_000),
    ("0.5 million", 500_000),
    ("3 thousand", 3000),
    ("2 hundred", 200),
    ("2 hundred and five", 205),
    ("3 thousand 200", 3200),
    ("2 hundred 500", 200),
    ("2.5k", 2500),
    ("2.5 km", 2.5),
    ("3 kg", 3),
    ("3M", 3),
    ("two dozen", 24),
    ("2 dozen", 24),
    ("a dozen", 12),
    ("half a dozen", 6),
    ("half a million", 500_000),
    ("a quarter of a million", 250_000),
    ("one and a half million", 1_500_000),
    ("-2 hundred and five", -205),
    ("one thousand, two hundred and five", 1205),
    ("0 thousand", 0),
    ("7 billion", 7e9),
]
SPOKEN = [
    ("one point two", 1.2),
    ("one point two five", 1.25),
    ("one point oh five", 1.05),
    ("two point twenty-five", 2.25),
    ("point five", 0.5),
    ("one point five million", 1_500_000),
    ("minus one point five", -1.5),
    ("one point", 1),
    ("half", 0.5),
    ("half a metre", 0.5),
    ("about half", 0.5),
    ("the left half has three chairs", 3),
    ("a half", 0.5),
    ("minus half", -0.5),
    ("one and a half", 1.5),
    ("2 and a half", 2.5),
    ("-2 and a half", -2.5),
    ("two and three quarters", 2.75),
    ("three quarters", 0.75),
    ("3 quarters", 0.75),
    ("a quarter", 0.25),
    ("two thirds", 2 / 3),
    ("one fifth", 0.2),
    ("two hundred and a half", 200.5),
    ("between 2 and 0.5", 2),
]
SIGNS = [
    ("minus 2", -2),
    ("minus two", -2),
    ("negative 2.5 m", -2.5),
    ("five minus 2", 2),
    ("2-3", 2),
    ("2–3", 2),
    ("2—3", 2),
    ("− 2", -2),
    ("- 2", 2),
    ("$-2$", -2),
    ("-$2$", -2),
    (r"\(-2\)", -2),
    (r"\text{minus } 2", -2),
    ("±3", 3),
    (r"-\boxed{2}", -2),
    ("-**2**", -2),
    ("-(2)", -2),
    (r"12\text{m}-\text{2}", 12),
    *((f"{dash}2", -2) for dash in "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"),
]
WRAPPED = [
    (r"$\boxed{12}$", 12),
    (r"\boxed{\frac{1}{2}}", 0.5),
    (r"\boxed{\text{three}}", 3),
    ("**12**", 12),
    ("__12__", 12),
    ("`12`", 12),
    (r"\approx 3", 3),
    (r"\approx3", 3),
    ("≈3.5", 3.5),
    ("50%", 50),
    (r"50\%", 50),
    ("１，２００．５", 1200.5),
    ("٣", 3),
    ("٣٫٥", 3.5),
    ("५", 5),
    ("1\u200b2", 12),
    ("\ufeff3", 3),
    ("共3把", 3),
]
NO_NUMBERS = [
    "No3",
    "A3",
    "v2",
    "3rd",
    "twenty-first",
    "one hundred and first",
    "the third",
    "twenty-fifth",
    "a a a",
    "minus",
    "and",
    "point",
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *FRACTIONS,
        *POWERS,
        *SEPARATED,
        *SCALES,
        *SPOKEN,
        *SIGNS,
        *WRAPPED,
        *((text, None) for text in NO_NUMBERS),
        ("the 3rd of 4", 4),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float | None) -> None:
    assert number(text) == value


ONES = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def spoken(n: int) -> str:
    """A whole number below a billion in English words."""
    if n < 20:
        return ONES.split()[n]
    if n < 100:
        return TENS.split()[n // 10 - 2] + (f"-{spoken(n % 10)}" if n % 10 else "")
    size, name = next(
        (s, name)
        for s, name in ((10**6, "million"), (1000, "thousand"), (100, "hundred"))
        if n >= s
    )
    return f"{spoken(n // size)} {name}" + (f" and {spoken(n % size)}" if n % size else "")


@given(st.integers(0, 10**9 - 1), st.sampled_from(["", "-", "minus ", "\u2212"]))
def test_a_whole_number_is_read_in_every_notation(n: int, sign: str) -> None:
    grouped = f"{n:,}"
    for text in (
        str(n),
        grouped,
        *(grouped.replace(",", mark) for mark in ("{,}", r"\,", "\u00a0", "\u202f", " ", "'", "_")),
        spoken(n),
        f"**{n}**",
        rf"\boxed{{{n}}}",
        f"{n} chairs",
        f"{n}/1",
    ):
        if spoken(n) != text or sign in ("", "minus "):
            assert number(sign + text) == (-n if sign else n), sign + text


@given(st.integers(1, 999_999), st.integers(0, 6), st.integers(-9, 9))
def test_a_decimal_is_read_in_every_notation(digits: int, places: int, power: int) -> None:
    written = f"{digits / 10**places:.{places}f}"
    value = float(written)
    whole, _, decimals = written.partition(".")
    words = (
        f"{spoken(int(whole))} point {' '.join(spoken(int(d)) for d in decimals)}"
        if decimals
        else spoken(int(whole))
    )
    assert number(words) == value
    for times, raised in (("×", "^"), (r" \times ", "^"), (" x ", "^"), ("*", "**"), (" · ", "^")):
        for exponent in (str(power), f"{{{power}}}") if raised == "^" else (str(power),):
            assert number(f"{written}{times}10{raised}{exponent}") == float(f"{written}e{power}")
    for scale, zeros in (("hundred", 2), ("thousand", 3), ("million", 6)):
        assert number(f"{written} {scale}") == float(f"{written}e{zeros}")


@given(st.integers(0, 99), st.integers(1, 99), st.integers(1, 99))
def test_a_fraction_is_read_in_every_notation(whole: int, above: int, below: int) -> None:
    for text in (
        f"{above}/{below}",
        rf"\frac{{{above}}}{{{below}}}",
        rf"$\dfrac {{{above}}} {{{below}}}$",
        f"{above}⁄{below}",
    ):
        assert number(text) == above / below
        if above < below:
            assert number(f"{whole} {text.strip('$')}") == pytest.approx(
                whole + above / below, rel=1e-15
            )


def test_a_number_of_a_million_digits_is_no_number() -> None:
    assert number("9" * 1_000_000) is None
    assert number("nine " * 1_000_000) == 9


@pytest.mark.parametrize(
    ("text", "points"),
    [
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
        ("", {}),
        ("[[1, 2]]", {}),
        ("no map", {}),
    ],
)
def test_maps_are_read_as_they_stand(
    text: str, points: dict[str, list[tuple[float, float]]]
) -> None:
    assert map_points(text) == points


@pytest.mark.parametrize(
    "name",
    [
        "men's shoes",
        "tv (large)",
        "a,b",
        "tv: big",
        "tv: (big)",
        "{x}",
        '5" pipe',
        'o\'clock "tv"',
        "back\\slash",
        "no\u00a0break",
        "[a; b]",
        "<bin>",
        "Größe",
    ],
)
@pytest.mark.parametrize("written", [repr, json.dumps], ids=["Python", "JSON"])
def test_quoted_names_are_read_whole(name: str, written: Callable[[str], str]) -> None:
    text = f"{{{written(name)}: [[1, 2]], {written('bed')} : [[8, 8]]}}"
    assert map_points(text) == {answers.same_category(name): [(1, 2)], "bed": [(8, 8)]}
    assert [text[i:j] for _, i, j in answers.map_spans(text)] == ["1, 2", "8, 8"]


WIDE = str.maketrans({**{chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)}, " ": "\u3000"})
PLAIN_MAP = "{'tv': [[1, 2], [3.5, 4]], \"bed\": [(8, 9)]}"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (PLAIN_MAP.translate(WIDE), ["１，\u3000２］，\u3000［３．５，\u3000４", "８，\u3000９"]),
        ("{“tv”: 【[1, 2], [3.5, 4]】, ‘bed’: [(8, 9)]}", ["1, 2], [3.5, 4", "8, 9"]),
        ("{«tv»: [[١, ٢], [٣.٥, ٤]], „bed“: [(8, ９)]}", ["١, ٢], [٣.٥, ٤", "8, ９"]),
        (
            "{'\ufefft\uff56\u200b': [[1\u200b, 2\u2060], [3.5,\u00a04]], '𝐛ed': [(8, 9\u200b)]}",
            ["1\u200b, 2\u2060], [3.5,\u00a04", "8, 9"],
        ),
        ("ﬁ ㎡ '…tv: ｔｖ：[[1, 2], [3.5, 4]], bed: [(8, 9)]", ["1, 2], [3.5, 4", "8, 9"]),
    ],
)
def test_maps_are_read_in_plain_characters_and_found_where_they_stand(
    text: str, numbers: list[str]
) -> None:
    points = {name: cells for name, cells in map_points(text).items() if cells}
    assert points == {"tv": [(1, 2), (3.5, 4)], "bed": [(8, 9)]} == map_points(PLAIN_MAP)
    assert [(name, text[i:j]) for name, i, j in answers.map_spans(text)] == [
        *zip(("tv", "bed"), numbers)
    ]


@pytest.mark.parametrize(
    "text", ["{'tv': [[1², 3]]}", "{'tv': [[1½, 3]]}", "{'tv': [[1–2, 3]]}", "{'tv': [[1₂, 3]]}"]
)
def test_what_becomes_another_number_is_no_coordinate(text: str) -> None:
    assert map_points(text) == {"tv": []}


def test_names_are_compared_in_plain_characters() -> None:
    text = "{'men’s shoes': [[1, 2]], 'ＴＶ': [[3, 4]], 'cafe\u0301': [[5, 6]], 'a−b': [[7, 8]]}"
    assert parse_map(text, ("men's shoes", "tv", "café", "a-b")) == {
        "men's shoes": [[1, 2]],
        "tv": [[3, 4]],
        "café": [[5, 6]],
        "a-b": [[7, 8]],
    }
    assert parse_map('{"men\'s shoes": [[1, 2]]}', ("Men’s shoes",)) == {"Men’s shoes": [[1, 2]]}
    assert map_points("{'tv': [[−1, 2]]}") == {"tv": [(-1, 2)]}, "off the grid, as with a hyphen"


@given(st.text(alphabet="{}[](),:'\"’‘“”１２３12½² \u200b\u3000ﬁtv㎡…𝐛：，", max_size=60))
def test_spans_of_any_map_hold_its_numbers(text: str) -> None:
    again: dict[str, list[tuple[float, float]]] = {}
    for name, start, stop in answers.map_spans(text):
        again.setdefault(name, []).extend(map_points(f"x: [{text[start:stop]}]")["x"])
    assert again == {name: points for name, points in map_points(text).items() if points}


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("{'tv: [[1, 2]], 'bed': [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
        ("{'tv: [[1, 2]], bed': [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
        ("{tv': [[1, 2]], \"bed: [[3, 4]]}", {"tv": [(1, 2)], "bed": [(3, 4)]}),
        ("{tv': [], bed': [[3, 4]]}", {"tv": [], "bed": [(3, 4)]}),
        ("{'tv: [ ], bed': [[3, 4]]}", {"tv": [], "bed": [(3, 4)]}),
        ("{'tv\\': [[1, 2]], 'bed\\x': [[3, 4]]}", {"tv\\": [(1, 2)], "bed\\x": [(3, 4)]}),
        ("the bed's at: (1, 2), the men's shoes' tv : (3, 4)", {"s at": [(1, 2)], "tv": [(3, 4)]}),
    ],
)
def test_stray_quotes_spoil_no_neighbour(
    text: str, points: dict[str, list[tuple[float, float]]]
) -> None:
    assert map_points(text) == points


def test_parse_map_keeps_the_named_categories_and_their_spelling() -> None:
    text = "{'Trash_Bin': [[1, 2], [3.5, 4]], 'lamp': [[5, 6]], 'bed': []}"
    assert parse_map(text, ("trash bin", "bed")) == {"trash bin": [[1, 2], [3.5, 4]]}
    assert parse_map(text, {"Lamp": None}) == {"Lamp": [[5, 6]]}


def test_limits_are_the_last_that_counts() -> None:
    assert number("twenty ten") == 20, "a ten is no unit: two numbers, the first counts"
    assert map_points("{'tv': [[1, 2]]}".ljust(MAX_MAP)) == {"tv": [(1.0, 2.0)]}
    assert map_points("{'tv': [[1, 2]]}".ljust(MAX_MAP + 1)) == {}
    assert map_points("{'tv': [[1, 2]]}".ljust(MAX_MAP, "…")) == {}, "three characters each"


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
    assert all(
        math.isfinite(v) for points in map_points(b).values() for point in points for v in point
    )
