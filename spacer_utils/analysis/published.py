"""What the paper claims, beside what a run here found; and the committed results of named runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.profiles import PROJECT

REFERENCE = PROJECT / "outputs" / "reference"
STUDIED = "6159f9ba0b95"
"""Commit of the study that the reasons in ``CLAIMS`` are about. No other study shows them."""

CLAIMS: tuple[dict[str, Any], ...] = (
    {
        "claim": "SG-RLVR beats its starting policy",
        "paper": "25.35 (CoT) or 34.43 (zero-shot) -> 45.6 on VSI-Bench",
        "source": "SpaceR README 732226f; arXiv 2504.01805 v2",
        "pair": ("sg_rlvr", "base"),
        "why": "another model, other questions, another budget; a 7B generalist gains format and priors too; and sg_rlvr draws a "
        "map before it answers, which the starting policy is not asked for: see base with map (notebook 09)",
        "studied": "it is the map that gains, not the rewards: the base that is asked for a map is no worse than sg_rlvr, whose "
        "reward falls and which in one seed of three answers numbers with letters (notebook 07)",
    },
    {
        "claim": "SG-RLVR beats supervised fine-tuning",
        "paper": "about 41.5 (read from a radar plot) -> 45.6",
        "source": "SpaceR repository figure",
        "pair": ("sg_rlvr", "sft"),
        "why": "sg_rlvr draws a map before it answers and sft does not, sft_map does; the paper's baseline saw 151k rows, here all "
        "methods see the rooms of the profile",
        "studied": "sft_map is no worse than sg_rlvr",
    },
    {
        "claim": "map imagination helps beyond plain RLVR",
        "paper": "one figure, one seed, no interval",
        "source": "arXiv 2504.01805 v2",
        "pair": ("sg_rlvr", "rlvr"),
        "why": "rlvr is not asked for a map: what asking alone is worth, without any training, is base with map minus base "
        "(notebook 09)",
        "studied": "the base was taught to draw and to read maps before any reward, and gains more by drawing one; the paper's map "
        "reward is the answer's over again and blurs maps here, sg_rlvr_dense and sg_rlvr_objects sharpen them "
        "(notebook 07)",
    },
    {
        "claim": "answers need the video",
        "paper": "not tested; answering by frequency scores 34.0",
        "source": "VSI-Bench, chance (frequency)",
        "pair": ("base", "base, blind"),
        "why": "answers here are balanced on purpose, so priors are worth less than on VSI-Bench; a model that breaks the answer "
        "format without the video makes the difference look larger",
        "studied": "the base does so in a seventh of its answers",
    },
)
"""Values of the paper and its repository as they were published; those nobody could verify are left
out."""

_VSI, _STI, _SPAR, _README = (
    "VSI-Bench paper, repository figure",
    "STI-Bench figure",
    "SPAR readme",
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
        ("vsi_bench", "Gemini-1.5-Pro", 45.4, "official", _VSI),
        ("vsi_bench", "people", 79.2, "400 questions", _VSI),
        (
            "vsi_bench_debiased",
            "Qwen2.5-VL-7B",
            29.6,
            "official",
            "arXiv 2511.04655, as EASI quotes it",
        ),
        ("sti_bench", "Qwen2.5-VL-7B", 36.07, "SpaceR harness, mean of 8 tasks", _README),
        (
            "sti_bench",
            "Spatial-R1, before SpaceR",
            37.04,
            "SpaceR harness, mean of 8 tasks",
            _README,
        ),
        ("sti_bench", "Qwen2.5-VL-72B", 40.7, "official, mean over questions", _STI),
        ("sti_bench", "Gemini-2.5-Pro", 41.4, "official, mean over questions", _STI),
        ("spar_bench", "SpaceR", 37.55, "early checkpoint", f"{_SPAR}; {_README}"),
        ("spar_bench", "Qwen2.5-VL-7B", 33.07, "official", _SPAR),
        ("spar_bench", "Qwen2.5-VL-7B", 33.82, "SpaceR harness", _README),
        ("spar_bench", "people", 67.27, "tiny set", _SPAR),
        ("spar_bench", "random", 32.74, "tiny set", _SPAR),
        ("video_mme", "Qwen2.5-VL-7B", 65.1, "without subtitles", "model card"),
        ("video_mme", "Qwen2.5-VL-7B", 71.6, "with subtitles", "model card"),
        ("tempcompass", "GPT-4o", 73.75, "all four formats", "official leaderboard"),
        ("tempcompass", "Qwen2.5-VL-7B", 71.7, "all four formats", "model card"),
        ("longvideobench", "Qwen2.5-VL-7B", 54.7, "validation", "model card"),
        ("viewspatial", "Qwen2.5-VL-7B", 36.85, "official", "ViewSpatial figure"),
        ("viewspatial", "GPT-4o", 34.98, "official", "ViewSpatial figure"),
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


def claims(
    pairs: Sequence[Mapping[str, Any]], split: str = "heldout", *, commit: str = ""
) -> list[dict[str, Any]]:
    """One row per claim and comparison: paper | here (points, 95% interval) | whether it holds |
    why they differ.

    Args:
        commit: of a committed study; that of ``STUDIED`` adds its own reasons.
    """
    table = []
    for claim in CLAIMS:
        a, b = claim["pair"]
        found = [
            p
            for p in pairs
            if p["split"] == split and _method(p["model"]) == a and _method(p["minus"]) == b
        ]
        why = f"{claim['why']}; {claim['studied']}" if commit == STUDIED else claim["why"]
        for p in (*found, *([] if found else [None])):
            within = (
                "no interval"
                if p is None or p["low"] is None
                else f"[{p['low']:+.1f}, {p['high']:+.1f}]"
            )
            here = "not run" if p is None else f"{p['difference']:+.1f} {within}, n={p['n']}"
            run = "-" if p is None else f"{p['model']} minus {p['minus']}"
            table.append(
                {
                    "claim": claim["claim"],
                    "paper": claim["paper"],
                    "source": claim["source"],
                    "compared here": run,
                    "points": here,
                    "here it": verdict(p),
                    "why they differ": why,
                }
            )
    return table


def verdict(pair: Mapping[str, Any] | None) -> str:
    """Whether a difference supports the claim that it is above 0; an interval over fewer than ten
    rooms decides nothing."""
    if pair is None:
        return "was not tested"
    if pair["low"] is None or pair["rooms"] < 10:
        return "stays open (too few rooms)"
    return (
        "holds"
        if pair["low"] > 0
        else "is contradicted"
        if pair["high"] < 0
        else "stays open (interval holds 0)"
    )


def verdicts(table: Sequence[Mapping[str, Any]]) -> str:
    """Rows of ``claims`` in a sentence, by verdict."""
    said: dict[str, list[str]] = {}
    for r in table:
        run = "" if r["compared here"] == "-" else f" ({r['compared here']})"
        said.setdefault(r["here it"], []).append(f"{r['claim']}{run}")
    return "; ".join(f"{what}: {', '.join(which)}" for what, which in said.items())


def _method(name: str) -> str:
    return name.removesuffix("-lora").removesuffix("-full")


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


def label(name: str, study: Mapping[str, Any]) -> str:
    """The caption under everything shown of a committed study, so that nobody takes it for their own
    run."""
    return f"Committed study {name}, not of this run: profile {study['profile']}, {study['hardware']}, commit {study['commit']}"


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
