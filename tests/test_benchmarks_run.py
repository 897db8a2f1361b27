"""A checkpoint put to benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spacer_utils.__main__ import main
from spacer_utils.analysis.bench import frames_for, prompts_of, spread
from spacer_utils.benchmarks.scoring import judge_row, report
from spacer_utils.benchmarks.scoring.load import load, media_file, synthetic
from spacer_utils.benchmarks.scoring.record import read
from spacer_utils.core.profiles import Frames
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import WorkbookError
from spacer_utils.evaluation import evaluate


def test_prompts_leave_out_rows_without_their_media(tmp_path: Path) -> None:
    folder = synthetic("vsi_bench", tmp_path)
    rows = load("vsi_bench", folder)
    (folder / "arkitscenes" / "00000001.mp4").unlink()
    items = prompts_of("vsi_bench", rows, folder, "official")
    assert [i.key for i in items] == ["000001", "000002", "000003"]
    assert all(kind == "video" and Path(path).is_file() for i in items for kind, path in i.media)


def test_a_benchmark_may_fix_the_number_of_frames() -> None:
    profile = Frames(num_frames=16, size=112, sampling="spacer-train", clock="spacer")
    given = frames_for("revsi_32", profile)
    assert (given.num_frames, given.sampling) == (32, "uniform")
    assert (given.size, given.clock) == (112, "spacer")
    assert frames_for("revsi_all", profile) == frames_for("vsi_bench", profile) == profile


def test_media_stay_in_their_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="leaves the dataset's folder"):
        media_file("../secret.png", tmp_path)
    with pytest.raises(WorkbookError, match="neither a path"):
        media_file("not base64!", tmp_path)
    assert media_file({"bytes": None, "path": "a.png"}, tmp_path) == tmp_path / "a.png"
    assert media_file(None, tmp_path) is None


SAID = [
    {"timestamp": [3.0, 5.0], "text": "first"},
    {"timestamp": [5.2, 6], "text": "no float: to the clip's end"},
    {"start": "00:00:06.1", "end": "00:00:06.3", "line": "short"},
    {"start": "0:01:00", "end": "0:01:02", "line": "later"},
]


def test_longvideobench_interleaves_frames_and_subtitles(tmp_path: Path) -> None:
    row = {
        **BENCHMARKS["longvideobench"].sample[0],
        "duration": 8.0,
        "starting_timestamp_for_subtitles": 3.0,
    }
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles" / row["subtitle_path"]).write_text(json.dumps(SAID))
    text = BENCHMARKS["longvideobench"].subtitled(
        read(BENCHMARKS["longvideobench"], row), row, tmp_path, [0.0, 1.0, 3.0, 6.0]
    )
    assert text == (
        "<image>\n<image>\nfirst\n<image>\nno float: to the clip's end\nshort\n<image>\n"
        "Question: What is on the desk?\nA. a cup\nB. a lamp\nC. a book\nD. a vase\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_video_mme_names_the_subtitles_of_its_frames(tmp_path: Path) -> None:
    row = BENCHMARKS["video_mme"].sample[0]
    question = read(BENCHMARKS["video_mme"], row)
    plain = BENCHMARKS["video_mme"].prompt(question, row, "official")
    assert BENCHMARKS["video_mme"].subtitled(question, row, tmp_path, [0.0]) == plain
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / f"{row['videoID']}.srt").write_text(
        '\ufeff1\r\n00:00:00,000 --> 00:00:01,000\r\n<font color="white" size=".72c">Hello</font>\r\nyou\r\n\r\n'
        "2\r\n00:00:01,000 --> 00:00:02,000\r\nunseen\r\n\r\n3\r\n00:00:02,000 --> 00:00:09,000\r\nBye"
    )
    text = BENCHMARKS["video_mme"].subtitled(question, row, tmp_path, [0.0, 2.5, 5.0])
    assert text == f"This video's subtitles are listed below:\nHello you\nBye\n{plain}"


@pytest.mark.slow  # imports transformers
def test_prompts_with_subtitles_give_frames_their_places(tmp_path: Path) -> None:
    folder = synthetic("longvideobench", tmp_path)
    rows = load("longvideobench", folder)
    (folder / "subtitles").mkdir()
    for row in rows:
        (folder / "subtitles" / row["subtitle_path"]).write_text(
            json.dumps([{"timestamp": [0.1, 1.4], "text": "hi"}])
        )
    items = prompts_of(
        "longvideobench",
        rows,
        folder,
        "official",
        Frames(num_frames=4, size=28, sampling="longvideobench"),
    )
    assert [i.text.count("<image>") for i in items] == [2, 2, 2]  # two seconds of clip: two frames
    assert all(kind == "image" and Path(path).is_file() for i in items for kind, path in i.media)
    with pytest.raises(WorkbookError, match="no prompt with subtitles"):
        prompts_of("pope", [], folder, "official", Frames(4, 28))
    with pytest.raises(WorkbookError, match="no prompt with subtitles"):
        prompts_of("longvideobench", rows, folder, "spacer", Frames(4, 28))


@pytest.mark.slow  # imports transformers
def test_marks_place_the_media_in_the_chat() -> None:
    from spacer_utils.training.encoder import Encoder, Prompt

    class Words:
        video_processor = type("V", (), {"merge_size": 2})()
        tokenizer = type("T", (), {"all_special_tokens": ["<|im_end|>"]})()

        @staticmethod
        def apply_chat_template(messages: Any, **_: Any) -> str:
            return "|".join(part.get("text", part["type"]) for part in messages[0]["content"])

    encoder, media = Encoder(Words(), Frames(4, 28)), (("image", "a.png"), ("image", "b.png"))
    assert encoder.text(Prompt("<image>one<image>two", media)) == "|image|one|image|two"
    assert encoder.text(Prompt("one <image>", media)) == "|image||image|one <image>"
    assert encoder.text(Prompt("plain")) == "plain"


def test_tempcompass_rows_get_their_aspect(tmp_path: Path) -> None:
    about = {
        "1": {
            "eval_dim": {
                "action": {"type": "fine-grained action"},
                "speed": {"type": "absolute speed"},
                "order": None,
            }
        },
        "2": {"eval_dim": {"order": {"event1": "a", "event2": "b"}, "direction": None}},
    }
    source = tmp_path / "rows.jsonl"
    source.write_text(
        "".join(
            json.dumps({**row, "output": read(BENCHMARKS["tempcompass"], row).gold}) + "\n"
            for row in BENCHMARKS["tempcompass"].sample
        )
    )
    assert not any("aspect" in row for row in load("tempcompass", source))
    (tmp_path / "meta_info.json").write_text(json.dumps(about))
    items = [judge_row(BENCHMARKS["tempcompass"], row) for row in load("tempcompass", source)]
    assert [i.row.get("aspect") for i in items] == [
        "fine-grained action",
        "absolute speed",
        "order",
        None,
    ]
    assert report(BENCHMARKS["tempcompass"], items)["per_variant"]["aspect"] == {
        "fine-grained action": 100,
        "absolute speed": 100,
        "order": 100,
    }


def test_questions_are_spread_over_tasks() -> None:
    rows = [{**row, "problem_id": k} for k in range(3) for row in BENCHMARKS["heldout"].sample]
    assert [r["problem_id"] for r in spread("heldout", rows, 5)] == [0, 0, 0, 1, 1]
    assert spread("heldout", rows, None) == rows


@pytest.mark.parametrize(
    "name",
    [
        "summary.json",
        "vsi_bench/report.json",
        "vsi_bench/items.jsonl",
        "vsi_bench/predictions.1.jsonl",
    ],
)
def test_a_report_of_somebody_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fake:
        def __init__(self, *_: Any) -> None:
            pass

        def answer(self, items: Any, budget: int) -> list[evaluate.Prediction]:
            return [evaluate.Prediction(i.key, "B", 1, False) for i in items]

    monkeypatch.setattr(evaluate, "Answerer", Fake)
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    line = [
        "bench",
        "--model",
        "some/model",
        "--out",
        str(tmp_path / "out"),
        "--profile",
        "smoke",
        "--names",
        "vsi_bench",
    ]
    for given in (line, [*line, "--overwrite"]):
        assert main(given) == 2
        assert f"{Path(name).name})" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    mine.unlink()
    assert main(line) == main(line) == 0
    assert main([*line, "--style", "spacer"]) == 2
    assert "a finished run of evaluation, with other inputs: questions" in capsys.readouterr().err
    assert main([*line, "--style", "spacer", "--overwrite"]) == 0
    assert (
        json.loads((tmp_path / "out" / "vsi_bench" / "report.json").read_text())["style"]
        == "spacer"
    )


@pytest.mark.slow
def test_one_command_runs_every_synthetic_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from spacer_utils.nano_base import nano

    model = str(nano.build(tmp_path / "model", size="tiny"))
    assert (
        main(["bench", "--model", model, "--out", str(tmp_path / "eval"), "--profile", "smoke"])
        == 0
    )
    said = capsys.readouterr()
    tables = [json.loads(line) for line in said.out.splitlines() if line.startswith("{")]
    assert "vsi_bench [####################] 4/4" in said.err
    assert [t["benchmark"] for t in tables] == BENCHMARKS.names()
    for table in tables:
        assert (
            sum(table["counts"][k] for k in ("n_scored", "n_missing", "n_not_scored"))
            == table["counts"]["n_expected"]
        )
        assert (tmp_path / "eval" / table["benchmark"] / "items.jsonl").is_file()
    before = (tmp_path / "eval" / "vsi_bench" / "report.json").read_bytes()
    assert (
        main(
            [
                "bench",
                "--model",
                model,
                "--out",
                str(tmp_path / "eval"),
                "--profile",
                "smoke",
                "--names",
                "vsi_bench",
            ]
        )
        == 0
    )
    assert (tmp_path / "eval" / "vsi_bench" / "report.json").read_bytes() == before
    assert (
        main(
            [
                "bench",
                "--model",
                model,
                "--out",
                str(tmp_path / "eval"),
                "--names",
                "vsi_bench",
                "--published",
                str(tmp_path / "no"),
            ]
        )
        == 2
    )
    rooms = synthetic("heldout", tmp_path / "rooms")
    assert (
        main(
            [
                "bench",
                "--model",
                model,
                "--out",
                str(tmp_path / "own"),
                "--profile",
                "smoke",
                "--names",
                "heldout",
                "real_layouts",
                "--data",
                str(rooms),
                "--questions",
                "2",
                "--unwrap",
                "think",
            ]
        )
        == 0
    )
    summary = json.loads((tmp_path / "own" / "summary.json").read_text())
    assert [(t["counts"]["n_expected"], t["unwrap"]) for t in summary["tables"]] == [
        (2, "think"),
        (2, "think"),
    ]
    assert (tmp_path / "own" / "real_layouts" / "sample").is_dir()
    assert not (tmp_path / "own" / "heldout" / "sample").exists()
