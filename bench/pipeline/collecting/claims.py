"""From checked claims to the claims file and to records of how many there are in each response."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.metrics import ANSWERED, FACTSCORE, IRRELEVANT_CLAIMS, SUPPORTED_CLAIMS, UNSUPPORTED_CLAIMS, fact_score
from bench.core.task import IRRELEVANT, NOT_SUPPORTED, SUPPORTED
from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.measurements.factuality.extract import CLAIMS
from bench.evaluation.measurements.factuality.verify import COUNTS
from bench.evaluation.measurements.scores import SCORES_SCHEMA
from bench.pipeline.collect import labelled
from bench.pipeline.plan import Plan
from bench.pipeline.planning.facts import Checked
from bench.results.claims import CLAIMS_SCHEMA

LABELS = {SUPPORTED: SUPPORTED_CLAIMS, NOT_SUPPORTED: UNSUPPORTED_CLAIMS, IRRELEVANT: IRRELEVANT_CLAIMS}


def collect_claims(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the claims of every finished cell, each with what was found about it."""
    tables = []
    for cell in plan.checked:
        if outcome.finished(cell.stage.key):
            rows = pq.read_table(store.place(cell.stage) / CLAIMS)
            whose: dict[str, Any] = {"task": cell.task.NAME, "method": cell.arm, "run": cell.run}
            columns = {name: rows[name] for name in rows.schema.names}
            for name, value in whose.items():
                columns[name] = pa.array([value] * rows.num_rows, CLAIMS_SCHEMA.field(name).type)
            tables.append(pa.table({name: columns[name] for name in CLAIMS_SCHEMA.names}).cast(CLAIMS_SCHEMA))
    return pa.concat_tables(tables) if tables else CLAIMS_SCHEMA.empty_table()


def count_rows(cell: Checked, store: Store, gamma: float) -> pa.Table:
    """Return the records of one cell: claims by label, whether there are any, and FActScore, for every response."""
    rows: list[dict[str, Any]] = []
    for counts in pq.read_table(store.place(cell.stage) / COUNTS).to_pylist():
        facts = sum(counts[label] for label in LABELS)
        values = {metric.name: float(counts[label]) for label, metric in LABELS.items()}
        values[ANSWERED.name] = float(facts > 0)
        scored = {**values, FACTSCORE.name: fact_score(counts[SUPPORTED], facts, gamma)}
        for metric, value in scored.items():
            status = "undefined" if value is None else "ok"
            rows.append(
                {
                    "prompt": counts["prompt"],
                    "draw": counts["draw"],
                    "metric": metric,
                    "value": value,
                    "status": status,
                }
            )
    table = pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.arm,
        "run": cell.run,
        "source": "task",
    }
    return labelled(table, labels, cell)


def claim_counts(plan: Plan, outcome: Outcome, store: Store) -> list[pa.Table]:
    """Return the records of every finished cell whose claims are checked."""
    factuality = plan.comparison.evaluation.factuality
    if factuality is None:
        return []
    return [count_rows(cell, store, factuality.gamma) for cell in plan.checked if outcome.finished(cell.stage.key)]
