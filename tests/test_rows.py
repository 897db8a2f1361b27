"""Rows as other people publish them: every value read as it was meant, or refused by line, source
and field."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from kit.training_kit import write_data

from spacer_utils import rewards
from spacer_utils.__main__ import main
from spacer_utils.benchmarks.scoring import load as benchmark
from spacer_utils.core import profiles, prompts, rows
from spacer_utils.core.answers import parse
from spacer_utils.core.options import option_texts
from spacer_utils.core.types import BadRow, Sample, WorkbookError
from spacer_utils.dataset import audit
from spacer_utils.rewards.score_rewards import score_stream
from spacer_utils.training import plan as train
from spacer_utils.training import train as train_
from spacer_utils.training.export import FORMS, export

ROW: dict[str, Any] = {
    "problem_id": 1,
    "problem": "Which?",
    "problem_type": "multiple choice",
    "options": ["A. bed", "B. tv"],
    "solution": "B",
    "path": "videos/a.mp4",
}
COUNT = {**ROW, "problem_type": "numerical", "options": [], "solution": "3"}
MAP = {"video_id": "a", "cognitive_map": {"tv": [[1, 2]]}}


def written(folder: Path, *lines: Any, maps: tuple[Any, ...] = ()) -> Path:
    """``train.jsonl`` of rows or raw bytes, ids given in order, and the maps beside it."""
    folder.mkdir(exist_ok=True)
    texts = [
        line if isinstance(line, bytes) else json.dumps({**line, "problem_id": k}).encode()
        for k, line in enumerate(lines, 1)
    ]
    (folder / "train.jsonl").write_bytes(b"\n".join(texts) + b"\n" * bool(texts))
    if maps:
        (folder / rows.MAPS).write_text("".join(json.dumps(m) + "\n" for m in maps))
    return folder / "train.jsonl"


def one(folder: Path, row: Any, *maps: Any) -> Sample:
    (sample,) = rows.load(written(folder, row, maps=maps))
    return sample


def refused(folder: Path, row: Any, says: str, *maps: Any) -> None:
    with pytest.raises(BadRow, match=rf"train.jsonl, line 2: .*{says}"):
        rows.load(written(folder, ROW, row, maps=maps))


# ------------------------------------------------------------------------------------------ options

KEPT: tuple[tuple[Any, Any, str, str], ...] = (
    (["B. bed", "A. tv"], "A", "A", "tv"),
    (["B. bed", "A. tv"], "bed", "B", "bed"),
    (["D. bed", "C. tv"], "C", "C", "tv"),
    (["C. bed", "D. tv"], "D", "D", "tv"),
    (["A. bed", "C. tv"], "C", "C", "tv"),
    (["", "bed", "tv"], "C", "C", "tv"),
    ([None, "bed", "tv"], "tv", "C", "tv"),
    (["A.", "B. bed", "C. tv"], "C", "C", "tv"),
    (["(b) bed", "(a) tv"], "(A)", "A", "tv"),
    (["B、床", "A、椅子"], "A", "A", "椅子"),
    (["Ｂ．床", "Ａ．椅子"], "椅子", "A", "椅子"),
    (["b: bed", "a: tv"], "A", "A", "tv"),
    (["Option B: bed", "Option A: tv"], "A", "A", "tv"),
    (["**B.** bed", "**A.** tv"], "A", "A", "tv"),
    (["B - bed", "A - tv"], "A", "A", "tv"),
    (["A. bed", "tv", "C. sofa"], "tv", "B", "tv"),
    (["1. bed", "2. tv"], "2", "B", "tv"),
    (["2) bed", "1) tv"], 1, "A", "tv"),
    (["0. bed", "1. tv"], 1, "B", "tv"),
    (["1. bed", "2. tv"], "2. tv", "B", "tv"),
    (["U.S.", "U.K."], "U.K.", "B", "U.K."),
    (["1.5 m", "2.5 m"], "B", "B", "2.5 m"),
    (["B", "A"], "B", "B", ""),
    (["I", "II"], "II", "B", "II"),
    ({"B": "bed", "A": "tv"}, "A", "A", "tv"),
    ({"A": "bed", "B": None, "C": "tv"}, "C", "C", "tv"),
    ({"1": "bed", "2": "tv"}, "2", "B", "tv"),
    ({"option_a": "bed", "option_b": "tv"}, "b", "B", "tv"),
    ({"A": "A. bed", "B": "B. tv"}, "B", "B", "tv"),
    ("B. bed\nA. tv", "A", "A", "tv"),
    ('["bed", "tv"]', "tv", "B", "tv"),
    ("['bed' 'tv']", "tv", "B", "tv"),
)


@pytest.mark.parametrize(("options", "solution", "letter", "text"), KEPT)
def test_published_letters_are_kept(
    tmp_path: Path, options: Any, solution: Any, letter: str, text: str
) -> None:
    sample = one(tmp_path, {**ROW, "options": options, "solution": solution})
    assert sample.gold == letter
    assert option_texts(sample.options)[letter] == text
    assert f"\n{letter}{'. ' if text else ''}{text}" in prompts.user_text(sample)
    assert (
        rewards.term("accuracy", sample, parse(f"<think></think><answer>{letter}</answer>"))[0]
        == 1.0
    )


@pytest.mark.parametrize(
    ("options", "solution"),
    [
        (["A. bed", "A. tv"], "A"),
        (["B. bed", "tv"], "B"),
        (["A. bed", "tv", "B. sofa"], "A"),
        (["", "bed", "tv"], "A"),
        (["A.", "B. bed", "C. tv"], "A"),
        (["B. bed", "C. tv"], "A"),
        (["bed", "bed"], "bed"),
        (["A. bed", "B. tv"], "B. bed"),
        (["1. 2", "2. 3", "3. 4"], "3"),
        (["1. bed", "1. tv"], "1"),
        (["B/ bed", "A/ tv"], "A"),
        (["a", "b", "a"], "a"),
        ({"label": "A", "text": "bed"}, "A"),
        ({"a": "bed", "A": "tv"}, "A"),
        ({"A": "B. bed", "B": "tv"}, "A"),
        ("['bed' 'tv", "tv"),
        ([f"thing {k}" for k in range(27)], "B"),
    ],
)
def test_contradictory_options_are_refused(tmp_path: Path, options: Any, solution: str) -> None:
    refused(tmp_path, {**ROW, "options": options, "solution": solution}, "(options|solution): ")


# -------------------------------------------------------------------------------------------- media

BARE = {k: v for k, v in ROW.items() if k != "path"}
PART = {"type": "video", "video": "a.mp4", "text": None}
CHAT = [{"role": "user", "content": [PART, {"type": "text", "video": None, "text": "Which?"}]}]


@pytest.mark.parametrize(
    ("media", "kind", "path"),
    [
        ({"videos": ["a.mp4"]}, "video", "a.mp4"),
        ({"images": ["a.jpg"]}, "image", "a.jpg"),
        ({"video": "a"}, "video", "a"),
        ({"image": {"bytes": None, "path": "a.jpg"}}, "image", "a.jpg"),
        ({"videos": [{"video": "a.mp4"}]}, "video", "a.mp4"),
        ({"images": [{"path": "b", "bytes": None}]}, "image", "b"),
        ({"path": "", "video": "a.mp4"}, "video", "a.mp4"),
        ({"path": "./a.mp4", "videos": ["a.mp4"]}, "video", "a.mp4"),
        ({"media": '["a.mp4"]'}, "video", "a.mp4"),
        ({"messages": CHAT}, "video", "a.mp4"),
        ({"path": "a.PNG", "data_type": "Image"}, "image", "a.PNG"),
        ({}, "text", ""),
        ({"images": [], "videos": None}, "text", ""),
    ],
)
def test_media_are_read_in_any_field_and_form(
    tmp_path: Path, media: dict[str, Any], kind: str, path: str
) -> None:
    sample = one(tmp_path, {**BARE, **media})
    assert (sample.data_type, sample.path) == (kind, path)


@pytest.mark.parametrize(
    ("media", "says"),
    [
        ({"videos": ["a.mp4", "b.mp4"]}, "2 media"),
        ({"path": "a.mp4", "image": "b.jpg"}, "2 media"),
        ({"path": "b.mp4", "messages": CHAT}, "2 media"),
        ({"image": {"bytes": "x", "path": None}}, "not a path"),
        ({"video": "https://x.org/a.mp4"}, "is an address"),
        ({"path": "a", "data_type": "text"}, "a medium"),
        ({"image": "a.jpg", "data_type": "video"}, "is image"),
        ({"path": "a.mp4", "data_type": "image"}, "is video"),
        ({"clip": "a.mp4"}, "clip isn't read"),
        ({"files": [{"name": "x/a.webm"}]}, "files isn't read"),
        ({"video": 3}, "not a path"),
        ({"messages": CHAT * 2, "problem": None}, "several turns"),
    ],
)
def test_media_that_cannot_be_read_are_refused(
    tmp_path: Path, media: dict[str, Any], says: str
) -> None:
    refused(tmp_path, {**BARE, **media}, says)


def test_a_chat_is_a_row(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "<video>\nHow many?"},
        {"from": "gpt", "value": "<answer>3</answer>"},
    ]
    sample = one(tmp_path, {"conversations": turns, "video": "a.mp4", "problem_type": "numerical"})
    assert (sample.problem, sample.gold, sample.path) == ("How many?", "3", "a.mp4")


# -------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize(
    ("problem", "read"),
    [
        ("<video>Which?", "Which?"),
        ("<video>\n Which?", "Which?"),
        ("Which? <video>", "Which?"),
        ("a < b > c?", "a < b > c?"),
    ],
)
def test_the_mark_of_the_medium_is_no_part_of_the_question(
    tmp_path: Path, problem: str, read: str
) -> None:
    assert one(tmp_path, {**ROW, "problem": problem}).problem == read


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"problem": f"Where is {token}?"}
            for token in (
                "<|video_pad|>",
                "<|vision_start|>",
                "<|im_end|>",
                "<|image_pad|>",
                "<image>",
                "<video><video>",
                "<audio>",
            )
        ),
        {"problem": "<video> <video>"},
        {"problem": "What of <video> is it?"},
        {"problem": "<video>Which?", "path": ""},
        {"options": ["A. bed", "B. <|im_end|>"]},
        {"options": ["A. <video>", "B. tv"]},
        {"categories": ["tv", "<|image_pad|>"]},
        {"cognitive_map": {"<|im_start|>": [[1, 2]]}},
        {"problem_type": "OCR", "options": [], "solution": "<|im_end|>"},
    ],
)
def test_signs_of_a_tokenizer_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    refused(tmp_path, {**ROW, **change}, "(problem|options|categories|cognitive_map|solution): ")


def test_a_tokenizers_own_signs_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, {**ROW, "problem": "Which </s>?"})
    assert len(rows.load(path)) == 2
    with pytest.raises(BadRow, match=r"line 2: problem: holds </s>"):
        rows.load(path, special=["</s>"])


@pytest.mark.slow
def test_a_prompt_never_holds_a_sign(tmp_path: Path) -> None:
    from spacer_utils.training import encoder as media  # isort: skip (first: it makes torchvision importable)
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(profiles.get("smoke").model_path)
    encoder = media.Encoder(processor, profiles.get("smoke").frames)
    assert encoder.text(media.Prompt("Which?", (("video", "a"),))).count("<|video_pad|>") == 1
    with pytest.raises(WorkbookError, match=r"a prompt holds <\|video_pad\|>"):
        encoder.text(media.Prompt("Which <|video_pad|>?", (("video", "a"),)))


def test_questions_of_benchmarks_hold_no_signs(tmp_path: Path) -> None:
    row = {
        **COUNT,
        "data_type": "video",
        "solution": "<answer>3</answer>",
        "question_type": "object_counting",
        "scene_id": "s",
        "data_source": "x",
        "problem": "How many <|image_pad|>?",
    }
    (tmp_path / "heldout.jsonl").write_text(json.dumps(row))
    with pytest.raises(BadRow, match=r"heldout.jsonl, row 1: the question holds <\|image_pad\|>"):
        benchmark.load("heldout", tmp_path / "heldout.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize("to", list(FORMS))
def test_marks_equal_media_in_exports(tmp_path: Path, to: str) -> None:
    data = write_data(tmp_path / "data")
    lines = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    for row in lines:
        row["problem"] = (
            f"<{row['data_type']}>\n{row['problem']}" if row["path"] else row["problem"]
        )
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    export(to, profiles.get("cpu"), "sg_rlvr", tmp_path / "out", data)
    for sample in rows.load(data / "train.jsonl"):
        assert "<video>" not in sample.problem
        assert "<image>" not in sample.problem
    if to == "ms-swift":
        for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines():
            row = json.loads(line)
            text = row["messages"][0]["content"]
            assert text.count("<video>") == len(row.get("videos", []))
            assert text.count("<image>") == len(row.get("images", []))


# --------------------------------------------------------------------------------------------- maps


@pytest.mark.parametrize("video", ["a", "a.mp4", "videos/a", "videos/a.mkv"])
@pytest.mark.parametrize(
    "row",
    [
        {},
        {"question_type": "object_counting"},
        {"cognitive_map_id": "a"},
        {"cognitive_map_id": "a.mp4"},
        {"cognitive_map_id": "videos/a.avi", "question_type": "x"},
    ],
)
def test_a_video_has_one_name(tmp_path: Path, video: str, row: dict[str, Any]) -> None:
    assert one(tmp_path, {**COUNT, **row}, {**MAP, "video_id": video}).cognitive_map == {
        "tv": [[1, 2]]
    }


def test_names_with_dots_and_folders_stay_apart(tmp_path: Path) -> None:
    maps = (
        {**MAP, "video_id": "x/s.01"},
        {"video_id": "y/s.01", "cognitive_map": {"bed": [[3, 3]]}},
    )
    assert one(tmp_path, {**COUNT, "path": "y/s.01.mp4"}, *maps).cognitive_map == {"bed": [[3, 3]]}
    refused(
        tmp_path,
        {**COUNT, "path": "y/s.01.mp4", "cognitive_map_id": "s.01"},
        "may be x/s.01 or y/s.01",
        *maps,
    )
    assert one(tmp_path, {**COUNT, "path": "s.02.mp4"}, *maps).cognitive_map is None


def test_general_questions_get_no_map(tmp_path: Path) -> None:
    assert one(tmp_path, {**COUNT, "question_type": "general_ocr"}, MAP).cognitive_map is None


@pytest.mark.parametrize(
    "second",
    [
        {"video_id": "a", "cognitive_map": {"tv": [[1, 3]]}},
        {**MAP, "frame": "first-view"},
        {**MAP, "grid": 12},
        {"video_id": "a.mp4", "cognitive_map": {}},
    ],
)
def test_two_maps_of_one_video(tmp_path: Path, second: dict[str, Any]) -> None:
    assert one(tmp_path, COUNT, MAP, {**MAP, "video_id": "a.mp4"}).cognitive_map == {"tv": [[1, 2]]}
    with pytest.raises(
        BadRow, match=r"cognitive_map.jsonl, line 2: video_id: .* has another map in line 1"
    ):
        one(tmp_path, COUNT, MAP, second)


def test_maps_in_rows(tmp_path: Path) -> None:
    refused(tmp_path, {**COUNT, "cognitive_map": {"tv": [[1, 3]]}}, "another than that of 'a'", MAP)
    (tmp_path / rows.MAPS).unlink()
    own = {**COUNT, "cognitive_map": {"tv": [[1, 3]]}}
    with pytest.raises(BadRow, match=r"line 3: cognitive_map: .* has another map in line 1"):
        rows.load(written(tmp_path, own, own, {**COUNT, "cognitive_map": {"tv": [[1, 4]]}}))


@pytest.mark.parametrize(
    ("cells", "grid", "says"),
    [
        ([[19, 3]], None, "cells from 3 to 19, not whole numbers from 0 to 9"),
        ([[0.31, 0.87]], None, "cells from 0.31 to 0.87"),
        ([[-1, 4]], None, "cells from -1 to 4"),
        ([[3.4, 5.1]], None, "cells from 3.4 to 5.1"),
        ([[20, 3]], 20, "from 0 to 19"),
        ([[1, 1]], 1, "grid: 1 is no"),
        ([[1, 1]], 7.5, "grid: 7.5 is no"),
        ([[1, 1]], "20", "grid: '20' is no"),
        ([[1, 1]], 10**9, "grid: "),
        ([[1, 1]], True, "grid: True is no"),
    ],
)
def test_a_map_on_another_grid_is_refused(tmp_path: Path, cells: Any, grid: Any, says: str) -> None:
    map_ = {"video_id": "a", "cognitive_map": {"tv": cells}, "grid": grid}
    with pytest.raises(BadRow, match=rf"cognitive_map.jsonl, line 2: .*{says}"):
        one(tmp_path, COUNT, {**MAP, "video_id": "b"}, map_)
    (tmp_path / rows.MAPS).unlink()
    refused(tmp_path, {**COUNT, "cognitive_map": {"tv": cells}, "map_grid": grid}, says)
    line = {**ROW, "completion": "", "cognitive_map": {"tv": cells}, "grid": grid}
    with pytest.raises(BadRow, match=rf"line 1: .*{says}"):
        score_stream([json.dumps(line).encode()], io.StringIO())


@pytest.mark.parametrize("reward_set", ["strict", "spacer"])
def test_the_gold_map_of_a_declared_grid_is_perfect(tmp_path: Path, reward_set: str) -> None:
    cells = {"tv": [[19, 3], [0, 12]], "bed": [[7.0, 18]], "lamp": None}
    sample = one(tmp_path, COUNT, {"video_id": "a", "cognitive_map": cells, "grid": 20})
    assert sample.cognitive_map == {"tv": [[19, 3], [0, 12]], "bed": [[7, 18]]}
    assert Sample.from_json_text(sample.to_json_text()).map_grid == 20
    assert "20x20 grid" in prompts.user_text(sample, with_map=True)
    text = f"<think><map>{prompts.map_text(sample.cognitive_map)}</map></think><answer>3</answer>"
    found = rewards.score(sample, text, reward_set).terms
    assert (
        found["map"]
        == found["map_calibrated"]
        == found["map_aligned"]
        == found["map_relations"]
        == 1.0
    )
    functions, _ = rewards.trl_reward_functions({"map": 1.0}, reward_set=reward_set)
    assert functions[0](completions=[text], sample=[sample.to_json_text()]) == [1.0]
    half = text.replace("[19, 3]", "[9, 3]")
    alone = rewards.score(sample, half, reward_set).terms["map"]
    assert functions[0](completions=[half], sample=[sample.to_json_text()]) == [alone]


def test_null_categories_are_absent_everywhere(tmp_path: Path) -> None:
    padded = {"tv": [[1, 2]], "bed": None}
    assert one(tmp_path, COUNT, {**MAP, "cognitive_map": padded}).cognitive_map == {"tv": [[1, 2]]}
    (tmp_path / rows.MAPS).unlink()
    assert one(tmp_path, {**COUNT, "cognitive_map": padded}).cognitive_map == {"tv": [[1, 2]]}
    lines = [
        json.dumps(
            {
                **COUNT,
                "completion": "<think><map>{'tv': [[1, 2]]}</map></think><answer>3</answer>",
                "cognitive_map": m,
                "problem_id": k,
            }
        ).encode()
        for k, m in enumerate((padded, {"tv": [[1, 2]]}))
    ]
    out = io.StringIO()
    score_stream(lines, out)
    first, second = (json.loads(text) for text in out.getvalue().splitlines())
    assert {**first, "line": 2} == second


@pytest.mark.parametrize("method", ["sg_rlvr", "sft_map"])
def test_a_method_with_maps_refuses_rows_without_any(tmp_path: Path, method: str) -> None:
    from spacer_utils.training import loop

    plan = train.Plan(profiles.get("smoke"), method, "lora", 0, tmp_path, tmp_path, "x", {})
    bare = rows.load(written(tmp_path, COUNT, {**COUNT, "question_type": "general_ocr"}))
    with pytest.raises(WorkbookError, match=r"none of the 2 rows has a map"):
        loop.without_maps(bare, plan)
    some = rows.load(
        written(
            tmp_path,
            COUNT,
            {**COUNT, "path": "b.mp4"},
            {**COUNT, "path": "b.mp4", "question_type": "general_x"},
            maps=(MAP,),
        )
    )
    with pytest.warns(UserWarning, match=r"1 of 3 rows have no map"):
        assert loop.without_maps(some, plan) == {"rows_without_map": 1}
    assert (
        loop.without_maps(
            bare, train.Plan(profiles.get("smoke"), "rlvr", "lora", 0, tmp_path, tmp_path, "x", {})
        )
        == {}
    )
    if method == "sg_rlvr":
        written(tmp_path, COUNT)
        (tmp_path / rows.MAPS).unlink()
        with pytest.raises(WorkbookError, match=r"none of the 1 rows has a map"):
            export("verl", profiles.get("cpu"), method, tmp_path / "out", tmp_path)


# ------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("gold", ["three", "½", "3", 3, 2.5, "3.5 m", "1,200", "-2"])
def test_gold_numbers_that_the_reward_reads(tmp_path: Path, gold: Any) -> None:
    sample = one(tmp_path, {**COUNT, "solution": gold})
    answer = parse(f"<think></think><answer>{sample.gold}</answer>")
    assert rewards.term("accuracy", sample, answer)[0] == 1.0


@pytest.mark.parametrize(
    "gold", ["1e999", "No3", "many", "<answer>3</answer><answer>4</answer>", True]
)
@pytest.mark.parametrize("kind", ["numerical", "regression"])
def test_gold_numbers_that_the_reward_cannot_read(tmp_path: Path, gold: Any, kind: str) -> None:
    refused(tmp_path, {**COUNT, "problem_type": kind, "solution": gold}, "solution: ")


def test_infinite_numbers_in_the_file(tmp_path: Path) -> None:
    line = json.dumps({**COUNT, "solution": "GOLD"}).replace('"GOLD"', "1e999").encode()
    refused(tmp_path, line, "solution: inf")


# -------------------------------------------------------------------------------------------- files


def test_what_is_there_is_said_where_rows_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "part").mkdir()
    for name in ("train.parquet", "part/other.json"):
        (tmp_path / name).write_text("")
    calls = (
        lambda: train_.run("smoke", "rlvr", data_dir=tmp_path, out=tmp_path / "out"),
        lambda: rows.load(tmp_path),
        lambda: export("verl", profiles.get("smoke"), "sg_rlvr", tmp_path / "out", tmp_path),
    )
    for call in calls:
        with pytest.raises(
            BadRow, match=r"part/other.json, train.parquet.*one JSON object in each line"
        ) as error:
            call()
        assert "make" not in str(error.value)
    assert (
        main(["evaluate", "--model", "x", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
        == 2
    )
    assert "has no heldout.jsonl, but part/other.json, train.parquet" in capsys.readouterr().err


@pytest.mark.parametrize("empty", [b"", b"  \n\r\n \n", b"\xef\xbb\xbf", b"[]", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_refused(tmp_path: Path, empty: bytes) -> None:
    (tmp_path / "train.jsonl").write_bytes(empty)
    (tmp_path / "other.json").write_bytes(b"")
    with pytest.raises(
        BadRow, match=rf"train.jsonl has no rows \({len(empty)} bytes\); but other.json"
    ) as error:
        rows.load(tmp_path / "train.jsonl")
    assert "make" not in str(error.value)


@pytest.mark.parametrize("form", ["list", "data", "pretty", "pretty row", "bom", "crlf", "parquet"])
def test_files_of_rows_in_other_forms(tmp_path: Path, form: str) -> None:
    path, both = (
        tmp_path / ("rows.parquet" if form == "parquet" else "rows.json"),
        [COUNT, {**COUNT, "problem_id": 2}],
    )
    if form == "parquet":
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(both), path)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in both)
        path.write_bytes(
            {
                "list": json.dumps(both),
                "data": json.dumps({"version": 1, "data": both}),
                "pretty": json.dumps({"data": both}, indent=1),
                "pretty row": json.dumps(COUNT, indent=1),
                "bom": "\ufeff" + lines,
                "crlf": lines.replace("\n", "\r\n"),
            }[form].encode()
        )
    assert [s.problem_id for s in rows.load(path)] == ([1] if form == "pretty row" else [1, 2])


def test_files_that_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(COUNT).encode("utf-16"))
    with pytest.raises(BadRow, match=r"line 1: .*UTF-16.*iconv"):
        rows.load(path)
    path.write_text(json.dumps({"data": [COUNT]}) + "\n" + json.dumps(COUNT))
    with pytest.raises(BadRow, match=r"line 1: solution: missing"):
        rows.load(path)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadRow, match=r"no parquet file that can be read"):
        rows.load(tmp_path / "rows.parquet")


# ------------------------------------------------------------------------------------ score-rewards


def scored(*lines: Any) -> tuple[list[int], str]:
    out, said = io.StringIO(), ""
    try:
        score_stream(
            [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines], out
        )
    except BadRow as error:
        said = str(error)
    return [json.loads(text)["line"] for text in out.getvalue().splitlines()], said


def test_bad_lines_end_nothing(tmp_path: Path) -> None:
    good = {**ROW, "completion": "x"}
    found, said = scored(good, b"{", good, {**good, "completion": None}, good)
    assert found == [1, 3, 5]
    assert "line 2: not JSON" in said
    assert "line 4: 'completion' must be text" in said
    assert "2 lines are not scored, 3 are" in said
    assert "and 5 more" in scored(good, *[b"{"] * 25)[1]


def test_one_id_is_one_question() -> None:
    good = {**ROW, "completion": "x"}
    assert scored(good, {**good, "completion": "y"}) == ([1, 2], "")
    found, said = scored(good, {**good, "solution": "A"})
    assert found == [1]
    assert "line 2: 'problem_id' 1 is that of another question in line 1" in said


@pytest.mark.parametrize(
    ("first", "says"), [(b"[", "a JSON list"), ("{}".encode("utf-16"), "UTF-16")]
)
def test_other_forms_are_told_once(first: bytes, says: str) -> None:
    found, said = scored(first, {**ROW, "completion": "x"})
    assert found == []
    assert said.startswith(f"line 1: {'UTF-16' if says == 'UTF-16' else says}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("options", [["A. bed", "A. tv"], ["B. bed", "tv"]])
def test_contradictory_options_are_not_scored(options: list[str]) -> None:
    assert "line 1: options: " in scored({**ROW, "options": options, "completion": "x"})[1]


# -------------------------------------------------------------------------------------------- audit


def test_the_audit_names_a_broken_row(tmp_path: Path) -> None:
    written(tmp_path, ROW, {**ROW, "options": ["A. bed", "A. tv"]})
    with pytest.raises(BadRow, match=r"train.jsonl, line 2: options"):
        audit.run(tmp_path, profiles.get("smoke"))
