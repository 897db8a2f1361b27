"""A small Qwen-VL of transformers' own classes, with its stock processor and a small tokenizer in
Qwen's layout.

Two families: ``qwen3_vl`` (learned position grid in the vision tower, timestamps as text: a small
model learns *where* and *when* much faster with it) and ``qwen2_5_vl`` (the paper's). A saved
folder loads with plain ``AutoModelForImageTextToText`` and ``AutoProcessor``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..core.types import WorkbookError
from ..render.furniture import CATEGORIES

Family = Literal["qwen3_vl", "qwen2_5_vl"]
Size = Literal["nano", "tiny"]

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen's own names; skipped when text is decoded."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<map>", "</map>", " seconds>")
"""One token each, but kept when text is decoded."""
KEYS = {c: f"{c}': [[" for c in CATEGORIES}
CELLS = tuple(f"{x}, {y}" for x in range(10) for y in range(10))
"""A cell is one token, and the token before it names the object: ``{'tv': [[3, 4]]}`` is ``{'``,
``tv': [[``, ``3, 4``, ``]]``, ``}``. Attention can then write a map by copying: it looks at the
token that knows this object and copies the cell that is known there. With single digits, and with
quotes and brackets between them and the name, no recipe taught it in hundreds of steps."""
CORPUS = """
How many s(s) are in this room? Measuring from the closest point of each object, what is the direct distance between the and the
(in meters)? What is the length of the longest dimension (length, width, or height) of the , measured in centimeters? What is
the size of this room (in square meters)? If multiple rooms are shown, estimate the size of the combined space. which of these
following objects ( , , , ) is the closest farthest to from the ? If I am standing by the and facing the , is the to the left or
the right of the ? to my left, right, or back? An object is to my back if I would have to turn at least 135 degrees in order to
face it. to my front-left, front-right, back-left, or back-right? The directions refer to the quadrants of a Cartesian plane (if
I am standing at the origin and facing along the positive y-axis). facing away from with my back to What will be the first-time
appearance order of the following categories in the video: , , , ? You are a robot beginning at the and facing the . You want to
navigate to the . You will perform the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn
left,' or 'turn right.'): 1. Go forward until the 2. [please fill in] 3. Go forward until the . You have reached the final
destination. Turn Left Right Back Options:\nA.\nB.\nC.\nD. left right back front-left front-right back-left back-right\nMap: , ,
. {'x': [[3, 5]], 'x': [[2, 2], [7, 1]], 'x': [[0, 9]]} {'x': [[4, 4], [1, 8], [6, 6]]} -> [[3, 5], [0, 1]] . ; : ( ) ' " ? ! -
_ / % = + * # @ & | Question: Read the text on the sign. What number does the gauge show? Which share of the picture is covered?
camera turned faster slower user assistant system nearest first second next door describe what stands colour color red green
blue yellow white black grey word image clip frame Look at the scene. You see the map: object cell grid x y up down near far
between above below same largest smallest one two three
"""
"""What the tokenizer learns its words from: the wordings of the questions and of the maps."""

TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}"
    "{%- else %}{%- for part in message.content %}"
    "{%- if part.type == 'image' or 'image' in part %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'video' or 'video' in part %}{{- '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- else %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
WORD_DEVIATION = 0.15
"""Standard deviation of a new model's word vectors: with the usual 0.02 a small model takes long to
tell words apart."""
NEAR = 1.5
"""Cells within which the new vectors of two map cells resemble each other: a guess next door is
half right from the start."""
PATCH, MERGE = 14, 2
"""112 x 112 pixels give 8 x 8 patches and 4 x 4 tokens per frame."""


def tokenizer() -> Any:
    """Byte-level BPE in which every word of the questions, every category and every digit is one
    token.

    ``chair`` is the same token in a question, in the list of categories and in a map: naming what
    it sees is then one lookup for a small model. Other words take the space before them along,
    which halves a question's length.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(
        Regex(r" ?[A-Za-z]+|[0-9]|[^A-Za-z0-9]+?(?= ?[A-Za-z]|[0-9]|$)"), "isolated"
    )
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        [CORPUS] * 2,
        trainers.BpeTrainer(
            vocab_size=1600, min_frequency=2, initial_alphabet=sorted(alphabet), show_progress=False
        ),
    )
    words = [AddedToken(c, single_word=True, normalized=False) for c in CATEGORIES]
    core.add_tokens(
        [AddedToken(t, normalized=False) for t in (*TAGS, *CELLS)]
        + [AddedToken(k, normalized=False) for k in KEYS.values()]
        + words
    )
    core.add_special_tokens(list(SPECIAL))
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=4096,
        padding_side="left",
        additional_special_tokens=[t for t in SPECIAL if t not in ("<|im_end|>", "<|endoftext|>")],
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    return made


def processor(family: Family) -> Any:
    """The family's stock processor for frames of any size in steps of 28 pixels; none is enlarged
    or shrunk."""
    import transformers as t

    words = tokenizer()
    cell = (PATCH * MERGE) ** 2
    size = {"shortest_edge": cell, "longest_edge": 4096 * cell}
    shape: dict[str, Any] = {"patch_size": PATCH, "merge_size": MERGE, "size": size}
    clip: dict[str, Any] = {**shape, "do_sample_frames": False, "cap_pixels_per_frame": False}
    if family == "qwen3_vl":
        images = t.Qwen2VLImageProcessor(**shape, temporal_patch_size=1)
        videos = t.Qwen3VLVideoProcessor(**clip, temporal_patch_size=1)
        return t.Qwen3VLProcessor(
            image_processor=images, tokenizer=words, video_processor=videos, chat_template=TEMPLATE
        )
    images = t.Qwen2VLImageProcessor(**shape, temporal_patch_size=2)
    return t.Qwen2_5_VLProcessor(
        image_processor=images,
        tokenizer=words,
        chat_template=TEMPLATE,
        video_processor=t.Qwen2VLVideoProcessor(**clip, temporal_patch_size=2),
    )


def config(family: Family, size: Size, words: Any) -> Any:
    """Model configuration; ``tiny`` is for tests, ``nano`` (about 3.7 M parameters) for the
    study."""
    import transformers as t

    small = size == "tiny"
    hidden, heads, depth = (64, 2, 2) if small else (192, 4, 5)
    head = hidden // heads
    section = [head // 2 - 2 * (head // 6), head // 6, head // 6]
    ids = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    text: dict[str, Any] = {
        "vocab_size": (len(words) + 63) // 64 * 64,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": head,
        "max_position_embeddings": 4096,
        "pad_token_id": words.pad_token_id,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.pad_token_id,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": section,
        },
    }
    vision: dict[str, Any] = {
        "depth": 1 if small else 4,
        "hidden_size": 32 if small else 128,
        "intermediate_size": 64 if small else 384,
        "num_heads": 2 if small else 4,
        "in_channels": 3,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "out_hidden_size": hidden,
    }
    tokens = {k: words.convert_tokens_to_ids(v) for k, v in ids.items()}
    if family == "qwen3_vl":
        text["rope_parameters"]["mrope_interleaved"] = True
        vision |= {
            "temporal_patch_size": 1,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [],
        }
        return t.Qwen3VLConfig(
            text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens
        )
    text |= {"use_sliding_window": False, "max_window_layers": depth, **tokens}
    vision |= {
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 112,
        "fullatt_block_indexes": list(range(vision["depth"])),
    }
    return t.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens
    )


def build(out: Path, *, seed: int = 0, size: Size = "nano", family: Family = "qwen3_vl") -> Path:
    """Write a freshly initialised model and its processor to ``out``.

    Raises:
        WorkbookError: no such family.
    """
    import torch
    import transformers as t

    classes = {
        "qwen3_vl": "Qwen3VLForConditionalGeneration",
        "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    }
    if family not in classes:
        raise WorkbookError(f"unknown model family {family!r}. Known: {', '.join(classes)}.")
    parts = processor(family)
    torch.manual_seed(seed)
    model = getattr(t, classes[family])(config(family, size, parts.tokenizer))
    _ready_to_copy(model.model.language_model, parts.tokenizer)
    words = parts.tokenizer
    model.generation_config = t.GenerationConfig(
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id
    )
    model.save_pretrained(out, safe_serialization=True)
    parts.save_pretrained(out)
    return Path(out)


def _ready_to_copy(text: Any, words: Any) -> None:
    """Start a language model in which attention copies what it reads, a key resembles its category
    and a cell its neighbours.

    The idea is mimetic initialisation (Trockman and Kolter 2023, arXiv 2305.09828), here of values
    and outputs alone: equal queries and keys made it worse. With larger word vectors beside, a
    model learns to write down listed names within a hundred steps instead of several hundred.
    Neighbouring cells' vectors are draws of a smooth random field.
    """
    import torch

    names, keys, cells = (
        words.convert_tokens_to_ids(list(k)) for k in (KEYS, KEYS.values(), CELLS)
    )
    at = torch.cartesian_prod(*[torch.arange(10.0)] * 2)
    alike = torch.exp(-(torch.cdist(at, at) ** 2) / (2 * NEAR**2)) + 0.1 * torch.eye(len(at))
    with torch.no_grad():
        vectors = text.embed_tokens.weight.normal_(0.0, WORD_DEVIATION)
        vectors[keys] = vectors[names] + WORD_DEVIATION * torch.randn(vectors.shape[1])
        vectors[cells] = torch.linalg.cholesky(alike) @ vectors[cells]
        for layer in text.layers:
            attention = layer.self_attn
            attention.v_proj.weight.normal_(0.0, attention.v_proj.in_features**-0.5)
            attention.o_proj.weight.copy_(0.5 * attention.v_proj.weight.T)
