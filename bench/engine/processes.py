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
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.errors import BenchError, one_line
from bench.core.frozen import encode
from bench.core.stage import Stage
from bench.engine.events import ALONE, Event, Slot, Together
from bench.engine.kernels import ONE_THREAD
from bench.engine.store import LOGS, Store
from bench.engine.wire import PATIENCE_SECONDS, lines_of, read_event

RETRIES_AFTER_DEATH = 1
# How long after its last line a dead worker is waited for to close its end; something it started may hold it open.
SECONDS_TO_CLOSE = 5.0
# Whoever looked away for so long was stopped itself, and may not hold silence against its workers.
SECONDS_AWAY = 60.0
LINES_WAITING = 1_000


@dataclass
class _Worker:
    """A worker process, the stage it computes and since when, when it was last heard, and why it was ended."""

    process: subprocess.Popen[bytes]
    heard: float
    stage: Stage | None = None
    began: float = 0.0
    overdue: str | None = None
    hangs: str | None = None
    has_babbled: bool = False


class ProcessEngine:
    """Worker processes on the given slots, started when first needed and kept for the next stage.

    ``timeout``: the most seconds of one attempt at a stage, None without a limit. A worker that dies, or sends no
    heartbeat for ``patience`` seconds, is replaced, and its stage tried once more. What a heartbeat shows, and what it
    does not, says ``bench.engine.wire``.
    """

    def __init__(
        self, store: Store, slots: tuple[Slot, ...], timeout: float | None = None, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.slots = slots
        self._store = store
        self._timeout = timeout
        self._patience = patience
        self._lines: queue.Queue[tuple[int, _Worker, bytes | None]] = queue.Queue(maxsize=LINES_WAITING)
        self._workers: dict[int, _Worker] = {}
        self._deaths: dict[str, int] = {}
        self._looked = time.monotonic()

    def start(self, stage: Stage, slot: int) -> None:
        """Send the stage to the worker of a slot."""
        worker = self._worker(slot)
        worker.stage, worker.has_babbled = stage, False
        worker.overdue = worker.hangs = None
        worker.began = worker.heard = time.monotonic()
        request = {
            "key": stage.key,
            "stage": encode(stage),
            "store": str(self._store.root),
            "device": self.slots[slot].device,
            "together": asdict(self.slots[slot].together),
        }
        line = json.dumps(request).encode() + b"\n"
        # From a thread: a worker that hangs reads nothing, and a long request does not fit into the pipe.
        threading.Thread(target=_send, args=(worker.process, line), daemon=True).start()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event of any worker, or None after ``timeout`` seconds."""
        self._end_what_hangs()
        try:
            slot, worker, line = self._lines.get(timeout=timeout)
        except queue.Empty:
            return self._of_the_dead()
        if self._workers.get(slot) is not worker:
            return None  # it was replaced
        if line is None:
            return self._after_death(slot, worker)
        worker.heard = time.monotonic()
        return self._understood(slot, worker, line)

    def close(self) -> None:
        """Kill all workers; what they were computing resumes from its last checkpoint next time."""
        workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.process.kill()
        for worker in workers.values():
            worker.process.wait()

    def log_of(self, slot: int) -> Path:
        """Return where the workers of a slot print to."""
        return self._store.root / LOGS / f"worker-{slot}.log"

    def _worker(self, slot: int) -> _Worker:
        worker = self._workers.get(slot)
        if worker is not None and worker.process.poll() is None:
            return worker
        self.log_of(slot).parent.mkdir(parents=True, exist_ok=True)
        with self.log_of(slot).open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.engine.worker", str(self._patience)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(self.slots[slot]),
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its workers
            )
        worker = self._workers[slot] = _Worker(process, time.monotonic())
        threading.Thread(target=self._listen, args=(slot, worker), daemon=True).start()
        return worker

    def _listen(self, slot: int, worker: _Worker) -> None:
        """Queue all that a worker says, then None, whatever happens here."""
        try:
            if worker.process.stdout is not None:
                for line in lines_of(worker.process.stdout):
                    self._lines.put((slot, worker, line))
        finally:
            self._lines.put((slot, worker, None))

    def _understood(self, slot: int, worker: _Worker, line: bytes) -> Event | None:
        """Return the event in a line, None for a heartbeat; for the first line that is no event of its stage, that."""
        event, stage = read_event(line), worker.stage
        if event is not None and event.name == "alive":
            return None
        if event is None or stage is None or event.key != stage.key:
            if stage is None or worker.has_babbled:
                return None
            worker.has_babbled = True
            began = one_line(line[:80].decode("utf-8", "backslashreplace"))
            text = f"{stage.label()}: its worker sent something that is no event ({began}); passed over"
            return Event("warning", stage.key, text=text)
        if event.name == "lost":
            return self._try_again(slot, stage, event.text)
        if event.name in ("done", "failed", "halted"):
            worker.stage = None
        return event

    def _end_what_hangs(self) -> None:
        """Kill workers that are silent for too long, or at their stage for longer than the timeout."""
        now = time.monotonic()
        if now - self._looked > SECONDS_AWAY:
            for worker in self._workers.values():
                worker.heard = now
        self._looked = now
        for worker in self._workers.values():
            if worker.stage is None or worker.overdue is not None or worker.hangs is not None:
                continue
            if self._timeout is not None and now - worker.began > self._timeout:
                worker.overdue = (
                    f"ended after {self._timeout:g} s, the timeout of the comparison. Raise `timeout`, or leave it "
                    "out: the same command then goes on from the stage's last checkpoint, if it has one."
                )
            elif now - worker.heard > self._patience:
                worker.hangs = f"gave no sign of life for {self._patience:g} s"
            else:
                continue
            worker.process.kill()

    def _of_the_dead(self) -> Event | None:
        """Return what comes of a worker that is dead though something still holds its pipe; None without one."""
        now = time.monotonic()
        for slot, worker in self._workers.items():
            silent = now - worker.heard > SECONDS_TO_CLOSE
            if worker.stage is not None and silent and worker.process.poll() is not None:
                return self._after_death(slot, worker)
        return None

    def _after_death(self, slot: int, worker: _Worker) -> Event | None:
        """Return what comes of a worker's end: nothing where it had no stage."""
        del self._workers[slot]
        try:
            code = worker.process.wait(SECONDS_TO_CLOSE)
        except subprocess.TimeoutExpired:  # it has closed its end and lives on
            worker.process.kill()
            code = worker.process.wait()
        if worker.stage is None:
            return None
        if worker.overdue is not None:
            return Event("failed", worker.stage.key, text=worker.overdue)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = ""
        if code == -signal.SIGKILL:
            hint = ", often the system running out of memory: lower --workers, micro_tokens or batch sizes"
        return self._try_again(slot, worker.stage, worker.hangs or f"died by {how}{hint}")

    def _try_again(self, slot: int, stage: Stage, why: str) -> Event:
        """Try a stage once more whose worker died or hung; it resumes from its own checkpoints."""
        deaths = self._deaths[stage.key] = self._deaths.get(stage.key, 0) + 1
        if deaths <= RETRIES_AFTER_DEATH:
            self.start(stage, slot)
            return Event("warning", stage.key, text=f"{stage.label()}: its worker {why}; tried once more")
        if slot in self._workers:
            self._workers[slot].stage = None
        text = f"its worker {why}, the second time. What it printed is in {self.log_of(slot)}."
        return Event("failed", stage.key, text=text)


def _send(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Write a request to a worker; one that is dead is noticed by whoever listens to it."""
    with contextlib.suppress(OSError, ValueError):
        if process.stdin is not None:
            process.stdin.write(line)
            process.stdin.flush()


def environment(slot: Slot) -> dict[str, str]:
    """Return the environment of a worker: one thread on a CPU slot, only its own devices on an accelerator slot."""
    env = with_these_packages()
    env["TOKENIZERS_PARALLELISM"] = "false"
    env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS is deterministic only with a fixed workspace
    if not slot.accelerators:
        env.update(dict.fromkeys(ONE_THREAD, "1"))
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
