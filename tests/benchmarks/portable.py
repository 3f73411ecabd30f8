"""What fixing the kernels costs: processor time with ``--portable`` against without, in turn.

    python -m tests.benchmarks.portable [--rounds 5] [--steps 100]

Two things are timed, each in processes of its own, children included: a whole run of the tiny comparison of
``tests.whole``, in which loading packages weighs more than computing, and pretraining the smallest embedded world's
base for some steps, which is little else than products of small matrices.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.engine.kernels import portable_environment
from bench.engine.processes import with_these_packages
from tests.benchmarks.measure import HEADER, Row, alternately
from tests.whole import write_whole

TRAINING = """\
import sys, tempfile, time
from pathlib import Path
from tasks._atlas.stages import PretrainAtlas
from tasks.atlas import SIZES, Atlas
from tests.methods.tiny import Bench
stage = Atlas().policy("small").by.model_copy(update={"steps": int(sys.argv[1])})
with tempfile.TemporaryDirectory() as folder:
    began = time.process_time()
    Bench(Path(folder)).payload(stage)
    print(time.process_time() - began)
"""


def whole_run(options: Sequence[str], _round: int) -> float:
    """Return the processor seconds of a run of the tiny comparison from nothing, workers included."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "bench.cli", "run", str(write_whole(Path(folder))), "--workers", "1", *options]
        before = used()
        subprocess.run(line, env=with_these_packages(), capture_output=True, check=True)
        return used() - before


def used() -> float:
    """Return the processor seconds of all processes that this one has started and that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def training(env: Mapping[str, str], steps: int, _round: int) -> float:
    """Return the processor seconds of pretraining alone, in a process with that environment."""
    line = [sys.executable, "-c", TRAINING, str(steps)]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    plain = {**with_these_packages(), "OMP_NUM_THREADS": "1"}
    steps, data = options.steps, f"atlas small, {options.steps} steps"
    sys.stdout.write(f"{HEADER}\n")
    for what, of, ours, theirs in (
        (
            "training",
            data,
            partial(training, portable_environment(plain), steps),
            partial(training, plain, steps),
        ),
        ("whole run", "tests.whole", partial(whole_run, ["--portable"]), partial(whole_run, [])),
    ):
        row = Row(f"{what}, portable against ordinary", "", of, "s", *alternately(ours, theirs, options.rounds), None)
        sys.stdout.write(f"{row.line()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
