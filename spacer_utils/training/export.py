"""The dataset and its rewards in the forms of ms-swift, EasyR1 and verl: rows as they read them,
and a reward file they load, whose head says how to start.

Forms followed: ms-swift 4.6.0 (``swift.rewards``, ``swift.rl_core``); verl 0.9.1
(verl/trainer/ppo/reward.py, verl/utils/dataset/rl_dataset.py); hiyouga/EasyR1 46c6c21
(verl/workers/reward/function.py, verl/utils/dataset.py). Frames are read by qwen_vl_utils in all
three: without limits it shows up to 768 frames of a clip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core import folders, prompts
from ..core.files import inside, write_atomic, write_jsonl
from ..core.profiles import Frames, Profile
from ..core.registry import METHODS, REWARDS
from ..core.row_files import MAPS, rows_file
from ..core.rows import load, need_maps
from ..core.types import Sample, WorkbookError

Row = dict[str, Any]
PROMPT_TOKENS = 16_384
"""Most tokens of a prompt with its media, as in the released training."""
LEAST_PIXELS = 4 * 28 * 28
"""Fewer pixels than this make Qwen's processors enlarge a picture."""


@dataclass(frozen=True)
class Asked:
    """The user's turn of a row."""

    text: str
    """With a mark such as ``<video>`` for each medium."""
    media: Mapping[str, list[str]]
    """Kind -> absolute paths."""
    look: Row
    """Number and size of the frames, in the words of qwen_vl_utils."""


Ask = Callable[[Sample], Asked]

MS_SWIFT = '''"""Rewards of {method} for ms-swift 4. Start it with the frames of the profile {profile}:

{environment} swift rlhf --rlhf_type grpo --dataset {out}/train.jsonl
  --external_plugins {out}/reward.py --reward_funcs {functions} --reward_weights {weights}
  --num_generations {group} --max_completion_length {tokens} --temperature {temperature} --beta {beta}
"""

from swift.rewards import ORM, orms

from spacer_utils.rewards.exported import terms


class Term(ORM):
    name = ""

    def __call__(self, completions, sample, **columns):
        return [terms(s, c, "{reward_set}", "{gate}", [self.name])[self.name] for c, s in zip(completions, sample)]


for _name in {names}:
    orms["spacer_" + _name] = type("Spacer_" + _name, (Term,), {{"name": _name}})
'''
EASYR1 = '''"""Reward of {method} for EasyR1:

worker.reward.reward_function={out}/reward.py:compute_score data.train_files={out}/train_video.parquet
  data.prompt_key=prompt data.answer_key=answer data.video_key=videos data.format_prompt=null
  data.max_prompt_length={prompt_tokens} data.max_response_length={tokens}
  data.min_pixels={min_pixels} data.max_pixels={max_pixels} data.video_fps=2.0
  worker.rollout.n={group} worker.rollout.temperature={temperature}

It has no limit of frames: of a clip of a minute, video_fps=2.0 shows 120, and the profile {profile} {frames}.
"""

from spacer_utils.rewards.exported import weighed

REWARD_NAME = "spacer"
REWARD_TYPE = "batch"


def compute_score(reward_inputs):
    return [weighed(r["ground_truth"], r["response"], "{reward_set}", "{gate}", {terms}, "overall") for r in reward_inputs]
'''
VERL = '''"""Reward of {method} for verl 0.9:

algorithm.adv_estimator=grpo reward.custom_reward_function.path={out}/reward.py
  reward.custom_reward_function.name=compute_score data.train_files={out}/train.parquet
  data.max_prompt_length={prompt_tokens} data.max_response_length={tokens}
  actor_rollout_ref.rollout.n={group} actor_rollout_ref.rollout.temperature={temperature}

Older versions have no "reward." before custom_reward_function.
"""

from spacer_utils.rewards.exported import weighed


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return weighed(ground_truth, solution_str, "{reward_set}", "{gate}", {terms}, "score")
'''


def clip_look(frames: Frames) -> Row:
    """Frames and size of a clip for qwen_vl_utils, as close to the profile's as it allows.

    It takes an even number of frames, the first and the last among them.
    """
    most = frames.num_frames // 2 * 2
    if frames.sampling == "spacer-train":
        rate: Row = {"fps": 2.0, "min_frames": min(4, most), "max_frames": most}
    else:
        rate = {"min_frames": most, "max_frames": most}
    if frames.size:
        return {**rate, "resized_height": frames.size, "resized_width": frames.size}
    low, high = _pixels(frames)
    return {**rate, "min_pixels": low, "max_pixels": high}


def picture_look(frames: Frames) -> Row:
    """Size of a picture for qwen_vl_utils."""
    if frames.size:
        return {"resized_height": frames.size, "resized_width": frames.size}
    most = frames.max_pixels * (2 if frames.resize == "spacer" else 1)
    return {"min_pixels": LEAST_PIXELS, "max_pixels": most}


def _pixels(frames: Frames) -> tuple[int, int]:
    """Fewest and most pixels of a frame."""
    if frames.size:
        return frames.size**2, frames.size**2
    if frames.resize == "spacer":
        return frames.max_pixels, int(frames.max_pixels * 1.05)
    return LEAST_PIXELS, frames.max_pixels


def _environment(frames: Frames) -> str:
    """The same for ms-swift, which takes it from the environment."""
    look, (low, high) = clip_look(frames), _pixels(frames)
    return (
        f"FPS_MIN_FRAMES={look['min_frames']} FPS_MAX_FRAMES={look['max_frames']} "
        f"VIDEO_MIN_PIXELS={low} VIDEO_MAX_PIXELS={high} MAX_PIXELS={high}"
    )


def _ask(s: Sample, data: Path, profile: Profile, with_map: bool) -> Asked:
    media: dict[str, list[str]] = (
        {} if s.data_type == "text" else {s.data_type: [str(inside(data, s.path))]}
    )
    marks = "".join(f"<{kind}>" * len(paths) for kind, paths in media.items())
    look = (clip_look if s.data_type == "video" else picture_look)(profile.frames)
    return Asked(marks + prompts.user_text(s, profile.prompt_style, with_map), media, look)


def ms_swift(samples: Sequence[Sample], out: Path, ask: Ask) -> None:
    """``train.jsonl``: messages, videos or images, and the column ``sample`` that the reward
    gets."""

    def row(s: Sample) -> Row:
        asked = ask(s)
        return {
            "messages": [{"role": "user", "content": asked.text}],
            **{f"{kind}s": paths for kind, paths in asked.media.items()},
            "sample": s.to_json_text(),
        }

    write_jsonl(out / "train.jsonl", [row(s) for s in samples])


def easyr1(samples: Sequence[Sample], out: Path, ask: Ask) -> None:
    """``train_<kind>.parquet``: one file per kind, since EasyR1 takes every row of a file with a
    column of images for one."""
    for kind in sorted({s.data_type for s in samples}):
        rows: list[Row] = []
        for s in samples:
            if s.data_type == kind:
                asked = ask(s)
                rows.append(
                    {
                        "prompt": asked.text,
                        "answer": s.to_json_text(),
                        **{f"{k}s": paths for k, paths in asked.media.items()},
                    }
                )
        _parquet(out / f"train_{kind}.parquet", rows)


def verl(samples: Sequence[Sample], out: Path, ask: Ask) -> None:
    """``train.parquet`` with verl's five fields and media as dicts, which say how many frames of
    which size are to be shown."""
    rows: list[Row] = []
    for index, s in enumerate(samples):
        asked = ask(s)
        rows.append(
            {
                "data_source": s.data_source or "spacer",
                "prompt": [{"role": "user", "content": asked.text}],
                "ability": s.problem_type,
                "images": [{"image": p, **asked.look} for p in asked.media.get("image", [])],
                "videos": [{"video": p, **asked.look} for p in asked.media.get("video", [])],
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
FORMS: dict[str, tuple[Callable[[Sequence[Sample], Path, Ask], None], str]] = {
    "ms-swift": (ms_swift, MS_SWIFT),
    "easyr1": (easyr1, EASYR1),
    "verl": (verl, VERL),
}


def _rewards(method: str) -> Mapping[str, float]:
    """Terms and weights of a method that other trainers can pay.

    They give a whole completion one number, and ask for it completion by completion.

    Raises:
        WorkbookError: they can't; the message says why, and what comes closest.
    """
    chosen = METHODS[method]
    terms: Mapping[str, float] = chosen.terms or {}
    grouped = [name for name in terms if name in REWARDS.names() and _of_group(name)]
    if not terms:
        why = "it is supervised and has no reward"
    elif grouped:
        why = (
            f"its term {grouped[0]} needs the whole group and what our rollouts know of it, "
            "and others ask for one completion at a time"
        )
    elif chosen.credit != "completion":
        why = "it credits each token with what it decides, and others give a completion one number"
    else:
        return terms

    # The method that pays the same for whole, single completions.
    rest = {name: weight for name, weight in terms.items() if name not in grouped}
    alike = [
        name
        for name in METHODS.names()
        if METHODS[name].terms == rest
        and (METHODS[name].with_map, METHODS[name].gate, METHODS[name].credit)
        == (chosen.with_map, chosen.gate, "completion")
    ]
    nearest = f"{alike[0]}: the same rewards without that" if rest and alike else "sg_rlvr"
    raise WorkbookError(f"can't export {method}: {why}. Export {nearest}.")


def _of_group(name: str) -> bool:
    """Whether a reward is defined on groups only."""
    return "group" in REWARDS.entry(name).info


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
        WorkbookError: an unknown trainer or method, a reward that others can't give (``_rewards``),
            or a folder that holds a dataset, files of others where the export would write, or
            another export.
        MissingArtifact: the data are not there.
    """
    # What can't be exported.
    if to not in FORMS or method not in METHODS.names():
        raise WorkbookError(
            f"can't export {method!r} to {to!r}. Trainers: {', '.join(FORMS)}. Methods: {', '.join(METHODS.names())}."
        )
    weights = _rewards(method)
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
    train = {
        "group": profile.train.group_size,
        "tokens": profile.train.completion_tokens,
        "temperature": profile.train.temperature,
        "beta": profile.train.beta,
    }
    settings = {
        "to": to,
        "method": method,
        "data": str(data.resolve()),
        "prompt_style": profile.prompt_style,
        "reward_set": profile.reward_set,
        "frames": asdict(profile.frames),
        "train": train,
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
        lambda s: _ask(s, data.resolve(), profile, METHODS[method].with_map),
    )
    low, high = _pixels(profile.frames)
    write_atomic(
        out / "reward.py",
        template.format(
            method=method,
            profile=profile.name,
            out=out.resolve(),
            environment=_environment(profile.frames),
            frames=profile.frames.num_frames,
            min_pixels=low,
            max_pixels=high,
            prompt_tokens=PROMPT_TOKENS,
            **train,
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
