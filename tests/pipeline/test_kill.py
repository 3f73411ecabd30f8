"""Kill -9 at random moments and run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.kills import Inline, Workers, finished_in, same_weights
from tests.whole import write_whole

SEED = 20
STAGES = 58


@pytest.mark.slow
def test_a_run_killed_again_and_again_gives_the_same_bytes(tmp_path: Path, computed: Path) -> None:
    """Each kill comes a moment after a random number of stages, one in each part of the run, and at least one more.

    The first meets the command and two workers, which have to end by themselves: ``python -m
    tests.faults kills`` does that to twenty runs and to twenty workers.
    """
    calm, rough = computed / "results" / "whole", write_whole(tmp_path)
    random = np.random.default_rng(SEED)
    runs: list[Callable[[Path], Workers | Inline]] = [Workers, Inline]
    for start, part in zip(runs, np.array_split(np.arange(1, STAGES - 1), len(runs)), strict=True):
        stages = max(int(random.choice(part)), finished_in(tmp_path) + 1)
        run = start(rough)
        try:
            while finished_in(tmp_path) < stages and not run.ended():
                time.sleep(0.05)
            time.sleep(random.uniform(0.0, 0.3))
            assert not run.ended(), "the run has ended by itself"
        finally:
            run.kill()
    last = Inline(rough).process
    last.join(timeout=300)
    assert last.exitcode == 0
    assert finished_in(tmp_path) == finished_in(computed) == STAGES
    for name in ("records.parquet", "contrasts.json"):
        assert (rough / name).read_bytes() == (calm / name).read_bytes()
    same_weights(tmp_path, computed)
