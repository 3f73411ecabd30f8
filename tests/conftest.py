"""Shared fixtures."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let slow files begin where several processes share the files (``-n 2 --dist loadfile``): none ends much later."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Leave what importing has made, a million objects, out of every garbage collection to come."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing of a test outlives a power cut. Processes that tests start do wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
