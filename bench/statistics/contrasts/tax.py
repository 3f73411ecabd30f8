"""The alignment tax: every arm against the one that it starts from, on every benchmark, with a margin.

Documents are paired by their hash, models by their seed, and the difference goes through the test of the contrasts
(``random_effects``). Where a metric is right or wrong and all seeds gave the same answers, the bounds are Tango's score
bounds (``paired_binary``), which have a width even where no document distinguishes the two. Each line is a test of
non-inferiority by itself: that an arm keeps all benchmarks is an intersection of such tests and needs no correction,
that it loses one of many is a finding among many looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import special

from bench.config.comparison import AlignmentTax, Comparison
from bench.core.errors import IncompleteRecords
from bench.core.metrics import SHARE, MetricInfo
from bench.results.conclusions.tax import Tax, TaxVerdict
from bench.results.summary import Missing
from bench.statistics.contrasts.analysis import ROUNDING
from bench.statistics.crossing.crossing import Crossing, RecordIndex, Request, cells
from bench.statistics.tests.margin_tests import non_inferiority_p, one_sided_bounds
from bench.statistics.tests.paired_binary import discordant, tango_interval, tango_score
from bench.statistics.tests.random_effects import crossed_effects
from bench.statistics.tests.support import difference_bounds, zero_or_one


def alignment_tax(
    table: pa.Table, comparison: Comparison, metrics: Mapping[str, MetricInfo], missing: Sequence[Missing]
) -> tuple[Tax, ...]:
    """Return one line per benchmark, metric with a better side and arm; empty where the tax is not asked for.

    Cells among ``missing`` are left out. Raises IncompleteRecords where other rows are missing, unless the comparison
    says ``missing: drop_prompts``.
    """
    tax = comparison.evaluation.tax
    if tax is None:
        return ()
    index = RecordIndex(table)
    absent = {(cell.arm, cell.task) for cell in missing if cell.leaves_out == "arm"}
    return tuple(_lines(index, comparison, tax, metrics, absent))


def _lines(
    index: RecordIndex,
    comparison: Comparison,
    tax: AlignmentTax,
    metrics: Mapping[str, MetricInfo],
    absent: set[tuple[str | None, str | None]],
) -> Iterator[Tax]:
    seeds = tuple(dict.fromkeys(comparison.given.seeds))
    for task in dict.fromkeys(benchmark.name for benchmark in comparison.evaluation.benchmarks):
        for metric in index.metrics(task):
            info = metrics.get(metric)
            if info is None or info.higher_is_better is None:
                continue
            for arm in comparison.arms:
                if arm.name == tax.versus or absent & {(arm.name, task), (tax.versus, task)}:
                    continue
                request = Request(arm.name, tax.versus, task, metric, "task", seeds)
                try:
                    crossing = cells(index, request, comparison.statistics.missing)
                except IncompleteRecords as error:
                    raise IncompleteRecords(
                        f"The alignment tax cannot be computed: {error}\n  Run the comparison again to fill the gaps, "
                        "or set statistics.missing to drop_prompts."
                    ) from error
                sign = 1.0 if info.higher_is_better else -1.0
                yield _line(request, crossing, sign, tax, comparison.statistics.level)


def _line(request: Request, crossing: Crossing, sign: float, tax: AlignmentTax, level: float) -> Tax:
    found = _tested(crossing, sign, tax.margin, level)
    verdict: TaxVerdict = "undecided"
    if found.lower is not None and found.upper is not None:
        verdict = "kept" if found.lower > -tax.margin else "lost" if found.upper < -tax.margin else "undecided"
    empty = not crossing.prompts
    a, b = crossing.a_values, crossing.b_values
    return Tax(
        arm=request.a,
        versus=request.b,
        task=request.task,
        metric=request.metric,
        margin=tax.margin,
        level=level,
        advantage=None if empty else sign * float(crossing.values.mean()),
        lower=found.lower,
        upper=found.upper,
        p=found.p,
        mean_arm=None if empty or a is None else float(np.mean(a)),
        mean_versus=None if empty or b is None else float(np.mean(b)),
        verdict=verdict,
        n_prompts=len(crossing.prompts),
        n_runs=len(request.seeds),
        n_missing=crossing.left_out,
        speaks_about="the training procedure" if len(request.seeds) > 1 else "these trained models",
        note=found.note,
    )


@dataclass(frozen=True)
class _Tested:
    """One-sided bounds of the advantage and the p-value of non-inferiority; None, with a note, without a test."""

    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    note: str = ""


def _tested(crossing: Crossing, sign: float, margin: float, level: float) -> _Tested:
    units = int(crossing.clusters.max(initial=-1)) + 1
    if units < 2:
        return _Tested(note="fewer than two independent documents")
    alone = units == len(crossing.prompts)
    alike = float(np.ptp(crossing.values, axis=1).max()) == 0
    a, b = crossing.a_values, crossing.b_values
    binary = a is not None and b is not None and zero_or_one(a) and zero_or_one(b)
    if a is not None and b is not None and alone and alike and binary:
        ours, theirs = (a, b) if sign > 0 else (b, a)
        counts = discordant(ours[:, 0], theirs[:, 0])
        lower, upper = tango_interval(counts, 2 * level - 1)
        return _Tested(lower, upper, float(special.ndtr(-tango_score(counts, -margin))), "score bounds")
    bounds = difference_bounds(SHARE) if binary else None
    law = crossed_effects(sign * crossing.values, None if alone else crossing.clusters, bounds).confidence
    if float(law.standard_error) <= ROUNDING and law.support is None:
        return _Tested(note="no variation: all differences are equal, and nothing bounds the others")
    return _Tested(*one_sided_bounds(law, level), non_inferiority_p(law, margin))
