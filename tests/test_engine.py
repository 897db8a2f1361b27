"""Rollouts by vLLM through TRL, on a stand-in for vLLM that runs transformers: what is sent,
checked, reset and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.training_kit import FAMILIES, MIXED, Clips, grpo, inputs, tiny_model

torch = pytest.importorskip("torch")
from kit.fake_engine import FakeClient, FakeLLM, install  # noqa: E402

from spacer_utils.__main__ import main  # noqa: E402
from spacer_utils.core import profiles  # noqa: E402
from spacer_utils.core.types import WorkbookError  # noqa: E402
from spacer_utils.training import (  # noqa: E402
    launch,
    loop,
    plan,
    vllm_rollouts,
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {family: tiny_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture
def patch() -> Any:
    with pytest.MonkeyPatch.context() as found:
        yield found


def greedy(model: str, out: Path, mode: str = "", **more: Any) -> Any:
    chosen = {"use_vllm": True, "vllm_mode": mode} if mode else {}
    return grpo(model, out, Clips(), top_k=1, **{**chosen, **more})


ONE_CLIP = (MIXED[0], MIXED[1], MIXED[3])
"""What a server can be asked: at most one clip per prompt."""


@pytest.mark.parametrize(
    ("family", "mode"),
    [("qwen3_vl", "colocate"), ("qwen2_5_vl", "colocate"), ("qwen2_5_vl", "server")],
)
def test_rollouts_equal_those_of_transformers(
    models: dict[str, str], tmp_path: Path, patch: Any, family: str, mode: str
) -> None:
    rows = MIXED if mode == "colocate" else ONE_CLIP
    plain = greedy(models[family], tmp_path / "a", rows=rows)
    expected = plain._generate_and_score_completions(inputs(plain))
    llm = FakeLLM(models[family])
    client = FakeClient(llm)
    install(patch, llm if mode == "colocate" else client)
    trainer = greedy(models[family], tmp_path / "b", mode, rows=rows)
    found = trainer._generate_and_score_completions(inputs(trainer))
    for name in ("prompt_ids", "completion_ids", "completion_mask"):
        assert torch.equal(found[name], expected[name]), name
    assert torch.allclose(found["advantages"], expected["advantages"])
    assert trainer._metrics["train"]["sampling/sampling_logp_difference/max"][-1] < 1e-4
    if mode == "server":
        assert client.asked == [len(rows)]  # once per group


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_sent_unexpanded_and_frames_resized(
    models: dict[str, str], tmp_path: Path, patch: Any, family: str
) -> None:
    llm = FakeLLM(models[family])
    install(patch, llm)
    trainer = greedy(models[family], tmp_path, "colocate")
    trainer.encoder.frames = profiles.Frames(num_frames=4, size=0, max_pixels=28 * 28)
    trainer._generate_and_score_completions(inputs(trainer))
    for sent, (_, media) in zip(llm.seen[::2], MIXED):
        kinds = [kind for kind, _ in media]
        for kind in ("video", "image"):
            token = getattr(trainer.encoder.processor, f"{kind}_token_id")
            given = sent.get("multi_modal_data", {}).get(kind, [])
            assert sent["prompt_token_ids"].count(token) == kinds.count(kind) == len(given)
    frames, about = llm.seen[0]["multi_modal_data"]["video"][0]
    grid = trainer._batches["train"].media[0].grid.tolist()
    patch_size = trainer.encoder.processor.video_processor.patch_size
    assert list(frames.shape[1:3]) == [grid[1] * patch_size, grid[2] * patch_size] != [56, 56]
    assert about["fps"] == 2.0
    ours = trainer._batches["train"].media[0].values
    theirs = llm.inputs(llm.seen[0])["pixel_values_videos"]
    assert torch.allclose(
        ours, theirs, atol=1e-6
    )  # resized once: the engine's processor finds nothing to do


def test_an_engine_that_expands_twice_is_refused(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    install(patch, FakeLLM(models["qwen2_5_vl"], twice=True))
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "colocate")
    with pytest.raises(
        WorkbookError,
        match=r"other ids than the trainer scores: \d+ instead of \d+, different from token",
    ):
        trainer._generate_and_score_completions(inputs(trainer))


def test_a_server_that_makes_other_tokens_of_a_clip_is_refused(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    install(patch, FakeClient(FakeLLM(models["qwen2_5_vl"]), longer=1))
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "server", rows=ONE_CLIP)
    with pytest.raises(WorkbookError, match=r"tokens of the videos"):
        trainer._generate_and_score_completions(inputs(trainer))
    install(patch, FakeClient(FakeLLM(models["qwen2_5_vl"])))
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "server")
    with pytest.raises(WorkbookError, match="one clip per prompt"):
        trainer._generate_and_score_completions(inputs(trainer))
    install(patch, FakeClient(FakeLLM(models["qwen3_vl"])))
    trainer = greedy(models["qwen3_vl"], tmp_path, "server", rows=ONE_CLIP)
    with pytest.raises(
        WorkbookError, match="for Qwen3-VL"
    ):  # a server's features can't be split by the times between frames
        trainer._generate_and_score_completions(inputs(trainer))


def test_an_engine_that_loses_the_time_of_a_clip_is_refused(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    """Ids can't show it in Qwen2.5-VL; log-probabilities do."""
    install(patch, FakeLLM(models["qwen2_5_vl"], clock=False))
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "colocate", rows=MIXED[:1])
    with pytest.raises(WorkbookError, match="nats per token"):
        trainer._generate_and_score_completions(inputs(trainer))


@pytest.mark.parametrize("mode", ["colocate", "server"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_caches_are_reset_after_every_sync(
    models: dict[str, str], tmp_path: Path, patch: Any, tuning: str, mode: str
) -> None:
    """A trained tower's features are forgotten too; with kept ones the second generation would not
    see the new weights."""
    llm = FakeLLM(models["qwen2_5_vl"])
    install(patch, llm if mode == "colocate" else FakeClient(llm))
    trainer = greedy(
        models["qwen2_5_vl"],
        tmp_path,
        mode,
        tuning=tuning,
        max_steps=3,
        learning_rate=1e-2,
        rows=ONE_CLIP,
    )
    trainer.train()
    first = ["forget"] if mode == "server" else []
    assert llm.calls == first + ["sync", "reset", *(["forget"] if tuning == "full" else [])] * 3
    assert trainer.state.log_history[-2]["sampling/sampling_logp_difference/max"] < 1e-3


def test_a_server_forgets_what_an_earlier_training_left(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    """A frozen tower's features are kept from step to step, but not another tower's."""
    install(patch, FakeClient(FakeLLM(models["qwen2_5_vl"])))
    common = {"rows": ONE_CLIP, "max_steps": 2, "learning_rate": 1e-1}
    greedy(models["qwen2_5_vl"], tmp_path / "a", "server", **common).train()
    later = greedy(models["qwen2_5_vl"], tmp_path / "b", "server", tuning="lora", **common)
    later._generate_and_score_completions(inputs(later))
    assert later._metrics["train"]["sampling/sampling_logp_difference/max"][-1] < 1e-3


def test_an_engine_that_cannot_forget_needs_a_frozen_tower(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    llm = FakeLLM(models["qwen3_vl"])
    del llm.llm_engine.engine_core
    install(patch, llm)
    with pytest.raises(WorkbookError, match="frozen"):
        greedy(models["qwen3_vl"], tmp_path / "a", "colocate").vllm_generation.sync_weights()
    greedy(
        models["qwen3_vl"], tmp_path / "b", "colocate", tuning="lora"
    ).vllm_generation.sync_weights()


def test_no_vision_token_is_sampled(models: dict[str, str], tmp_path: Path, patch: Any) -> None:
    from spacer_utils.training.encoder import vision_tokens

    llm = FakeLLM(models["qwen3_vl"])
    install(patch, llm)
    trainer = greedy(models["qwen3_vl"], tmp_path, "colocate", rows=MIXED[1:2])
    forbidden = vision_tokens(trainer.encoder.processor)
    assert set(trainer.vllm_generation.generation_kwargs["logit_bias"]) == set(forbidden)


def test_versions(models: dict[str, str], tmp_path: Path, patch: Any) -> None:
    for known in ("0.22.0", "0.24.0+cu129", "0.31.0"):
        vllm_rollouts.check(known)
    for unknown in ("0.21.9", "0.31.1", "1.0.0"):
        with pytest.raises(WorkbookError, match=f"{unknown} is unproven"):
            vllm_rollouts.check(unknown)
    with pytest.raises(WorkbookError, match="not installed"):
        vllm_rollouts.check()
    install(patch, FakeClient(FakeLLM(models["qwen3_vl"]), version="0.40.0"))
    with pytest.raises(WorkbookError, match=r"0\.40\.0 is unproven"):
        greedy(models["qwen3_vl"], tmp_path, "server")


def test_proven_versions_are_those_of_trl() -> None:
    import inspect

    from trl.import_utils import is_vllm_available

    source = inspect.getsource(is_vllm_available)
    assert all(f'Version("{v}")' in source for v in vllm_rollouts.PROVEN)


def test_trl_still_has_what_the_stand_in_relies_on() -> None:
    import inspect

    from trl import GRPOTrainer
    from trl.generation.vllm_client import VLLMClient
    from trl.generation.vllm_generation import VLLMGeneration

    source = inspect.getsource(VLLMGeneration.generate)
    assert (
        "self.llm.generate(vllm_prompts, sampling_params=sampling_params, use_tqdm=False)" in source
    )
    assert "all_prompts[::num_generations]" in source
    sync = inspect.getsource(VLLMGeneration.sync_weights)
    assert "self.llm.reset_prefix_cache()" in sync
    assert "self.vllm_client.reset_prefix_cache()" in sync
    assert (
        "encoder" not in sync
    )  # a TRL that resets vision features itself makes ``Sighted.reset_vision`` superfluous
    assert list(inspect.signature(VLLMClient.generate).parameters)[1:3] == ["prompts", "features"]
    assert "sampling/sampling_logp_difference/mean" in inspect.getsource(
        GRPOTrainer._generate_and_score_completions
    )


def planned(model: str, out: Path, **options: Any) -> plan.Plan:
    profile = profiles.get("smoke")
    return plan.Plan(profile, "rlvr", "full", 0, out, out / "out", model, options)


def test_the_engine_gets_no_more_tokens_than_the_model_has_positions(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    import json
    import shutil

    folder = Path(shutil.copytree(models["qwen2_5_vl"], tmp_path / "model"))
    about = json.loads((folder / "config.json").read_text())
    found = {}
    for positions in (4096, 128_000):
        about["text_config"]["max_position_embeddings"] = positions
        (folder / "config.json").write_text(json.dumps(about))
        found[positions] = loop.arguments(
            planned(str(folder), tmp_path, use_vllm=True)
        ).vllm_max_model_length
    assert found == {4096: 4096, 128_000: vllm_rollouts.LONGEST}
    chosen = planned(str(folder), tmp_path, use_vllm=True, vllm_max_model_length=512)
    assert loop.arguments(chosen).vllm_max_model_length == 512


@pytest.mark.parametrize("cut", [{"top_p": 0.95}, {"top_k": 50}, {"min_p": 0.1}])
def test_ratios_of_whole_completions_are_refused_where_sampling_leaves_tokens_out(
    models: dict[str, str], tmp_path: Path, cut: dict[str, float]
) -> None:
    """The ratio of a completion shrinks with every token, and the gradient with it."""
    model, whole = models["qwen3_vl"], {"vllm_importance_sampling_mode": "sequence_mask"}
    usual = loop.arguments(planned(model, tmp_path, use_vllm=True, **cut))
    assert usual.vllm_importance_sampling_mode == "token_truncate"
    with pytest.raises(WorkbookError, match=rf"{next(iter(cut))}=.* towards nothing"):
        loop.arguments(planned(model, tmp_path, use_vllm=True, **cut, **whole))
    loop.arguments(planned(model, tmp_path, **cut, **whole))  # without vLLM there are no ratios
    loop.arguments(planned(model, tmp_path, use_vllm=True, **whole))
    off = {"vllm_importance_sampling_correction": False}
    loop.arguments(planned(model, tmp_path, use_vllm=True, **cut, **whole, **off))


def test_gradients_that_top_p_would_scale_away_are_seen(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    mild = {"top_p": 0.95, "rows": ONE_CLIP, "max_completion_length": 48}
    install(patch, FakeLLM(models["qwen2_5_vl"]))
    mode = "vllm_importance_sampling_mode"
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "colocate", **mild, **{mode: "sequence_mask"})
    with pytest.raises(WorkbookError, match="gradients would be scaled"):
        trainer._generate_and_score_completions(inputs(trainer))
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "colocate", **mild, **{mode: "token_truncate"})
    trainer._generate_and_score_completions(inputs(trainer))
    ratios = {
        name: trainer._metrics["train"][f"sampling/importance_sampling_ratio/{name}"][-1]
        for name in ("min", "mean", "max")
    }
    assert 0.95 - 1e-4 < ratios["min"] < ratios["mean"] < ratios["max"] < 1 + 1e-4, ratios


def test_what_a_server_says_reaches_the_reader(
    models: dict[str, str], tmp_path: Path, patch: Any
) -> None:
    client = FakeClient(FakeLLM(models["qwen2_5_vl"]), refuses="--trust-request-mm-kwargs\nis off")
    install(patch, client)
    trainer = greedy(models["qwen2_5_vl"], tmp_path, "server", rows=ONE_CLIP)
    with pytest.raises(WorkbookError, match=r"\(400: --trust-request-mm-kwargs is off\)"):
        trainer._generate_and_score_completions(inputs(trainer))
    client.gone = True
    with pytest.raises(WorkbookError, match=r"does not answer: Connection refused.*same command"):
        trainer._generate_and_score_completions(inputs(trainer))
    with pytest.raises(WorkbookError, match="does not answer: Connection refused"):
        trainer.vllm_generation.sync_weights()


def test_no_server_is_one_line(models: dict[str, str], tmp_path: Path, patch: Any) -> None:
    """TRL's client itself, without vLLM and at a port where nothing listens."""
    import socket

    from trl.generation import vllm_client, vllm_generation

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for module in (vllm_client, vllm_generation):
        patch.setattr(module, "is_vllm_available", lambda **_: True)
    patch.setattr(vllm_rollouts.metadata, "version", lambda name: "0.31.0")
    from kit.training_kit import write_data

    server = {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_host": "127.0.0.1",
        "vllm_server_port": port,
        "vllm_server_timeout": 0.0,
    }
    found = planned(models["qwen3_vl"], tmp_path, **server)
    write_data(tmp_path, clips=1)
    with pytest.raises(WorkbookError, match=f"does not answer: .*127.0.0.1:{port}"):
        loop.build(found)


def test_the_server_script_says_what_the_client_needs(tmp_path: Path, patch: Any) -> None:
    """It is run with a ``vllm`` that prints what it gets."""
    import json
    import os
    import subprocess
    import sys

    about = {"model_type": "qwen2_5_vl", "text_config": {"max_position_embeddings": 4096}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    for name, line in (("vllm", 'echo "$@"'), ("python", f'exec "{sys.executable}" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    script = profiles.PROJECT / "spacer_utils/assets/launch/vllm_server.sh"
    got = subprocess.run(
        ["sh", str(script), str(tmp_path), "2"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert got.startswith(f"serve {tmp_path} --tensor-parallel-size 2 --max-model-len 4096 ")
    for flag in ("--enable-scale-out", "--trust-request-mm-kwargs", "processed_logprobs"):
        assert flag in got


def test_the_switch(tmp_path: Path, patch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.vllm_options("off") == {}
    with pytest.raises(WorkbookError, match="unknown vllm mode"):
        plan.vllm_options("sglang")
    patch.setenv("SPACER_VLLM", "colocate")
    assert launch.command(profiles.get("gpu-full"), "sg_rlvr", "full", 0)[-2:] == [
        "--vllm",
        "colocate",
    ]
    assert "--vllm" not in launch.command(profiles.get("gpu-full"), "sft", "full", 0)
    alone = launch.command(profiles.get("gpu-lora"), "sg_rlvr", "lora", 0)
    assert alone[1:4] == ["-m", "spacer_utils", "train"]
    followed: list[list[str]] = []
    patch.setattr(launch, "follow", lambda line, _: followed.append(line))
    launch.run(profiles.get("smoke"), "rlvr", "lora", 0)  # a process of its own, not this kernel
    assert followed[0][-2:] == ["--vllm", "colocate"]
    from kit.training_kit import write_data

    data = str(write_data(tmp_path / "data", clips=1))
    common = [
        "--profile",
        "smoke",
        "--tuning",
        "lora",
        "--data",
        data,
        "--out",
        str(tmp_path / "out"),
        "--vllm",
        "colocate",
    ]
    assert main(["train", *common, "--method", "rlvr"]) == 2
    assert "vllm 0.22.0 to 0.31.0, and it is not installed" in capsys.readouterr().err
    assert main(["train", *common, "--method", "sft"]) == 2
    assert "makes no rollouts" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError("refused"), Exception("Request failed: 500, out of memory")]
)
def test_what_a_servers_client_raises_is_one_line(error: Exception) -> None:
    with (
        pytest.raises(WorkbookError, match="the vllm server at http://here does not answer"),
        vllm_rollouts.answering("http://here"),
    ):
        raise error


def test_a_fault_of_our_own_is_not_laid_on_the_server() -> None:
    with pytest.raises(KeyError, match="features"), vllm_rollouts.answering("http://here"):
        raise KeyError("features")
