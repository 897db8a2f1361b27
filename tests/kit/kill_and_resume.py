"""Kill training or evaluation with SIGKILL at random moments, go on, and compare with a run that
nobody disturbed.

    PYTHONPATH=tests python -m kit.kill_and_resume --kills 20
    PYTHONPATH=tests python -m kit.kill_and_resume --evaluation --kills 10

Equal means, of training: every logged number that the clock does not decide, every rollout, and
every byte of the trained weights; of an evaluation, which takes all the kills: every byte of its
folder. Children are forked from a process that has imported everything, so that kills fall into the
work, not into imports.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kit.training_kit import FRAMES, tiny_model, write_data

from spacer_utils.core import profiles
from spacer_utils.core.files import read_jsonl, sha256
from spacer_utils.core.rows import load
from spacer_utils.evaluation import evaluate
from spacer_utils.training import train

CLOCK = ("time", "tokens_per_second", "peak_memory_mb")
PROFILE = profiles.get("smoke").with_overrides(
    completion_tokens=24,
    size=56,
    rl_steps=16,
    sft_steps=60,
    prompts_per_step=2,
    group_size=4,
    sft_batch=8,
    save_steps=2,
    sft_lr=3e-3,
    rl_lr_full=1e-3,
    rl_lr_lora=1e-2,
    lora_rank=4,
)


def steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Log rows without what the clock decides."""
    return [
        {k: v for k, v in r.items() if k not in CLOCK and not k.startswith("seconds/")}
        for r in rows
    ]


def traces(folder: Path) -> tuple[Any, Any, str]:
    """All that must be equal after a kill."""
    rollouts = folder / "rollouts.jsonl"
    return (
        steady(read_jsonl(folder / "metrics.jsonl")),
        read_jsonl(rollouts) if rollouts.exists() else [],
        sha256(folder / "model" / "model.safetensors"),
    )


def child(method: str, tuning: str, data: Path, out: Path, model: str) -> None:
    import torch

    torch.set_num_threads(1)
    train.run(PROFILE, method, tuning, 0, data, out, model=model)  # type: ignore[arg-type]


def answering(data: Path, out: Path, model: str) -> None:
    import torch

    torch.set_num_threads(1)
    items = [
        evaluate.Item(f"{i.key}-{k}", i.text + " " * k, i.media)
        for k in range(8)
        for i in evaluate.items_from_samples(load(data / "train.jsonl"), data, "compact", False)
    ]
    evaluate.generate(model, items, out, frames=FRAMES, batch=3, max_new_tokens=24)


def one_run(
    rng: np.random.Generator, budget: int, seconds: float, target: Callable[..., None], *args: Any
) -> int:
    """Start, kill at a random moment and start again until the run is whole or ``budget`` kills are
    spent; returns the kills."""
    fork = multiprocessing.get_context("fork")
    for kills in range(budget + 1):
        process = fork.Process(target=target, args=args)
        process.start()
        if kills < budget:
            process.join(rng.uniform(0.1, 0.7 * seconds))
            if process.is_alive():
                process.kill()
                process.join()
                continue
        process.join()
        if process.exitcode:
            raise SystemExit(f"the run failed with exit code {process.exitcode}")
        return kills
    raise AssertionError("unreachable")


def prove(kills: int, folder: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Spend the kills over LoRA and full runs; one row per finished run: method, tuning, kills,
    whether all is equal."""
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    data = write_data(folder / "data")
    start = tiny_model(folder / "tiny", "qwen3_vl", spread=0.05)
    taught = train.run(PROFILE, "sft_map", "full", 0, data, folder / "taught", model=start)
    model, table, spent = str(taught / "model"), [], 0
    seconds: dict[str, float] = {}
    for k in range(10 * kills):
        method, tuning = (("sg_rlvr", "lora"), ("sg_rlvr", "full"), ("sft_map", "full"))[k % 3]
        name = f"{method}-{tuning}-s0"
        if name not in seconds:
            began = time.perf_counter()
            one_run(rng, 0, 0.0, child, method, tuning, data, folder / "whole", model)
            seconds[name] = time.perf_counter() - began
        used = one_run(
            rng,
            min(5, kills - spent),
            seconds[name],
            child,
            method,
            tuning,
            data,
            folder / f"killed{k}",
            model,
        )
        spent += used
        expected, found = traces(folder / "whole" / name), traces(folder / f"killed{k}" / name)
        table.append(
            {
                "run": name,
                "kills": used,
                "metrics": found[0] == expected[0],
                "rollouts": found[1] == expected[1],
                "weights": found[2] == expected[2],
                "moved": max(r["grad_norm"] for r in found[0]) > 0,
            }
        )
        if spent >= kills:
            return table
    return table


def prove_evaluation(kills: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Kill evaluations ``kills`` times, each time after a small part: how many kills, and whether
    all is equal.

    One that is faster than the undisturbed one, on a machine that others use too, may be whole
    before its kills are spent; then another takes the rest.
    """
    rng = np.random.default_rng(seed)
    data, model = write_data(folder / "data"), tiny_model(folder / "tiny", "qwen3_vl")
    began = time.perf_counter()
    one_run(rng, 0, 0.0, answering, data, folder / "whole", model)
    seconds = time.perf_counter() - began
    whole, spent, equal = contents(folder / "whole"), 0, True
    for k in range(10 * kills):
        if spent < kills:
            spent += one_run(
                rng,
                kills - spent,
                3 * seconds / kills,
                answering,
                data,
                folder / f"killed{k}",
                model,
            )
            equal = equal and contents(folder / f"killed{k}") == whole
    return {
        "run": "evaluation",
        "kills": spent,
        "equal": equal,
        "bytes": sum(map(len, whole.values())),
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of a folder's files."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--evaluation", action="store_true", help="kill an evaluation, not training"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = (
            [prove_evaluation(args.kills, Path(folder), args.seed)]
            if args.evaluation
            else prove(args.kills, Path(folder), args.seed)
        )
    for row in table:
        print(row)
    exact = all(value for row in table for key, value in row.items() if key not in ("run", "kills"))
    print(
        f"{sum(r['kills'] for r in table)} kills, {len(table)} runs, {'all exact' if exact else 'NOT EXACT'}"
    )
    raise SystemExit(not exact)


if __name__ == "__main__":
    main()
