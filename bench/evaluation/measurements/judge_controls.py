"""What is asked beside a judge to know how far to trust it: the control judges, and the judge itself once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt

from bench.core.judge import Judge
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.generate import Generate, row_seed
from bench.evaluation.judges.first_wins import FirstWins
from bench.evaluation.judges.longer_wins import LongerWins
from bench.evaluation.judges.random import Random
from bench.evaluation.judges.word_overlap import WordOverlap
from bench.evaluation.measurements.win_rate import VERDICTS, VERDICTS_SCHEMA, Orders, Showing, showings, verdict_rows

CONTROLS: tuple[Judge, ...] = (LongerWins(), FirstWins(), WordOverlap(), Random())
CONTROL_VERDICTS_SCHEMA = pa.schema([pa.field("judge", pa.string(), nullable=False), *VERDICTS_SCHEMA])


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
        shown = showings(io, (self.a, self.b), self.orders)
        rows = [
            {"judge": judge.NAME, **row}
            for judge in self.controls
            for row in verdict_rows(judge, self.a.task, shown, io)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=CONTROL_VERDICTS_SCHEMA), io.out / VERDICTS)


class AskAgain(Stage):
    """Verdicts of a judge with other noise on ``prompts`` prompts of ``a`` against ``b``, the first draw of each.

    The prompts are those with the smallest digests, so that they do not depend on the order of the task, and a larger
    sample holds a smaller one.
    """

    KIND: ClassVar[str] = "retest"
    VERSION: ClassVar[int] = 1

    a: Generate
    b: Generate
    judge: Judge
    orders: Orders
    prompts: PositiveInt

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per sampled prompt and order."""
        shown = sample_of(self.a.task, showings(io, (self.a, self.b), self.orders), self.prompts)
        rows = verdict_rows(self.judge, self.a.task, shown, io)
        pq.write_table(pa.Table.from_pylist(rows, schema=VERDICTS_SCHEMA), io.out / VERDICTS)


def sample_of(task: Task, shown: Sequence[Showing], prompts: int) -> list[Showing]:
    """Return the showings of the first draw to that many prompts of a task."""
    names = sorted((prompt.id for prompt in task.prompts()), key=lambda name: row_seed(0, name, 0))
    sampled = set(names[:prompts])
    return [one for one in shown if one.prompt in sampled and one.draw == 0]
