"""The task knows the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from bench.core.checker import Asked, Verifier
from bench.core.errors import BenchError
from bench.core.stage import StageIO
from bench.core.task import Finding, Task


class Exact(Verifier):
    """The task's own truth: the facts of an embedded world, or the reference answers of a question."""

    NAME: ClassVar[str] = "exact"
    VERSION: ClassVar[int] = 1
    READS: ClassVar[Literal["task", "passages"]] = "task"

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Return one finding per claim, in order."""
        return [task.support(one.prompt, one.claim) for one in asked]

    def check(self, task: Task) -> None:
        """Raise BenchError for a task that does not know what is true."""
        if type(task).support is Task.support:
            raise BenchError(
                f"task {task.NAME} does not know what is true\n"
                "use a verifier that reads passages, with `knowledge:`, or name the tasks that do under `tasks:`"
            )
