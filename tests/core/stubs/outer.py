"""A method whose fields hold other plug-ins, policies, data and rewards."""

from typing import ClassVar

from bench.core.data import DataSpec
from bench.core.judge import Judge
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.reward import ModelReward, RewardSpec
from bench.core.task import Task


class Outer(Method):
    NEEDS: ClassVar[frozenset[str]] = frozenset({"demonstrations"})

    then: Method
    guide: Method | None = None
    labeller: Judge | None = None
    panel: tuple[Judge, ...] = ()
    task: Task | None = None
    anchor: PolicySpec | None = None
    pairs: DataSpec | None = None
    reward: RewardSpec = ModelReward()
    strength: float = 1.0

    def needs(self) -> frozenset[str]:
        guide = self.guide.needs() if self.guide is not None else frozenset()
        return self.NEEDS | self.then.needs() | guide

    def policy(self, given: Given) -> PolicySpec:
        return self.then.policy(given)
