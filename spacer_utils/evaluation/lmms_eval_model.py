"""Lets lmms-eval run this workbook's checkpoints: ``lmms_eval --model spacer_workbook --model_args
pretrained=FOLDER``.

The entry point ``lmms_eval.models`` of this package names ``manifest``; nothing here is needed, or
imported, without lmms-eval.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core import profiles
from . import evaluate
from .answerer import Answerer, Item

try:
    from lmms_eval.api.model import lmms as Base
except ImportError:
    Base = object


def manifest() -> Any:
    """What lmms-eval's registry wants to know of the model."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("spacer_workbook", simple_class_path=f"{__name__}.WorkbookModel")


class WorkbookModel(Base):  # type: ignore[misc]
    """A checkpoint behind lmms-eval's simple interface, with the frames and the batches of a
    profile.

    lmms-eval itself gives batches of one, if ``--batch_size`` says nothing else.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        profile: str = "cpu",
        num_frames: int = 0,
        batch_size: int | str = 0,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        """
        Args:
            num_frames: evenly spaced ones of a clip, for tasks whose answers hold for so many
                (ReVSI); 0: the profile's.
            batch_size: 0 or ``auto``: the profile's.
            max_batch_size: lmms-eval always gives it; batches never grow here.
        """
        super().__init__()
        self.settings = profiles.get(profile)
        wanted = 0 if str(batch_size).startswith("auto") else int(batch_size)
        self.batch = wanted or self.settings.evaluation.batch
        frames = self.settings.frames
        if num_frames:
            frames = replace(frames, num_frames=int(num_frames), sampling="uniform")
        self.answerer = Answerer(pretrained, frames, device=device)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Greedy texts in the order of the requests ``(context, gen_kwargs, doc_to_visual, doc_id,
        task, split)``."""
        with tempfile.TemporaryDirectory() as folder:
            items: dict[int, list[Item]] = {}
            for number, request in enumerate(requests):
                context, options, doc_to_visual, doc_id, task, split = request.args
                visuals = doc_to_visual(self.task_dict[task][split][doc_id])
                media = tuple(
                    _medium(v, Path(folder) / f"{number}_{k}.png") for k, v in enumerate(visuals)
                )
                budget = int(
                    options.get("max_new_tokens") or self.settings.evaluation.max_new_tokens
                )
                items.setdefault(budget, []).append(Item(str(number), context, media))
            found = {
                p.key: p.output
                for budget, group in items.items()
                for batch in evaluate.batches(group, self.batch)
                for p in self.answerer.answer(batch, budget)
            }
        return [found[str(number)] for number in range(len(requests))]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        raise NotImplementedError(
            "the workbook's benchmarks are scored on generated text, not on likelihoods"
        )

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise NotImplementedError("the workbook's benchmarks have one round")


def _medium(visual: Any, path: Path) -> tuple[str, str]:
    """A video's path as it is; a picture by way of a file."""
    if isinstance(visual, str):
        return ("video", visual)
    visual.save(path)
    return ("image", str(path))
