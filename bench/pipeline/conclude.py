"""From the tables of a run to all that is concluded from them: contrasts.json."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from bench.config.comparison import Comparison
from bench.core.metrics import MetricInfo
from bench.pipeline.missing import without_judges, without_missing
from bench.results.annotations import ANNOTATIONS
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.results.labels import LABELS
from bench.results.records import AUDIT
from bench.results.summary import RunSummary
from bench.statistics.claims.in_runs import error_reductions, factual_rates
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.gap_closed import gaps_closed
from bench.statistics.contrasts.seed_variance import seed_spreads
from bench.statistics.contrasts.tax import alignment_tax
from bench.statistics.judges.agreement import annotators_together
from bench.statistics.judges.audit import imitations_beside, judge_audits
from bench.statistics.judges.labellers import agreements
from bench.statistics.length.recovery import length_recoveries
from bench.statistics.power.decomposition import decompositions
from bench.statistics.ranking.tournament import rankings


def concluded_from(
    comparison: Comparison, summary: RunSummary, records: pa.Table
) -> tuple[Comparison, pa.Table, dict[str, MetricInfo]]:
    """Return a comparison and its records without what lacks a cell, and the facts of the metrics by name."""
    metrics = {name: MetricInfo.model_validate(facts) for name, facts in summary.metrics.items()}
    return without_missing(comparison, summary.missing), without_judges(records, summary.missing), metrics


def conclude(
    comparison: Comparison, summary: RunSummary, records: pa.Table, folder: Path
) -> tuple[Contrast, ...]:  # fmt: skip
    """Return the contrasts of the records, written to ``contrasts.json`` with all else that is concluded.

    The labels and the verdicts that audit the judges are read from the folder. What lacks a cell is left out.
    """
    whole, records, metrics = concluded_from(comparison, summary, records)
    contrasts = tuple(compute_contrasts(records, whole, metrics, summary.own_rewards))
    labels = LABELS.read(folder) if comparison.evaluation.labelling is not None else None
    audit = AUDIT.read(folder)
    judges, together = judge_audits(records, audit, comparison)
    conclusions = Conclusions(
        contrasts=contrasts,
        gap_closed=gaps_closed(records, whole, summary.own_rewards),
        labellers=() if labels is None else agreements(labels, comparison.statistics.level),
        judges=judges,
        judges_together=together,
        imitations=imitations_beside(audit),
        annotators_together=annotators_together(ANNOTATIONS.read(folder), comparison.statistics.level),
        factual_rates=factual_rates(records, comparison),
        error_reductions=error_reductions(records, whole),
        variance=decompositions(primary_of(contrasts), comparison.statistics.detect),
        seed_spreads=seed_spreads(records, primary_of(contrasts), whole.evaluation.versus),
        rankings=rankings(records, whole, summary.own_rewards),
        tax=alignment_tax(records, comparison, metrics, summary.missing),
        length_recovery=length_recoveries(records, whole),
    )
    CONCLUSIONS.write(conclusions, folder)
    return contrasts
