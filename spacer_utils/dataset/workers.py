"""Run independent jobs on this machine's cores or on a Ray cluster; results come back in the order
of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from ..core.profiles import PROJECT
from ..core.types import WorkbookError

J = TypeVar("J")
R = TypeVar("R")
ENGINES = ("local", "ray")
AHEAD = 4
"""Jobs in flight per worker: enough to keep all busy, few enough to keep memory flat."""


def run(
    work: Callable[[J], R],
    jobs: Sequence[J],
    workers: int = 1,
    engine: str = "local",
    progress: Callable[[int, int], None] | None = None,
) -> list[R]:
    """``[work(job) for job in jobs]`` on ``workers`` processes; the first exception stops
    everything.

    Raises:
        WorkbookError: unknown engine, or Ray is wanted and not installed or can't be reached.
    """
    if engine not in ENGINES:
        raise WorkbookError(f"unknown engine {engine!r}. Known: {', '.join(ENGINES)}.")
    tick = progress or (lambda done, total: None)
    if engine == "ray":
        return _ray(work, jobs, workers, tick)
    if workers <= 1:
        results = []
        for job in jobs:
            results.append(work(job))
            tick(len(results), len(jobs))
        return results
    return _processes(work, jobs, workers, tick)


def _one_thread() -> None:
    """One process per core: threads inside would only get in each other's way."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _processes(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, tick: Callable[[int, int], None]
) -> list[R]:
    results: dict[int, R] = {}
    waiting: dict[Future[R], int] = {}
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_one_thread
    ) as pool:
        for k, job in enumerate(jobs):
            if len(waiting) >= AHEAD * workers:
                _collect(waiting, results, len(jobs), tick)
            waiting[pool.submit(work, job)] = k
        while waiting:
            _collect(waiting, results, len(jobs), tick)
    return [results[k] for k in range(len(jobs))]


def _collect(
    waiting: dict[Future[R], int],
    results: dict[int, R],
    total: int,
    tick: Callable[[int, int], None],
) -> None:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        results[waiting.pop(future)] = future.result()
    tick(len(results), total)


def _ray(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, tick: Callable[[int, int], None]
) -> list[R]:
    try:
        import ray
    except ImportError as error:
        raise WorkbookError(
            "ENGINE=ray needs Ray, which is optional. "
            "Run in the project's folder: pip install -e '.[ray]'"
        ) from error
    if not ray.is_initialized():
        _connect(ray, workers)
    remote = ray.remote(
        num_cpus=1, runtime_env={"env_vars": {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}}
    )(work)
    results: dict[int, Any] = {}
    waiting: dict[Any, int] = {}
    for k, job in enumerate(jobs):
        waiting[remote.remote(job)] = k
        while len(waiting) >= AHEAD * workers or (k == len(jobs) - 1 and waiting):
            for reference in ray.wait(list(waiting), num_returns=1)[0]:
                try:
                    results[waiting.pop(reference)] = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
            tick(len(results), len(jobs))
    return [results[k] for k in range(len(jobs))]


def _connect(ray: Any, workers: int) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one of ``workers`` cores here that ends
    with this process.

    A node dies when its helpers have not started after 15 s, which no setting changes
    (github.com/ray-project/ray/issues/65983). Each imports jsonschema, which builds a grammar for 2
    s where JupyterLab has installed the package for it; there are five, so on two busy cores no
    node ever started. Ray's processes get a package in its place that can't be imported.

    Raises:
        WorkbookError: no cluster.
    """
    address, before = os.environ.get("RAY_ADDRESS"), os.environ.get("PYTHONPATH")
    patient = {"agent_register_timeout_ms": 300_000, "worker_register_timeout_seconds": 300}
    where: dict[str, Any] = (
        {"address": address}
        if address
        else {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "_system_config": patient,
        }
    )
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(PROJECT / "spacer_utils" / "assets" / "ray"), before))
    )
    try:
        if (
            address and ":" in address
        ):  # Ray itself asks for minutes before it says that nobody is there
            host, port = address.rsplit("/", 1)[-1].rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(**where, log_to_driver=False, logging_level="WARNING")
    except Exception as error:  # Ray raises many kinds, Exception itself among them
        what = f"RAY_ADDRESS={address} can't be reached" if address else "Ray did not start here"
        raise WorkbookError(
            f"{what}: {' '.join(str(error).split()).rstrip('.')}. Ray's logs are in session_latest/logs of "
            "its temporary folder. ENGINE=local gives the same bytes without Ray."
        ) from error
    finally:
        os.environ["PYTHONPATH"] = before or ""
