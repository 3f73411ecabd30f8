"""Control judges: what judges that read two texts and nothing else say of every pair that is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.judge import Judge
from bench.core.stage import Stage, StageIO
from bench.evaluation.generate import Generate
from bench.evaluation.judges.first_wins import FirstWins
from bench.evaluation.judges.longer_wins import LongerWins
from bench.evaluation.judges.random import Random
from bench.evaluation.judges.word_overlap import WordOverlap
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, as_metric
from bench.evaluation.measurements.win_rate import PAYLOAD, PAYLOAD_SCHEMA, Orders, stored_presentations, verdict_rows
from bench.results.records import AUDIT, CONTROL
from bench.results.tables import TableFile

CONTROLS: tuple[Judge, ...] = (LongerWins(), FirstWins(), WordOverlap(), Random())
CONTROLS_SCHEMA = pa.schema([pa.field("judge", pa.string(), nullable=False), *PAYLOAD_SCHEMA])


class CompareByControls(Stage):
    """Verdicts of judges that read two texts and nothing else, on ``a`` against ``b``, in the orders of the judges.

    One stage for all of them: each costs less than a stage of its own would.
    """

    KIND: ClassVar[str] = "controls"
    VERSION: ClassVar[int] = 1

    a: Generate
    b: Generate
    orders: Orders
    controls: tuple[Judge, ...] = CONTROLS

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per control, prompt, draw and order."""
        shown = stored_presentations(io, (self.a, self.b), self.orders)
        rows = [
            {"judge": judge.NAME, **row}
            for judge in self.controls
            for row in verdict_rows(judge, self.a.task, shown, io)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=CONTROLS_SCHEMA), io.out / PAYLOAD)


class JudgeControls(Measurement):
    """The control judges on every pair that is judged, to see what they explain of a win rate."""

    NAME: ClassVar[str] = "judge_controls"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 11
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "nothing"
    TABLES: ClassVar[tuple[TableFile, ...]] = (AUDIT,)

    def cells(self, design: Design) -> Iterator[Cell[CompareByControls]]:
        """Yield every pair of arms at every seed on every task; none where there is no judge."""
        for task, a, b in design.pairs() if design.evaluation.judges else ():
            for seed in design.seeds:
                ours, theirs = design.answers[task.NAME, a, seed], design.answers[task.NAME, b, seed]
                stage = CompareByControls(a=ours, b=theirs, orders=design.evaluation.orders)
                yield Cell(self, stage, a, seed, task, versus=b)

    def rows(self, cell: Cell[CompareByControls], payload: Payload, design: Design) -> Rows:
        """Yield one row per control and presentation."""
        rows = pq.read_table(payload(cell.stage) / PAYLOAD)
        named = rows.rename_columns(["source" if name == "judge" else name for name in rows.schema.names])
        yield AUDIT, as_metric(named, CONTROL)
