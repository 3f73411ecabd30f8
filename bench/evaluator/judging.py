"""Judging: one judge compares two policies' answers, prompt by prompt, in both presentation orders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, one_for_each
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluator.generate import COMPLETIONS, Generate

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
    orders: Literal["both", "first"]

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per prompt, draw and order."""
        if self.a.task != self.b.task:
            raise StageError(f"{self.label()}: the two generations answer different tasks, so they cannot be compared")
        task = self.a.task
        asked = self.presented(read_rows(io, self.a), read_rows(io, self.b))
        verdicts = one_for_each(self.judge, self.judge.compare(task, [pair for _, _, pair in asked], io), len(asked))
        io.meter.judgements += len(verdicts)
        rows = []
        for (row, order, _), verdict in zip(asked, verdicts, strict=True):
            value = verdict.value if verdict.value is None or order == "first" else 1.0 - verdict.value
            rows.append(
                {
                    "prompt": row["prompt"],
                    "draw": row["draw"],
                    "order": order,
                    "value": value,
                    "status": verdict.status,
                    "text": verdict.text,
                }
            )
        pq.write_table(pa.Table.from_pylist(rows, schema=VERDICTS_SCHEMA), io.out / VERDICTS)

    def presented(
        self, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]
    ) -> list[tuple[dict[str, Any], str, Pair]]:
        """Return every pair that the judge sees: the row of a's response, where it stands, and the pair.

        ``ours`` and ``theirs`` are the rows of both generations.
        """
        prompts = {prompt.id: prompt for prompt in self.a.task.prompts()}
        others = {(row["prompt"], row["draw"]): row["text"] for row in theirs}
        orders = ("first", "second") if self.orders == "both" else ("first",)
        found: list[tuple[dict[str, Any], str, Pair]] = []
        for row in ours:
            other = others[row["prompt"], row["draw"]]
            for order in orders:
                first, second = (row["text"], other) if order == "first" else (other, row["text"])
                found.append((row, order, Pair(prompt=prompts[row["prompt"]], first=first, second=second)))
        return found


def read_rows(io: StageIO, generation: Generate) -> list[dict[str, Any]]:
    """Return the rows of one generation."""
    return stored_rows(io.read(generation))


def stored_rows(payload: Path) -> list[dict[str, Any]]:
    """Return the rows in the payload of a generation."""
    return pq.read_table(payload / COMPLETIONS).to_pylist()
