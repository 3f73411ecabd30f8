"""Peak memory of a DPO step at a large vocabulary, each program in a process of its own.

    python -m tests.benchmarks.memory ours|theirs

prints the bytes by which the process's resident memory rose at its highest during two steps over what it held before
them (weights, data and the precomputed reference); the second step has the optimiser's state. Linux only.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measure import Row

PAIRS = 16
BATCH = 8
ROOT = Path(__file__).resolve().parents[2]


def resident(name: str) -> int:
    """Return VmRSS (now) or VmHWM (highest) of this process in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def peak_of(which: str) -> int:
    """Return how far the highest resident memory of a training lies above that before it."""
    from tests.benchmarks.training import our_dpo, their_dpo
    from tests.benchmarks.workloads import WIDE, pairs

    make = {"ours": our_dpo, "theirs": their_dpo}[which]
    run = make(WIDE.model(), pairs(PAIRS, 96, 32, vocabulary=WIDE.vocabulary), BATCH)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest starts again from the present
    before = resident("VmRSS")
    run(1)
    return resident("VmHWM") - before


def measured(which: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.memory", which]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return float(done.stdout.split()[-1]) / 2**20


def memory() -> Row:
    """Compare the highest memory, once: it hardly differs between processes, and TRL's takes a minute or two."""
    return Row(
        "peak memory of a DPO step",
        "Llama, vocabulary 150k, width 64",
        f"batch {BATCH}, prompt:response 96:32; one process each",
        "MiB",
        [measured("ours")],
        [measured("theirs")],
        0.5,
        at_most=True,
    )


if __name__ == "__main__":
    from tests.benchmarks.__main__ import quiet

    quiet()
    sys.stdout.write(f"{peak_of(sys.argv[1])}\n")
