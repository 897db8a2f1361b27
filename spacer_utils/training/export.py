"""The dataset and its rewards in the forms of ms-swift, EasyR1 and verl: rows as they read them,
and a reward file they load.

Forms followed (read at these commits): modelscope/ms-swift 1f9e821,
docs/source_en/Instruction/GRPO/DeveloperGuide/ reward_function.md (``ORM.__call__(completions,
**columns)``; from version 4 in ``swift.rewards``); hiyouga/EasyR1 46c6c21,
verl/workers/reward/function.py and examples/reward_function; volcengine/verl 904e7bf,
docs/preparation/reward_function.rst and verl/utils/dataset/rl_dataset.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core import folders, prompts
from ..core.files import inside, write_atomic, write_jsonl
from ..core.profiles import Profile
from ..core.registry import METHODS
from ..core.row_files import MAPS, rows_file
from ..core.rows import load, need_maps
from ..core.types import Sample, WorkbookError

Row = dict[str, Any]
Common = Callable[[Sample], tuple[str, dict[str, list[str]]]]
"""Text with a placeholder per medium, and paths by kind."""

MS_SWIFT = '''"""Rewards of {method} for ms-swift: swift rlhf --rlhf_type grpo --dataset train.jsonl --external_plugins reward.py
--reward_funcs {functions} --reward_weights {weights}"""

from swift.rewards import ORM, orms

from spacer_utils.rewards.exported import terms


class Term(ORM):
    name = ""

    def __call__(self, completions, sample, **columns):
        return [terms(s, c, "{reward_set}", "{gate}", [self.name])[self.name] for c, s in zip(completions, sample)]


for _name in {names}:
    orms["spacer_" + _name] = type("Spacer_" + _name, (Term,), {{"name": _name}})
'''
EASYR1 = '''"""Reward of {method} for EasyR1: worker.reward.reward_function=reward.py:compute_score
data.train_files=train_video.parquet data.prompt_key=prompt data.answer_key=answer data.video_key=videos
data.format_prompt=null"""

from spacer_utils.rewards.exported import weighed

REWARD_NAME = "spacer"
REWARD_TYPE = "batch"


def compute_score(reward_inputs):
    return [weighed(r["ground_truth"], r["response"], "{reward_set}", "{gate}", {terms}, "overall") for r in reward_inputs]
'''
VERL = '''"""Reward of {method} for verl: custom_reward_function.path=reward.py data.train_files=train.parquet"""

from spacer_utils.rewards.exported import weighed


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return weighed(ground_truth, solution_str, "{reward_set}", "{gate}", {terms}, "score")
'''


def _common(s: Sample, data: Path, style: str, with_map: bool) -> tuple[str, dict[str, list[str]]]:
    media: dict[str, list[str]] = (
        {} if s.data_type == "text" else {s.data_type: [str(inside(data, s.path))]}
    )
    marks = "".join(f"<{kind}>" * len(paths) for kind, paths in media.items())
    return marks + prompts.user_text(s, style, with_map), media


def ms_swift(samples: Sequence[Sample], out: Path, common: Common) -> None:
    """``train.jsonl``: messages, videos or images, and the column ``sample`` that the reward
    gets."""

    def row(s: Sample) -> Row:
        text, media = common(s)
        return {
            "messages": [{"role": "user", "content": text}],
            **{f"{kind}s": paths for kind, paths in media.items()},
            "sample": s.to_json_text(),
        }

    write_jsonl(out / "train.jsonl", [row(s) for s in samples])


def easyr1(samples: Sequence[Sample], out: Path, common: Common) -> None:
    """``train_<kind>.parquet``: one file per kind, since EasyR1 takes every row of a file with a
    column of images for one."""
    for kind in sorted({s.data_type for s in samples}):
        rows: list[Row] = []
        for s in samples:
            if s.data_type == kind:
                text, media = common(s)
                rows.append(
                    {
                        "prompt": text,
                        "answer": s.to_json_text(),
                        **{f"{k}s": paths for k, paths in media.items()},
                    }
                )
        _parquet(out / f"train_{kind}.parquet", rows)


def verl(samples: Sequence[Sample], out: Path, common: Common) -> None:
    """``train.parquet`` with verl's five fields and media as dicts."""
    rows: list[Row] = []
    for index, s in enumerate(samples):
        text, media = common(s)
        rows.append(
            {
                "data_source": s.data_source or "spacer",
                "prompt": [{"role": "user", "content": text}],
                "ability": s.problem_type,
                "images": [{"image": p} for p in media.get("image", [])],
                "videos": [{"video": p} for p in media.get("video", [])],
                "reward_model": {"style": "rule", "ground_truth": s.to_json_text()},
                "extra_info": {"index": index, "split": "train", "question_type": s.question_type},
            }
        )
    _parquet(out / "train.parquet", rows)


def _parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), buffer)
    write_atomic(path, buffer.getvalue().to_pybytes())


WRITES = ("reward.py", "train.jsonl", "train.parquet", "train_*.parquet")
"""Paths that an export writes in its folder."""
FORMS: dict[str, tuple[Callable[[Sequence[Sample], Path, Common], None], str]] = {
    "ms-swift": (ms_swift, MS_SWIFT),
    "easyr1": (easyr1, EASYR1),
    "verl": (verl, VERL),
}


def export(
    to: str,
    profile: Profile,
    method: str,
    out: Path,
    data: Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write the training rows of a profile and the reward of a method for another trainer; the
    files written.

    Args:
        to: one of ``FORMS``.
        data: folder with ``train.jsonl``; the profile's own by default.
        overwrite: replace another export of ours in ``out``.

    Raises:
        WorkbookError: an unknown trainer or method, a reward that others can't give (of several
            completions, or of tokens), or a folder that holds a dataset, files of others where the
            export would write, or another export.
        MissingArtifact: the data are not there.
    """
    # What can't be exported.
    if to not in FORMS or method not in METHODS.names():
        raise WorkbookError(
            f"can't export {method!r} to {to!r}. Trainers: {', '.join(FORMS)}. Methods: {', '.join(METHODS.names())}."
        )
    weights = METHODS[method].terms or {}
    if not weights or "temporal" in weights or METHODS[method].credit != "completion":
        raise WorkbookError(
            f"the reward of {method} is not one of whole, single completions. Export another: sg_rlvr."
        )
    data = data or profile.outputs / "data"
    source = rows_file(data)
    if out.resolve() == data.resolve() or (out / MAPS).exists():
        raise WorkbookError(
            f"{out} holds a dataset, whose rows the export would replace. Name another folder with --out."
        )

    # The rows.
    write, template = FORMS[to]
    samples = load(source)
    if METHODS[method].with_map:
        need_maps(samples, source)

    # The folder.
    settings = {
        "to": to,
        "method": method,
        "data": str(data.resolve()),
        "prompt_style": profile.prompt_style,
        "reward_set": profile.reward_set,
    }
    rows = {name: data / name for name in ("train.jsonl", MAPS) if (data / name).exists()}
    record = folders.begin(
        out, folders.Inputs.of("export", settings, rows, out), WRITES, overwrite=overwrite
    )
    record.add(
        (
            "reward.py",
            "train.jsonl",
            "train.parquet",
            *(f"train_{kind}.parquet" for kind in ("image", "text", "video")),
        )
    )

    # Its files.
    write(
        samples,
        out,
        lambda s: _common(s, data.resolve(), profile.prompt_style, METHODS[method].with_map),
    )
    write_atomic(
        out / "reward.py",
        template.format(
            method=method,
            reward_set=profile.reward_set,
            gate=METHODS[method].gate,
            terms=json.dumps(dict(weights)),
            names=tuple(weights),
            functions=" ".join(f"spacer_{n}" for n in weights),
            weights=" ".join(str(w) for w in weights.values()),
        ),
    )
    record.finish()
    return sorted(p for p in out.iterdir() if p.name in record.written)
