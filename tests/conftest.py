"""Shared fixtures: the founders' data folder (absent for users), quiet threads, a private outputs
folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are busy with the other tests
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

for effort, count in (("fast", 25), ("full", 200)):
    settings.register_profile(
        effort, max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SPACER_SHARED", PROJECT.parent / "shared"))


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("fast" if config.getoption("markexpr") == "not slow" else "full")


def effort(fast: int, full: int) -> int:
    """How many rooms a test takes: few in ``make test-fast``."""
    return fast if settings.get_current_profile_name() == "fast" else full


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``make test-fast`` leaves out the files that build models: importing torch, transformers and
    TRL takes ten seconds."""
    if config.getoption("markexpr") != "not slow" or collection_path.suffix != ".py":
        return None
    found = re.search(
        r"^(import torch|from kit\.training_kit|from kit import training_kit)",
        collection_path.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return True if found else None


def shared_path(relative: str) -> Path:
    """Path inside the folder of golden values and real layouts; skips the test where that folder is
    absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(
            f"{relative} is not part of the repository; set SPACER_SHARED to the folder that holds it"
        )
    return path


@pytest.fixture(scope="session", autouse=True)
def own_outputs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is decoded is kept in a folder of the tests."""
    os.environ.setdefault("SPACER_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))


@pytest.fixture(scope="session")
def real_layouts() -> Path:
    """Folder of the real layouts' meta_info JSON."""
    return shared_path("data/real_layouts")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the released reward code's outputs."""
    return shared_path("golden")
