"""A comparison with cells of every measurement, run once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_cli import bench_sketched
from tests.evaluation.measurements.everything import write_everything


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the comparison, which has been run in this process: to be read and copied, not to be changed."""
    root = tmp_path_factory.mktemp("everything")
    done = bench_sketched("run", write_everything(root), "--engine", "inline", "--json")
    assert done.returncode == 0, done.stderr
    return root
