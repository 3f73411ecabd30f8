"""The process engine: worker processes side by side, one stage each.

On a CPU there are as many workers as cores, each with one thread: two threads for one tiny model were measured 2 to
13 times slower than one on a busy machine, and two processes use two cores fully. On GPUs there is one worker per
device (or per group of devices that train together), and CPU workers beside them for stages that need none.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from bench.core.errors import BenchError
from bench.core.frozen import encode
from bench.core.stage import Progress, Stage
from bench.engine.events import ALONE, Event, Slot, Together
from bench.engine.store import Store

RETRIES_AFTER_DEATH = 1


class ProcessEngine:
    """Worker processes on the given slots, started when first needed and kept for the next stage."""

    def __init__(self, store: Store, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        self._store = store
        self._events: queue.Queue[Event] = queue.Queue()
        self._workers: dict[int, subprocess.Popen[str]] = {}
        self._running: dict[int, Stage] = {}
        self._deaths: dict[str, int] = {}

    def start(self, stage: Stage, slot: int) -> None:
        """Send the stage to the worker of a slot."""
        worker = self._worker(slot)
        self._running[slot] = stage
        request = {
            "key": stage.key,
            "stage": encode(stage),
            "store": str(self._store.root),
            "device": self.slots[slot].device,
            "together": asdict(self.slots[slot].together),
        }
        if worker.stdin is None:
            raise RuntimeError("a worker was started without a pipe")
        with contextlib.suppress(OSError):  # a dead worker is noticed by its listener, which makes it an event
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event of any worker, or None after ``timeout`` seconds."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Kill all workers; what they were computing resumes from its last checkpoint next time."""
        self._running.clear()
        for worker in self._workers.values():
            worker.kill()
        for worker in self._workers.values():
            worker.wait()
        self._workers.clear()

    def _worker(self, slot: int) -> subprocess.Popen[str]:
        worker = self._workers.get(slot)
        if worker is not None and worker.poll() is None:
            return worker
        logs = self._store.root / ".logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"worker-{slot}.log").open("a", encoding="utf-8") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "bench.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(self.slots[slot]),
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its workers
            )
        self._workers[slot] = worker
        threading.Thread(target=self._listen, args=(slot, worker), daemon=True).start()
        return worker

    def _listen(self, slot: int, worker: subprocess.Popen[str]) -> None:
        if worker.stdout is None:
            raise RuntimeError("a worker was started without a pipe")
        for line in worker.stdout:
            event = read_event(json.loads(line))
            if event.name in ("done", "failed"):
                self._running.pop(slot, None)
            self._events.put(event)
        stage = self._running.pop(slot, None)
        if stage is not None:
            self._after_death(slot, stage, worker.wait())

    def _after_death(self, slot: int, stage: Stage, code: int) -> None:
        """Try a stage once more whose worker died under it; it resumes from its own checkpoints."""
        deaths = self._deaths[stage.key] = self._deaths.get(stage.key, 0) + 1
        if deaths <= RETRIES_AFTER_DEATH:
            self.start(stage, slot)
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = " (signal 9 is often the system running out of memory)" if code == -9 else ""
        log = self._store.root / ".logs" / f"worker-{slot}.log"
        text = f"the worker process died twice, the last time by {how}{hint}. What it printed is in {log}."
        self._events.put(Event("failed", stage.key, text=text))


def read_event(line: dict[str, object]) -> Event:
    """Return the event in a line from a worker."""
    name, key = str(line["event"]), str(line["key"])
    if name == "progress":
        progress = Progress(*(line[field] for field in ("done", "total", "unit", "tokens", "note")))  # type: ignore[arg-type]
        return Event("progress", key, progress=progress)
    if name == "done":
        return Event("done", key, computed=bool(line["computed"]))
    return Event("damage" if name == "damage" else "failed", key, text=str(line["text"]))


def environment(slot: Slot) -> dict[str, str]:
    """Return the environment of a worker: one thread on a CPU slot, only its own devices on an accelerator slot."""
    env = with_these_packages()
    env["TOKENIZERS_PARALLELISM"] = "false"
    env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS is deterministic only with a fixed workspace
    if not slot.accelerators:
        env.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
        env["CUDA_VISIBLE_DEVICES"] = ""
    else:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, slot.accelerators))
    return env


def with_these_packages() -> dict[str, str]:
    """Return the environment of a Python process that imports this very bench, with the methods and tasks beside it.

    Wherever they lie, a checkout that is not installed too, they come first; the working directory, which ``python -m``
    would look into before all else, is not looked into: a folder ``methods`` of the user's own may lie there.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def slots_of_this_machine(workers: int | None, together: Together = ALONE) -> tuple[Slot, ...]:
    """Return the accelerator slots, then the CPU slots.

    An accelerator slot has a device for each process that trains on it ``together``; devices left over are not
    used. There are ``workers`` CPU slots, or as many as this process may use cores, so many for each. Raises
    BenchError when there are accelerators, but too few for one slot.
    """
    devices, processes = accelerators(), together.processes
    if devices and len(devices) < processes:
        raise BenchError(
            f"{processes} processes that train together need a device each, but there are {len(devices)}. "
            "Lower --processes, or hide the devices with CUDA_VISIBLE_DEVICES= to train on the CPU."
        )
    groups = [devices[start : start + processes] for start in range(0, len(devices) - processes + 1, processes)]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    on_cpu = Slot("cpu", together=ALONE if devices else together)
    return (
        *(Slot("cuda", group, together) for group in groups),
        *(on_cpu for _ in range(workers or max(1, cores // on_cpu.together.processes))),
    )


def accelerators() -> tuple[int, ...]:
    """Return the indices of the NVIDIA devices this process may use, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(int(part) for part in visible.split(",") if part.strip().isdigit())
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listing = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        return tuple(int(line) for line in listing.split())
    return ()
