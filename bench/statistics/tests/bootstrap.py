"""Cluster bootstrap of many ratios at once: percentile and BCa intervals for means and ratios of sums.

A resample draws whole clusters with replacement; how often each was drawn is a row of counts, so that all methods are
resampled by one matrix product and stay paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import draws
from bench.statistics.tests.random_effects import IntArray, cluster_sums


@dataclass(frozen=True)
class Resampled:
    """Ratios of k methods: estimates (k), resampled (resamples, k), and with one cluster left out (clusters, k)."""

    estimates: FloatArray
    replicates: FloatArray
    left_out: FloatArray

    @property
    def standard_errors(self) -> FloatArray:
        """The standard deviation over resamples, by method."""
        return np.asarray(self.replicates.std(axis=0, ddof=1))

    def percentile(self, level: float) -> tuple[FloatArray, FloatArray]:
        """Return the percentile intervals, by method."""
        low, high = np.quantile(self.replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def bca(self, level: float) -> tuple[FloatArray, FloatArray]:
        """Return the bias-corrected and accelerated intervals, by method (Efron 1987, J. Am. Stat. Assoc. 82:171).

        For skewed estimates (rates near 0 or 1, ratios). The acceleration is the jackknife's over clusters. A method
        whose resamples are all equal gets an interval without width.
        """
        below = (self.replicates < self.estimates).mean(axis=0) + (self.replicates == self.estimates).mean(axis=0) / 2
        shift = special.ndtri(np.clip(below, 1 / (2 * len(self.replicates)), 1 - 1 / (2 * len(self.replicates))))
        away = self.left_out.mean(axis=0) - self.left_out
        spread = (away**2).sum(axis=0) ** 1.5
        bend = (away**3).sum(axis=0) / (6 * np.where(spread > 0, spread, 1.0))
        bounds: list[FloatArray] = []
        for tail in ((1 - level) / 2, (1 + level) / 2):
            moved = shift + special.ndtri(tail)
            wanted = special.ndtr(shift + moved / (1 - bend * moved))
            bounds.append(
                np.array([np.quantile(column, at) for column, at in zip(self.replicates.T, wanted, strict=True)])
            )
        return bounds[0], bounds[1]


def resampled_means(values: FloatArray, clusters: IntArray, resamples: int, seed: int) -> Resampled:
    """Return the bootstrap of the means of ``values`` (methods, prompts); ``clusters`` (prompts) are codes 0..C-1."""
    return resampled_ratios(values, np.ones_like(values), clusters, resamples, seed)


def resampled_ratios(above: FloatArray, below: FloatArray, clusters: IntArray, resamples: int, seed: int) -> Resampled:
    """Return the bootstrap of sum(above) / sum(below) by method; both are (methods, prompts).

    The same resamples serve all methods, so differences of replicates are paired. A resample in which a method's sum
    below the line is 0 counts as its estimate. Raises ValueError for fewer than two clusters.
    """
    tops, bottoms = cluster_sums(above, clusters), cluster_sums(below, clusters)
    units = tops.shape[1]
    if units < 2:
        raise ValueError("a bootstrap needs two clusters")
    total_top, total_bottom = tops.sum(axis=1), bottoms.sum(axis=1)
    estimates = _divided(total_top, total_bottom, np.full(len(tops), np.nan))
    found: list[FloatArray] = []
    for counts in draws(units, resamples, seed):
        found.append(_divided(counts @ tops.T, counts @ bottoms.T, estimates))
    left_out = _divided(total_top - tops.T, total_bottom - bottoms.T, estimates)
    return Resampled(estimates, np.concatenate(found), left_out)


def _divided(top: FloatArray, bottom: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.asarray(np.divide(top, bottom, out=np.broadcast_to(otherwise, top.shape).copy(), where=bottom != 0))
