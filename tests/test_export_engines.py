"""The exports inside ms-swift 4.6.0 and verl 0.9.1 themselves; skipped without them.

Each has packages that the workbook's environment has in other versions, so each stands in a folder of
its own, first on the path of a process of its own:

pip install --no-deps --target swift ms-swift==4.6.0 trl==0.29.1 transformers==5.19.0 peft==0.20.0 \
  datasets==4.8.4 modelscope modelscope-hub cryptography addict attrdict dacite einops json-repair \
  msgspec openai jiter distro sniffio oss2 qwen-vl-utils sentencepiece simplejson tiktoken zstandard \
  aiohttp aiohappyeyeballs aiosignal frozenlist multidict yarl propcache fastapi starlette uvicorn
pip install --no-deps --target verl verl==0.9.1 transformers==5.10.4 tokenizers==0.22.2 \
  huggingface-hub==1.33.0 tensordict==0.10.0 pyvers orjson importlib-metadata zipp ray msgpack \
  torchdata hydra-core omegaconf antlr4-python3-runtime==4.9.3 codetiming qwen-vl-utils \
  aiohttp aiohappyeyeballs aiosignal frozenlist multidict yarl propcache
SPACER_SWIFT_DIR=swift SPACER_VERL_DIR=verl python -m pytest tests/test_export_engines.py

EasyR1 is not on the package index; verl trains on GPUs only, so its data loader and reward manager
are given real batches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from kit.training_kit import tiny_model, write_data

from spacer_utils import rewards
from spacer_utils.core import profiles, prompts
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.registry import METHODS
from spacer_utils.core.rows import load
from spacer_utils.rewards import exported
from spacer_utils.training.export import export

PROFILE = profiles.get("smoke")
KIT = Path(__file__).parent / "kit"
METHOD = "sg_rlvr_dense"
BASE = PROJECT / "spacer_utils" / "assets" / "nano_base"


def engine(name: str) -> Any:
    """A mark that skips a test where the variable names no folder."""
    return pytest.mark.skipif(
        not os.environ.get(name), reason=f"set {name} to a folder with its packages (see this file)"
    )


def run(variable: str, args: list[str], **environment: str) -> str:
    """What a Python process prints that finds an engine's packages first."""
    path = f"{Path(os.environ[variable]).resolve()}:{PROJECT}"
    done = subprocess.run(
        [sys.executable, *args],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "USE_HF": "1",
            "FORCE_QWENVL_VIDEO_READER": "decord",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def replies(data: Path) -> list[str]:
    """Right for some rows and wrong for others, with a true map, a wrong one and none."""
    texts = [prompts.target(s, with_map=True) for s in load(data / "train.jsonl")[:2]]
    return [
        *texts,
        texts[0].replace("[1, 2]", "[9, 9]"),
        "<think></think><answer>1</answer>",
        "no tags at all, 2",
    ]


def ours(sample: str, text: str) -> dict[str, float | None]:
    """Every term as our own training pays it."""
    method = METHODS[METHOD]
    functions, _ = rewards.trl_reward_functions(method.terms, method.gate, PROFILE.reward_set)
    return {f.__name__: f([text], sample=[sample])[0] for f in functions}


@engine("SPACER_SWIFT_DIR")
@pytest.mark.slow
def test_ms_swift_pays_what_our_training_pays(
    data: Path, replies: list[str], tmp_path: Path
) -> None:
    export("ms-swift", PROFILE, METHOD, tmp_path, data)
    args = [str(KIT / "swift_scores.py"), str(tmp_path), json.dumps(replies)]
    said = run("SPACER_SWIFT_DIR", args, MODELSCOPE_CACHE=str(tmp_path / "cache"))
    found = json.loads(said.strip().splitlines()[-1])
    assert len(found) == len(replies) * len(read_jsonl(tmp_path / "train.jsonl"))
    for sample, text, terms in found:
        assert terms == pytest.approx(ours(sample, text), abs=1e-6), (text, sample)
    assert len({str(terms) for _, _, terms in found}) > 4


@engine("SPACER_SWIFT_DIR")
@pytest.mark.slow
def test_ms_swift_trains_two_steps(data: Path, tmp_path: Path) -> None:
    """The small base, through ms-swift's own command: what it logs is what our rewards say."""
    made = export("ms-swift", PROFILE, METHOD, tmp_path, data)
    terms = METHODS[METHOD].terms or {}
    options = {
        "rlhf_type": "grpo",
        "model": BASE,
        "model_type": "qwen3_vl",
        "template": "qwen3_vl",
        "tuner_type": "full",
        "torch_dtype": "float32",
        "dataset": made[1],
        "reward_funcs": [f"spacer_{name}" for name in terms],
        "reward_weights": [*terms.values()],
        "external_plugins": [made[0], KIT / "swift_ids.py"],
        "max_steps": 2,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_completion_length": PROFILE.train.completion_tokens,
        "max_length": 2048,
        "temperature": 1.0,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "log_completions": True,
        "save_strategy": "no",
        "split_dataset_ratio": 0,
        "report_to": "none",
        "gradient_checkpointing": False,
        "use_hf": True,
        "add_version": False,
        "output_dir": tmp_path / "out",
    }
    args = [str(KIT / "swift_steps.py")]
    for name, value in options.items():
        args += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    run(
        "SPACER_SWIFT_DIR",
        args,
        SPACER_BASE=str(BASE),
        MODELSCOPE_CACHE=str(tmp_path / "cache"),
        FPS_MIN_FRAMES="6",
        FPS_MAX_FRAMES="6",
        VIDEO_MIN_TOKEN_NUM="16",
        VIDEO_MAX_TOKEN_NUM="16",
    )

    # Its log: two steps, and the rewards of the completions that it drew.
    steps = [row for row in read_jsonl(tmp_path / "out" / "logging.jsonl") if "loss" in row]
    assert len(steps) == 2
    assert any(float(row["grad_norm"]) > 0 for row in steps)
    samples = {s.problem: s.to_json_text() for s in load(data / "train.jsonl")}
    drawn = 0
    for table in read_jsonl(tmp_path / "out" / "completions.jsonl"):
        for k, (prompt, text) in enumerate(zip(table["prompt"], table["completion"])):
            (sample,) = [json_text for asked, json_text in samples.items() if asked in str(prompt)]
            for name, value in ours(sample, text).items():
                paid = float("nan") if value is None else value  # nan: it does not apply
                logged = table[f"Spacer_{name}"][k]
                assert logged == pytest.approx(paid, abs=1e-6, nan_ok=True), (name, text)
            drawn += 1
    assert drawn >= 8


@engine("SPACER_VERL_DIR")
@pytest.mark.slow
def test_verl_loads_and_pays(data: Path, replies: list[str], tmp_path: Path) -> None:
    """The head's options on verl's own defaults, its data loader and its reward manager."""
    export("verl", PROFILE, METHOD, tmp_path / "out", data)
    model = tiny_model(tmp_path / "model", "qwen2_5_vl")
    args = [str(KIT / "verl_batches.py"), str(tmp_path / "out"), model, json.dumps(replies)]
    found = json.loads(run("SPACER_VERL_DIR", args).strip().splitlines()[-1])
    samples = load(data / "train.jsonl")
    assert found["rows"] == len(samples)
    assert len(found["scores"]) == len(samples) * len(replies)
    for sample, text, score, extra in found["scores"]:
        method = METHODS[METHOD]
        mine = exported.weighed(
            sample, text, PROFILE.reward_set, method.gate, method.terms, "score"
        )
        assert score == pytest.approx(mine["score"], abs=1e-6), (text, sample)
        assert extra == pytest.approx(mine, abs=1e-6)

    # Clips and pictures as large as the profile has them.
    side = PROFILE.frames.size
    clips = [shape for shape in found["shapes"] if len(shape) == 1 and len(shape[0]) == 4]
    assert len(clips) == sum(s.data_type == "video" for s in samples)
    assert all(shape[0][0] <= PROFILE.frames.num_frames for shape in clips)
    assert {tuple(shape[0][2:]) for shape in clips} == {(side, side)}
