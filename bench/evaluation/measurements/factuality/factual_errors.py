"""Factuality: from responses to claims, from claims to passages, and from both to what is supported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.config.comparison import Factuality
from bench.core.metrics import (
    ANSWERED,
    FACTSCORE,
    FACTUALITY_METRICS,
    IRRELEVANT_CLAIMS,
    SUPPORTED_CLAIMS,
    UNSUPPORTED_CLAIMS,
    MetricInfo,
    fact_score,
)
from bench.core.task import IRRELEVANT, NOT_SUPPORTED, SUPPORTED
from bench.evaluation.generate import Generate, is_answered, stored_rows
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.evaluation.measurements.factuality.extract import PAYLOAD, ExtractClaims
from bench.evaluation.measurements.factuality.retrieve import IndexPassages, RetrievePassages
from bench.evaluation.measurements.factuality.verification import COUNTS, CheckClaims
from bench.evaluation.measurements.scores import SCORES_SCHEMA
from bench.results.claims import CLAIMS
from bench.results.records import AUDIT, CLAIMS_IMITATION, RECORDS, TOO_LONG
from bench.results.tables import TableFile

COUNTED_AS = {SUPPORTED: SUPPORTED_CLAIMS, NOT_SUPPORTED: UNSUPPORTED_CLAIMS, IRRELEVANT: IRRELEVANT_CLAIMS}


class FactualErrors(Measurement):
    """Whether the claims of responses are supported, and how many there are."""

    NAME: ClassVar[str] = "factuality"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 9
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS, CLAIMS, AUDIT)

    def cells(self, design: Design) -> Iterator[Cell[CheckClaims]]:
        """Yield the claims of every arm at every seed on the tasks that ``factuality`` names."""
        factuality = design.evaluation.factuality
        for task, arm, seed, _ in design.each():
            if factuality is not None and task.NAME in factuality.tasks:
                yield Cell(self, checked(design.answers[task.NAME, arm, seed], factuality), arm, seed, task)

    def rows(self, cell: Cell[CheckClaims], payload: Payload, design: Design) -> Rows:
        """Yield every claim with what was found about it, and what is counted of every response."""
        folder = payload(cell.stage)
        claims = pq.read_table(folder / PAYLOAD)
        yield CLAIMS, claims
        yield AUDIT, imitations_of(cell.stage, claims)
        if design.evaluation.factuality is not None:
            gamma = design.evaluation.factuality.gamma
            responses = stored_rows(payload(cell.stage.claims.responses))
            unanswered = {(row["prompt"], row["draw"]) for row in responses if not is_answered(row)}
            yield RECORDS, counted(pq.read_table(folder / COUNTS).to_pylist(), gamma, unanswered)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return what is counted of claims, where they are checked."""
        return FACTUALITY_METRICS if design.evaluation.factuality is not None else ()

    def judge_calls(self, cell: Cell[CheckClaims]) -> int | None:
        """Return none for a verifier that asks the task; how many claims there will be is not known for another."""
        return None if cell.stage.passages is not None else 0


def imitations_of(stage: CheckClaims, claims: pa.Table) -> pa.Table:
    """Return a row for each response with a claim that holds what parts the verifier's question (CLAIMS_IMITATION)."""
    verifier = stage.verifier
    found = dict.fromkeys(
        (row["prompt"], row["draw"]) for row in claims.to_pylist() if verifier.is_imitated_by(row["text"])
    )
    same = {"metric": CLAIMS_IMITATION, "value": 1.0, "status": "ok"}
    rows = [{"prompt": prompt, "draw": draw, **same} for prompt, draw in found]
    table = pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)
    return table.append_column("source", pa.array([verifier.NAME] * len(rows), pa.string()))


def counted(rows: Sequence[dict[str, Any]], gamma: float, unanswered: Collection[tuple[str, int]] = ()) -> pa.Table:
    """Return the values of every response: claims by label, whether there are any, and FActScore.

    ``unanswered``: the prompts and draws without a response, which have no values.
    """
    found: list[dict[str, Any]] = []
    for counts in rows:
        facts = sum(counts[label] for label in COUNTED_AS)
        values: dict[str, float | None] = {metric.name: float(counts[label]) for label, metric in COUNTED_AS.items()}
        values[ANSWERED.name] = float(facts > 0)
        values[FACTSCORE.name] = fact_score(counts[SUPPORTED], facts, gamma)
        for metric, value in values.items():
            same = {"prompt": counts["prompt"], "draw": counts["draw"], "metric": metric}
            if (counts["prompt"], counts["draw"]) in unanswered:
                found.append({**same, "value": None, "status": TOO_LONG})
            else:
                found.append({**same, "value": value, "status": "undefined" if value is None else "ok"})
    return pa.Table.from_pylist(found, schema=SCORES_SCHEMA)


def checked(responses: Generate, factuality: Factuality) -> CheckClaims:
    """Return the stage that checks the claims of one generation, with all it rests on."""
    claims = ExtractClaims(responses=responses, extractor=factuality.extractor)
    knowledge = factuality.knowledge
    if factuality.verifier.READS == "task" or knowledge is None:
        return CheckClaims(claims=claims, verifier=factuality.verifier)
    index = IndexPassages(source=knowledge.source, retriever=knowledge.retriever, words=knowledge.words)
    passages = RetrievePassages(claims=claims, index=index, most=knowledge.passages)
    return CheckClaims(claims=claims, verifier=factuality.verifier, passages=passages)
