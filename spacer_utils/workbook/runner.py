"""Execute one notebook with papermill.

The executed notebook appears complete or not at all. Its manifest says how it was made.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import machine, profiles, progress
from ..core.files import sha256, write_atomic
from ..core.types import WorkbookError
from . import book, dag, manifest


class NotebookFailed(WorkbookError):
    """A cell raised; ``NN.failed.ipynb`` holds the notebook up to it."""

    exit_code = 1


def execute(key: str, profile: str, parameters: Mapping[str, Any] | None = None) -> Path:
    """Run a notebook to ``outputs/<profile>/executed/NN_x.ipynb`` and write its manifest.

    Raises:
        NotebookFailed: a cell failed; the message is one line: what, where, how to go on.
        WorkbookError: unknown notebook, profile or parameter, a missing artefact, too little memory
            or disk.
    """
    notebook = dag.find(key)
    chosen = profiles.get(profile)
    given = {"PROFILE": profile, **(parameters or {})}
    unknown = sorted(set(given) - set(notebook.parameters))
    if unknown:
        raise WorkbookError(
            f"{notebook.name} has no parameter {', '.join(unknown)}. It has: {', '.join(notebook.parameters)}."
        )
    out = chosen.outputs
    for pattern in notebook.reads:
        if not book.present(out, pattern):
            raise book.missing(pattern, profile)
    require_disk(out, notebook.disk_mb.get(profile, 0))
    return _run(notebook, out, given)


def _run(notebook: dag.Notebook, out: Path, parameters: dict[str, Any]) -> Path:
    partial, final, failed = (
        out / "executed" / f"{notebook.name}{end}.ipynb" for end in (".partial", "", ".failed")
    )
    log = out / "logs" / f"{notebook.number}.log"
    write_atomic(log, "")
    final.parent.mkdir(parents=True, exist_ok=True)
    print(f"{notebook.name} starts", flush=True)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"notebook": notebook.name, "started": started, **_facts(notebook, out, parameters)}
    began = time.monotonic()
    with manifest.Watch(log) as watch:
        error = _papermill(notebook, partial, parameters, log)
    raw = tidy(partial)
    _note(log, take_stderr(raw))
    facts |= {
        "seconds": round(time.monotonic() - began, 1),
        "peak_memory_mb": round(watch.peak_mb),
        "metrics": metrics(raw),
        "card": card(raw),
        "outputs": manifest.digest(out, notebook.writes),
    }
    if error is None:
        missing = [p for p, h in facts["outputs"].items() if h == "missing"]
        error = f"it ended without writing {', '.join(missing)}" if missing else None
    if error is not None:
        _save(raw, failed)
        partial.unlink(missing_ok=True)
        manifest.write(out, notebook.name, {**facts, "state": "failed", "error": error})
        _note(log, error + "\n")
        raise NotebookFailed(
            f"{notebook.name} failed: {error.rstrip('.')}. See {manifest.brief(out)}/reports/{notebook.name}.html. "
            "Then run the same make again: it goes on here."
        )
    _save(raw, final)
    partial.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    manifest.write(out, notebook.name, {**facts, "state": "done"})
    print(
        f"{notebook.name} done in {progress.clock(facts['seconds'])}, peak {facts['peak_memory_mb'] / 1000:.1f} GB",
        flush=True,
    )
    return final


def _facts(notebook: dag.Notebook, out: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "profile": parameters["PROFILE"],
        "parameters": parameters,
        "seed": parameters.get("SEED", 0),
        "git": machine.code(),
        "notebook_sha256": sha256(dag.NOTEBOOKS / f"{notebook.name}.ipynb"),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "inputs": manifest.digest(out, notebook.reads),
    }


def _papermill(
    notebook: dag.Notebook, partial: Path, parameters: dict[str, Any], log: Path
) -> str | None:
    """Execute to ``partial``; None, or what went wrong in one line."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # sockets in a folder instead of TCP ports: another process may take a free port before the
    # kernel has started
    local, folder = Config(), dag.NOTEBOOKS
    with (
        tempfile.TemporaryDirectory(prefix="nb-") as sockets,
        environment(
            {
                progress.LOG: str(log.resolve()),
                "JUPYTER_PREFER_ENV_PATH": "1",
                "TQDM_DISABLE": "1",
                "PYTHONHASHSEED": "0",
            }
        ),
    ):
        local.KernelManager.transport, local.KernelManager.ip = "ipc", str(Path(sockets) / "kernel")
        try:
            papermill.execute_notebook(
                str(folder / f"{notebook.name}.ipynb"),
                str(partial),
                parameters,
                kernel_name="python3",
                progress_bar=False,
                cwd=str(folder),
                autosave_cell_every=60,
                config=local,
                extra_arguments=["--IPKernelApp.kernel_class=spacer_utils.workbook.kernel.Kernel"],
            )
        except PapermillExecutionError as error:
            what = f"{error.ename}: {' '.join(str(error.evalue).split())}"
            return f"cell {error.exec_count} ({_heading(partial, error.exec_count)}): {what}"
        except DeadKernelError:
            return (
                "its kernel died, most likely for lack of memory (the log names the last step). Choose a smaller profile or "
                "close other programs"
            )
        except OSError as error:
            return f"{error.strerror or error} while writing {partial.name}. Free some disk space"
    return None


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {k: os.environ.get(k) for k in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _heading(path: Path, count: int | None) -> str:
    """Last heading above the cell that was executed ``count``-th."""
    title = "start"
    for cell in tidy(path).get("cells", ()):
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("#"):
                title = line.strip("# ")
        if cell.get("execution_count") == count:
            break
    return title


def tidy(path: Path) -> Any:
    """The notebook without what differs between two equal runs: times, paths, random cell ids,
    papermill's error banners.

    A file that a full disk cut off reads as an empty notebook.
    """
    import nbformat

    try:
        raw = nbformat.read(str(path), as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return nbformat.v4.new_notebook()
    raw.cells = [
        c
        for c in raw.cells
        if not any(t.startswith("papermill-error") for t in c.metadata.get("tags", ()))
    ]
    raw.metadata.pop("papermill", None)
    raw.metadata.pop("widgets", None)
    for number, cell in enumerate(raw.cells):
        for noise in ("papermill", "execution", "collapsed"):
            cell.metadata.pop(noise, None)
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = f"injected-{number}"
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = re.sub(r"0x[0-9a-f]{6,}", "0x0", output.text)
    return raw


def take_stderr(raw: Any) -> str:
    """Remove what libraries wrote to stderr (warnings that name this machine's paths); returns it,
    for the log."""
    taken = []
    for cell in raw.get("cells", ()):
        if cell.cell_type == "code":
            taken += [
                o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"
            ]
            cell.outputs = [
                o for o in cell.outputs if o.output_type != "stream" or o.name != "stderr"
            ]
    return "".join(taken)


def _note(log: Path, text: str) -> None:
    with open(log, "a", encoding="utf-8") as file:
        file.write(text)


def _save(raw: Any, path: Path) -> None:
    import nbformat

    write_atomic(path, nbformat.writes(raw) + "\n")


def metrics(raw: Any) -> dict[str, Any]:
    """Key figures that the notebook has recorded (``Book.found``)."""
    found: dict[str, Any] = {}
    for cell in raw.get("cells", ()):
        for output in cell.get("outputs", ()):
            found |= dict(output.get("data", {}).get(book.METRICS, []))
    return found


def card(raw: Any) -> list[list[Any]]:
    """What the index shows of the notebook (``Book.found``): label, text, whether it matters."""
    outputs = [o for cell in raw.get("cells", ()) for o in cell.get("outputs", ())]
    return [list(line) for o in outputs for line in o.get("data", {}).get(book.CARD, [])]


def require_disk(out: Path, need_mb: float) -> None:
    """Raise before anything starts if the disk that holds ``out`` has less than ``need_mb`` free.

    Raises:
        WorkbookError: too little space.
    """
    there = next(p for p in (out, *out.parents) if p.exists())
    free = shutil.disk_usage(there).free / 1e6
    if free < need_mb:
        raise WorkbookError(
            f"{manifest.brief(out)} has {free:,.0f} MB free and this step needs about {need_mb:,.0f} MB. Free some space "
            "(make du shows what is there), or set SPACER_OUTPUTS to another disk."
        )
