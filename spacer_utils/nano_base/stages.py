"""How the nano base is made (``make base``, notebook A1): it learns to copy, to look, to find, and
to write maps and answers.

The ten stages, in order:

* ``read``: copy random maps from text. Maps of videos need copying, too.
* ``look``: no question. Every vision token of the tower and of the lower layers is trained to know
  what it shows, in which map cell that stands, and where the camera is.
* ``find``: write the cells of all things that a room has once.
* ``learn`` and ``again``: write whole maps and answers.
* ``crowd``: the same in rooms as full as a dataset's.
* ``reckon`` and ``reading``: text alone. Work out step by step what a map says about a question, on
  parts of maps and then on whole ones.
* ``answer`` and ``settle``: like ``crowd``, and every map is read before the answer.

Wherever a clip is asked about, attention is trained to look at the right tokens (``grounding``), and
the labels of vision tokens and text-only rows go along. Every batch is drawn from ``(seed, stage,
step)``, so a killed run goes on where it stood and gives the same weights. The stages' names are
part of that seed and of the committed log, so they are not changed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..core import folders
from ..core.files import MODEL_FILES, append_jsonl, read_jsonl, sha256, write_atomic, write_jsonl
from ..core.profiles import CHECKSUMS, PROJECT, Profile
from ..training import finite, models, packing
from ..training.encoder import token_types
from . import nano
from .fresh_rooms import FreshRooms, RoomBatch
from .grounding import grounding_loss, inputs_of
from .map_copies import MapCopies, Rows
from .map_questions import Readings
from .optimiser import Optimiser
from .perception import Heads, Words, cell_tokens, cells_off, known_loss, recall, seen_loss

Progress = Callable[[int, int, Mapping[str, Any]], None]
"""Called after every step with (step, steps in all, the step's metrics)."""


@dataclass(frozen=True)
class Recipe:
    """Sizes of the ten stages."""

    read_steps: int
    look_steps: int
    find_steps: int
    learn_steps: int
    again_steps: int
    """Steps of a second ``learn``, from a warm restart of the learning rate (Loshchilov and Hutter
    2017, arXiv 1608.03983): twice the rooms, half the questions about each, and so twice the
    maps."""
    crowd_steps: int
    """Steps like ``again`` in rooms that are chosen as a dataset's are: these hold a third more
    categories than a room as it comes. Without this stage, the base that was given the true map so
    far wrote the next single thing 1.4 cells off in unchosen rooms and 2.5 in a dataset's (medians).
    Attention is trained at every cell, not only at a key's first, and on which of several instances
    is meant."""
    reckon_steps: int
    reading_steps: int
    answer_steps: int
    settle_steps: int
    """Steps of a second ``answer`` from a warm restart, with half the text-only rows: the first had
    to bring back what text alone had made the model forget of seeing, and cells were still getting
    better when it ended."""
    batch: int = 16
    """Rooms per step; half as many in stage ``learn``."""
    questions: int = 4
    """Questions about each room of stage ``learn``: its clip is looked at once for all of them."""
    told_maps: int = 40
    """Rows per step of stage ``read`` (maps to copy), while its maps are short."""
    text_rows: int = 4
    """Text-only rows per step beside the clips of the other stages. Stage ``answer`` also has as
    many made-up maps to read and as many drills, stage ``settle`` half of each, stage ``reading``
    twice as many drills."""
    reckonings: int = 30
    """Rows per step of stage ``reckon``, few, because more steps help more than more rows."""
    lr: float = 1.5e-3
    asking_lr: float = 1e-3
    """Learning rate of the stages that ask; higher, they spoil for long what tokens knew."""
    again_lr: float = 7e-4
    warmup: int = 30
    ground_weight: float = 0.5
    """Weight of the supervised attention in the stages that ask."""
    save_steps: int = 50
    threads: int = 1
    """Threads of the trainer on a CPU, beside the process that draws rooms."""
    reckon_threads: int = 2
    """Threads in stages ``reckon`` and ``reading``, whose rows are drawn in no time."""
    workers: int = 1
    """Processes that draw rooms; on a GPU they set the pace. Batches are the same for any
    number."""


STAGES = (
    "read",
    "look",
    "find",
    "learn",
    "again",
    "crowd",
    "reckon",
    "reading",
    "answer",
    "settle",
)
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
    read_steps=2,
    look_steps=4,
    find_steps=2,
    learn_steps=3,
    again_steps=1,
    crowd_steps=1,
    reckon_steps=1,
    reading_steps=1,
    answer_steps=1,
    settle_steps=1,
    batch=4,
    told_maps=8,
    reckonings=6,
    text_rows=2,
    warmup=2,
    save_steps=2,
)
"""Enough to see that every stage runs."""
FULL = Recipe(
    read_steps=300,
    look_steps=1000,
    find_steps=250,
    learn_steps=500,
    again_steps=450,
    crowd_steps=600,
    reckon_steps=1300,
    reading_steps=300,
    answer_steps=400,
    settle_steps=300,
)
"""The whole recipe, on two cores: one trains and one draws."""
MEND = "The last saved state stays. Lower the recipe's learning rate."
LOW = 0.6
"""Share of the language model's layers, the lower ones, that end in the dense labels: what a vision
token knows must stand there early, because the layers above look it up by name when they write."""


def whole() -> Recipe:
    """What ``make base`` runs here: ``FULL``, on a GPU with four times the rooms per step, drawn by
    all cores but two."""
    if not torch.cuda.is_available():
        return FULL
    return replace(FULL, batch=4 * FULL.batch, workers=max(1, (os.cpu_count() or 1) - 2))


def text_step(model: Any, rows: Rows) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of text-only rows."""
    loss = written_loss(
        model,
        model.model(input_ids=rows.ids, attention_mask=rows.mask).last_hidden_state,
        rows.labels,
    )
    return loss, {"text_only": float(loss.detach())}


def look_step(
    model: Any, heads: Heads, batch: RoomBatch, processor: Any
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of the dense labels on one batch, for which only the lower layers run, and of its
    text-only rows."""
    text = model.model.language_model
    every, ids = text.layers, batch.rows.ids
    text.layers = every[: low_layers(model)]
    try:
        with _outputs(model.model.visual) as seen:
            hidden = model.model(
                input_ids=ids,
                attention_mask=batch.rows.mask,
                pixel_values_videos=batch.pixels,
                video_grid_thw=batch.grid,
                mm_token_type_ids=token_types(ids, processor),
            ).last_hidden_state
    finally:
        text.layers = every
    known = hidden[ids == model.config.video_token_id]
    losses, found = dense_losses(
        model, heads, batch, torch.cat(seen[0].pooler_output), known, processor
    )
    text_only, also = text_step(model, batch.text)
    return torch.stack(list(losses.values())).sum() + text_only, {**found, **also}


def learn_step(
    model: Any,
    heads: Heads,
    batch: RoomBatch,
    recipe: Recipe,
    processor: Any,
    *,
    instances: bool = False,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of maps, answers and dense labels on one batch, its text-only rows included; each clip
    stands before its questions.

    Args:
        instances: train attention at every cell of a map, on the instance that is meant; else only
            at a key's first cell, on the category.
    """
    text, given = model.model.language_model, packed(model, batch, processor)
    above, shows = text.layers[low_layers(model)], given["input_ids"] == model.config.video_token_id
    with _outputs(model.model.visual) as seen, inputs_of(above) as low:
        hidden = model.model(
            **{k: v for k, v in given.items() if k != "labels"},
            pixel_values_videos=batch.pixels,
            video_grid_thw=batch.grid,
        ).last_hidden_state
    dense, found = dense_losses(
        model,
        heads,
        batch,
        torch.cat(seen[0].pooler_output),
        text.norm(low["hidden"][shows]),
        processor,
    )
    nowhere = torch.full_like(given["input_ids"], -1)
    places = (
        nowhere.masked_scatter(shows, cell_tokens(batch.cell, processor.tokenizer))
        if instances
        else None
    )
    ground = grounding_loss(
        above,
        low,
        given["input_ids"],
        given["labels"],
        nowhere.masked_scatter(shows, batch.name),
        processor.tokenizer,
        places,
    )
    written = written_loss(model, hidden, given["labels"])
    text_only, also = text_step(model, batch.text)
    total = (
        written
        + text_only
        + recipe.ground_weight * ground
        + torch.stack(list(dense.values())).sum()
    )
    return total, {
        "text": float(written.detach()),
        "ground": float(ground.detach()),
        **found,
        **also,
    }


def packed(model: Any, batch: RoomBatch, processor: Any) -> dict[str, torch.Tensor]:
    """The model's text arguments, and labels: one sequence per clip with all its questions."""
    rows, each = batch.rows, len(batch.rows.ids) // len(batch.grid)
    types = token_types(rows.ids, processor)
    positions, _ = model.model.get_rope_index(
        rows.ids,
        mm_token_type_ids=types,
        attention_mask=rows.mask,
        video_grid_thw=batch.grid.repeat_interleave(each, 0),
    )
    columns = torch.arange(rows.ids.shape[1], device=rows.ids.device)
    last = (columns * (types > 0)).amax(1, keepdim=True)
    clip = rows.mask.bool() & (columns <= last + 1)  # with the token that closes it
    members = [range(k, k + each) for k in range(0, len(rows.ids), each)]
    return packing.pack(members, clip, positions, rows.ids, rows.mask, rows.labels, types).inputs


def dense_losses(
    model: Any,
    heads: Heads,
    batch: RoomBatch,
    features: torch.Tensor,
    known: torch.Tensor,
    processor: Any,
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """What the tower says of each vision token and what the lower layers know of it, as losses and
    for the log.

    Args:
        features: (N, hidden) tokens as the language model receives them.
        known: (N, hidden) their normed states after the lower layers.
    """
    logits, words = model.lm_head(known), Words(processor.tokenizer, str(known.device))
    losses = {
        **seen_loss(features, model.get_input_embeddings().weight, heads, batch.name, batch.place),
        **known_loss(known, logits, heads, words, batch.name, batch.cell, batch.camera),
    }
    off = cells_off(logits, words, batch.cell)
    return losses, {
        **_floats({**losses, "cells_off": off}),
        "recall": recall(logits.detach(), words, batch.name),
    }


def low_layers(model: Any) -> int:
    """How many of the language model's layers end in the dense labels."""
    return round(LOW * int(model.config.text_config.num_hidden_layers))


@contextlib.contextmanager
def _outputs(module: torch.nn.Module) -> Iterator[list[Any]]:
    """What a module returns in the forwards inside the context."""
    found: list[Any] = []
    hook = module.register_forward_hook(lambda _, __, output: found.append(output))
    try:
        yield found
    finally:
        hook.remove()


def written_loss(model: Any, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the labelled tokens; logits are made for these alone."""
    following = labels[:, 1:]
    wanted = following != packing.IGNORE
    return F.cross_entropy(model.lm_head(hidden[:, :-1][wanted]), following[wanted])


def _floats(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {k: float(v.detach()) for k, v in losses.items()}


def train(
    out: Path,
    profile: Profile,
    recipe: Recipe,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train the nano base from scratch, or go on where a killed run stopped; the checkpoint stands
    in ``out/model``.

    Args:
        out: a folder of its own; what an unfinished training of another recipe, seed or size of
            frames has left there goes.
        profile: gives frame count, frame size and prompt style; its model is not used.
        seed: of weights and rooms; other rooms than those of any dataset with another seed.
        overwrite: replace a finished base of other settings; only files that the workbook has
            written there are deleted.

    Raises:
        WorkbookError: a loss, a gradient or a weight that is to be saved is not finite; or a
            finished base of other settings, somebody's files or another process are in the way.
    """
    from transformers import logging

    logging.disable_progress_bar()
    with folders.held(out):
        record = folders.begin(
            out, _inputs(out, profile, recipe, seed), WRITES, overwrite=overwrite, alone=True
        )
        record.add(("metrics.jsonl", *(f"{stage}.pt" for stage in STAGES)))
        with record.saving("start"):
            nano.build(out / "start", seed=seed)
        model, processor = _taught(out, profile, recipe, seed, progress)
        with record.saving("model"):
            target = _finish(out, model, processor, recipe, seed)
        record.finish()
    return target


def _taught(
    out: Path, profile: Profile, recipe: Recipe, seed: int, progress: Progress | None
) -> tuple[Any, Any]:
    """The model after all stages, and its processor."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    processor = models.load_processor(out / "start")
    model = models.load(out / "start", torch.float32)
    model.to(device).train()
    torch.manual_seed(seed)
    heads = Heads(model.config.text_config.hidden_size).to(device)
    draw = partial(FreshRooms, processor, profile, seed=seed, text_rows=recipe.text_rows)
    map_copies = MapCopies(processor, profile, recipe.told_maps, seed, recipe.read_steps)
    look = draw(recipe.batch, stage="look")
    find = draw(recipe.batch, stage="find", questions=1, find=True)
    learn = draw(recipe.batch // 2, stage="learn", questions=recipe.questions)
    again = draw(recipe.batch, stage="again", questions=recipe.questions // 2)
    crowd = draw(recipe.batch, stage="crowd", questions=recipe.questions // 2, crowded=True)
    readings = partial(Readings, processor, profile, seed=seed)
    reckon = readings(recipe.reckonings, stage="reckon", steps=recipe.reckon_steps, short=True)
    map_questions = readings(
        recipe.reckonings, stage="reading", steps=recipe.reading_steps, drills=2 * recipe.text_rows
    )
    answer = draw(
        recipe.batch,
        stage="answer",
        questions=recipe.questions // 2,
        crowded=True,
        readings=readings(recipe.text_rows, stage="answer", steps=1, drills=recipe.text_rows),
    )
    half = recipe.text_rows // 2
    settle = replace(
        answer,
        stage="settle",
        text_rows=half,
        readings=readings(half, stage="settle", steps=1, drills=half),
    )

    def on_text(rows: Rows) -> tuple[torch.Tensor, dict[str, float]]:
        return text_step(model, rows)

    def asked(batch: RoomBatch, instances: bool = False) -> tuple[torch.Tensor, dict[str, float]]:
        return learn_step(model, heads, batch, recipe, processor, instances=instances)

    stages: list[tuple[str, int, float, Batches, Any]] = [
        ("read", recipe.read_steps, recipe.lr, map_copies, on_text),
        (
            "look",
            recipe.look_steps,
            recipe.lr,
            look,
            lambda batch: look_step(model, heads, batch, processor),
        ),
        ("find", recipe.find_steps, recipe.asking_lr, find, asked),
        ("learn", recipe.learn_steps, recipe.asking_lr, learn, asked),
        ("again", recipe.again_steps, recipe.again_lr, again, asked),
        ("crowd", recipe.crowd_steps, recipe.again_lr, crowd, partial(asked, instances=True)),
        ("reckon", recipe.reckon_steps, recipe.lr, reckon, on_text),
        ("reading", recipe.reading_steps, recipe.asking_lr, map_questions, on_text),
        ("answer", recipe.answer_steps, recipe.again_lr, answer, partial(asked, instances=True)),
        ("settle", recipe.settle_steps, recipe.again_lr, settle, partial(asked, instances=True)),
    ]
    total, before = sum(steps for _, steps, *_ in stages), 0
    for stage, steps, lr, batches, loss_of in stages:
        torch.set_num_threads(
            recipe.reckon_threads if stage in ("reckon", "reading") else recipe.threads
        )
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


def _inputs(out: Path, profile: Profile, recipe: Recipe, seed: int) -> folders.Inputs:
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
    return folders.Inputs.of("training of the base", settings, {rooms.name: rooms}, out)


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
