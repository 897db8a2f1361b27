"""Rows and rewards as ms-swift, EasyR1 and verl document them: the reward file is loaded and called
as each of them does it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kit.training_kit import write_data
from pyarrow import parquet

from spacer_utils.__main__ import main
from spacer_utils.core import folders, profiles, prompts
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.registry import METHODS
from spacer_utils.core.rows import load
from spacer_utils.core.types import BadRow, Sample, WorkbookError
from spacer_utils.training.export import FORMS, clip_look, export

PROFILE = profiles.get("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def samples(data: Path) -> list[Sample]:
    return load(data / "train.jsonl")


def loaded(path: Path) -> Any:
    """A file imported from its path, as all three trainers do it."""
    spec = importlib.util.spec_from_file_location("custom_reward_fn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gold(s: Sample) -> str:
    return prompts.target(s, with_map=True)


WRONG = "<think></think><answer>nothing of the kind</answer>"


@pytest.mark.parametrize("name", ["length", "temporal"])
def test_a_term_of_groups_is_never_left_out_silently(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS["rlvr"], "terms", {"accuracy": 1.0, name: 1.0})
    with pytest.raises(WorkbookError, match=f"term {name} needs the whole group"):
        export("verl", PROFILE, "rlvr", tmp_path, data)
    assert not (tmp_path / "reward.py").exists()


def test_ms_swift(
    data: Path, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export("ms-swift", PROFILE, "sg_rlvr", tmp_path, data)
    rows = read_jsonl(tmp_path / "train.jsonl")
    assert len(rows) == len(samples)
    for row, s in zip(rows, samples):
        text = row["messages"][0]["content"]
        assert row["messages"][0]["role"] == "user"
        assert text.count("<video>") == len(row.get("videos", [])) == (s.data_type == "video")
        assert text.count("<image>") == len(row.get("images", [])) == (s.data_type == "image")
        assert all(Path(p).is_file() for p in (*row.get("videos", []), *row.get("images", [])))
    swift, plugin = ModuleType("swift"), ModuleType("swift.rewards")
    plugin.ORM, plugin.orms = type("ORM", (), {}), {}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "swift", swift)
    monkeypatch.setitem(sys.modules, "swift.rewards", plugin)
    loaded(tmp_path / "reward.py")
    assert set(plugin.orms) == {"spacer_accuracy", "spacer_format", "spacer_map"}
    columns = {
        "sample": [r["sample"] for r in rows],
        "messages": [r["messages"] for r in rows],
        "trainer_state": None,
    }
    for name, cls in plugin.orms.items():
        found = cls()(completions=[gold(s) for s in samples], **columns)
        assert set(found) <= {1.0, None}, name
        assert found[0] == 1.0
        assert (
            cls()(
                completions=[[{"role": "assistant", "content": gold(s)}] for s in samples],
                **columns,
            )
            == found
        )
    assert plugin.orms["spacer_accuracy"]()(completions=[WRONG] * len(samples), **columns) == [
        0.0
    ] * len(samples)


def test_easyr1(data: Path, samples: list[Sample], tmp_path: Path) -> None:
    export("easyr1", PROFILE, "sg_rlvr", tmp_path, data)
    reward = loaded(tmp_path / "reward.py")
    assert reward.REWARD_TYPE == "batch"
    assert list(inspect.signature(reward.compute_score).parameters) == ["reward_inputs"]
    for kind in ("video", "image", "text"):
        rows = parquet.read_table(tmp_path / f"train_{kind}.parquet").to_pylist()
        assert len(rows) == sum(s.data_type == kind for s in samples)
        assert {k for k in rows[0] if k.endswith("s")} == (
            {f"{kind}s"} if kind != "text" else set()
        )
        for row in rows:
            assert all(
                row["prompt"].count(f"<{k}>") == len(row.get(f"{k}s", []))
                for k in ("video", "image")
            )
            s = Sample.from_json_text(row["answer"])
            right, wrong = reward.compute_score(
                [
                    {"response": text, "response_length": 9, "ground_truth": row["answer"]}
                    for text in (gold(s), WRONG)
                ]
            )
            assert right["overall"] == right["accuracy"] == right["format"] == 1.0
            assert wrong["overall"] < 1
            assert all(isinstance(v, float) for v in (*right.values(), *wrong.values()))


def test_verl(data: Path, samples: list[Sample], tmp_path: Path) -> None:
    export("verl", PROFILE, "sg_rlvr", tmp_path, data)
    reward = loaded(tmp_path / "reward.py")
    names = ["data_source", "solution_str", "ground_truth", "extra_info"]
    assert list(inspect.signature(reward.compute_score).parameters) == names
    rows = parquet.read_table(tmp_path / "train.parquet").to_pylist()
    assert len(rows) == len(samples)
    for row, s in zip(rows, samples):
        assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} <= set(row)
        text = row["prompt"][0]["content"]
        assert text.count("<video>") == len(row["videos"])
        assert text.count("<image>") == len(row["images"])
        assert all(Path(m["video"]).is_file() for m in row["videos"])
        call = {
            "data_source": row["data_source"],
            "ground_truth": row["reward_model"]["ground_truth"],
        }
        right = reward.compute_score(solution_str=gold(s), extra_info=row["extra_info"], **call)
        assert right["score"] == right["accuracy"] == 1.0
        assert reward.compute_score(solution_str=WRONG, **call)["score"] < 1


def test_the_reward_needs_little_of_another_trainers_environment() -> None:
    """Other trainers want other versions of TRL, transformers and datasets than we do."""
    code = (
        "import sys; from spacer_utils.rewards import exported; from spacer_utils.core.types import Sample\n"
        "for kind, gold in (('free-form', 'a red chair'), ('numerical', '3'), ('OCR', 'exit')):\n"
        "    s = Sample(1, 'q', 'text', kind, (), f'<answer>{gold}</answer>', '', '', cognitive_map={'tv': [[1, 2]]})\n"
        "    text = \"<think><map>{'tv': [[1, 3]]}</map></think><answer>a chair</answer>\"\n"
        "    exported.terms(s.to_json_text(), text, 'strict', 'none', ['accuracy', 'format', 'map', 'map_calibrated'])\n"
        "print([m for m in ('torch', 'transformers', 'trl', 'datasets', 'peft') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_map_counts_as_in_our_own_training(
    data: Path, samples: list[Sample], tmp_path: Path
) -> None:
    from spacer_utils import rewards

    s = samples[0]
    unlike = re.sub("<answer>.*</answer>", "<answer>nothing of the kind</answer>", gold(s))
    texts = [gold(s), WRONG, prompts.target(s), gold(s).replace("[1, 2]", "[9, 9]"), unlike]
    for method, gate, behind_wrong in (
        ("sg_rlvr_calibrated", "correct", 0.0),
        ("sg_rlvr_dense", "format", 1.0),
    ):
        export("verl", PROFILE, method, tmp_path / method, data)
        reward = loaded(tmp_path / method / "reward.py")
        functions, _ = rewards.trl_reward_functions(
            {"accuracy": 1.0, "format": 1.0, "map_calibrated": 1.0}, gate, "strict"
        )
        for text in texts:
            ours = {f.__name__: f([text], sample=[s.to_json_text()])[0] for f in functions}
            theirs = reward.compute_score("x", text, s.to_json_text())
            assert {k: v or 0.0 for k, v in ours.items()} == {
                k: v for k, v in theirs.items() if k != "score"
            }
        assert theirs["map_calibrated"] == behind_wrong


@pytest.mark.parametrize("to", list(FORMS))
def test_every_export_shows_the_frames_of_the_profile(to: str, data: Path, tmp_path: Path) -> None:
    """Without a limit qwen_vl_utils shows up to 768 frames of a clip, at most 768 tokens each."""
    full = profiles.get("gpu-full")
    export(to, full, "sg_rlvr", tmp_path, data)
    head = ast.get_docstring(ast.parse((tmp_path / "reward.py").read_text())) or ""
    most = int(full.frames.max_pixels * 1.05)
    said = {
        "ms-swift": f"FPS_MIN_FRAMES=4 FPS_MAX_FRAMES=16 VIDEO_MIN_PIXELS=100352 VIDEO_MAX_PIXELS={most} ",
        "easyr1": f"data.min_pixels=100352 data.max_pixels={most} data.video_fps=2.0",
        "verl": "data.max_prompt_length=16384 data.max_response_length=1024",
    }
    assert said[to] in head
    assert str(full.train.group_size) in head
    assert str(full.train.completion_tokens) in head
    assert str(tmp_path / "reward.py") in head  # verl's and Ray's processes start elsewhere
    if to == "verl":
        rows = parquet.read_table(tmp_path / "train.parquet").to_pylist()
        clip, picture = rows[0]["videos"][0], rows[-2]["images"][0]
        assert clip["max_frames"] == full.frames.num_frames
        assert (clip["fps"], clip["min_frames"]) == (2.0, 4)
        assert (clip["min_pixels"], clip["max_pixels"]) == (100_352, most)
        assert picture["max_pixels"] == 2 * full.frames.max_pixels


@pytest.mark.parametrize(
    ("profile", "look"),
    [
        ("cpu", {"min_frames": 6, "max_frames": 6, "resized_height": 112, "resized_width": 112}),
        (
            "gpu-lora",
            {"min_frames": 16, "max_frames": 16, "min_pixels": 3_136, "max_pixels": 100_352},
        ),
    ],
)
def test_a_clip_is_shown_as_the_profile_shows_it(profile: str, look: dict[str, int]) -> None:
    assert clip_look(profiles.get(profile).frames) == look


def test_what_cannot_be_exported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for to, method, said in (
        ("trlx", "sg_rlvr", "Trainers: ms-swift"),
        ("verl", "ppo", "Methods: "),
        ("verl", "sft", "supervised and has no reward. Export sg_rlvr"),
        ("verl", "t_grpo", "term temporal needs the whole group.*Export rlvr: the same rewards"),
        ("verl", "sg_rlvr_objects", "credits each token.*Export sg_rlvr_dense: the same rewards"),
    ):
        with pytest.raises(WorkbookError, match=said):
            export(to, PROFILE, method, tmp_path, data)
    with pytest.raises(BadRow, match="nowhere is no folder"):
        export("verl", PROFILE, "sg_rlvr", tmp_path, tmp_path / "nowhere")
    assert main(["export", "--to", "nothing", "--out", str(tmp_path)]) == 2
    assert "ms-swift" in capsys.readouterr().err


@pytest.mark.parametrize("into", ["data", "other/../data", "link", "copy"])
def test_a_dataset_is_never_written_over(data: Path, tmp_path: Path, into: str) -> None:
    for name in ("data", "copy"):
        shutil.copytree(data, tmp_path / name)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "cognitive_map.jsonl").unlink()  # rows of the paper come without
    with pytest.raises(
        WorkbookError, match=f"{into} holds a dataset, whose rows the export would replace.*--out"
    ):
        export("ms-swift", PROFILE, "sg_rlvr", tmp_path / into, tmp_path / "data")
    for name in ("data", "copy"):
        assert (tmp_path / name / "train.jsonl").read_bytes() == (data / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("ms-swift", "train.jsonl"),
        ("verl", "reward.py"),
        ("verl", "train.parquet"),
        ("easyr1", "train_video.parquet"),
    ],
)
def test_an_export_replaces_only_its_own(data: Path, tmp_path: Path, to: str, name: str) -> None:
    mine = tmp_path / "mine" / name
    mine.parent.mkdir()
    mine.write_text("mine")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "notes.jsonl").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(WorkbookError, match=f"{name}.*--out"):
            export(to, PROFILE, "sg_rlvr", mine.parent, data, overwrite=overwrite)
    assert [p.name for p in mine.parent.iterdir()] == [name]
    assert mine.read_text() == "mine"
    assert export(to, PROFILE, "sg_rlvr", tmp_path / "ours", data) == export(
        to, PROFILE, "sg_rlvr", tmp_path / "ours", data
    )
    with pytest.raises(
        WorkbookError, match="a finished run of export, with other inputs: method: sg_rlvr -> rlvr"
    ):
        export(to, PROFILE, "rlvr", tmp_path / "ours", data)
    export("verl", PROFILE, "rlvr", tmp_path / "ours", data, overwrite=True)
    assert (tmp_path / "ours" / "notes.jsonl").read_text() == "mine"
    assert (tmp_path / "ours" / "train.parquet").exists()
    assert not (tmp_path / "ours" / "train.jsonl").exists()


@pytest.mark.parametrize("to", list(FORMS))
def test_from_the_shell(
    to: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "data").symlink_to(data)
    assert main(["export", "--to", to, "--profile", "smoke", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [
        str(p) for p in sorted((tmp_path / "out").iterdir()) if p.name != folders.RECORD
    ]
    assert json.loads((tmp_path / "smoke" / "data" / "train.jsonl").read_text().splitlines()[0])
