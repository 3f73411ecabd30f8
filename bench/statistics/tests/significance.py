"""Tests of one paired sample against a null value. Each returns a two-sided p-value."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special, stats

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import BLOCK, clustered_standard_error
from bench.statistics.tests.random_effects import IntArray, cluster_sums

# All 2^n sign patterns are tried up to this many units: 65,536 patterns.
EXACT_UNITS = 16
# Two sums count as equal within this share of the largest possible sum: rounding, not evidence.
TIE = 1e-9


def paired_t(values: FloatArray, null: float = 0.0) -> float:
    """Return the p-value of the t test over independent values; 1 when nothing varies around the null value."""
    return _t_test(float(values.mean()) - null, float(values.std(ddof=1)) / len(values) ** 0.5, len(values) - 1)


def clustered_t(values: FloatArray, clusters: IntArray, null: float = 0.0) -> float:
    """Return the p-value of the t test with the clustered standard error and C - 1 degrees of freedom."""
    return _t_test(float(values.mean()) - null, clustered_standard_error(values, clusters), int(clusters.max()))


def sign_flip(values: FloatArray, clusters: IntArray, null: float, resamples: int, seed: int) -> float:
    """Return the sign-flip permutation p-value of the mean, flipping whole clusters.

    Exact (all patterns) for at most EXACT_UNITS clusters that differ from the null value; else with ``resamples``
    seeded patterns and the observed one counted among them (Phipson and Smyth 2010), so that p is never 0.
    """
    if len(values) == 0:
        return 1.0
    sums = cluster_sums(values - null, clusters)
    sums = sums[np.abs(sums) > TIE * max(1.0, float(np.abs(values).max()))]
    if len(sums) == 0:
        return 1.0
    observed = abs(float(sums.sum())) - TIE * float(np.abs(sums).sum())
    if len(sums) <= EXACT_UNITS:
        return float((np.abs(all_signs(len(sums)) @ sums) >= observed).mean())
    rows = max(1, BLOCK // len(sums))
    beyond = 0
    for number, start in enumerate(range(0, resamples, rows)):
        patterns = some_signs(len(sums), min(rows, resamples - start), seed, number)
        beyond += int((np.abs(patterns @ sums) >= observed).sum())
    return (1 + beyond) / (1 + resamples)


def sign_test(values: FloatArray, null: float) -> float:
    """Return the exact binomial p-value of as many values above as below the null value; ties are left out."""
    differences = _rounded(values, null)
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(above, above + below, 0.5).pvalue) if above + below else 1.0


def mcnemar_exact(a: FloatArray, b: FloatArray) -> float:
    """Return the exact McNemar p-value of two paired 0/1 samples: binomial on the discordant pairs."""
    return sign_test(a - b, 0.0)


def wilcoxon(values: FloatArray, null: float) -> float:
    """Return the Wilcoxon signed-rank p-value, values equal to the null left out; 1 when all are equal.

    By scipy; exact under ties too for at most EXACT_UNITS values, as the sign-flip test of the signed ranks (the
    same p-value as scipy's, without its loop over permutations).
    """
    differences = _rounded(values, null)
    differences = differences[differences != 0]
    if len(differences) <= EXACT_UNITS:
        ranks = np.sign(differences) * stats.rankdata(np.abs(differences))
        return sign_flip(ranks, np.arange(len(ranks)), 0.0, 0, 0)
    return float(stats.wilcoxon(differences).pvalue)


def _rounded(values: FloatArray, null: float) -> FloatArray:
    """Return the differences from the null value without the dust of averaging, which would break ties."""
    return np.asarray(np.round(values - null, 12))


def _t_test(distance: float, error: float, df: float) -> float:
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    return float(2 * special.stdtr(df, -abs(distance) / error))


@lru_cache(maxsize=4)
def all_signs(units: int) -> FloatArray:
    """Return (2^units, units): every pattern of signs."""
    patterns = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
    return np.asarray(1.0 - 2.0 * patterns)


@lru_cache(maxsize=8)
def some_signs(units: int, rows: int, seed: int, number: int) -> FloatArray:
    """Return (rows, units) of random signs: block ``number`` of a seeded sequence."""
    generator = np.random.default_rng([seed, number])
    return np.asarray(1.0 - 2.0 * generator.integers(0, 2, (rows, units)))
