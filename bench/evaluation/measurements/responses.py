"""What every arm wrote: the rows of ``responses.parquet``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pyarrow.parquet as pq

from bench.evaluation.generate import COMPLETIONS, Generate
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.results.responses import RESPONSES
from bench.results.tables import TableFile


class Responses(Measurement):
    """Every response of every arm to the prompts of every task."""

    NAME: ClassVar[str] = "responses"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 12
    TABLES: ClassVar[tuple[TableFile, ...]] = (RESPONSES,)

    def cells(self, design: Design) -> Iterator[Cell[Generate]]:
        """Yield the responses of every arm to every task at every seed."""
        for task, arm, seed, _ in design.each():
            yield Cell(self, design.answers[task.NAME, arm, seed], arm, seed, task)

    def rows(self, cell: Cell[Generate], payload: Payload, design: Design) -> Rows:
        """Yield one row per response."""
        yield RESPONSES, pq.read_table(payload(cell.stage) / COMPLETIONS, columns=["prompt", "draw", "text", "finish"])
