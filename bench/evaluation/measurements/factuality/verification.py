"""Verification: whether each claim of one generation is supported, and how many claims each response makes."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.checker import Asked, Passage, Verifier, one_finding_each
from bench.core.errors import StageError
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import IRRELEVANT, NOT_SUPPORTED, SUPPORTED
from bench.evaluation.generate import read_rows
from bench.evaluation.measurements.factuality.extract import PAYLOAD, ExtractClaims
from bench.evaluation.measurements.factuality.retrieve import NEAREST, RetrievePassages
from bench.results.claims import CHECKED_SCHEMA

COUNTS = "counts.parquet"
COUNTS_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        *(pa.field(label, pa.int64(), nullable=False) for label in (SUPPORTED, NOT_SUPPORTED, IRRELEVANT)),
    ]
)


class CheckClaims(Stage):
    """A verifier's findings about all claims of one generation. It sees one claim at a time and no names.

    ``passages``: what a verifier that reads passages is given; None for one that asks the task.
    """

    KIND: ClassVar[str] = "check_claims"
    VERSION: ClassVar[int] = 1

    claims: ExtractClaims
    verifier: Verifier
    passages: RetrievePassages | None = None

    def resources(self) -> Resources:
        """Return what the verifier needs."""
        return self.verifier.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``claims.parquet``, one row per claim, and ``counts.parquet``, one row per response by label.

        Raises StageError for a verifier that lacks its passages or does not return one finding per claim.
        """
        if (self.verifier.READS == "passages") != (self.passages is not None):
            raise StageError(f"{self.label()}: verifier {self.verifier.NAME} reads the {self.verifier.READS}")
        task = self.claims.responses.task
        prompts = {prompt.id: prompt for prompt in task.prompts()}
        rows = pq.read_table(io.read(self.claims) / PAYLOAD).to_pylist()
        nearest = self._nearest(io)
        asked = [
            Asked(
                prompt=prompts[row["prompt"]],
                claim=row["text"],
                passages=tuple(nearest.get((row["prompt"], row["draw"], row["index"]), ())),
            )
            for row in rows
        ]
        findings = one_finding_each(self.verifier, self.verifier.verify(task, asked, io), len(asked))
        io.meter.judgements += len(findings)
        checked = [{**row, **finding.model_dump()} for row, finding in zip(rows, findings, strict=True)]
        pq.write_table(pa.Table.from_pylist(checked, schema=CHECKED_SCHEMA), io.out / PAYLOAD)
        labels = Counter((row["prompt"], row["draw"], row["label"]) for row in checked)
        counts = [
            {
                "prompt": row["prompt"],
                "draw": row["draw"],
                **{label: labels[row["prompt"], row["draw"], label] for label in COUNTS_SCHEMA.names[2:]},
            }
            for row in read_rows(io, self.claims.responses)
        ]
        pq.write_table(pa.Table.from_pylist(counts, schema=COUNTS_SCHEMA), io.out / COUNTS)

    def _nearest(self, io: StageIO) -> dict[tuple[str, int, int], list[Passage]]:
        found: dict[tuple[str, int, int], list[Passage]] = {}
        if self.passages is not None:
            rows: list[dict[str, Any]] = pq.read_table(io.read(self.passages) / NEAREST).to_pylist()
            for row in sorted(rows, key=lambda row: row["rank"]):
                passage = Passage(title=row["title"], text=row["text"])
                found.setdefault((row["prompt"], row["draw"], row["index"]), []).append(passage)
        return found
