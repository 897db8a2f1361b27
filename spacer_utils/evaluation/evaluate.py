"""Generate answers with a checkpoint: batched, resumable, and with every video decoded once.

Predictions are appended a whole batch at a time, and batches are a fixed partition of the items, so
a run that was killed and resumed gives the very predictions of an undisturbed one. Under
``accelerate launch`` each process takes every n-th batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol
from zlib import crc32

from ..core import folders, prompts
from ..core.files import append_jsonl, inside, model_files, read_jsonl
from ..core.profiles import Frames, Profile
from ..core.progress import Progress
from ..core.row_files import rows_file
from ..core.rows import load, need_maps, spread
from ..core.types import IMAGE, Sample, WorkbookError

Mode = Literal["video", "blind", "shuffled"]
"""``blind`` drops the media from the prompt; ``shuffled`` permutes the frames, timestamps kept."""
Backend = Literal["transformers", "vllm"]


@dataclass(frozen=True)
class Item:
    """One prompt to answer."""

    key: str
    """Unique within the evaluation."""
    text: str
    """The user turn."""
    media: tuple[tuple[str, str], ...] = ()
    """``("video" | "image", absolute path)`` in order; they come before the text, or where it says
    ``<image>``."""
    begun: str = ""
    """How the completion begins: the model only goes on with it."""


class Begun(Protocol):
    """A question whose completion is begun for the model, for example with a changed map."""

    @property
    def key(self) -> str: ...

    @property
    def sample(self) -> Sample: ...

    @property
    def begun(self) -> str: ...


@dataclass(frozen=True)
class Prediction:
    key: str
    output: str
    tokens: int
    truncated: bool
    """The token budget ended before the model did."""


def items_from_samples(
    samples: Iterable[Sample],
    root: Path,
    style: str,
    with_map: bool,
    with_true_map: bool = False,
) -> list[Item]:
    """Items keyed by ``problem_id``; media paths are proved to lie in ``root``. With
    ``with_true_map`` completions begin with the true map."""
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
    """All that decides the answers: the model, the questions, the media that they name, every
    setting."""
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
    asked = [(i.key, i.text + i.begun, [names[p] for _, p in i.media]) for i in items]
    settings["questions"] = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    settings["model"] = "a folder" if Path(model).is_dir() else model
    files = {f"{name} of the model": path for name, path in model_files(model).items()}
    return folders.Inputs.of(
        "evaluation", settings, {**files, **{names[p]: Path(p) for p in media}}, out
    )


def batches(items: Sequence[Item], size: int) -> list[list[Item]]:
    """The fixed partition: items with the same media stand together, so that each clip is decoded
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
    """Answers to every item, from ``out/predictions*.jsonl`` where they are there already.

    Args:
        model: folder of a checkpoint, or a hub id.
        out: a folder for the predictions.
        seed: of shuffled frames, and of sampled answers together with the batch.
        temperature: of the sampling; 0 takes the most likely word every time.
        overwrite: replace finished predictions of other inputs.
        beside: names of files that the caller will write to ``out`` too.
        progress: called with (items done, items in all) after every batch.

    Raises:
        WorkbookError: two items share a key, a medium can't be read (the message names it), or
            finished predictions of other inputs, somebody's files or another process are in the
            way.
    """
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
    record = folders.Record.of(out)
    if record.finished and record.same(inputs) and record.written.issuperset(beside):
        done = _found(out)
        if all(i.key in done for i in items):
            return {i.key: done[i.key] for i in items}
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
            engine = kind(model, frames, mode, seed, temperature, device, cache)
            for group in todo:
                found = engine.answer(group, max_new_tokens)
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
    """Answers of one checkpoint to a dataset's samples with a profile's frames, batch and token
    budget; see ``generate``.

    Decoded frames are shared with training through ``frames`` in the profile's outputs. With
    ``with_true_map`` completions begin with the true map.
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
        WorkbookError: there is no such split, or ``with_map`` and its rows have no maps; see also
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
    """What a checkpoint answers after maps that it did not draw, by ``Begun.key``; outputs are whole
    completions, map included."""
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
    """What this run has answered so far, in all processes."""
    rows = [
        row
        for path in sorted(out.glob("predictions.*.jsonl"))
        for batch in read_jsonl(path, tolerate_torn_end=True)
        for row in batch
    ]
    return {row["key"]: Prediction(**row) for row in rows}


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
        """``cache`` is a folder of decoded frames to share (see ``video.load``).

        Raises:
            WorkbookError: the checkpoint is not whole, or takes no video.
        """
        from ..core import torchvision_operators  # noqa: F401  # isort: skip
        import torch
        from transformers import TemperatureLogitsWarper
        from transformers.utils.logging import disable_progress_bar

        from ..training import encoder as media
        from ..training import models, rollouts, vision

        disable_progress_bar()
        vision.repair_positions()
        self.mode, self.seed, self.temperature = mode, seed, temperature
        self.device = device or (
            f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        )
        dtype = torch.bfloat16 if self.device.startswith("cuda") else torch.float32
        self.processor = models.load_processor(model)
        self.model = models.load(model, dtype).to(self.device).eval()
        self.encoder = media.Encoder(self.processor, frames, cache=cache)
        self._sight = vision.SharedVision(self.model)
        self._filters, self._stop = rollouts.rules(
            self.model.generation_config, self.processor, self.device
        )
        if temperature:
            self._filters.append(TemperatureLogitsWarper(temperature))

    def _encode(self, items: Sequence[Item]) -> Any:
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

    def _texts(
        self, items: Sequence[Item], found: Iterable[tuple[list[int], bool]]
    ) -> list[Prediction]:
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

    def answer(self, items: Sequence[Item], max_new_tokens: int) -> list[Prediction]:
        """Completions of one batch, the checkpoint's own repetition penalty included.

        Sampled ones depend on the seed and the batch alone.
        """
        import torch

        from ..training import rollouts

        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(crc32(repr((self.seed, [i.key for i in items])).encode()))
            return self._texts(
                items,
                rollouts.complete(
                    self.model,
                    self._sight,
                    self._encode(items),
                    self.processor,
                    max_new_tokens,
                    self._filters,
                    self._stop,
                    rollouts.drawn if self.temperature else rollouts.most_likely,
                ),
            )


class VllmAnswerer(Answerer):
    """The same questions through vLLM, on a GPU; the ids that it generates from are checked against
    ours."""

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
        Raises:
            WorkbookError: vllm is missing or of an unproven version, or the checkpoint is not
                whole.
        """
        from ..training import rollouts, vllm_rollouts as engine, encoder as media, models  # isort: skip
        from transformers import GenerationConfig

        engine.check()
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

        self.mode, self.seed, self.temperature = mode, seed, temperature
        self.processor = models.load_processor(model)
        self.encoder = media.Encoder(self.processor, frames, cache=cache)
        settings = GenerationConfig.from_pretrained(model)
        self._stop = rollouts.rules(settings, self.processor)[1]
        self._sampling = partial(
            SamplingParams,
            temperature=temperature,
            repetition_penalty=settings.repetition_penalty or 1.0,
            logit_bias={token: -100.0 for token in media.vision_tokens(self.processor)},
        )
        self.llm = LLM(model=model, seed=seed)

    def answer(self, items: Sequence[Item], max_new_tokens: int) -> list[Prediction]:
        """Completions of one batch, as vLLM rounds."""
        from ..training import vllm_rollouts as engine

        batch = self._encode(items)
        sent = engine.requests(batch, range(len(items)), self.encoder)
        outputs = self.llm.generate(
            [{k: v for k, v in r.items() if k != "expanded"} for r in sent],
            self._sampling(max_tokens=max_new_tokens),
            use_tqdm=False,
        )
        engine.same(sent, [o.prompt_token_ids for o in outputs])
        written = [list(o.outputs[0].token_ids) for o in outputs]
        ends = [
            next((k + 1 for k, token in enumerate(tokens) if token in self._stop), None)
            for tokens in written
        ]
        return self._texts(
            items, [(tokens[:end], end is not None) for tokens, end in zip(written, ends)]
        )
