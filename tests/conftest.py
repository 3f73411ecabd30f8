"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets and a small pretrained model; tests that need it are skipped without it."""
    folder = Path(os.environ.get("ALIGNMENT_BENCH_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "models" / "stories260K" / "config.json").is_file():
        pytest.skip(f"no real data in {folder}: set ALIGNMENT_BENCH_DATA to a folder that holds it")
    return folder


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the comparison of ``tests.whole``, which has been run: to be read and copied, not to be changed."""
    from tests.once import made_once, run_whole

    return made_once(tmp_path_factory, "computed", run_whole)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
