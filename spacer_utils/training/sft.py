"""Supervised fine-tuning on video with TRL's trainer: the model sees the pixels and the loss is on
the completion alone.

TRL 1.16 ignores the pixels of a ``videos`` column, and raises no error. A collator and a vision
context of our own give the model its media.

On a CPU it scores every position of a row with all words, media and prompt included, to spare other
devices new shapes. Here it scores the completion alone, as on GPUs: with a real vocabulary most of a
CPU's time went there.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import json
import time
from collections.abc import Sequence
from typing import Any

from trl import SFTTrainer
from trl.trainer import utils as trl_utils

from .checkpoints import Resumable
from .encoder import Batch, Encoder, Prompt, pad, token_types
from .logs import peak_memory_mb
from .vision import SharedVision

trl_utils._use_triton = lambda device: True  # read there for this choice alone


class Collator:
    """Rows ``{prompt, media, completion}`` -> padded token ids, labels and the batch of media that
    the rows point at."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.seconds = 0.0
        """Spent on reading and processing media since it was last set to 0."""

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Labels are -100 on the prompt, its media and the padding; the completion ends with the
        end-of-turn token."""
        start = time.perf_counter()
        batch = self.encoder.encode(
            [Prompt(r["prompt"], tuple((k, p) for k, p in json.loads(r["media"]))) for r in rows]
        )
        self.seconds += time.perf_counter() - start
        words = self.encoder.processor.tokenizer
        targets = [
            words(r["completion"], add_special_tokens=False)["input_ids"] + [words.eos_token_id]
            for r in rows
        ]
        ids, mask = pad(
            [prompt + target for prompt, target in zip(batch.ids, targets)],
            words.pad_token_id,
            "right",
        )
        labels, _ = pad(
            [[-100] * len(prompt) + target for prompt, target in zip(batch.ids, targets)],
            -100,
            "right",
        )
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels,
            "mm_token_type_ids": token_types(ids, self.encoder.processor),
            "media": batch,
        }


class VideoSFTTrainer(Resumable, SFTTrainer):  # type: ignore[misc]
    """TRL's SFT trainer over rows with no, one or several videos and images.

    The dataset has the columns ``prompt`` (text of the user turn), ``media`` (JSON list of ``[kind,
    path]``) and ``completion``.
    """

    _total_train_tokens: int

    def __init__(self, *args: Any, encoder: Encoder, **kwargs: Any) -> None:
        self.encoder, self.collate = encoder, Collator(encoder)
        super().__init__(
            *args, processing_class=encoder.processor, data_collator=self.collate, **kwargs
        )
        self._sight = SharedVision(
            self.model, always=self.is_fsdp_enabled or self.is_deepspeed_enabled
        )

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        batch: Batch = inputs["media"]
        # TRL forgets its count when a run is resumed
        if not self._total_train_tokens and self.state.log_history:
            self._total_train_tokens = self.state.log_history[-1]["num_tokens"]
        texts = {k: v for k, v in inputs.items() if k != "media"}
        self._metrics["train" if model.training else "eval"]["vision_tokens"].append(
            float(sum(batch.tokens(row, self.encoder.merge) for row in range(len(batch.rows))))
        )
        with self._sight.rows(batch, range(len(batch.rows)), inputs["input_ids"].device) as media:
            return super().compute_loss(model, {**texts, **media}, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs |= {"seconds/decode": self.collate.seconds, "peak_memory_mb": peak_memory_mb()}
        self.collate.seconds = 0.0
        super().log(logs, start_time)
