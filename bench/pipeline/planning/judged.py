"""Every judge on every pair of arms, at every run, on every task."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.comparison import Comparison
from bench.core.policy import PolicySpec
from bench.evaluation.measurement import bound
from bench.evaluation.measurements.win_rate import JudgePairs
from bench.pipeline.planning.audited import Answers
from bench.pipeline.planning.cells import Judged


def judgings(
    comparison: Comparison, policies: dict[tuple[str, int], PolicySpec], answers: Answers
) -> Iterator[Judged]:  # fmt: skip
    """Yield the verdicts of each judge on each pair, those of judges that cannot be asked yet among them."""
    evaluation = comparison.evaluation
    for task in evaluation.tasks:
        for a, b in evaluation.contrasts:
            for run in comparison.given.seeds:
                ours, theirs = answers[task.NAME, a, run], answers[task.NAME, b, run]
                for judge in bound(evaluation.judges, policies, run):
                    stage = JudgePairs(a=ours, b=theirs, judge=judge.judge, orders=evaluation.orders)
                    yield Judged(a, b, run, task, judge, stage)
