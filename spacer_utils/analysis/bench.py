"""Put a checkpoint to benchmarks and score what it says.

python -m spacer_utils.analysis.bench --model FOLDER --out OUT --rooms outputs/cpu/data --questions
500
    # every benchmark's synthetic sample, and 500 questions each of that run's held-out rooms and real layouts
python -m spacer_utils.analysis.bench --model FOLDER --out OUT --names vsi_bench --data
FOLDER_AS_PUBLISHED --sampling uniform32
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from ..benchmarks.scoring import extract
from ..benchmarks.scoring.aggregate import Table, baselines, report
from ..benchmarks.scoring.extract import UNWRAPPING
from ..benchmarks.scoring.load import VIDEOS, Rows, load, media_file, synthetic
from ..benchmarks.scoring.prompt_styles import STYLES
from ..benchmarks.scoring.record import PROFILES, Question, Row, judge_row, read
from ..core import folders, profiles
from ..core.files import model_digest, write_atomic, write_jsonl
from ..core.profiles import Frames, Profile
from ..core.progress import Progress
from ..core.registry import BENCHMARKS
from ..core.types import IMAGE, WorkbookError
from ..evaluation import evaluate


class NoMedia(WorkbookError):
    """Not one row has its clips or pictures, so there is nothing to score."""


def spread(name: str, rows: Rows, limit: int | None) -> Rows:
    """At most ``limit`` rows, taken in turn from every task, in published order within a task."""
    tasks: dict[str, Rows] = {}
    for row in rows if limit else ():
        tasks.setdefault(read(BENCHMARKS[name], row).task, []).append(row)
    return (
        [row for turn in zip_longest(*tasks.values()) for row in turn if row is not None][:limit]
        if limit
        else rows
    )


def prompts_of(
    name: str,
    rows: Sequence[Row],
    root: Path,
    style: str,
    subtitles: Frames | None = None,
    embedded: Path | None = None,
) -> list[evaluate.Item]:
    """One prompt per row whose media are there, keyed by the row's position; the others will count
    as missing.

    Args:
        embedded: folder for the pictures that rows hold themselves.
        subtitles: the frames whose subtitles go into the official prompt, where the benchmark has
            some; None leaves them out.

    Raises:
        WorkbookError: the benchmark has no subtitles, or the style's prompt takes none.
    """
    benchmark, items = BENCHMARKS[name], []
    if subtitles and (style != "official" or not hasattr(benchmark, "subtitled")):
        raise WorkbookError(
            f"{name} has no prompt with subtitles in the style {style}. Leave --subtitles out."
        )
    for number, row in enumerate(rows):
        question = read(benchmark, row)
        files = [
            path
            for medium in question.media
            if (path := media_file(medium, root, embedded)) is not None
        ]
        if all(path.exists() for path in files):
            text, media = (
                benchmark.prompt(question, row, style),
                tuple(
                    ("video" if path.suffix.lower() in VIDEOS else "image", str(path))
                    for path in files
                ),
            )
            if subtitles:
                text, media = _subtitled(name, question, row, root, files[0], subtitles, embedded)
            items.append(evaluate.Item(f"{number:06d}", text, media))
    return items


def _subtitled(
    name: str,
    question: Question,
    row: Row,
    root: Path,
    clip: Path,
    given: Frames,
    embedded: Path | None,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The prompt with subtitles, and the clip, or its frames as pictures where subtitles stand
    between them."""
    from PIL import Image

    from ..core import frames

    try:
        text: str = BENCHMARKS[name].subtitled(question, row, root, frames.times(clip, given))
    except OSError as error:
        raise WorkbookError(
            f"can't read the subtitles {error.filename}: {error.strerror}. Unpack them there."
        ) from error
    if IMAGE not in text:
        return text, (("video", str(clip)),)
    pictures = []
    for pixels in frames.load(clip, given)[0]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        pictures.append(media_file(buffer.getvalue(), root, embedded))
    return text, tuple(("image", str(path)) for path in pictures)


def run_benchmark(
    model: str,
    name: str,
    source: Path,
    out: Path,
    profile: Profile,
    *,
    style: str = "official",
    scoring: str = "official",
    mode: evaluate.Mode = "video",
    seed: int = 0,
    questions: int | None = None,
    subtitles: bool = False,
    unwrap: str = UNWRAPPING[0],
    backend: evaluate.Backend = "transformers",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Answers of a checkpoint to the rows of ``source``, scored; writes ``report.json`` and
    ``items.jsonl`` to ``out``.

    Args:
        source: the benchmark's folder as published, or of ``load.synthetic``.
        style: whose prompt (``styles.STYLES``); ``scoring``: whose rule reads the answers.
        mode: ``blind`` and ``shuffled`` are the baselines without media and without their order.
        questions: at most this many rows, spread evenly over tasks; None: all.
        subtitles: put those of the sampled frames into the prompt.
        unwrap: what of an output the rule sees (``extract.UNWRAPPING``). With ``think`` an output
            begins with the think tag that the chat template has opened, if it has: else one that
            ends in its thinking would look like an answer.
        overwrite: replace finished answers of other inputs.

    Raises:
        NoMedia: of no row the media are there; nothing is written.
    """
    benchmark, rows = BENCHMARKS[name], spread(name, load(name, source), questions)
    root = source if source.is_dir() else source.parent
    embedded = profile.outputs / "embedded"
    items_asked = prompts_of(
        name, rows, root, style, profile.frames if subtitles else None, embedded
    )
    if rows and not items_asked:
        raise NoMedia(_absent(name, rows, root, embedded))
    found = evaluate.generate(
        model,
        items_asked,
        out,
        frames=profile.frames,
        batch=profile.evaluation.batch,
        max_new_tokens=profile.evaluation.max_new_tokens,
        mode=mode,
        seed=seed,
        backend=backend,
        overwrite=overwrite,
        beside=("items.jsonl", "report.json"),
        progress=progress,
    )
    begun = extract.opened_thinking(_opening_of(model)) if unwrap == "think" else ""
    answered = [
        {**row, "output": begun + p.output if p else None, "truncated": bool(p and p.truncated)}
        for row, p in zip(rows, (found.get(f"{n:06d}") for n in range(len(rows))))
    ]
    items = [judge_row(benchmark, row, scoring, unwrap) for row in answered]
    table = {
        "benchmark": name,
        "style": style,
        "mode": mode,
        "subtitles": subtitles,
        "unwrap": unwrap,
        **report(benchmark, items, scoring),
        "baselines": baselines(benchmark, rows, scoring),
    }
    write_jsonl(out / "items.jsonl", (item.to_json() for item in items))
    write_atomic(
        out / "report.json", json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    return table


def _absent(name: str, rows: Rows, root: Path, embedded: Path) -> str:
    """What to say where no row has its media."""
    asked = [medium for row in rows for medium in read(BENCHMARKS[name], row).media]
    first = next(
        path
        for medium in asked
        if (path := media_file(medium, root, embedded)) and not path.exists()
    )
    return (
        f"no row of {name} has its media: {first} is missing, like those of all {len(rows)} rows. Unpack the published media "
        f"in {root}."
    )


def _opening_of(model: str) -> str:
    """A question in the checkpoint's chat template, with the opening of the assistant's turn."""
    from ..training import models

    question = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    template = models.load_processor(model).apply_chat_template
    return str(template(question, tokenize=False, add_generation_prompt=True))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spacer_utils.analysis.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="folder of a checkpoint, or a hub id")
    parser.add_argument("--names", nargs="*", metavar="NAME", help="benchmarks (default: all)")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder as published, of one benchmark (default: its synthetic sample)",
    )
    parser.add_argument(
        "--rooms",
        type=Path,
        help="data folder of a run: its held-out rooms and real layouts, not their samples",
    )
    parser.add_argument(
        "--questions",
        type=int,
        help="at most this many of each benchmark, spread over tasks (default: all)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="gets a folder per benchmark, and summary.json"
    )
    parser.add_argument(
        "--profile",
        choices=list(profiles.PROFILES),
        default="cpu",
        help="frames, batch and token budget",
    )
    parser.add_argument(
        "--sampling",
        help="named sampling and resizing, e.g. uniform32, spacer (default: the profile's)",
    )
    parser.add_argument("--style", choices=STYLES, default="official", help="whose prompt")
    parser.add_argument(
        "--subtitles",
        action="store_true",
        help="prompts with subtitles (Video-MME, LongVideoBench)",
    )
    parser.add_argument("--scoring", choices=PROFILES, default="official", help="whose rule")
    parser.add_argument(
        "--unwrap",
        choices=UNWRAPPING,
        default=UNWRAPPING[0],
        help="what of a thinking output the rule sees; native reasoning models: think",
    )
    parser.add_argument("--mode", choices=("video", "blind", "shuffled"), default="video")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace finished answers of other inputs"
    )
    parser.add_argument("--backend", choices=("transformers", "vllm"), default="transformers")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print name, headline and counts of every benchmark asked for; 2 on an error that the user can
    mend, 1 without media."""
    args = arguments().parse_args(argv)
    try:
        if args.questions is not None and args.questions < 1:
            raise WorkbookError(
                f"--questions must be a whole number from 1 on, not {args.questions}."
            )
        if args.rooms and not args.rooms.is_dir():
            raise WorkbookError(
                f"there is no folder {args.rooms}. Give --rooms the data folder of a run."
            )
        profile = profiles.get(args.profile).with_overrides(sampling=args.sampling)
        tables = []
        top = folders.begin(
            args.out, folders.Inputs("summary of benchmarks", {}, {}), ["summary.json"]
        )
        top.add(["summary.json"])
        for name in args.names or BENCHMARKS.names():
            rooms = args.rooms / f"{name}.jsonl" if args.rooms else Path()
            source = args.data or (
                rooms if rooms.is_file() else synthetic(name, args.out / name / "sample")
            )
            tables.append(
                run_benchmark(
                    args.model,
                    name,
                    source,
                    args.out / name,
                    profile,
                    style=args.style,
                    mode=args.mode,
                    scoring=args.scoring,
                    questions=args.questions,
                    subtitles=args.subtitles,
                    unwrap=args.unwrap,
                    backend=args.backend,
                    overwrite=args.overwrite,
                    progress=Progress(name),
                )
            )
            shown = ("benchmark", "headline", "headline_variant", "counts")
            print(json.dumps({key: tables[-1][key] for key in shown}), flush=True)
        summary = {
            "model": args.model,
            "digest": model_digest(args.model),
            "profile": profile.name,
            "tables": tables,
        }
        write_atomic(
            args.out / "summary.json",
            json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        )
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, NoMedia) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
