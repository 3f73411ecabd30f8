"""Labelling: one judge labels a data set of preferences, in both presentation orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.data import DataSpec
from bench.core.datasets import read_preferences, read_utilities, rows_known
from bench.core.judge import Judge, Pair, one_for_each, reseeded
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.results.labels import CALL_SCHEMA, LABELS
from bench.results.records import AUDIT, LABELLED_DATA, LABELLED_IMITATION
from bench.results.tables import TableFile

PAYLOAD = "labels.parquet"


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
        pq.write_table(pa.Table.from_pylist(rows, schema=CALL_SCHEMA), io.out / PAYLOAD)


class LabelAgreement(Measurement):
    """How judges label the preference data that ``labelling`` names, and again with other noise where they draw any."""

    NAME: ClassVar[str] = "label_agreement"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 6
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "nothing"
    TABLES: ClassVar[tuple[TableFile, ...]] = (LABELS, AUDIT)

    def cells(self, design: Design) -> Iterator[Cell[LabelPairs]]:
        """Yield every labeller; one that takes a model from an arm stands once per seed."""
        labelling = design.evaluation.labelling
        if labelling is None:
            return
        for named in labelling.judges:
            from_arm = named.judge.takes_from_arm()
            for seed in design.seeds if from_arm else design.seeds[:1]:
                (judge,) = design.bound((named,), seed)
                for call, asked in enumerate((judge.judge, reseeded(judge.judge))):
                    if asked is not None:
                        stage = LabelPairs(data=labelling.data, judge=asked)
                        yield Cell(self, stage, None, seed if from_arm else None, None, judge=judge, call=call)

    def rows(self, cell: Cell[LabelPairs], payload: Payload, design: Design) -> Rows:
        """Yield two rows per pair of responses, and the pairs that imitate the question, once for both calls."""
        yield LABELS, pq.read_table(payload(cell.stage) / PAYLOAD)
        yield AUDIT, imitations_of(cell, payload) if cell.call == 0 else AUDIT.schema.empty_table()

    def judge_calls(self, cell: Cell[LabelPairs]) -> int | None:
        """Return two calls per row of the data; None where a stage has yet to make them."""
        rows = rows_known(cell.stage.data)
        return None if rows is None else 2 * rows


@dataclass(frozen=True)
class _Payloads:
    """Finished stages by where their payloads are."""

    payload: Payload

    def read(self, stage: Stage) -> Path:
        """Return the payload folder of a stage."""
        return self.payload(stage)


def imitations_of(cell: Cell[LabelPairs], payload: Payload) -> pa.Table:
    """Return a row for each pair of which one response holds what parts the judge's question (LABELLED_IMITATION)."""
    stage = cell.stage
    names = dict.fromkeys(("task", "method", "kind"), LABELLED_DATA) | {"metric": LABELLED_IMITATION}
    same = {**names, "run": 0 if cell.seed is None else cell.seed, "draw": 0, "value": 1.0, "status": "ok"}
    rows = [
        {**same, "prompt": str(number), "cluster": row.id, "source": cell.judge_label}
        for number, row in enumerate(read_preferences(stage.data, _Payloads(payload)))
        if any(map(stage.judge.is_imitated_by, (row.chosen, row.rejected)))
    ]
    return pa.Table.from_pylist(rows, schema=AUDIT.schema)
