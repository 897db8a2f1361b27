"""What may go wrong around the workbook: disks, clocks, damaged files, hostile rows; the table is
in outputs/README.md."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import example, given
from hypothesis import strategies as st

from spacer_utils.core import files, folders, frames, mp4, profiles
from spacer_utils.core.types import BadRow, MissingArtifact, Sample, WorkbookError
from spacer_utils.dataset import build
from spacer_utils.workbook import book as run
from spacer_utils.workbook import forecast

MODULES = sorted((PROJECT / "spacer_utils").rglob("*.py"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3),
    max_leaves=8,
)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_every_fault_of_the_table_has_its_test() -> None:
    rows = re.findall(
        r"^\|.*\| `(test_\w+)` \|$", (PROJECT / "outputs" / "README.md").read_text(), re.MULTILINE
    )
    there = "".join(p.read_text() for p in (PROJECT / "tests").glob("test_*.py"))
    assert len(rows) >= 20
    assert not [name for name in rows if f"def {name}(" not in there]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_atomic(tmp_path / "a.json", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        WorkbookError,
        match=r"could not write .*a.json: No space left on device. Nothing was changed. Free some",
    ):
        files.write_atomic(tmp_path / "a.json", "new" * 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"
    with pytest.raises(WorkbookError, match=r"could not write .*b.jsonl: No space left"):
        files.append_jsonl(tmp_path / "b.jsonl", [{"a": 1}])


def test_a_line_torn_by_a_kill_is_cut_off_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    files.append_jsonl(path, [{"a": 1}, {"a": 2}])
    path.write_bytes(path.read_bytes() + b'{"a": 3, "tex')
    assert files.read_jsonl(path, tolerate_torn_end=True) == [{"a": 1}, {"a": 2}]
    files.append_jsonl(path, [{"a": 4}])
    assert files.read_jsonl(path) == [{"a": 1}, {"a": 2}, {"a": 4}]


def inputs(
    folder: Path, kind: str = "training", settings: dict[str, Any] | None = None, **given: Path
) -> folders.Inputs:
    return folders.Inputs.of(kind, settings or {"train": {"steps": 4}}, given, folder)


def tree(folder: Path) -> dict[str, str]:
    """Every file but the record and the lock, with its text."""
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in (folders.RECORD, folders.LOCK)
    }


def filled(
    folder: Path, names: tuple[str, ...] = ("log.jsonl", "model/weights.bin"), finished: bool = True
) -> folders.Record:
    """What a run has left."""
    record = folders.begin(folder, inputs(folder), NAMES)
    record.add([n for n in names if "/" not in n])
    for name in names:
        with record.saving(os.path.dirname(name)) if "/" in name else contextlib.nullcontext():
            files.write_atomic(folder / name, "old")
    if finished:
        record.finish()
    return record


NAMES = ("log.jsonl", "model", "model/*.bin", "model/*.json")


@pytest.mark.parametrize("finished", [False, True])
def test_only_listed_files_of_other_settings_are_deleted(
    tmp_path: Path, finished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = files.write_atomic(tmp_path / "elsewhere" / "a.txt", "mine")
    out = tmp_path / "out"
    filled(out, finished=finished)
    mine = {
        "notes.txt": "mine",
        "model/notes.txt": "mine",
        "model/deep/photo.jpg": "mine",
        "checkpoint-3/weights.bin": "mine",
    }
    for name, text in mine.items():
        files.write_atomic(out / name, text)
    (out / "link").symlink_to(elsewhere.parent)
    other = inputs(out, settings={"train": {"steps": 8}})
    if finished:
        before = tree(out)
        said = r"a finished run of training, with other inputs: train.steps: 4 -> 8.*--out.*--overwrite"
        with pytest.raises(WorkbookError, match=said):
            folders.begin(out, other, NAMES)
        assert tree(out) == before
    folders.begin(out, other, NAMES, overwrite=finished)
    assert "not used again, train.steps: 4 -> 8" in capsys.readouterr().err
    assert tree(out) == mine
    assert elsewhere.read_text() == "mine"
    assert folders.Record.of(out).same(other)


def test_a_run_goes_on_in_its_folder_and_keeps_what_is_there(tmp_path: Path) -> None:
    filled(tmp_path)
    files.write_atomic(tmp_path / "notes.txt", "mine")
    before = tree(tmp_path)
    record = folders.begin(tmp_path, inputs(tmp_path), NAMES, alone=True)
    assert tree(tmp_path) == before
    assert record.written == {"log.jsonl", "model/weights.bin"}


@pytest.mark.parametrize("name", ["log.jsonl", "model/weights.bin", "model/config.json"])
@pytest.mark.parametrize("ours", [False, True])
def test_a_file_of_others_is_never_overwritten(tmp_path: Path, name: str, ours: bool) -> None:
    if ours:
        record = filled(tmp_path)
        record.remove(*record.written)
    files.write_atomic(tmp_path / name, "mine")
    for overwrite in (False, True):
        for steps in (4, 8):
            with pytest.raises(
                WorkbookError, match=f"no run of the workbook has listed.*{name}.*--out"
            ):
                folders.begin(
                    tmp_path,
                    inputs(tmp_path, settings={"steps": steps}),
                    NAMES,
                    overwrite=overwrite,
                )
    assert tree(tmp_path) == {name: "mine"}


@pytest.mark.parametrize("record", [None, '{"fing', "[]", "null", '{"fingerprint": "a"}'])
def test_a_folder_without_a_readable_record_is_somebodys(
    tmp_path: Path, record: str | None
) -> None:
    files.write_atomic(tmp_path / "thesis.tex", "mine")
    if record is not None:
        (tmp_path / folders.RECORD).write_text(record)
    with pytest.raises(WorkbookError, match=r"thesis\.tex.*--overwrite"):
        folders.begin(tmp_path, inputs(tmp_path), NAMES, alone=True)
    folders.begin(tmp_path, inputs(tmp_path), NAMES, alone=True, overwrite=True)
    assert tree(tmp_path) == {"thesis.tex": "mine"}


def test_another_kind_of_run_is_not_replaced_even_unfinished(tmp_path: Path) -> None:
    filled(tmp_path, finished=False)
    with pytest.raises(WorkbookError, match="an unfinished run of training, not one of evaluation"):
        folders.begin(tmp_path, inputs(tmp_path, "evaluation"), NAMES)
    assert tree(tmp_path)


def test_what_a_kill_left_half_written_goes_and_nothing_else(tmp_path: Path) -> None:
    record = filled(tmp_path, finished=False)
    files.write_atomic(tmp_path / "checkpoint-2" / "plan.json", "mine")
    with contextlib.suppress(KeyboardInterrupt), record.saving("checkpoint-2"):
        files.write_atomic(tmp_path / "checkpoint-2" / "weights.bin", "half")
        raise KeyboardInterrupt
    files.write_atomic(tmp_path / "checkpoint-2" / "notes.txt", "mine")
    files.write_atomic(tmp_path / "checkpoint-9" / "weights.bin", "of another trainer")
    folders.begin(tmp_path, inputs(tmp_path), ("checkpoint-2/*.bin",))
    assert tree(tmp_path) == {
        "log.jsonl": "old",
        "model/weights.bin": "old",
        "checkpoint-2/plan.json": "mine",
        "checkpoint-2/notes.txt": "mine",
        "checkpoint-9/weights.bin": "of another trainer",
    }


def test_a_kill_between_deletions_leaves_what_belongs_to_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folders.Record, "_delete", lambda self, names: killed() if names else None)
    with pytest.raises(KeyboardInterrupt):
        folders.begin(tmp_path, inputs(tmp_path, settings={"steps": 8}), NAMES, overwrite=True)
    monkeypatch.undo()
    assert not folders.Record.of(tmp_path).same(inputs(tmp_path))
    folders.begin(tmp_path, inputs(tmp_path), NAMES, alone=True)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["../outside.txt", "link/outside.txt"])
def test_a_record_deletes_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    outside = files.write_atomic(tmp_path / "outside.txt", "mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    record = folders.Record(tmp_path / "out", written={name})
    record.remove(name)
    assert outside.read_text() == "mine"


def test_a_second_process_in_a_folder_is_refused(tmp_path: Path) -> None:
    with folders.held(tmp_path):
        said = rf"another run \(process {os.getpid()}\) is working in {tmp_path}.*--out"
        with pytest.raises(WorkbookError, match=said), folders.held(tmp_path):
            pass
        child = os.fork()  # a worker that outlives its parent
        if not child:
            time.sleep(30)
            os._exit(0)
    with folders.held(tmp_path):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_has_changed_is_said(tmp_path: Path) -> None:
    clip, template = (
        files.write_atomic(tmp_path / name, "a") for name in ("room.mp4", "chat.jinja")
    )
    given = {"videos/room.mp4": clip, "chat_template.jinja of the model": template}
    before = folders.Inputs.of("training", {"a": {"b": 1}, "seed": 0}, given, tmp_path)
    clip.write_text("b")
    template.unlink()
    after = folders.Inputs.of(
        "training", {"a": {"b": 2}, "seed": 0}, {**given, "new": clip}, tmp_path
    )
    assert after.changes(before) == [
        "a.b: 1 -> 2",
        "videos/room.mp4 has changed",
        "chat_template.jinja of the model is gone",
        "new is new",
    ]


def test_known_digests_are_not_computed_again_and_stale_ones_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, out = files.write_atomic(tmp_path / "a.mp4", "first"), tmp_path / "out"
    first = inputs(out, clip=clip)
    folders.begin(out, first, ())
    monkeypatch.setattr(files, "_digests", {})  # as in another process
    monkeypatch.setattr(files, "sha256", full)
    assert inputs(out, clip=clip).fingerprint == first.fingerprint
    monkeypatch.undo()
    before = clip.stat()
    clip.write_text("other")  # in place, as long as before and with its old time
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert inputs(out, clip=clip).fingerprint != first.fingerprint


def test_outputs_that_cannot_be_written_are_named() -> None:
    environment = {
        k: v
        for k, v in os.environ.items()
        if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SPACER_CLAIMED")
    }
    done = subprocess.run(
        ["make", "nb00", "PROFILE=smoke", f"PY={sys.executable}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**environment, "SPACER_OUTPUTS": "/proc/spacer"},
        check=False,
    )
    assert done.returncode
    assert "could not write /proc/spacer/smoke/.lock" in done.stderr
    assert "set SPACER_OUTPUTS to another one" in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(WorkbookError, match="make the folder writable"):
        files.write_atomic(Path("/proc/spacer/a"), "x")


def test_an_empty_artefact_counts_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    book = run.start("08_cognitive_maps", "smoke", 0)
    path = files.write_atomic(tmp_path / "smoke" / "data" / "train.jsonl", "")
    with pytest.raises(
        MissingArtifact,
        match=r"data/train.jsonl \(written by 02_questions\). Run: make nb02 PROFILE=smoke",
    ):
        book.need("data/train.jsonl")
    executed = tmp_path / "smoke" / "executed"
    files.write_atomic(executed / "02_questions.ipynb", "{}")
    for name in ("heldout.jsonl", "cognitive_map.jsonl", "audit.json"):
        files.write_atomic(path.with_name(name), "x")
    reasons = {r["notebook"]: r["reason"] for r in forecast.states(profiles.get("smoke"))}
    assert reasons["02_questions"] == "data/train.jsonl is gone"


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None], ids=["empty", "truncated", "half"])
def test_damaged_cached_frames_are_decoded_anew(tmp_path: Path, damage: bytes | None) -> None:
    clip = files.write_atomic(
        tmp_path / "a.mp4", mp4.encode(np.full((4, 32, 32, 3), 90, np.uint8), 2.0)
    )
    how, cache = profiles.get("smoke").frames, tmp_path / "cache"
    before = np.array(frames.load(clip, how, cache)[0])
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:40] if damage is None else damage)
    assert np.array_equal(frames.load(clip, how, cache)[0], before)


def test_durations_come_from_a_clock_that_never_jumps() -> None:
    wall = [
        p.relative_to(PROJECT).as_posix()
        for p in MODULES
        if re.search(r"\btime\.time\(|perf_counter_ns", p.read_text())
    ]
    assert wall == ["spacer_utils/training/logs.py"], (
        "which notes when a step was, and subtracts nothing"
    )


def test_no_archive_is_unpacked() -> None:
    """Nothing is taken out of an archive. One file looks into archives, for the names in them."""
    unpacks = r"\b(unpack_archive|extractall)\b|\.extract\("
    opens = r"\btarfile\b|is_zipfile|ZipFile\((?!\w+, \"w\")"
    assert re.search(opens, "zipfile.ZipFile(path)")
    assert re.search(opens, 'zipfile.ZipFile(path, "r")')
    for path in MODULES:
        text = path.read_text()
        assert not re.search(unpacks, text), path
        if path.name == "downloads.py":
            assert not re.search(r"\.(read|open|extractfile)\((member|names?)", text), path
        else:
            assert not re.search(opens, text), path


def test_paths_of_rows_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path)
    (tmp_path / "data" / "loop").symlink_to("loop")
    for path in (
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "link/secret",
        "a\0b",
        "\ud800",
        "loop",
    ):
        with pytest.raises(WorkbookError, match=r"^path "):
            files.inside(tmp_path / "data", path)
    assert (
        files.inside(tmp_path / "data", "videos/a.mp4")
        == (tmp_path / "data" / "videos" / "a.mp4").resolve()
    )


FIELDS = st.sampled_from([*(f.name for f in fields(Sample)), "answer", "video"])


GOOD = {"problem": "?", "problem_type": "numerical", "solution": "1", "path": "a.mp4"}


@example([{"problem_id": 0, "problem": "?", "solution": "1", "options": False}])
@given(
    st.lists(
        st.tuples(st.sampled_from([{}, GOOD]), st.dictionaries(FIELDS, JSON, max_size=3)).map(
            lambda t: t[0] | t[1]
        ),
        max_size=3,
    )
)
def test_any_rows_are_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows))
    with contextlib.suppress(BadRow):  # which names the line; anything else is a fault of ours
        assert len(build.load(path)) == len(rows)
