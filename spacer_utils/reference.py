"""What the paper claims, beside what a run here found; and the committed results of named runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .profiles import PROJECT

REFERENCE = PROJECT / "outputs" / "reference"

CLAIMS: tuple[dict[str, Any], ...] = (
    {"claim": "SG-RLVR beats its starting policy", "paper": "25.35 (CoT) or 34.43 (zero-shot) -> 45.6 on VSI-Bench",
     "source": "SpaceR README 732226f; arXiv 2504.01805 v2", "pair": ("sg_rlvr", "base"),
     "why": "a 7B generalist gains its answer format and priors too; the nano base was trained on this format and such rooms"},
    {"claim": "SG-RLVR beats supervised fine-tuning", "paper": "about 41.5 (read from a radar plot) -> 45.6",
     "source": "SpaceR repository figure", "pair": ("sg_rlvr", "sft"),
     "why": "here both see the same few hundred rooms; the paper's baseline saw 151k rows"},
    {"claim": "map imagination helps beyond plain RLVR", "paper": "one figure, one seed, no interval",
     "source": "arXiv 2504.01805 v2", "pair": ("sg_rlvr", "rlvr"),
     "why": "the released map reward pays most of its bonus for an uninformative map (notebook 03)"},
    {"claim": "answers need the video", "paper": "not tested; answering by frequency scores 34.0",
     "source": "VSI-Bench, chance (frequency)", "pair": ("base", "base, blind"),
     "why": "answers here are balanced on purpose, so priors are worth less than on VSI-Bench"},
)
"""Values of the paper and its repository as they were published; those nobody could verify are left out."""


def claims(pairs: Sequence[Mapping[str, Any]], split: str = "heldout") -> list[dict[str, Any]]:
    """One row per claim and comparison of this run: paper | here (points, 95% interval) | why they differ."""
    table = []
    for claim in CLAIMS:
        a, b = claim["pair"]
        found = [p for p in pairs if p["split"] == split and _method(p["a"]) == a and _method(p["b"]) == b]
        for p in (*found, *([] if found else [None])):
            within = "no interval" if p is None or p["low"] is None else f"[{p['low']:+.1f}, {p['high']:+.1f}]"
            here = "not run" if p is None else f"{p['difference']:+.1f} {within}, n={p['n']}"
            run = "-" if p is None else f"{p['a']} minus {p['b']}"
            table.append({"claim": claim["claim"], "paper": claim["paper"], "source": claim["source"], "this run": run,
                          "points": here, "why they differ": claim["why"]})
    return table


def _method(name: str) -> str:
    return name.removesuffix("-lora").removesuffix("-full")


def named_runs(folder: Path = REFERENCE) -> list[dict[str, Any]]:
    """Rows of every ``outputs/reference/<run>/summary.json``: run, hardware, commit and scores; empty when none is committed."""
    table = []
    for path in sorted(Path(folder).glob("*/summary.json")):
        run = json.loads(path.read_text())
        facts = {"run": path.parent.name, "hardware": run["hardware"], "commit": run["commit"]}
        table += [{**facts, "split": r["split"], "model": r["model"], "macro (%)": r["macro"], "low": r["low"], "high": r["high"],
                   "n": r["n_expected"]} for r in run["summary"]]
    return table
