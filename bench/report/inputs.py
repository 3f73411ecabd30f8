"""What a report is made from: the comparison, and what a run left beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from bench.config.comparison import Comparison
from bench.results.claims import CLAIMS, CLAIMS_SCHEMA
from bench.results.conclusions.all import CONCLUSIONS, Agreement, GapShare
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.results.conclusions.factuality import ErrorReduction, FactualRates
from bench.results.conclusions.judge_audit import AnnotatorsTogether, JudgeAudit, JudgesTogether
from bench.results.conclusions.length_recovery import LengthRecovery
from bench.results.conclusions.ranking import Ranking
from bench.results.conclusions.tax import Tax
from bench.results.conclusions.variance import Decomposition
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.summary import SUMMARY, RunSummary


@dataclass(frozen=True)
class Inputs:
    """Everything a report may say: it computes no statistic of its own beyond counts and means of records.

    ``responses`` and ``verdicts`` are None for a run of an earlier version, which left none.
    """

    comparison: Comparison
    summary: RunSummary
    contrasts: tuple[Contrast, ...]
    records: pa.Table
    gap_closed: tuple[GapShare, ...] = ()
    labellers: tuple[Agreement, ...] = ()
    judges: tuple[JudgeAudit, ...] = ()
    judges_together: tuple[JudgesTogether, ...] = ()
    annotators_together: tuple[AnnotatorsTogether, ...] = ()
    factual_rates: tuple[FactualRates, ...] = ()
    error_reductions: tuple[ErrorReduction, ...] = ()
    variance: tuple[Decomposition, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    tax: tuple[Tax, ...] = ()
    responses: pa.Table | None = None
    verdicts: pa.Table | None = None
    claims: pa.Table = field(default_factory=CLAIMS_SCHEMA.empty_table)
    length_recovery: tuple[LengthRecovery, ...] = ()

    @property
    def primary(self) -> tuple[Contrast, ...]:
        """The contrasts the report leads with: the win rates, or those of the first metric where there are none."""
        return primary_of(self.contrasts)

    @property
    def further(self) -> tuple[Contrast, ...]:
        """All other contrasts."""
        lead = self.primary
        return tuple(item for item in self.contrasts if item not in lead)


def read_inputs(folder: Path, comparison: Comparison) -> Inputs:
    """Return what a run left in a folder; raises DataError, naming the file, where something is missing."""
    found = CONCLUSIONS.read(folder)
    return Inputs(
        comparison=comparison,
        summary=SUMMARY.read(folder),
        contrasts=found.contrasts,
        records=RECORDS.read(folder),
        gap_closed=found.gap_closed,
        labellers=found.labellers,
        judges=found.judges,
        judges_together=found.judges_together,
        annotators_together=found.annotators_together,
        factual_rates=found.factual_rates,
        error_reductions=found.error_reductions,
        variance=found.variance,
        rankings=found.rankings,
        tax=found.tax,
        responses=RESPONSES.find(folder),
        verdicts=VERDICTS.find(folder),
        claims=CLAIMS.read(folder),
        length_recovery=found.length_recovery,
    )
