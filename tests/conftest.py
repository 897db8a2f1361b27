"""Shared fixtures: the founders' data folder (absent for users), quiet threads, a private outputs folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SPACER_SHARED", PROJECT.parent / "shared"))


def shared_path(relative: str) -> Path:
    """Path inside the folder of golden values and real layouts; skips the test where that folder is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not part of the repository; set SPACER_SHARED to the folder that holds it")
    return path


@pytest.fixture(scope="session")
def real_layouts() -> Path:
    """Folder of the real layouts' meta_info JSON."""
    return shared_path("data/real_layouts")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the released reward code's outputs."""
    return shared_path("golden")
