"""Loaded checkpoints that answer batches of prompts, through transformers or vLLM.

PyTorch is imported only when a checkpoint is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from ..core.profiles import Frames
from ..core.types import IMAGE

Mode = Literal["video", "blind", "shuffled"]
"""``blind`` drops the media from the prompt. ``shuffled`` permutes the frames, but no timestamps."""


@dataclass(frozen=True)
class Item:
    """One prompt to answer."""

    key: str
    """Unique within the evaluation."""
    text: str
    """The user turn."""
    media: tuple[tuple[str, str], ...] = ()
    """``("video" | "image", absolute path)`` in order. They come before the text, or at its marks
    ``<image>``."""
    begun: str = ""
    """The beginning of the completion, which the model goes on with."""


@dataclass(frozen=True)
class Prediction:
    """What a model answered to an item."""

    key: str
    """The item's."""
    output: str
    """The whole completion."""
    tokens: int
    """Written tokens, without the one that ends."""
    truncated: bool
    """The token budget ended before the model did."""


class Answerer:
    """A loaded checkpoint that answers batches of items."""

    def __init__(
        self,
        model: str,
        frames: Frames,
        mode: Mode = "video",
        seed: int = 0,
        temperature: float = 0.0,
        device: str | None = None,
        cache: Path | None = None,
    ) -> None:
        """
        Args:
            model: folder of a checkpoint, or a hub id.
            seed: of shuffled frames and sampled answers.
            temperature: of the sampling; 0 takes the most likely token every time.
            device: None: the first GPU if there is one.
            cache: folder of decoded frames to share (see ``core.frames.load``).

        Raises:
            WorkbookError: the checkpoint is not whole, takes no video, or its engine is missing.
        """
        from ..training import encoder, models

        self.mode, self.seed, self.temperature = mode, seed, temperature
        self.processor = models.load_processor(model)
        self.encoder = encoder.Encoder(self.processor, frames, cache=cache)
        self._load(model, device)

    def _load(self, model: str, device: str | None) -> None:
        """Load the weights, and the rules by which the checkpoint writes."""
        from ..core import torchvision_operators  # noqa: F401  # isort: skip
        import torch
        from transformers import TemperatureLogitsWarper
        from transformers.utils.logging import disable_progress_bar

        from ..training import models, rollouts, vision

        disable_progress_bar()
        vision.repair_positions()
        self.device = device or (
            f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        )
        dtype = torch.bfloat16 if self.device.startswith("cuda") else torch.float32
        self.model = models.load(model, dtype).to(self.device).eval()
        self._sight = vision.SharedVision(self.model)
        self._filters, self._stop = rollouts.rules(
            self.model.generation_config, self.processor, self.device
        )
        if self.temperature:
            self._filters.append(TemperatureLogitsWarper(self.temperature))

    def answer(self, items: Sequence[Item], max_new_tokens: int) -> list[Prediction]:
        """Completions of one batch, the checkpoint's own repetition penalty included.

        Sampled ones depend on the seed and the batch alone.
        """
        import torch

        from ..training import rollouts

        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(crc32(repr((self.seed, [i.key for i in items])).encode()))
            found = rollouts.complete(
                self.model,
                self._sight,
                self._encode(items),
                self.processor,
                max_new_tokens,
                self._filters,
                self._stop,
                rollouts.drawn if self.temperature else rollouts.most_likely,
            )
            return self._predictions(items, found)

    def _encode(self, items: Sequence[Item]) -> Any:
        """The batch that the model reads, in the evaluation's mode."""
        from ..training.encoder import Prompt

        prompts = [
            Prompt(i.text.replace(IMAGE, ""), (), i.begun)
            if self.mode == "blind"
            else Prompt(i.text, i.media, i.begun)
            for i in items
        ]
        self.encoder.rows = {path: i.key for i in reversed(items) for _, path in i.media}
        return self.encoder.encode(
            prompts, shuffle_seed=self.seed if self.mode == "shuffled" else None
        )

    def _predictions(
        self, items: Sequence[Item], found: Iterable[tuple[list[int], bool]]
    ) -> list[Prediction]:
        """Text of each item's tokens; the flag says whether the last one ended the completion."""
        decode = self.processor.tokenizer.decode
        texts = [(tokens[: len(tokens) - ended], ended) for tokens, ended in found]
        return [
            Prediction(
                item.key,
                item.begun + decode(tokens, skip_special_tokens=True),
                len(tokens),
                not ended,
            )
            for item, (tokens, ended) in zip(items, texts)
        ]


class VllmAnswerer(Answerer):
    """The same through vLLM, on a GPU. The ids that it reads are compared with ours."""

    def _load(self, model: str, device: str | None) -> None:
        """Start vLLM with the checkpoint's own rules.

        Raises:
            WorkbookError: vllm is missing, or of an unproven version.
        """
        from ..core import torchvision_operators  # noqa: F401  # isort: skip
        from transformers import GenerationConfig

        from ..training import encoder, rollouts, vllm_rollouts

        vllm_rollouts.check()
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

        settings = GenerationConfig.from_pretrained(model)
        self._stop = rollouts.rules(settings, self.processor)[1]
        self._sampling = partial(
            SamplingParams,
            temperature=self.temperature,
            repetition_penalty=settings.repetition_penalty or 1.0,
            logit_bias={token: -100.0 for token in encoder.vision_tokens(self.processor)},
        )
        self.llm = LLM(model=model, seed=self.seed, max_model_len=vllm_rollouts.longest(model))

    def answer(self, items: Sequence[Item], max_new_tokens: int) -> list[Prediction]:
        """Completions of one batch, as vLLM rounds."""
        from ..training import vllm_rollouts

        # Send the prompts with their media.
        batch = self._encode(items)
        sent = vllm_rollouts.requests(batch, range(len(items)), self.encoder)
        outputs = self.llm.generate(
            [{k: v for k, v in r.items() if k != "expanded"} for r in sent],
            self._sampling(max_tokens=max_new_tokens),
            use_tqdm=False,
        )
        vllm_rollouts.same(sent, [o.prompt_token_ids for o in outputs])

        # Cut each completion behind its first end.
        written = [list(o.outputs[0].token_ids) for o in outputs]
        ends = [
            next((k + 1 for k, token in enumerate(tokens) if token in self._stop), None)
            for tokens in written
        ]
        return self._predictions(
            items, [(tokens[:end], end is not None) for tokens, end in zip(written, ends)]
        )
