"""What a report is made from: the comparison, and what a run left beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from bench.config.comparison import Comparison
from bench.results.claims import CLAIMS, CLAIMS_SCHEMA
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.summary import SUMMARY, RunSummary


@dataclass(frozen=True)
class Inputs:
    """Everything a report may say: it computes no statistic of its own beyond counts and means of records.

    ``responses`` and ``verdicts`` are None for a run of an earlier version, which left none. ``standing``: a line for
    everything in which the comparison is not what was run, or could not be compared with it.
    """

    comparison: Comparison
    summary: RunSummary
    conclusions: Conclusions
    records: pa.Table
    responses: pa.Table | None = None
    verdicts: pa.Table | None = None
    claims: pa.Table = field(default_factory=CLAIMS_SCHEMA.empty_table)
    standing: tuple[str, ...] = ()

    @property
    def primary(self) -> tuple[Contrast, ...]:
        """The contrasts the report leads with: those that the question is about."""
        return primary_of(self.conclusions.contrasts)

    @property
    def further(self) -> tuple[Contrast, ...]:
        """All other contrasts."""
        lead = self.primary
        return tuple(item for item in self.conclusions.contrasts if item not in lead)


def read_inputs(folder: Path, comparison: Comparison, standing: tuple[str, ...] = ()) -> Inputs:
    """Return what a run left in a folder; raises DataError, naming the file, where something is missing."""
    return Inputs(
        comparison=comparison,
        summary=SUMMARY.read(folder),
        conclusions=CONCLUSIONS.read(folder),
        records=RECORDS.read(folder),
        responses=RESPONSES.find(folder),
        verdicts=VERDICTS.find(folder),
        claims=CLAIMS.read(folder),
        standing=standing,
    )
