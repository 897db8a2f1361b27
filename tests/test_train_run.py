"""Runs as a user starts them: they resume exactly, log every row once, and leave a plain
checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.kill_and_resume import prove, traces
from kit.training_kit import tiny_model, write_data

from spacer_utils.__main__ import main
from spacer_utils.analysis import training_logs
from spacer_utils.core import folders, profiles
from spacer_utils.core.files import read_jsonl, sha256
from spacer_utils.core.types import BadRow, WorkbookError
from spacer_utils.training import plan as train
from spacer_utils.training import train as train_

torch = pytest.importorskip("torch")
PROFILE = profiles.get("smoke").with_overrides(
    completion_tokens=12,
    size=56,
    rl_steps=4,
    sft_steps=4,
    prompts_per_step=2,
    group_size=4,
    sft_batch=3,
    save_steps=1,
    rl_lr_full=1e-3,
    rl_lr_lora=1e-2,
    lora_rank=4,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("base"), "qwen3_vl")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards that the babble of an untrained model earns: without them no weight would move."""
    from spacer_utils import rewards

    def function(name: str) -> Any:
        def value(completions: Any, **_: Any) -> list[float]:
            return [completion[0]["content"].count(name[-1]) / 4 for completion in completions]

        value.__name__ = name
        return value

    monkeypatch.setattr(
        rewards,
        "trl_reward_functions",
        lambda terms, *_: ([function(t) for t in terms], list(terms.values())),
    )


def go(
    method: str, tuning: str, model: str, data: Path, out: Path, profile: Any = PROFILE, **more: Any
) -> Path:
    torch.set_num_threads(1)
    return train_.run(profile, method, tuning, 0, data, out, model=model, **more)  # type: ignore[arg-type]


class Killed(Exception):
    pass


def stop_at(step: int) -> train.OnStep:
    def progress(now: int, steps: int, metrics: Any) -> None:
        if now == step:
            raise Killed

    return progress


RESUMED = [
    ("sg_rlvr_calibrated", "lora", "qwen3_vl"),
    ("t_grpo", "full", "qwen2_5_vl"),
    ("sft_map", "full", "qwen2_5_vl"),
    ("sft", "lora", "qwen3_vl"),
]


@pytest.mark.parametrize(("method", "tuning", "family"), RESUMED)
def test_a_killed_run_goes_on_exactly(
    data: Path, tmp_path: Path, method: str, tuning: str, family: str
) -> None:
    """The stock trainer does not restore a full Qwen2.5-VL: its saved names differ from the
    module's, and it only warns."""
    model = tiny_model(tmp_path / "base", family)
    whole = traces(go(method, tuning, model, data, tmp_path / "a"))
    assert len(whole[0]) == 4
    assert whole[0][-1]["grad_norm"] > 0
    with pytest.raises(Killed):  # step 3 is logged, but not saved
        go(method, tuning, model, data, tmp_path / "b", progress=stop_at(3))
    folder = tmp_path / "b" / f"{method}-{tuning}-s0"
    assert not (folder / "run.json").exists()
    steps: list[int] = []
    go(method, tuning, model, data, tmp_path / "b", progress=lambda step, *_: steps.append(step))
    assert steps == [3, 4]
    assert traces(folder) == whole


@pytest.mark.parametrize("method", ["sft", "rlvr"])
def test_one_gpu_is_used_where_several_are_visible(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """transformers would take all of them, which TRL refuses."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    profile = PROFILE.with_overrides(sft_steps=1, rl_steps=1)
    folder = go(method, "full", model, data, tmp_path, profile, options={"use_cpu": False})
    assert (folder / "run.json").exists()


@pytest.mark.parametrize(("method", "tuning", "family"), RESUMED[1:3])
def test_a_file_ends_the_run_at_the_step_and_the_same_command_goes_on(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    tuning: str,
    family: str,
) -> None:
    """SLURM's limit: torchrun kills its processes 30 seconds after a signal, in the middle of a
    step."""
    model = tiny_model(tmp_path / "base", family)
    profile = PROFILE.with_overrides(save_steps=50)
    whole = traces(go(method, tuning, model, data, tmp_path / "a", profile))
    stop = tmp_path / "stop"
    monkeypatch.setenv("SPACER_STOP", str(stop))
    from spacer_utils.training.checkpoints import Interrupted

    def told(step: int, *_: Any) -> None:
        if step == 1:
            stop.touch()  # step 1 is logged at its end, so step 1 is the last

    folder = tmp_path / "b" / f"{method}-{tuning}-s0"
    with pytest.raises(Interrupted, match=rf"stopped at step [12] of 4.* Delete {stop}, then run"):
        go(method, tuning, model, data, tmp_path / "b", profile, progress=told)
    assert len(list(folder.glob("checkpoint-*/complete.json"))) == 1
    stop.unlink()
    go(method, tuning, model, data, tmp_path / "b", profile)
    assert traces(folder) == whole


def test_the_slurm_script_stops_in_time_and_queues_again(tmp_path: Path) -> None:
    """With stand-ins for ``srun`` and ``scontrol``; the script gets the signal, its step does
    not."""
    for name, lines in {
        "srun": 'trap "exit 9" USR1; n=0; touch started\n'
        'until [ -e "$SPACER_STOP" ] || [ $n -gt 300 ]; do sleep 0.1; n=$((n + 1)); done\n'
        "touch saved; exit 1",
        "scontrol": 'echo "$@" >> scontrol.log; echo node1',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    script = profiles.PROJECT / "spacer_utils/assets/launch/slurm.sh"
    paths = f"{tmp_path}:{os.environ['PATH']}"
    job = subprocess.Popen(
        ["sh", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": paths, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]"},
    )
    while not (tmp_path / "started").exists():
        assert job.poll() is None
    job.send_signal(signal.SIGUSR1)
    assert job.wait(60) == 0
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "scontrol.log").read_text().splitlines()[-1] == "requeue 7"
    assert not list(tmp_path.glob("stop-*"))
    assert "#SBATCH --signal=B:USR1@" in script.read_text()


def test_the_log_serves_the_notebooks(model: str, data: Path, tmp_path: Path) -> None:
    folder = go("sg_rlvr", "lora", model, data, tmp_path)
    rows, metrics = training_logs.rollouts(folder), training_logs.metrics(folder)
    assert [m["step"] for m in metrics] == [1, 2, 3, 4]
    assert len(rows) == 4 * 2 * 4
    assert set(rows[0]["terms"]) == {"accuracy", "format", "map"}
    assert all(len(g) == 4 for g in training_logs.groups(rows).values())
    assert training_logs.largest_group_sum(rows) < 1e-5
    assert training_logs.finite(metrics)
    expected = """reward kl entropy frac_reward_zero_std clip_ratio/region_mean truncated vision_tokens map/parsed
        tokens_per_second seconds/decode seconds/generate seconds/score seconds/reward seconds/update peak_memory_mb
        rewards/map/mean completions/mean_length"""
    for name in [*expected.split(), "format/well formed"]:
        assert name in metrics[0], name
    assert any(k.startswith("reward/object_count") for m in metrics for k in m)
    training_logs.failures({"run": rows})
    assert training_logs.seconds_per_stage({"run": metrics})[0]["generate"] > 0
    training_logs.moved(training_logs.changes_by_type({"run": rows}))
    training_logs.one_group(rows)


@pytest.mark.parametrize(
    ("method", "gate"),
    [("sg_rlvr", "correct"), ("sg_rlvr_calibrated", "correct"), ("sg_rlvr_dense", "format")],
)
def test_maps_stand_behind_the_gate_of_the_method(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, gate: str
) -> None:
    from spacer_utils import rewards

    def asked(_: Any, gate: str, *__: Any) -> Any:
        raise Killed(gate)

    monkeypatch.setattr(rewards, "trl_reward_functions", asked)
    with pytest.raises(Killed, match=f"^{gate}$"):
        go(method, "full", model, data, tmp_path)


@pytest.mark.parametrize(
    ("method", "chosen", "credit"),
    [
        ("sg_rlvr_dense", "method", "completion"),
        ("sg_rlvr_objects", "method", "object"),
        ("sg_rlvr_dense", "parts", "parts"),
        ("sg_rlvr_objects", "completion", "completion"),
    ],
)
def test_tokens_are_credited_as_the_method_says(
    model: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    chosen: str,
    credit: str,
) -> None:
    from spacer_utils.training import loop

    def asked(*_: Any, credit_by: str, **__: Any) -> Any:
        raise Killed(credit_by)

    monkeypatch.setattr(loop, "VideoGRPOTrainer", asked)
    with pytest.raises(Killed, match=f"^{credit}$"):
        go(method, "full", model, data, tmp_path, PROFILE.with_overrides(credit=chosen))


@pytest.mark.parametrize("method", ["sft", "rlvr"])
def test_learning_rates_rise_in_the_share_of_steps_that_the_profile_says(
    model: str, data: Path, tmp_path: Path, method: str
) -> None:
    short = PROFILE.with_overrides(
        rl_steps=8, sft_steps=8, sft_lr=1e-3, completion_tokens=4, prompts_per_step=1, sft_batch=1
    )

    def rates(warmup: float) -> list[float]:
        folder = go(
            method, "full", model, data, tmp_path / str(warmup), short.with_overrides(warmup=warmup)
        )
        return [m["learning_rate"] for m in training_logs.metrics(folder) if "learning_rate" in m]

    risen = rates(0.5)
    assert risen[:5] == pytest.approx([0.0, 2.5e-4, 5e-4, 7.5e-4, 1e-3])
    assert risen[5] < 1e-3
    assert rates(0.0)[0] == pytest.approx(1e-3)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_the_result_is_a_plain_checkpoint(
    model: str, data: Path, tmp_path: Path, tuning: str
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = go("rlvr", tuning, model, data, tmp_path)
    assert training_logs.weights_differ(folder / "model", model)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(folder / "model")
    processor: Any = AutoProcessor.from_pretrained(folder / "model")
    inputs = processor(text=["How many chairs?"], return_tensors="pt")
    assert torch.isfinite(loaded(**inputs).logits).all()
    assert not list(folder.glob("checkpoint-*"))
    assert loaded.dtype == torch.float32
    if tuning == "lora":
        from peft import PeftModel

        base: Any = AutoModelForImageTextToText.from_pretrained(model)
        adapted = PeftModel.from_pretrained(base, str(folder / "adapter"))
        assert torch.allclose(adapted(**inputs).logits, loaded(**inputs).logits, atol=1e-4)


def test_a_finished_run_is_not_repeated(model: str, data: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    folder = go("sft", "lora", model, own, tmp_path / "out")
    before = (folder / "run.json").stat().st_mtime_ns
    result = json.loads((folder / "run.json").read_text())
    assert result["outputs"]["model/model.safetensors"] == sha256(
        folder / "model" / "model.safetensors"
    )
    go("sft", "lora", model, own, tmp_path / "out")
    assert (folder / "run.json").stat().st_mtime_ns == before
    shutil.rmtree(folder / "model")
    go("sft", "lora", model, own, tmp_path / "out")
    assert (folder / "model" / "model.safetensors").exists()
    lines = (own / "train.jsonl").read_text().splitlines(keepends=True)
    (own / "train.jsonl").write_text("".join(lines[1:]))
    go("sft", "lora", model, own, tmp_path / "out", overwrite=True)
    assert json.loads((folder / "run.json").read_text())["fingerprint"] != result["fingerprint"]
    assert (
        len(read_jsonl(folder / "metrics.jsonl")) == 4
    )  # nothing of the old run is left in the log


def test_broken_clips_end_the_run_or_are_left_out_and_counted(
    model: str, data: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    clips = sorted(
        {
            json.loads(line)["path"]
            for line in (own / "train.jsonl").read_text().splitlines()
            if ".mp4" in line
        }
    )
    (own / clips[0]).write_bytes((own / clips[0]).read_bytes()[:400])
    (own / clips[1]).write_bytes(b"")
    with pytest.raises(WorkbookError, match="mp4"):
        go("sft", "lora", model, own, tmp_path / "out")
    with pytest.warns(UserWarning, match="left out: .*(can't read|cut short)") as told:
        folder = go("sft", "lora", model, own, tmp_path / "out", broken_media="drop")
    assert all(any(Path(clip).name in str(w.message) for w in told) for clip in clips[:2])
    rows = [json.loads(line) for line in (own / "train.jsonl").read_text().splitlines()]
    lost = sum(r["path"] in clips[:2] for r in rows)
    for row in read_jsonl(folder / "metrics.jsonl"):
        assert (row["dropped_media"], row["dropped_rows"]) == (2, lost)


def test_a_half_written_checkpoint_is_never_chosen(tmp_path: Path) -> None:
    from spacer_utils.training import checkpoints

    for step in (2, 10):
        with folders.Record.of(tmp_path).saving(f"checkpoint-{step}"):
            (tmp_path / f"checkpoint-{step}").mkdir()
            (tmp_path / f"checkpoint-{step}" / "weights").write_bytes(b"x" * step)
            checkpoints.mark_complete(tmp_path / f"checkpoint-{step}")
    shutil.copytree(
        tmp_path / "checkpoint-10", tmp_path / "checkpoint-12"
    )  # somebody's: of another run
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-10"
    (tmp_path / "checkpoint-10" / "weights").write_bytes(b"x" * 9)
    (tmp_path / "checkpoint-11").mkdir()
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-2"
    (tmp_path / "checkpoint-2" / "notes.txt").write_text("mine")
    checkpoints.keep_last(tmp_path, 0)
    assert [p.name for p in (tmp_path / "checkpoint-2").iterdir()] == ["notes.txt"]
    assert checkpoints.latest(tmp_path) is None
    assert (tmp_path / "checkpoint-12" / "weights").exists()


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_files_of_others_survive_every_run_in_their_folder(
    model: str, data: Path, tmp_path: Path, tuning: str
) -> None:
    """Beside the run's files and among them: while checkpoints come and go, after a kill, under
    other settings."""
    folder = tmp_path / f"sft-{tuning}-s0"

    def drop(step: int, *_: Any) -> None:
        for place in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
            (place / "notes.txt").write_text("mine")
        if step == 3:
            raise Killed

    def mine() -> set[str]:
        return {p.relative_to(folder).as_posix() for p in folder.rglob("notes.txt")}

    with pytest.raises(Killed):
        go("sft", tuning, model, data, tmp_path, progress=drop)
    known = mine()
    assert known >= {"notes.txt", "checkpoint-1/notes.txt", "checkpoint-2/notes.txt"}
    go(
        "sft", tuning, model, data, tmp_path, PROFILE.with_overrides(sft_lr=1e-4)
    )  # an unfinished run gives way
    assert mine() >= known
    (folder / "model" / "notes.txt").write_text("mine")
    (folder / "photo.jpg").write_bytes(b"mine")
    weights = sha256(folder / "model" / "model.safetensors")
    before = sorted(folder.rglob("*"))
    with pytest.raises(
        WorkbookError,
        match=r"finished run of training.*train.sft_lr: 0.0001 -> .*--out.*--overwrite",
    ):
        go("sft", tuning, model, data, tmp_path)
    assert sorted(folder.rglob("*")) == before
    assert sha256(folder / "model" / "model.safetensors") == weights
    go("sft", tuning, model, data, tmp_path, overwrite=True)
    assert mine() >= {*known, "model/notes.txt"}
    assert (folder / "photo.jpg").read_bytes() == b"mine"
    assert sha256(folder / "model" / "model.safetensors") != weights
    assert not list(folder.glob("checkpoint-*/*.safetensors"))
    assert "model/notes.txt" not in json.loads((folder / "run.json").read_text())["outputs"]


@pytest.mark.parametrize(
    "name", ["thesis.tex", "model/model.safetensors", "checkpoint-4/optimizer.pt", "metrics.jsonl"]
)
def test_a_folder_of_somebody_is_refused(
    model: str, data: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sft-lora-s0" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    line = [
        "train",
        "--profile",
        "smoke",
        "--method",
        "sft",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--model",
        model,
    ]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert name in said
    assert "--out" in said
    assert said.count("\n") == 1
    if name != "thesis.tex":
        assert main([*line, "--overwrite"]) == 2
    assert [p for p in path.parent.rglob("*") if p.is_file() and p.name != folders.LOCK] == [path]
    assert path.read_text() == "mine"


def test_settings_that_cannot_run_leave_the_old_run_whole(
    model: str, data: Path, tmp_path: Path
) -> None:
    folder = go("sft", "lora", model, data, tmp_path)
    before = {p: sha256(p) for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(WorkbookError, match="micro_batch"):
        go(
            "sft",
            "lora",
            model,
            data,
            tmp_path,
            PROFILE.with_overrides(micro_batch=2),
            overwrite=True,
        )
    assert {p: sha256(p) for p in folder.rglob("*") if p.is_file()} == before


def test_a_second_training_in_a_folder_is_refused(model: str, data: Path, tmp_path: Path) -> None:
    def second(step: int, *_: Any) -> None:
        with pytest.raises(
            WorkbookError, match=rf"another run \(process {os.getpid()}\) is working in"
        ):
            go("sft", "lora", model, data, tmp_path)
        raise Killed

    with pytest.raises(Killed):
        go("sft", "lora", model, data, tmp_path, progress=second)
    go("sft", "lora", model, data, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "videos/v1.mp4",
        "videos/still.png",
        "cognitive_map.jsonl",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer.json",
        "pytorch_model.bin",
        "model.safetensors.index.json",
    ],
)
def test_a_training_on_other_inputs_is_not_taken_for_finished(
    model: str, data: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spacer_utils.training import loop

    own, start = (
        Path(shutil.copytree(data, tmp_path / "data")),
        Path(shutil.copytree(model, tmp_path / "model")),
    )
    monkeypatch.setattr(
        loop, "execute", lambda plan, *_, **__: folders.begin(plan.out, plan.inputs, ()).finish()
    )
    go("sft", "lora", str(start), own, tmp_path / "out")
    go("sft", "lora", str(start), own, tmp_path / "out")
    path = next((p for p in (own / name, start / name) if p.exists()), start / name)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    with pytest.raises(WorkbookError, match=f"{name}( of the model)? (has changed|is new)"):
        go("sft", "lora", str(start), own, tmp_path / "out")


def test_restoring_another_model_is_refused(model: str, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    from spacer_utils.training import checkpoints

    other: Any = AutoModelForImageTextToText.from_pretrained(
        tiny_model(tmp_path / "other", "qwen2_5_vl")
    )
    mine: Any = AutoModelForImageTextToText.from_pretrained(model)
    other.save_pretrained(tmp_path / "checkpoint")
    with pytest.raises((WorkbookError, RuntimeError, ValueError)):
        checkpoints.restore(mine, tmp_path / "checkpoint")


def test_saving_inside_a_generation_window_is_refused(
    model: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(WorkbookError, match="multiple of the generation window of 2"):
        go("rlvr", "lora", model, data, tmp_path, options={"num_iterations": 2})
    with pytest.raises(WorkbookError, match="micro_batch=3 does not divide"):
        go("rlvr", "lora", model, data, tmp_path, PROFILE.with_overrides(micro_batch=3))


def test_wrong_arguments_say_what_to_do(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="unknown method 'ppo'"):
        train_.run("smoke", "ppo", data_dir=data, out=tmp_path)
    with pytest.raises(BadRow, match=r"nothing is no folder. Give the folder that has train.jsonl"):
        train_.run("smoke", "sft", data_dir=tmp_path / "nothing", out=tmp_path)
    assert (
        main(
            [
                "train",
                "--method",
                "sft",
                "--data",
                str(tmp_path / "nothing"),
                "--out",
                str(tmp_path),
            ]
        )
        == 2
    )


def test_order_shows_every_prompt_before_any_comes_again() -> None:
    found = train.order(5, 12, 3)
    assert len(found) == 12
    assert sorted(found[:5]) == sorted(found[5:10]) == list(range(5))
    assert found == train.order(5, 12, 3) != train.order(5, 12, 4)


def test_a_model_is_saved_under_the_names_it_came_from() -> None:
    """ZeRO-3 leaves every renaming that transformers knows at the model, used or not."""
    from spacer_utils.training import checkpoints

    needed, other = (SimpleNamespace(was_used=lambda used=used: used) for used in (True, False))
    model = SimpleNamespace(_weight_conversions=[other, needed, other])
    checkpoints.keep_names(model)
    assert model._weight_conversions == [needed]
    checkpoints.keep_names(torch.nn.Linear(1, 1))  # a model that was not loaded has none


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero2", "zero3"])
def test_launch_configurations_are_understood(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = Path(train.__file__).parents[1] / "assets" / "launch" / f"{name}.yaml"
    config: Any = load_config_from_file(str(path))
    assert (config.num_processes, config.mixed_precision) == (8, "bf16")


def command(model: str, data: Path, out: Path, method: str = "rlvr", **fields: Any) -> list[str]:
    settings = {
        "completion_tokens": 12,
        "size": 56,
        "rl_steps": 30,
        "prompts_per_step": 2,
        "group_size": 4,
        "save_steps": 2,
    }
    flags = [f"--set={k}={v}" for k, v in (settings | fields).items()]
    return [
        sys.executable,
        "-m",
        "spacer_utils",
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
        model,
        *flags,
    ]


@pytest.mark.slow
def test_an_interrupt_saves_and_the_same_command_goes_on(
    model: str, data: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(model, data, tmp_path), env=environment, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "rlvr-lora-s0" / "metrics.jsonl"
    while process.poll() is None and not (
        metrics.exists() and metrics.read_bytes().count(b"\n") >= 3
    ):
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Run the same command to go on" in errors
    assert subprocess.run(
        command(model, data, tmp_path), env=environment, capture_output=True, check=True
    )
    assert [r["step"] for r in read_jsonl(metrics)] == list(range(1, 31))


@pytest.mark.slow
def test_random_kills_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # real rewards
    for row in prove(3, tmp_path, seed=1):
        assert all(row[k] for k in ("metrics", "rollouts", "weights", "moved")), row
