"""Labelling: one judge labels a data set of preferences, in both presentation orders."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.data import DataSpec
from bench.core.datasets import read_preferences, read_utilities
from bench.core.judge import Judge, Pair, one_for_each
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.results.labels import CALL_SCHEMA

LABELS = "labels.parquet"


class LabelPairs(Stage):
    """A judge's preferences between the two responses of every row of ``data``.

    A stored value is the preference for the response that the data calls chosen, and ``order`` says where it stood.
    ``label`` is the data's own probability that it is the better one, ``gold`` by how much its true utility is higher,
    where the rows have columns ``chosen_gold`` and ``rejected_gold``.
    """

    KIND: ClassVar[str] = "label_pairs"
    VERSION: ClassVar[int] = 1

    data: DataSpec
    judge: Judge

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``labels.parquet``: two rows per pair, first and second.

        Raises StageError for a judge that does not return one verdict per pair.
        """
        preferences = read_preferences(self.data, io)
        asked: list[Pair] = []
        for number, row in enumerate(preferences):
            prompt = Prompt(id=f"{row.id}#{number}", chat=row.prompt, cluster=row.id)
            asked.append(Pair(prompt=prompt, first=row.chosen, second=row.rejected))
            asked.append(Pair(prompt=prompt, first=row.rejected, second=row.chosen))
        verdicts = one_for_each(self.judge, self.judge.compare(None, asked, io), len(asked))
        io.meter.judgements += len(verdicts)
        rows: list[dict[str, Any]] = []
        for number, (row, gold) in enumerate(zip(preferences, read_utilities(self.data, io), strict=True)):
            first, second = verdicts[2 * number], verdicts[2 * number + 1]
            turned = None if second.value is None else 1.0 - second.value
            same = {"row": number, "label": row.probability, "gold": gold}
            rows.append({**same, "order": "first", "value": first.value, "status": first.status})
            rows.append({**same, "order": "second", "value": turned, "status": second.status})
        pq.write_table(pa.Table.from_pylist(rows, schema=CALL_SCHEMA), io.out / LABELS)
