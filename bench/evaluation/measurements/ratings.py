"""Rating: one judge says of every response of one generation how good it is, on the judge's own scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.judge import Judge, Response, one_for_each
from bench.core.metrics import RATING, MetricInfo
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.generate import NO_RESPONSE, Generate, is_answered, read_rows, stored_rows
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, Written, as_metric
from bench.results.records import AUDIT, RATED_IMITATION, RECORDS, TOO_LONG
from bench.results.responses import VERDICTS
from bench.results.tables import TableFile

RATINGS = "ratings.parquet"
RATINGS_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


class RateResponses(Stage):
    """A judge's ratings of all responses of one generation. The judge sees one text at a time and no names."""

    KIND: ClassVar[str] = "rate"
    VERSION: ClassVar[int] = 1

    responses: Generate
    judge: Judge

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``ratings.parquet``: one row per prompt and draw.

        Raises StageError for a judge that does not return one verdict per response.
        """
        task, answers = self.responses.task, read_rows(io, self.responses)
        asked = responses_in(task, answers)
        given = one_for_each(self.judge, self.judge.rate(task, asked, io), len(asked))
        io.meter.judgements += len(given)
        left = iter(given)
        verdicts = [next(left) if is_answered(row) else None for row in answers]
        rows = [
            {
                "prompt": row["prompt"],
                "draw": row["draw"],
                "value": None if verdict is None else verdict.value,
                "status": TOO_LONG if verdict is None else verdict.status,
                "text": NO_RESPONSE if verdict is None else verdict.text,
            }
            for row, verdict in zip(answers, verdicts, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=RATINGS_SCHEMA), io.out / RATINGS)


def responses_in(task: Task, rows: Sequence[Mapping[str, Any]]) -> list[Response]:
    """Return the rows of a generation as a judge reads them, without those that have no response."""
    prompts = {prompt.id: prompt for prompt in task.prompts()}
    return [
        Response(prompt=prompts[row["prompt"]], text=row["text"], ended=row["finish"] == "end")
        for row in rows
        if is_answered(row)
    ]


class Ratings(Measurement):
    """How good a judge finds every response, on its own scale."""

    NAME: ClassVar[str] = "ratings"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 3
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "judge"
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS, VERDICTS, AUDIT)

    def cells(self, design: Design) -> Iterator[Cell[RateResponses]]:
        """Yield the ratings of every arm on every task at every seed, by every judge that rates."""
        for task, arm, seed, _ in design.each():
            for judge in design.bound(design.evaluation.ratings, seed):
                stage = RateResponses(responses=design.answers[task.NAME, arm, seed], judge=judge.judge)
                yield Cell(self, stage, arm, seed, task, judge=judge)

    def rows(self, cell: Cell[RateResponses], payload: Payload, design: Design) -> Rows:
        """Yield one row per response, as a record and with the judge's text."""
        rows = pq.read_table(payload(cell.stage) / RATINGS)
        yield RECORDS, as_metric(rows, RATING.name)
        yield VERDICTS, rows
        yield AUDIT, as_metric(imitations_of(cell.stage, payload), RATED_IMITATION)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return the rating, where a judge rates."""
        return (RATING,) if design.evaluation.ratings else ()

    def judge_calls(self, cell: Cell[RateResponses]) -> int:
        """Return one call per response."""
        return len(cell.stage.responses.task.prompts()) * cell.stage.responses.draws

    def questions(self, cell: Cell[RateResponses], judge: Any, written: Written) -> Iterable[ApiQuestion]:
        """Return a question per response."""
        responses = cell.stage.responses
        return list(judge.questions_about(responses_in(responses.task, written(responses))))


def imitations_of(stage: RateResponses, payload: Payload) -> pa.Table:
    """Return a row for each response that holds what parts the judge's question (``RATED_IMITATION``)."""
    rows = [
        {"prompt": row["prompt"], "draw": row["draw"], "value": 1.0, "status": "ok", "text": ""}
        for row in stored_rows(payload(stage.responses))
        if is_answered(row) and stage.judge.is_imitated_by(row["text"], "rate")
    ]
    return pa.Table.from_pylist(rows, schema=RATINGS_SCHEMA)
