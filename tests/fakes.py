"""Small stages for tests of the store, the engines and the runner; importable by worker processes."""

from __future__ import annotations

import os
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
