"""How the nano base is made (``make base``, notebook A1): it learns to copy, to look, to draw maps, to
read maps, and to answer.

The four stages, in order:

* ``copy``: write down random maps that the prompt gives as text. Maps of videos need copying, too.
* ``look``: no question. Every vision token of the tower and of the lower layers is trained to know
  what it shows, in which map cell that stands, and where the camera is.
* ``answer``: draw maps of rooms of the profile's difficulty, read them step by step, and answer.
* ``mix``: like ``answer``, but only a share of the maps is read.

From ``look`` on, every step also has text-only rows: maps to copy, made-up maps to read, and drills
of single steps. What a stage leaves out is forgotten within a few hundred steps.

So in the end the base imitates annotators of different care. All draw the map that they are asked
for, but only a share of them (``Recipe.care``) works the answer out on it; the others write the
answer straight behind the map. The base knows how to read a map, and seldom does. That is what
reinforcement can find.

Wherever a clip is asked about, attention is trained to look at the right tokens (``grounding``), and
the labels of vision tokens and text-only rows go along. Every batch is drawn from ``(seed, stage,
step)``, so a killed run goes on where it stood and gives the same weights.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..core import folders
from ..core.files import (
    MODEL_FILES,
    append_jsonl,
    model_files,
    read_jsonl,
    sha256,
    write_atomic,
    write_jsonl,
)
from ..core.profiles import CHECKSUMS, PROJECT, Profile
from ..core.types import WorkbookError
from ..training import finite, models
from ..training.plan import OnStep
from . import nano
from .fresh_rooms import FreshRooms
from .losses import look_step, map_step, text_step
from .map_copies import MapCopies
from .map_questions import Readings
from .optimiser import Optimiser
from .perception import Heads


@dataclass(frozen=True)
class Recipe:
    """Sizes of the stages."""

    copy_steps: int
    look_steps: int
    answer_steps: int
    mix_steps: int
    batch: int = 16
    """Rooms per step."""
    questions: int = 2
    """Questions about each room, one of them with a map: its clip is looked at once for both."""
    copied_maps: int = 40
    """Rows per step of stage ``copy``, while its maps are short."""
    text_rows: int = 4
    """Maps to copy per step of the other stages."""
    readings: int = 8
    """Made-up maps to read per step of the other stages."""
    drills: int = 24
    """Of single steps of reading; they are short."""
    full_rooms: float = 0.5
    """Share of rooms of difficulty ``real`` in stage ``look``: there things of all categories are
    seen."""
    care: float = 0.35
    """Share of the maps of clips that are read before the answer in stage ``mix``."""
    answer_weight: float = 5.0
    """Weight of the tokens inside ``<answer>`` where clips are asked about. They are three among a
    hundred, and with the weight of any other token the model did not learn how large a bed is."""
    text_lr: float = 1.5e-3
    """Learning rate of stages ``copy`` and ``look``."""
    answer_lr: float = 1e-3
    """Higher, it spoils for long what tokens knew."""
    mix_lr: float = 3e-4
    warmup: int = 30
    save_steps: int = 50
    threads: int = 1
    """Threads of the trainer on a CPU, beside the process that draws rooms."""
    workers: int = 1
    """Processes that draw rooms; on a GPU they set the pace. Batches are the same for any
    number."""


STAGES = ("copy", "look", "answer", "mix")
WRITES = (
    "metrics.jsonl",
    *(f"{stage}.pt" for stage in STAGES),
    "start",
    "model",
    "model/recipe.json",
    *(f"{folder}/{name}" for folder in ("start", "model") for name in MODEL_FILES),
)
"""Paths that a training writes in its folder."""
SHORT = Recipe(
    copy_steps=2,
    look_steps=4,
    answer_steps=4,
    mix_steps=2,
    batch=4,
    copied_maps=8,
    readings=3,
    drills=4,
    text_rows=2,
    warmup=2,
    save_steps=2,
)
"""Enough to see that every stage runs."""
FULL = Recipe(copy_steps=250, look_steps=900, answer_steps=800, mix_steps=100)
"""The whole recipe, on two cores: one trains and one draws."""
MEND = "The last saved state stays. Lower the recipe's learning rate."


def whole() -> Recipe:
    """What ``make base`` runs here: ``FULL``, on a GPU with four times the rooms per step, drawn by
    all cores but two."""
    if not torch.cuda.is_available():
        return FULL
    return replace(FULL, batch=4 * FULL.batch, workers=max(1, (os.cpu_count() or 1) - 2))


def train(
    out: Path,
    profile: Profile,
    recipe: Recipe,
    *,
    seed: int = 0,
    start: Path | None = None,
    overwrite: bool = False,
    progress: OnStep | None = None,
) -> Path:
    """Train the nano base, or go on where a killed run stopped; the checkpoint stands in
    ``out/model``.

    Args:
        out: a folder of its own; what an unfinished training of another recipe, seed or size of
            frames has left there goes.
        profile: gives frame count, frame size and prompt style; its model is not used.
        seed: of weights and rooms; other rooms than those of any dataset with another seed.
        start: folder of the base to train on, without stages ``copy`` and ``look``; None: random
            weights.
        overwrite: replace a finished base of other settings; only files that the workbook has
            written there are deleted.

    Raises:
        WorkbookError: a loss, a gradient or a weight that is to be saved is not finite; ``start``
            holds no model; or a finished base of other settings, somebody's files or another
            process are in the way.
    """
    from transformers import logging

    logging.disable_progress_bar()
    if start and not (start / "config.json").is_file():
        raise WorkbookError(f"{start} holds no model to train on: it has no config.json.")
    if start:
        recipe = replace(recipe, copy_steps=0, look_steps=0)
    with folders.held(out):
        record = folders.begin(
            out, _inputs(out, profile, recipe, seed, start), WRITES, overwrite=overwrite, alone=True
        )
        record.add(("metrics.jsonl", *(f"{stage}.pt" for stage in STAGES)))
        with record.saving("start"):
            if start:
                for name, path in model_files(str(start)).items():
                    write_atomic(out / "start" / name, path.read_bytes())
            else:
                nano.build(out / "start", seed=seed)
        model, processor = _taught(out, profile, recipe, seed, progress)
        with record.saving("model"):
            target = _finish(out, model, processor, recipe, seed)
        record.finish()
    return target


def _taught(
    out: Path, profile: Profile, recipe: Recipe, seed: int, progress: OnStep | None
) -> tuple[Any, Any]:
    """The model after all stages, and its processor."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    processor = models.load_processor(out / "start")
    model = models.load(out / "start", torch.float32)
    model.to(device).train()
    torch.manual_seed(seed)
    heads = Heads(model.config.text_config.hidden_size).to(device)
    rooms = partial(
        FreshRooms, processor, profile, recipe.batch, seed=seed, text_rows=recipe.text_rows
    )
    readings = partial(
        Readings, processor, profile, recipe.readings, drills=recipe.drills, seed=seed
    )

    # what each stage is shown
    copied = MapCopies(processor, profile, recipe.copied_maps, seed, recipe.copy_steps)
    looked = rooms(
        stage="look",
        full_rooms=recipe.full_rooms,
        readings=readings(stage="look", steps=recipe.look_steps),
    )
    answered, mixed = (
        rooms(
            stage=stage,
            questions=recipe.questions,
            care=care,
            readings=readings(stage=stage),
        )
        for stage, care in (("answer", 1.0), ("mix", recipe.care))
    )

    # what each stage is paid for
    on_text = partial(text_step, model)
    on_tokens = partial(look_step, model, heads, processor=processor)
    on_answers = partial(
        map_step, model, heads, processor=processor, answer_weight=recipe.answer_weight
    )

    stages: list[tuple[str, int, float, Batches, Any]] = [
        ("copy", recipe.copy_steps, recipe.text_lr, copied, on_text),
        ("look", recipe.look_steps, recipe.text_lr, looked, on_tokens),
        ("answer", recipe.answer_steps, recipe.answer_lr, answered, on_answers),
        ("mix", recipe.mix_steps, recipe.mix_lr, mixed, on_answers),
    ]
    total, before = sum(steps for _, steps, *_ in stages), 0
    for stage, steps, lr, batches, loss_of in stages:
        if not steps:
            continue
        torch.set_num_threads(recipe.threads)
        optimiser = Optimiser(model, heads, lr, recipe.warmup, steps)
        first = _restore(out / f"{stage}.pt", model, heads, optimiser)
        _forget(out / "metrics.jsonl", stage, first)
        for step, batch in zip(range(first, steps), ahead(batches, first, recipe.workers)):
            began = time.monotonic()
            loss, found = loss_of(batch.to(device))
            loss.backward()
            norm = optimiser.clip()
            finite.numbers(
                {"loss": float(loss.detach()), "gradient": norm},
                f"step {step + 1} of stage {stage}",
                MEND,
            )
            optimiser.step()
            row = {
                "stage": stage,
                "step": step + 1,
                "loss": float(loss.detach()),
                **found,
                "grad_norm": norm,
                "seconds": round(time.monotonic() - began, 3),
            }
            append_jsonl(out / "metrics.jsonl", [row])
            if progress:
                progress(before + step + 1, total, row)
            if (step + 1) % recipe.save_steps == 0 or step + 1 == steps:
                finite.weights(model, f"step {step + 1} of stage {stage}: the model", MEND)
                _save(out / f"{stage}.pt", model, heads, optimiser, step + 1)
        before += steps
    return model, processor


def _inputs(
    out: Path, profile: Profile, recipe: Recipe, seed: int, start: Path | None = None
) -> folders.Inputs:
    """All that decides a step's weights; savings, processes that draw rooms and a dataset's numbers
    of rooms do not."""
    data = replace(profile.data, train_rooms=0, heldout_rooms=0, real_rooms=0, general_rows=0)
    settings = {
        **asdict(recipe),
        "save_steps": None,
        "workers": None,
        "seed": seed,
        "data": asdict(data),
        "frames": asdict(profile.frames),
        "prompt_style": profile.prompt_style,
    }
    rooms = PROJECT / "spacer_utils/assets/layout_statistics.json"
    given = (
        {f"start/{name}": path for name, path in model_files(str(start)).items()} if start else {}
    )
    return folders.Inputs.of("training of the base", settings, {rooms.name: rooms, **given}, out)


def _forget(log: Path, stage: str, step: int) -> None:
    """Drop the rows of steps that a kill undid and that will be done again."""
    if log.exists():
        rows = read_jsonl(log, tolerate_torn_end=True)
        write_jsonl(log, [r for r in rows if r["stage"] != stage or r["step"] <= step])


class Batches(Protocol):
    """What gives a stage its batches: made-up maps or fresh rooms."""

    def draw(self, step: int) -> Any:
        """The batch of one step, whatever was drawn before; it has a method ``to(device)``."""


def ahead(batches: Batches, first: int, workers: int) -> Iterator[Any]:
    """Batches from step ``first`` on without end, drawn by processes of their own while the trainer
    computes."""
    return iter(
        DataLoader(_Stream(batches, first), batch_size=None, num_workers=workers, prefetch_factor=4)
    )


class _Stream(IterableDataset[Any]):
    def __init__(self, drawn: Batches, first: int) -> None:
        self.drawn, self.first = drawn, first

    def __iter__(self) -> Iterator[Any]:
        torch.set_num_threads(1)
        worker = get_worker_info()  # the loader takes one batch from each in turn
        assert worker is not None
        return map(self.drawn.draw, count(self.first + worker.id, worker.num_workers))


def _save(path: Path, model: Any, heads: Heads, optimiser: Optimiser, step: int) -> None:
    buffer = io.BytesIO()
    state = {
        "model": model.state_dict(),
        "heads": heads.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def _restore(path: Path, model: Any, heads: Heads, optimiser: Optimiser) -> int:
    """Load a stage's last state if there is one; returns the steps done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    heads.load_state_dict(state["heads"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _finish(out: Path, model: Any, processor: Any, recipe: Recipe, seed: int) -> Path:
    """The plain checkpoint, in bfloat16: half the bytes, and less than a hundredth of each weight
    is lost."""
    target = out / "model"
    model.to(torch.bfloat16).save_pretrained(target, safe_serialization=True)
    processor.save_pretrained(target)
    write_atomic(
        target / "recipe.json",
        json.dumps({"recipe": asdict(recipe), "seed": seed}, indent=1) + "\n",
    )
    return target


def publish(run: Path, target: Path, card: str) -> Path:
    """Copy a finished base into the package, with its log to three digits and the checksums that
    ``profiles`` holds it to.

    Args:
        run: folder of ``train``.
        card: the model card's text.
    """
    files = {p.name: p.read_bytes() for p in sorted((run / "model").iterdir())}
    for name, data in {**files, "README.md": card.encode()}.items():
        write_atomic(target / name, data)
    write_jsonl(
        target / "metrics.jsonl",
        (
            {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()}
            for row in read_jsonl(run / "metrics.jsonl")
        ),
    )
    sums = "".join(
        f"{sha256(target / name)}  {name}\n"
        for name in sorted([*files, "README.md", "metrics.jsonl"])
    )
    write_atomic(target / CHECKSUMS, sums)
    return target
