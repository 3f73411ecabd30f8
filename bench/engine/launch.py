"""Starting one stage in several processes of this machine, and reading what they report.

``accelerate launch`` starts them (``bench.engine.distributed``); they meet through gloo on a CPU and NCCL on GPUs. A
folder holds what is asked and what comes back; progress comes as JSON lines on standard output. The processes end
themselves when their standard input closes, so a killed parent leaves none behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bench.core.errors import StageError
from bench.core.frozen import encode
from bench.core.machine_limits import MachineError
from bench.core.meter import Meter
from bench.core.stage import Stage, StageIO
from bench.engine.events import Together
from bench.engine.processes import with_these_packages
from bench.engine.wire import BEATS, PATIENCE_SECONDS, lines_of, read_event

REQUEST = "request.json"
METER = "meter.json"
FAILURES = "failure-*.txt"


class ProcessesLost(StageError):
    """Processes that computed a stage together have died or hang, as a worker may: the stage is tried once more."""


def run_in_processes(stage: Stage, io: StageIO, store: Path, together: Together) -> None:
    """Run a stage in several processes ``together``; the main one writes to ``io.out`` and ``io.scratch``.

    ``store`` is where they read the stage's inputs. What they consumed is added to ``io.meter``. Raises StageError
    with the reason of the first process that failed, which ends the others, and ProcessesLost where one died without
    a reason or sent no heartbeat for ``PATIENCE_SECONDS``.
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
        code = _launch(command(folder, together.processes), together.processes, io)
        failures = sorted(folder.glob(FAILURES), key=lambda path: path.stat().st_mtime_ns)
        if failures:
            name, _, reason = failures[0].read_text(encoding="utf-8").partition(" ")
            raise (MachineError if name == "halted" else StageError)(reason)
        if code != 0 or not (folder / METER).is_file():
            raise ProcessesLost(
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


def _launch(arguments: list[str], processes: int, io: StageIO) -> int:
    """Return the exit code of the launcher, after passing on progress and warnings; raises ProcessesLost for a hang."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,  # never written to: its end tells the processes that this one is gone
        stdout=subprocess.PIPE,
        env=with_these_packages(),
        start_new_session=True,  # so that a hanging process is ended with all the others
    ) as launcher:
        if launcher.stdout is None:
            raise RuntimeError("the launcher was started without a pipe")
        heard = {str(rank): time.monotonic() for rank in range(processes)}
        hangs: list[str] = []
        over = threading.Event()
        threading.Thread(target=_watch, args=(launcher, heard, hangs, over), daemon=True).start()
        try:
            for line in lines_of(launcher.stdout):
                event = read_event(line)
                if event is None:  # the launcher itself has something to say
                    sys.stderr.write(line.decode("utf-8", "replace") + "\n")
                elif event.name == "alive" and event.key in heard:
                    heard[event.key] = time.monotonic()
                elif event.name == "warning":
                    io.warn(event.text)
                elif event.progress is not None:
                    io.on_progress(event.progress)
        finally:
            over.set()
        code = launcher.wait()
    if hangs:
        raise ProcessesLost(f"process {hangs[0]} of {processes} that train together gave no sign of life")
    return code


def _watch(
    launcher: subprocess.Popen[bytes], heard: Mapping[str, float], hangs: list[str], over: threading.Event
) -> None:
    """End the launcher and all it started when a process has sent nothing for too long; its number goes to ``hangs``.

    Where this process itself was stopped for a while, nobody is to blame: it listens for as long again.
    """
    looked = listening_since = time.monotonic()
    while not over.wait(PATIENCE_SECONDS / BEATS):
        now = time.monotonic()
        if now - looked > 2 * PATIENCE_SECONDS / BEATS:
            listening_since = now
        looked = now
        silent = [rank for rank, at in heard.items() if now - max(at, listening_since) > PATIENCE_SECONDS]
        if silent:
            hangs += silent
            with contextlib.suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
            return
