"""A judge that takes its model from an arm."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from bench.core.task import Task


class Learnt(Judge):
    NAME: ClassVar[str] = "reward_model"
    VERSION: ClassVar[int] = 1

    of: str
    model: PolicySpec | None = None

    def bound(self, policy_of: Callable[[str], PolicySpec]) -> Self:
        return self.model_copy(update={"model": policy_of(self.of)})

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.5) for _ in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.0) for _ in responses]
