"""``python -m spacer_utils score-rewards`` on rows from outsiders, and the lists."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacer_utils.__main__ import FOLDERS, main
from spacer_utils.core.types import BadRow
from spacer_utils.rewards.score_rewards import score_stream

GOOD: dict[str, Any] = {
    "problem_type": "multiple choice",
    "solution": "<answer>B</answer>",
    "cognitive_map": {"tv": [[8, 1]]},
    "completion": "<think><map>{'tv': [[8, 1]]}</map></think><answer>B</answer>",
    "options": ["A. bed", "B. tv"],
}


def line(**changes: Any) -> bytes:
    row = {k: v for k, v in {**GOOD, **changes}.items() if v != "absent"}
    return json.dumps(row).encode() + b"\n"


def run(*lines: bytes, reward_set: str = "strict") -> list[dict[str, Any]]:
    out = io.StringIO()
    score_stream(lines, out, reward_set)
    return [json.loads(text) for text in out.getvalue().splitlines()]


def test_a_row_has_every_term_by_name_with_its_reason() -> None:
    (row,) = run(line())
    assert {k: v for k, v in row.items() if k not in ("reasons", "line")} == {
        "accuracy": 1.0,
        "format": 1.0,
        "map": 1.0,
        "map_calibrated": 1.0,
        "map_aligned": 1.0,
        "map_relations": None,
        "accuracy_with_map": 2.0,
        "length": None,
        "temporal": None,
        "total": 3.0,
    }
    assert row["line"] == 1
    assert set(row["reasons"]) == set(row) - {"line", "total", "reasons"}
    assert all(row["reasons"].values())


def test_the_released_set_differs_where_it_should() -> None:
    strict, spacer = (
        run(line(completion="<think></think><answer>B.</answer>"), reward_set=s)[0]
        for s in ("strict", "spacer")
    )
    assert (strict["accuracy"], spacer["accuracy"]) == (1.0, 0.0)


def said(answer: str) -> str:
    return f"<think>x</think><answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("0.25", r"\frac{1}{4}"),
        ("2.5", "2 1/2"),
        ("1200", "1{,}200"),
        ("1200", "1\u202f200"),
        ("200", "2 hundred"),
        ("-2", "–2"),
        ("150", r"$1.5 \times 10^{2}$"),
        ("½", "0.5"),
        ("three", "3"),
        ("2.3 million", "2300000"),
        ("3", r"\boxed{3}"),
        ("3", "３"),
        ("-1.5", "minus one and a half"),
        ("1\u00a0200", "1200"),
    ],
)
@pytest.mark.parametrize("problem_type", ["numerical", "regression"])
def test_numbers_count_as_they_are_written(gold: str, answer: str, problem_type: str) -> None:
    if problem_type == "numerical" and gold.startswith("-"):
        gold, answer = gold[1:], answer.replace("minus ", "").replace("–", "")
    (row,) = run(
        line(
            problem_type=problem_type,
            solution=f"<answer>{gold}</answer>",
            completion=said(answer),
            options=None,
        )
    )
    assert (row["accuracy"], row["format"]) == (1.0, 1.0)


LETTERED = ["A. cup", "B. sofa", "C. tv"]


@pytest.mark.parametrize(
    ("solution", "options", "answer", "accuracy"),
    [
        ("sofa", LETTERED, "B", 1.0),
        ("Sofa.", LETTERED, "(b) sofa", 1.0),
        ("sofa", LETTERED, "sofa", 1.0),
        ("sofa", LETTERED, "C", 0.0),
        ("sofa", LETTERED, "tv", 0.0),
        ("B", LETTERED, "sofa", 0.0),
        ("B. sofa", LETTERED, r"\boxed{B}", 1.0),
        ("B", LETTERED, "B. A sofa", 1.0),
        ("B", LETTERED, "B, or maybe C", 0.0),
        ("B", LETTERED, "B. or c", 0.0),
        ("B", LETTERED, "\u200bＢ\u2060", 1.0),
        ("B", LETTERED, "В", 0.0),
        ("D", ["C) cup", "D) sofa"], "**D**", 1.0),
        ("sofa", ["B. sofa", "A. cup"], "B", 1.0),
        ("sofa", ["B. sofa", "A. cup"], "A", 0.0),
        ("left", ["left", "right"], "A", 1.0),
        ("left", ["left", "right"], "left", 1.0),
        ("left", None, "left", 1.0),
    ],
)
def test_letters_count_as_they_are_meant(
    solution: str, options: list[str] | None, answer: str, accuracy: float
) -> None:
    (row,) = run(
        line(solution=f"<answer>{solution}</answer>", options=options, completion=said(answer))
    )
    assert row["accuracy"] == accuracy


def test_a_map_in_wide_characters_is_a_map() -> None:
    drawn = "｛“tv”：［［８，\u3000１］］｝"
    (row,) = run(line(completion=f"<think><map>{drawn}</map></think><answer>Ｂ</answer>"))
    assert (row["map_calibrated"], row["map_aligned"], row["total"]) == (1.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("true", "thought", "expected"),
    [
        ({}, "</map><map>", 2.0),
        ({}, "a</map> b <map>c", 2.0),
        ({"tv": []}, "</map><map>", 2.0),
        ({}, "<map>", 1.0),
        ({}, "", 1.0),
        ({}, "</map>", 1.0),
        ({}, "<map></map>", 2.0),
        ({"tv": [[1, 1]]}, "</map><map>", 0.0),
        (None, "</map><map>", 0.0),
    ],
)
def test_the_released_gate_asks_for_both_tags_in_any_order(
    true: Any, thought: str, expected: float
) -> None:
    question = {
        "problem_type": "numerical",
        "solution": "<answer>5</answer>",
        "options": None,
        "cognitive_map": true,
    }
    (row,) = run(
        line(**question, completion=f"<think>{thought}</think><answer>5</answer>"),
        reward_set="spacer",
    )
    assert row["accuracy_with_map"] == expected
    (strict,) = run(line(**question, completion=f"<think>{thought}</think><answer>5</answer>"))
    assert strict["accuracy_with_map"] == 1.0


@pytest.mark.parametrize(
    ("frame", "aligned"), [("absent", 1.0), (None, 1.0), ("scan", 1.0), ("first-view", 0.0)]
)
def test_only_maps_in_the_scans_frame_may_be_turned(frame: str | None, aligned: float) -> None:
    (row,) = run(
        line(
            map_frame=frame,
            completion="<think><map>{'tv': [[8, 8]]}</map></think><answer>B</answer>",
        )
    )
    assert (row["map_aligned"] == 1.0) == aligned


@pytest.mark.parametrize(
    "changes",
    [
        {"cognitive_map": None},
        {"cognitive_map": "absent"},
        {"cognitive_map": {}},
        {"cognitive_map": {"tv": []}},
        {"cognitive_map": {"tv": None, "bed": [[9, 0.0]]}},
        {"cognitive_map": {"Größe chaise 2": [[1, 2]]}},
        {"options": "absent"},
        {"options": None},
        {"options": []},
        {"completion": ""},
        {"solution": ""},
        {"problem_type": "riddle"},
        {"completion": "\ud800 \x00 é ж"},
        {"more": {"of": ["anything", None]}},
        {"completion": "9" * 100_000},
    ],
)
@pytest.mark.parametrize("reward_set", ["strict", "spacer"])
def test_odd_but_sound_rows_are_scored(changes: dict[str, Any], reward_set: str) -> None:
    (row,) = run(line(**changes), reward_set=reward_set)
    assert isinstance(row["total"], float)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"not json\n", "not JSON"),
        (b"{\n", "not JSON"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b"[1]\n", "expected a JSON object, got a list"),
        (b"null\n", "got null"),
        (b"1\n", "got a number"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "not JSON"),
        (line(completion="absent"), "'completion' is missing"),
        (line(completion=None), "'completion' must be text, got null"),
        (line(solution=3), "'solution' must be text, got a number"),
        (line(problem_type=[]), "'problem_type' must be text, got a list"),
        (line(options="A. bed"), "'options' must be a list of texts, got text"),
        (line(options=["A", 1]), "'options' must be a list of texts"),
        (line(cognitive_map=[[1, 2]]), "'cognitive_map' must be an object"),
        (line(cognitive_map="{}"), "'cognitive_map' must be an object"),
        (line(cognitive_map={"tv": [1, 2]}), "'cognitive_map' of 'tv'"),
        (line(cognitive_map={"tv": [[1, 1]] * 1001}), "more than 1,000 objects"),
        (line(map_frame="north"), "unknown map frame 'north'. Known: first-view, scan"),
        (line(map_frame=[]), "unknown map frame []"),
        *(
            (line(cognitive_map={"tv": [place]}), "two finite numbers")
            for place in (
                [1, 2, 3],
                [1],
                [1, None],
                [1, True],
                [1, "2"],
                [1, float("nan")],
                [float("inf"), 1],
                [1, 10**30],
            )
        ),
    ],
)
def test_a_broken_line_is_named_and_all_others_are_scored(broken: bytes, message: str) -> None:
    out = io.StringIO()
    with pytest.raises(BadRow, match="line 3: ") as error:
        score_stream([line(), b"\r\n", broken, line()], out)
    assert message in str(error.value)
    assert "1 lines are not scored, 2 are" in str(error.value)
    assert [json.loads(text)["line"] for text in out.getvalue().splitlines()] == [1, 4]


def test_byte_order_marks_blank_lines_and_line_ends() -> None:
    rows = run(
        b"\xef\xbb\xbf" + line().replace(b"\n", b"\r\n"), b"\n", b"  \n", line().rstrip(b"\n")
    )
    assert [r["line"] for r in rows] == [1, 4]


@pytest.mark.parametrize("lines", [[], [b"\xef\xbb\xbf\n", b"  \n"]])
def test_no_rows_is_an_error(lines: list[bytes]) -> None:
    with pytest.raises(BadRow, match="standard input has no rows"):
        run(*lines)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(GOOD)),
    st.sampled_from(["strict", "spacer"]),
)
def test_any_value_in_any_field_is_scored_or_named(value: Any, field: str, reward_set: str) -> None:
    with suppress(BadRow):
        run(line(**{field: value}), reward_set=reward_set)


def shell(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "spacer_utils", *arguments],
        input=text,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.slow
def test_from_a_shell() -> None:
    done = shell("score-rewards", "--rewards", "spacer", text=line() + b"broken\n" + line())
    assert done.returncode == 2
    assert [json.loads(text)["line"] for text in done.stdout.splitlines()] == [1, 3]
    assert done.stderr.decode().startswith("error: line 2: not JSON")
    assert b"Traceback" not in done.stderr
    good = shell("score-rewards", text=line(completion="ж \ud800") * 2)
    assert (good.returncode, good.stderr, len(good.stdout.splitlines())) == (0, b"", 2)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m spacer_utils score-rewards | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], input=line() * 3000, capture_output=True, timeout=120
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == b""


@pytest.mark.slow
def test_golden_rows_through_the_shell(golden: Path) -> None:
    text = (golden / "spacer_rewards.jsonl").read_bytes()
    done = shell("score-rewards", "--rewards", "spacer", text=text)
    rows = [
        (json.loads(a), json.loads(b))
        for a, b in zip(text.splitlines(), done.stdout.splitlines(), strict=True)
    ]
    assert all(
        abs(want["accuracy_with_map"] - got["accuracy_with_map"]) < 1e-9 for want, got in rows
    )
    assert all(want["format"] == got["format"] for want, got in rows)


@pytest.mark.parametrize("noun", FOLDERS)
def test_lists_have_name_file_and_description(
    noun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", noun]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for text in lines:
        name, file, description = text.split(" | ", 2)
        assert name
        assert f"{noun}/" in file
        assert description


def test_scoring_loads_no_heavy_library() -> None:
    code = (
        "import sys, spacer_utils.__main__ as m; sys.stdin.close(); import spacer_utils.rewards; "
        "print([n for n in ('torch', 'transformers', 'trl', 'numba', 'matplotlib', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
