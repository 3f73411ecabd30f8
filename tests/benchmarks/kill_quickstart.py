"""Kill the quickstart with signal 9 at random moments, rerun it, and compare the records' bytes.

    python -m tests.benchmarks.kill_quickstart [--comparison results/quickstart] [--kills 20] [--seed 0]

Runs the comparison once undisturbed and once killed again and again, each in a folder of its own, and prints whether
records.parquet and contrasts.json are the same bytes. Not part of `make test`: it takes some ten minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.cli", "run", str(folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "run.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True, env=env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparison", type=Path, default=ROOT / "results" / "quickstart")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name / "results" / options.comparison.name for name in ("calm", "rough")]
        for folder in folders:
            folder.mkdir(parents=True)
            shutil.copy(options.comparison / "comparison.yaml", folder)
        calm, rough = folders
        began = time.monotonic()
        if start(calm).wait() != 0:
            sys.exit("the undisturbed run failed")
        whole = time.monotonic() - began
        sys.stdout.write(f"undisturbed: {whole:.0f} s\n")
        # Moments spread so that the kills together reach through the whole run: each rerun starts where the last ended.
        waits = np.random.default_rng(options.seed).uniform(0.3, 2.2 * whole / options.kills, size=options.kills)
        killed = 0
        for wait in waits:
            process = start(rough)
            try:
                process.wait(timeout=float(wait))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
        status = start(rough).wait()
        if status != 0:
            sys.stdout.write((rough / "run.log").read_text(encoding="utf-8")[-6000:])
            sys.exit("the last run failed")
        same = all(
            (rough / name).read_bytes() == (calm / name).read_bytes() for name in ("records.parquet", "contrasts.json")
        )
        told = "the same bytes" if same else "DIFFERENT bytes"
        sys.stdout.write(f"killed {killed} times, final exit status {status}: {told}\n")
        sys.exit(0 if same and status == 0 else 1)


if __name__ == "__main__":
    main()
