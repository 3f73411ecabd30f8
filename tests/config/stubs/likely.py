"""A judge by a policy's likelihood, as the judge that a policy stands for."""

from collections.abc import Sequence
from typing import ClassVar

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from bench.core.task import Task


class Likely(Judge):
    NAME: ClassVar[str] = "likelihood"
    VERSION: ClassVar[int] = 1

    policy: PolicySpec
    per_token: bool = False

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.5) for _ in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.0) for _ in responses]
