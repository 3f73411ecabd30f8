"""Shares and means of what happens in the cells of a design, with clusters of prompts and training seeds as units.

A share is a ratio of two sums over cells (prompts, seeds): how often something happened over how often it could have.
By linearisation (Cochran 1977, Sampling Techniques, ch. 6), with R = sum(top) / sum(bottom),

    u[prompt, seed] = R + (top - R bottom) / mean(bottom)

has the mean R and, to first order, its variance; u goes through the crossed random effects of the default test.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from bench.results.conclusions.judge_audit import Measure
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import wilson_interval
from bench.statistics.tests.random_effects import IntArray, crossed_effects

# A standard error below this is none: sums of verdicts differ by rounding only.
ROUNDING = 1e-12


def share(top: FloatArray, bottom: FloatArray, clusters: IntArray, level: float) -> Measure:
    """Return sum(top) / sum(bottom), both (prompts, seeds) with 0 <= top <= bottom, and its interval.

    The interval is Wilson's with the effective number of trials R (1 - R) / SE^2 (Korn and Graubard 1998), which stays
    within [0, 1]. Where that number does not exist (a share of 0 or 1, all cells alike) every cluster of prompts that
    has any trial counts as one: whatever happened to all is then known no better than from so many prompts.
    """
    trials = float(bottom.sum())
    if trials == 0:
        return Measure(n=0)
    rate = min(float(top.sum()) / trials, 1.0)
    units = len(np.unique(clusters[bottom.sum(axis=1) > 0]))
    effective = float(units)
    if 0 < rate < 1 and units > 1:
        law = crossed_effects(rate + (top - rate * bottom) / bottom.mean(), dense(clusters)).confidence
        error = float(law.standard_error)
        if error > ROUNDING:
            df = law.effective_df(level)
            widened = float(special.ndtri((1 + level) / 2) / special.stdtrit(df, (1 + level) / 2)) ** 2
            effective = min(rate * (1 - rate) / error**2 * widened, trials)
    low, high = wilson_interval(rate * effective, effective, level)
    return Measure(n=round(trials), estimate=rate, low=min(low, rate), high=max(high, rate))


def mean(values: FloatArray, clusters: IntArray, level: float, n: int) -> Measure:
    """Return the mean of values (prompts, seeds) with the interval of the default test, over ``n`` observations.

    No interval for a single cluster.
    """
    centre = float(values.mean())
    if int(clusters.max()) < 1:
        return Measure(n=n, estimate=centre)
    low, high = crossed_effects(values, dense(clusters)).confidence.interval(level)
    return Measure(n=n, estimate=centre, low=low, high=high)


def dense(clusters: IntArray) -> IntArray | None:
    """Return cluster codes for ``crossed_effects``; None where every prompt stands alone."""
    return clusters if int(clusters.max()) + 1 < len(clusters) else None
