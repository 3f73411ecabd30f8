"""A verifier that reads passages."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from bench.core.checker import Asked, Verifier
from bench.core.stage import StageIO
from bench.core.task import Finding, Task


class Reader(Verifier):
    NAME: ClassVar[str] = "stub_verifier"
    VERSION: ClassVar[int] = 1
    READS: ClassVar[Literal["task", "passages"]] = "passages"

    strictness: float = 0.5

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        return [Finding(label="not_supported") for _ in asked]
