"""What the training tests share: tiny models that react to pixels, short clips, rows of every kind,
a trainer in one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spacer_utils.core.mp4 import encode
from spacer_utils.core.profiles import Frames
from spacer_utils.core.types import Sample
from spacer_utils.nano_base import nano
from spacer_utils.training import encoder as media

FAMILIES = ("qwen3_vl", "qwen2_5_vl")
FRAMES = Frames(num_frames=4, size=56)
MAP = {"chair": [[1, 2]], "table": [[5, 5], [7, 1]]}


def tiny_model(out: Path, family: str, spread: float = 0.2) -> str:
    """A tiny checkpoint with large random weights: its log-probabilities depend on every input,
    unlike those of a fresh one."""
    import torch
    from transformers import AutoModelForImageTextToText

    nano.build(out, seed=0, size="tiny", family=family)  # type: ignore[arg-type]
    model: Any = AutoModelForImageTextToText.from_pretrained(out)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.normal_(0, 0.6 if "embed_tokens" in name else spread, generator=generator)
    model.save_pretrained(out)
    return str(out)


def write_data(folder: Path, clips: int = 4, per_clip: int = 2) -> Path:
    """A dataset folder: short random clips of different length, questions with maps, one image row
    and one text row."""
    rng = np.random.default_rng(0)
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    rows, maps = [], []
    for k in range(clips):
        frames = np.kron(
            rng.integers(0, 255, (8 - 2 * (k % 3), 8, 8, 3), dtype=np.uint8),
            np.ones((1, 7, 7, 1), dtype=np.uint8),
        )
        (folder / "videos" / f"v{k}.mp4").write_bytes(encode(frames, 2.0))
        maps.append({"video_id": f"v{k}", "cognitive_map": MAP, "object_list": list(MAP)})
        rows += [
            Sample(
                k * 10 + j,
                f"How many {('chair', 'table')[j % 2]}s are in this room?",
                "video",
                "numerical",
                (),
                f"<answer>{1 + j % 2}</answer>",
                f"videos/v{k}.mp4",
                "test",
                ("object_count", "room_size")[j % 2],
                f"room{k}",
                f"v{k}",
                ("chair",),
            )
            for j in range(per_clip)
        ]
    from PIL import Image

    Image.fromarray(frames[0]).save(folder / "videos" / "still.png")
    picture = "videos/still.png"
    rows += [
        Sample(
            900,
            "What is this?",
            "image",
            "free-form",
            (),
            "<answer>room</answer>",
            picture,
            "test",
            "general",
        ),
        Sample(
            901,
            "What is 2 + 2?",
            "text",
            "numerical",
            (),
            "<answer>4</answer>",
            "",
            "test",
            "general",
        ),
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(r.to_row()) + "\n" for r in rows))
    (folder / "cognitive_map.jsonl").write_text("".join(json.dumps(m) + "\n" for m in maps))
    return folder


class Clips:
    """A loader of made-up media: ``path`` seeds the picture, ``x8`` in it is the number of frames;
    frames can be changed."""

    def __init__(self, fps: float = 2.0) -> None:
        self.fps = fps
        self.changed: dict[str, int] = {}
        """Path -> frame that gets other pixels."""
        self.calls: list[str] = []

    def __call__(self, kind: str, path: str) -> tuple[Any, Any]:
        from transformers.video_utils import VideoMetadata

        self.calls.append(path)
        rng = np.random.default_rng([ord(c) for c in path])
        count = int(path.split("x")[1]) if kind == "video" else 1
        frames = np.kron(
            rng.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8),
            np.ones((1, 14, 14, 1), dtype=np.uint8),
        )
        if path in self.changed:
            frames[self.changed[path]] = 255 - frames[self.changed[path]]
        if kind == "image":
            return frames[0], None
        return frames, VideoMetadata(
            total_num_frames=count,
            fps=self.fps,
            width=56,
            height=56,
            duration=count / self.fps,
            frames_indices=list(range(count)),
            video_backend="none",
        )


MIXED: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("How many chairs are in this room?", (("video", "a-x6"),)),
    ("What is 2 + 2?", ()),
    (
        "Is the sofa larger than the table?",
        (("video", "b-x4"), ("image", "still"), ("video", "c-x2")),
    ),
    ("What is this?", (("image", "still"),)),
)
"""One row per kind: one video, none, several media, an image."""


def dataset(rows: Sequence[tuple[str, tuple[tuple[str, str], ...]]]) -> Any:
    from datasets import Dataset

    def sample(k: int, text: str) -> Sample:
        return Sample(
            k,
            text,
            "video",
            "numerical",
            (),
            "<answer>2</answer>",
            "",
            "test",
            "count",
            cognitive_map=MAP,
        )

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": text}],
                "media": json.dumps(media),
                "sample": sample(k, text).to_json_text(),
            }
            for k, (text, media) in enumerate(rows)
        ]
    )


def vowels(completions: Any, **_: Any) -> list[float]:
    """A reward that any text can earn, different from row to row."""
    return [sum(c[0]["content"].count(v) for v in "aeiou") / 10 for c in completions]


def lora(rank: int = 4) -> Any:
    from peft import LoraConfig

    from spacer_utils.training.loop import LORA_TARGETS

    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=LORA_TARGETS, task_type="CAUSAL_LM"
    )


def grpo(
    model: str,
    out: Path,
    clips: Clips,
    *,
    tuning: str = "full",
    rows: Any = MIXED,
    rewards: Sequence[Callable[..., Any]] = (vowels,),
    shuffled: int = 0,
    on_rollouts: Any = None,
    credit_by: Any = "completion",
    skip_groups: Any = "none",
    **config: Any,
) -> Any:
    """A ``VideoGRPOTrainer`` on the CPU; ``config`` goes to TRL's GRPOConfig."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import GRPOConfig

    from spacer_utils.training.grpo import VideoGRPOTrainer
    from spacer_utils.training.vision import repair_positions

    torch.set_num_threads(1)
    repair_positions()
    count = len(rows) * config.get("num_generations", 2)
    settings = {
        "output_dir": str(out),
        "per_device_train_batch_size": count,
        "num_generations": 2,
        "max_completion_length": 8,
        "beta": 0.04,
        "loss_type": "grpo",
        "use_bias_correction_kl": False,
        "learning_rate": 1e-3,
        "max_steps": 2,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "logging_steps": 1,
        "shuffle_dataset": False,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "disable_tqdm": True,
        **config,
    }
    encoder = media.Encoder(
        AutoProcessor.from_pretrained(model, padding_side="left"), FRAMES, load=clips
    )
    made = VideoGRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model),
        args=GRPOConfig(**settings),
        reward_funcs=list(rewards),
        train_dataset=dataset(rows),
        encoder=encoder,
        on_rollouts=on_rollouts,
        shuffled=shuffled,
        credit_by=credit_by,
        skip_groups=skip_groups,
        peft_config=lora() if tuning == "lora" else None,
    )
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def inputs(trainer: Any) -> list[dict[str, Any]]:
    """One generation batch as TRL's sampler gives it: every row G times."""
    return [row for row in trainer.train_dataset for _ in range(trainer.num_generations)]
