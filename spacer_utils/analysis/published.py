"""What the paper claims, beside what a run here found; and the committed results of named runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.profiles import PROJECT
from .scores import kind, method_of

REFERENCE = PROJECT / "outputs" / "reference"
CLAIMS: tuple[dict[str, Any], ...] = (
    {
        "claim": "SG-RLVR improves the base that draws maps",
        "paper": "34.4 (25.4 thinking) to 45.6 on VSI-Bench",
        "source": "SpaceR README 732226f; arXiv 2504.01805 v2",
        "model": "sg_rlvr",
        "minus": ("base with map",),
        "others": True,
        "why": "Both draw a map here, so only what training adds is counted.",
    },
    {
        "claim": "asking for a map helps by itself",
        "paper": "not tested",
        "source": "arXiv 2504.01805 v2",
        "model": "base with map",
        "minus": ("base",),
        "others": False,
        "why": "The base was taught to draw and to read maps of such rooms.",
    },
    {
        "claim": "SG-RLVR beats supervised fine-tuning",
        "paper": "41.5 (read off a plot) to 45.6",
        "source": "SpaceR repository figure",
        "model": "sg_rlvr",
        "minus": ("sft_map", "sft"),
        "others": True,
        "why": "The paper's baseline saw 151k rows; here all methods see the same few rooms.",
    },
    {
        "claim": "map imagination helps beyond plain RLVR",
        "paper": "one figure, one seed, no interval",
        "source": "arXiv 2504.01805 v2",
        "model": "sg_rlvr",
        "minus": ("rlvr",),
        "others": True,
        "why": "RLVR is not asked for a map: part of this is the request alone.",
    },
    {
        "claim": "answers need the video",
        "paper": "not tested; answering by frequency scores 34.0",
        "source": "VSI-Bench, chance (frequency)",
        "model": "base",
        "minus": ("base, blind",),
        "others": False,
        "why": "Answers are balanced on purpose here, so priors are worth less than on VSI-Bench.",
    },
)
"""What the paper and its repository say, as it was published; values nobody could verify are left
out. ``model`` less ``minus`` (the first that was measured) decides; with ``others``, every trained
method that draws maps is shown too."""

_VSI, _STI, _SPAR, _REVSI, _README = (
    "VSI-Bench paper, repository figure",
    "STI-Bench figure",
    "SPAR readme",
    "arXiv 2604.24300",
    "SpaceR README 732226f",
)
PUBLISHED: tuple[dict[str, Any], ...] = tuple(
    dict(zip(("benchmark", "model", "score (%)", "setting", "source"), row))
    for row in (
        (
            "vsi_bench",
            "SpaceR-7B",
            45.6,
            "paper's harness, with map",
            "abstract of arXiv 2504.01805 v2 (+11.6 over 34.0)",
        ),
        ("vsi_bench", "Spatial-R1, before SpaceR", 46.15, "SpaceR harness", _README),
        ("vsi_bench", "Qwen2.5-VL-7B", 34.43, "SpaceR harness, zero-shot", _README),
        ("vsi_bench", "Qwen2.5-VL-7B", 25.35, "SpaceR harness, thinking", _README),
        ("vsi_bench", "GPT-4o", 34.0, "official", _VSI),
        ("vsi_bench", "Gemini-2.0-Flash", 45.4, "official, tiny set of 400 questions", _VSI),
        ("vsi_bench", "Gemini-1.5-Pro", 45.4, "official", _VSI),
        ("vsi_bench", "people", 79.2, "400 questions", _VSI),
        (
            "vsi_bench_debiased",
            "Qwen2.5-VL-7B",
            29.6,
            "official",
            "arXiv 2511.04655, as EASI quotes it",
        ),
        ("revsi_16", "Qwen2.5-VL-3B", 23.7, "official, 5 tasks", f"{_REVSI}, table 4"),
        ("revsi_32", "SpaceR-7B", 30.5, "SpaceR's own code and prompts", f"{_REVSI}, table 4"),
        ("revsi_32", "Qwen2.5-VL-7B", 33.9, "official", f"{_REVSI}, table 4"),
        ("revsi_32", "frequency", 31.2, "each task's commonest answer", f"{_REVSI}, table 12"),
        ("revsi_64", "Qwen3-VL-8B", 49.1, "official", f"{_REVSI}, table 3"),
        ("sti_bench", "Qwen2.5-VL-7B", 36.07, "SpaceR harness, mean of 8 tasks", _README),
        (
            "sti_bench",
            "Spatial-R1, before SpaceR",
            37.04,
            "SpaceR harness, mean of 8 tasks",
            _README,
        ),
        ("sti_bench", "Qwen2.5-VL-72B", 40.7, "official, mean over questions", _STI),
        ("sti_bench", "GPT-4o", 34.8, "official; matches no mean of its tasks", _STI),
        ("sti_bench", "Gemini-2.0-Flash", 38.7, "official; matches no mean of its tasks", _STI),
        ("sti_bench", "Gemini-2.5-Pro", 41.4, "official, mean over questions", _STI),
        ("spar_bench", "SpaceR", 37.55, "early checkpoint", f"{_SPAR}; {_README}"),
        ("spar_bench", "Qwen2.5-VL-7B", 33.07, "official", _SPAR),
        ("spar_bench", "Qwen2.5-VL-7B", 33.82, "SpaceR harness", _README),
        ("spar_bench", "GPT-4o", 36.39, "tiny set; 0.65 from its levels' mean", _SPAR),
        ("spar_bench", "people", 67.27, "tiny set", _SPAR),
        ("spar_bench", "random", 32.74, "tiny set", _SPAR),
        ("video_mme", "Qwen2.5-VL-7B", 65.1, "without subtitles", "model card"),
        ("video_mme", "Qwen2.5-VL-7B", 71.6, "with subtitles", "model card"),
        ("tempcompass", "GPT-4o", 73.75, "all four formats", "official leaderboard"),
        ("tempcompass", "Qwen2.5-VL-7B", 71.7, "all four formats", "model card"),
        ("longvideobench", "Qwen2.5-VL-7B", 54.7, "validation", "model card"),
        ("viewspatial", "Qwen2.5-VL-7B", 36.85, "official", "ViewSpatial figure"),
        ("viewspatial", "GPT-4o", 34.98, "official", "ViewSpatial figure"),
        ("viewspatial", "Gemini-2.0-Flash", 32.56, "official", "ViewSpatial figure"),
        ("viewspatial", "random", 26.33, "official", "ViewSpatial figure"),
        (
            "mindcube",
            "Qwen2.5-VL-3B",
            37.81,
            "tiny set, before the data fixes",
            "MindCube paper, as EASI quotes it",
        ),
        ("blink", "GPT-4o", 60.0, "validation", "BLINK README"),
        ("blink", "people", 95.7, "validation", "BLINK README"),
        ("blink", "random", 38.1, "validation", "BLINK README"),
        ("embspatial", "Qwen3-VL-8B", 78.5, "technical report", "EASI's table of reproductions"),
        ("mmstar", "Qwen2.5-VL-7B", 63.9, "not stated", "model card"),
        (
            "mmbench",
            "Qwen2.5-VL-7B",
            82.6,
            "V1.1 English test split, not the development split",
            "model card",
        ),
        ("hrbench_4k", "GPT-4o", 59.0, "official", "HR-Bench README"),
        ("hrbench_4k", "people", 82.0, "official", "HR-Bench README"),
        ("hrbench_4k", "random", 25.0, "official", "HR-Bench README"),
    )
)
"""Published scores to read beside one's own, never a target: harnesses alone differ by several
points on the same model."""


_VSI_TASKS = (
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
    "object_rel_distance",
    "object_rel_direction",
    "route_planning",
    "obj_appearance_order",
)
_STI_TASKS = (
    "dimensional measurement",
    "spatial relation",
    "3D video grounding",
    "displacement and path length",
    "speed and acceleration",
    "ego-centric orientation",
    "trajectory description",
    "pose estimation",
)
_VIEW_TASKS = (
    "camera: relative direction",
    "camera: object view orientation",
    "person: object view orientation",
    "person: relative direction",
    "person: scene simulation",
)
CLOSED = ("GPT-4o", "Gemini-2.0-Flash")
"""Models that nobody can train or run at home, which the paper compares with."""
BY_TASK: tuple[dict[str, Any], ...] = tuple(
    {"benchmark": benchmark, "source": source, "tasks": dict(zip(tasks, zip(*scores)))}
    for benchmark, source, tasks, scores in (
        (
            "vsi_bench",
            _VSI,
            _VSI_TASKS,
            (
                (46.2, 5.3, 43.8, 38.2, 37.0, 41.3, 31.5, 28.5),
                (52.4, 30.6, 66.7, 31.8, 56.0, 46.3, 24.5, 55.1),
            ),
        ),
        (
            "sti_bench",
            _STI,
            _STI_TASKS,
            (
                (27.1, 51.8, 29.0, 23.2, 35.4, 33.7, 32.0, 53.6),
                (31.9, 50.0, 31.8, 27.7, 32.1, 10.8, 38.5, 61.3),
            ),
        ),
        (
            "viewspatial",
            "ViewSpatial figure",
            _VIEW_TASKS,
            ((41.46, 19.58, 42.97, 40.86, 26.79), (45.29, 12.95, 41.16, 32.78, 21.90)),
        ),
    )
)
"""Scores (%) of ``CLOSED``, in this order, task by task, where they were published. On VSI-Bench
Gemini-2.0-Flash answered the tiny set of 400 questions, GPT-4o all."""


def closed_rows() -> list[dict[str, Any]]:
    """The published rows of ``CLOSED``, and a row for each benchmark that has none with a source."""
    found = [row for row in PUBLISHED if row["model"] in CLOSED]
    known = {(row["benchmark"], row["model"]) for row in found}
    for benchmark in dict.fromkeys(row["benchmark"] for row in PUBLISHED):
        lacking = [m for m in CLOSED if (benchmark, m) not in known]
        if lacking:
            row = {"benchmark": benchmark, "model": " and ".join(lacking), "score (%)": None}
            found.append({**row, "setting": "", "source": "none found"})
    return sorted(found, key=lambda row: (row["score (%)"] is None, row["benchmark"]))


def closed_by_task() -> list[dict[str, Any]]:
    """A row per task of ``BY_TASK`` with the score of each model."""
    return [
        {"benchmark": part["benchmark"], "task": task, **dict(zip(CLOSED, scores))}
        for part in BY_TASK
        for task, scores in part["tasks"].items()
    ]


def claims(pairs: Sequence[Mapping[str, Any]], split: str = "heldout") -> list[dict[str, Any]]:
    """A row per claim: what the paper says, the differences measured here, a verdict of one word,
    and why the two differ.

    ``decides`` are the pairs that the verdict is about (LoRA and full, where both were trained),
    ``pairs`` these and those of other methods that draw maps.
    """
    known = [p for p in pairs if p["split"] == split]
    table = []
    for claim in CLAIMS:
        measured = [
            [p for p in known if method_of(p["model"]) == claim["model"] and p["minus"] in named]
            for named in (_runs(known, method) for method in claim["minus"])
        ]
        decides = next((found for found in measured if found), [])
        against = {p["minus"] for p in decides}
        others = [
            p
            for p in known
            if claim["others"]
            and p["minus"] in against
            and p not in decides
            and kind(p["model"]) == "map"
            and method_of(p["model"]) not in claim["minus"]
        ]
        others.sort(key=lambda p: -p["difference"])
        table.append(
            {
                **{k: claim[k] for k in ("claim", "paper", "source", "why")},
                "decides": decides,
                "pairs": [*decides, *others],
                "verdict": verdict(decides),
            }
        )
    return table


def _runs(pairs: Sequence[Mapping[str, Any]], method: str) -> set[str]:
    """Names under which a method stands on the right side of pairs."""
    return {p["minus"] for p in pairs if method_of(p["minus"]) == method}


def verdict(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Whether differences support the claim that they are above 0, in a word: ``holds``,
    ``contradicted``, ``open`` or ``untested``.

    An interval over fewer than ten rooms decides nothing, and neither do pairs that disagree.
    """
    said = {_verdict(p) for p in pairs}
    if not said:
        return "untested"
    return said.pop() if len(said) == 1 else "open"


def _verdict(pair: Mapping[str, Any]) -> str:
    if pair["low"] is None or pair["rooms"] < 10:
        return "open"
    return "holds" if pair["low"] > 0 else "contradicted" if pair["high"] < 0 else "open"


def verdicts(table: Sequence[Mapping[str, Any]]) -> str:
    """Rows of ``claims`` in a sentence, by verdict."""
    said: dict[str, list[str]] = {}
    for r in table:
        said.setdefault(r["verdict"], []).append(r["claim"])
    return "; ".join(f"{what}: {', '.join(which)}" for what, which in said.items())


def in_words(pair: Mapping[str, Any]) -> str:
    """``sg_rlvr-full minus base with map: -4.4 points (-9.7 to 1.2)``."""
    sure = "no interval" if pair["low"] is None else f"{pair['low']:.1f} to {pair['high']:.1f}"
    return f"{pair['model']} minus {pair['minus']}: {pair['difference']:+.1f} points ({sure})"


def deciding(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for ``dot_figures.dots``, one per claim that was tested: the first pair that decides
    it, named by the claim and its verdict."""
    return [
        {
            **r["decides"][0],
            "panel": "points of macro score on held-out rooms, 95 % intervals",
            "claim": r["claim"],
            "label": f"{r['claim']} ({r['verdict']})",
            "kind": kind(r["decides"][0]["model"]),
        }
        for r in table
        if r["decides"]
    ]


def studies(folder: Path = REFERENCE) -> dict[str, dict[str, Any]]:
    """Committed results of ``study`` by name, with the hardware and commit that made them; empty
    when none is committed."""
    return {
        path.parent.name: {
            **json.loads(path.read_text()),
            "curves": json.loads((path.parent / "curves.json").read_text()),
        }
        for path in sorted(Path(folder).glob("*/summary.json"))
    }


def beside(name: str, folder: Path = REFERENCE) -> tuple[str, dict[str, Any]]:
    """The committed study of a name, else the first, and the words that go with whatever is shown
    of it; without any an empty study."""
    found = studies(folder)
    chosen = name if name in found else next(iter(found), "")
    return (label(chosen, found[chosen]), found[chosen]) if chosen else ("", {})


def label(name: str, study: Mapping[str, Any]) -> str:
    """The caption under everything shown of a committed study, so that nobody takes it for their own
    run."""
    return (
        f"committed study {name}, not of this run: profile {study['profile']}, rooms of difficulty "
        f"{study['rooms']}, {study['hardware']}, commit {study['commit']}"
    )


def mean_curves(
    curves: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, list[dict[str, float]]]:
    """Per ``<method>-<tuning>``: every metric by step, averaged over the seeds that have it."""
    runs: dict[str, dict[float, list[Mapping[str, float]]]] = {}
    for name, steps in curves.items():
        mine = runs.setdefault(name.rsplit("-s", 1)[0], {})
        for r in steps:
            mine.setdefault(r["step"], []).append(r)

    def mean(rows: list[Mapping[str, float]]) -> dict[str, float]:
        return {
            k: sum(r[k] for r in rows if k in r) / sum(k in r for r in rows)
            for k in sorted({k for r in rows for k in r})
        }

    return {
        name: [mean(rows) for _, rows in sorted(by_step.items())] for name, by_step in runs.items()
    }


def pale_curves(
    study: Mapping[str, Any], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[dict[str, float]]]:
    """``mean_curves`` of a study for the methods of some runs, as far as these runs went."""
    last = max((r["step"] for rows in runs.values() for r in rows), default=0)
    methods = {method_of(name) for name in runs}
    return {
        name: [r for r in rows if r["step"] <= last]
        for name, rows in mean_curves(study.get("curves", {})).items()
        if method_of(name) in methods
    }
