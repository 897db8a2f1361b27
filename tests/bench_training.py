"""Prints what a GRPO step costs: against decoding and encoding per sample and frames as images, and
its rollouts per second against the path without shared attention.

    python tests/bench_training.py [--group 8] [--prompts 4] [--steps 2] [--pairs 3] [--only pairs]

Every variant starts from the same weights, prompts and random numbers in a process of its own.
The two paths take turns in one process. Seconds are processor time on one thread.
"""

from __future__ import annotations

from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from spacer_utils.core import mp4, profiles
from spacer_utils.core.types import WorkbookError
from spacer_utils.training import encoder as media
from spacer_utils.training import grpo, packing, rollouts
from spacer_utils.training.encoder import pad, token_types
from spacer_utils.training.vision import backbone

QUESTION = "How many chairs are in this room?"
MAP = "\nMap: chair, table, sofa, lamp, shelf."
LONG = (
    "Standing by the chair and facing the table, is the sofa to my left, right or back?\nOptions:\n"
    "A. left\nB. right\nC. back\nMap: chair, table, sofa, lamp, shelf, bed, tv, window."
)
"""A question that the nano base answers in about ninety tokens."""


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
    for name, value in (("group", 8), ("prompts", 4), ("steps", 2), ("tokens", 192), ("pairs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--only", choices=["pairs", "variants"])
    args = parser.parse_args()
    if args.only != "variants":
        compare(args)
    if args.only != "pairs":
        variants(args)


def variants(args: argparse.Namespace) -> None:
    """Compare the ways of giving media to rows."""
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


# ------------------------------------------------------------------ the path before, to compare with


class DenselyPacked(grpo._Seeing):
    """All rows in one forward, padded to the longest, with a mask over every pair of tokens."""

    def __call__(self, **inputs: Any) -> Any:
        rows = self.rows[self.next : self.next + len(inputs["input_ids"])]
        self.next += len(rows)
        members = packing.groups([(tuple(self.batch.ids[r]), self.batch.rows[r]) for r in rows])
        positions = self.vision.text_positions(self.batch, rows, inputs)
        prompts = packing.prompts(inputs["attention_mask"], inputs["labels"])
        packed = packing.pack(members, prompts, positions, **{k: inputs[k] for k in packing.NAMES})
        rest = {k: v for k, v in inputs.items() if k not in packing.NAMES}
        first = [rows[k] for k in packed.first]
        with self.vision.rows(self.batch, first, positions.device) as given:
            return packed.outputs(self.model(**packed.inputs, **rest, **given))


def with_grown_cache(
    model: Any,
    sight: Any,
    batch: media.Batch,
    processor: Any,
    budget: int,
    filters: Sequence[rollouts.Filter],
    stop: frozenset[int],
    choose: rollouts.Choice = rollouts.most_likely,
    all_ended: Callable[[bool], bool] = bool,
) -> list[tuple[list[int], bool]]:
    """``rollouts.complete`` with transformers' growing cache, copied to every row."""
    device, filler = model.device, processor.tokenizer.pad_token_id

    # the shared heads, one row each, and the rest of every row
    first, common = rollouts.shared_heads(
        batch, (processor.image_token_id, processor.video_token_id)
    )
    readers = sorted(set(first))
    reader = torch.tensor([readers.index(f) for f in first])
    heads, head_mask = pad([batch.ids[r][: common[r]] for r in readers], filler, "left")
    tails, tail_mask = pad([ids[n:] for ids, n in zip(batch.ids, common)], filler, "left")
    ids, mask = torch.cat([heads[reader], tails], 1), torch.cat([head_mask[reader], tail_mask], 1)
    places, _ = backbone(model).get_rope_index(
        ids, token_types(ids, processor), attention_mask=mask, **batch.positions(range(len(ids)))
    )
    ids, mask, places, width = ids.to(device), mask.to(device), places.to(device), heads.shape[1]

    # read the heads once, copy the cache to every row, read the rests
    with sight.rows(batch, readers, device) as media:
        read = model(
            input_ids=heads.to(device),
            attention_mask=head_mask.to(device),
            position_ids=places[:, readers, :width],
            use_cache=True,
            logits_to_keep=1,
            **media,
        )
    cache = read.past_key_values
    cache.batch_select_indices(reader.to(device))
    out = model(
        input_ids=ids[:, width:],
        attention_mask=mask,
        position_ids=places[:, :, width:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    place = places.amax((0, 2)) + 1  # (rows,) the next position of each

    # write token by token
    written: list[list[int]] = [[] for _ in batch.ids]
    ended = [False] * len(written)
    alive = list(range(len(written)))
    for step in range(budget):
        scores = out.logits[:, -1].float()
        if not torch.isfinite(scores).all():
            raise WorkbookError(
                f"the model's scores of its word number {step + 1} are not finite. Its weights do not suit the "
                f"precision it runs in ({model.dtype}), or a training has spoiled them: take another checkpoint."
            )
        for change in filters:
            scores = change(ids, scores)
        chosen = choose(scores)
        for row, token in zip(alive, chosen.tolist()):
            if not ended[row]:
                written[row].append(token)
                ended[row] = token in stop

        # rows that have ended leave
        keep = [k for k, row in enumerate(alive) if not ended[row]]
        if all_ended(not keep) or step == budget - 1:
            break
        if len(keep) < len(alive):
            keep = keep or [
                0
            ]  # other processes still write: keep one row, so that this one takes part
            index = torch.tensor(keep, device=device)
            out.past_key_values.batch_select_indices(index)
            ids, mask, place, chosen, alive = (
                ids[index],
                mask[index],
                place[index],
                chosen[index],
                [alive[k] for k in keep],
            )
        ids, mask = (
            torch.cat([ids, chosen[:, None]], 1),
            torch.cat([mask, mask.new_ones(len(mask), 1)], 1),
        )
        out = model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=place.expand(3, -1)[:, :, None],
            past_key_values=out.past_key_values,
            use_cache=True,
        )
        place = place + 1
    return list(zip(written, ended))


# ------------------------------------------------------------------------------------ pairs of steps


def compare(args: argparse.Namespace) -> None:
    """Alternate the two paths on the same rollouts; print the median of the ratios."""
    args = argparse.Namespace(**{**vars(args), "prompts": 16, "steps": 0, "tokens": 208})
    with tempfile.TemporaryDirectory() as folder:
        paths = clips(Path(folder), args.prompts, profiles.get("cpu").data)
        made = trainer("shared", profiles.get("cpu").model_path, paths, args, "full", LONG)
        made.model.train()
        made.current_gradient_accumulation_steps = 1
        rows = [row for row in made.train_dataset for _ in range(args.group)]
        made._generate_and_score_completions(rows[: args.group])  # warms up
        made.encoder.encode([grpo._prompt(row) for row in rows])  # decodes
        pairs = [(step(made, rows, k, True), step(made, rows, k, False)) for k in range(args.pairs)]
    written = pairs[0][0]["ids"].ne(0).sum().item() / len(rows)
    equal = all(torch.equal(a["ids"], b["ids"]) for a, b in pairs)
    print(f"{len(rows)} rollouts of {written:.0f} tokens, {args.pairs} pairs")
    for name in ("generation", "scoring", "backward", "step"):
        before, after = ([p[k][name] for p in pairs] for k in (0, 1))
        ratio = statistics.median(b / a for b, a in zip(before, after))
        print(
            f"  {name:10} {len(rows) / statistics.median(before):6.2f} -> "
            f"{len(rows) / statistics.median(after):6.2f} rollouts/s  {ratio:.2f} x"
        )
    worst = max(float((a["gradient"] - b["gradient"]).abs().max()) for a, b in pairs)
    largest = float(pairs[0][0]["gradient"].abs().max())
    print(
        f"  {'equal tokens' if equal else 'TOKENS DIFFER'}; gradients differ by {worst:.1e} of at "
        f"most {largest:.1e}",
        flush=True,
    )


def step(made: Any, rows: Sequence[Any], seed: int, before: bool) -> dict[str, Any]:
    """Rollouts, their scores and gradients: processor seconds of each, tokens and gradient."""
    marks = [time.process_time()]
    spent: list[float] = []
    complete = with_grown_cache if before else rollouts.complete

    def timed(*given: Any) -> Any:
        start = time.process_time()
        found = complete(*given)
        spent.append(time.process_time() - start)
        return found

    torch.manual_seed(seed)
    seeing = DenselyPacked if before else grpo._Seeing
    with mock.patch.object(rollouts, "complete", timed), mock.patch.object(grpo, "_Seeing", seeing):
        out = made._generate_and_score_completions(rows)
        loss = made._compute_loss(made.model, out)
        marks.append(time.process_time())
        loss.backward()
        marks.append(time.process_time())
    kept = [p.grad.flatten() for p in made.model.parameters() if p.grad is not None]
    gradient = torch.cat(kept)
    made.model.zero_grad()
    return {
        "generation": spent[0],
        "scoring": marks[1] - marks[0] - spent[0],
        "backward": marks[2] - marks[1],
        "step": marks[2] - marks[0],
        "ids": out["completion_ids"] * out["completion_mask"],
        "gradient": gradient,
    }


if __name__ == "__main__":
    main()
