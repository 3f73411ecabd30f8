"""Cells without rows, and what can be concluded without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.config.comparison import Comparison
from bench.core.metrics import WIN_RATE
from bench.core.stage import stages_in
from bench.engine.scheduler import Outcome
from bench.evaluation.generate import Generate
from bench.evaluation.measurement import Cell
from bench.pipeline.plan import Plan, closure, waits_for
from bench.results.summary import Missing


def missing_cells(plan: Plan, outcome: Outcome) -> tuple[Missing, ...]:
    """Return the cells whose rows are not there, with the reason that a user can act on.

    Where an arm could not be trained, or did not answer, that is reported once for each task and seed, and not for
    every cell that needs its responses.
    """
    found: dict[object, Missing] = {}
    for cell in plan.cells:
        why = outcome.why_missing(cell.stage.key)
        if why is not None:
            arm = arm_at_fault(cell, plan, outcome)
            one = missing(cell, why) if arm is None else arm_missing(cell, arm, why)
            about = (one.arm, one.versus, one.run, one.task, one.judge)
            found.setdefault(about if one.leaves_out == "arm" else (cell.measurement.NAME, cell.call, *about), one)
    waiting = [missing(cell, why) for cell in plan.waiting if (why := waits_for(cell)) is not None]
    return (*found.values(), *waiting)


def missing(cell: Cell[Any], why: str) -> Missing:
    """Return a cell whose own stage has not been computed."""
    return Missing(
        measurement=cell.measurement.NAME,
        arm=cell.arm,
        run=cell.seed,
        task=cell.task_name,
        reason=why,
        judge=None if cell.judge is None or cell.measurement.LEAVES_OUT == "arm" else cell.judge.label,
        versus=None if cell.measurement.LEAVES_OUT == "arm" else cell.versus,
        leaves_out=cell.measurement.LEAVES_OUT,
    )


def arm_missing(cell: Cell[Any], arm: str, why: str) -> Missing:
    """Return a cell that lacks the responses, or the policy, of one of its arms."""
    return Missing(
        measurement=cell.measurement.NAME, arm=arm, run=cell.seed, task=cell.task_name, reason=why, leaves_out="arm"
    )


def arm_at_fault(cell: Cell[Any], plan: Plan, outcome: Outcome) -> str | None:
    """Return the arm of a cell whose policy or responses could not be had; None where something else has failed."""
    cause = outcome.blocked.get(cell.stage.key, cell.stage.key)
    for arm in cell.arms:
        policy = plan.policies[arm, cell.seed] if cell.seed is not None else None
        answers = [
            stage for stage in closure([cell.stage]).values() if isinstance(stage, Generate) and stage.policy == policy
        ]
        if cause in closure([*answers, *stages_in(policy)]):
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
    gaps = tuple(gap for gap in gaps if gap.judge is None or gap.judge not in lacking)
    judges = tuple(named for named in evaluation.judges if named.label not in lacking)
    evaluation = evaluation.model_copy(update={"contrasts": kept, "gap_closed": gaps, "judges": judges})
    return comparison.model_copy(update={"evaluation": evaluation})


def judges_lacking(missing: Sequence[Missing]) -> set[str]:
    """Return the judges that lack verdicts on some cell: they failed there, or wait for something."""
    return {cell.judge for cell in missing if cell.judge is not None and cell.leaves_out == "judge"}


def without_judges(records: pa.Table, missing: Sequence[Missing]) -> pa.Table:
    """Return the records without the verdicts of judges that lack some, of which nothing can be concluded."""
    lacking = pa.array(sorted(judges_lacking(missing)), pa.string())
    theirs = pc.and_(pc.equal(records["metric"], WIN_RATE.name), pc.is_in(records["source"], lacking))
    return records.filter(pc.invert(theirs))
