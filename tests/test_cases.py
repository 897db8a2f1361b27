"""Every row of the shared scoring cases, through the commands that a user runs."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import SHARED, shared_path

from spacer_utils.__main__ import main

CASES = SHARED / "cases" / "scoring.jsonl"
ROWS = (
    [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines() if line.strip()]
    if CASES.is_file()
    else []
)
NAMED = [pytest.param(row, id=f"{n}-{row['kind']}") for n, row in enumerate(ROWS, 1)]

NAMES = {"--set": "--rewards", "--profile": "--scoring"}
"""The cases keep the first names of these options."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command on rows and gives what it prints."""

    def run(command: list[str], rows: list[dict[str, Any]]) -> str:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        code = main([NAMES.get(word, word) for word in command])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


def test_the_cases_are_read() -> None:
    shared_path("cases/scoring.jsonl")
    assert len(ROWS) >= 15
    assert {row["command"].split()[0] for row in ROWS} == {"score-benchmark", "score-rewards"}


@pytest.mark.parametrize("case", NAMED)
def test_case(case: dict[str, Any], told: Any, tmp_path: Path) -> None:
    """``command [what]``: what is the headline of a benchmark's report, or a term of a reward; else
    the row's score."""
    command, what = re.fullmatch(r"(.*?)(?: \[(\w+)\])?", case["command"]).groups()
    rows = case["input"] if isinstance(case["input"], list) else [case["input"]]
    expected = case["expected"]
    if command.startswith("score-rewards"):
        if isinstance(expected, str):  # "accuracy 1.0; why"
            what, value = expected.split(";")[0].split()
            expected = float(value)
        found = [json.loads(line)[what] for line in told(shlex.split(command), rows).splitlines()]
        assert found == [pytest.approx(expected)]
        return
    items = tmp_path / "items.jsonl"
    table = json.loads(told([*shlex.split(command), "--items", str(items)], rows))
    if what:
        assert table[what] == pytest.approx(expected)
    else:
        assert [json.loads(line)["score"] for line in items.read_text().splitlines()] == [
            pytest.approx(expected)
        ]
        assert table["headline"] == pytest.approx(100 * expected)
