"""Scores: the task's own metrics and the hygiene metrics of every response, one row each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import StageError
from bench.core.metrics import HYGIENE, MetricInfo
from bench.core.policy import Outputs
from bench.core.stage import Stage, StageIO
from bench.core.task import Task
from bench.evaluation.generate import COMPLETIONS, Generate, is_answered
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.results.records import RECORDS, TOO_LONG
from bench.results.tables import TableFile

SCORES = "scores.parquet"
SCORES_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
    ]
)


class ScoreResponses(Stage):
    """The task's metrics for every response of one generation."""

    KIND: ClassVar[str] = "score"
    VERSION: ClassVar[int] = 1

    responses: Generate

    def run(self, io: StageIO) -> None:
        """Write ``scores.parquet``: one row per prompt, draw and metric, without a value where there is no response."""
        task, made_elsewhere = self.responses.task, isinstance(self.responses.policy, Outputs)
        prompts = {prompt.id: prompt for prompt in task.prompts()}
        names = tuple(metric.name for metric in task.METRICS)
        rows: list[dict[str, Any]] = []
        for row in pq.read_table(io.read(self.responses) / COMPLETIONS).to_pylist():
            same = {"prompt": row["prompt"], "draw": row["draw"]}
            if not is_answered(row):
                measured = [metric.name for metric in metrics_of(task)]
                rows += [{**same, "metric": name, "value": None, "status": TOO_LONG} for name in measured]
                continue
            values: dict[str, float | None] = {
                # Nobody knows into which tokens those that were made elsewhere were written.
                "response_tokens": None if made_elsewhere else float(len(row["tokens"])),
                "response_characters": float(len(row["text"])),
                "ended": float(row["finish"] == "end"),
            }
            scored = task.score(prompts[row["prompt"]], row["text"])
            if set(scored) != set(names):
                raise StageError(
                    f"task {task.NAME} scored {sorted(scored)} for prompt {row['prompt']} "
                    f"but declares {sorted(names)}. "
                    "Return one value per declared metric, None where it is not defined."
                )
            values.update(scored)
            for metric, value in values.items():
                status = "undefined" if value is None else "ok"
                rows.append({**same, "metric": metric, "value": value, "status": status})
        pq.write_table(pa.Table.from_pylist(rows, schema=SCORES_SCHEMA), io.out / SCORES)


class Scores(Measurement):
    """What a task measures of every response, its length, and whether it ended."""

    NAME: ClassVar[str] = "scores"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 1
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS,)

    def cells(self, design: Design) -> Iterator[Cell[ScoreResponses]]:
        """Yield the scores of every arm on every task at every seed."""
        for task, arm, seed, _ in design.each():
            yield Cell(self, ScoreResponses(responses=design.answers[task.NAME, arm, seed]), arm, seed, task)

    def rows(self, cell: Cell[ScoreResponses], payload: Payload, design: Design) -> Rows:
        """Yield one row per response and metric."""
        yield RECORDS, pq.read_table(payload(cell.stage) / SCORES)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return what has rows for each task."""
        return (metric for task in design.evaluation.tasks for metric in metrics_of(task))


def metrics_of(task: Task) -> tuple[MetricInfo, ...]:
    """Return every metric that has rows for this task: its own, then the hygiene metrics."""
    return (*task.METRICS, *HYGIENE)
