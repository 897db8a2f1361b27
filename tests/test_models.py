"""Other people's checkpoints and settings: loaded whole, or refused in one line before anything is
trained or written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from kit.training_kit import write_data

from spacer_utils.__main__ import main
from spacer_utils.core import profiles
from spacer_utils.evaluation import evaluate

torch = pytest.importorskip("torch")
NANO = PROJECT / profiles.NANO_BASE
SIZES = ["--set", "completion_tokens=4", "--set", "size=56", "--set", "num_frames=2"]
Damage = Callable[[Path], Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), clips=1)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The committed base, to be damaged."""
    return Path(shutil.copytree(NANO, tmp_path / "copy"))


def refusal(capsys: pytest.CaptureFixture[str], code: int, expected: int = 2) -> str:
    """The one line that a command line has ended with."""
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if line.startswith("error: ")]
    assert code == expected, shown
    assert len(lines) == 1, shown
    assert "Traceback" not in shown
    assert "LOAD REPORT" not in shown
    assert len(lines[0]) < 700
    return lines[0]


def train_on(model: object, data: Path, out: Path, *more: str, method: str = "sft") -> int:
    torch.set_num_threads(1)
    return main(
        [
            "train",
            "--profile",
            "smoke",
            "--method",
            method,
            "--data",
            str(data),
            "--out",
            str(out),
            "--model",
            str(model),
            *SIZES,
            *more,
        ]
    )


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def put(folder: Path, found: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})


def change(path: Path, **fields: Any) -> None:
    """Set fields of a JSON object; None removes one."""
    about = json.loads(path.read_text())
    about = {k: v for k, v in {**about, **fields}.items() if v is not None}
    path.write_text(json.dumps(about))


def point(path: Path) -> None:
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 7441232\n"
    )


def lack(folder: Path, part: str) -> None:
    put(folder, {k: v for k, v in tensors(folder).items() if part not in k})


def rename(folder: Path, prefix: str) -> None:
    put(folder, {prefix + k: v for k, v in tensors(folder).items()})


def untie(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    change(
        folder / "config.json",
        tie_word_embeddings=False,
        text_config={**text, "tie_word_embeddings": False},
    )


def spoil(folder: Path, value: float) -> None:
    found = tensors(folder)
    found["model.visual.merger.norm.weight"][3] = value
    put(folder, found)


def reshape(folder: Path) -> None:
    found = tensors(folder)
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    put(folder, {**found, name: found[name][:-1].clone()})


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def shard(folder: Path) -> None:
    """Two files and an index, of which one file is lost."""
    from safetensors.torch import save_file

    found = tensors(folder)
    names = {
        k: f"model-0000{1 + (k > 'model.language_model.layers.3')}-of-00002.safetensors"
        for k in found
    }
    save_file(
        {k: v for k, v in found.items() if names[k].startswith("model-00001")},
        folder / "model-00001-of-00002.safetensors",
        metadata={"format": "pt"},
    )
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names})
    )
    (folder / "model.safetensors").unlink()


def pickle(folder: Path) -> None:
    """The older format, cut."""
    torch.save(tensors(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    cut(folder / "pytorch_model.bin", 0.5)


def make_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {"base_model_name_or_path": "Qwen/Qwen2.5-VL-3B-Instruct", "r": 4, "peft_type": "LORA"}
        )
    )


def make_text_only(folder: Path) -> None:
    from transformers import Qwen2Config

    Qwen2Config(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    ).save_pretrained(folder)


def forget_media(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {% for p in m.content %}"
        "{{ p.text or '' }}{% endfor %}{% endfor %}"
    )


DAMAGED: dict[str, tuple[Damage, str]] = {
    "a layer less": (
        lambda f: lack(f, ".layers.3."),
        r"11 tensors are missing \(model.language_model.layers.3",
    ),
    "no vision tower": (lambda f: lack(f, "visual"), r"\d\d tensors are missing"),
    "untied without lm_head": (
        untie,
        r"1 tensors are missing \(lm_head.weight\).*tie_word_embeddings",
    ),
    "names of PEFT": (
        lambda f: rename(f, "base_model.model."),
        r"115 .*missing.*114 .*unknown.*merge_and_unload",
    ),
    "names of a wrapper": (lambda f: rename(f, "_orig_mod."), r"wrapper's names"),
    "one tensor more": (
        lambda f: put(f, {**tensors(f), "probe.weight": torch.zeros(2)}),
        r"1 tensors are unknown.*probe.weight",
    ),
    "another shape": (
        reshape,
        r"1 tensors have another shape \(model.language_model.layers.0.mlp.up_proj.weight\)",
    ),
    "NaN": (
        lambda f: spoil(f, float("nan")),
        r"NaN or infinity in 1 tensors, the first model.visual.merger.norm.weight",
    ),
    "infinity": (lambda f: spoil(f, float("-inf")), r"NaN or infinity"),
    "an adapter": (
        make_adapter,
        r"LoRA adapter of Qwen/Qwen2.5-VL-3B-Instruct, not a whole model. Merge it",
    ),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        r"has no weights: none of model.safetensors",
    ),
    "half the weights": (
        lambda f: cut(f / "model.safetensors", 0.5),
        r"model.safetensors is cut or damaged",
    ),
    "a byte less": (
        lambda f: cut(f / "model.safetensors", 1 - 1e-7),
        r"model.safetensors is cut or damaged",
    ),
    "half a header": (
        lambda f: cut(f / "model.safetensors", 1e-4),
        r"model.safetensors is cut or damaged",
    ),
    "empty weights": (
        lambda f: cut(f / "model.safetensors", 0),
        r"model.safetensors is cut or damaged",
    ),
    "a shard less": (
        shard,
        r"1 of the 2 files that model.safetensors.index.json names are missing.*model-00002-of-00002",
    ),
    "an index of nothing": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            (f / "model.safetensors.index.json").write_text("{}"),
        ),
        r"no weight_map",
    ),
    "half a pickle": (pickle, r"can't load .*"),
    "pointer weights": (
        lambda f: point(f / "model.safetensors"),
        r"1 files .*Git-LFS pointers.*model.safetensors.*git lfs pull",
    ),
    "pointer tokenizer": (
        lambda f: point(f / "tokenizer.json"),
        r"Git-LFS pointers.*tokenizer.json",
    ),
    "pointer config": (lambda f: point(f / "config.json"), r"Git-LFS pointers.*config.json"),
    "no config": (lambda f: (f / "config.json").unlink(), r"has no config.json"),
    "half a config": (
        lambda f: cut(f / "config.json", 0.5),
        r"config.json can't be read as JSON.*Download",
    ),
    "half a tokenizer": (
        lambda f: cut(f / "tokenizer.json", 0.5),
        r"tokenizer.json can't be read as JSON",
    ),
    "a list for config": (
        lambda f: (f / "config.json").write_text("[]"),
        r"can't load|no JSON object",
    ),
    "no processor": (
        lambda f: (f / "processor_config.json").unlink(),
        r"has no processor: neither processor_config.json nor",
    ),
    "no tokenizer": (lambda f: [p.unlink() for p in f.glob("tokenizer*")], r"has no tokenizer"),
    "no tokenizer.json": (lambda f: (f / "tokenizer.json").unlink(), r"has no tokenizer"),
    "no template": (
        lambda f: (f / "chat_template.jinja").unlink(),
        r"has no chat template. Copy chat_template.jinja",
    ),
    "a broken template": (
        lambda f: (f / "chat_template.jinja").write_text("{% for %}"),
        r"chat template",
    ),
    "a blind template": (forget_media, r"leaves out <\|image_pad\|>"),
    "no pad token": (
        lambda f: change(f / "tokenizer_config.json", pad_token=None),
        r"has no pad token. Set \"pad_token\"",
    ),
    "no eos token": (
        lambda f: change(f / "tokenizer_config.json", eos_token=None),
        r"has no eos token",
    ),
    "another tokenizer": (
        lambda f: change(f / "config.json", video_token_id=7),
        r"another model's: its video token",
    ),
    "text only": (make_text_only, r"model of type 'qwen2', which takes no video"),
    "an unknown type": (lambda f: change(f / "config.json", model_type="qwen9_vl"), r"qwen9_vl"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_checkpoint_is_refused_before_a_step(
    copy: Path, data: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, said = DAMAGED[kind]
    damage(copy)
    found = refusal(capsys, train_on(copy, data, tmp_path / "out"))
    assert re.search(said, found), found
    assert str(copy) in found
    assert not (tmp_path / "out").exists()


def old_names(folder: Path) -> Path:
    """A Qwen2.5-VL under the names of the hub's checkpoints: ``visual.*`` and ``model.*``."""
    from spacer_utils.nano_base import nano

    nano.build(folder, size="tiny", family="qwen2_5_vl")
    found = tensors(folder)
    assert any(k.startswith("visual.") for k in found), "transformers writes the old names back"
    return folder


def test_sound_checkpoints_load_whole(copy: Path, tmp_path: Path) -> None:
    """Tied embeddings need no output layer, old names are known, and keys that a class ignores do
    not count."""
    from spacer_utils.training import models

    plain = models.load(NANO, torch.float32)
    found = tensors(copy)
    put(
        copy,
        {
            **found,
            "lm_head.weight": found["model.language_model.embed_tokens.weight"].clone(),
            "model.language_model.rotary_emb.inv_freq": torch.ones(4),
        },
    )
    both = models.load(copy, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), both.parameters()))
    old = old_names(tmp_path / "old")
    models.load_processor(old)
    first = models.load(old, torch.float32)
    first.save_pretrained(tmp_path / "new", save_original_format=False)
    (tmp_path / "new" / "model.safetensors").rename(old / "model.safetensors")
    assert all(k.startswith(("model.visual", "model.language_model")) for k in tensors(old))
    again = models.load(old, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("copi", r"there is no folder .*copi. Did you mean .*copy\?"),
        ("copy/model/model", r"there is no folder"),
        ("copy/config.json", r"config.json is a file"),
        (".", r"has no config.json, so it is no checkpoint. Did you mean .*copy\?"),
    ],
)
def test_a_wrong_path_says_what_is_there(
    copy: Path,
    data: Path,
    tmp_path: Path,
    given: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = refusal(capsys, train_on(tmp_path / given, data, tmp_path / "out"))
    assert re.search(said, found), found


def test_a_hub_id_without_a_network_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = refusal(capsys, train_on("nobody/nothing-VL", data, tmp_path / "out"))
    assert re.search(r"can't load nobody/nothing-VL: .*taken for a hub id", found), found


def test_the_adapter_of_a_run_names_its_merged_model(
    copy: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_adapter(copy)
    copy.rename(tmp_path / "adapter")
    shutil.copytree(NANO, tmp_path / "model")
    found = refusal(capsys, train_on(tmp_path / "adapter", data, tmp_path / "out"))
    assert f"Give {tmp_path / 'model'}, which has it merged" in found


CHEAP = [
    "a layer less",
    "names of PEFT",
    "NaN",
    "an adapter",
    "half the weights",
    "pointer weights",
    "no processor",
    "no tokenizer",
    "no template",
    "no pad token",
    "text only",
    "no config",
]


@pytest.mark.parametrize("kind", CHEAP)
def test_evaluation_refuses_it_too(
    copy: Path, data: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, said = DAMAGED[kind]
    damage(copy)
    out = tmp_path / "out"
    code = main(
        [
            "evaluate",
            "--profile",
            "smoke",
            "--model",
            str(copy),
            "--data",
            str(data),
            "--split",
            "train",
            "--out",
            str(out),
        ]
    )
    assert re.search(said, refusal(capsys, code))
    assert not list(out.glob("predictions*"))
    code = main(
        [
            "bench",
            "--model",
            str(copy),
            "--names",
            "vsi_bench",
            "--profile",
            "smoke",
            "--out",
            str(tmp_path / "scores"),
        ]
    )
    assert re.search(said, refusal(capsys, code))
    assert not list((tmp_path / "scores").rglob("report.json"))


SETTINGS: dict[str, tuple[str, list[str], str]] = {
    "group_size=1": (
        "rlvr",
        ["--set", "group_size=1"],
        "group_size must be a whole number from 2 on, not 1",
    ),
    "lora_rank=0": (
        "sft",
        ["--set", "lora_rank=0"],
        "lora_rank must be a whole number from 1 on, not 0",
    ),
    "rl_steps=0": (
        "rlvr",
        ["--set", "rl_steps=0"],
        "rl_steps must be a whole number from 1 on, not 0",
    ),
    "sft_steps=-3": (
        "sft",
        ["--set", "sft_steps=-3"],
        "sft_steps must be a whole number from 1 on, not -3",
    ),
    "sft_batch=0": ("sft", ["--set", "sft_batch=0"], "sft_batch must be"),
    "save_steps=0": ("sft", ["--set", "save_steps=0"], "save_steps must be"),
    "sft_lr=nan": ("sft", ["--set", "sft_lr=nan"], "sft_lr must be a number above 0, not 'nan'"),
    "sft_lr=inf": ("sft", ["--set", "sft_lr=1e999"], "sft_lr must be a number above 0, not inf"),
    "sft_lr=-1": ("sft", ["--set", "sft_lr=-1e-4"], "sft_lr must be"),
    "temperature=0": ("rlvr", ["--set", "temperature=0"], "temperature must be a number above 0"),
    "top_p=1.5": ("rlvr", ["--set", "top_p=1.5"], "top_p must be"),
    "warmup=2": ("sft", ["--set", "warmup=2"], "warmup must be a number from 0 on up to 1"),
    "steps as text": (
        "sft",
        ["--set", "sft_steps=two"],
        "sft_steps must be a whole number from 1 on, not 'two'",
    ),
    "steps as share": ("sft", ["--set", "sft_steps=1.5"], "sft_steps must be a whole number"),
    "steps as list": ("sft", ["--set", "sft_steps=[1]"], "sft_steps must be a whole number"),
    "a section": ("sft", ["--set", "train=1"], "unknown profile field 'train'"),
    "a Python name": ("sft", ["--set", "__doc__=x"], "unknown profile field '__doc__'"),
    "an unknown field": (
        "sft",
        ["--set", "rl_step=5"],
        "unknown profile field 'rl_step'. Did you mean rl_steps?",
    ),
    "seeds": ("sft", ["--set", "seeds=3"], "seeds must be"),
    "size=10": ("sft", ["--set", "size=10"], "size must be"),
    "num_frames=0": ("sft", ["--set", "num_frames=0"], "num_frames must be"),
    "a style": ("sft", ["--set", "prompt_style=long"], "unknown prompt style 'long'"),
    "a reward set": ("rlvr", ["--set", "reward_set=kind"], "unknown reward set 'kind'"),
    "a sampling": ("sft", ["--set", "sampling=all"], "unknown frame sampling 'all'"),
    "groups": ("rlvr", ["--set", "micro_batch=3"], "micro_batch=3 does not divide"),
    "loss_type": (
        "rlvr",
        ["--trl", "loss_type=foo"],
        "--trl loss_type can't be 'foo'. Known: grpo, bnpo",
    ),
    "loss_type of sft": (
        "sft",
        ["--trl", "loss_type=grpo"],
        "--trl loss_type can't be 'grpo'. Known: nll, dft",
    ),
    "a TRL field": (
        "rlvr",
        ["--trl", "lerning_rate=1"],
        "no field 'lerning_rate'. Did you mean learning_rate?",
    ),
    "a field of GRPO": (
        "sft",
        ["--trl", "num_iterations=2"],
        "SFTConfig of TRL has no field 'num_iterations'",
    ),
    "a kind": (
        "rlvr",
        ["--trl", "learning_rate=fast"],
        "--trl learning_rate must be float, not 'fast'",
    ),
    "NaN": (
        "rlvr",
        ["--trl", "learning_rate=1e999"],
        "--trl learning_rate must be a number from 0 on, not inf",
    ),
    "below 0": ("rlvr", ["--trl", "beta=-1"], "--trl beta must be a number from 0 on"),
    "num_iterations=0": (
        "rlvr",
        ["--trl", "num_iterations=0"],
        "--trl num_iterations must be a number from 1 on",
    ),
    "a truth": ("rlvr", ["--trl", "bf16=maybe"], "--trl bf16 must be"),
    "an optimiser": (
        "sft",
        ["--trl", "optim=adamm"],
        "TRL refuses these settings: adamm is not a valid OptimizerNames",
    ),
    "a schedule": (
        "sft",
        ["--trl", "lr_scheduler_type=round"],
        "TRL refuses these settings: round",
    ),
    "a logger": ("sft", ["--trl", "report_to=abacus"], "TRL refuses these settings: abacus"),
    "a batch": (
        "rlvr",
        ["--trl", "per_device_train_batch_size=3"],
        "TRL refuses these settings: generation_batch_size",
    ),
    "a window": (
        "rlvr",
        ["--set", "save_steps=1", "--trl", "num_iterations=2"],
        "multiple of the generation window",
    ),
    "one generation": (
        "rlvr",
        ["--trl", "num_generations=1"],
        "--trl num_generations must be a number from 2 on",
    ),
    "credit": (
        "sg_rlvr_objects",
        ["--trl", "scale_rewards=batch"],
        "credit 'object' compares rewards within groups",
    ),
    "vllm": ("rlvr", ["--vllm", "colocate"], "vllm"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_that_cannot_be_are_refused_before_a_step(
    data: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    method, flags, said = SETTINGS[kind]
    found = refusal(capsys, train_on(NANO, data, tmp_path / "out", *flags, method=method))
    assert said in found
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------- what is not finite


class Burst:
    """Breaks one number at one step: the loss, the gradient, or a weight after the step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, what: str, step: int) -> None:
        from transformers import Trainer

        from spacer_utils.training.grpo import VideoGRPOTrainer
        from spacer_utils.training.sft import VideoSFTTrainer

        def there(trainer: Any) -> bool:
            return bool(trainer.state.global_step == step - 1)

        def patched(cls: Any) -> None:
            compute = cls.compute_loss

            def loss(self: Any, *args: Any, **kwargs: Any) -> Any:
                found = compute(self, *args, **kwargs)
                return found * float("nan") if there(self) else found

            monkeypatch.setattr(cls, "compute_loss", loss)

        if what == "loss":
            patched(VideoSFTTrainer)
            patched(VideoGRPOTrainer)
        elif what == "gradient":
            clip = Trainer._clip_grad_norm

            def norm(self: Any, model: Any) -> Any:
                if there(self):
                    next(p for p in model.parameters() if p.grad is not None).grad[0] = float("inf")
                return clip(self, model)

            monkeypatch.setattr(Trainer, "_clip_grad_norm", norm)
        else:
            update = torch.optim.AdamW.step
            count = [0]

            def spoilt(self: Any, *args: Any, **kwargs: Any) -> Any:
                found = update(self, *args, **kwargs)
                count[0] += 1
                if count[0] == step:
                    with torch.no_grad():
                        self.param_groups[0]["params"][0].view(-1)[0] = float("nan")
                return found

            monkeypatch.setattr(torch.optim.AdamW, "step", spoilt)


def saved_weights(folder: Path) -> list[Any]:
    from safetensors.torch import load_file

    return [tensor for path in folder.rglob("*.safetensors") for tensor in load_file(path).values()]


@pytest.mark.parametrize(
    ("method", "tuning", "what"),
    [
        ("sft", "lora", "loss"),
        ("sft", "full", "gradient"),
        ("sft", "full", "weight"),
        ("rlvr", "lora", "gradient"),
        ("rlvr", "full", "loss"),
        ("rlvr", "lora", "weight"),
    ],
)
def test_a_number_that_is_not_finite_ends_the_run_there(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    tuning: str,
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Step 3 breaks: step 2 stays saved, nothing later is written, and the run goes on from there
    when the cause is gone."""
    from spacer_utils.core.files import read_jsonl
    from spacer_utils.training import checkpoints

    flags = [
        "--tuning",
        tuning,
        "--set",
        "sft_steps=4",
        "--set",
        "rl_steps=4",
        "--set",
        "save_steps=1",
    ]
    with monkeypatch.context() as broken:
        Burst(broken, what, 3)
        found = refusal(capsys, train_on(NANO, data, tmp_path, *flags, method=method))
    assert f"{method}-{tuning}-s0 stopped at step 3: {what}" in found
    assert "checkpoint-2 is the last good checkpoint" in found
    folder = tmp_path / f"{method}-{tuning}-s0"
    assert not (folder / "model").exists()
    assert not (folder / "run.json").exists()
    last = checkpoints.latest(folder)
    assert last is not None
    assert last.name == "checkpoint-2"
    assert [row["step"] for row in read_jsonl(folder / "metrics.jsonl")] == [1, 2]
    assert all(torch.isfinite(t).all() for t in saved_weights(folder))
    if (method, tuning) == ("sft", "full"):
        assert train_on(NANO, data, tmp_path, *flags, method=method) == 0
        assert all(torch.isfinite(t).all() for t in saved_weights(folder))


def test_a_learning_rate_that_blows_up_leaves_no_result(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = refusal(
        capsys,
        train_on(
            NANO, data, tmp_path, "--tuning", "full", "--set", "sft_lr=1e38", "--set", "sft_steps=3"
        ),
    )
    assert re.search(r"stopped at step \d: .* is not finite", found), found
    assert not list(tmp_path.rglob("model"))


def test_the_base_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the step whose loss breaks, with the states of before."""
    from dataclasses import replace

    from spacer_utils.core.types import WorkbookError
    from spacer_utils.nano_base import nano
    from spacer_utils.nano_base import stages as base

    build, read = nano.build, base.text_step
    monkeypatch.setattr(nano, "build", lambda out, *, seed=0: build(out, seed=seed, size="tiny"))
    calls = [0]

    def step(model: Any, rows: Any) -> Any:
        loss, found = read(model, rows)
        calls[0] += 1
        return (loss * float("nan") if calls[0] == 2 else loss), found

    monkeypatch.setattr(base, "text_step", step)
    recipe = replace(base.SHORT, copy_steps=3, copied_maps=2, save_steps=1)
    with pytest.raises(
        WorkbookError, match=r"step 2 of stage copy: the loss \(nan\) is not finite"
    ):
        base.train(tmp_path, profiles.get("smoke"), recipe)
    assert torch.load(tmp_path / "copy.pt", weights_only=True)["step"] == 1


def test_a_checkpoint_that_is_not_whole_or_not_finite_is_not_gone_on_from(copy: Path) -> None:
    from spacer_utils.core.types import WorkbookError
    from spacer_utils.training import checkpoints, models

    model = models.load(NANO, torch.float32)
    checkpoints.restore(model, copy)
    lack(copy, ".layers.3.")
    with pytest.raises(WorkbookError, match="11 tensors are missing"):
        checkpoints.restore(model, copy)
    shutil.copy(NANO / "model.safetensors", copy)
    spoil(copy, float("nan"))
    with pytest.raises(WorkbookError, match="NaN or infinity in 1 tensors"):
        checkpoints.restore(model, copy)


def test_an_adapter_is_merged_whole_or_not_at_all(tmp_path: Path) -> None:
    """peft itself only warns of keys that an adapter lacks."""
    from kit.training_kit import lora
    from peft import get_peft_model
    from safetensors.torch import load_file, save_file

    from spacer_utils.core.types import WorkbookError
    from spacer_utils.training import checkpoints, models

    adapted = get_peft_model(models.load(NANO, torch.float32), lora())
    adapted.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(path)
    first = sorted(whole)[0]
    processor = models.load_processor(NANO)
    for broken, said in (
        ({k: v for k, v in whole.items() if k != first}, "1 parameters do not match"),
        (
            {**whole, "base_model.model.probe.lora_A.weight": torch.zeros(1)},
            "1 parameters do not match",
        ),
        ({**whole, first: whole[first][:1].clone()}, "1 parameters do not match"),
        ({**whole, first: whole[first] * float("inf")}, "NaN or infinity"),
    ):
        save_file(broken, path)
        with pytest.raises(WorkbookError, match=said):
            checkpoints.merge_adapter(
                str(NANO), tmp_path / "adapter", tmp_path / "out", processor, torch.float32
            )
        assert not (tmp_path / "out").exists()
    save_file(whole, path)
    checkpoints.merge_adapter(
        str(NANO), tmp_path / "adapter", tmp_path / "out", processor, torch.float32
    )
    merged, base = models.load(tmp_path / "out", torch.float32), models.load(NANO, torch.float32)
    assert all(torch.allclose(a, b) for a, b in zip(merged.parameters(), base.parameters())), (
        "a fresh adapter adds nothing"
    )


def test_scores_that_are_not_finite_are_no_answer(data: Path, tmp_path: Path) -> None:
    """Finite weights that overflow: the most likely of NaN scores would be word 0."""
    from spacer_utils.core.rows import load
    from spacer_utils.core.types import WorkbookError

    engine = evaluate.Answerer(str(NANO), profiles.get("smoke").frames, device="cpu")
    with torch.no_grad():
        engine.model.model.language_model.norm.weight.fill_(3e38)
    items = evaluate.items_from_samples(load(data / "train.jsonl")[:1], data, "compact", False)
    with pytest.raises(WorkbookError, match="scores of its word number 1 are not finite"):
        engine.answer(items, 4)


# ----------------------------------------------------------------------------------- other commands


def test_a_benchmark_without_any_clip_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from spacer_utils.benchmarks.scoring.load import synthetic

    source = synthetic("vsi_bench", tmp_path / "data")
    for path in source.rglob("*.mp4"):
        path.unlink()
    code = main(
        [
            "bench",
            "--model",
            str(NANO),
            "--names",
            "vsi_bench",
            "--published",
            str(source),
            "--profile",
            "smoke",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    found = refusal(capsys, code, expected=1)
    assert re.search(r"no row of vsi_bench has its media: .*\.mp4 is missing", found), found
    assert not list((tmp_path / "out").rglob("report.json"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--names", "vsi"], "unknown benchmark 'vsi'"),
        (["--sampling", "all"], "unknown frame sampling 'all'"),
        (["--published", "nowhere"], "nowhere"),
    ],
)
def test_scoring_refuses_settings_in_one_line(
    tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [] if "--names" in flags else ["--names", "vsi_bench"]
    code = main(
        [
            "bench",
            "--model",
            str(NANO),
            *names,
            "--profile",
            "smoke",
            "--out",
            str(tmp_path / "out"),
            *flags,
        ]
    )
    assert said in refusal(capsys, code)


def test_evaluation_names_a_split_that_is_not_there(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            "evaluate",
            "--profile",
            "smoke",
            "--model",
            str(NANO),
            "--data",
            str(data),
            "--split",
            "dev",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert "dev.jsonl" in refusal(capsys, code)


def test_real_command_lines_end_with_2_and_one_line(copy: Path, data: Path, tmp_path: Path) -> None:
    lack(copy, ".layers.3.")
    line = [
        sys.executable,
        "-m",
        "spacer_utils",
        "train",
        "--profile",
        "smoke",
        "--method",
        "sft",
        "--data",
        str(data),
        "--model",
        str(copy),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        line,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith(f"error: {copy} does not fit its config.json: 11 tensors are missing")
    )


def test_weights_are_read_in_one_place() -> None:
    """Elsewhere nobody would look at what transformers and peft report of a checkpoint."""
    loaders = re.compile(r"(?:AutoModel\w*|AutoProcessor|type\(model\)|PeftModel)\.from_pretrained")
    found = [
        path.name
        for path in sorted((PROJECT / "spacer_utils").rglob("*.py"))
        if loaders.search(path.read_text())
    ]
    assert found == ["models.py"]


def test_the_known_choices_are_those_of_trl() -> None:
    """TRL refuses an unknown one in the middle of a step, so they are listed here."""
    import inspect

    from trl import GRPOTrainer, SFTTrainer

    from spacer_utils.training.settings import CHOICES

    source = {
        "GRPOConfig": inspect.getsource(GRPOTrainer),
        "SFTConfig": inspect.getsource(SFTTrainer),
    }
    for kind, fields in CHOICES.items():
        for name, choices in fields.items():
            single = re.findall(rf"{name} [!=]= \"(\w+)\"", source[kind])
            several = re.findall(rf"{name} (?:not )?in [\[(]([^\])]*)", source[kind])
            named = {*single, *re.findall(r"\"(\w+)\"", " ".join(several))}
            assert named <= set(choices), (name, named)
            if name == "loss_type":
                assert named == set(choices) - ({"nll"} - named)
