"""Retest: a judge that samples is called once more, with another seed, on a sample of the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt

from bench.core.judge import Judge, reseeded
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.generate import Generate, row_seed
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, Written, as_metric
from bench.evaluation.measurements.win_rate import (
    PAYLOAD,
    PAYLOAD_SCHEMA,
    Orders,
    Presentation,
    asked_pairs,
    orders_shown,
    presentations,
    stored_presentations,
    verdict_rows,
)
from bench.results.records import AUDIT, RETEST
from bench.results.tables import TableFile


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
        shown = sample_of(self.a.task, stored_presentations(io, (self.a, self.b), self.orders), self.prompts)
        rows = verdict_rows(self.judge, self.a.task, shown, io)
        pq.write_table(pa.Table.from_pylist(rows, schema=PAYLOAD_SCHEMA), io.out / PAYLOAD)


def sample_of(task: Task, shown: Sequence[Presentation], prompts: int) -> list[Presentation]:
    """Return the presentations of the first draw to that many prompts of a task."""
    names = sorted((prompt.id for prompt in task.prompts()), key=lambda name: row_seed(0, name, 0))
    sampled = set(names[:prompts])
    return [one for one in shown if one.prompt in sampled and one.draw == 0]


class JudgeRetest(Measurement):
    """How far a judge agrees with itself."""

    NAME: ClassVar[str] = "judge_retest"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 5
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "nothing"
    TABLES: ClassVar[tuple[TableFile, ...]] = (AUDIT,)

    def cells(self, design: Design) -> Iterator[Cell[AskAgain]]:
        """Yield every judge that draws noise on every pair of arms and every task.

        At the first training seed only: it is the judge's noise that is measured, and a call may cost money.
        """
        prompts, seed = design.evaluation.retest, design.seeds[0]
        for judge in design.bound(design.evaluation.judges, seed) if prompts else ():
            other = reseeded(judge.judge)
            for task, a, b in design.pairs() if other is not None else ():
                ours, theirs = design.answers[task.NAME, a, seed], design.answers[task.NAME, b, seed]
                stage = AskAgain(a=ours, b=theirs, judge=other, orders=design.evaluation.orders, prompts=prompts)
                yield Cell(self, stage, a, seed, task, versus=b, judge=judge, call=1)

    def rows(self, cell: Cell[AskAgain], payload: Payload, design: Design) -> Rows:
        """Yield one row per verdict."""
        yield AUDIT, as_metric(pq.read_table(payload(cell.stage) / PAYLOAD), RETEST)

    def judge_calls(self, cell: Cell[AskAgain]) -> int:
        """Return one call per sampled prompt and presentation order."""
        return min(cell.stage.prompts, len(cell.stage.a.task.prompts())) * orders_shown(cell.stage.orders)

    def questions(self, cell: Cell[AskAgain], judge: Any, written: Written) -> Iterable[ApiQuestion]:
        """Return a question per presentation of a sampled prompt."""
        stage = cell.stage
        shown = presentations(stage.a.task, written(stage.a), written(stage.b), stage.orders)
        return list(judge.questions_on(asked_pairs(sample_of(stage.a.task, shown, stage.prompts))))
