"""Kill -9 of runs and of workers at random moments: run again, or on, to the same bytes.

Each case takes a finished comparison from which a random part of the stages is gone, kills what computes them, and
compares records, conclusions and weights. ``tests/pipeline/test_kill.py`` kills one run again and again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench.cli.app import main
from bench.engine.manifest import MANIFEST
from tests import forked
from tests.faults._whole import computed, finished, same_results, store_of
from tests.faults.case import Case
from tests.once import ROOT, STORE
from tests.sketched import sketched

TITLE = "kills of runs (20) and of workers (20) at random moments"
IN_SUITE = 0  # tests/pipeline/test_kill.py
EACH = 20
MOST_SECONDS = 600.0


class Workers:
    """A run by its command, whose worker processes are not killed with it and have to end by themselves."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.cli", "run", str(folder), "--workers", str(workers)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """Return the processes of its workers."""
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in file.read_text(encoding="ascii").split()] if file.exists() else []


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


def finished_in(root: Path) -> int:
    """Return how many stages are whole in the store; what is at work beside them may vanish while one looks."""
    return sum(1 for kind in (root / STORE).glob("[!.]*") for _ in kind.rglob(MANIFEST))


def same_weights(root: Path, calm: Path) -> None:
    """Raise AssertionError where a policy of the calm root has other bytes in the other one."""
    for one in sorted((calm / STORE).rglob("policy/*.safetensors")):
        other = root / STORE / one.relative_to(calm / STORE)
        assert other.read_bytes() == one.read_bytes(), other


def cases() -> list[Case]:
    """As many kills of runs as of workers."""
    return [
        *(Case(f"run {number + 1} of {EACH}", partial(kill_a_run, number)) for number in range(EACH)),
        *(Case(f"worker {number + 1} of {EACH}", partial(kill_a_worker, number)) for number in range(EACH)),
    ]


def to_run(folder: Path, random: np.random.Generator) -> Path:
    """Return the comparison without a random part of its stages, at least one that trains among them."""
    whole = finished(folder)
    places = [manifest.parent for manifest in sorted(store_of(whole).glob("[!.]*/**/manifest.json"))]
    trained = [place for place in places if place.parent.parent.name == "train"]
    gone = {*random.choice(len(places), size=int(random.integers(5, 25)), replace=False).tolist()}
    for place in {random.choice(len(trained))}:
        gone.add(places.index(trained[place]))
    for place in gone:
        shutil.rmtree(places[place])
    return whole


def ends_well(whole: Path) -> None:
    """Raise AssertionError unless the same command ends now as if nothing had happened."""
    last = Inline(whole).process
    last.join(timeout=MOST_SECONDS)
    assert last.exitcode == 0, last.exitcode
    same_results(whole)
    same_weights(whole.parents[1], computed())
    assert finished_in(whole.parents[1]) == finished_in(computed())


def kill_a_run(number: int, folder: Path) -> None:
    random = np.random.default_rng([20, number])
    whole = to_run(folder, random)
    run = Workers(whole) if number % 5 == 0 else Inline(whole)
    time.sleep(float(random.uniform(0.5, 6.0)))
    run.kill()
    ends_well(whole)


def kill_a_worker(number: int, folder: Path) -> None:
    random = np.random.default_rng([21, number])
    whole = to_run(folder, random)
    run = Workers(whole, 1)
    deadline = time.monotonic() + MOST_SECONDS
    try:
        while not (workers := run.children()) and not run.ended():
            time.sleep(0.05)
        time.sleep(float(random.uniform(0.5, 6.0)))
        for worker in workers[:1]:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(worker, signal.SIGKILL)
        while not run.ended():
            assert time.monotonic() < deadline, "the run hangs"
            time.sleep(0.1)
    finally:
        if not run.ended():
            run.kill()
    assert run.process.returncode == 0, run.process.returncode
    ends_well(whole)
