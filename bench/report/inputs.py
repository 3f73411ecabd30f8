"""What a report is made from: the comparison, and what a run left beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from bench.config.comparison import Comparison
from bench.core.results import CLAIMS, CONTRASTS, RECORDS, SUMMARY
from bench.results.claims import CLAIMS_SCHEMA, read_claims
from bench.results.conclusions.all import Conclusions, read_conclusions
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.results.records import read_records
from bench.results.responses import read_responses, read_verdicts
from bench.results.summary import RunSummary, read_summary


@dataclass(frozen=True)
class Inputs:
    """Everything a report may say: it computes no statistic of its own beyond counts and means of records.

    ``responses`` and ``verdicts`` are None for a run of an earlier version, which left none.
    """

    comparison: Comparison
    summary: RunSummary
    conclusions: Conclusions
    records: pa.Table
    responses: pa.Table | None = None
    verdicts: pa.Table | None = None
    claims: pa.Table = field(default_factory=CLAIMS_SCHEMA.empty_table)

    @property
    def primary(self) -> tuple[Contrast, ...]:
        """The contrasts the report leads with: the win rates, or those of the first metric where there are none."""
        return primary_of(self.conclusions.contrasts)

    @property
    def further(self) -> tuple[Contrast, ...]:
        """All other contrasts."""
        lead = self.primary
        return tuple(item for item in self.conclusions.contrasts if item not in lead)


def read_inputs(folder: Path, comparison: Comparison) -> Inputs:
    """Return what a run left in a folder; raises DataError, naming the file, where something is missing."""
    return Inputs(
        comparison=comparison,
        summary=read_summary(folder / SUMMARY),
        conclusions=read_conclusions(folder / CONTRASTS),
        records=read_records(folder / RECORDS),
        responses=read_responses(folder),
        verdicts=read_verdicts(folder),
        claims=read_claims(folder / CLAIMS),
    )
