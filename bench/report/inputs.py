"""What a report is made from: the comparison, and what a run left beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bench.config.comparison import Comparison
from bench.core.conclusions import Agreement, GapShare, read_conclusions
from bench.core.contrast import Contrast
from bench.core.length_recovery import LengthRecovery
from bench.core.records import read_records
from bench.core.summary import RunSummary, read_summary
from bench.core.task import WIN_RATE

RECORDS = "records.parquet"
CONTRASTS = "contrasts.json"
SUMMARY = "run.json"


@dataclass(frozen=True)
class Inputs:
    """Everything a report may say: it computes no statistic of its own beyond counts and means of records."""

    comparison: Comparison
    summary: RunSummary
    contrasts: tuple[Contrast, ...]
    records: pa.Table
    gap_closed: tuple[GapShare, ...] = ()
    labellers: tuple[Agreement, ...] = ()
    length_recovery: tuple[LengthRecovery, ...] = ()

    @property
    def primary(self) -> tuple[Contrast, ...]:
        """The contrasts the report leads with: the win rates, or those of the first metric where there are none."""
        win_rates = tuple(item for item in self.contrasts if item.metric == WIN_RATE.name)
        if win_rates or not self.contrasts:
            return win_rates
        return tuple(item for item in self.contrasts if item.metric == self.contrasts[0].metric)

    @property
    def further(self) -> tuple[Contrast, ...]:
        """All other contrasts."""
        lead = self.primary
        return tuple(item for item in self.contrasts if item not in lead)


def read_inputs(folder: Path, comparison: Comparison) -> Inputs:
    """Return what a run left in a folder; raises DataError, naming the file, where something is missing."""
    found = read_conclusions(folder / CONTRASTS)
    return Inputs(
        comparison=comparison,
        summary=read_summary(folder / SUMMARY),
        contrasts=found.contrasts,
        records=read_records(folder / RECORDS),
        gap_closed=found.gap_closed,
        labellers=found.labellers,
        length_recovery=found.length_recovery,
    )
