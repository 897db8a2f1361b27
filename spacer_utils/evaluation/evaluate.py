"""Generate answers with a checkpoint: batched, resumable, and with every video decoded once.

The items are parted into batches in a fixed way, and predictions are written a batch at a time. So
a run that was killed and resumed gives the same predictions as an undisturbed one. Under
``accelerate launch`` each process takes every n-th batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from ..core import folders, prompts
from ..core.files import append_jsonl, inside, model_files, read_jsonl
from ..core.profiles import Frames, Profile
from ..core.progress import Progress
from ..core.row_files import rows_file
from ..core.rows import load, need_maps, spread
from ..core.types import Sample, WorkbookError
from .answerer import Answerer, Item, Mode, Prediction, VllmAnswerer

Backend = Literal["transformers", "vllm"]


class Begun(Protocol):
    """A question with the beginning of its completion, for example a changed map."""

    @property
    def key(self) -> str: ...

    @property
    def sample(self) -> Sample: ...

    @property
    def begun(self) -> str: ...


def items_from_samples(
    samples: Iterable[Sample],
    root: Path,
    style: str,
    with_map: bool,
    with_true_map: bool = False,
) -> list[Item]:
    """Items keyed by ``problem_id``.

    Args:
        root: folder in which all media must lie.
        with_map: ask for a map.
        with_true_map: let completions begin with the true map.
    """
    return [
        Item(
            str(s.problem_id),
            prompts.user_text(s, style, with_map),
            () if s.data_type == "text" else ((s.data_type, str(inside(root, s.path))),),
            begun=prompts.after_map(s.cognitive_map) if with_true_map and s.cognitive_map else "",
        )
        for s in samples
    ]


def _inputs(model: str, items: Sequence[Item], out: Path, **settings: Any) -> folders.Inputs:
    """All that decides the answers: model, questions, media and settings.

    Raises:
        WorkbookError: media are missing.
    """
    # The media, by their paths below a common folder.
    media = sorted({path for item in items for _, path in item.media})
    missing = [p for p in media if not os.path.exists(p)]
    if missing:
        from ..core.row_files import remedy

        raise WorkbookError(
            f"{len(missing)} media files of the evaluation are missing, for example {missing[0]}. "
            f"{remedy(Path(missing[0]).parent.parent)}"
        )
    common = (
        Path(os.path.commonpath([os.path.dirname(p) for p in media])).parent if media else Path()
    )
    names = {path: os.path.relpath(path, common) for path in media}

    # The questions, by a digest; and the files of the model.
    asked = [(i.key, i.text + i.begun, [names[p] for _, p in i.media]) for i in items]
    settings["questions"] = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    settings["model"] = "a folder" if Path(model).is_dir() else model
    files = {f"{name} of the model": path for name, path in model_files(model).items()}
    return folders.Inputs.of(
        "evaluation", settings, {**files, **{names[p]: Path(p) for p in media}}, out
    )


def batches(items: Sequence[Item], size: int) -> list[list[Item]]:
    """The items in batches; those with the same media stand together, so that each clip is decoded
    once."""
    ordered = sorted(items, key=lambda i: (i.media, len(i.text), i.key))
    return [ordered[k : k + size] for k in range(0, len(ordered), size)]


def generate(
    model: str,
    items: Sequence[Item],
    out: Path,
    *,
    frames: Frames,
    batch: int,
    max_new_tokens: int,
    mode: Mode = "video",
    seed: int = 0,
    temperature: float = 0.0,
    device: str | None = None,
    cache: Path | None = None,
    backend: Backend = "transformers",
    overwrite: bool = False,
    beside: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Prediction]:
    """Answers to every item. Those that ``out/predictions*.jsonl`` has are not generated again.

    Args:
        model: folder of a checkpoint, or a hub id.
        out: a folder for the predictions.
        seed: of shuffled frames, and of sampled answers together with the batch.
        temperature: of the sampling; 0 takes the most likely word every time.
        overwrite: replace finished predictions of other inputs.
        beside: names of files that the caller will write to ``out`` too.
        progress: called with (items done, items in all) after every batch.

    Raises:
        WorkbookError: two items share a key; a medium can't be read (the message names it); or
            ``out`` holds finished predictions of other inputs, files of others, or another process
            that writes there.
    """
    # What decides the answers.
    if len({i.key for i in items}) != len(items):
        raise WorkbookError(
            "two items of the evaluation share a key. Give every question its own problem_id."
        )
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    inputs = _inputs(
        model,
        items,
        out,
        frames=asdict(frames),
        batch=batch,
        max_new_tokens=max_new_tokens,
        mode=mode,
        seed=seed,
        temperature=temperature,
        backend=backend,
    )

    # All are there.
    record = folders.Record.of(out)
    if record.finished and record.same(inputs) and record.written.issuperset(beside):
        done = _found(out)
        if all(i.key in done for i in items):
            return {i.key: done[i.key] for i in items}

    # The first process prepares the folder; then each answers its share.
    with folders.held(out) if rank == 0 else contextlib.nullcontext():
        if rank == 0:
            record = folders.begin(
                out, inputs, ("predictions.*.jsonl", *beside), overwrite=overwrite
            )
            record.add([*(f"predictions.{k}.jsonl" for k in range(world)), *beside])
        _meet(world)
        done = _found(out)
        _meet(world)
        todo = [b for b in batches(items, batch) if any(i.key not in done for i in b)][rank::world]
        if todo:
            kind = VllmAnswerer if backend == "vllm" else Answerer
            answerer = kind(model, frames, mode, seed, temperature, device, cache)
            for group in todo:
                found = answerer.answer(group, max_new_tokens)
                append_jsonl(out / f"predictions.{rank}.jsonl", [[asdict(p) for p in found]])
                done.update({p.key: p for p in found})
                if progress:
                    progress(len(done), len(items))
        _meet(world)
        done |= _found(out)
        if rank == 0:
            record.finish()
    return {i.key: done[i.key] for i in items}


def _meet(world: int) -> None:
    """Wait for the other processes of an ``accelerate launch``."""
    if world > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def answer(
    model: str,
    samples: Sequence[Sample],
    root: Path,
    out: Path,
    profile: Profile,
    *,
    with_map: bool,
    with_true_map: bool = False,
    seed: int = 0,
    mode: Mode = "video",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Prediction]:
    """Answers of one checkpoint to a dataset's samples, with a profile's frames, batch and token
    budget.

    Arguments are those of ``items_from_samples`` and ``generate``. Decoded frames are shared with
    training: they lie in ``frames`` of the profile's outputs.
    """
    items = items_from_samples(samples, root, profile.prompt_style, with_map, with_true_map)
    return _with_profile(model, items, root, out, profile, seed, mode, overwrite, progress)


def sample(
    model: str,
    samples: Sequence[Sample],
    root: Path,
    out: Path,
    profile: Profile,
    *,
    with_map: bool,
    times: int,
    temperature: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Prediction]]:
    """Several sampled answers to every question, by ``problem_id``: what pass@k is reckoned from.

    Args:
        times: answers to each question.
    """
    asked = items_from_samples(samples, root, profile.prompt_style, with_map)
    items = [replace(i, key=f"{i.key} {k}") for i in asked for k in range(times)]
    found = _with_profile(
        model, items, root, out, profile, seed, "video", overwrite, progress, temperature
    )
    return {i.key: [found[f"{i.key} {k}"] for k in range(times)] for i in asked}


def answer_split(
    model: str,
    profile: Profile,
    out: Path,
    *,
    data: Path | None = None,
    split: str = "heldout",
    mode: Mode = "video",
    with_map: bool = False,
    overwrite: bool = False,
) -> dict[str, Prediction]:
    """Answers to the profile's number of questions of one split, spread over question types.

    Args:
        data: folder with ``<split>.jsonl``; None: the profile's.

    Raises:
        WorkbookError: there is no such split; maps are asked for, and no row has one; or as
            ``generate``.
    """
    data = data or profile.outputs / "data"
    source = rows_file(data, split)
    samples = spread(load(source), profile.evaluation.questions)
    if with_map:
        need_maps(samples, source)
    return answer(
        model,
        samples,
        data,
        out,
        profile,
        with_map=with_map,
        mode=mode,
        overwrite=overwrite,
        progress=Progress(split),
    )


def answer_given_maps(
    model: str,
    cases: Sequence[Begun],
    root: Path,
    out: Path,
    profile: Profile,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Prediction]:
    """What a checkpoint answers after maps that it did not draw, by ``Begun.key``.

    Outputs are whole completions, map included.
    """
    samples = [c.sample for c in cases]
    asked = items_from_samples(samples, root, profile.prompt_style, with_map=True)
    items = [replace(item, key=c.key, begun=c.begun) for item, c in zip(asked, cases)]
    return _with_profile(model, items, root, out, profile, seed, "video", overwrite, progress)


def _with_profile(
    model: str,
    items: Sequence[Item],
    root: Path,
    out: Path,
    profile: Profile,
    seed: int,
    mode: Mode,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
    temperature: float = 0.0,
) -> dict[str, Prediction]:
    return generate(
        model,
        items,
        out,
        frames=profile.frames,
        batch=profile.evaluation.batch,
        max_new_tokens=profile.evaluation.max_new_tokens,
        mode=mode,
        seed=seed,
        temperature=temperature,
        cache=profile.outputs / "frames",
        overwrite=overwrite,
        progress=progress,
    )


def _found(out: Path) -> dict[str, Prediction]:
    """The predictions so far, of all processes."""
    rows = [
        row
        for path in sorted(out.glob("predictions.*.jsonl"))
        for batch in read_jsonl(path, tolerate_torn_end=True)
        for row in batch
    ]
    return {row["key"]: Prediction(**row) for row in rows}
