"""The whole path of one comparison: plan, run, records, contrasts, summary, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bench.collecting.facts import summarise
from bench.collecting.missing import without_missing
from bench.collecting.rows import collect_labels, collect_records
from bench.config.comparison import Comparison
from bench.core.conclusions import Conclusions, write_conclusions
from bench.core.contrast import Contrast
from bench.core.labels import read_labels, write_labels
from bench.core.records import write_records
from bench.core.summary import RunSummary, write_summary
from bench.core.task import MetricInfo
from bench.engine.events import Engine
from bench.plan import Plan
from bench.report.markdown import write_report
from bench.runner import Outcome, Watcher, run_stages
from bench.statistics.contrasts import compute_contrasts
from bench.statistics.gap import gap_shares
from bench.statistics.labellers import agreements
from bench.statistics.length_recovery import length_recoveries
from bench.store import Store

RECORDS = "records.parquet"
CONTRASTS = "contrasts.json"
LABELS = "labels.parquet"
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
    if comparison.evaluation.labelling is not None:
        write_labels(collect_labels(plan, outcome, store), folder / LABELS)
    summary = summarise(plan, outcome, store)
    write_summary(summary, folder / SUMMARY)
    contrasts = conclude(comparison, summary, records, folder)
    report = write_report(folder, comparison)
    return Result(plan, outcome, summary, contrasts, report)


def conclude(
    comparison: Comparison, summary: RunSummary, records: pa.Table, folder: Path
) -> tuple[Contrast, ...]:  # fmt: skip
    """Return the contrasts of the records, written to ``contrasts.json`` with all else that is concluded.

    The labels are read from the folder. What lacks a cell is left out.
    """
    whole = without_missing(comparison, summary.missing)
    metrics = {name: MetricInfo.model_validate(facts) for name, facts in summary.metrics.items()}
    contrasts = tuple(compute_contrasts(records, whole, metrics, summary.own_rewards))
    labels = read_labels(folder / LABELS) if comparison.evaluation.labelling is not None else None
    conclusions = Conclusions(
        contrasts=contrasts,
        gap_closed=gap_shares(records, whole, summary.own_rewards),
        labellers=() if labels is None else agreements(labels, comparison.statistics.level),
        length_recovery=length_recoveries(records, whole),
    )
    write_conclusions(conclusions, folder / CONTRASTS)
    return contrasts


def store_of(comparison: Comparison) -> Store:
    """Return the store of a comparison: ``.store`` beside its folder, shared with its neighbours."""
    return Store(Path(comparison.path).parent.parent / ".store")
