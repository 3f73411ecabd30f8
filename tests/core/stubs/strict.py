"""A judge."""

from collections.abc import Sequence
from typing import ClassVar

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task


class Stub(Judge):
    NAME: ClassVar[str] = "stub_strict"
    VERSION: ClassVar[int] = 1

    margin: float = 0.0

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.5) for _ in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.0) for _ in responses]
