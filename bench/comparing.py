"""The whole path of one comparison: plan, run, records, contrasts, summary, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bench.collect import collect_records, metrics_by_name, summarise, without_missing
from bench.config.comparison import Comparison
from bench.core.contrast import Contrast, write_contrasts
from bench.core.records import write_records
from bench.core.summary import RunSummary, write_summary
from bench.engine.events import Engine
from bench.plan import Plan
from bench.report.markdown import write_report
from bench.runner import Outcome, Watcher, run_stages
from bench.statistics.contrasts import compute_contrasts
from bench.store import Store

RECORDS = "records.parquet"
CONTRASTS = "contrasts.json"
SUMMARY = "run.json"


@dataclass(frozen=True)
class Result:
    """What a comparison came to."""

    plan: Plan
    outcome: Outcome
    summary: RunSummary
    contrasts: tuple[Contrast, ...]
    report: Path


def compare(plan: Plan, store: Store, engine: Engine, watcher: Watcher) -> Result:
    """Return the result of running a comparison's plan, its files written beside the comparison file.

    A stage that fails leaves its cells out, and the contrasts that need them; the summary says which and why.
    """
    comparison = plan.comparison
    outcome = run_stages(plan.stages, store, engine, watcher)
    folder = Path(comparison.path).parent
    records = collect_records(plan, outcome, store)
    write_records(records, folder / RECORDS)
    summary = summarise(plan, outcome, store)
    write_summary(summary, folder / SUMMARY)
    contrasts = conclude(without_missing(comparison, summary.missing), records, folder)
    report = write_report(folder, comparison)
    return Result(plan, outcome, summary, contrasts, report)


def conclude(comparison: Comparison, records: pa.Table, folder: Path) -> tuple[Contrast, ...]:
    """Return the contrasts of the records, written to ``contrasts.json``."""
    contrasts = tuple(compute_contrasts(records, comparison, metrics_by_name(comparison)))
    write_contrasts(contrasts, folder / CONTRASTS)
    return contrasts


def store_of(comparison: Comparison) -> Store:
    """Return the store of a comparison: ``.store`` beside its folder, shared with its neighbours."""
    return Store(Path(comparison.path).parent.parent / ".store")
