"""From finished stages to the tables of a run. No torch, no averages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from bench.core.stage import Stage
from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.measurement import filled
from bench.pipeline.plan import Plan
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.tables import TableFile

# Files that every run leaves, be they empty.
ALWAYS = (RECORDS, RESPONSES, VERDICTS)


def collect(plan: Plan, outcome: Outcome, store: Store) -> dict[TableFile, pa.Table]:
    """Return the tables of a run: the rows of every finished cell, in the file that its measurement says.

    A file that some cell gives rows of is there even where no such cell is finished.
    """
    planned = [table for cell in (*plan.cells, *plan.waiting) for table in cell.measurement.tables(cell)]
    found: dict[TableFile, list[pa.Table]] = {table: [] for table in (*ALWAYS, *planned)}

    def payload(stage: Stage) -> Path:
        return store.place(stage)

    for cell in plan.cells:
        if outcome.finished(cell.stage.key):
            for table, rows in cell.measurement.rows(cell, payload, plan.design):
                found[table].append(filled(table, cell, rows))
    return {table: table.concat(parts) for table, parts in found.items()}
