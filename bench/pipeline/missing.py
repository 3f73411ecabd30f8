"""Cells without rows, and what can be concluded without them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bench.config.comparison import Comparison
from bench.core.metrics import WIN_RATE
from bench.engine.scheduler import Outcome
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import Diverged, Judged, Rated
from bench.pipeline.planning.choices import Weighed
from bench.pipeline.planning.facts import Checked
from bench.results.summary import Missing


def missing_cells(plan: Plan, outcome: Outcome) -> tuple[Missing, ...]:
    """Return the cells whose scores or verdicts are not there, with the reason that a person can act on."""
    cells: dict[tuple[str, int, str], str] = {}
    of_judges: list[Missing] = []
    for scored in plan.scored:
        why = outcome.why_missing(scored.stage.key)
        if why is not None:
            cells.setdefault((scored.arm, scored.run, scored.task.NAME), why)
    for judged in plan.judged:
        why, key = outcome.why_missing(judged.stage.key), judged.stage.key
        if why is not None and key in outcome.failed:
            of_judges.append(_of_judge(judged, why))
        elif why is not None and (judged.b, judged.run, judged.task.NAME) not in cells:
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
    found = [Missing(arm=arm, run=run, task=task, reason=why) for (arm, run, task), why in cells.items()]
    for judged in plan.waiting:
        why = judged.judge.judge.waits_for()
        if why is not None:
            of_judges.append(_of_judge(judged, why))
    return (*found, *of_judges)


def _of_judge(cell: Judged, why: str) -> Missing:
    return Missing(arm=cell.a, run=cell.run, task=cell.task.NAME, reason=why, judge=cell.judge.label)


def without_missing(comparison: Comparison, missing: tuple[Missing, ...]) -> Comparison:
    """Return the comparison with only those contrasts, and shares of gaps, of which every cell is there.

    A judge that lacks verdicts is left out (``without_judges``), and what others say of its cells stays.
    """
    broken = {cell.arm for cell in missing if cell.judge is None}
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
    return {cell.judge for cell in missing if cell.judge is not None}


def without_judges(records: pa.Table, missing: Sequence[Missing]) -> pa.Table:
    """Return the records without the verdicts of judges that lack some, of which nothing can be concluded."""
    lacking = pa.array(sorted(judges_lacking(missing)), pa.string())
    theirs = pc.and_(pc.equal(records["metric"], WIN_RATE.name), pc.is_in(records["source"], lacking))
    return records.filter(pc.invert(theirs))
