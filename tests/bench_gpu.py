"""Measures what a GRPO step of Qwen2.5-VL-7B costs on this GPU: random weights of the true shape,
rooms rendered here.

    python tests/bench_gpu.py [--tiny] [--minutes 8] [--name RUN] [--out outputs/reference]

Rows are written to OUT/RUN/cost.json and cost.md as they finish, in order of importance, until the
minutes are over; notebook 00 plans with them. ``--tiny`` is the same on a CPU with a tiny model.
Full fine-tuning is measured with bf16 weights and gradients and no optimiser, which is what fits
one GPU: ``states_gb`` says what to put in their place.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from bench_training import VARIANTS, vowels

from spacer_utils.core import machine, mp4, profiles
from spacer_utils.core.files import write_atomic
from spacer_utils.core.profiles import PROJECT, Frames
from spacer_utils.core.registry import SCENES
from spacer_utils.render import film
from spacer_utils.workbook import cost, memory, model_sizes
from spacer_utils.workbook.model_sizes import Setting

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
GPU = torch.cuda.is_available()
BASE = Setting("lora", frames=16, pixels=128 * 28 * 28, prompts=1, group=8, completion=128)
TINY = Setting("lora", frames=4, pixels=56 * 56, prompts=1, group=4, completion=8, text=60)
WORDS = "How many chairs are in this room? "


def settings(base: Setting) -> Iterator[tuple[Setting, str]]:
    """(step, attention kernel) of every row, the most telling first; the last ones grow until
    memory ends."""
    kernels = ["eager", *(["flash_attention_2"] if _installed("flash_attn") else [])]
    yield base, "sdpa"
    yield replace(base, shared=False), "sdpa"
    yield replace(base, checkpointing=False), "sdpa"
    yield from ((base, kernel) for kernel in kernels)
    for change in (
        {"frames": base.frames // 2},
        {"frames": 2 * base.frames},
        {"pixels": 2 * base.pixels},
        {"group": base.group // 2},
        {"group": 2 * base.group},
    ):
        yield replace(base, **change), "sdpa"
    full = replace(base, tuning="full")
    yield full, "sdpa"
    yield replace(full, shared=False), "sdpa"
    yield replace(full, frames=2 * base.frames), "sdpa"
    for start in (full, base):
        for times in (4, 8, 16):
            yield replace(start, frames=times * base.frames, group=2 * base.group), "sdpa"


def _installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


def config(words: Any) -> Any:
    """Qwen2.5-VL-7B's own sizes, as its published ``config.json`` has them, with the token ids of a
    small tokenizer."""
    from transformers import Qwen2_5_VLConfig

    ids = {
        f"{k}_token_id": words.convert_tokens_to_ids(f"<|{v}|>")
        for k, v in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    text = {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128000,
        "tie_word_embeddings": False,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
        "use_sliding_window": False,
        "max_window_layers": 28,
        "pad_token_id": words.pad_token_id,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.pad_token_id,
        **ids,
    }
    tower = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 112,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=tower, tie_word_embeddings=False, **ids)


def model(tiny: bool) -> tuple[Any, Any]:
    """(random model on the device, its processor)."""
    from transformers import AutoModelForImageTextToText, GenerationConfig

    from spacer_utils.nano_base import nano
    from spacer_utils.training.vision import repair_positions

    repair_positions()
    processor = nano.processor("qwen2_5_vl")
    processor.tokenizer.padding_side = "left"
    shape = (
        nano.config("qwen2_5_vl", "tiny", processor.tokenizer)
        if tiny
        else config(processor.tokenizer)
    )
    with torch.device("cuda" if GPU else "cpu"):
        made = AutoModelForImageTextToText.from_config(
            shape, dtype=torch.bfloat16 if GPU else torch.float32
        )
    made.generation_config = GenerationConfig(
        eos_token_id=processor.tokenizer.eos_token_id, pad_token_id=processor.tokenizer.pad_token_id
    )
    return made, processor


def clips(folder: Path, frames: int, tiny: bool) -> list[str]:
    """A rendered walk through each of two rooms, with as many frames as the largest step takes."""
    data = profiles.get("smoke" if tiny else "gpu-lora").data
    data = replace(data, clip_frames=frames, **({} if tiny else {"width": 560, "height": 420}))
    paths = []
    for k, scene in enumerate(SCENES["procedural"]("train", 2, 0)):
        pixels, _ = film.film(scene, data, seed=k)
        paths.append(str(folder / f"room{k}.mp4"))
        Path(paths[-1]).write_bytes(mp4.encode(pixels, data.fps))
    return paths


def trainer(made: Any, processor: Any, s: Setting, paths: list[str]) -> Any:
    """Two steps of a setting; the first warms up."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import GRPOConfig

    from spacer_utils.training.grpo import VideoGRPOTrainer
    from spacer_utils.training.loop import LORA_TARGETS

    count = len(processor.tokenizer(WORDS)["input_ids"])
    question = WORDS * max(1, s.text // count)
    sample = {
        "problem_id": 0,
        "problem": "",
        "data_type": "video",
        "problem_type": "numerical",
        "options": [],
        "solution": "<answer>2</answer>",
        "path": "",
        "data_source": "",
    }
    rows = [
        {
            "prompt": [{"role": "user", "content": question}],
            "media": json.dumps([["video", paths[k % len(paths)]]]),
            "sample": json.dumps({**sample, "problem_id": k}),
        }
        for k in range(2 * s.prompts)
    ]
    args = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=s.prompts * s.group,
        num_generations=s.group,
        max_completion_length=s.completion,
        beta=0.04 if s.tuning == "lora" else 0.0,
        loss_type="grpo",
        max_steps=2,
        use_bias_correction_kl=False,
        learning_rate=1e-6,
        use_cpu=not GPU,
        bf16=GPU,
        gradient_checkpointing=s.checkpointing,
        optim="adamw_torch" if s.tuning == "lora" else "sgd",
        report_to="none",
        logging_steps=1,
        shuffle_dataset=False,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=GPU,
        generation_kwargs={"min_new_tokens": s.completion},
    )
    encoder = VARIANTS["shared" if s.shared else "per sample"](
        processor, Frames(s.frames, 0, s.pixels)
    )
    lora = (
        LoraConfig(r=64, lora_alpha=128, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
        if s.tuning == "lora"
        else None
    )
    return VideoGRPOTrainer(
        model=made,
        args=args,
        reward_funcs=[vowels],
        train_dataset=Dataset.from_list(rows),
        encoder=encoder,
        peft_config=lora,
    )


def measure(made: Any, processor: Any, s: Setting, kernel: str, paths: list[str]) -> dict[str, Any]:
    """Seconds of the second step and its parts, tokens per second, peak memory."""
    from transformers import PrinterCallback, TrainerCallback

    from spacer_utils.training.logs import peak_memory_mb

    made.set_attn_implementation(kernel)
    made.gradient_checkpointing_disable()
    made.requires_grad_(s.tuning == "full")
    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if GPU:
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

    ran = trainer(made, processor, s, paths)
    ran.remove_callback(PrinterCallback)
    ran.add_callback(Clock())
    try:
        ran.train()
    finally:
        if s.tuning == "lora":
            ran.accelerator.unwrap_model(
                ran.model
            ).unload()  # adapters leave the model that the next row starts from
        for name in ("forward", "_original_forward"):  # so does accelerate's autocast
            made.__dict__.pop(name, None)
        made.zero_grad(set_to_none=True)
    step, log = marks[1] - marks[0], [r for r in ran.state.log_history if "loss" in r][-1]
    return {
        "seconds": step,
        "seconds_generate": log["seconds/generate"],
        "seconds_score": log["seconds/score"],
        "seconds_train": step - ran._scored["total"],
        "tokens_per_second": log["tokens_per_second"],
        "vision_tokens": log["vision_tokens"],
        "gb": peak_memory_mb() / 1024 * 1.0737,
    }


def matrix_rate(size: int) -> float:
    """Operations per second of square bf16 products (fp32 on a CPU), best of 20."""
    a = torch.randn(
        size, size, device="cuda" if GPU else "cpu", dtype=torch.bfloat16 if GPU else torch.float32
    )
    return 2 * size**3 / min(_timed(lambda: a @ a) for _ in range(20))


def memory_rate(size: int) -> float:
    """Bytes read and written per second by a copy, best of 10."""
    a = torch.zeros(size, dtype=torch.uint8, device="cuda" if GPU else "cpu")
    return 2 * size / min(_timed(a.clone) for _ in range(10))


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def markdown(table: dict[str, Any]) -> str:
    """The table for people."""
    head = (
        "tuning",
        "frames",
        "pixels",
        "G",
        "completion",
        "shared",
        "checkpointing",
        "kernel",
        "s/step",
        "generate",
        "score",
        "train",
        "tokens/s",
        "MFU",
        "GB",
    )
    where = ", ".join(table["hardware"]["gpus"]) or "CPU"
    commit = table["commit"][:12] + " with changes" * table["dirty"]
    lines = [
        f"# A GRPO step of {table['model']} (random weights)",
        "",
        f"{where}; commit {commit}; matrix rate {table['chip']['flops'] / 1e12:.1f} TFLOP/s, memory "
        f"{table['chip']['bandwidth'] / 1e12:.2f} TB/s. Made by `make gpu-bench`.",
        "",
        "MFU: operations of a forward and backward pass without recomputation, over the training part's seconds times the "
        f"measured matrix rate. {table['note']}",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for r in table["rows"]:
        s = r["setting"]
        known = (
            [
                f"{r[k]:.3g}"
                for k in (
                    "seconds",
                    "seconds_generate",
                    "seconds_score",
                    "seconds_train",
                    "tokens_per_second",
                    "mfu",
                    "gb",
                )
            ]
            if "seconds" in r
            else [r["failed"], *[""] * 6]
        )
        lines.append(
            "| "
            + " | ".join(
                map(
                    str,
                    (
                        s["tuning"],
                        s["frames"],
                        s["pixels"],
                        s["group"],
                        s["completion"],
                        s["shared"],
                        s["checkpointing"],
                        r["kernel"],
                        *known,
                    ),
                )
            )
            + " |"
        )
    for tuning in dict.fromkeys(r["setting"]["tuning"] for r in table["rows"]):
        sizes = [
            (s["frames"] * s["pixels"] * s["group"], s)
            for r in table["rows"]
            if "seconds" in r
            for s in [r["setting"]]
            if s["tuning"] == tuning and s["shared"]
        ]
        if sizes:
            _, s = max(sizes, key=lambda pair: pair[0])
            lines += [
                "",
                f"Largest that ran with {tuning}: {s['frames']} frames x {s['pixels']} pixels x G = {s['group']}.",
            ]
    return "\n".join(lines) + "\n"


def head(made: Any, tiny: bool) -> dict[str, Any]:
    """What the rows stand on: model, hardware, commit, measured rates."""
    hardware = machine.hardware()
    gb = torch.cuda.get_device_properties(0).total_memory / 1e9 if GPU else hardware["memory_gb"]
    chip = {
        "flops": matrix_rate(256 if tiny else 8192),
        "bandwidth": memory_rate(2**24 if tiny else 2**30),
        "gb": gb,
        "price": 0.0,
    }
    return {
        "model": "tiny" if tiny else MODEL,
        "hardware": hardware,
        **machine.code(),
        "note": "",
        "chip": chip,
        "rows": [],
    }


def save(folder: Path, table: dict[str, Any]) -> None:
    write_atomic(folder / cost.TABLE, json.dumps(table, indent=1) + "\n")
    write_atomic(folder / "cost.md", markdown(table))


def rows(
    made: Any, processor: Any, base: Setting, paths: list[str], rate: float
) -> Iterator[dict[str, Any]]:
    """A row per setting; after the first that finds no memory, a tuning's larger ones are left
    out."""
    of, over = model_sizes.from_config(made.config.to_dict()), set[str]()
    for s, kernel in settings(base):
        if s.tuning in over:
            continue
        states_gb = memory.states(s, of) if s.tuning == "lora" else 4 * of.weights / 1e9
        row: dict[str, Any] = {"setting": asdict(s), "kernel": kernel, "states_gb": states_gb}
        try:
            found = measure(made, processor, s, kernel, paths)
            row |= {**found, "mfu": cost.work(s, of)["useful"] / found["seconds_train"] / rate}
        except torch.OutOfMemoryError:
            row["failed"] = "out of memory"
            over |= {s.tuning} if s.frames > 2 * base.frames else set()
        yield row
        gc.collect()
        if GPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def run(args: argparse.Namespace) -> Path:
    """Measure row after row and write the table after each; its folder."""
    start, base = time.perf_counter(), TINY if args.tiny else BASE
    made, processor = model(args.tiny)
    table, folder = head(made, args.tiny), Path(args.out) / args.name
    with tempfile.TemporaryDirectory() as scratch:
        paths = clips(Path(scratch), max(s.frames for s, _ in settings(base)), args.tiny)
        for row in rows(made, processor, base, paths, table["chip"]["flops"]):
            table["rows"].append(row)
            spent = time.perf_counter() - start
            print(f"{spent:5.0f} s  {json.dumps(row)}", flush=True)
            if spent > 60 * args.minutes:
                table["note"] = f"Stopped after {args.minutes:g} minutes; later rows are missing."
                break
            save(folder, table)
    save(folder, table)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny model on the CPU, to see that all works"
    )
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--name", default="gpu-bench", help="folder of the results")
    parser.add_argument("--out", default=str(PROJECT / "outputs" / "reference"))
    args = parser.parse_args()
    if not (GPU or args.tiny):
        print(
            "error: no GPU here. Run it where there is one, or with --tiny to see that it works.",
            file=sys.stderr,
        )
        return 2
    print(run(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
