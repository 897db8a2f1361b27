"""Worker of test_distributed.py: one rank of a training run and of an evaluation whose samples do
not depend on the rank.

    PYTHONPATH=tests torchrun --nproc_per_node 2 tests/kit/two_processes.py MODEL DATA OUT TUNING STOP LAUNCHER

LAUNCHER is fsdp2, zero2, zero3, or empty for whole models.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from kit.training_kit import FRAMES
from torch.distributed.fsdp import FSDPModule

from spacer_utils.core import profiles
from spacer_utils.core.rows import load
from spacer_utils.evaluation import evaluate
from spacer_utils.training import plan, train

PROFILE = profiles.get("smoke").with_overrides(
    completion_tokens=12,
    size=56,
    rl_steps=4,
    prompts_per_step=4,
    group_size=4,
    save_steps=1,
    rl_lr_full=1e-3,
    rl_lr_lora=1e-2,
    lora_rank=4,
    max_new_tokens=8,
    batch=3,
    validate_steps=2,
    validate_questions=4,
)


def written(
    self: Any, prompt_ids: list[list[int]], *args: Any, **kwargs: Any
) -> tuple[list[list[int]], None]:
    """Completions that follow from the prompt and the place in its group alone."""
    eos = self.processing_class.tokenizer.eos_token_id
    seeds = [sum(ids) + 7919 * (k % PROFILE.train.group_size) for k, ids in enumerate(prompt_ids)]
    return [[300 + (s * (j + 3)) % 500 for j in range(4 + s % 5)] + [eos] for s in seeds], None


def rewarded(terms: Any, *_: Any) -> tuple[list[Any], list[float]]:
    def accuracy(completions: Any, **_: Any) -> list[float]:
        return [completion[0]["content"].count("e") / 4 for completion in completions]

    return [accuracy], [1.0]


def shard(launcher: str) -> None:
    """What our configuration asks of accelerate, on the CPU: accelerate shards on GPUs alone,
    PyTorch and DeepSpeed in gloo processes too."""
    from accelerate.state import AcceleratorState, DistributedType, PartialState

    config = yaml.safe_load(
        (Path(plan.__file__).parents[1] / "assets" / "launch" / f"{launcher}.yaml").read_text()
    )
    fsdp = "fsdp_config" in config
    os.environ["ACCELERATE_USE_FSDP" if fsdp else "ACCELERATE_USE_DEEPSPEED"] = "true"
    for name, value in config["fsdp_config" if fsdp else "deepspeed_config"].items():
        prefix = (
            ""
            if fsdp
            else "ACCELERATE_"
            if name.startswith("gradient")
            else "ACCELERATE_DEEPSPEED_"
        )
        os.environ[prefix + name.upper()] = str(value).lower()
    start = AcceleratorState.__init__

    def as_if_on_gpus(self: Any, *args: Any, **kwargs: Any) -> None:
        if PartialState(cpu=True).distributed_type == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
            if not fsdp:
                import deepspeed

                deepspeed.comm.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
                PartialState._shared_state["distributed_type"] = DistributedType.DEEPSPEED
        start(self, *args, **kwargs)

    AcceleratorState.__init__ = as_if_on_gpus  # type: ignore[method-assign]


def main() -> None:
    model, data, out, tuning, stop, launcher = sys.argv[1:]
    torch.set_num_threads(1)
    if launcher:
        shard(launcher)
    from spacer_utils.training import loop
    from spacer_utils.training.grpo import VideoGRPOTrainer

    generate = VideoGRPOTrainer._generate_single_turn

    def first_greedy(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Before the first made-up completions, what the model itself writes."""
        assert isinstance(self.model, FSDPModule) == (launcher == "fsdp2")
        stage = (
            self.model_wrapped.zero_optimization_stage()
            if hasattr(self.model_wrapped, "zero_optimization_stage")
            else 0
        )
        assert stage == {"zero2": 2, "zero3": 3}.get(launcher, 0)
        if first:
            first.clear()
            self.generation_config.do_sample = False
            place = Path(out) / f"greedy.{os.environ.get('RANK', 0)}.json"
            place.write_text(json.dumps(generate(self, *args, **kwargs)[0]))
            if (
                launcher == "fsdp2"
            ):  # where one process has nothing more to write, it still takes part in the other's forwards
                ends, rank = self.eos_token_ids, self.accelerator.process_index
                self.eos_token_ids = (
                    [] if rank else list(range(self.model.config.get_text_config().vocab_size))
                )
                lengths = {len(tokens) for tokens in generate(self, *args, **kwargs)[0]}
                assert lengths == {PROFILE.train.completion_tokens if rank else 1}, lengths
                self.eos_token_ids = ends
        return written(self, *args, **kwargs)

    Path(out).mkdir(parents=True, exist_ok=True)
    first = (
        [True] if not any(Path(out).glob("greedy.*.json")) else []
    )  # the same on every rank: sharded ones generate together
    VideoGRPOTrainer._generate_single_turn = first_greedy
    loop.rewards.trl_reward_functions = rewarded
    loop.rewards.term = lambda _, sample, answer: (answer.text.count("e") / 4, "")

    if os.environ.get("SPOILT_RANK") == os.environ.get(
        "RANK", "0"
    ):  # in one process alone the loss of step 2 is no number
        compute = VideoGRPOTrainer._compute_loss
        VideoGRPOTrainer._compute_loss = lambda self, *args: (
            compute(self, *args)
            * (  # type: ignore[method-assign]
                float("nan") if self.state.global_step == 1 else 1.0
            )
        )

    def progress(step: int, steps: int, metrics: Any) -> None:
        if step == int(stop):
            os._exit(9)  # as if killed: step is logged and not saved

    train.run(PROFILE, "rlvr", tuning, 0, Path(data), Path(out), model=model, progress=progress)  # type: ignore[arg-type]
    if launcher:
        return
    items = evaluate.items_from_samples(
        load(Path(data) / "train.jsonl"), Path(data), "compact", True
    )
    found = evaluate.generate(
        model, items, Path(out) / "eval", frames=FRAMES, batch=3, max_new_tokens=8
    )
    (Path(out) / f"answers.{os.environ.get('RANK', 0)}.json").write_text(
        json.dumps({k: p.output for k, p in found.items()})
    )


if __name__ == "__main__":
    main()
