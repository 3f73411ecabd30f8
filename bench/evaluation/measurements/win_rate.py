"""Judging: one judge compares two policies' answers, prompt by prompt, in both presentation orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, one_for_each
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.generate import Generate, read_rows

Orders = Literal["both", "first"]
VERDICTS = "verdicts.parquet"
VERDICTS_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("order", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


class JudgePairs(Stage):
    """Verdicts on ``a`` against ``b``. The judge sees two texts and no names.

    The bench makes the presentation orders and turns every verdict back, so a stored value is always the preference
    for ``a``, and ``order`` says where a's response stood.
    """

    KIND: ClassVar[str] = "judge"
    VERSION: ClassVar[int] = 1

    a: Generate
    b: Generate
    judge: Judge
    orders: Orders

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per prompt, draw and order."""
        shown = showings(io, (self.a, self.b), self.orders)
        rows = verdict_rows(self.judge, self.a.task, shown, io)
        pq.write_table(pa.Table.from_pylist(rows, schema=VERDICTS_SCHEMA), io.out / VERDICTS)


@dataclass(frozen=True)
class Showing:
    """Two responses to one prompt and draw as a judge sees them; ``order``: where a's response stands."""

    prompt: str
    draw: int
    order: str
    pair: Pair


def showings(io: StageIO, generations: tuple[Generate, Generate], orders: Orders) -> list[Showing]:
    """Return every presentation of a's responses beside b's, in the order of a's rows.

    Raises StageError for two generations that answer different tasks.
    """
    a, b = generations
    if a.task != b.task:
        raise StageError(f"{a.label()}, {b.label()}: they answer different tasks, so they cannot be compared")
    return presented(a.task, read_rows(io, a), read_rows(io, b), orders)


def presented(
    task: Task, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], orders: Orders
) -> list[Showing]:
    """Return every presentation of a's responses (the rows of its generation) beside b's."""
    prompts = {prompt.id: prompt for prompt in task.prompts()}
    others = {(row["prompt"], row["draw"]): row["text"] for row in theirs}
    found = []
    for row in ours:
        other = others[row["prompt"], row["draw"]]
        for order in ("first", "second") if orders == "both" else ("first",):
            first, second = (row["text"], other) if order == "first" else (other, row["text"])
            pair = Pair(prompt=prompts[row["prompt"]], first=first, second=second)
            found.append(Showing(row["prompt"], row["draw"], order, pair))
    return found


def verdict_rows(judge: Judge, task: Task, shown: Sequence[Showing], io: StageIO) -> list[dict[str, Any]]:
    """Return a row of VERDICTS_SCHEMA for each showing, the verdicts turned so that they are preferences for a."""
    verdicts = one_for_each(judge, judge.compare(task, [one.pair for one in shown], io), len(shown))
    io.meter.judgements += len(verdicts)
    rows = []
    for one, verdict in zip(shown, verdicts, strict=True):
        value = verdict.value if verdict.value is None or one.order == "first" else 1.0 - verdict.value
        rows.append(
            {
                "prompt": one.prompt,
                "draw": one.draw,
                "order": one.order,
                "value": value,
                "status": verdict.status,
                "text": verdict.text,
            }
        )
    return rows
