"""What is planned beside every win rate so that its judges can be audited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.config.comparison import Comparison
from bench.core.policy import PolicySpec
from bench.evaluation.generate import Generate
from bench.evaluation.measurement import bound, reseeded
from bench.evaluation.measurements.judge_controls import AskAgain, CompareByControls
from bench.pipeline.planning.cells import AskedAgain, Controlled

# The answers of every (task, arm, run).
Answers = Mapping[tuple[str, str, int], Generate]


def controls(comparison: Comparison, answers: Answers) -> Iterator[Controlled]:
    """Yield the control judges on every pair of arms that is judged; nothing where there is no judge."""
    evaluation = comparison.evaluation
    if not evaluation.judges:
        return
    for task in evaluation.tasks:
        for a, b in evaluation.contrasts:
            for run in comparison.given.seeds:
                ours, theirs = answers[task.NAME, a, run], answers[task.NAME, b, run]
                stage = CompareByControls(a=ours, b=theirs, orders=evaluation.orders)
                yield Controlled(a, b, run, task, stage)


def second_calls(
    comparison: Comparison, policies: Mapping[tuple[str, int], PolicySpec], answers: Answers
) -> Iterator[AskedAgain]:
    """Yield every judge that draws noise asked again, with other noise, on a sample of each pair's prompts.

    At the first training seed only: it is the judge's noise that is measured, and a call may cost money.
    """
    evaluation, run = comparison.evaluation, comparison.given.seeds[0]
    if not evaluation.retest:
        return
    for judge in bound(evaluation.judges, dict(policies), run):
        other = reseeded(judge.judge)
        if other is None:
            continue
        for task in evaluation.tasks:
            for a, b in evaluation.contrasts:
                stage = AskAgain(
                    a=answers[task.NAME, a, run], b=answers[task.NAME, b, run], judge=other,
                    orders=evaluation.orders, prompts=evaluation.retest,
                )  # fmt: skip
                yield AskedAgain(a, b, run, task, judge, stage)
