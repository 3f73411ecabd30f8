"""Cells without rows, and what can be concluded without them."""

from __future__ import annotations

from bench.config.comparison import Comparison
from bench.core.summary import Missing
from bench.plan import Plan
from bench.planning.cells import Diverged, Rated
from bench.planning.choices import Weighed
from bench.planning.facts import Checked
from bench.runner import Outcome


def missing_cells(plan: Plan, outcome: Outcome) -> tuple[Missing, ...]:
    """Return the cells whose scores or verdicts are not there, with the reason that a person can act on."""
    cells: dict[tuple[str, int, str], str] = {}
    for scored in plan.scored:
        why = outcome.why_missing(scored.stage.key)
        if why is not None:
            cells.setdefault((scored.arm, scored.run, scored.task.NAME), why)
    for judged in plan.judged:
        why = outcome.why_missing(judged.stage.key)
        if why is not None and (judged.b, judged.run, judged.task.NAME) not in cells:
            cells.setdefault((judged.a, judged.run, judged.task.NAME), why)
    others: list[Rated | Diverged | Checked | Weighed] = [*plan.rated, *plan.diverged, *plan.checked, *plan.weighed]
    for cell in others:
        why = outcome.why_missing(cell.stage.key)
        if why is not None:
            cells.setdefault((cell.arm, cell.run, cell.task.NAME), why)
    for benchmark in plan.benchmarked:
        why = outcome.why_missing(benchmark.stage.key)
        if why is not None:
            cells.setdefault((benchmark.arm, benchmark.run, benchmark.task.name), why)
    return tuple(Missing(arm=arm, run=run, task=task, reason=why) for (arm, run, task), why in cells.items())


def without_missing(comparison: Comparison, missing: tuple[Missing, ...]) -> Comparison:
    """Return the comparison with only those contrasts, and shares of gaps, of which every cell is there."""
    broken = {cell.arm for cell in missing}
    evaluation = comparison.evaluation
    kept = tuple(pair for pair in evaluation.contrasts if not broken & set(pair))
    gaps = tuple(gap for gap in evaluation.gap_closed if not broken & {gap.of, gap.start, gap.goal, evaluation.versus})
    evaluation = evaluation.model_copy(update={"contrasts": kept, "gap_closed": gaps})
    return comparison.model_copy(update={"evaluation": evaluation})
