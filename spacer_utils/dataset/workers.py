"""Run independent jobs on the cores of this machine or on a Ray cluster."""

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
"""Jobs submitted per worker at any time: enough to keep all busy without holding all in memory."""


def run(
    work: Callable[[J], R],
    jobs: Sequence[J],
    workers: int = 1,
    engine: str = "local",
    progress: Callable[[int, int], None] | None = None,
) -> list[R]:
    """``[work(job) for job in jobs]``, computed by ``workers`` processes.

    The first exception of a job stops everything and is raised here.

    Args:
        work: a function that can be pickled.
        engine: ``local`` or ``ray``.
        progress: called with (jobs done, jobs in all).

    Raises:
        WorkbookError: unknown engine, or Ray is wanted and not installed or can't be reached.
    """
    if engine not in ENGINES:
        raise WorkbookError(f"unknown engine {engine!r}. Known: {', '.join(ENGINES)}.")
    tick = progress or (lambda done, total: None)
    if engine == "ray":
        return _ray(work, jobs, workers, tick)

    # One worker is this process.
    if workers <= 1:
        results = []
        for job in jobs:
            results.append(work(job))
            tick(len(results), len(jobs))
        return results
    return _processes(work, jobs, workers, tick)


def _one_thread() -> None:
    """Limit numerical libraries to one thread: there is a process for every core already."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _processes(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, tick: Callable[[int, int], None]
) -> list[R]:
    """``run`` on processes of this machine."""
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
    """Wait for a job to finish, and move the results of all finished ones to ``results``."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        results[waiting.pop(future)] = future.result()
    tick(len(results), total)


def _ray(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, tick: Callable[[int, int], None]
) -> list[R]:
    """``run`` on a Ray cluster."""
    try:
        import ray
    except ImportError as error:
        raise WorkbookError(
            "ENGINE=ray needs Ray, which is optional. "
            "Run in the project's folder: pip install -e '.[ray]'"
        ) from error
    if not ray.is_initialized():
        _connect(ray, workers)
    one_thread = {"env_vars": {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}}
    remote = ray.remote(num_cpus=1, runtime_env=one_thread)(work)

    results: dict[int, Any] = {}
    waiting: dict[Any, int] = {}
    for k, job in enumerate(jobs):
        waiting[remote.remote(job)] = k

        # Collect results while enough jobs are submitted, and all of them after the last job.
        while len(waiting) >= AHEAD * workers or (k == len(jobs) - 1 and waiting):
            for reference in ray.wait(list(waiting), num_returns=1)[0]:
                try:
                    results[waiting.pop(reference)] = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
            tick(len(results), len(jobs))
    return [results[k] for k in range(len(jobs))]


def _connect(ray: Any, workers: int) -> None:
    """Join the cluster at ``RAY_ADDRESS``, or start one here with ``workers`` cores.

    A cluster started here ends with this process.

    On two busy cores such a start used to fail. A Ray node gives up if its five helper processes
    have not started within 15 s, and no setting changes that
    (github.com/ray-project/ray/issues/65983). Each of them imports jsonschema, which takes 2 s more
    if an optional grammar package is installed, as it is with JupyterLab. Therefore Ray's processes
    find in ``assets/ray`` a package of the same name that refuses to be imported.

    Raises:
        WorkbookError: no cluster could be joined or started.
    """
    # The cluster to join, or the one to start.
    address, before = os.environ.get("RAY_ADDRESS"), os.environ.get("PYTHONPATH")
    where: dict[str, Any] = {"address": address}
    if not address:
        patient = {"agent_register_timeout_ms": 300_000, "worker_register_timeout_seconds": 300}
        where = {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "_system_config": patient,
        }

    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(PROJECT / "spacer_utils" / "assets" / "ray"), before))
    )
    try:
        # Try the port first: Ray itself would wait for minutes at an address without a cluster.
        if address and ":" in address:
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
