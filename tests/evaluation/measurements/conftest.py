"""A comparison with cells of every measurement, run once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import bench_sketched
from tests.evaluation.measurements.everything import without_list_of_packages, write_everything
from tests.once import made_once


@pytest.fixture(scope="session", autouse=True)
def _no_list_of_packages() -> Iterator[None]:
    """lm-eval has pip list every package after each task, for a part of its results that nothing here reads."""
    with without_list_of_packages():
        yield


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the comparison, which has been run in one of pytest's processes: to be read, not to be changed."""
    return made_once(tmp_path_factory, "everything", run_everything)


def run_everything(root: Path) -> None:
    done = bench_sketched("run", write_everything(root), "--engine", "inline", "--json")
    assert done.returncode == 0, done.stderr
