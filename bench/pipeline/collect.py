"""From finished stages to records and labels. No torch, no averages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.metrics import DIVERGENCE, DIVERGENCE_K3, RATING, WIN_RATE
from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.measurements.divergence import DIVERGENCES
from bench.evaluation.measurements.label_agreement import LABELS
from bench.evaluation.measurements.lm_eval import DOCUMENTS
from bench.evaluation.measurements.ratings import RATINGS
from bench.evaluation.measurements.scores import SCORES
from bench.evaluation.measurements.win_rate import VERDICTS
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import AskedAgain, Benchmarked, Controlled, Diverged, Judged, Rated, Scored
from bench.pipeline.planning.choices import Weighed
from bench.pipeline.planning.facts import Checked
from bench.results.labels import LABELS_SCHEMA
from bench.results.records import RECORDS, SCHEMA

# Columns of a divergence's rows, and the metrics they are.
ESTIMATES = {"value": DIVERGENCE.name, "k3": DIVERGENCE_K3.name}


def collect_records(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the records of every finished evaluation stage."""
    tables = [score_rows(cell, store) for cell in plan.scored if outcome.finished(cell.stage.key)]
    tables += [verdict_rows(cell, store) for cell in plan.judged if outcome.finished(cell.stage.key)]
    tables += [rating_rows(cell, store) for cell in plan.rated if outcome.finished(cell.stage.key)]
    tables += [
        divergence_rows(cell, store, estimate)
        for cell in plan.diverged
        if outcome.finished(cell.stage.key)
        for estimate in ESTIMATES.items()
    ]
    tables += [benchmark_rows(cell, store) for cell in plan.benchmarked if outcome.finished(cell.stage.key)]
    tables += [score_rows(cell, store) for cell in plan.weighed if outcome.finished(cell.stage.key)]
    return RECORDS.concat(tables)


def score_rows(cell: Scored | Weighed, store: Store) -> pa.Table:
    """Return the records of one arm at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / SCORES)
    labels: dict[str, str | int] = {"task": cell.task.NAME, "method": cell.arm, "run": cell.run, "source": "task"}
    return labelled(rows, labels, cell)


def verdict_rows(cell: Judged, store: Store) -> pa.Table:
    """Return the records of one judge's verdicts on one pair of arms at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / VERDICTS)
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.a,
        "versus": cell.b,
        "run": cell.run,
        "source": cell.judge.label,
        "metric": WIN_RATE.name,
    }
    return labelled(rows, labels, cell)


def rating_rows(cell: Rated, store: Store) -> pa.Table:
    """Return the records of one judge's ratings of one arm at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / RATINGS)
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.arm,
        "run": cell.run,
        "source": cell.judge.label,
        "metric": RATING.name,
    }
    return labelled(rows, labels, cell)


def divergence_rows(cell: Diverged, store: Store, estimate: tuple[str, str]) -> pa.Table:
    """Return the records of one arm's divergence at one run on one task; ``estimate``: a column and its metric."""
    column, metric = estimate
    rows = pq.read_table(store.place(cell.stage) / DIVERGENCES)
    rows = rows.select(["prompt", "draw", column, "status"]).rename_columns(["prompt", "draw", "value", "status"])
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.arm,
        "run": cell.run,
        "source": "task",
        "metric": metric,
    }
    return labelled(rows, labels, cell)


def benchmark_rows(cell: Benchmarked, store: Store) -> pa.Table:
    """Return the records of one arm at one run on one task of lm-eval, each document a cluster of its own."""
    rows = pq.read_table(store.place(cell.stage) / DOCUMENTS)
    labels: dict[str, str | int] = {"task": cell.task.name, "method": cell.arm, "run": cell.run, "source": "task"}
    return in_schema(rows, labels, {"cluster": rows["prompt"], "kind": rows["kind"]})


def collect_labels(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the labels that the judges gave to the preference data, as far as they are finished."""
    tables = []
    for cell in plan.labelled:
        for call, stage in enumerate((cell.stage, cell.again)):
            if stage is not None and outcome.finished(stage.key):
                rows = pq.read_table(store.place(stage) / LABELS)
                count = rows.num_rows
                whose = {
                    "judge": pa.array([cell.judge.label] * count, pa.string()),
                    "run": pa.array([cell.run] * count, pa.int64()),
                    "call": pa.array([call] * count, pa.int64()),
                }
                names = {name: rows[name] for name in rows.schema.names}
                tables.append(pa.table({**whose, **names}).cast(LABELS_SCHEMA))
    return pa.concat_tables(tables) if tables else LABELS_SCHEMA.empty_table()


def labelled(
    rows: pa.Table,
    labels: Mapping[str, str | int],
    cell: Scored | Judged | Controlled | AskedAgain | Rated | Diverged | Checked | Weighed,
) -> pa.Table:
    """Return rows of the records' schema: the stage's own columns, the cell's labels, and the prompt's facts."""
    prompts = {prompt.id: prompt for prompt in cell.task.prompts()}
    names = rows["prompt"].to_pylist()
    facts = {
        "cluster": pa.array([prompts[name].cluster for name in names], pa.string()),
        "kind": pa.array([prompts[name].kind for name in names], pa.string()),
    }
    return in_schema(rows, labels, facts)


def in_schema(rows: pa.Table, labels: Mapping[str, str | int], facts: Mapping[str, Any]) -> pa.Table:
    """Return rows of the records' schema: ``facts`` as columns, labels as constant ones, the rest from the rows."""
    columns = dict(facts)
    for field in SCHEMA:
        if field.name in columns:
            continue
        if field.name in labels:
            columns[field.name] = pa.array([labels[field.name]] * rows.num_rows, field.type)
        elif field.name in rows.schema.names:
            columns[field.name] = rows[field.name]
        else:
            columns[field.name] = pa.nulls(rows.num_rows, field.type)
    return pa.table({field.name: columns[field.name] for field in SCHEMA}).cast(SCHEMA)
