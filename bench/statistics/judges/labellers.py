"""How well judges label preference data: agreement, position flips, and whether a second call says the same.

For one pair, v1 and v2 are the judge's preferences for the chosen response when it was shown first and second. The
label is their mean, so that a position bias cancels (RLAIF, Lee et al. 2023, arXiv 2309.00267, section 2.1.1).

- agreement (their z_acc): the share of pairs on whose better response judge and data agree; a label of exactly 1/2
  counts one half. The data prefer the chosen response where its probability is at least 1/2. Against gold utilities
  the same, pairs of equal utility left out.
- flips (their table 4): the share of pairs for which the judge prefers the same position in both orders; of these the
  share that goes to the first position, and the exact binomial test of one half.
- retest: the share of pairs on which a second call, with other noise, prefers the same response.
- confidence: the mean over pairs of the preferred response's probability.

Pairs are taken as independent, so intervals are Wilson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from bench.results.conclusions.all import LabellerAgreement, Proportion
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import wilson_interval

NamedLabeller = tuple[str, int | None]
# The usable rows of every pair, by the order in which it was shown.
Pairs = dict[int, dict[str, Mapping[str, Any]]]


def agreements(labels: pa.Table, level: float) -> tuple[LabellerAgreement, ...]:
    """Return one line per judge and seed of a table of labels, in the table's order of first appearance."""
    found: dict[NamedLabeller, None] = dict.fromkeys(
        zip(labels["judge"].to_pylist(), labels["run"].to_pylist(), strict=True)
    )
    return tuple(_agreement(_of(labels, named), named, level) for named in found)


def _of(labels: pa.Table, named: NamedLabeller) -> pa.Table:
    judge, seed = named
    rows = labels.filter(pc.equal(labels["judge"], judge))
    return rows.filter(pc.is_null(rows["run"]) if seed is None else pc.equal(rows["run"], seed))


def _agreement(rows: pa.Table, named: NamedLabeller, level: float) -> LabellerAgreement:
    calls = [rows.filter(pc.equal(rows["call"], call)).to_pylist() for call in (0, 1)]
    pairs, others = (_by_pair(call) for call in calls)
    both = {row: pair for row, pair in pairs.items() if len(pair) == 2}
    first = np.asarray([pair["first"]["value"] for pair in both.values()], dtype=float)
    second = np.asarray([pair["second"]["value"] for pair in both.values()], dtype=float)
    label = (first + second) / 2
    data = np.asarray([pair["first"]["label"] >= 0.5 for pair in both.values()], dtype=float)
    gold = [pair["first"]["gold"] for pair in both.values()]
    known = np.asarray([value is not None and value != 0 for value in gold], dtype=bool)
    better = np.asarray([float(value is not None and value > 0) for value in gold])
    one, other = np.sign(first - 0.5), np.sign(second - 0.5)
    flipped = one * other < 0
    to_first = flipped & (one > 0)
    flips = int(flipped.sum())
    again = {row: pair for row, pair in others.items() if len(pair) == 2 and row in both}
    return LabellerAgreement(
        judge=named[0],
        run=named[1],
        pairs=len({row["row"] for row in calls[0]}),
        usable=len(both),
        labels=_proportion(_agree(label, data), level),
        gold=_proportion(_agree(label[known], better[known]), level) if known.any() else None,
        first_order=_proportion(_agree(first, data), level),
        flips=_proportion(flipped.astype(float), level),
        flips_to_first=_proportion(to_first[flipped].astype(float), level),
        position_p=float(stats.binomtest(int(to_first.sum()), flips, 0.5).pvalue) if flips else None,
        retest=_proportion(_same(both, again), level) if calls[1] else None,
        confidence=float(np.maximum(label, 1 - label).mean()) if len(label) else None,
        level=level,
    )


def _by_pair(rows: Sequence[Mapping[str, Any]]) -> Pairs:
    found: Pairs = {}
    for row in rows:
        if row["status"] == "ok":
            found.setdefault(row["row"], {})[row["order"]] = row
    return found


def _agree(preference: FloatArray, better: FloatArray) -> FloatArray:
    """Return 1 where a preference for the chosen response names the better one, 0 where not, 1/2 for a tie."""
    return np.where(preference == 0.5, 0.5, (preference > 0.5) == (better > 0.5))


def _same(one: Pairs, other: Pairs) -> FloatArray:
    """Return 1 for each pair of ``other`` on which both calls prefer the same response, orders averaged; else 0."""
    return np.asarray([float(_side(one[row]) == _side(other[row])) for row in other], dtype=float)


def _side(pair: Mapping[str, Mapping[str, Any]]) -> float:
    return float(np.sign(pair["first"]["value"] + pair["second"]["value"] - 1.0))


def _proportion(successes: FloatArray, level: float) -> Proportion:
    if not len(successes):
        return Proportion(n=0, share=None, low=None, high=None)
    low, high = wilson_interval(float(successes.sum()), len(successes), level)
    return Proportion(n=len(successes), share=float(successes.mean()), low=low, high=high)
