"""``gpu-full`` gives the model what SpaceR's released training gives it (SpaceR at b623af5, with
Video-R1's ``qwen_vl_utils``): prompts, frames, pixels, clock, sampling and learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_utils.core import frames, mp4, profiles, prompts
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.profiles import Frames
from spacer_utils.core.types import Sample, WorkbookError

FULL = profiles.get("gpu-full")


def sample(row: dict[str, Any]) -> Sample:
    return Sample(
        problem_id=0,
        problem=row["problem"],
        data_type="video",
        problem_type=row["problem_type"],
        options=tuple(row["options"] or ()),
        solution="<answer>A</answer>",
        path="",
        data_source="",
        cognitive_map={name: [[1, 2]] for name in row["object_list"] or ()},
    )


def test_prompts_equal_the_released_ones_byte_for_byte(golden: Path) -> None:
    rows = read_jsonl(golden / "spacer_training_prompts.jsonl")
    assert len(rows) >= 9
    for row in rows:
        asked = row["object_list"] is not None
        assert prompts.user_text(sample(row), FULL.prompt_style, asked) == row["expected"]


def test_the_workbook_s_own_prompt_is_a_named_option() -> None:
    row = {
        "problem": "Where?",
        "problem_type": "multiple choice",
        "options": ["A. left", "B. right"],
    }
    asked = sample({**row, "object_list": ["tv"]})
    own = FULL.with_overrides(prompt_style="workbook")
    text = prompts.user_text(asked, own.prompt_style, with_map=True)
    assert text.startswith("Question: Where?\nOptions:\nA. left\nB. right\nPlease think")
    assert "['tv']" in text
    with pytest.raises(WorkbookError, match=r"'long'.*spacer, workbook, compact"):
        prompts.user_text(asked, "long")


# ------------------------------------------------------------------------------------------- frames


def released_indices(total: int, fps: float) -> list[int]:
    """``smart_nframes`` and ``_read_video_decord`` of Video-R1's ``qwen_vl_utils``."""
    import torch

    wanted = min(min(max(total / fps * 2.0, 4), min(16, total) // 2 * 2), total)
    found: list[int] = torch.linspace(0, total - 1, int(wanted // 2 * 2)).round().long().tolist()
    return found


@pytest.mark.parametrize("fps", [2.0, 10.0, 23.976, 29.97, 30.0])
def test_frames_are_those_of_the_release(fps: float) -> None:
    rule = frames.sampling(FULL.frames.sampling).indices
    for total in range(2, 200):
        assert rule(total, fps, FULL.frames.num_frames) == released_indices(total, fps), total
    assert rule(1, fps, 16) == [0]  # the release refuses a clip of one frame


def released_size(width: int, height: int) -> tuple[int, int]:
    """``fetch_video`` and ``smart_resize`` of Video-R1's ``qwen_vl_utils``, at most 16 frames."""
    least = 128 * 28 * 28
    most = max(least, int(least * 1.05))
    high, wide = (max(28, round(side / 28) * 28) for side in (height, width))
    if high * wide > most:
        by = (height * width / most) ** 0.5
        return int(width / by // 28) * 28, int(height / by // 28) * 28
    if high * wide < least:
        by = (least / (height * width)) ** 0.5
        return int(-(-width * by // 28)) * 28, int(-(-height * by // 28)) * 28
    return wide, high


def encoder(given: Frames) -> Any:
    from spacer_utils.nano_base import nano
    from spacer_utils.training.encoder import Encoder

    return Encoder(nano.processor("qwen2_5_vl"), given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "height", "size", "tokens"),
    [
        (448, 336, (364, 280), 1040),
        (640, 480, (364, 280), 1040),
        (1920, 1080, (420, 224), 960),  # the processor must not enlarge it again
        (224, 224, (336, 336), 1152),
        (160, 90, (448, 252), 1152),
        (360, 288, (364, 280), 1040),
    ],
)
def test_frames_have_the_released_size(
    tmp_path: Path, width: int, height: int, size: tuple[int, int], tokens: int
) -> None:
    assert released_size(width, height) == size
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4.encode(np.full((16, height, width, 3), 90, np.uint8), 2.0))
    made = encoder(FULL.frames)
    (pixels,) = made.encode([prompt(path)]).media
    assert pixels.source[0].shape == (16, size[1], size[0], 3)
    assert pixels.grid.tolist() == [8, size[1] // 14, size[0] // 14]
    assert int(pixels.grid.prod()) // 4 == tokens


def prompt(path: Path, kind: str = "video") -> Any:
    from spacer_utils.training.encoder import Prompt

    return Prompt("Where?", ((kind, str(path)),))


def test_every_size_is_the_released_one() -> None:
    budget, rng = encoder(FULL.frames).budget(), np.random.default_rng(0)
    for _ in range(2000):
        width, height = (int(n) for n in rng.integers(60, 2200, 2))
        assert budget.size(width, height, 16) == released_size(width, height)


def test_a_picture_may_have_twice_the_pixels_of_a_frame(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.new("RGB", (1120, 840)).save(path)
    (pixels,) = encoder(FULL.frames).encode([prompt(path, "image")]).media
    assert pixels.grid.tolist() == [1, 26, 36]  # 364 x 504: MAX_PIXELS is 256 x 28 x 28


@pytest.mark.parametrize("fps", [2.0, 7.5, 30.0])
def test_the_release_passes_no_rate_and_the_true_time_is_an_option(
    tmp_path: Path, fps: float
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4.encode(np.full((60, 112, 112, 3), 90, np.uint8), fps))
    (pixels,) = encoder(FULL.frames).encode([prompt(path)]).media
    assert pixels.seconds == pytest.approx(1.0)
    assert pixels.source[1].sampled_fps == pytest.approx(2.0)  # what vllm is told

    true = FULL.with_overrides(clock="true").frames
    (pixels,) = encoder(true).encode([prompt(path)]).media
    assert pixels.seconds == pytest.approx(2 * 60 / fps / len(pixels.source[0]), rel=1e-3)


def test_decoded_frames_are_kept_apart_by_size_rule_and_not_by_clock(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4.encode(np.full((16, 112, 112, 3), 90, np.uint8), 30.0))
    budget = frames.Budget(28, 100_352, 105_369, enlarge=True)
    told = [
        frames.load(path, given, tmp_path / "cache", budget)[1].fps
        for given in (FULL.frames, FULL.with_overrides(clock="true").frames)
    ]
    assert told == [2.0, pytest.approx(30.0)]
    assert frames.load(path, FULL.frames, tmp_path / "cache", budget)[0].shape[1:3] == (336, 336)
    shrunk = frames.Budget(28, 100_352, 105_369)
    assert frames.load(path, FULL.frames, tmp_path / "cache", shrunk)[0].shape[1:3] == (112, 112)


# ----------------------------------------------------------------------------------------- training


def arguments(method: str, **changes: Any) -> Any:
    """TRL's configuration of a run of ``gpu-full``, as one of its eight processes makes it."""
    from spacer_utils.training import loop
    from spacer_utils.training.plan import Plan

    profile = FULL.with_overrides(**changes)
    return loop.arguments(Plan(profile, method, "full", 0, Path("."), Path("out"), "m", {}))


@pytest.mark.slow
def test_the_sampling_is_the_released_one() -> None:
    args = arguments("sg_rlvr")
    assert (args.temperature, args.top_p, args.top_k) == (1.0, 0.95, 50)
    assert (args.learning_rate, args.beta, args.num_generations) == (1e-6, 0.04, 8)
    assert (args.weight_decay, args.max_grad_norm) == (0.01, 5.0)
    assert args.max_completion_length == 1024
    assert arguments("sg_rlvr", top_k=0).top_k == 0


@pytest.mark.slow
def test_supervised_training_has_the_released_rate_and_batch() -> None:
    args = arguments("sft")
    assert args.learning_rate == 1e-6
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 16


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("clock", "late", "one of true, spacer"),
        ("resize", "big", "one of shrink, spacer"),
        ("top_k", -1, "from 0 on"),
    ],
)
def test_an_option_of_another_name_is_refused(field: str, value: Any, says: str) -> None:
    with pytest.raises(WorkbookError, match=says):
        FULL.with_overrides(**{field: value})


def test_the_profiles_say_where_they_follow_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    from spacer_utils.workbook import forecast

    forecast.print_profiles()
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()[1:]}
    place = list(profiles.PROFILES).index("gpu-full") - len(profiles.PROFILES)
    told = {name: lines[name][place] for name in lines if "." in name or name == "prompt_style"}
    assert told["prompt_style"] == "spacer"
    assert told["frames.resize"] == told["frames.clock"] == "spacer"
    assert told["frames.sampling"] == "spacer-train"
    assert (told["train.top_k"], told["train.sft_lr"], told["train.sft_batch"]) == (
        "50",
        "1e-06",
        "16",
    )
