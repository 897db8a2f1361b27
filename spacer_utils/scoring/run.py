"""Put a benchmark to a checkpoint and score what it says.

    python -m spacer_utils.scoring.run --model FOLDER --out outputs/cpu/eval          # every benchmark's synthetic sample
    python -m spacer_utils.scoring.run --model FOLDER --out OUT --names vsi_bench --data FOLDER_AS_PUBLISHED
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import evaluate, profiles
from ..files import write_atomic, write_jsonl
from ..profiles import Profile
from ..registry import BENCHMARKS
from ..types import WorkbookError
from .load import VIDEOS, load, media_file, synthetic
from .record import PROFILES, Row, judge_row, read
from .report import Table, baselines, report
from .styles import STYLES


def prompts_of(name: str, rows: Sequence[Row], root: Path, style: str) -> list[evaluate.Item]:
    """One prompt per row whose media are there, keyed by the row's position; the others will count as missing."""
    benchmark, items = BENCHMARKS[name], []
    for number, row in enumerate(rows):
        question = read(benchmark, row)
        files = [path for medium in question.media if (path := media_file(medium, root)) is not None]
        if all(path.exists() for path in files):
            media = tuple(("video" if path.suffix.lower() in VIDEOS else "image", str(path)) for path in files)
            items.append(evaluate.Item(f"{number:06d}", benchmark.prompt(question, row, style), media))
    return items


def run_benchmark(model: str, name: str, source: Path, out: Path, profile: Profile, *, style: str = "official",
                  scoring: str = "official", mode: evaluate.Mode = "video", seed: int = 0,
                  progress: Callable[[int, int], None] | None = None) -> Table:
    """Answers of a checkpoint to every row of ``source``, scored; writes ``report.json`` and ``items.jsonl`` to ``out``.

    Args:
        source: the benchmark's folder as published, or of ``load.synthetic``.
        style: whose prompt (``styles.STYLES``); ``scoring``: whose rule reads the answers.
        mode: ``blind`` and ``shuffled`` are the baselines without media and without their order.
    """
    benchmark, rows = BENCHMARKS[name], load(name, source)
    root = source if source.is_dir() else source.parent
    size, budget = profile.evaluation.batch, profile.evaluation.max_new_tokens
    found = evaluate.generate(model, prompts_of(name, rows, root, style), out, frames=profile.frames, batch=size,
                              max_new_tokens=budget, mode=mode, seed=seed, progress=progress)
    answered = [{**row, "output": p.output if p else None, "truncated": bool(p and p.truncated)}
                for row, p in zip(rows, (found.get(f"{n:06d}") for n in range(len(rows))))]
    items = [judge_row(benchmark, row, scoring) for row in answered]
    table = {"benchmark": name, "style": style, "mode": mode, **report(benchmark, items, scoring),
             "baselines": baselines(benchmark, rows, scoring)}
    write_jsonl(out / "items.jsonl", (item.to_json() for item in items))
    write_atomic(out / "report.json", json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Print name, headline and counts of every benchmark asked for; 2 on an error that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m spacer_utils.scoring.run", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder of a checkpoint, or a hub id")
    parser.add_argument("--names", nargs="*", metavar="NAME", help="benchmarks (default: all)")
    parser.add_argument("--data", type=Path, help="folder as published, of one benchmark (default: its synthetic sample)")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder per benchmark")
    parser.add_argument("--profile", choices=list(profiles.PROFILES), default="cpu", help="frames, batch and token budget")
    parser.add_argument("--style", choices=STYLES, default="official", help="whose prompt")
    parser.add_argument("--scoring", choices=PROFILES, default="official", help="whose rule")
    parser.add_argument("--mode", choices=("video", "blind", "shuffled"), default="video")
    args = parser.parse_args(argv)
    try:
        for name in args.names or BENCHMARKS.names():
            source = args.data or synthetic(name, args.out / name / "sample")
            table = run_benchmark(args.model, name, source, args.out / name, profiles.get(args.profile), style=args.style,
                                  scoring=args.scoring, mode=args.mode)
            print(json.dumps({key: table[key] for key in ("benchmark", "headline", "headline_variant", "counts")}), flush=True)
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
