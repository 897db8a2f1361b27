"""``python -m spacer_utils``: the few things that people do from a shell."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .benchmarks.scoring import score_benchmark
from .core.types import WorkbookError

LISTS = ("scenes", "questions", "rewards", "benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 on an error that the user can mend, told on stderr."""
    parser = argparse.ArgumentParser(prog="python -m spacer_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    scoring = commands.add_parser(
        "score-rewards",
        help="score JSONL rows from stdin: {problem_type, solution, cognitive_map, "
        "completion[, options, map_frame, map_grid]}; every reward term with its reason goes to stdout",
    )
    scoring.add_argument(
        "--set",
        default="strict",
        choices=("strict", "spacer"),
        dest="reward_set",
        help="strict (default), or spacer: the paper's released behaviour",
    )
    benchmark = commands.add_parser(
        "score-benchmark",
        help="score JSONL rows from stdin: a benchmark's published fields plus "
        "output, the model's text; one JSON report goes to stdout",
    )
    score_benchmark.add_arguments(benchmark)
    exporting = commands.add_parser(
        "export", help="the training rows and the reward of a method for another trainer"
    )
    exporting.add_argument("--to", required=True, help="ms-swift, easyr1 or verl")
    exporting.add_argument("--profile", default="cpu", help="whose data and prompts")
    exporting.add_argument("--method", default="sg_rlvr", help="whose reward (default: sg_rlvr)")
    exporting.add_argument("--out", type=Path, required=True, help="folder to write to")
    exporting.add_argument(
        "--overwrite", action="store_true", help="replace another export of ours in that folder"
    )
    for noun in LISTS:
        commands.add_parser(f"list-{noun}", help=f"registered {noun}: name | file | description")
    commands.add_parser("list", help="all four lists")
    options = parser.parse_args(arguments)
    try:
        if options.command == "score-rewards":
            from .rewards.score_rewards import score_stream

            score_stream(sys.stdin.buffer, sys.stdout, options.reward_set)
        elif options.command == "score-benchmark":
            score_benchmark.run(options, sys.stdin.buffer, sys.stdout)
        elif options.command == "export":
            from .core import profiles
            from .training.export import export

            for path in export(
                options.to,
                profiles.get(options.profile),
                options.method,
                options.out,
                overwrite=options.overwrite,
            ):
                print(path)
        else:
            for noun in (
                LISTS if options.command == "list" else [options.command.removeprefix("list-")]
            ):
                list_registered(noun)
        sys.stdout.flush()
    except WorkbookError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def list_registered(folder: str) -> None:
    """Print name | file | description of everything registered in a folder; of a benchmark also
    what a full run needs."""
    from .core.registry import ALL

    for entry in next(r for r in ALL if r.folder == folder):
        needs = [
            f"{key}: {entry.info[key]}"
            for key in ("hub", "count", "licence", "size", "needs")
            if entry.info.get(key)
        ]
        print(" | ".join((entry.name, entry.file, entry.description, *needs)))


if __name__ == "__main__":
    sys.exit(main())
