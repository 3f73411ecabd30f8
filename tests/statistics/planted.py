"""Records of planted judges: texts that are only lengths, and judges whose rule is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.core.judge import Judge, Pair, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from tests.statistics.build import rows, table

Rule = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Steady(Judge):
    NAME: ClassVar[str] = "steady"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return []

    def rate(self, task: Task | None, responses: Any, io: StageIO) -> list[Verdict]:
        return []


class Noisy(Steady):
    NAME: ClassVar[str] = "noisy"
    seed: int = 0


class Gold(Steady):
    NAME: ClassVar[str] = "gold"


class Longer(Steady):
    NAME: ClassVar[str] = "longer_wins"


class People(Steady):
    NAME: ClassVar[str] = "human"


class World:
    """Lengths of two arms' responses, and tables of verdicts on them; all from one seed."""

    def __init__(self, prompts: int = 150, runs: int = 3, seed: int = 0, longer: float = 0.3) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = (prompts, runs)
        base = self.rng.normal(5, 0.5, (prompts, 1))
        self.a = np.round(np.exp(base + self.rng.normal(longer, 0.4, self.shape)))
        self.b = np.round(np.exp(base + self.rng.normal(0.0, 0.4, self.shape)))
        self.clusters = [f"c{number // 2:03d}" for number in range(prompts)]

    def longer_wins(self) -> np.ndarray:
        return (1 + np.sign(self.a - self.b)) / 2

    def coin(self, chance: float | np.ndarray) -> np.ndarray:
        return (self.rng.random(self.shape) < chance).astype(float)

    def verdicts(
        self, judge: str, first: np.ndarray, second: np.ndarray | None = None, metric: str = "win_rate"
    ) -> list[dict[str, Any]]:
        labels = {"source": judge, "versus": "b"}
        found = rows("a", first, metric, self.clusters, **labels, order="first")
        return found if second is None else found + rows("a", second, metric, self.clusters, **labels, order="second")

    def lengths(self) -> list[dict[str, Any]]:
        return rows("a", self.a, "response_characters", self.clusters) + rows(
            "b", self.b, "response_characters", self.clusters
        )

    def controls(self) -> pa.Table:
        """The verdicts of two controls, in both orders."""
        longer, ones = self.longer_wins(), np.ones(self.shape)
        return table(
            self.verdicts("longer_wins", longer, longer, "control")
            + self.verdicts("first_wins", ones, 0 * ones, "control")
        )
