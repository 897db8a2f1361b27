"""Two processes give what one gives, and either continues the other's checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from kit.training_kit import tiny_model, write_data

from spacer_utils.analysis import training_logs
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.rows import load

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent
WORKER = TESTS / "kit" / "two_processes.py"
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS))),
    "CUDA_VISIBLE_DEVICES": "",
}
SAME = (
    "loss",
    "grad_norm",
    "kl",
    "entropy",
    "reward",
    "reward_std",
    "completions/mean_length",
    "vision_tokens",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rooms to train on, and copies of two of their clips as held-out rooms."""
    folder = write_data(tmp_path_factory.mktemp("data"))
    rows = [s for s in load(folder / "train.jsonl") if s.scene_id in ("room0", "room1")]
    for k in (0, 1):
        shutil.copy(folder / f"videos/v{k}.mp4", folder / f"videos/held{k}.mp4")
    held = [
        replace(s, scene_id=f"held{s.scene_id}", path=s.path.replace("/v", "/held")) for s in rows
    ]
    text = "".join(json.dumps(s.to_row()) + "\n" for s in held)
    (folder / "heldout.jsonl").write_text(text)
    return folder


def launched(
    processes: int, worker: Path, *args: Any, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A worker's script, in that many gloo processes; 0 starts it plainly, without a group."""
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        if processes
        else []
    )
    line = [sys.executable, *launcher, str(worker), *map(str, args)]
    return subprocess.run(
        line,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def run(
    processes: int,
    model: str,
    data: Path,
    out: Path,
    tuning: str,
    stop: int = 0,
    status: int = 0,
    launcher: str = "",
) -> None:
    done = launched(processes, WORKER, model, data, out, tuning, stop, launcher)
    assert (done.returncode == 0) == (status == 0), done.stderr[-3000:]


def close(a: Path, b: Path) -> None:
    """Equal logs and weights up to the rounding of a sum that is taken in another order."""
    ours, theirs = (training_logs.metrics(p) for p in (a, b))
    assert [r["step"] for r in ours] == [r["step"] for r in theirs] == [1, 2, 3, 4]
    for one, two in zip(ours, theirs):
        for name in SAME:
            assert one.get(name) == pytest.approx(two.get(name), rel=1e-3, abs=1e-5), name
    asked, again = (training_logs.validations(p) for p in (a, b))
    assert [(r["step"], r["problem_id"]) for r in asked] == [
        (r["step"], r["problem_id"]) for r in again
    ]
    assert sorted({r["step"] for r in asked}) == [0, 2, 4]
    start = [r for r in asked if r["step"] == 0]  # later a rounding may decide between words
    assert start == [r for r in again if r["step"] == 0]
    assert len({r["accuracy"] for r in start}) > 1
    rows, others = (read_jsonl(p / "rollouts.jsonl") for p in (a, b))
    assert [(r["step"], r["group"], r["completion"], r["terms"]) for r in rows] == [
        (r["step"], r["group"], r["completion"], r["terms"]) for r in others
    ]
    assert [r["advantage"] for r in rows] == pytest.approx(
        [r["advantage"] for r in others], abs=1e-4
    )
    for saved in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (a / saved).exists() == (b / saved).exists()
        one, two = weights(a / saved), weights(b / saved)
        assert set(one) <= set(
            two
        )  # a sharded run also saves the head that is tied to the embeddings
        assert max((float((one[k] - two[k]).abs().max()) for k in one), default=0.0) < 1e-4, saved


def greedy(out: Path) -> list[list[int]]:
    """What the model itself wrote at the start, rows of all processes in order."""
    return [
        row for path in sorted(out.glob("greedy.*.json")) for row in json.loads(path.read_text())
    ]


def weights(saved: Path) -> dict[str, Any]:
    """Nothing from a file that is not there."""
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(saved) if saved.exists() else {}
    return found


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_two_processes_equal_one(model: str, data: Path, tmp_path: Path, tuning: str) -> None:
    name = f"rlvr-{tuning}-s0"
    run(0, model, data, tmp_path / "one", tuning)
    run(2, model, data, tmp_path / "two", tuning)
    close(tmp_path / "one" / name, tmp_path / "two" / name)
    assert greedy(tmp_path / "one") == greedy(tmp_path / "two")
    answers = [
        json.loads((tmp_path / p).read_text())
        for p in ("one/answers.0.json", "two/answers.0.json", "two/answers.1.json")
    ]
    assert answers[0] == answers[1] == answers[2]
    first, second = (tmp_path / "two" / "eval" / f"predictions.{rank}.jsonl" for rank in (0, 1))
    assert len(read_jsonl(first)) == len(read_jsonl(second)) == 2  # both processes worked
    for before, after in ((2, 0), (0, 2)):  # a checkpoint of one world size is read by another
        out = tmp_path / f"{before}then{after}"
        run(before, model, data, out, tuning, stop=3, status=1)
        assert not (out / name / "run.json").exists()
        run(after, model, data, out, tuning)
        close(tmp_path / "one" / name, out / name)


@pytest.mark.parametrize("launcher", ["", "fsdp2"])
def test_all_processes_stop_where_one_has_a_loss_that_is_no_number(
    model: str, data: Path, tmp_path: Path, launcher: str
) -> None:
    done = launched(2, WORKER, model, data, tmp_path, "full", 0, launcher, SPOILT_RANK="1")
    assert done.returncode
    assert done.stderr.count("rlvr-full-s0 stopped at step 2: ") == 2, done.stderr[-3000:]
    folder = tmp_path / "rlvr-full-s0"
    assert [p.name for p in folder.glob("checkpoint-*")] == ["checkpoint-1"]
    assert [r["step"] for r in training_logs.metrics(folder)] == [1]
    assert not (folder / "model").exists()


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize(
    "launcher",
    [
        "fsdp2",
        *(
            pytest.param(
                name,
                marks=pytest.mark.skipif(
                    find_spec("deepspeed") is None, reason="DeepSpeed is no dependency"
                ),
            )
            for name in ("zero2", "zero3")
        ),
    ],
)
def test_a_sharded_run_equals_one_process(
    model: str, data: Path, tmp_path: Path, launcher: str, tuning: str
) -> None:
    """Our trainer under FSDP2, ZeRO-2 and ZeRO-3: rollouts, losses, gradients, what is saved; and
    it goes on from its checkpoint.

    FSDP2's checkpoint holds the whole state, so another number of processes goes on from it too;
    ZeRO's is one file per process.
    """
    name = f"rlvr-{tuning}-s0"
    run(0, model, data, tmp_path / "one", tuning)
    run(2, model, data, tmp_path / "sharded", tuning, launcher=launcher)
    close(tmp_path / "one" / name, tmp_path / "sharded" / name)
    assert greedy(tmp_path / "one") == greedy(tmp_path / "sharded")
    for before, after in ((2, 1), (1, 2)) if launcher == "fsdp2" else ((2, 2),):
        out = tmp_path / f"{before}then{after}"
        run(before, model, data, out, tuning, stop=3, status=1, launcher=launcher)
        assert not (out / name / "run.json").exists()
        run(after, model, data, out, tuning, launcher=launcher)
        close(tmp_path / "one" / name, out / name)


def test_two_nodes_equal_one_process(model: str, data: Path, tmp_path: Path) -> None:
    """Two launchers with a process each, which find each other by address and rank, as accelerate
    starts them on GPUs."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    line = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nnodes",
        "2",
        "--nproc_per_node",
        "1",
        "--master_addr",
        "localhost",
        "--master_port",
        str(port),
    ]
    work = [str(WORKER), model, str(data), str(tmp_path / "nodes"), "full", "0", ""]
    nodes = [
        subprocess.Popen(
            [*line, "--node_rank", rank, *work], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        for rank in "01"
    ]
    for node in nodes:
        _, errors = node.communicate(timeout=400)
        assert node.returncode == 0, errors[-3000:]
    run(0, model, data, tmp_path / "one", "full")
    close(tmp_path / "one" / "rlvr-full-s0", tmp_path / "nodes" / "rlvr-full-s0")
    assert (
        json.loads((tmp_path / "nodes" / "rlvr-full-s0" / "run.json").read_text())["processes"] == 2
    )


def test_sharded_parameters_wait_for_no_media(model: str, tmp_path: Path) -> None:
    """FSDP2 on the CPU: a rank with text alone runs the tower too, and gradients are those of the
    whole model."""
    done = launched(2, WORKER.parent / "sharded_forward.py", model, tmp_path / "worst")
    assert done.returncode == 0, done.stderr[-3000:]
    assert float((tmp_path / "worst").read_text()) < 1e-4
