"""From finished stages to what was written and said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.generate import COMPLETIONS
from bench.evaluation.measurements.ratings import RATINGS
from bench.evaluation.measurements.win_rate import VERDICTS
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import Scored
from bench.results.responses import RESPONSES_SCHEMA, VERDICTS_SCHEMA, chat_text


def collect_responses(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return every response that was scored, with its prompt."""
    tables = [response_rows(cell, store) for cell in plan.scored if outcome.finished(cell.stage.responses.key)]
    return pa.concat_tables(tables) if tables else RESPONSES_SCHEMA.empty_table()


def collect_verdicts(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return every verdict on a pair and every rating of a response, with the judge's words."""
    tables = []
    for pair in plan.judged:
        if outcome.finished(pair.stage.key):
            names = {"task": pair.task.NAME, "judge": pair.judge.label, "method": pair.a, "versus": pair.b}
            rows = pq.read_table(store.place(pair.stage) / VERDICTS)
            tables.append(_in_schema(rows, {**names, "run": pair.run}, VERDICTS_SCHEMA))
    for one in plan.rated:
        if outcome.finished(one.stage.key):
            names = {"task": one.task.NAME, "judge": one.judge.label, "method": one.arm}
            rows = pq.read_table(store.place(one.stage) / RATINGS)
            tables.append(_in_schema(rows, {**names, "run": one.run}, VERDICTS_SCHEMA))
    return pa.concat_tables(tables) if tables else VERDICTS_SCHEMA.empty_table()


def response_rows(cell: Scored, store: Store) -> pa.Table:
    """Return the responses of one arm at one run on one task."""
    rows = pq.read_table(store.place(cell.stage.responses) / COMPLETIONS, columns=["prompt", "draw", "text", "finish"])
    prompts = {prompt.id: prompt for prompt in cell.task.prompts()}
    chats = {name: chat_text(prompt.chat) for name, prompt in prompts.items()}
    names = rows["prompt"].to_pylist()
    rows = rows.append_column("kind", pa.array([prompts[name].kind for name in names], pa.string()))
    rows = rows.append_column("chat", pa.array([chats[name] for name in names], pa.string()))
    return _in_schema(rows, {"task": cell.task.NAME, "method": cell.arm, "run": cell.run}, RESPONSES_SCHEMA)


def _in_schema(rows: pa.Table, labels: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Return the rows with the labels as constant columns, in the schema; a column that is neither is null."""
    columns = {}
    for field in schema:
        if field.name in labels:
            columns[field.name] = pa.array([labels[field.name]] * rows.num_rows, field.type)
        elif field.name in rows.schema.names:
            columns[field.name] = rows[field.name]
        else:
            columns[field.name] = pa.nulls(rows.num_rows, field.type)
    return pa.table(columns).cast(schema)
