"""Load a checkpoint whole or not at all. If something is missing, cut or foreign, the run ends with
one line."""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..core.types import WorkbookError, first_line
from . import finite

ADAPTER = "adapter_config.json"
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Where transformers looks for weights, in its order."""
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.json")
POINTER = b"version https://git-lfs.github.com"
AGAIN = "Download or copy it again."
FROM_BASE = "Copy the tokenizer's files from the model's base."


def load(name: str | Path, dtype: torch.dtype) -> Any:
    """The model of a checkpoint. Every tensor comes from there.

    Args:
        name: folder or hub id.

    Raises:
        WorkbookError: no such checkpoint, or one of its tensors is missing, unknown, of another
            shape or not finite.
    """
    from transformers import AutoModelForImageTextToText

    check(name)
    with _quiet():
        model, found = _attempt(
            name,
            lambda: AutoModelForImageTextToText.from_pretrained(
                name,
                dtype=dtype,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            ),
        )
    _refuse_report(name, found)
    finite.weights(model, f"{name}: the checkpoint", "Start from a sound checkpoint.")
    return model


def config(name: str | Path) -> Any:
    """The configuration of a checkpoint.

    Raises:
        WorkbookError: no such checkpoint, or its ``config.json`` can't be used.
    """
    from transformers import AutoConfig

    check(name)
    return _attempt(name, lambda: AutoConfig.from_pretrained(name, trust_remote_code=False))


def load_processor(name: str | Path, **options: Any) -> Any:
    """The processor of a checkpoint: tokenizer, chat template and readers of pictures and videos
    that fit its model.

    Raises:
        WorkbookError: no such checkpoint, its model takes no video, or a part of the processor is
            missing.
    """
    from transformers import AutoProcessor

    about = config(name)
    _refuse_blind(name, about)
    _refuse_missing_parts(name)
    processor = _attempt(
        name, lambda: AutoProcessor.from_pretrained(name, trust_remote_code=False, **options)
    )
    for part in ("tokenizer", "image_processor", "video_processor"):
        if getattr(processor, part, None) is None:
            raise WorkbookError(
                f"{name} has no {part.replace('_', ' ')}. Copy the processor's files from the model's base."
            )
    _refuse_tokenizer(name, processor, about)
    _refuse_template(name, processor)
    return processor


def check(name: str | Path) -> None:
    """Refuse a folder whose files show that it is no checkpoint, before anything large is read. Hub
    ids pass.

    Raises:
        WorkbookError: a wrong path, an adapter, a Git-LFS pointer, damaged JSON, or weights that
            are missing or cut.
    """
    folder = Path(name)
    if not folder.is_dir():
        _refuse_path(str(name))
        return
    if (folder / ADAPTER).exists():
        raise WorkbookError(_adapter(folder))
    if not (folder / "config.json").exists():
        inner = sorted(
            p.parent
            for p in [*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")]
        )
        advice = (
            f"Did you mean {inner[0]}?"
            if inner
            else "Give the folder of a checkpoint, or a hub id."
        )
        raise WorkbookError(f"{name} has no config.json, so it is no checkpoint. {advice}")
    _refuse_pointers(folder)
    for path in sorted(folder.glob("*.json")):
        _json(path)
    _refuse_weights(folder)


# -------------------------------------------------------------------------------------------- files


def _refuse_path(name: str) -> None:
    """Refuse a path that is not there. Names that may be hub ids pass."""
    path = Path(name)
    if path.exists():
        raise WorkbookError(f"{name} is a file. Give the folder of a checkpoint, or a hub id.")
    hub_id = (
        not name.startswith((".", "/", "~")) and 1 <= len(path.parts) <= 2 and name == str(path)
    )
    if hub_id and not (len(path.parts) == 2 and path.parent.is_dir()):
        return
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    advice = (
        f"Did you mean {path.parent / near[0]}?"
        if near
        else "Give the folder of a checkpoint, or a hub id."
    )
    raise WorkbookError(f"there is no folder {name}. {advice}")


def _adapter(folder: Path) -> str:
    """What to say of a folder that holds a LoRA adapter."""
    about = _json(folder / ADAPTER)
    base = about.get("base_model_name_or_path") if isinstance(about, dict) else None
    merged = folder.parent / "model"
    advice = (
        f"Give {merged}, which has it merged."
        if (merged / "config.json").exists()
        else f"Merge it into its base (peft: merge_and_unload, then save_pretrained) and give that folder; "
        f"a whole model only needs its {ADAPTER} removed."
    )
    return f"{folder} is a LoRA adapter of {base or 'an unnamed base'}, not a whole model. {advice}"


def _refuse_pointers(folder: Path) -> None:
    """Refuse the three lines of text that Git without LFS leaves in a large file's place."""
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and p.stat().st_size < 1024]
    pointers = [p.name for p in files if p.read_bytes().startswith(POINTER)]
    if pointers:
        raise WorkbookError(
            f"{len(pointers)} files of {folder} are Git-LFS pointers instead of the files, for example "
            f"{pointers[0]}. Run there: git lfs install && git lfs pull"
        )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WorkbookError(
            f"{path} can't be read as JSON ({first_line(error, 300)}). {AGAIN}"
        ) from error


def _refuse_weights(folder: Path) -> None:
    """Refuse missing weights, and safetensors files that are cut."""
    first = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if first is None:
        raise WorkbookError(
            f"{folder} has no weights: none of {', '.join(WEIGHTS)} is there. {AGAIN}"
        )
    shards = [first]
    if first.suffix == ".json":
        index = _json(first)
        named = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(named, dict) or not named:
            raise WorkbookError(f"{first} names no weights: it has no weight_map. {AGAIN}")
        shards = [folder / str(shard) for shard in sorted(set(named.values()))]
        absent = [shard.name for shard in shards if not shard.is_file()]
        if absent:
            raise WorkbookError(
                f"{len(absent)} of the {len(shards)} files that {first.name} names are missing in {folder}, "
                f"for example {absent[0]}. Download or copy them again."
            )
    for shard in shards:
        if shard.suffix == ".safetensors":
            _refuse_cut(shard)


def _refuse_cut(path: Path) -> None:
    """The header of a safetensors file says how long the file is."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise WorkbookError(
            f"{path} is cut or damaged: {first_line(error, 300)} ({path.stat().st_size} bytes). {AGAIN}"
        ) from error


def _refuse_missing_parts(name: str | Path) -> None:
    """Refuse a folder without the files of a processor: transformers would make one up, or an empty
    tokenizer."""
    folder = Path(name)
    if not folder.is_dir():
        return
    for names, what in ((PROCESSORS, "processor"), (TOKENIZERS, "tokenizer")):
        if not any((folder / n).exists() for n in names):
            raise WorkbookError(
                f"{name} has no {what}: neither {' nor '.join(names)} is there. Copy the {what}'s files from "
                "the model's base."
            )


# ---------------------------------------------------------------------------------- what was loaded


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own table of what did not fit: one line says it."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _attempt(name: str | Path, read: Callable[[], Any]) -> Any:
    """What ``read`` returns. Whatever a library raises on a broken checkpoint becomes one line."""
    try:
        return read()
    except WorkbookError:
        raise
    except Exception as error:
        where = (
            ""
            if Path(name).is_dir()
            else (
                " It is no folder here, so it was taken for a hub id: check the name, or "
                "download the model where there is a network and give its folder."
            )
        )
        raise WorkbookError(
            f"can't load {name}: {type(error).__name__}: {first_line(error, 300)}{where}"
        ) from error


def _refuse_report(name: str | Path, found: dict[str, Any]) -> None:
    """Refuse a load that was not whole: transformers fills missing tensors with random numbers and
    ignores unknown ones."""
    missing, unknown = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    other = sorted(key for key, *_ in found["mismatched_keys"])
    parts = [
        f"{len(names)} tensors {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in (
            (missing, "are missing"),
            (unknown, "are unknown to the model"),
            (other, "have another shape"),
        )
        if names
    ]
    parts += [first_line(ValueError(message), 300) for message in found["error_msgs"]]
    if parts:
        raise WorkbookError(
            f"{name} does not fit its config.json: {'; '.join(parts)}. {_advice(missing, unknown)}"
        )


def _advice(missing: Sequence[str], unknown: Sequence[str]) -> str:
    if any(key.startswith("base_model.") or ".lora_" in key for key in unknown):
        return (
            "These are PEFT's names: merge the adapter (merge_and_unload) before save_pretrained."
        )
    if any(key.startswith(("module.", "_orig_mod.")) for key in unknown):
        return "These are a wrapper's names: save the model inside it with save_pretrained."
    if list(missing) == ["lm_head.weight"]:
        return "Add its output layer, or set tie_word_embeddings to true in config.json if it shares the embeddings."
    return "Take the config.json and all the weights of one model, saved with save_pretrained."


def _refuse_blind(name: str | Path, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    sees = (
        getattr(config, "vision_config", None) is not None
        and getattr(config, "video_token_id", None) is not None
    )
    if not sees or config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise WorkbookError(
            f"{name} is a model of type {config.model_type!r}, which takes no video. Give a Qwen2.5-VL or a "
            "Qwen3-VL."
        )


def _refuse_tokenizer(name: str | Path, processor: Any, config: Any) -> None:
    words = processor.tokenizer
    for role in ("pad", "eos"):
        if getattr(words, f"{role}_token_id") is None:
            usual = {"pad": "<|endoftext|>", "eos": "<|im_end|>"}[role]
            raise WorkbookError(
                f'the tokenizer of {name} has no {role} token. Set "{role}_token" in its tokenizer_config.json '
                f"(Qwen's is {usual})."
            )
    for kind in ("image", "video"):
        mine, models = (
            getattr(processor, f"{kind}_token_id", None),
            getattr(config, f"{kind}_token_id"),
        )
        if mine != models:
            raise WorkbookError(
                f"the tokenizer of {name} is another model's: its {kind} token is "
                f"number {mine}, config.json says {models}. {FROM_BASE}"
            )
    rows = config.get_text_config().vocab_size
    if len(words) > rows:
        raise WorkbookError(
            f"the tokenizer of {name} is another model's: it has {len(words)} tokens, "
            f"the model {rows}. {FROM_BASE}"
        )


def _refuse_template(name: str | Path, processor: Any) -> None:
    """Refuse a missing chat template, and one that leaves out a medium."""
    if getattr(processor, "chat_template", None) is None:
        raise WorkbookError(
            f"{name} has no chat template. Copy chat_template.jinja (or .json) from the model's base."
        )
    media: list[dict[str, str]] = [{"type": "image"}, {"type": "video"}]
    messages = [{"role": "user", "content": [*media, {"type": "text", "text": "?"}]}]
    text = str(
        _attempt(
            f"the chat template of {name}",
            lambda: processor.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            ),
        )
    )
    for token in (processor.image_token, processor.video_token):
        if token not in text:
            raise WorkbookError(
                f"the chat template of {name} leaves out {token}: the model would see nothing. Copy "
                "chat_template.jinja from the model's base."
            )
