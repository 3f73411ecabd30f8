"""Extraction: the claims of every response of one generation."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.checker import Extractor
from bench.core.errors import StageError
from bench.core.judge import Response
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.generate import Generate, is_answered, read_rows
from bench.results.claims import EXTRACTED_SCHEMA

PAYLOAD = "claims.parquet"


class ExtractClaims(Stage):
    """The claims of all responses of one generation. The extractor sees one response at a time and no names."""

    KIND: ClassVar[str] = "extract_claims"
    VERSION: ClassVar[int] = 1

    responses: Generate
    extractor: Extractor

    def resources(self) -> Resources:
        """Return what the extractor needs."""
        return self.extractor.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``claims.parquet``: one row per claim, none for a response without claims or a missing one.

        Raises StageError for an extractor that does not return one list per response, or a place outside it.
        """
        task = self.responses.task
        prompts = {prompt.id: prompt for prompt in task.prompts()}
        answers = [row for row in read_rows(io, self.responses) if is_answered(row)]
        asked = [Response(prompt=prompts[row["prompt"]], text=row["text"]) for row in answers]
        extracted = self.extractor.extract(task, asked, io)
        if len(extracted) != len(asked):
            raise StageError(
                f"extractor {self.extractor.NAME} returned claims of {len(extracted)} responses out of {len(asked)}. "
                "Return one list for each, in order; an empty one for a response without claims."
            )
        rows: list[dict[str, Any]] = []
        for row, claims in zip(answers, extracted, strict=True):
            for index, claim in enumerate(claims):
                if claim.start is not None and not 0 <= claim.start < (claim.end or 0) <= len(row["text"]):
                    raise StageError(
                        f"extractor {self.extractor.NAME} places claim {index} of prompt {row['prompt']} at "
                        f"{claim.start}:{claim.end}, which is no stretch of the response. Give start < end within it, "
                        "or None for both."
                    )
                rows.append({"prompt": row["prompt"], "draw": row["draw"], "index": index, **claim.model_dump()})
        pq.write_table(pa.Table.from_pylist(rows, schema=EXTRACTED_SCHEMA), io.out / PAYLOAD)
