"""Rating: one judge says of every response of one generation how good it is, on the judge's own scale."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.judge import Judge, Response, one_for_each
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.generate import Generate, read_rows

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
        task = self.responses.task
        prompts = {prompt.id: prompt for prompt in task.prompts()}
        answers = read_rows(io, self.responses)
        asked = [Response(prompt=prompts[row["prompt"]], text=row["text"]) for row in answers]
        verdicts = one_for_each(self.judge, self.judge.rate(task, asked, io), len(asked))
        io.meter.judgements += len(verdicts)
        rows = [
            {
                "prompt": row["prompt"],
                "draw": row["draw"],
                "value": verdict.value,
                "status": verdict.status,
                "text": verdict.text,
            }
            for row, verdict in zip(answers, verdicts, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=RATINGS_SCHEMA), io.out / RATINGS)
