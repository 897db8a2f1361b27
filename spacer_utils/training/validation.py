"""Validation while training: how right the model is about rooms that it is not trained on.

The same held-out questions are asked before the first step, every ``validate_steps`` steps and after
the last, in every run: all of them greedily, and a quarter also four times at temperature 1. Means go
into ``metrics.jsonl``, the outcome of every question into ``validation.jsonl``. Nothing is chosen by
them, and the run's random numbers are those of a run without validation.

Accuracy and map scores are those of the strict rewards, whatever the method is paid for.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from .. import rewards
from ..core import answers, prompts
from ..core.files import append_jsonl, inside
from ..core.registry import METHODS
from ..core.types import Sample, WorkbookError
from . import logs, rollouts
from .encoder import Encoder, Prompt
from .plan import Plan

PARTS, DRAWN = 4, 4
"""The first of ``PARTS`` parts of the questions is also answered ``DRAWN`` times at temperature 1."""


def apart(train: Iterable[Sample], asked: Iterable[Sample]) -> None:
    """Refuse validation questions about rooms of the training rows.

    Raises:
        WorkbookError: a room, or a medium where rows name no room, is in both.
    """

    def places(samples: Iterable[Sample]) -> set[str]:
        return {place for s in samples for place in (s.scene_id, s.path) if place}

    if both := sorted(places(train) & places(asked)):
        raise WorkbookError(
            f"{len(both)} rooms or media of heldout.jsonl are in train.jsonl too, for example {both[0]}. "
            "Take their rows out of one of the two, or set validate_steps=0."
        )


class Validation(TrainerCallback):  # type: ignore[misc]
    """Asks ``samples`` while ``trainer`` trains; every process answers its share."""

    def __init__(
        self, plan: Plan, trainer: Any, metrics: logs.MetricsLog, samples: Sequence[Sample]
    ) -> None:
        self.plan, self.trainer, self.metrics = plan, trainer, metrics
        self.samples = samples
        self.encoder = Encoder(
            trainer.encoder.processor, plan.profile.frames, cache=trainer.encoder.cache
        )
        with_map = METHODS[plan.method].with_map
        self.prompts = [
            Prompt(
                prompts.user_text(s, plan.profile.prompt_style, with_map),
                () if s.data_type == "text" else ((s.data_type, str(inside(plan.data, s.path))),),
            )
            for s in self.samples
        ]

    # ------------------------------------------------------------------------------------------ when

    def _due(self, state: Any) -> bool:
        step, every = int(state.global_step), self.plan.profile.train.validate_steps
        return step % every == 0 or step == int(state.max_steps)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self.validate(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self._due(state):
            control.should_log = True
        return control

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Before the step's checkpoint: what is in a checkpoint's past is also in the logs."""
        if logs and "loss" in logs and self._due(state):
            self.validate(state.global_step)

    # ------------------------------------------------------------------------------------------- what

    def validate(self, step: int) -> None:
        """Answer, score and log."""
        start = time.perf_counter()
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        for part in logs.gather(self._answered(step)):
            found[part.pop("question")].update(part)
        if not self.trainer.accelerator.is_main_process:
            return
        rows = [
            {
                "step": step,
                "problem_id": s.problem_id,
                "question_type": s.question_type,
                "scene_id": s.scene_id,
                **found[k],
            }
            for k, s in enumerate(self.samples)
        ]
        append_jsonl(self.plan.out / logs.VALIDATION, rows)
        seconds = time.perf_counter() - start
        self.metrics.note(step, {**summary(rows), "seconds/validation": seconds})

    def _answered(self, step: int) -> logs.Rows:
        """What this process has to say about its questions: ``question`` (its number) with
        ``accuracy`` and ``map``, or with ``sampled``."""
        size = self.plan.profile.evaluation.batch
        sampled = range(-(-len(self.samples) // PARTS))  # the first are as even over types as all
        found: logs.Rows = []
        with self._generating() as model:
            for _, questions in self._share(range(len(self.samples)), size):
                texts = self._texts(model, questions, rollouts.most_likely)
                found += [self._scored(k, text) for k, text in zip(questions, texts)]
            for number, questions in self._share(sampled, max(1, size // DRAWN)):
                seeds = np.random.SeedSequence([self.plan.seed, step, number])
                torch.manual_seed(int(seeds.generate_state(1)[0]))
                rows = [k for k in questions for _ in range(DRAWN)]
                right = [
                    self._scored(k, text)["accuracy"]
                    for k, text in zip(rows, self._texts(model, rows, rollouts.drawn))
                ]
                found += [
                    {"question": k, "sampled": right[n * DRAWN : (n + 1) * DRAWN]}
                    for n, k in enumerate(questions)
                ]
        return found

    def _share(self, questions: Sequence[int], size: int) -> Iterator[tuple[int, list[int]]]:
        """Numbered batches of this process; batches are the same for any number of processes.

        With sharded parameters all processes answer the same number of batches, since a forward
        needs every one of them: some answer their first one again.
        """
        ordered = sorted(questions, key=lambda k: (self.samples[k].path, k))
        batches = [
            (n, ordered[start : start + size])
            for n, start in enumerate(range(0, len(ordered), size))
        ]
        here, world = self.trainer.accelerator.process_index, self.trainer.accelerator.num_processes
        mine = batches[here::world]
        if self.trainer._sight.always:
            most = -(-len(batches) // world)
            mine += [batches[here % len(batches)]] * (most - len(mine))
        yield from mine

    def _scored(self, question: int, text: str) -> dict[str, Any]:
        sample, answer = self.samples[question], answers.parse(text)
        accuracy, _ = rewards.term("accuracy", sample, answer)
        drawn = None
        if METHODS[self.plan.method].with_map:
            drawn, _ = rewards.term("map_calibrated", sample, answer)
        return {"question": question, "accuracy": accuracy or 0.0, "map": drawn}

    # -------------------------------------------------------------------------------------------- how

    @contextlib.contextmanager
    def _generating(self) -> Iterator[Any]:
        """The model, as the trainer's own rollouts see it, and as many random numbers as one likes:
        the run's go on where they were."""
        trainer, device = self.trainer, self.trainer.accelerator.device
        training = trainer.model.training
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.no_grad(),
            unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                getattr(trainer.args, "ds3_gather_for_generation", True),
                gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
            ) as model,
        ):
            trainer.model.eval()
            try:
                yield model
            finally:
                trainer.model.train(training)

    def _texts(self, model: Any, questions: Sequence[int], choose: rollouts.Choice) -> list[str]:
        """One completion per question, the checkpoint's own repetition penalty included."""
        trainer, processor = self.trainer, self.encoder.processor
        filters, stop = rollouts.rules(
            model.generation_config, processor, trainer.accelerator.device
        )
        found = rollouts.complete(
            model,
            trainer._sight,
            self.encoder.encode([self.prompts[k] for k in questions]),
            processor,
            self.plan.profile.evaluation.max_new_tokens,
            filters,
            stop,
            choose,
            partial(rollouts.ended_everywhere, trainer.accelerator)
            if trainer._sight.always
            else bool,
        )
        texts: list[str] = processor.batch_decode(
            [tokens for tokens, _ in found], skip_special_tokens=True
        )
        return texts


def summary(rows: logs.Rows) -> dict[str, float]:
    """Metrics of one validation.

    Accuracies are 0-1: means over question types of the means of their questions, and the mean of
    each type. The map score is the mean over questions about rooms with a true map.
    """
    by_type: dict[str, list[float]] = defaultdict(list)
    drawn: dict[str, list[float]] = defaultdict(list)
    for r in rows:
        by_type[r["question_type"]].append(r["accuracy"])
        drawn[r["question_type"]] += r.get("sampled", [])
    maps = [r["map"] for r in rows if r["map"] is not None]
    found = {
        "validation/accuracy": _macro(by_type),
        "validation/accuracy_sampled": _macro(drawn),
        **{f"validation/accuracy/{kind}": _mean(by_type[kind]) for kind in sorted(by_type)},
        "validation/questions": len(rows),
        "validation/questions_sampled": sum("sampled" in r for r in rows),
        "validation/rooms": len({r["scene_id"] for r in rows}),
    }
    return found | ({"validation/map": _mean(maps)} if maps else {})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _macro(by_type: Mapping[str, Sequence[float]]) -> float:
    return _mean([_mean(values) for values in by_type.values() if values])
