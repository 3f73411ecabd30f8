"""Kill -9 at random moments and run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.cli.app import main
from bench.engine.manifest import MANIFEST
from tests import forked
from tests.once import ROOT, STORE
from tests.sketched import sketched
from tests.whole import write_whole

SEED = 20
STAGES = 58


class Workers:
    """A run by its command, whose two worker processes are not killed with it and have to end by themselves."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.cli", "run", str(folder), "--workers", "2"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Inline:
    """A run in one process, which has nothing to import."""

    def __init__(self, folder: Path) -> None:
        self.process = forked.start(run_inline, folder)

    def ended(self) -> bool:
        return self.process.exitcode is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def run_inline(folder: Path) -> None:
    """Without real pictures, which nobody looks at here."""
    with sketched():
        main(["run", str(folder), "--engine", "inline"])


def finished(root: Path) -> int:
    """Return how many stages are whole in the store; what is at work beside them may vanish while one looks."""
    return sum(1 for kind in (root / STORE).glob("[!.]*") for _ in kind.rglob(MANIFEST))


@pytest.mark.slow
def test_a_run_killed_again_and_again_gives_the_same_bytes(tmp_path: Path, computed: Path) -> None:
    """Each kill comes a moment after a random number of stages, one in each part of the run, and at least one more.

    The first meets the command and two workers, which have to end by themselves: ``tests.benchmarks.kill_quickstart``
    does that twenty times.
    """
    calm, rough = computed / "results" / "whole", write_whole(tmp_path)
    random = np.random.default_rng(SEED)
    runs: list[Callable[[Path], Workers | Inline]] = [Workers, Inline, Inline]
    for start, part in zip(runs, np.array_split(np.arange(1, STAGES - 1), len(runs)), strict=True):
        stages = max(int(random.choice(part)), finished(tmp_path) + 1)
        run = start(rough)
        try:
            while finished(tmp_path) < stages and not run.ended():
                time.sleep(0.05)
            time.sleep(random.uniform(0.0, 0.3))
            assert not run.ended(), "the run has ended by itself"
        finally:
            run.kill()
    last = Inline(rough).process
    last.join(timeout=300)
    assert last.exitcode == 0
    assert finished(tmp_path) == finished(computed) == STAGES
    for name in ("records.parquet", "contrasts.json"):
        assert (rough / name).read_bytes() == (calm / name).read_bytes()
    for one in sorted((computed / STORE).rglob("policy/*.safetensors")):
        other = tmp_path / STORE / one.relative_to(computed / STORE)
        assert other.read_bytes() == one.read_bytes()
