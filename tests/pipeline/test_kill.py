"""Kill -9 at random moments and run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.cli.test_cli import ROOT
from tests.whole import write_whole

KILLS = 3
SEED = 20
# Without real pictures, which would be a third of the time: so that most kills meet a stage at work.
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


def test_a_run_killed_again_and_again_gives_the_same_bytes(tmp_path: Path) -> None:
    calm, rough = write_whole(tmp_path / "calm"), write_whole(tmp_path / "rough")
    started = time.monotonic()
    assert start(calm).wait(timeout=300) == 0
    whole = time.monotonic() - started
    moments = np.random.default_rng(SEED).uniform(0.2, whole, size=KILLS)
    killed = 0
    for moment in moments:
        process = start(rough)
        try:
            process.wait(timeout=float(moment))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed >= 1
    assert start(rough).wait(timeout=300) == 0
    for name in ("records.parquet", "contrasts.json"):
        assert (rough / name).read_bytes() == (calm / name).read_bytes()
    for one in sorted((calm.parent / ".store").rglob("policy/*.safetensors")):
        other = rough.parent / ".store" / one.relative_to(calm.parent / ".store")
        assert other.read_bytes() == one.read_bytes()
