"""Shapes and sizes of media: what the stock processors refuse, in one line, and how many tokens a
photo costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit.training_kit import FAMILIES, tiny_model, write_data
from PIL import Image

from spacer_utils.core import frames, pictures, profiles
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.mp4 import encode
from spacer_utils.core.profiles import Frames
from spacer_utils.core.types import WorkbookError
from spacer_utils.evaluation import evaluate
from spacer_utils.nano_base import nano
from spacer_utils.training import encoder as media
from spacer_utils.training import train

STRIPS = [(1, 1), (1, 100), (100, 1), (2, 402), (402, 2)]
"""(height, width)."""
SMOKE = profiles.get("smoke").with_overrides(
    completion_tokens=12, size=56, sft_steps=2, sft_batch=3, save_steps=1, lora_rank=4
)


def stock(family: str) -> Any:
    """The family's processor with the published sizes, where the tests' own takes any size as it
    is."""
    import transformers as t

    small = nano.processor(family)  # type: ignore[arg-type]
    words, template = small.tokenizer, small.chat_template
    if family == "qwen3_vl":
        images = t.Qwen2VLImageProcessor(
            patch_size=16,
            temporal_patch_size=2,
            merge_size=2,
            size={"shortest_edge": 65_536, "longest_edge": 16_777_216},
        )
        videos = t.Qwen3VLVideoProcessor(
            patch_size=16,
            temporal_patch_size=2,
            merge_size=2,
            size={"shortest_edge": 4_096, "longest_edge": 25_165_824},
        )
        return t.Qwen3VLProcessor(
            image_processor=images, tokenizer=words, video_processor=videos, chat_template=template
        )
    images = t.Qwen2VLImageProcessor(min_pixels=3_136, max_pixels=12_845_056)
    return t.Qwen2_5_VLProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=t.Qwen2VLVideoProcessor(),
        chat_template=template,
    )


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 12 megapixels."""
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(path)
    return path


# ------------------------------------------------------------------------------------- token counts


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", profiles.PROFILES)
def test_a_photo_keeps_to_the_profiles_pixels(photo: Path, name: str, family: str) -> None:
    given = profiles.get(name).frames
    processor = stock(family)
    encoder = media.Encoder(processor, given)
    batch = encoder.encode([media.Prompt("What is this?", (("image", str(photo)),))])
    cell = (processor.image_processor.patch_size * processor.image_processor.merge_size) ** 2
    # A fixed size below the processor's smallest is enlarged to that.
    most = (
        max(given.size**2, processor.image_processor.size["shortest_edge"])
        if given.size
        else given.max_pixels * (2 if given.resize == "spacer" else 1)
    )
    tokens = batch.tokens(0, encoder.merge)
    assert batch.ids[0].count(processor.image_token_id) == tokens
    assert tokens <= most / cell * (1.5 if given.size else 1)
    assert tokens >= 0.7 * min(most, 4000 * 3000) / cell


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_are_a_limit_and_no_aim(tmp_path: Path, family: str) -> None:
    Image.new("RGB", (300, 290)).save(tmp_path / "small.png")
    prompt = media.Prompt("What is this?", (("image", str(tmp_path / "small.png")),))
    counts = [
        media.Encoder(stock(family), Frames(4, 0, most)).encode([prompt]).tokens(0, 2)
        for most in (10**5, 10**7)
    ]
    assert counts[0] == counts[1]
    few = media.Encoder(stock(family), Frames(4, 0, 40 * 28 * 28)).encode([prompt]).tokens(0, 2)
    assert few <= 40 < counts[0]


# ------------------------------------------------------------------------------------------- shapes


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("height", "width"), [(3, 90), (90, 3), (2, 60), (3, 3)])
def test_a_picture_of_few_rows_is_not_taken_for_channels(
    tmp_path: Path, family: str, height: int, width: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    encoder = media.Encoder(stock(family), Frames(4, 0))
    grid = (
        encoder.encode([media.Prompt("?", (("image", str(tmp_path / "a.png")),))])
        .media[0]
        .grid.tolist()
    )
    assert (grid[1] < grid[2]) == (height < width)
    assert (grid[1] > grid[2]) == (height > width)


@pytest.mark.parametrize(("height", "width"), STRIPS)
def test_dots_and_strips_are_refused_under_every_size(
    tmp_path: Path, height: int, width: int
) -> None:
    path = tmp_path / "strip.png"
    Image.new("RGB", (width, height)).save(path)
    for size in (None, 48):
        with pytest.raises(
            WorkbookError, match=rf"strip\.png is {width} x {height} pixels, a dot or a strip"
        ):
            pictures.read_image(path, size)
    Image.new("RGB", (400, 2)).save(path)
    assert pictures.read_image(path).shape == (2, 400, 3)


@pytest.mark.parametrize("size", [0, 48])
def test_a_clip_that_is_a_strip_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "strip.mp4"
    path.write_bytes(encode(np.zeros((4, 2, 804, 3), np.uint8), 2.0))
    with pytest.raises(WorkbookError, match=r"strip\.mp4 is 804 x 2 pixels"):
        frames.load(path, Frames(4, size))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["image", "video"])
def test_what_a_processor_refuses_names_file_and_row(family: str, kind: str) -> None:
    from transformers.video_utils import VideoMetadata

    about = VideoMetadata(
        total_num_frames=4, fps=2.0, width=500, height=2, duration=2.0, frames_indices=[0, 1, 2, 3]
    )
    strip = np.zeros((2, 500, 3) if kind == "image" else (4, 2, 500, 3), np.uint8)
    encoder = media.Encoder(
        stock(family), Frames(4, 0), load=lambda *_: (strip, None if kind == "image" else about)
    )
    encoder.rows = {"strip": "problem_id 7"}
    for ask in (
        lambda: encoder.prove((kind, "strip")),
        lambda: encoder.encode([media.Prompt("?", ((kind, "strip"),))]),
    ):
        with pytest.raises(
            WorkbookError, match=r"processor refuses strip \(2, 500\).*\(Row: problem_id 7\.\)$"
        ):
            ask()


def test_a_shape_is_proved_once() -> None:
    class Counting:
        def __init__(self) -> None:
            self.calls, self.inner = 0, stock("qwen3_vl")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return self.inner(*args, **kwargs)

    processor = Counting()
    encoder = media.Encoder(
        processor,
        Frames(4, 0),
        load=lambda _, path: (np.zeros((40, 40 + len(path), 3), np.uint8), None),
    )
    for path in ("a", "b", "cc"):
        encoder.prove(("image", path))
    assert processor.calls == 2


# -------------------------------------------------------------------------- training and evaluation


def damaged_rows(folder: Path) -> tuple[Path, int]:
    """A data folder with six bad pictures, each of one row, and how many those are."""
    write_data(folder)
    still = folder / "videos" / "still.png"
    lines = (folder / "train.jsonl").read_text().splitlines()
    image = next(row for row in map(json.loads, lines) if row["data_type"] == "image")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])
    Image.new("RGB", (800, 2)).save(folder / "strip.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    flipped = bytearray(still.read_bytes())
    flipped[flipped.index(b"IDAT") + 20] ^= 1
    (folder / "flipped.png").write_bytes(flipped)
    (folder / "text.png").write_bytes(b"no picture")
    names = ["cut.jpg", "strip.png", "dot.png", "flipped.png", "text.png", "gone.png"]
    for number, name in enumerate(names):
        lines.append(json.dumps({**image, "problem_id": 7000 + number, "path": name}))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return folder, len(names)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 56])
def test_rows_of_bad_pictures_are_dropped_and_counted(tmp_path: Path, size: int) -> None:
    model = tiny_model(tmp_path / "base", "qwen3_vl")
    data, bad = damaged_rows(tmp_path / "data")
    profile = SMOKE.with_overrides(size=size)
    with pytest.warns(UserWarning, match="left out: ") as told:
        folder = train.run(
            profile, "sft", "lora", 0, data, tmp_path / "out", model=model, broken_media="drop"
        )
    lines = [str(w.message) for w in told if "left out" in str(w.message)]
    assert len(lines) == bad
    assert all(
        f"(Row: problem_id {7000 + k}.)" in lines[k] and "\n" not in lines[k] for k in range(bad)
    )
    for row in read_jsonl(folder / "metrics.jsonl"):
        assert (row["dropped_media"], row["dropped_rows"]) == (bad, bad)


@pytest.mark.slow
def test_a_bad_picture_ends_training_and_evaluation_in_a_line_with_file_and_row(
    tmp_path: Path,
) -> None:
    model = tiny_model(tmp_path / "base", "qwen3_vl")
    data, _ = damaged_rows(tmp_path / "data")
    lines = (data / "train.jsonl").read_text().splitlines()
    strip = next(line for line in lines if "strip.png" in line)
    only = Path(shutil.copytree(data, tmp_path / "only"))
    (only / "train.jsonl").write_text(strip + "\n")
    with pytest.raises(
        WorkbookError, match=r"strip\.png is 800 x 2 pixels.*\(Row: problem_id 7001\.\)$"
    ):
        train.run(SMOKE, "sft", "lora", 0, only, tmp_path / "out", model=model)
    asked = [evaluate.Item("row 3", "What is this?", (("image", str(data / "dot.png")),))]
    with pytest.raises(WorkbookError, match=r"dot\.png is 1 x 1 pixels.*\(Row: row 3\.\)$"):
        evaluate.generate(
            model, asked, tmp_path / "answers", frames=Frames(4, 0), batch=1, max_new_tokens=4
        )
