"""Prints what a GRPO step costs when rows share their media, against decoding and encoding per
sample, and frames as images.

    python tests/bench_training.py [--group 8] [--prompts 4] [--steps 2]

Every variant starts from the same weights, prompts and random numbers in a process of its own;
seconds are processor time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from spacer_utils.core import mp4, profiles
from spacer_utils.training import encoder as media

QUESTION = "How many chairs are in this room?"
MAP = "\nMap: chair, table, sofa, lamp, shelf."


class NoMemory(dict):  # type: ignore[type-arg]
    """Keeps no features: what a trainer does that doesn't know that rows share media."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass


class PerSample(media.Encoder):
    """Decodes and processes every row on its own, as a dataset or collator that loads video
    would."""

    def encode(self, prompts: Any, shuffle_seed: int | None = None) -> media.Batch:
        whole = media.Batch([], [], [], NoMemory())
        for prompt in prompts:
            self._raw.clear()
            one = super().encode([prompt], shuffle_seed)
            whole.ids += one.ids
            whole.rows += [tuple(m + len(whole.media) for m in row) for row in one.rows]
            whole.media += one.media
        return whole


class FramesAsImages(media.Encoder):
    """Sends each frame of a clip as a picture."""

    def encode(self, prompts: Any, shuffle_seed: int | None = None) -> media.Batch:
        split = {
            m: tuple(("image", f"{m[1]}#{k}") for k in range(self.frames.num_frames))
            for p in prompts
            for m in p.media
        }
        return super().encode(
            [media.Prompt(p.text, tuple(x for m in p.media for x in split[m])) for p in prompts],
            shuffle_seed,
        )

    def _frames(self, medium: media.Medium) -> tuple[Any, Any]:
        path, k = medium[1].rsplit("#", 1)
        clip = self.__dict__.setdefault("clips", {})
        if path not in clip:
            clip[path] = super()._frames(("video", path))[0]
        return clip[path][int(k)], None


VARIANTS = {"shared": media.Encoder, "per sample": PerSample, "frames as images": FramesAsImages}


def clips(folder: Path, count: int, data: profiles.Data) -> list[str]:
    """Noise that moves: as large and as long as the profile's rendered clips."""
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        blocks = rng.integers(0, 255, (1, data.height // 28, data.width // 28, 3), dtype=np.uint8)
        base = np.kron(blocks, np.ones((1, 28, 28, 1), np.uint8))
        frames = np.concatenate([np.roll(base, 3 * t, axis=2) for t in range(data.clip_frames)])
        found.append(str(folder / f"clip{k}.mp4"))
        Path(found[-1]).write_bytes(mp4.encode(frames, data.fps))
    return found


def vowels(completions: Any, **_: Any) -> list[float]:
    """A reward that any text can earn, different from row to row."""
    return [sum(c[0]["content"].count(v) for v in "aeiou") / 10 for c in completions]


def trainer(
    variant: str, model: str, paths: list[str], args: argparse.Namespace, tuning: str, question: str
) -> Any:
    """A trainer of one variant; all else is equal."""
    import torch
    from datasets import Dataset
    from trl import GRPOConfig

    from spacer_utils.training import models
    from spacer_utils.training.grpo import VideoGRPOTrainer
    from spacer_utils.training.loop import LORA_TARGETS

    torch.set_num_threads(1)
    profile = profiles.get("cpu")
    rows = [
        {
            "prompt": [{"role": "user", "content": question}],
            "media": json.dumps([["video", paths[k % len(paths)]]]),
            "sample": json.dumps(
                {
                    "problem_id": k,
                    "problem": question,
                    "data_type": "video",
                    "problem_type": "numerical",
                    "options": [],
                    "solution": "<answer>2</answer>",
                    "path": "",
                    "data_source": "",
                }
            ),
        }
        for k in range(args.prompts * (args.steps + 1))
    ]
    peft = None
    if tuning == "lora":
        from peft import LoraConfig

        peft = LoraConfig(r=16, lora_alpha=32, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=args.prompts * args.group,
        num_generations=args.group,
        max_completion_length=args.tokens,
        beta=0.04,
        loss_type="grpo",
        use_bias_correction_kl=False,
        learning_rate=1e-4,
        max_steps=args.steps + 1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        logging_steps=1,
        shuffle_dataset=False,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    encoder = VARIANTS[variant](models.load_processor(model, padding_side="left"), profile.frames)
    return VideoGRPOTrainer(
        model=models.load(model, torch.float32),
        args=config,
        reward_funcs=[vowels],
        train_dataset=Dataset.from_list(rows),
        encoder=encoder,
        peft_config=peft,
    )


def measure(queue: Any, *args: Any) -> None:
    """Steps after the first, which warms up: seconds, tokens and memory; loss and gradient of the
    first."""
    from transformers import PrinterCallback, TrainerCallback

    from spacer_utils.training.logs import peak_memory_mb

    made, marks = trainer(*args), []
    made.remove_callback(PrinterCallback)

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.process_time())

    made.add_callback(Clock())
    made.train()
    log = [r for r in made.state.log_history if "loss" in r]
    queue.put(
        {
            "seconds": (marks[-1] - marks[0]) / (len(marks) - 1),
            "tokens": log[-1]["completions/mean_length"],
            "vision tokens": log[-1]["vision_tokens"],
            "MB": peak_memory_mb(),
            "decoded": made.encoder.decoded,
            "loss": [r["loss"] for r in log],
            "gradient": [r["grad_norm"] for r in log],
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("group", 8), ("prompts", 4), ("steps", 2), ("tokens", 192)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = clips(Path(folder), args.prompts * (args.steps + 1), profiles.get("cpu").data)
        for tuning, question in (("full", QUESTION), ("full", QUESTION + MAP), ("lora", QUESTION)):
            found = {
                v: run(v, profiles.get("cpu").model_path, paths, args, tuning, question)
                for v in VARIANTS
            }
            report(tuning, "with a map" if MAP in question else "answer only", found)


def report(tuning: str, task: str, found: dict[str, dict[str, Any]]) -> None:
    """Print the variants side by side."""
    ours, base = found["shared"], found["per sample"]
    print(f"\n{tuning}, {task}")
    for name, r in found.items():
        print(
            f"  {name:17} {r['seconds']:6.2f} s/step  {r['vision tokens']:6.0f} vision tokens  {r['decoded']:4d} decoded"
            f"  {r['MB']:6.0f} MB  {r['tokens']:5.1f} tokens written  gradient of step 1 {r['gradient'][0]:.6f}"
        )
    print(
        f"  {base['seconds'] / ours['seconds']:.2f} x faster than per sample; losses differ by "
        f"{max(abs(a - b) for a, b in zip(ours['loss'], base['loss'])):.1e}, gradients by "
        f"{abs(ours['gradient'][0] / base['gradient'][0] - 1):.1e} (relative)",
        flush=True,
    )


def run(*args: Any) -> dict[str, Any]:
    """``measure`` in a process of its own."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=measure, args=(queue, *args))
    process.start()
    found: dict[str, Any] = queue.get()
    process.join()
    return found


if __name__ == "__main__":
    main()
