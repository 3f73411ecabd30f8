"""Cells without rows, and what can be concluded without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.config.comparison import Comparison
from bench.core.metrics import RATING, WIN_RATE
from bench.core.stage import stages_in
from bench.engine.scheduler import Outcome
from bench.evaluation.measurement import Cell
from bench.pipeline.plan import Plan, closure, waits_for
from bench.results.summary import Missing


def missing_cells(plan: Plan, outcome: Outcome) -> tuple[Missing, ...]:
    """Return the cells whose rows are not there, with the reason that a user can act on.

    Where an arm could not be trained, or did not answer, that is reported once for each task and seed, and not for
    every cell that needs its responses.
    """
    place = {key: number for number, key in enumerate(plan.stages)}
    found: list[Missing] = []
    reported: set[tuple[str, int | None, str | None]] = set()
    # Inputs come first, so an arm without responses is reported by the cell of its responses.
    for cell in sorted(plan.cells, key=lambda cell: place[cell.stage.key]):
        why = outcome.why_missing(cell.stage.key)
        if why is None:
            continue
        arm = arm_at_fault(cell, plan, outcome)
        if arm is None:
            found.append(missing(cell, plan, why))
        elif (about := (arm, cell.seed, cell.task_name)) not in reported:
            reported.add(about)
            found.append(arm_missing(cell, arm, why))
    waiting = [missing(cell, plan, why) for cell in plan.waiting if (why := waits_for(cell)) is not None]
    return (*found, *waiting)


def missing(cell: Cell[Any], plan: Plan, why: str) -> Missing:
    """Return a cell whose own stage, or what that alone rests on, has not been computed."""
    measurement = cell.measurement
    of_judge = measurement.LEAVES_OUT == "judge"
    return Missing(
        measurement=measurement.NAME,
        arm=cell.arm,
        run=cell.seed,
        task=cell.task_name,
        reason=why,
        judge=cell.judge_label,
        versus=cell.versus,
        call=cell.call,
        leaves_out=measurement.LEAVES_OUT,
        metrics=tuple(metric.name for metric in measurement.metrics(plan.design, ())) if of_judge else (),
    )


def arm_missing(cell: Cell[Any], arm: str, why: str) -> Missing:
    """Return a cell that lacks the responses, or the policy, of one of its arms."""
    return Missing(
        measurement=cell.measurement.NAME, arm=arm, run=cell.seed, task=cell.task_name, reason=why, leaves_out="arm"
    )


def arm_at_fault(cell: Cell[Any], plan: Plan, outcome: Outcome) -> str | None:
    """Return the arm of a cell whose policy or responses could not be had; None where something else has failed."""
    if cell.seed is None:
        return None
    cause = outcome.blocked.get(cell.stage.key, cell.stage.key)
    for arm in cell.arms:
        answers = plan.design.answers.get((str(cell.task_name), arm, cell.seed))
        needed = stages_in(plan.policies[arm, cell.seed]) if answers is None else [answers]
        if cause in closure(needed):
            return arm
    return None


def without_missing(comparison: Comparison, missing: tuple[Missing, ...]) -> Comparison:
    """Return the comparison with only those contrasts, and shares of gaps, of which every cell is there.

    A judge that lacks verdicts is left out (``without_judges``), and what others say of its cells stays.
    """
    broken = {cell.arm for cell in missing if cell.leaves_out == "arm"}
    lacking = judges_lacking(missing)
    evaluation = comparison.evaluation
    kept = tuple(pair for pair in evaluation.contrasts if not broken & set(pair))
    gaps = tuple(gap for gap in evaluation.gap_closed if not broken & {gap.of, gap.start, gap.goal, evaluation.versus})
    gaps = tuple(gap for gap in gaps if (gap.judge, gap.metric) not in lacking)
    judges = tuple(named for named in evaluation.judges if (named.label, WIN_RATE.name) not in lacking)
    ratings = tuple(named for named in evaluation.ratings if (named.label, RATING.name) not in lacking)
    asked = {"contrasts": kept, "gap_closed": gaps, "judges": judges, "ratings": ratings}
    evaluation = evaluation.model_copy(update=asked)
    return comparison.model_copy(update={"evaluation": evaluation})


def judges_lacking(missing: Sequence[Missing]) -> set[tuple[str | None, str]]:
    """Return the judges that lack values on some cell, each with the metric: they failed there, or wait."""
    return {(cell.judge, metric) for cell in missing if cell.leaves_out == "judge" for metric in cell.metrics}


def without_judges(records: pa.Table, missing: Sequence[Missing]) -> pa.Table:
    """Return the records without the values of judges that lack some, of which nothing can be concluded."""
    for judge, metric in judges_lacking(missing):
        theirs = pc.and_(pc.equal(records["metric"], metric), pc.equal(records["source"], judge))
        records = records.filter(pc.invert(theirs))
    return records
