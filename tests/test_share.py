"""Reports for others: whole, small, and silent about the machine they were made on."""

from __future__ import annotations

import base64
import getpass
import platform
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from spacer_utils.core import profiles
from spacer_utils.core.types import MissingArtifact
from spacer_utils.workbook import manifest, report, share

USER, HOST = "mallory", "tower-7"


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "homes" / USER
    monkeypatch.setenv("SPACER_OUTPUTS", str(home / "results"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: USER)
    monkeypatch.setattr(platform, "node", lambda: HOST)
    return home / "results" / "smoke"


def write(out: Path, name: str, *shown: dict[str, Any], **facts: Any) -> None:
    displayed = [nbformat.v4.new_output("display_data", data, metadata={}) for data in shown]
    failed = nbformat.v4.new_output(
        "error",
        ename="OSError",
        evalue=f"no {out}/data",
        traceback=[f"File {profiles.PROJECT}/spacer_utils/x.py, by {USER} on {HOST}"],
    )
    cells = [
        nbformat.v4.new_markdown_cell("# 03 Title\n\n**What?**"),
        nbformat.v4.new_code_cell(
            f"MODEL = '/home/{USER}/models/7b'", outputs=[*displayed, failed]
        ),
    ]
    path = out / "executed" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    manifest.write(out, name, {"state": "done", "profile": "smoke", "seconds": 1.0, **facts})


def clip(megabytes: float) -> dict[str, str]:
    return {"video/mp4": base64.b64encode(bytes(int(megabytes * 1e6))).decode(), "text/plain": ""}


def test_nothing_shared_names_the_machine(outputs: Path) -> None:
    picture = base64.b64encode(f"/home/{USER}/".encode() * 3).decode()
    write(
        outputs,
        "03_rewards_by_hand",
        {"text/plain": f"{outputs}/data/a.mp4 and C:\\Users\\{USER}\\x and /Users/{USER}/y"},
        {"text/html": f'<p>{USER}@{HOST}</p><img alt="x" src="data:image/png;base64,{picture}">'},
        error=f"cell 2: no {outputs}/data",
        metrics={"where": str(outputs)},
    )
    folder = share.share(profiles.get("smoke"))
    pages = {p.name: p.read_text() for p in folder.iterdir()}
    assert set(pages) == {"03_rewards_by_hand.html", "index.html"}
    for name, page in pages.items():
        for word in (USER, HOST, str(outputs), str(profiles.PROJECT), str(Path.home())):
            assert word not in page, (name, word)
    assert picture in pages["03_rewards_by_hand.html"], "pictures stay as they are"
    assert "&lt;outputs&gt;" in pages["03_rewards_by_hand.html"]


def test_large_clips_stay_at_home(outputs: Path) -> None:
    write(outputs, "03_rewards_by_hand", clip(0.5), clip(2.5))
    page = (share.share(profiles.get("smoke")) / "03_rewards_by_hand.html").read_text()
    assert page.count("<video") == 1
    assert "A clip of 2.5 MB is left out here." in page
    assert len(page) < 2_000_000


def test_files_of_others_stay_and_are_not_shared(outputs: Path) -> None:
    write(outputs, "03_rewards_by_hand")
    folder = share.share(profiles.get("smoke"))
    (folder / "notes.txt").write_text("mine")
    stale = folder / "11_study.html"
    stale.write_text("of a notebook that has not run")
    share.share(profiles.get("smoke"))
    assert (folder / "notes.txt").read_text() == "mine"
    assert not stale.exists()
    with zipfile.ZipFile(folder.parent / f"{folder.name}.zip") as file:
        assert not [name for name in file.namelist() if "notes" in name]


def test_pages_lead_only_to_pages_that_are_there_and_the_zip_holds_them(outputs: Path) -> None:
    for name in ("03_rewards_by_hand", "05_sg_rlvr_lora"):
        write(outputs, name)
    folder = share.share(profiles.get("smoke"))
    page = (folder / "03_rewards_by_hand.html").read_text()
    assert "05_sg_rlvr_lora.html" in page
    assert "04_sft_baseline.html" not in page
    archive = folder.parent / f"{folder.name}.zip"
    first = archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        assert sorted(file.namelist()) == sorted(
            f"{folder.name}/{p.name}" for p in folder.iterdir()
        )
    share.share(profiles.get("smoke"))
    assert archive.read_bytes() == first, "equal reports give an equal file"


def test_without_a_run_there_is_nothing_to_share(outputs: Path) -> None:
    with pytest.raises(MissingArtifact, match="make reproduce PROFILE=smoke"):
        share.share(profiles.get("smoke"))


def test_what_was_found_is_said_in_lines(outputs: Path) -> None:
    card = [["training", "+1.5 points (-2.0 to 5.0)", True], ["runs", "3", False]]
    write(outputs, "10_paper_vs_here", card=card)
    assert report.found(profiles.get("smoke")) == [
        f"open {outputs}/reports/index.html",
        "  training: +1.5 points (-2.0 to 5.0)",
    ]
