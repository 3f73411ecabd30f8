"""Small stages for tests of the store, the engines and the runner; importable by worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar, Literal

from bench.core.errors import StageError
from bench.core.stage import Resources, Stage, StageIO


class Number(Stage):
    """Writes a number, and a line to a journal, so that a test can count computations."""

    KIND: ClassVar[str] = "test/number"
    VERSION: ClassVar[int] = 1

    value: int
    journal: str
    seconds: float = 0.0

    def run(self, io: StageIO) -> None:
        with Path(self.journal).open("a", encoding="utf-8") as file:
            file.write(f"{self.value}\n")
        time.sleep(self.seconds)
        io.meter.examples += 1
        io.progress(1, 1, "numbers")
        (io.out / "value.txt").write_text(str(self.value), encoding="utf-8")


class Sum(Stage):
    """Adds the numbers of its inputs."""

    KIND: ClassVar[str] = "test/sum"
    VERSION: ClassVar[int] = 1

    parts: tuple[Stage, ...]

    def run(self, io: StageIO) -> None:
        total = sum(int((io.read(part) / "value.txt").read_text(encoding="utf-8")) for part in self.parts)
        (io.out / "value.txt").write_text(str(total), encoding="utf-8")


class Fails(Stage):
    """Fails in the given way."""

    KIND: ClassVar[str] = "test/fails"
    VERSION: ClassVar[int] = 1

    how: Literal["error", "bug", "dies"]

    def run(self, io: StageIO) -> None:
        (io.out / "half.txt").write_text("half", encoding="utf-8")
        if self.how == "error":
            raise StageError("the water is cold. Heat it first.")
        if self.how == "dies":
            os.kill(os.getpid(), 9)
        raise ZeroDivisionError("one over nothing")


class DiesOnce(Stage):
    """Kills its process half-way the first time, and resumes from its scratch folder the second time."""

    KIND: ClassVar[str] = "test/dies_once"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    steps: int = 10

    def run(self, io: StageIO) -> None:
        state = io.scratch / "step.txt"
        start = int(state.read_text(encoding="utf-8")) if state.is_file() else 0
        for step in range(start, self.steps):
            if step == self.steps // 2 and start == 0:
                state.write_text(str(step), encoding="utf-8")
                os.kill(os.getpid(), 9)
        (io.out / "value.txt").write_text(f"resumed at {start}", encoding="utf-8")


Way = Literal[
    "half a line, then dead", "a line of another kind, then dead", "a megabyte without an end, then dead", "killed",
    "ended", "aborted", "stopped", "closes its pipe", "a child holds its pipe, and it is dead", "half a line", "junk",
    "a line of forty megabytes", "deep brackets", "events of others", "waits",
]  # fmt: skip


class Misbehaves(Stage):
    """Does something that no stage should, so many times; each attempt leaves a mark in a journal."""

    KIND: ClassVar[str] = "test/misbehaves"
    VERSION: ClassVar[int] = 1

    way: Way
    times: int
    journal: str

    def run(self, io: StageIO) -> None:
        with Path(self.journal).open("a", encoding="utf-8") as file:
            file.write("x")
        if len(Path(self.journal).read_text(encoding="utf-8")) <= self.times:
            self._misbehave()
        (io.out / "value.txt").write_text("1", encoding="utf-8")

    def _misbehave(self) -> None:
        wire, me = _wire(), os.getpid()
        match self.way:
            case "half a line, then dead":
                os.write(wire, b'{"event": "done", "ke')
                os.kill(me, signal.SIGKILL)
            case "a line of another kind, then dead":
                os.write(wire, b"null\n[]\n17\n{}\n\xff\n")
                os.kill(me, signal.SIGKILL)
            case "a megabyte without an end, then dead":
                _write(wire, b"x" * 2**21)
                os.kill(me, signal.SIGKILL)
            case "a child holds its pipe, and it is dead":
                subprocess.Popen(["sleep", "30"], pass_fds=[wire])
                os.kill(me, signal.SIGKILL)
            case "killed":
                os.kill(me, signal.SIGKILL)
            case "ended":
                os._exit(3)
            case "aborted":
                os.abort()
            case "stopped":
                os.kill(me, signal.SIGSTOP)
            case "closes its pipe":
                os.close(wire)
                time.sleep(600)
            case "half a line":
                os.write(wire, b'{"event": "done", "ke')
            case "junk":
                _write(wire, bytes(range(256)) * 64)
            case "a line of forty megabytes":
                _write(wire, b"x" * 40 * 2**20)
            case "deep brackets":
                _write(wire, b"[" * 100_000)
            case "events of others":
                _write(wire, b'{"event": "done", "key": "another", "computed": true}\n{"event": "progress"}\n')
            case "waits":
                time.sleep(600)


def _wire() -> int:
    """Return the file through which this worker speaks to its parent: the pipe that is none of the three standard."""
    pipes = [int(file.name) for file in Path("/proc/self/fd").iterdir() if int(file.name) > 2 and file.is_fifo()]
    return min(pipes)


def _write(wire: int, content: bytes) -> None:
    while content:
        content = content[os.write(wire, content[:65536]) :]
