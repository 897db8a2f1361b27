"""Every row of the specification's extraction tables, and what must hold for any text."""

from __future__ import annotations

import doctest
import math
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.benchmarks import spar_bench
from spacer_utils.benchmarks.scoring import extract, record
from spacer_utils.benchmarks.scoring import vlmevalkit as vk
from spacer_utils.benchmarks.scoring.extract import EXTRACTORS, unwrap
from spacer_utils.core import metrics
from spacer_utils.core.metrics import mra

MRA = [
    (10, 10, 1.0),
    (9.5, 10, 1.0),
    (10.5, 10, 1.0),
    (9, 10, 0.9),
    (11, 10, 0.9),
    (8.5, 10, 0.8),
    (8, 10, 0.6),
    (7.5, 10, 0.6),
    (12.5, 10, 0.6),
    (7, 10, 0.5),
    (6, 10, 0.3),
    (1.9, 2, 1.0),
    (2.1, 2, 1.0),
    (0.95, 1, 1.0),
    (5.5, 10, 0.1),
    (5, 10, 0.1),
    (15, 10, 0.1),
    (4.9, 10, 0.0),
    (0, 10, 0.0),
    (20, 10, 0.0),
    (-10, 10, 0.0),
    (3, 4, 0.6),
    (2, 4, 0.1),
    (2, 3, 0.4),
    (1, 2, 0.1),
    (3, 2, 0.1),
    (1, 3, 0.0),
    (0.9, 1, 0.9),
]


@pytest.mark.parametrize(("prediction", "truth", "value"), MRA)
def test_mra_table(prediction: float, truth: float, value: float) -> None:
    assert mra(prediction, truth) == pytest.approx(value, abs=1e-12)


def test_mra_thresholds_are_the_float64_ones() -> None:
    assert metrics.THRESHOLDS.tolist() == [
        0.5,
        0.44999999999999996,
        0.4,
        0.35,
        0.30000000000000004,
        0.25,
        0.19999999999999996,
        0.15000000000000002,
        0.10000000000000009,
        0.050000000000000044,
    ]


def test_mra_of_what_is_no_number_and_of_truth_zero() -> None:
    assert mra(math.nan, 10) == mra(math.inf, 10) == mra(-math.inf, 10) == 0.0
    assert mra(0, 0) == 1.0
    assert mra(0.3, 0) == pytest.approx(0.5)


# output: official (FT + float), lmms-eval, SpaceR, VLMEvalKit; None = unparsable
NUMBERS = [
    ("3", 3, 3, 3, 3),
    ("3.", 3, 3, 3, 3),
    ("3.0", 3, 3, 3, 3),
    ("3 meters", 3, 3, 3, 3),
    ("3\n", 3, 3, 3, 3),
    ("There are 3 chairs", None, 3, 3, 3),
    ("three", None, 3, 3, 3),
    ("Three.", None, 3, 3, 3),
    ("1,200", None, 1, 1, 200),
    ("-3", -3, -3, 3, -3),
    ("3.5m", None, 3.5, 3.5, 3.5),
    ("about 2.5 m", None, 2.5, 2.5, 2.5),
    ("~4", None, 4, 4, 4),
    ("2-3", None, 2, 2, -3),
    ("twenty-one", None, 21, 1, -1),
    ("twenty one", None, 21, 1, 1),
    ("a chair at 3.5 m", None, 3.5, 1, 3.5),
    ("<answer>3</answer>", None, 3, 3, 3),
    ("<think>10 x 10 grid</think><answer>four</answer>", None, 10, 4, 4),
    ("1e1", 10, 1, 1, 10),
    ("an oven", None, None, 1, None),
    ("a zero", None, 0, 0, 0),
]


@pytest.mark.parametrize(("text", "official", "lmms_eval", "spacer", "vlmevalkit"), NUMBERS)
def test_numeric_extraction_table(
    text: str, official: float | None, lmms_eval: float, spacer: float, vlmevalkit: float
) -> None:
    assert metrics.to_float(extract.ft(text)) == official
    assert extract.le_num(text) == lmms_eval
    assert metrics.se_num(text) == spacer
    assert vk.vk_num(text) == vlmevalkit


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("[3]", 3),
        (" [2, 5] ", 2),
        ("['two', 5]", 2),
        ("[[1, 4], 5]", 4),
        ("[1, 4], [5]", 5),
        ("[]", None),
        ("[3 m]", None),
        ("[{[]: 1}]", None),
        ("the list [2, 5]", 5),
    ],
)
def test_vlmevalkit_reads_the_first_entry_of_a_list(text: str, number: float | None) -> None:
    """``can_match_na`` of its matching_func.py (160057c): a list that Python can't read is no
    number."""
    assert vk.vk_num(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two hundred and five chairs", 205),
        ("a hundred", 100),
        ("three thousand two hundred", 3200),
        ("thousand and one", 1001),
        ("five thousand", 5000),
        ("two and then 3", 2),
        ("one lamp and two beds", 1),
        ("4 or five", 4),
        ("five or 4", 5),
    ],
)
def test_le_num_reads_a_run_of_words(text: str, number: float) -> None:
    assert extract.le_num(text) == number


# output: official = lmms-eval, SpaceR, VLMEvalKit (truth A)
LETTERS = [
    ("A", 1, 1, 1),
    ("A.", 1, 1, 1),
    ("A. chair", 1, 1, 1),
    ("A\n", 1, 1, 1),
    ("A. \n", 1, 1, 1),
    ("a", 1, 1, 1),
    ("a.", 1, 0, 0),
    ("A..", 1, 0, 1),
    (" A", 0, 1, 1),
    ("Answer: A", 0, 1, 1),
    ("(A)", 0, 0, 1),
    ("A)", 0, 0, 1),
    ("**A**", 0, 0, 1),
    ("Option A", 0, 0, 1),
    ("The answer is A", 0, 0, 1),
    ("A:", 0, 0, 1),
    ("A,", 0, 0, 1),
    ("A\nbecause", 0, 0, 1),
    ("<answer>A</answer>", 0, 0, 1),
]


@pytest.mark.parametrize(("text", "official", "spacer", "vlmevalkit"), LETTERS)
def test_letter_extraction_table(text: str, official: int, spacer: int, vlmevalkit: int) -> None:
    assert (extract.ft(text).lower() == "a") == bool(official)
    assert (extract.se_mca(text).lower() == "a") == bool(spacer)
    assert (vk.vk_tag(text) == "A") == bool(vlmevalkit)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("the correct option is D because A is wrong", "A"),
        ("A dog is sitting", "A"),
        ("because of Apple", "A"),
        ("<think>Option A looks right, B wrong</think><answer>C</answer>", "B"),
        ("b", ""),
        ("the answer is c", ""),
        ("", ""),
        # every place beats the next, wherever they stand: start, end, after a phrase, (X), X., X:,
        # X), "X ", anywhere
        ("B or else my answer is C", "B"),
        ("my answer is C not (A) but D", "D"),
        ("say (B): my answer is C, hm", "C"),
        ("say (A) or B. hm", "A"),
        ("say A. or B: hm", "A"),
        ("say A: or B) hm", "A"),
        ("say A) or B hm", "A"),
        ("say A or xBy", "A"),
        ("say (A) or (B) hm", "B"),
        ("say xA xB", "B"),
        ("say (B) IKEA", "B"),
        ("Apple (B) hm", "B"),
        ("(A) B the answer is hm", "A"),
        ("Ab1 (B) hm", "B"),
        ("say (B) x1bA", "B"),
    ],
)
def test_le_mcq_traps(text: str, letter: str) -> None:
    assert extract.le_mcq(text) == letter


VK_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
    "Answer:",
    "Option:",
    "The correct answer",
    "The correct option",
)


@pytest.mark.parametrize(
    ("text", "letter", "prefixes"),
    [
        ("As seen in the video, B", "A", extract.PREFIXES),
        ("Because the man", "B", extract.PREFIXES),
        ("Best option: D", "D", extract.PREFIXES),
        ("Best option: D", "B", VK_PREFIXES),
        ("Best answer: A", "B", VK_PREFIXES),
        ("Best answer: A", "A", extract.PREFIXES),
        ("no capital in these more than ten words of a long reply here", "", extract.PREFIXES),
        ("no", "", extract.PREFIXES),
    ],
)
def test_abcd_first_traps(text: str, letter: str, prefixes: tuple[str, ...]) -> None:
    assert extract.abcd_first(text, prefixes=prefixes) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", None),
        ("A 3.5m", None),
        ("The answer is C", None),
        ("B. 3 m", None),
        ("C.", "C"),
        ("Option e", "E"),
        ("(d)", "D"),
        ("Ans = 'b'", "B"),
        ("Answer= C", "C"),
        ("b was correct", "B"),
        ("first\nD)\nlast", "D"),
    ],
)
def test_sti_rx(text: str, letter: str | None) -> None:
    assert extract.sti_rx(text) == letter


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("A", 1),
        ("a", 1),
        ("A.", 1),
        ("A B", 1),
        ("Answer: A", 1),
        ("Apple", 1),
        ("", 1),
        ("(A)", 0),
        (" A", 0),
        ("The answer is A", 0),
        ("B", 0),
    ],
)
def test_spar_mca(text: str, right: int) -> None:
    assert extract.spar_mca(text, "A") == bool(right)


@pytest.mark.parametrize(
    ("text", "last", "value"),
    [
        ("-3", False, 3),
        ("1,200", False, 1),
        ("1,200", True, 200),
        ("none", False, None),
        ("none", True, -1),
        ("10^2", False, 10),
    ],
)
def test_spar_num(text: str, last: bool, value: float | None) -> None:
    assert extract.spar_num(text, last) == value
    assert last or extract.spar_num(text) == value


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("<<C>>", "C"),
        ("I add both <Answer>: <<C>>", "C"),
        ("C", "C"),
        ("Answer: B.", "B"),
        ("<Answer>: <<C. 5 cm>>", "C"),
        ("Because C", "B"),
        ("The answer is C", None),
        ("Answer: (C)", None),
        ("The Answer is D", None),
        ("<answer>C</answer>", None),
    ],
)
def test_wemath_letter(text: str, letter: str | None) -> None:
    assert extract.after_answer(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("It is a left view", "A"),
        ("thinking\nB. right", "B"),
        ("B\n", None),
        ("c", "C"),
        ("no option", None),
    ],
)
def test_viewspatial_letter(text: str, letter: str | None) -> None:
    assert extract.last_line_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "yes"),
        ("NO", "yes"),
        ("None", "yes"),
        ("no\n", "yes"),
        ("No, there is none", "no"),
        ("no", "no"),
        ("There is not", "no"),
        ("Yes. No dog", "yes"),
    ],
)
def test_pope_word(text: str, word: str) -> None:
    assert extract.pope_word(text) == word


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("I considered A. and B. so C", "B"),
        ("A or B", "A"),
        ("a", None),
        ("", None),
        ("<answer>A. Above</answer>", "A"),
        ("<Answer>My answer is C</Answer>", "C"),
        ('say "D"', "D"),
        ("My answer is B, but the answer is C", "B"),
        ("last: D\nbye", "D"),
        ("B is it\nmaybe A", "B"),
    ],
)
def test_mindcube_letter(text: str, letter: str | None) -> None:
    assert extract.mindcube_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [("The answer is B", "T"), ("I think D", "I"), ("**A**", ""), ("(b) sofa", "B")],
)
def test_embspatial_letter(text: str, letter: str) -> None:
    assert extract.first_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "a"),
        ("(b) x", "b"),
        ("Option C", "c"),
        ("The answer is D", "d"),
        ("", None),
        ("(", "("),
        ("apple", "a"),
    ],
)
def test_mmstar_letter(text: str, letter: str | None) -> None:
    assert extract.position_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "count", "letter"),
    [
        ("A", 2, "(A)"),
        ("(B)", 2, "(B)"),
        ("It is (A)", 2, "(A)"),
        ("(A) or (B)", 2, None),
        ("(A) or (B)\n\nso (B)", 2, "(B)"),
        ("so (C)", 2, None),
        ("answer: A", 2, None),
        ("(A) it is\n\nyes", 2, "(A)"),
    ],
)
def test_blink_letter(text: str, count: int, letter: str | None) -> None:
    assert extract.bracketed(text, count) == letter


OPTIONS = {"A": "teddy bear", "B": "rabbit", "C": "cat"}


@pytest.mark.parametrize(
    ("text", "vk_infer", "hr_infer", "mmb_infer"),
    [
        ("B", "B", "B", "B"),
        ("(B)", "B", "B", "B"),
        ("The answer is A", "A", "A", None),
        ("It is a rabbit", "B", "B", "B"),
        ("B is what I would pick here", None, "B", "B"),
        ("a cat or a rabbit", None, None, None),
        ("A or B", None, None, None),
        ("Cannot determine the answer", "Z", "Z", None),
        ("I see a rabbit " * 20, None, "B", "B"),
        ("B: rabbit", "B", "B", "B"),
    ],
)
def test_inference_rules(
    text: str, vk_infer: str | None, hr_infer: str | None, mmb_infer: str | None
) -> None:
    assert vk.vk_infer(text, OPTIONS) == vk_infer
    assert vk.hr_infer(text, OPTIONS) == hr_infer
    assert vk.mmb_infer(text, OPTIONS) == mmb_infer


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("plain", "plain", "plain"),
        ("<think>x</think><answer> A </answer>", "A", "A"),
        ("<answer>A</answer><answer>B</answer>", "A", "B"),
        ("<answer>A", "None", "None"),
        ("<answer>A</answer> then <answer>B", "A", "A"),
        ("<answer>A</answer><answer></answer>", "A", ""),
        ("<ANSWER>A</ANSWER>", "<ANSWER>A</ANSWER>", "<ANSWER>A</ANSWER>"),
        ("<answer>\nA\nB</answer>", "A\nB", "A\nB"),
        ("</answer><answer>C</answer>", "C", "C"),
    ],
)
def test_unwrap(text: str, first: str, last: str) -> None:
    assert unwrap(text) == first
    assert unwrap(text, "last_answer_tag") == last
    assert unwrap(text, "none") == text


@pytest.mark.parametrize("module", [extract, vk, record, spar_bench])
def test_docstring_examples(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "A",
                "b",
                "C.",
                "(D)",
                "E)",
                " ",
                "\n",
                "\n\n",
                "Answer:",
                "<Answer>",
                "<answer>",
                "</answer>",
                "<think>",
                "</think>",
                "the answer is ",
                "Option ",
                "3",
                "-2.5",
                "1,200",
                "10^2",
                "twenty",
                "-",
                "one",
                "hundred",
                "a",
                ":",
                "*",
                "'",
                "Ans=",
                "nan",
                "1e400",
                "move_right:1",
            ]
        ),
        max_size=12,
    ).map("".join),
)


@given(TEXTS)
def test_extractors_take_any_text(text: str) -> None:
    for name, rule in EXTRACTORS.items():
        rule(
            *(
                (text, "A")
                if name == "SPAR-MCA"
                else (text, OPTIONS)
                if name == "VK-INFER"
                else (text,)
            )
        )
    for rule in (
        extract.first_letter,
        extract.last_line_letter,
        extract.after_answer,
        extract.pope_word,
        extract.position_letter,
        extract.mindcube_letter,
        unwrap,
        vk.vk_tag,
    ):
        rule(text)
    extract.bracketed(text, 4)
    vk.hr_infer(text, OPTIONS)
    vk.mmb_infer(text, {})
    assert vk.vk_infer(text, {}) in (None, "Z", *"ABCDEF")


@given(
    st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=False, allow_infinity=False)
)
def test_mra_stays_a_share_of_ten(prediction: float, truth: float) -> None:
    assert mra(prediction, truth) in [k / 10 for k in range(11)] or mra(
        prediction, truth
    ) == pytest.approx(0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "<answer>" * 100_000,
        "</answer>" + "<answer>" * 100_000,
        "A " * 400_000,
        "9" * 800_000,
        " " * 800_000,
        "hundred " * 100_000,
        "Answer" * 100_000,
    ],
)
def test_long_texts_take_linear_time(text: str) -> None:
    for rule in (
        unwrap,
        extract.ft,
        extract.le_num,
        extract.se_mca,
        metrics.se_num,
        extract.spar_num,
        extract.abcd_first,
        extract.sti_rx,
        extract.mindcube_letter,
        extract.after_answer,
        extract.last_line_letter,
    ):
        rule(text)
