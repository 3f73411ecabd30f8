"""Which claims a comparison checks: those of every arm's answers to the tasks that ``factuality`` names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.config.comparison import Comparison
from bench.core.stage import Stage
from bench.core.task import Task
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.factuality.measurement import checked
from bench.evaluation.measurements.factuality.verify import CheckClaims


@dataclass(frozen=True)
class Checked:
    """The claims of one arm at one run on one task, checked."""

    arm: str
    run: int
    task: Task
    stage: CheckClaims


def claims_checked(comparison: Comparison, answers: Mapping[tuple[str, str, int], Generate]) -> Iterator[Checked]:
    """Yield the cells whose claims are checked, none where the comparison does not ask for it.

    ``answers``: the generations by (task, arm, run).
    """
    factuality = comparison.evaluation.factuality
    if factuality is None:
        return
    for (task, arm, run), responses in answers.items():
        if task in factuality.tasks:
            yield Checked(arm, run, responses.task, checked(responses, factuality))


def claim_stages(cells: Iterable[Checked]) -> Iterator[tuple[Stage, str]]:
    """Yield the stages that find and check claims, each with the cell it is for."""
    for cell in cells:
        passages = [cell.stage.passages] if cell.stage.passages is not None else []
        for stage in (cell.stage, cell.stage.claims, *passages):
            yield stage, f"{cell.arm} on {cell.task.NAME}, seed {cell.run}"
