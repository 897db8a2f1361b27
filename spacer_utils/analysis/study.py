"""``spacer study``: every trained run on the same questions, over seeds;
the result is small enough to commit.

``make study`` trains the runs first, in ``outputs/<profile>/study``. Models answer the same
held-out questions, the starting policy also without the video, with its frames shuffled, with a map
and with the true map. Intervals are over rooms *and* training seeds: both are sampled with
replacement, the same rooms for every model and the same seeds for every method. Scores and
differences are over the spatial question types; the general ones have a table of their own.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core import frames, profiles
from ..core import machine as machine_
from ..core import rows as rows_
from ..core.files import write_atomic
from ..core.maps import GRID
from ..core.profiles import Profile
from ..core.progress import Progress
from ..core.registry import METHODS
from ..core.rows import load
from ..core.types import Sample, WorkbookError
from ..evaluation import evaluate
from ..evaluation.answerer import Mode
from . import counterfactual, map_stats, scores, training_logs, training_maps
from .published import REFERENCE
from .scores import Row

SPLITS = {"heldout": 500, "real_layouts": 250}
"""Spatial questions of every split, at most."""
FURTHER = ("further_rooms", 900)
"""Name and most questions of the split of ``--further``."""
CURVES = (
    "reward",
    "rewards/accuracy/mean",
    "rewards/format/mean",
    "rewards/map/mean",
    "rewards/map_calibrated/mean",
    "kl",
    "completions/mean_length",
)
"""What is kept of a run's log, where it has it."""
HELD_OUT = {"accuracy": "heldout accuracy (%)", "map": "heldout map"}
"""What is kept of its validations: their name in ``training_logs.validation_curve``, and in
``curves``."""


@dataclass(frozen=True)
class Arm:
    """One model that answers: a trained run, or the starting policy under some condition."""

    model: str
    """``<method>-<tuning>``, or ``base`` and its conditions."""
    train_seed: int
    checkpoint: str
    with_map: bool
    mode: Mode = "video"
    with_true_map: bool = False
    """Its completions begin with the true map: what answers could gain from perfect maps."""


def arms(train: Path, base: str) -> list[Arm]:
    """The starting policy under five conditions, and every finished run of a training folder."""
    found = [
        Arm("base", 0, base, False),
        Arm("base with map", 0, base, True),
        Arm("base, true map", 0, base, True, with_true_map=True),
        Arm("base, blind", 0, base, False, "blind"),
        Arm("base, shuffled", 0, base, False, "shuffled"),
    ]
    for path in sorted(Path(train).glob("*/run.json")):
        run = json.loads(path.read_text())
        found.append(
            Arm(
                f"{run['method']}-{run['tuning']}",
                run["seed"],
                str(path.parent / "model"),
                scores.asked_for_map(path),
            )
        )
    return found


def asked(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """At most ``limit`` spatial questions and every general one: claims are about the spatial
    questions, forgetting is measured on the general ones."""
    spatial, general = (
        [s for s in samples if rows_.is_general(s.question_type) == g] for g in (False, True)
    )
    return [*rows_.spread(spatial, limit), *general]


def answered(
    found: Sequence[Arm],
    split: str,
    samples: Sequence[Sample],
    data: Path,
    out: Path,
    profile: Profile,
    *,
    seed: int,
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of every arm, each with ``model`` and ``train_seed``: scores (``scores.score_rows``), maps
    (``map_stats.map_rows``), and what the arm's own maps say (``counterfactual.own_map_rows``)."""
    rows, maps, map_answers = [], [], []
    for arm in found:
        folder = out / split / f"{re.sub(r'[^a-z_]+', '-', arm.model)}-s{arm.train_seed}"
        given = evaluate.answer(
            arm.checkpoint,
            samples,
            data,
            folder,
            profile,
            with_map=arm.with_map,
            with_true_map=arm.with_true_map,
            mode=arm.mode,
            seed=seed,
            overwrite=True,
            progress=Progress(f"{arm.model} seed {arm.train_seed} on {split}"),
        )
        about = {"train_seed": arm.train_seed, "model": arm.model, "split": split}
        rows += [{**r, **about} for r in scores.score_rows(split, arm.model, samples, given)]
        if arm.with_map and not arm.with_true_map:
            maps += [
                {**r, **about}
                for r in map_stats.map_rows(
                    split, arm.model, [s for s in samples if s.cognitive_map], given
                )
            ]
            map_answers += [
                {**r, **about} for r in counterfactual.own_map_rows(arm.model, samples, given)
            ]
    return rows, maps, map_answers


def map_pairs(maps: Sequence[Row], *, seed: int) -> list[Row]:
    """Differences of the calibrated map score (0 knows nothing, 1 perfect) between models that
    draw, as in ``scores.paired_table``."""
    # differences are given in percent, and this score is not
    scored = [{**r, "score": r["map_calibrated"] / 100, "question_type": "map"} for r in maps]
    return scores.paired_table(scored, seed=seed)


def tables(
    rows: Sequence[Row], maps: Sequence[Row], map_answers: Sequence[Row], *, seed: int
) -> dict[str, list[Row]]:
    """What is kept of one split's rows (see ``answered``); macro scores and their differences are
    over spatial question types."""
    spatial = [r for r in rows if not rows_.is_general(r["question_type"])]
    general = [r for r in rows if rows_.is_general(r["question_type"])]

    # of every model that draws maps: does it answer better after its better maps?
    split = {"split": rows[0]["split"]}
    links = [
        split
        | map_stats.map_answer_link(model, [r for r in maps if r["model"] == model], seed=seed)
        for model in dict.fromkeys(r["model"] for r in maps)
    ]

    return {
        "summary": scores.summary(spatial, seed=seed),
        "pairs": scores.paired_table(spatial, seed=seed),
        "by type": scores.by_type(rows, seed=seed),
        "forgetting": scores.paired_table(general, seed=seed),
        "maps": map_stats.map_summary(maps, seed=seed),
        "map pairs": map_pairs(maps, seed=seed),
        "links": links,
        "follows": [split | r for r in counterfactual.follow_table(map_answers, seed=seed)],
    }


def runs_of(train: Path) -> list[dict[str, Any]]:
    """``run.json`` of every finished run of a training folder."""
    return [json.loads(p.read_text()) for p in sorted(Path(train).glob("*/run.json"))]


def command(runs: Sequence[Mapping[str, Any]]) -> str:
    """What trains and compares these runs again.

    Raises:
        WorkbookError: there is none, or their budgets differ.
    """
    if not runs:
        raise WorkbookError("no trained run to compare. Run: make study")
    methods, seeds = (
        " ".join(map(str, dict.fromkeys(r[k] for r in runs))) for k in ("method", "seed")
    )
    steps = sorted({r["train"]["rl_steps"] for r in runs})
    if len(steps) > 1:
        raise WorkbookError(
            f"the runs have unequal budgets: {steps} steps. Train them alike: make study RL_STEPS={steps[-1]}"
        )
    return (
        f"make study PROFILE={runs[0]['profile']} METHODS='{methods}' SEEDS='{seeds}' TUNING={runs[0]['tuning']} "
        f"RL_STEPS={steps[0]}"
    )


def costs(train: Path) -> list[Row]:
    """Per method and tuning: seeds, steps, mean wall time (s), largest peak memory (MB), and the
    command that trains a seed."""
    runs, table = runs_of(train), []
    for name in dict.fromkeys(f"{r['method']}-{r['tuning']}" for r in runs):
        mine = [r for r in runs if f"{r['method']}-{r['tuning']}" == name]
        first = mine[0]
        table.append(
            {
                "model": name,
                "seeds": [r["seed"] for r in mine],
                "steps": first["steps"],
                "seconds": round(float(np.mean([r["seconds"] for r in mine])), 1),
                "peak MB": round(max(r["final"].get("peak_memory_mb", 0.0) for r in mine)),
                "command": f"python -m spacer_utils train --profile {first['profile']} --method {first['method']} "
                f"--tuning {first['tuning']} --seed {first['seed']}" + _overrides(first),
            }
        )
    return table


def _overrides(run: Mapping[str, Any]) -> str:
    """The ``--set`` options that give a run's settings."""
    usual = json.loads(json.dumps(asdict(profiles.get(run["profile"]).train)))
    return "".join(f" --set {k}={v}" for k, v in run["train"].items() if v != usual[k])


def reward_tables(train: Path, samples: Mapping[str, Sample]) -> dict[str, list[Row]]:
    """What reinforcement runs earned, and for what.

    ``gains``, per method and tuning, all seeds together (see ``training_logs.gain``): ``reward``,
    ``accuracy``, ``map_calibrated`` of whatever maps were drawn, and ``worked_out`` of questions
    that a map answers. ``advantages``, per run that draws maps and credits whole completions:
    ``training_maps.advantage_correlations``. ``numberless``, per run: ``training_logs.numberless``.

    Args:
        samples: the training samples by ``problem_id`` as text, maps joined.
    """
    pooled: dict[str, dict[str, list[Row]]] = {}
    followed, numberless = list[Row](), list[Row]()
    for run in runs_of(train):
        model = f"{run['method']}-{run['tuning']}"
        folder = Path(train) / run["name"]
        rows = training_logs.rollouts(folder) if (folder / "rollouts.jsonl").exists() else []
        if not rows:  # supervised
            continue
        maps = training_maps.map_scores_of_rollouts(rows, samples)
        worked_out = [r for r in maps if "worked_out" in r["terms"]]
        earnings = {"reward": rows, "accuracy": rows}
        earnings |= {"map_calibrated": maps, "worked_out": worked_out}
        mine = pooled.setdefault(model, {what: [] for what in earnings})
        for what, earned in earnings.items():
            mine[what] += [{**r, "group": f"{run['seed']}: {r['group']}"} for r in earned]
        about = {"model": model, "train_seed": run["seed"]}
        numberless.append({**about, **training_logs.numberless(rows)})
        own = METHODS[run["method"]].credit if run["method"] in METHODS.names() else "completion"
        if maps and run.get("credit", own) == "completion":
            followed.append({**about, **training_maps.advantage_correlations(maps)})
    return {
        "gains": [
            {
                "model": model,
                "what": what,
                **training_logs.gain(rows, None if what == "reward" else what),
            }
            for model, found in pooled.items()
            for what, rows in found.items()
            if rows
        ],
        "advantages": followed,
        "numberless": numberless,
    }


def validation_table(train: Path, *, seed: int) -> list[Row]:
    """Per method and tuning, all training seeds together: rows of ``training_logs.validation_curve``;
    empty where no run validated."""
    pooled: dict[str, list[Row]] = {}
    for run in runs_of(train):
        rows = training_logs.validations(Path(train) / run["name"])
        mine = pooled.setdefault(f"{run['method']}-{run['tuning']}", [])
        mine += [{**r, "train_seed": run["seed"]} for r in rows]
    return [
        {"model": model, **r}
        for model, rows in pooled.items()
        if rows
        for r in training_logs.validation_curve(rows, seed=seed)
    ]


def _with_validation(rows: list[Row], run: Path) -> list[Row]:
    """Rows of ``curves`` with what the run was worth on held-out rooms, at the steps that asked."""
    by_step = {r["step"]: r for r in rows}
    for r in training_logs.validation_curve(training_logs.validations(run)):
        if r["what"] in HELD_OUT:
            row = by_step.setdefault(r["step"], {"step": r["step"]})
            row[HELD_OUT[r["what"]]] = round(r["score"], 4)
    return [by_step[step] for step in sorted(by_step)]


def curves(train: Path) -> dict[str, list[Row]]:
    """Per reinforcement run: step, the metrics of ``CURVES``, rounded to what a figure shows, and
    those of ``HELD_OUT`` where the run validated."""
    logged = {
        name: [
            {
                "step": r["step"],
                **{k: round(float(r[k]), 4) for k in CURVES if r.get(k) is not None},
            }
            for r in steps
            if "reward" in r
        ]
        for name, steps in training_logs.reinforcement_runs(train).items()
    }
    return {name: _with_validation(rows, Path(train) / name) for name, rows in logged.items()}


def example(maps: Sequence[Row], data: Path, profile: Profile) -> dict[str, Any] | None:
    """One map to look at, with the frames it was drawn from (base64 WebP): the middle one of the
    model whose maps score best; None where nobody drew any.

    Args:
        maps: as ``answered`` gives them, of one split.
        data: the folder with its clips.
    """
    drawn = [r for r in maps if r["has_map"]]
    if not drawn:
        return None
    worth: dict[str, list[float]] = {}
    for r in drawn:
        worth.setdefault(r["model"], []).append(r["map_calibrated"])
    best = max(worth, key=lambda model: float(np.mean(worth[model])))
    mine = sorted((r for r in drawn if r["model"] == best), key=lambda r: -r["map_calibrated"])
    chosen = mine[len(mine) // 2]
    pixels, _ = frames.load(data / "videos" / f"{chosen['video_id']}.mp4", profile.frames)
    return {
        "model": best,
        "video_id": chosen["video_id"],
        "map_calibrated": round(chosen["map_calibrated"], 3),
        "grid": GRID,
        "true": chosen["true"],
        "drawn": chosen["predicted"],
        "frames": [_webp(frame) for frame in pixels],
    }


def _webp(frame: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "WEBP", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


def write(
    out: Path,
    facts: Mapping[str, Any],
    curves_of: Mapping[str, Any],
    shown: Mapping[str, Any] | None = None,
) -> Path:
    """``summary.json``, ``curves.json`` and, with ``shown``, ``example.json`` of a named study."""
    write_atomic(out / "curves.json", json.dumps(curves_of) + "\n")
    if shown:
        write_atomic(out / "example.json", json.dumps(shown) + "\n")
    return write_atomic(out / "summary.json", json.dumps(facts, indent=1) + "\n")


def compare(
    profile: Profile, name: str | None, limits: Sequence[int], further: Path | None, seed: int
) -> Path:
    """Let all runs answer, compare them, and write ``outputs/reference/<name>``.

    Args:
        name: None: the profile's.
        limits: most spatial questions of each split of ``SPLITS``.
        further: a dataset that nothing was chosen on: its training rooms are asked about too.
        seed: draws the intervals.

    Returns:
        The path of ``summary.json``.
    """
    data, train = profile.outputs / "data", profile.outputs / "study"
    again = command(runs_of(train))
    found = arms(train, profile.model_path)

    # what is asked: split -> folder and samples
    asked_of = {s: n for s, n in zip(SPLITS, limits) if (data / f"{s}.jsonl").exists()}
    given = {
        split: (data, asked(load(data / f"{split}.jsonl"), limit))
        for split, limit in asked_of.items()
    }
    if further:
        split, limit = FURTHER
        rooms = load(further / "train.jsonl")
        spatial = [s for s in rooms if not rows_.is_general(s.question_type)]
        given[split], asked_of[split] = (further, asked(spatial, limit)), limit
        again += f"; python -m spacer_utils study --profile {profile.name} --further FOLDER"

    # answers, and tables of them
    result: dict[str, list[Row]] = {}
    shown = None
    trained_on = load(data / "train.jsonl")
    for split, (folder, samples) in given.items():
        out = profile.outputs / "eval/study"
        rows, maps, map_answers = answered(found, split, samples, folder, out, profile, seed=seed)
        shown = shown or example(maps, folder, profile)
        prior = scores.prior_rows(split, trained_on, samples)
        rows += [{**r, "train_seed": 0} for r in prior]
        for title, table in tables(rows, maps, map_answers, seed=seed).items():
            result.setdefault(title, []).extend(table)

    machine, code = machine_.hardware(), machine_.code()
    facts = {
        "profile": profile.name,
        "hardware": ", ".join(machine["gpus"]) or f"{machine['cores']} CPU cores, no GPU",
        "commit": code["commit"][:12],
        "rooms": profile.data.difficulty,
        "questions": asked_of,
        **result,
        **reward_tables(train, {str(s.problem_id): s for s in trained_on}),
        "validation": validation_table(train, seed=seed),
        "costs": costs(train),
        "command": again,
    }
    return write(REFERENCE / (name or profile.name), facts, curves(train), shown)
