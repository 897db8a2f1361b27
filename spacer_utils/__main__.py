"""The one command line: ``python -m spacer_utils COMMAND``, or ``spacer COMMAND``.

What an option means stands in ``core/command_options.py``. The packages that a command needs are
imported when it runs.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .core import profiles, registry
from .core.command_options import Parser
from .core.progress import Progress
from .core.types import WorkbookError

PRINTING = ("score-rewards", "score-benchmark", "list", "plan")
"""Commands whose output people pipe into ``head``."""
FOLDERS = [r.folder.split("/")[-1] for r in registry.ALL]


def run_data(given: Namespace) -> int:
    if given.part == "maps":
        return _data_maps(given)
    if given.part == "tokens":
        return _data_tokens(given)
    if given.rows or given.model:
        raise WorkbookError(
            "--rows and --model are for data maps and data tokens: spacer data tokens --rows FILE."
        )
    from .dataset import build

    name = given.profile or ("gpu-lora" if given.size == "paper" else "cpu")
    profile = profiles.get(name).with_overrides(**{**dict(given.set), "train_rooms": given.rooms})
    own = profile.outputs if given.size == "profile" else profile.outputs.parent / given.size
    out = given.out or own / "data"
    found = build.build(
        profile,
        out,
        given.seed,
        given.workers or os.cpu_count() or 1,
        given.real_layouts,
        Progress("clips"),
        engine=given.engine,
        scanned=(given.release, given.scans) if given.scans else None,
        overwrite=given.overwrite,
        **build.SIZES[given.size],
    )
    print(f"{out}: " + ", ".join(f"{n['rows']} rows in {s}" for s, n in found["splits"].items()))
    print("\n".join(f"failed check: {line}" for line in found["failures"]) or "all checks passed")
    return 1 if found["failures"] else 0


def _data_maps(given: Namespace) -> int:
    from .dataset import published_maps

    if not (given.rows and given.scans):
        raise WorkbookError("data maps needs --rows FILE and --scans FOLDER.")
    found = published_maps.write(
        given.rows,
        given.scans,
        given.release,
        given.out,
        overwrite=given.overwrite,
        progress=Progress("videos"),
    )
    print("\n".join(found.lines()))
    return 0


def _data_tokens(given: Namespace) -> int:
    from .core import rows
    from .dataset import tokens

    profile = profiles.get(given.profile or "cpu")
    samples = rows.load(given.rows or profile.outputs / "data" / "train.jsonl")
    found = tokens.count(samples, profile, tokens.tokenizer(given.model or profile.model_path))
    print("\n".join(tokens.lines(found)))
    return 0


def run_train(given: Namespace) -> None:
    from .training import plan, train

    told = Progress(f"{given.method} {given.tuning} seed {given.seed}")
    folder = train.run(
        profiles.get(given.profile).with_overrides(**dict(given.set)),
        given.method,
        given.tuning,
        given.seed,
        given.data,
        given.out,
        model=given.model,
        options={**plan.vllm_options(given.vllm), **dict(given.trl)},
        broken_media=given.broken_media,
        overwrite=given.overwrite,
        progress=None if int(os.environ.get("RANK", 0)) else told,
    )
    print(folder)


def run_evaluate(given: Namespace) -> None:
    from .evaluation import evaluate

    found = evaluate.answer_split(
        given.model,
        profiles.get(given.profile),
        given.out,
        data=given.data,
        split=given.split,
        mode=given.mode,
        with_map=given.map,
        overwrite=given.overwrite,
    )
    print(f"{len(found)} answers in {given.out}")


def run_bench(given: Namespace) -> None:
    from .analysis import bench

    bench.run_benchmarks(
        given.model,
        given.names or registry.BENCHMARKS.names(),
        given.out,
        profiles.get(given.profile).with_overrides(sampling=given.sampling),
        published=given.published,
        data=given.data,
        style=given.style,
        mode=given.mode,
        scoring=given.scoring,
        questions=given.questions,
        subtitles=given.subtitles,
        unwrap=given.unwrap,
        backend=given.backend,
        overwrite=given.overwrite,
    )


def run_score_rewards(given: Namespace) -> None:
    from .rewards.score_rewards import score_stream

    score_stream(sys.stdin.buffer, sys.stdout, given.rewards)


def run_score_benchmark(given: Namespace) -> None:
    from .benchmarks.scoring.score_benchmark import score_stream

    score_stream(
        sys.stdin.buffer,
        sys.stdout,
        given.benchmark,
        given.scoring,
        unwrap=given.unwrap,
        missing=given.missing,
        items=given.items,
    )


def run_study(given: Namespace) -> None:
    from .analysis import study

    limits = given.limits or list(study.SPLITS.values())
    profile = profiles.get(given.profile)
    print(study.compare(profile, given.name, limits, given.further, given.seed))


def run_export(given: Namespace) -> None:
    from .training.export import export

    profile = profiles.get(given.profile)
    for path in export(given.to, profile, given.method, given.out, overwrite=given.overwrite):
        print(path)


def run_list(given: Namespace) -> None:
    """Print name | file | first line of everything registered; of a benchmark also its needs."""
    for registered, name in zip(registry.ALL, FOLDERS):
        for entry in registered if given.what in (None, name) else ():
            needs = [
                f"{key}: {entry.info[key]}"
                for key in ("hub", "count", "licence", "size", "needs")
                if entry.info.get(key)
            ]
            print(" | ".join((entry.name, entry.file, entry.description, *needs)))


def run_plan(given: Namespace) -> None:
    from .benchmarks.scoring import survey
    from .core import given as inputs
    from .workbook import book, cost, forecast

    profile = profiles.get(given.profile)
    layouts = str(given.real_layouts or "")
    data, benchmarks = inputs.data(), inputs.benchmarks()
    settings = {"SEED": str(given.seed), "REAL_LAYOUTS": layouts}
    settings |= {"DATA": data, "BENCHMARKS": benchmarks}
    if given.profiles:
        forecast.print_profiles()
    elif given.costs:
        cost.print_costs()
    elif given.disk:
        forecast.print_usage(profile.outputs.parent)
    else:
        if given.brief:
            forecast.print_brief(profile, settings)
        elif not given.check:
            book.real_layouts(layouts)
            told = [*inputs.describe_data(data), *survey.lines(benchmarks)]
            forecast.print_plan(profile, settings, told)
        forecast.check(profile)


def run_notebook(given: Namespace) -> None:
    from .workbook import runner

    runner.execute(given.notebook, given.profile, dict(given.parameter))


def run_report(given: Namespace) -> None:
    from .workbook import report

    report.write(given.notebook, profiles.get(given.profile))


def run_found(given: Namespace) -> None:
    from .workbook import report

    print("\n".join(report.found(profiles.get(given.profile))))


def run_share(given: Namespace) -> None:
    from .workbook import manifest, share

    folder = share.share(profiles.get(given.profile))
    print(f"{manifest.brief(folder)}, and the same as {folder.name}.zip beside it")


def run_readme_figures(given: Namespace) -> None:
    from .analysis import readme_figure

    print(readme_figure.write(given.profile))


HIDDEN = (run_notebook, run_report, run_found, run_share, run_readme_figures)
"""Commands that Make uses; the help does not list them."""


def parser() -> Parser:
    """Parser of all commands."""
    module = Path(sys.argv[0]).name != "spacer"
    top = Parser(
        prog="python -m spacer_utils" if module else "spacer",
        description="Make spatial questions about videos, train models on them, and measure what "
        "they learned.",
        epilog="COMMAND --help explains one command, with examples.",
    )
    layouts = os.environ.get("REAL_LAYOUTS") or None
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )

    def add(run: Callable[[Namespace], int | None], about: str, *examples: str) -> Parser:
        name = run.__name__.removeprefix("run_").replace("_", "-")
        shown: dict[str, Any] = {} if run in HIDDEN else {"help": about}
        lines = "\n".join(f"  {line}" for line in examples)
        command: Parser = commands.add_parser(
            name,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=f"examples:\n{lines}".replace("spacer ", f"{top.prog} "),
            **shown,
        )
        command.set_defaults(run=run)
        return command

    data = add(
        run_data,
        "make the dataset: videos, questions and maps",
        "spacer data --profile smoke",
        "spacer data --size paper --engine ray --workers 8",
        "spacer data --profile cpu --set difficulty=real --seed 11 --rooms 70 --out FOLDER",
        "spacer data maps --rows SR-91k.jsonl --scans SCANNET",
        "spacer data tokens --profile gpu-full --rows SpaceR-151k.jsonl",
        "",
        "data maps writes the maps that published rows lack, from your own copy of the scans:",
        "cognitive_map.jsonl beside the rows, and cognitive_map_first_view.jsonl.",
        "data tokens counts the tokens of prompts and maps, and the share over the profile's budget.",
    )
    data.add_argument(
        "part",
        nargs="?",
        choices=("maps", "tokens"),
        help="maps: only the maps of published rows; tokens: only count tokens",
    )
    data.take("--rows", "for data maps and data tokens; default: the profile's own")
    data.take("--model", "for data tokens, whose tokenizer counts; default: the profile's")
    data.take("--profile", "default: cpu; gpu-lora with --size paper", default=None)
    data.take("--size")
    data.take("--rooms", "default: the profile's; a fixed mix shrinks with it")
    data.take("--seed")
    data.take("--set")
    data.take("--workers", "default: one for every core")
    data.take("--engine")
    data.take("--real-layouts", "default: the environment variable REAL_LAYOUTS", default=layouts)
    data.take("--scans", "instead of procedural rooms; or those of the rows, for data maps")
    data.take("--release")
    data.take("--out", "default: outputs/<profile>/data, or outputs/paper/data")
    data.take("--overwrite")

    train = add(
        run_train,
        "train one model; a run that was stopped goes on from its last checkpoint",
        "spacer train --method sg_rlvr",
        "spacer train --method rlvr --tuning full --set loss_type=dr_grpo --trl num_iterations=2",
    )
    train.take("--profile")
    train.take("--method")
    train.take("--tuning")
    train.take("--seed")
    train.take("--data", "default: outputs/<profile>/data")
    train.take("--out", "gets a folder for each run; default: outputs/<profile>/train")
    train.take("--model", "default: the profile's")
    for flag in ("--vllm", "--broken-media", "--overwrite", "--set", "--trl"):
        train.take(flag)

    evaluate = add(
        run_evaluate,
        "answer the questions of one split; goes on where it was stopped",
        "spacer evaluate --model outputs/cpu/train/sft-lora-s0/model --out answers",
        "spacer evaluate --model FOLDER --mode blind --out answers-blind",
    )
    evaluate.take("--profile")
    evaluate.take("--model", required=True)
    evaluate.take("--data", "default: outputs/<profile>/data")
    for flag in ("--split", "--mode", "--map"):
        evaluate.take(flag)
    evaluate.take("--out", "for these answers alone", required=True)
    evaluate.take("--overwrite")

    bench = add(
        run_bench,
        "answer benchmarks and score the answers",
        "spacer bench --model FOLDER --data outputs/cpu/data --questions 500 --out OUT",
        "spacer bench --model FOLDER --names vsi_bench --published FILES --out OUT",
    )
    bench.take("--model", required=True)
    bench.take("--names", "default: all")
    bench.take("--published", "default: an invented sample")
    bench.take("--data", "gives heldout and real_layouts their rows; default: invented samples")
    bench.take("--questions", "default: all")
    bench.take("--out", "gets a folder for each benchmark, and summary.json", required=True)
    bench.take("--profile")
    bench.take("--sampling", "default: the profile's")
    for flag in ("--style", "--subtitles", "--scoring", "--unwrap", "--mode", "--backend"):
        bench.take(flag)
    bench.take("--overwrite")

    rewards = add(
        run_score_rewards,
        "score completions on standard input with a reward set",
        "spacer score-rewards --rewards spacer < completions.jsonl",
        "",
        "A row is a JSON object on one line: problem_type, solution, completion; where there are",
        "any, also options, cognitive_map, map_frame and map_grid. Every row gives one line with",
        "all reward terms and the reason of each.",
    )
    rewards.take("--rewards")

    scoring = add(
        run_score_benchmark,
        "score a benchmark's outputs on standard input",
        "spacer score-benchmark vsi_bench < outputs.jsonl",
        "spacer score-benchmark video_mme --scoring spacer --items scores.jsonl < outputs.jsonl",
        "",
        "A row is a JSON object on one line: the published fields, and output, the model's text.",
    )
    scoring.add_argument("benchmark", metavar="BENCHMARK", help="its name, see: list benchmarks")
    for flag in ("--scoring", "--items", "--unwrap", "--missing"):
        scoring.take(flag)

    study = add(
        run_study,
        "compare all runs of make study over their seeds",
        "spacer study --profile cpu",
        "spacer study --profile cpu --further FOLDER",
    )
    study.take("--profile")
    study.take("--name", "default: the profile's name")
    study.take("--limits", "default: 500 250; all general questions come on top")
    study.take("--further")
    study.take("--seed", "draws the intervals; default: 0")

    export = add(
        run_export,
        "write a method's rows and reward for another trainer",
        "spacer export --to ms-swift --profile cpu --out FOLDER",
    )
    export.take("--to")
    export.take("--profile")
    export.take("--method", "default: sg_rlvr", required=False, default="sg_rlvr")
    export.take("--out", required=True)
    export.take("--overwrite")

    listing = add(
        run_list,
        "list what is registered: name | file | what it is",
        "spacer list",
        "spacer list rewards",
    )
    listing.add_argument(
        "what", nargs="?", choices=FOLDERS, help=f"{', '.join(FOLDERS)} (default: all)"
    )

    plan = add(
        run_plan,
        "show what make reproduce would run, why, and for how long",
        "spacer plan --profile gpu-small",
        "spacer plan --profiles",
        "spacer plan --costs",
    )
    plan.take("--profile")
    plan.take("--seed")
    plan.take("--real-layouts", "default: the environment variable REAL_LAYOUTS", default=layouts)
    for flag in ("--check", "--brief", "--profiles", "--costs", "--disk"):
        plan.take(flag)

    notebook = add(
        run_notebook,
        "run one notebook",
        "spacer notebook 03 --profile smoke --parameter SEED=1",
    )
    report = add(run_report, "write a notebook's report", "spacer report 03 --profile smoke")
    for run, about in (
        (run_found, "say where the reports are and what they found"),
        (run_share, "copy the reports for others, without what names this machine"),
        (run_readme_figures, "draw the README's picture from the committed study"),
    ):
        name = run.__name__.removeprefix("run_").replace("_", "-")
        add(run, about, f"spacer {name} --profile smoke").take("--profile")
    for command in (notebook, report):
        command.add_argument("notebook", metavar="NOTEBOOK", help="its number or name")
        command.take("--profile")
    notebook.take("--parameter")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when a check failed; 2 after an error that the user can mend; 130 when interrupted.
    """
    given = parser().parse_args(arguments)
    try:
        code = given.run(given)
        sys.stdout.flush()
    except WorkbookError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is finished", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if given.command not in PRINTING:
            raise
        # the reader of the pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
