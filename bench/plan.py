"""The plan: every stage a comparison needs, keyed by content, so that equal stages coincide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.config.comparison import Arm, Comparison, Named
from bench.core.method import Given
from bench.core.policy import PolicySpec
from bench.core.stage import Stage, stages_in
from bench.core.task import Task
from bench.evaluator.generate import Generate
from bench.evaluator.judging import JudgePairs
from bench.evaluator.score import ScoreResponses


@dataclass(frozen=True)
class Scored:
    """The scores of one arm at one run on one task."""

    arm: str
    run: int
    task: Task
    stage: ScoreResponses


@dataclass(frozen=True)
class Judged:
    """One judge's verdicts on one pair of arms at one run on one task."""

    a: str
    b: str
    run: int
    task: Task
    judge: Named
    stage: JudgePairs


@dataclass(frozen=True)
class Plan:
    """All stages of a comparison by key, in an order in which inputs come first, and what each cell rests on."""

    comparison: Comparison
    policies: dict[tuple[str, int], PolicySpec]
    scored: tuple[Scored, ...]
    judged: tuple[Judged, ...]
    stages: dict[str, Stage]

    def labels(self) -> dict[str, str]:
        """Return a name for every stage that a person can place: its kind, and the arm and seed it is for.

        A stage that several cells rest on is named after the first arm, and how many more there are.
        """
        users: dict[str, list[str]] = {key: [] for key in self.stages}
        for (arm, run), policy in self.policies.items():
            for key in closure(stages_in(policy)):
                users[key].append(f"{arm}, seed {run}")
        for scored in self.scored:
            for stage in (scored.stage, scored.stage.responses):
                users[stage.key].append(f"{scored.arm}, seed {scored.run}")
        for judged in self.judged:
            users[judged.stage.key].append(f"{judged.a} vs {judged.b}, seed {judged.run}")
        return {key: f"{self.stages[key].KIND} ({in_short(names)})" for key, names in users.items()}

    def stages_of_arm(self, arm: str, run: int) -> tuple[Stage, ...]:
        """Return every stage that one arm's policy rests on at one run, inputs first."""
        return tuple(closure(stages_in(self.policies[arm, run])).values())


def in_short(names: list[str]) -> str:
    """Return the first name and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def make_plan(comparison: Comparison) -> Plan:
    """Return the plan of a comparison. Nothing is read or computed, and torch is not imported."""
    policies = {
        (arm.name, run): arm.method.policy(given_for(comparison, arm, run))
        for arm in comparison.arms
        for run in comparison.given.seeds
    }
    evaluation = comparison.evaluation
    scored, judged = [], []
    for task in evaluation.tasks:
        answers = {
            (arm, run): Generate(policy=policy, task=task, draws=evaluation.draws, seed=run)
            for (arm, run), policy in policies.items()
        }
        scored += [Scored(arm, run, task, ScoreResponses(responses=by)) for (arm, run), by in answers.items()]
        judged += [
            Judged(
                a, b, run, task, judge,
                JudgePairs(a=answers[a, run], b=answers[b, run], judge=judge.judge, orders=evaluation.orders),
            )
            for a, b in evaluation.contrasts
            for run in comparison.given.seeds
            for judge in bound(evaluation.judges, policies, run)
        ]  # fmt: skip
    targets: list[Stage] = [*(cell.stage for cell in scored), *(cell.stage for cell in judged)]
    return Plan(comparison, policies, tuple(scored), tuple(judged), closure(targets))


def bound(judges: tuple[Named, ...], policies: dict[tuple[str, int], PolicySpec], run: int) -> tuple[Named, ...]:
    """Return the judges of one run: those that take something from an arm have that arm's at this run."""
    return tuple(Named(label=named.label, judge=named.judge.bound(lambda arm: policies[arm, run])) for named in judges)


def given_for(comparison: Comparison, arm: Arm, run: int) -> Given:
    """Return what one arm is given at one run."""
    common = comparison.given
    return Given(
        base=common.base,
        small=common.small,
        demonstrations=common.demonstrations,
        preferences=common.preferences,
        prompts=common.prompts,
        labeller=common.labeller,
        lora=arm.lora,
        budget=common.budget,
        max_length=common.max_length,
        seed=training_seed(run, arm.replicate),
    )


def training_seed(run: int, replicate: str | None) -> int:
    """Return the seed of all training randomness of an arm: the run itself, or one of its own for a replicate.

    A replicate repeats the whole procedure (its SFT start too), so a contrast with the arm it repeats shows what the
    instrument calls a difference when there is none.
    """
    if replicate is None:
        return run
    return int.from_bytes(hashlib.sha256(f"{replicate}\x1f{run}".encode()).digest()[:4], "big")


def closure(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Return the stages and everything they rest on, by key, inputs before what reads them."""
    found: dict[str, Stage] = {}
    pending: list[tuple[Stage, Iterator[Stage]]] = []
    for root in stages:
        if root.key in found:
            continue
        pending.append((root, iter(root.inputs())))
        while pending:
            stage, rest = pending[-1]
            step = next((candidate for candidate in rest if candidate.key not in found), None)
            if step is None:
                found.setdefault(stage.key, stage)
                pending.pop()
            else:
                pending.append((step, iter(step.inputs())))
    return found
