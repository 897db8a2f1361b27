"""What make reproduce will run, why, how long it takes, how much disk it needs, and whether this
machine is large enough.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import machine, profiles
from ..core.profiles import PROFILES, PROJECT, Profile
from ..core.progress import clock
from ..core.types import WorkbookError
from . import dag, manifest
from .book import present


def shortfalls(profile: Profile, memory_gb: float, gpus: Sequence[float]) -> list[str]:
    """What a machine lacks for a profile; ``gpus`` lists the memory of each, GB."""
    lacks = []
    if memory_gb < 0.9 * profile.min_ram_gb:
        lacks.append(f"{profile.min_ram_gb} GB of memory (here: {memory_gb:.0f})")
    if len(gpus) < profile.min_gpus:
        lacks.append(f"{profile.min_gpus} GPU{'s' * (profile.min_gpus > 1)} (here: {len(gpus)})")
    elif profile.min_gpus and min(gpus[: profile.min_gpus]) < profile.min_gpu_gb:
        lacks.append(f"GPUs of {profile.min_gpu_gb} GB (here: {min(gpus):.0f} GB)")
    return lacks


def check(
    profile: Profile, memory_gb: float | None = None, gpus: Sequence[float] | None = None
) -> None:
    """Raise within seconds if the profile does not fit this machine.

    Raises:
        WorkbookError: what is lacking, and the nearest profile that fits.
    """
    memory_gb = machine.memory_gb() if memory_gb is None else memory_gb
    gpus = [g["gb"] for g in machine.gpus()] if gpus is None else gpus
    lacks = shortfalls(profile, memory_gb, gpus)
    if lacks:
        order = list(PROFILES)
        fitting = [
            p
            for p in order[: order.index(profile.name)]
            if not shortfalls(PROFILES[p], memory_gb, gpus)
        ]
        advice = (
            f"The nearest profile that fits is {fitting[-1]}: make reproduce PROFILE={fitting[-1]}"
            if fitting
            else "No profile fits this machine"
        )
        if any(p.rehearses == profile.name for p in PROFILES.values()):
            advice += f". To rehearse {profile.name} here: make rehearse"
        raise WorkbookError(f"profile {profile.name} needs {' and '.join(lacks)}. {advice}")


def states(profile: Profile, settings: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row per notebook: whether ``make reproduce`` will run it and why, with expected minutes
    (the last run's here) and disk.

    Appendices run only when asked for.

    Args:
        settings: what Make is called with (``dag.SETTINGS``); one that differs from the
            last run's is a reason.
    """
    every = dag.notebooks()
    rows: list[dict[str, Any]] = []
    running: set[str] = set()
    for notebook in every:
        last = manifest.read(profile.outputs, notebook.name)
        before = [u for u in dag.upstream(notebook, every) if u.name in running]
        state, reason = _state(notebook, profile.outputs, last, before, settings or {})
        if state != "done":
            running.add(notebook.name)
        measured = last.get("seconds") if last.get("state") == "done" else None
        minutes = measured / 60 if measured else notebook.minutes.get(profile.name)
        if state == "to run" and not notebook.number.isdigit():
            state, reason = "asked", f"only by make nb{notebook.number} or make reports"
        rows.append(
            {
                "notebook": notebook.name,
                "state": state,
                "reason": reason,
                "minutes": minutes,
                "measured": bool(measured),
                "disk_mb": notebook.disk_mb.get(profile.name),
            }
        )
    return rows


def _changed(notebook: dag.Notebook, out: Path, settings: Mapping[str, str]) -> str:
    """The first setting that Make will find changed, as ``SEED: 0 -> 1``; empty if there is
    none."""
    for name in filter(notebook.parameters.__contains__, settings):
        kept = out / ".settings" / name
        before = kept.read_text(encoding="utf-8").strip() if kept.exists() else "unknown"
        if before != settings[name]:
            return f"{name}: {before or 'none'} -> {settings[name] or 'none'}"
    return ""


def _state(
    notebook: dag.Notebook,
    out: Path,
    last: dict[str, Any],
    before: list[dag.Notebook],
    settings: Mapping[str, str],
) -> tuple[str, str]:
    target = out / "executed" / f"{notebook.name}.ipynb"
    if (out / "executed" / f"{notebook.name}.failed.ipynb").exists():
        return "failed", str(last.get("error", "its last run failed"))[:110]
    if not target.exists():
        return "to run", "never run"
    lost = [p for p in notebook.writes if not present(out, p)]
    if lost:
        return "to run", f"{lost[0]} is gone"
    changed = _changed(notebook, out, settings)
    if changed:
        return "to run", changed
    if before:
        return "to run", f"after {before[0].name}"
    made = target.stat().st_mtime_ns
    sources = [
        dag.NOTEBOOKS / f"{notebook.name}.ipynb",
        *(PROJECT / m for m in notebook.modules),
        *(dag.studies() if dag.COMMITTED[0] in notebook.modules else ()),
        *(out / "executed" / f"{u.name}.ipynb" for u in dag.upstream(notebook, dag.notebooks())),
        *(p for name in notebook.parameters if (p := out / ".settings" / name).exists()),
        *dag.given_files(notebook, settings),
    ]
    newer = [p for p in sources if p.stat().st_mtime_ns > made]
    if newer:
        return (
            "to run",
            f"{newer[0].relative_to(PROJECT) if newer[0].is_relative_to(PROJECT) else newer[0].name} is newer",
        )
    return "done", f"ran in {clock(last['seconds'])}" if "seconds" in last else "up to date"


def print_plan(
    profile: Profile, settings: Mapping[str, str] | None = None, given: Sequence[str] = ()
) -> None:
    """The plan as text: a row per notebook, a closing sum, and what is known of published inputs.

    Args:
        given: lines about ``DATA`` and ``BENCHMARKS``.
    """
    rows = states(profile, settings)
    width = max(len(r["notebook"]) for r in rows)
    print(f"profile {profile.name}: {profile.purpose} ({profile.hardware})\n")
    print(f"{'notebook':<{width}}  {'state':<7} {'time':>8} {'disk':>9}  why")
    for r in rows:
        time = "?" if r["minutes"] is None else clock(60 * r["minutes"])
        disk = "?" if r["disk_mb"] is None else f"{r['disk_mb']:,.0f} MB"
        print(f"{r['notebook']:<{width}}  {r['state']:<7} {time:>8} {disk:>9}  {r['reason']}")
    todo = [r for r in rows if r["state"] not in ("done", "asked")]
    known = sum(60 * r["minutes"] for r in todo if r["minutes"] is not None)
    open_ends = (
        " and what nobody has measured yet (?)" if any(r["minutes"] is None for r in todo) else ""
    )
    need = sum(r["disk_mb"] or 0 for r in todo)
    there = next(p for p in (profile.outputs, *profile.outputs.parents) if p.exists())
    free = shutil.disk_usage(there).free / 1e6
    print(
        f"\n{len(todo)} of {len(rows)} notebooks will run: about {clock(known)}{open_ends}, {need:,.0f} MB of disk "
        f"({free:,.0f} MB free), {profile.min_ram_gb} GB of memory ({machine.memory_gb():.0f} GB here)."
    )
    print(f"Times are the last run's here, else those measured on {profile.hardware}.")
    if given:
        print("They are of generated rooms; published inputs take their own time.\n")
        print("\n".join(given))


def print_brief(profile: Profile, settings: Mapping[str, str] | None = None) -> None:
    """What ``make reproduce`` is about to do, in a line or two."""
    todo = [r for r in states(profile, settings) if r["state"] not in ("done", "asked")]
    if not todo:
        print(f"profile {profile.name}: every notebook is up to date")
        return
    known = sum(60 * r["minutes"] for r in todo if r["minutes"] is not None)
    open_ends = " and more" if any(r["minutes"] is None for r in todo) else ""
    print(
        f"profile {profile.name}: {len(todo)} notebooks will run, about {clock(known)}{open_ends}"
    )
    print(f"  {' '.join(r['notebook'].split('_')[0] for r in todo)} (why: make plan)")


def print_profiles() -> None:
    """All profiles side by side."""
    rows = profiles.table()
    names = list(PROFILES)
    widths = {n: max(len(n), *(len(_short(r[n])) for r in rows)) for n in names}
    first = max(len(r["value"]) for r in rows)
    print("  ".join([" " * first, *(f"{n:<{widths[n]}}" for n in names)]).rstrip())
    for r in rows:
        print(
            "  ".join(
                [f"{r['value']:<{first}}", *(f"{_short(r[n]):<{widths[n]}}" for n in names)]
            ).rstrip()
        )


def _short(value: Any, limit: int = 34) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def print_usage(outputs: Path) -> None:
    """Disk use of every study, folder by folder."""
    for study in sorted(p for p in outputs.glob("*") if p.is_dir()):
        folders = [p for p in sorted(study.iterdir()) if p.is_dir()]
        parts = {
            p.name: sum(f.stat().st_size for f in p.rglob("*") if f.is_file()) / 1e6
            for p in folders
        }
        print(f"{sum(parts.values()):9,.1f} MB  {study.name}")
        for name, size in parts.items():
            print(f"{size:9,.1f} MB    {study.name}/{name}")
