"""Prints how many questions per second the evaluation answers by batch size, against a one-by-one
loop on the same items.

    python tests/bench_evaluation.py [--clips 8] [--per-clip 8] [--tokens 96] [--data
    outputs/cpu/data]

The loop decodes, encodes and answers every question on its own. Without ``--data`` the clips are
noise. Seconds are processor time on one thread; the answers must be the loop's, character for
character.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench_training import clips

from spacer_utils.core import profiles, rows
from spacer_utils.core.rows import load
from spacer_utils.evaluation import evaluate

QUESTIONS = (
    "How many chair(s) are in this room?",
    "What is the size of this room (in square meters)?",
    "What is the distance between the sofa and the table (in meters)?",
    "Is the lamp left or right of the bed?\nOptions:\nA. left\nB. right",
    "Which is closest to the door?\nOptions:\nA. chair\nB. sofa\nC. tv\nD. table",
    "How long is the sofa (in centimeters)?",
    "In which order do they appear?\nOptions:\nA. tv, bed\nB. bed, tv",
    "What is the lamp next to?",
)
Answers = dict[str, str]


def noise_items(folder: Path, count: int, per_clip: int) -> list[evaluate.Item]:
    paths = clips(folder, count, profiles.get("cpu").data)
    return [
        evaluate.Item(f"{c}-{q}", QUESTIONS[q % len(QUESTIONS)], (("video", path),))
        for c, path in enumerate(paths)
        for q in range(per_clip)
    ]


def one_by_one(engine: evaluate.Answerer, items: Sequence[evaluate.Item], tokens: int) -> Answers:
    """What a plain loop over a file of questions does."""
    found = {}
    for item in items:
        engine.encoder._raw.clear()  # no frames of the item before
        found |= {p.key: p.output for p in engine.answer([item], tokens)}
    return found


def in_batches(
    engine: evaluate.Answerer, items: Sequence[evaluate.Item], tokens: int, size: int
) -> Answers:
    engine.encoder._raw.clear()
    return {
        p.key: p.output
        for batch in evaluate.batches(items, size)
        for p in engine.answer(batch, tokens)
    }


def timed(work: Callable[..., Answers], *args: Any) -> tuple[float, Answers]:
    start = time.process_time()
    found = work(*args)
    return time.process_time() - start, found


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("clips", 8), ("per-clip", 8), ("tokens", 96)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--data", type=Path, help="a run's data folder: its held-out questions instead of noise"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16, 32, 64])
    args = parser.parse_args()
    torch.set_num_threads(1)
    profile = profiles.get("cpu")
    engine = evaluate.Answerer(profile.model_path, profile.frames, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        if args.data:
            samples = rows.spread(load(args.data / "heldout.jsonl"), args.clips * args.per_clip)
            items = evaluate.items_from_samples(samples, args.data, profile.prompt_style, False)
        else:
            items = noise_items(Path(folder), args.clips, args.per_clip)
        in_batches(engine, items[:4], 4, 4)  # warms up
        loop, expected = timed(one_by_one, engine, items, args.tokens)
        print(f"{len(items)} items, {len({i.media for i in items})} clips")
        print(f"  one by one {len(items) / loop:6.2f} items/s", flush=True)
        for size in args.sizes:
            seconds, found = timed(in_batches, engine, items, args.tokens, size)
            differing = sum(found[k] != expected[k] for k in expected)
            print(
                f"  batch {size:3}  {len(items) / seconds:6.2f} items/s  {loop / seconds:5.2f} x  "
                f"{'equal answers' if not differing else f'{differing} ANSWERS DIFFER'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
