"""Which tasks offer choices, and every arm's weighing of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.config.comparison import Comparison
from bench.core.policy import PolicySpec
from bench.core.stage import Stage
from bench.core.task import Task, offers_choices
from bench.evaluation.measurements.multiple_choice import WeighChoices


@dataclass(frozen=True)
class Weighed:
    """One arm's weighing of the choices of one task at one run."""

    arm: str
    run: int
    task: Task
    stage: WeighChoices


def choices_weighed(comparison: Comparison, policies: dict[tuple[str, int], PolicySpec]) -> Iterator[Weighed]:
    """Yield every arm's weighing of every task that offers choices."""
    for task in comparison.evaluation.tasks:
        if offers_choices(task):
            for (arm, run), policy in policies.items():
                yield Weighed(arm, run, task, WeighChoices(policy=policy, task=task))


def choice_stages(cells: tuple[Weighed, ...]) -> Iterator[tuple[Stage, str]]:
    """Yield the stages that weigh choices, each with the cell it is for."""
    for cell in cells:
        yield cell.stage, f"{cell.arm} on {cell.task.NAME}, seed {cell.run}"
