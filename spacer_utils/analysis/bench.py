"""Put a checkpoint to benchmarks and score what it says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..benchmarks.scoring import extract
from ..benchmarks.scoring.aggregate import Table, baselines, interval, report
from ..benchmarks.scoring.extract import UNWRAPPING
from ..benchmarks.scoring.load import VIDEOS, Rows, load, media_file, synthetic
from ..benchmarks.scoring.record import Question, Row, judge_row, read
from ..core import folders
from ..core.files import model_digest, write_atomic, write_jsonl
from ..core.profiles import Frames, Profile
from ..core.progress import Progress
from ..core.registry import BENCHMARKS
from ..core.types import IMAGE, WorkbookError
from ..evaluation import evaluate
from ..evaluation.answerer import Item, Mode


class NoMedia(WorkbookError):
    """Not one row has its clips or pictures, so there is nothing to score."""

    exit_code = 1


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
) -> list[Item]:
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
            items.append(Item(f"{number:06d}", text, media))
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


def frames_for(name: str, given: Frames) -> Frames:
    """What a model gets of a benchmark's clips: the profile's frames, or as many as the answers hold
    for. Clips published for so many have no more, so that evenly spaced ones are all of them."""
    budget = BENCHMARKS[name].frames
    return replace(given, num_frames=budget, sampling="uniform") if budget else given


def run_benchmark(
    model: str,
    name: str,
    source: Path,
    out: Path,
    profile: Profile,
    *,
    style: str = "official",
    scoring: str = "official",
    mode: Mode = "video",
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
        NoMedia: no row has its media; nothing is written.
    """
    # What is asked.
    benchmark, rows = BENCHMARKS[name], spread(name, load(name, source), questions)
    frames = frames_for(name, profile.frames)
    root = source if source.is_dir() else source.parent
    embedded = profile.outputs / "embedded"
    items_asked = prompts_of(name, rows, root, style, frames if subtitles else None, embedded)
    if rows and not items_asked:
        raise NoMedia(_absent(name, rows, root, embedded))

    # The answers.
    found = evaluate.generate(
        model,
        items_asked,
        out,
        frames=frames,
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

    # Their scores.
    items = [judge_row(benchmark, row, scoring, unwrap) for row in answered]
    table = {
        "benchmark": name,
        "style": style,
        "mode": mode,
        "subtitles": subtitles,
        "unwrap": unwrap,
        **report(benchmark, items, scoring),
        "baselines": baselines(benchmark, rows, scoring),
        "interval": interval(benchmark, items, scoring, seed),
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


def run_benchmarks(
    model: str,
    names: Sequence[str],
    out: Path,
    profile: Profile,
    *,
    published: Path | None = None,
    data: Path | None = None,
    **how: Any,
) -> None:
    """Run several benchmarks, each in a folder of ``out``, and print the headline of each.

    ``out/summary.json`` gets all reports.

    Args:
        published: files of one benchmark as its authors publish them.
        data: a dataset of ours, whose held-out rooms and real layouts are benchmarks too. A
            benchmark without rows there or in ``published`` runs on its invented sample.
        how: further arguments of ``run_benchmark``.

    Raises:
        NoMedia: of no row of a benchmark the media are there.
    """
    if data and not data.is_dir():
        raise WorkbookError(f"there is no folder {data}. Give --data a dataset of this workbook.")
    if data and not any((data / f"{name}.jsonl").is_file() for name in names):
        raise WorkbookError(
            f"{data} has rows of none of these: {', '.join(names)}. Files as authors publish them "
            "are given with --published."
        )
    top = folders.begin(out, folders.Inputs("summary of benchmarks", {}, {}), ["summary.json"])
    top.add(["summary.json"])
    tables = []
    for name in names:
        # published files, else our own rows, else the invented sample
        source = published
        if source is None and data and (data / f"{name}.jsonl").is_file():
            source = data / f"{name}.jsonl"
        source = source or synthetic(name, out / name / "sample")

        table = run_benchmark(
            model, name, source, out / name, profile, progress=Progress(name), **how
        )
        tables.append(table)
        shown = ("benchmark", "headline", "headline_variant", "counts")
        print(json.dumps({key: table[key] for key in shown}), flush=True)

    summary = {
        "model": model,
        "digest": model_digest(model),
        "profile": profile.name,
        "tables": tables,
    }
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(out / "summary.json", text + "\n")
