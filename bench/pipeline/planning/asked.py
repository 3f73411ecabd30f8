"""What is asked of policies and judges beside scores and verdicts: divergence, lm-eval, token shifts, labels."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.comparison import Comparison
from bench.core.judge import Judge
from bench.core.policy import PolicySpec, Proxy, root
from bench.core.task import Task
from bench.evaluation.generate import Generate
from bench.evaluation.measurement import bound, reseeded
from bench.evaluation.measurements.divergence import Divergence, sampled
from bench.evaluation.measurements.label_agreement import LabelPairs
from bench.evaluation.measurements.lm_eval import LmEval
from bench.evaluation.measurements.token_shift import TokenShift
from bench.pipeline.planning.cells import Benchmarked, Diverged, Labelled, Shifted


def divergences(comparison: Comparison, policies: dict[tuple[str, int], PolicySpec]) -> Iterator[Diverged]:
    """Yield how every arm's policy is held against that of the arm ``divergence`` names, none without it.

    The samples are the answers that are scored, where those are samples at temperature 1; else further ones.
    """
    evaluation = comparison.evaluation
    if evaluation.divergence is None:
        return
    for task in evaluation.tasks:
        for (arm, run), policy in policies.items():
            responses = Generate(policy=policy, task=sampled(task), draws=evaluation.draws, seed=run)
            reference = policies[evaluation.divergence, run]
            yield Diverged(arm, run, task, Divergence(responses=responses, reference=reference))


def benchmarks(comparison: Comparison, policies: dict[tuple[str, int], PolicySpec]) -> Iterator[Benchmarked]:
    """Yield every arm's results on the tasks of lm-eval."""
    for task in comparison.evaluation.benchmarks:
        for (arm, run), policy in policies.items():
            yield Benchmarked(arm, run, task, LmEval(policy=policy, task=task, seed=run))


def shifts(
    policies: dict[tuple[str, int], PolicySpec], answers: dict[tuple[str, str, int], Generate], tasks: tuple[Task, ...]
) -> Iterator[Shifted]:
    """Yield what steering changed in the answers of every proxied arm."""
    for task in tasks:
        for (arm, run), policy in policies.items():
            if isinstance(root(policy), Proxy):
                yield Shifted(arm, run, task, TokenShift(responses=answers[task.NAME, arm, run]))


def labellers(comparison: Comparison, policies: dict[tuple[str, int], PolicySpec]) -> Iterator[Labelled]:
    """Yield the labellers that the comparison asks about; one that takes a model from an arm stands once per run."""
    labelling = comparison.evaluation.labelling
    if labelling is None:
        return
    for named in labelling.judges:
        from_arm = type(named.judge).bound is not Judge.bound
        for run in comparison.given.seeds if from_arm else comparison.given.seeds[:1]:
            judge = bound((named,), policies, run)[0]
            other = reseeded(judge.judge)
            again = None if other is None else LabelPairs(data=labelling.data, judge=other)
            stage = LabelPairs(data=labelling.data, judge=judge.judge)
            yield Labelled(judge, run if from_arm else None, stage, again)
