"""Logs of a run: one metrics row per optimiser step and per validation, one rollout row per
completion, and one validation row per question that is asked then.

After a crash no row is lost or doubled.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import math
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ..core import answers
from ..core.files import append_jsonl, read_jsonl, write_jsonl
from ..core.types import Sample

Rows = list[dict[str, Any]]
METRICS, ROLLOUTS, VALIDATION = "metrics.jsonl", "rollouts.jsonl", "validation.jsonl"


def rollout(
    step: int,
    sample: Sample,
    completion: str,
    terms: Mapping[str, float],
    weights: Mapping[str, float],
    advantage: float,
    *,
    tokens: int,
    vision_tokens: int,
    truncated: bool,
) -> dict[str, Any]:
    """One row of ``rollouts.jsonl``; a term that does not apply is None."""
    parsed = answers.parse(completion)
    found = {name: None if math.isnan(value) else value for name, value in terms.items()}
    total = sum(weights[name] * value for name, value in found.items() if value is not None)
    has_map = None
    if sample.cognitive_map is not None and any(
        name.startswith("map") for name in weights
    ):  # else no map was asked for
        has_map = parsed.map_text is not None and bool(
            answers.parse_map(parsed.map_text, tuple(sample.cognitive_map))
        )
    return {
        "step": step,
        "group": str(sample.problem_id),
        "problem_type": sample.problem_type,
        "question_type": sample.question_type,
        "scene_id": sample.scene_id,
        "gold": sample.gold,
        "completion": completion,
        "terms": found,
        "reward": total,
        "advantage": advantage,
        "problems": list(parsed.problems),
        "has_map": has_map,
        "tokens": tokens,
        "vision_tokens": vision_tokens,
        "truncated": truncated,
    }


def summary(rows: Rows) -> dict[str, float]:
    """Metrics that TRL does not log.

    They are reward and accuracy per question type; the shares of groups whose completions are not
    all equally right, of maps that can be read, of each format failure, and of truncated
    completions; and the sum of vision tokens, where a clip counts in each of its rows.
    """
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        by_type[r["question_type"] or r["problem_type"]].append(r)
    found = {f"reward/{kind}": _mean([r["reward"] for r in mine]) for kind, mine in by_type.items()}
    for kind, mine in by_type.items():
        values = [r["terms"].get("accuracy") for r in mine]
        if values := [v for v in values if v is not None]:
            found[f"accuracy/{kind}"] = _mean(values)
    groups: dict[str, set[float | None]] = defaultdict(set)
    for r in rows:
        if "accuracy" in r["terms"]:
            groups[r["group"]].add(r["terms"]["accuracy"])
    if groups:
        found["groups/with_spread"] = _mean([len(values) > 1 for values in groups.values()])
    with_map = [r["has_map"] for r in rows if r["has_map"] is not None]
    if with_map:
        found["map/parsed"] = _mean(with_map)
    causes = Counter(p for r in rows for p in r["problems"])
    found |= {f"format/{cause}": n / len(rows) for cause, n in causes.items()}
    found["format/well formed"] = _mean([not r["problems"] for r in rows])
    return {
        **found,
        "truncated": _mean([r["truncated"] for r in rows]),
        "vision_tokens": sum(r["vision_tokens"] for r in rows),
    }


def _mean(values: list[Any]) -> float:
    return sum(map(float, values)) / len(values)


def peak_memory_mb() -> float:
    """Largest memory so far: allocated on the GPU where there is one, else resident in this
    process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def gather(rows: Rows) -> Rows:
    """Rows of all processes in rank order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def truncate(path: Path, step: int) -> None:
    """Drop rows of steps after ``step``: a run that resumes there does these steps again. Before the
    first step, when nothing is done yet, it is -1."""
    if path.exists():
        write_jsonl(
            path, [r for r in read_jsonl(path, tolerate_torn_end=True) if r["step"] <= step]
        )


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Appends the metrics of every optimiser step to ``metrics.jsonl``, with the run's own
    ``facts``."""

    def __init__(self, folder: Path, facts: Mapping[str, float]) -> None:
        self.path, self.facts = folder / METRICS, facts
        self._since = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._since = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._since = time.perf_counter()

    def note(self, step: int, values: Mapping[str, Any]) -> None:
        """A row beside those of the steps; its time is not that of a step."""
        append_jsonl(self.path, [{"step": step, "time": time.time(), **values}])
        self._since = time.perf_counter()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        row = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in logs.items()
            if k != "step_time"
        }
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()
        spent = sum(v for k, v in row.items() if k.startswith("seconds/") and isinstance(v, float))
        append_jsonl(
            self.path,
            [
                {
                    "step": state.global_step,
                    "time": time.time(),
                    **row,
                    **self.facts,
                    "seconds/update": max(0.0, seconds - spent),
                    "seconds/step": seconds,
                }
            ],
        )
