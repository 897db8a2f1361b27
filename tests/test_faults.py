"""What may go wrong around the workbook: disks, clocks, damaged files, hostile rows; the table is in outputs/README.md."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import example, given
from hypothesis import strategies as st

from spacer_utils import files, frames, profiles, run, video
from spacer_utils.data import dataset
from spacer_utils.types import BadRow, MissingArtifact, Sample, WorkbookError
from spacer_utils.workbook import plan

MODULES = sorted((PROJECT / "spacer_utils").rglob("*.py"))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
                    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3), max_leaves=8)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_every_fault_of_the_table_has_its_test() -> None:
    rows = re.findall(r"^\|.*\| `(test_\w+)` \|$", (PROJECT / "outputs" / "README.md").read_text(), re.MULTILINE)
    there = "".join(p.read_text() for p in (PROJECT / "tests").glob("test_*.py"))
    assert len(rows) >= 20
    assert not [name for name in rows if f"def {name}(" not in there]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_atomic(tmp_path / "a.json", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkbookError, match=r"could not write .*a.json: No space left on device. Nothing was changed. Free some"):
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


@pytest.mark.slow
@pytest.mark.parametrize("stamp", ['{"fingerprint": "a"}', '{"fingerprint": "b"}', '{"fing', "[]", None])
def test_results_of_other_or_unknown_settings_are_deleted_and_no_others(tmp_path: Path, stamp: str | None) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_text("old")
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-kept"
    elsewhere.write_text("")
    (tmp_path / "link").symlink_to(elsewhere)
    if stamp is not None:
        (tmp_path / "fingerprint.json").write_text(stamp)
    files.keep_if_same(tmp_path, "a", "m*")
    same = stamp == '{"fingerprint": "a"}'
    assert {p.name for p in tmp_path.iterdir()} == {"fingerprint.json", "link", *(("model", "metrics.jsonl") if same else ())}
    files.keep_if_same(tmp_path, "c")
    assert [p.read_text() for p in tmp_path.iterdir()] == ['{"fingerprint": "c"}']
    assert elsewhere.exists()


def test_outputs_that_cannot_be_written_are_named() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SPACER_CLAIMED")}
    done = subprocess.run(["make", "nb00", "PROFILE=smoke", f"PY={sys.executable}"], cwd=PROJECT, capture_output=True, text=True,
                          env={**environment, "SPACER_OUTPUTS": "/proc/spacer"}, check=False)
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
    with pytest.raises(MissingArtifact, match=r"data/train.jsonl \(written by 02_questions\). Run: make nb02 PROFILE=smoke"):
        book.need("data/train.jsonl")
    executed = tmp_path / "smoke" / "executed"
    files.write_atomic(executed / "02_questions.ipynb", "{}")
    for name in ("heldout.jsonl", "cognitive_map.jsonl", "audit.json"):
        files.write_atomic(path.with_name(name), "x")
    reasons = {r["notebook"]: r["reason"] for r in plan.states(profiles.get("smoke"))}
    assert reasons["02_questions"] == "data/train.jsonl is gone"


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None], ids=["empty", "truncated", "half"])
def test_damaged_cached_frames_are_decoded_anew(tmp_path: Path, damage: bytes | None) -> None:
    clip = files.write_atomic(tmp_path / "a.mp4", video.encode(np.full((4, 32, 32, 3), 90, np.uint8), 2.0))
    how, cache = profiles.get("smoke").frames, tmp_path / "cache"
    before = np.array(frames.load(clip, how, cache)[0])
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:40] if damage is None else damage)
    assert np.array_equal(frames.load(clip, how, cache)[0], before)


def test_durations_come_from_a_clock_that_never_jumps() -> None:
    wall = [p.relative_to(PROJECT).as_posix() for p in MODULES if re.search(r"\btime\.time\(|perf_counter_ns", p.read_text())]
    assert wall == ["spacer_utils/training/logs.py"], "which notes when a step was, and subtracts nothing"


def test_no_archive_is_unpacked() -> None:
    for path in MODULES:
        assert not re.search(r"\b(zipfile|tarfile|unpack_archive|extractall)\b", path.read_text()), path


def test_paths_of_rows_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path)
    (tmp_path / "data" / "loop").symlink_to("loop")
    for path in ("../secret", "a/../../secret", "/etc/passwd", "link/secret", "a\0b", "\ud800", "loop"):
        with pytest.raises(WorkbookError, match=r"^path "):
            files.inside(tmp_path / "data", path)
    assert files.inside(tmp_path / "data", "videos/a.mp4") == (tmp_path / "data" / "videos" / "a.mp4").resolve()


FIELDS = st.sampled_from([*(f.name for f in fields(Sample)), "answer", "video"])


GOOD = {"problem": "?", "problem_type": "numerical", "solution": "1", "path": "a.mp4"}


@example([{"problem_id": 0, "problem": "?", "solution": "1", "options": False}])
@given(st.lists(st.tuples(st.sampled_from([{}, GOOD]), st.dictionaries(FIELDS, JSON, max_size=3)).map(lambda t: t[0] | t[1]),
                max_size=3))
def test_any_rows_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows))
    with contextlib.suppress(BadRow):  # which names the line; anything else is a fault of ours
        assert len(dataset.load(path)) == len(rows)
