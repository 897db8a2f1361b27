"""Carries out a plan of ``train``: model, trainer, resumption, result."""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import math
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, SFTConfig

from .. import rewards
from ..core import folders
from ..core.files import append_jsonl, inside, read_jsonl
from ..core.registry import METHODS
from ..core.row_files import remedy
from ..core.rows import load, need_maps
from ..core.types import Sample, WorkbookError
from . import checkpoints, finite, logs, models, settings, validation, vllm_rollouts
from .encoder import Encoder
from .grpo import VideoGRPOTrainer
from .plan import WRITES, OnStep, Plan, rows, write_result
from .sft import VideoSFTTrainer
from .vision import repair_positions

LOGS = (logs.METRICS, logs.ROLLOUTS, logs.VALIDATION)
LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""The language model's linear layers; the vision tower stays frozen, so its features are computed
once per generation."""


def execute(plan: Plan, progress: OnStep | None = None, *, overwrite: bool = False) -> None:
    """Train, from the last complete checkpoint if there is one, and write ``model/`` and
    ``run.json``.

    Nothing in the folder changes before the trainer is built. Then the folder is locked, and what
    another plan has left there is deleted.
    """
    state = PartialState(cpu=not torch.cuda.is_available())
    start = time.perf_counter()
    disable_progress_bar()
    warnings.filterwarnings(
        "ignore", message=".*is_gradient_checkpointing.*"
    )  # TRL 1.16 calls the old name at every generation
    trainer, window = build(
        plan, progress
    )  # first: what it refuses must not cost anything that is in the folder
    main = state.is_main_process
    with folders.held(plan.out) if main else contextlib.nullcontext():
        _carry_out(plan, trainer, window, state, start, overwrite)


def _carry_out(
    plan: Plan, trainer: Any, window: int, state: PartialState, start: float, overwrite: bool
) -> None:
    """Train in the locked folder and leave the whole result there.

    Args:
        start: when the run began, on the clock of ``time.perf_counter``.
    """
    if state.is_main_process:
        record = folders.begin(plan.out, plan.inputs, WRITES, overwrite=overwrite, alone=True)
        record.remove("run.json", "adapter/", "model.partial/")
        record.add(("run.json", *LOGS))
    state.wait_for_everyone()
    last = checkpoints.latest(plan.out)
    if state.is_main_process:
        for name in LOGS:
            logs.truncate(plan.out / name, checkpoints.step_of(last) if last else -1)
    with checkpoints.SaveOnStop(window) as stop:
        trainer.add_callback(stop)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if stop.stopped:
        told = checkpoints.stop_file()
        first = f"Delete {told}, then run" if told else "Run"
        raise checkpoints.Interrupted(
            f"{plan.out.name} stopped at step {trainer.state.global_step} of {plan.steps} and was "
            f"saved. {first} the same command to go on."
        )
    save(plan, trainer)
    if state.is_main_process:
        checkpoints.keep_last(plan.out, 0)
        final = [r for r in read_jsonl(plan.out / logs.METRICS) if "loss" in r][-1]
        write_result(
            plan,
            processes=state.num_processes,
            device=str(state.device),
            seconds=time.perf_counter() - start,
            decoded=trainer.encoder.decoded,
            final={k: v for k, v in final.items() if isinstance(v, int | float)},
        )
        folders.Record.of(plan.out).finish()
    state.wait_for_everyone()


def build(plan: Plan, progress: OnStep | None = None) -> tuple[Any, int]:
    """The trainer of a plan and its generation window (optimiser steps per generation; 1 when
    supervised).

    Raises:
        WorkbookError: the batch does not divide into whole groups per process, checkpoints would
            fall inside a window, or vllm is asked for and not there; the checkpoint is not whole,
            or TRL refuses the settings.
    """
    if plan.options.get("use_vllm"):
        vllm_rollouts.check()
    args = arguments(plan)
    window = 1 if plan.supervised else window_of(args)
    repair_positions()
    processor = models.load_processor(plan.model, padding_side="left")
    model = models.load(plan.model, _dtype(plan))
    checkpoints.keep_names(model)
    encoder = Encoder(processor, plan.profile.frames, cache=plan.profile.outputs / "frames")
    every = load(plan.data / "train.jsonl", special=processor.tokenizer.all_special_tokens)
    validation.apart(every, plan.validation)
    encoder.rows = _named(every, plan)
    broken = unusable([*every, *plan.validation], plan, encoder)
    samples, asked = usable(every, broken, plan), usable(plan.validation, broken, plan)
    dropped = without_maps(samples, plan)
    if plan.broken_media == "drop":
        dropped |= {"dropped_media": len(broken), "dropped_rows": len(every) - len(samples)}
    metrics = logs.MetricsLog(plan.out, dropped)
    given: dict[str, Any] = {
        "model": model,
        "args": args,
        "train_dataset": Dataset.from_list(rows(plan, samples)),
        "encoder": encoder,
        "peft_config": _lora(plan) if plan.tuning == "lora" else None,
        "callbacks": [
            metrics,
            *([_Progress(progress)] if progress else []),
        ],
    }
    if plan.supervised:
        with settings.refused_by_trl():
            return _ready(VideoSFTTrainer(**given), plan, metrics, asked), window
    method = METHODS[plan.method]
    functions, weights = rewards.trl_reward_functions(
        plan.terms, method.gate, plan.profile.reward_set, plan.profile.train.completion_tokens
    )
    args.reward_weights = weights
    server = args.use_vllm and args.vllm_mode == "server"
    with (
        vllm_rollouts.answering() if server else contextlib.nullcontext(),
        settings.refused_by_trl(),
    ):
        trainer = VideoGRPOTrainer(
            **given,
            reward_funcs=functions,
            on_rollouts=partial(append_jsonl, plan.out / logs.ROLLOUTS),
            shuffled=args.num_generations // 2 if "temporal" in plan.terms else 0,
            credit_by=plan.credit,
            skip_groups=plan.profile.train.skip_groups,
        )
    return _ready(trainer, plan, metrics, asked), window


def unusable(samples: Sequence[Sample], plan: Plan, encoder: Encoder) -> set[str]:
    """Paths of the media that can't be used; none unless ``broken_media="drop"`` asks for them.

    Every medium is read once, which fills the frame cache, and shown to the processor. A warning
    names each that is left out.
    """
    broken: set[str] = set()
    if plan.broken_media == "fail":
        return broken
    for kind, path in dict.fromkeys((s.data_type, s.path) for s in samples if s.path):
        try:
            encoder.prove((kind, str(inside(plan.data, path))))
        except WorkbookError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            broken.add(path)
    return broken


def usable(samples: Sequence[Sample], broken: set[str], plan: Plan) -> list[Sample]:
    """The samples whose medium is not broken.

    Raises:
        WorkbookError: there were samples, and none is left.
    """
    kept = [s for s in samples if s.path not in broken]
    if samples and not kept:
        raise WorkbookError(f"no medium of {plan.data.name} can be used. {remedy(plan.data)}")
    return kept


def _named(samples: Sequence[Sample], plan: Plan) -> dict[str, str]:
    """The first row of every medium, by the medium's path."""
    first = {s.path: f"problem_id {s.problem_id}" for s in reversed(samples) if s.path}
    named = {}
    for path, row in first.items():
        with suppress(WorkbookError):  # a path that leaves the folder is refused where it is used
            named[str(inside(plan.data, path))] = row
    return named


def without_maps(samples: Sequence[Sample], plan: Plan) -> dict[str, float]:
    """What the log says about questions without a map, if the method asks for maps; empty if there
    are none.

    Raises:
        WorkbookError: no sample has a map.
    """
    if not METHODS[plan.method].with_map:
        return {}
    bare = need_maps(samples, plan.data / "train.jsonl")
    if not bare:
        return {}
    warnings.warn(
        f"{bare} of {len(samples)} rows have no map in cognitive_map.jsonl: the map counts in the others",
        stacklevel=2,
    )
    return {"rows_without_map": bare}


def _dtype(plan: Plan) -> torch.dtype:
    """fp32 weights where they are trained in place (bf16 autocast on a GPU); a frozen base under
    LoRA can be bf16 there."""
    return torch.bfloat16 if torch.cuda.is_available() and plan.tuning == "lora" else torch.float32


def _ready(trainer: Any, plan: Plan, metrics: logs.MetricsLog, asked: Sequence[Sample]) -> Any:
    """The trainer without transformers' own printing, since ``progress`` reports instead, and with
    validation on the questions ``asked``, where the profile wants it."""
    trainer.remove_callback(PrinterCallback)
    if asked:
        trainer.add_callback(validation.Validation(plan, trainer, metrics, asked))
    elif plan.profile.train.validate_steps:
        warnings.warn(
            f"no validation while training: {plan.data.name} has no heldout.jsonl", stacklevel=2
        )
    return trainer


def window_of(args: Any) -> int:
    """Optimiser steps that one generation's rollouts serve.

    Raises:
        WorkbookError: a checkpoint would fall inside the window. A run can't continue exactly from
        there.
    """
    window = math.lcm(
        args.steps_per_generation * args.num_iterations, args.gradient_accumulation_steps
    )
    window = int(window // args.gradient_accumulation_steps)
    if args.save_steps % window:
        raise WorkbookError(
            f"save_steps={args.save_steps} is not a multiple of the generation window of {window} optimiser "
            "steps: a run resumed inside it would not continue exactly. Choose a multiple of it."
        )
    return window


def _lora(plan: Plan) -> Any:
    from peft import LoraConfig

    rank = plan.profile.train.lora_rank
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )


def arguments(plan: Plan) -> Any:
    """TRL's configuration: the paper's recipe with the profile's sizes, then the plan's own
    options."""
    t, gpu = plan.profile.train, torch.cuda.is_available()
    world = PartialState().num_processes
    total = t.sft_batch if plan.supervised else t.prompts_per_step * t.group_size
    group = 1 if plan.supervised else t.group_size
    if total % (world * group):
        raise WorkbookError(
            f"{total} rows per step do not divide into whole groups of {group} on {world} processes. "
            "Change prompts_per_step, sft_batch or the number of processes."
        )
    micro = min(t.micro_batch or total, total // world)
    if (total // world) % micro:
        raise WorkbookError(
            f"micro_batch={micro} does not divide the {total // world} rows per process and step."
        )
    common: dict[str, Any] = {
        "output_dir": str(plan.out),
        "seed": plan.seed,
        "max_steps": plan.steps,
        "save_steps": t.save_steps,
        "save_total_limit": 2,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": total // world // micro,
        "lr_scheduler_type": "cosine",
        "warmup_steps": int(t.warmup * plan.steps),
        "weight_decay": 0.01,
        "max_grad_norm": 5.0,
        "logging_steps": 1,
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": gpu and plan.profile.min_gpu_gb > 0,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": gpu,
        "shuffle_dataset": False,
    }
    if plan.supervised:
        common |= {
            "learning_rate": t.sft_lr,
            "max_length": None,
            "dataset_kwargs": {"skip_prepare_dataset": True},
            "completion_only_loss": False,
        }
        return _on_one_gpu(settings.config(SFTConfig, common, plan.options))
    common |= {
        "learning_rate": t.rl_lr_lora if plan.tuning == "lora" else t.rl_lr_full,
        "num_generations": t.group_size,
        "max_completion_length": t.completion_tokens,
        "temperature": t.temperature,
        "top_p": t.top_p,
        "top_k": t.top_k,
        "beta": t.beta,
        "loss_type": t.loss_type,
        "scale_rewards": t.scale_rewards,
        "use_bias_correction_kl": False,  # TRL's default is True
    }
    if plan.options.get("use_vllm"):
        common |= vllm_rollouts.defaults(plan.model)
    args = settings.config(GRPOConfig, common, plan.options)
    vllm_rollouts.refuse_vanishing(args)
    return _on_one_gpu(args)


def _on_one_gpu(args: Any) -> Any:
    """A process trains on one GPU, the first that it sees; several take ``accelerate launch``.

    Of a process that sees several, transformers copies the model to all of them
    (``nn.DataParallel``), which TRL refuses.
    """
    if args.n_gpu > 1:
        args._n_gpu = 1
    return args


def save(plan: Plan, trainer: Any) -> None:
    """The plain checkpoint ``model/`` (and ``adapter/`` for LoRA), complete or not there at all."""
    main = trainer.accelerator.is_main_process
    finite.weights(trainer.model, f"{plan.out.name}: the trained model", finite.MEND)
    if plan.tuning == "full":
        with checkpoints.listed(plan.out, "model.partial", trainer.accelerator):
            trainer.save_model(str(plan.out / "model.partial"))
    else:
        with checkpoints.listed(plan.out, "adapter", trainer.accelerator):
            trainer.save_model(str(plan.out / "adapter"))
        unset_hf_deepspeed_config()  # else ZeRO-3 would have every process load the base together, and only one does
        if main:
            with folders.Record.of(plan.out).saving("model.partial"):
                checkpoints.merge_adapter(
                    plan.model,
                    plan.out / "adapter",
                    plan.out / "model.partial",
                    trainer.encoder.processor,
                    _dtype(plan),
                )
    if main:
        record = folders.Record.of(plan.out)
        record.remove("model.partial/training_args.bin")
        record.move("model.partial", "model")


class _Progress(TrainerCallback):  # type: ignore[misc]
    def __init__(self, progress: OnStep) -> None:
        self.progress = progress

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if logs and "loss" in logs:
            self.progress(state.global_step, state.max_steps, logs)
