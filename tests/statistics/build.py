"""Small comparisons and records for the tests of the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.config.comparison import Arm, Common, Comparison, Evaluation, Named, StatisticsSettings
from bench.core.judge import Judge, Pair, Verdict
from bench.core.method import Given, Method
from bench.core.metrics import MetricInfo
from bench.core.policy import Decoding, PolicySpec, Pretrained
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task
from bench.results.records import SCHEMA

SCORE = MetricInfo(name="score", unit="points", higher_is_better=True, description="points")
ERRORS = MetricInfo(name="errors", unit="share", higher_is_better=False, description="share of wrong claims")
LENGTH = MetricInfo(name="length", unit="characters", higher_is_better=None, description="characters")
WIN_RATE = MetricInfo(name="win_rate", unit="share", higher_is_better=True, description="share of wins")
METRICS = {metric.name: metric for metric in (WIN_RATE, SCORE, ERRORS, LENGTH)}


class Plain(Method):
    """A method that returns its base."""

    beta: float = 0.1

    def policy(self, given: Given) -> PolicySpec:
        return given.base


class Quiz(Task):
    NAME: ClassVar[str] = "quiz"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()


class Coin(Judge):
    NAME: ClassVar[str] = "coin"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.5) for _ in pairs]

    def rate(self, task: Task, prompt: Prompt, response: str) -> Verdict:
        return Verdict(value=0.5)


def comparison(
    pairs: Sequence[tuple[str, str]] = (("a", "b"),),
    seeds: Sequence[int] = (0, 1, 2),
    judges: Sequence[Judge] = (),
    **settings: Any,
) -> Comparison:
    """Return a comparison of arms a, b, c and a_again, which repeats a."""
    arms = [Arm(name=name, method=Plain(beta=beta), lora=None) for name, beta in (("a", 0.1), ("b", 0.2), ("c", 0.3))]
    arms.append(Arm(name="a_again", method=Plain(beta=0.1), lora=None, replicate="second"))
    return Comparison(
        name="test",
        path="results/test/comparison.yaml",
        question="which?",
        given=Common(base=Pretrained(path="base", digest="0" * 64), seeds=tuple(seeds)),
        arms=tuple(arms),
        evaluation=Evaluation(
            tasks=(Quiz(),),
            judges=tuple(Named(label=judge.NAME, judge=judge) for judge in judges),
            contrasts=tuple(pairs),
        ),
        statistics=StatisticsSettings(**{"resamples": 500, **settings}),
    )


def rows(
    method: str, values: np.ndarray, metric: str = "score", clusters: Sequence[str] | None = None, **labels: Any
) -> list[dict[str, Any]]:
    """Return one row per entry of ``values`` (prompts, runs[, draws])."""
    cells = values if values.ndim == 3 else values[:, :, None]
    return [
        {
            "task": "quiz",
            "prompt": f"p{i:03d}",
            "cluster": clusters[i] if clusters else f"p{i:03d}",
            "kind": "prompt",
            "method": method,
            "run": run,
            "draw": draw,
            "metric": metric,
            "source": "task",
            "versus": None,
            "order": None,
            "value": float(value),
            "status": "ok",
            **labels,
        }
        for (i, run, draw), value in np.ndenumerate(cells)
    ]


def verdicts(a: str, b: str, first: np.ndarray, second: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Return verdict rows for a against b, (prompts, runs), in one or both orders."""
    found = rows(a, first, "win_rate", source="coin", versus=b, order="first")
    if second is not None:
        found += rows(a, second, "win_rate", source="coin", versus=b, order="second")
    return found


def table(records: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(records), schema=SCHEMA)
