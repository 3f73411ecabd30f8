"""From finished control stages and second calls to the rows of ``audit.parquet``."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.measurements.win_rate import VERDICTS
from bench.pipeline.collect import labelled
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import AskedAgain, Controlled
from bench.results.records import CONTROL, RECORDS, RETEST


def collect_audit(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the verdicts of control judges and of second calls, as far as they are finished."""
    tables = [control_rows(cell, store) for cell in plan.controlled if outcome.finished(cell.stage.key)]
    tables += [retest_rows(cell, store) for cell in plan.asked_again if outcome.finished(cell.stage.key)]
    return RECORDS.concat(tables)


def control_rows(cell: Controlled, store: Store) -> pa.Table:
    """Return the verdicts of the control judges on one pair of arms at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / VERDICTS)
    named = rows.rename_columns(["source" if name == "judge" else name for name in rows.schema.names])
    return labelled(named, _labels(cell, CONTROL), cell)


def retest_rows(cell: AskedAgain, store: Store) -> pa.Table:
    """Return the verdicts of one judge's second call on one pair of arms at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / VERDICTS)
    return labelled(rows, {**_labels(cell, RETEST), "source": cell.judge.label}, cell)


def _labels(cell: Controlled | AskedAgain, metric: str) -> dict[str, str | int]:
    return {"task": cell.task.NAME, "method": cell.a, "versus": cell.b, "run": cell.run, "metric": metric}
