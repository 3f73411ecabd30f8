"""Kill -9 at random moments and run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.engine.store import MANIFEST
from tests.once import ROOT, STORE
from tests.whole import write_whole

KILLS = 3
SEED = 20
STAGES = 58
# Without real pictures, which nobody looks at here.
RUN = (
    "import sys; from bench.cli import main; from tests.sketched import sketched\n"
    "with sketched():\n    main(['run', sys.argv[1]])"
)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a run in processes of its own, of which the first leads the group."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def finished(root: Path) -> int:
    """Return how many stages are whole in the store."""
    store = root / STORE
    return sum(1 for place in store.rglob(MANIFEST) if not place.relative_to(store).parts[0].startswith("."))


@pytest.mark.slow
def test_a_run_killed_again_and_again_gives_the_same_bytes(tmp_path: Path, computed: Path) -> None:
    """Each kill comes a moment after a random number of stages, one in each part of the run, and at least one more."""
    calm, rough = computed / "results" / "whole", write_whole(tmp_path)
    random = np.random.default_rng(SEED)
    for part in np.array_split(np.arange(1, STAGES - 1), KILLS):
        stages = max(int(random.choice(part)), finished(tmp_path) + 1)
        process = start(rough)
        try:
            while finished(tmp_path) < stages and process.poll() is None:
                time.sleep(0.05)
            time.sleep(random.uniform(0.0, 0.3))
            assert process.poll() is None, "the run has ended by itself"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert start(rough).wait(timeout=300) == 0
    assert finished(tmp_path) == finished(computed) == STAGES
    for name in ("records.parquet", "contrasts.json"):
        assert (rough / name).read_bytes() == (calm / name).read_bytes()
    for one in sorted((computed / STORE).rglob("policy/*.safetensors")):
        other = tmp_path / STORE / one.relative_to(computed / STORE)
        assert other.read_bytes() == one.read_bytes()
