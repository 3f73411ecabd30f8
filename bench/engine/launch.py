"""Starting one stage in several processes of this machine, and reading what they report.

``accelerate launch`` starts them (``bench.engine.distributed``); they meet through gloo on a CPU and NCCL on GPUs. A
folder holds what is asked and what comes back; progress comes as JSON lines on standard output. The processes end
themselves when their standard input closes, so a killed parent leaves none behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench.core.errors import StageError
from bench.core.frozen import encode
from bench.core.meter import Meter
from bench.core.stage import Progress, Stage, StageIO
from bench.engine.events import Together
from bench.engine.processes import read_event, with_these_packages

REQUEST = "request.json"
METER = "meter.json"
FAILURES = "failure-*.txt"


def run_in_processes(stage: Stage, io: StageIO, store: Path, together: Together) -> None:
    """Run a stage in several processes ``together``; the main one writes to ``io.out`` and ``io.scratch``.

    ``store`` is where they read the stage's inputs. What they consumed is added to ``io.meter``. Raises StageError
    with the reason of the first process that failed, which ends the others.
    """
    request = {
        "key": stage.key,
        "stage": encode(stage),
        "store": str(store.resolve()),
        "out": str(io.out.resolve()),
        "scratch": str(io.scratch.resolve()),
        "device": io.device,
        **asdict(together),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        code = _launch(command(folder, together.processes), io.on_progress)
        failures = sorted(folder.glob(FAILURES), key=lambda path: path.stat().st_mtime_ns)
        if failures:
            raise StageError(failures[0].read_text(encoding="utf-8"))
        if code != 0 or not (folder / METER).is_file():
            raise StageError(
                f"the launch of {together.processes} processes ended with exit code {code} and no reason. What they "
                "printed is in the worker's log; a process that vanished was often killed because memory ran out."
            )
        io.meter = io.meter + Meter(**json.loads((folder / METER).read_text(encoding="utf-8")))


def command(folder: Path, processes: int) -> list[str]:
    """Return the command line that starts the processes."""
    # Not --cpu: with it, accelerate starts a single process. --multi_gpu starts all of them without any GPU, too.
    settings = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    settings += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *settings]
    return [*launcher, "-m", "bench.engine.distributed", str(folder)]


def _launch(arguments: list[str], on_progress: Callable[[Progress], None]) -> int:
    """Return the exit code of the launcher, after passing on all progress."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,  # never written to: its end tells the processes that this one is gone
        stdout=subprocess.PIPE,
        text=True,
        env=with_these_packages(),
    ) as launcher:
        if launcher.stdout is None:
            raise RuntimeError("the launcher was started without a pipe")
        for line in launcher.stdout:
            if not line.startswith('{"event"'):
                sys.stderr.write(line)  # the launcher itself has something to say
                continue
            event = read_event(json.loads(line))
            if event.progress is not None:
                on_progress(event.progress)
        return launcher.wait()
