"""GRPO: the advantage and the loss in plain torch, and the trainer.

``group_advantages`` and ``grpo_loss`` are the algorithm to read: they give the same numbers as TRL
1.16, which a test holds. ``VideoGRPOTrainer`` is TRL's trainer and computes the loss with TRL's own
code, which knows more loss types and importance sampling.

What the trainer adds are the media. TRL 1.16 shows videos to the model when it writes answers, but not
when it scores them, and raises no error. Here every log-probability (old, reference, policy) is
computed with the media of its row. A generation's media are decoded once into a ``Batch``. Each row
carries the number of its media in that batch (``media_row``) through TRL's splitting and shuffling.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from trl import GRPOTrainer
from trl.models.utils import unwrap_model_for_generation

from ..core import answers
from ..core.types import Sample, WorkbookError
from ..rewards import term
from . import credit, logs, packing, rollouts, vllm_rollouts
from .checkpoints import Resumable
from .encoder import Batch, Encoder, Prompt, token_types, vision_tokens
from .method import Credit
from .vision import SharedVision

# ------------------------------------------------------------------------------------ the algorithm


def group_advantages(
    rewards: torch.Tensor,
    group_size: int,
    scale_rewards: Literal["group", "batch", "none"] = "group",
) -> torch.Tensor:
    """(B,) advantages of (B,) rewards: how much better a completion is than the mean of its group.

    Source: DeepSeekMath (arXiv 2402.03300), section 4.1.2; ``none`` is Dr. GRPO (arXiv 2503.20783),
    section 3.2.

    Args:
        group_size: completions of one prompt, which are neighbouring rows.
        scale_rewards: divide by the standard deviation of the ``group``, of the whole ``batch``, or
            by nothing.

    >>> group_advantages(torch.tensor([2.0, 0.0, 1.0, 1.0]), 2, "none").tolist()
    [1.0, -1.0, 0.0, 0.0]
    """
    groups = rewards.view(-1, group_size)
    advantages = groups - groups.mean(1, keepdim=True)
    if scale_rewards == "none":
        return advantages.flatten()

    spread = rewards.std() if scale_rewards == "batch" else groups.std(1, keepdim=True)
    return (advantages / (spread + credit.SMALLEST)).flatten()


def without_spread(accuracies: torch.Tensor, group_size: int) -> torch.Tensor:
    """(B,) whether all completions of a row's group have the same of (B,) accuracies.

    Such a group says nothing about answers: DAPO (arXiv 2503.14476), section 3.2, leaves it out.

    >>> without_spread(torch.tensor([1.0, 1.0, 0.0, 1.0]), 2).tolist()
    [True, True, False, False]
    """
    groups = accuracies.view(-1, group_size)
    return (groups.amax(1) == groups.amin(1)).repeat_interleave(group_size)


def grpo_loss(
    logps: torch.Tensor,
    old_logps: torch.Tensor,
    ref_logps: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    beta: float,
    epsilon: float = 0.2,
    loss_type: Literal["grpo", "dr_grpo"] = "grpo",
    max_tokens: int,
) -> torch.Tensor:
    """The loss of GRPO, a scalar: what gradient descent makes small.

    Source: DeepSeekMath (arXiv 2402.03300), equations 3 and 4. Dr. GRPO (arXiv 2503.20783), section
    3.2, divides by a constant instead of by the length of each completion.

    Args:
        logps: (B, T) log-probabilities of the completions' tokens under the policy.
        old_logps: (B, T) under the policy that wrote them.
        ref_logps: (B, T) under the reference policy; not used with ``beta`` 0.
        advantages: (B,) per completion, or (B, T) per token.
        mask: (B, T) 1 for the tokens of a completion, 0 behind its end.
        beta: weight of the KL divergence from the reference policy.
        epsilon: clipping range: a ratio of new to old probability outside 1 +- epsilon earns no more.
        max_tokens: the most tokens a completion may have; used by ``dr_grpo`` only.
    """
    if advantages.dim() == 1:
        advantages = advantages[:, None]

    # how much likelier a token is now than when it was written, and the bound on what that earns
    ratio = torch.exp(logps - old_logps)
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    token_loss = -torch.min(ratio * advantages, clipped * advantages)

    # the k3 estimate of the KL divergence: never negative, and right in the mean
    if beta:
        difference = ref_logps - logps
        token_loss = token_loss + beta * (torch.exp(difference) - difference - 1)

    # one number from all tokens
    if loss_type == "dr_grpo":
        return (token_loss * mask).sum() / (len(mask) * max_tokens)
    lengths = mask.sum(1).clamp(min=1)
    return ((token_loss * mask).sum(1) / lengths).mean()


# -------------------------------------------------------------------------------------- the trainer


class _Seeing:
    """Takes the model's place while TRL scores rows in chunks, and gives each chunk its media.

    Rows of a chunk that share a prompt are packed, so that the prompt is read once. In a single
    process every clip has a forward of its own: without padding, and in a processor's cache.
    Several processes take part in one forward, since each needs as many as the others.
    """

    def __init__(
        self, model: Any, vision: SharedVision, batch: Batch, rows: Sequence[int], alone: bool
    ) -> None:
        self.model, self.vision, self.batch, self.rows = model, vision, batch, rows
        self.alone = alone
        self.next = 0

    def __call__(self, **inputs: Any) -> Any:
        count = len(inputs["input_ids"])
        rows = self.rows[self.next : self.next + count]
        self.next += count
        members = packing.groups([(tuple(self.batch.ids[r]), self.batch.rows[r]) for r in rows])
        if len(members) == count or not packing.possible(self.vision.model):
            with self.vision.rows(self.batch, rows, inputs["input_ids"].device) as media:
                return self.model(**inputs, **media)
        prompts = packing.prompts(inputs["attention_mask"], inputs["labels"])
        positions = self._positions(rows, members, prompts, inputs)
        text = {k: inputs[k] for k in packing.NAMES}
        rest = {k: v for k, v in inputs.items() if k not in packing.NAMES}
        parts = []
        clips = [self.batch.rows[rows[m[0]]] if self.alone else () for m in members]
        for some in packing.groups(clips):
            packed = packing.pack([members[k] for k in some], prompts, positions, **text)
            first = [rows[k] for k in packed.first]
            with self.vision.rows(self.batch, first, positions.device) as media:
                parts.append(packed.outputs(self.model(**packed.given, **rest, **media)))
        return packing.joined(parts)

    def _positions(
        self,
        rows: Sequence[int],
        members: Sequence[Sequence[int]],
        prompts: torch.Tensor,
        inputs: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """(3, B, L) rotary positions; they are worked out once per prompt, and completions count
        on."""
        first, number = packing.first_and_number(members)
        behind = ~prompts.any(0) & (inputs["attention_mask"].any(0))
        given = {
            "input_ids": inputs["input_ids"][first],
            "mm_token_type_ids": inputs["mm_token_type_ids"][first] * prompts[first],
            "attention_mask": (prompts[first] | behind).long(),
        }
        return self.vision.text_positions(self.batch, [rows[k] for k in first], given)[:, number]


class VideoGRPOTrainer(Resumable, GRPOTrainer):  # type: ignore[misc]
    """GRPO over rows with no, one or several videos and images, mixed in a batch.

    The dataset has the columns ``prompt`` (one user message with plain text), ``media`` (JSON list
    of ``[kind, path]``) and ``sample`` (``Sample.to_json_text()``).

    Args:
        encoder: reads and processes media.
        on_rollouts: gets the rows for ``rollouts.jsonl`` after every generation, on the main
            process.
        shuffled: rollouts per prompt on shuffled frames that T-GRPO compares with; 0 for none.
        credit_by: what a token is credited with (see ``credit``).
        skip_groups: ``accuracy`` leaves groups out whose completions are all equally right. With
            ``credit_by`` other than ``completion``, only what stands behind the map is left out: the
            group's maps still differ.

    Raises:
        WorkbookError: settings of TRL that ``credit_by`` or ``skip_groups`` would not follow, or rewards
            without the term that it needs.
    """

    def __init__(
        self,
        *args: Any,
        encoder: Encoder,
        on_rollouts: Callable[[logs.Rows], None] | None = None,
        shuffled: int = 0,
        credit_by: Credit = "completion",
        skip_groups: str = "none",
        **kwargs: Any,
    ) -> None:
        self.encoder, self.shuffled, self.credit_by = encoder, shuffled, credit_by
        self.skip_groups = skip_groups
        self._on_rollouts = on_rollouts
        self._batches: dict[str, Batch] = {}
        self._context: tuple[Batch, Sequence[int]] | None = None
        self._scored: dict[str, Any] = {}
        settings = kwargs["args"]
        if credit_by != "completion" and not (
            settings.scale_rewards in ("group", "none")
            and settings.multi_objective_aggregation == "sum_then_normalize"
        ):
            raise WorkbookError(
                f"credit {credit_by!r} compares rewards within groups. Set scale_rewards to 'group' or 'none' and leave "
                "multi_objective_aggregation at 'sum_then_normalize', or choose another method."
            )
        if skip_groups == "accuracy" and settings.loss_type not in ("grpo", "dr_grpo"):
            raise WorkbookError(
                f"skip_groups leaves rows out of a mean over rows, which loss_type {settings.loss_type!r} does not "
                "take. Choose grpo or dr_grpo."
            )
        super().__init__(*args, processing_class=encoder.processor, **kwargs)
        self.reward_func_names = [
            f.__name__ for f in self.reward_funcs
        ]  # TRL names a partial after the function inside
        self._of_map = torch.tensor([n.startswith("map") for n in self.reward_func_names])
        if credit_by != "completion" and not self.reward_weights.cpu()[self._of_map].any():
            raise WorkbookError(
                f"credit {credit_by!r} needs a reward for maps. Choose a method that has one, or credit 'completion'."
            )
        if skip_groups == "accuracy" and "accuracy" not in self.reward_func_names:
            raise WorkbookError(
                "skip_groups='accuracy' needs the reward term accuracy. Choose 'none', or a method that has it."
            )
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        self._sight = SharedVision(self.model, always=sharded)
        self._reference_sight = (
            SharedVision(self.ref_model, always=sharded)
            if self.ref_model is not None
            else self._sight
        )
        if self.use_vllm:
            self._vllm_media = vllm_rollouts.VllmMedia(
                self.vllm_generation, encoder, lambda: self._sight.frozen
            )
        else:
            self.generation_config.suppress_tokens = vision_tokens(encoder.processor)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns: list[str] = list(
            dict.fromkeys([*self._signature_columns, "media", "sample"])
        )

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _note(self, name: str, value: float) -> None:
        self._metrics[self._mode][name].append(value)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._scored[name] = self._scored.get(name, 0.0) + time.perf_counter() - start

    @contextlib.contextmanager
    def _looking_at(self, batch: Batch, rows: Sequence[int]) -> Iterator[None]:
        before, self._context = self._context, (batch, rows)
        try:
            yield
        finally:
            self._context = before

    def _vision(self, model: Any) -> SharedVision:
        return self._reference_sight if model is self.ref_model else self._sight

    # ----------------------------------------------------------------------------------- generation

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        assert self._context is not None
        return self._context[0].ids, None, {}  # media are added where they are needed

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        **kwargs: Any,
    ) -> Any:
        assert self._context is not None
        with self._timed("generate"):
            if self.use_vllm:
                self._vllm_media.look(*self._context, num_generations)
                return super()._generate_single_turn(
                    prompt_ids, images, multimodal_fields, num_generations, **kwargs
                )
            with (
                unwrap_model_for_generation(
                    self.model_wrapped,
                    self.accelerator,
                    self.args.ds3_gather_for_generation,
                    gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
                ) as model,
                torch.no_grad(),
                self._dist.summon_full_params(self.model_wrapped, recurse=False),
            ):
                return self._written(model, self._context[0]), None

    def _written(self, model: Any, batch: Batch) -> list[list[int]]:
        """Per row: the tokens that ``GRPOConfig``'s sampling settings draw, the one that ends them
        included."""
        settings = self.generation_config
        filters = model._get_logits_processor(
            settings, device=self.accelerator.device
        )  # as ``generate`` makes them
        found = rollouts.complete(
            model,
            self._sight,
            batch,
            self.encoder.processor,
            settings.max_new_tokens,
            filters,
            frozenset(self.eos_token_ids),
            rollouts.drawn if settings.do_sample else rollouts.most_likely,
            partial(rollouts.ended_everywhere, self.accelerator) if self._sight.always else bool,
        )
        return [tokens for tokens, _ in found]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        start, self._scored = time.perf_counter(), {}
        with self._timed("decode"):
            batch = self.encoder.encode([_prompt(x) for x in inputs])
        self._batches[self._mode] = batch
        with self._looking_at(batch, range(len(inputs))):
            out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        out["media_row"] = torch.arange(len(inputs), device=out["prompt_ids"].device)
        if self.use_vllm and self.vllm_importance_sampling_correction:
            seen = self._metrics[self._mode]
            vllm_rollouts.agree(
                seen["sampling/sampling_logp_difference/mean"][-1],
                seen["sampling/importance_sampling_ratio/mean"][-1],
            )
        self._scored["total"] = time.perf_counter() - start
        skipped = self._skipped().to(out["advantages"].device)
        out["advantages"] = out["advantages"].masked_fill(skipped, 0.0)
        self._log_rollouts(inputs, batch, out["advantages"].tolist())
        if self.credit_by != "completion":
            out["advantages"] = self._credited(
                [Sample.from_json_text(x["sample"]) for x in inputs],
                out["advantages"],
                skipped,
                out["completion_ids"].size(1),
            )
        elif self.skip_groups == "accuracy":
            kept = self.accelerator.gather((~skipped).sum()).sum().clamp(min=1)
            out["kept"] = ~skipped
            out["rows_per_kept"] = (len(skipped) * self.accelerator.num_processes / kept).repeat(
                len(skipped)
            )
        return out

    # -------------------------------------------------------------------------------------- scoring

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        assert self._context is not None
        kwargs["mm_token_type_ids"] = token_types(input_ids, self.encoder.processor)
        alone = self.accelerator.num_processes == 1
        seeing = _Seeing(model, self._vision(model), *self._context, alone)
        return super()._get_per_token_logps_and_entropies(seeing, input_ids, *args, **kwargs)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        inputs, share = self._kept(inputs) if "kept" in inputs else (inputs, 1.0)
        with self._looking_at(self._batches[self._mode], inputs["media_row"].tolist()):
            loss: torch.Tensor = super()._compute_loss(model, inputs)
        return loss * share

    def _kept(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """The rows of a chunk that are not left out, and the factor that makes the mean over them
        their part of the mean over all kept rows of the generation.

        Where none is kept one row stays, with factor 0: in every process there is a loss.
        """
        kept, count = inputs["kept"], len(inputs["kept"])
        rows = kept.nonzero()[:, 0] if kept.any() else kept.new_zeros(1, dtype=torch.long)
        chosen = {
            k: v[rows] if isinstance(v, torch.Tensor) and v.dim() else v for k, v in inputs.items()
        }
        return chosen, float(kept.sum() / count * inputs["rows_per_kept"][0])

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        if self.shuffled:
            found = self._shuffled_accuracy(inputs)
            inputs = [{**x, "shuffled_accuracy": a} for x, a in zip(inputs, found)]
        with self._timed("reward"):
            scores: torch.Tensor = super()._calculate_rewards(
                inputs, prompts, completions, completion_ids_list
            )
        mine = slice(
            self.accelerator.process_index * len(prompts),
            (self.accelerator.process_index + 1) * len(prompts),
        )
        self._scored |= {
            "texts": [c[0]["content"] for c in completions],
            "ids": completion_ids_list,
            "terms": scores[mine].tolist(),
        }
        return scores

    def _skipped(self) -> torch.Tensor:
        """(B,) rows of groups that are left out."""
        scores = torch.tensor(self._scored["terms"])
        if self.skip_groups == "none":
            return torch.zeros(len(scores), dtype=torch.bool)
        accuracy = scores[:, self.reward_func_names.index("accuracy")].nan_to_num()
        found = without_spread(accuracy, self.num_generations)
        groups = self.accelerator.gather(found.to(self.accelerator.device).sum()).sum()
        self._note("groups/skipped", int(groups) / self.num_generations)
        return found

    def _credited(
        self, samples: Sequence[Sample], whole: torch.Tensor, skipped: torch.Tensor, length: int
    ) -> torch.Tensor:
        """(B, length) advantages of tokens from those of their completions (B,)."""
        seen, group, scale = self._scored, self.num_generations, self.scale_rewards
        weights = self.reward_weights.cpu()
        earned = torch.tensor(seen["terms"]) * weights
        of_map = self._of_map
        of_head = of_map.clone()
        if self.credit_by == "parts":
            of_head |= torch.tensor([n.startswith("format") for n in self.reward_func_names])
        head, rest = (
            group_advantages((earned * chosen).nansum(1), group, scale).to(whole.device)
            for chosen in (of_head, ~of_map)
        )
        rest = rest.masked_fill(skipped, 0.0)

        # without a true map there is nothing to take apart
        mapped = torch.tensor(
            [any((s.cognitive_map or {}).values()) for s in samples], device=whole.device
        )
        head, rest = torch.where(mapped, head, whole), torch.where(mapped, rest, whole)

        cells = None
        if self.credit_by == "object":
            weight = float(weights[of_map].sum())
            cells = credit.by_category(samples, seen["texts"], group, scale, weight)
        tokens = [credit.ends(self._tokenizer, ids) for ids in seen["ids"]]
        return credit.by_token(whole, head, rest, seen["texts"], tokens, length, cells)

    def _shuffled_accuracy(self, inputs: list[dict[str, Any]]) -> list[float | None]:
        """Per row, mean accuracy of extra rollouts of its prompt on shuffled frames; None without a
        video (T-GRPO)."""
        prompts = [_prompt(x) for x in inputs]
        moving = {
            p: Sample.from_json_text(x["sample"])
            for p, x in zip(prompts, inputs)
            if "video" in dict(p.media)
        }
        if not moving:
            return [None] * len(inputs)
        rows = [p for p in moving for _ in range(self.shuffled)]
        batch = self.encoder.encode(rows, shuffle_seed=self.state.global_step)
        with self._looking_at(batch, range(len(rows))):
            ids, _ = self._generate_single_turn(batch.ids, None, {}, self.shuffled)
        texts = self.encoder.processor.batch_decode(ids, skip_special_tokens=True)
        values = [
            term("accuracy", moving[p], answers.parse(t))[0] or 0.0 for p, t in zip(rows, texts)
        ]
        means = {
            p: sum(values[k * self.shuffled : (k + 1) * self.shuffled]) / self.shuffled
            for k, p in enumerate(moving)
        }
        return [means.get(p) for p in prompts]

    # ----------------------------------------------------------------------------------------- logs

    def _log_rollouts(
        self, inputs: list[dict[str, Any]], batch: Batch, advantages: list[float]
    ) -> None:
        weights = dict(zip(self.reward_func_names, self.reward_weights.tolist()))
        seen = self._scored
        ended = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        rows = [
            logs.rollout(
                self.state.global_step + 1,
                Sample.from_json_text(x["sample"]),
                text,
                dict(zip(weights, terms)),
                weights,
                advantage,
                tokens=len(ids),
                vision_tokens=batch.tokens(k, self.encoder.merge),
                truncated=not ids or ids[-1] not in ended,
            )
            for k, (x, text, ids, terms, advantage) in enumerate(
                zip(inputs, seen["texts"], seen["ids"], seen["terms"], advantages)
            )
        ]
        seconds = {f"seconds/{k}": seen.get(k, 0.0) for k in ("decode", "generate", "reward")}
        seconds["seconds/score"] = seen["total"] - sum(seconds.values())
        tokens = sum(r["tokens"] for r in rows)
        numbers = {
            **seconds,
            "tokens_per_second": tokens / max(seconds["seconds/generate"], 1e-9),
            "unique_media": float(len(batch.media)),
            "peak_memory_mb": logs.peak_memory_mb(),
        }
        everywhere = logs.gather(rows)
        for name, value in {**numbers, **logs.summary(everywhere)}.items():
            self._note(name, value)
        if self._on_rollouts and self._mode == "train" and self.accelerator.is_main_process:
            self._on_rollouts(everywhere)


def _prompt(row: dict[str, Any]) -> Prompt:
    return Prompt(
        row["prompt"][-1]["content"], tuple((kind, path) for kind, path in json.loads(row["media"]))
    )
