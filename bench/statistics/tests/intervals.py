"""Intervals for means and proportions, for clustered and crossed values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy import special

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_sums

# Resampling works in blocks of at most this many numbers (16 MB), kept for the next contrast of the same shape.
BLOCK = 2_000_000


def wilson_interval(successes: float, trials: float, level: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927, J. Am. Stat. Assoc. 22:209).

    ``successes`` may be fractional (ties counted one half): the interval is then wider than need be. Both bounds lie
    in [0, 1].
    """
    z = float(special.ndtri((1 + level) / 2))
    share = successes / trials
    shrunk = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrunk
    width = z * (share * (1 - share) / trials + z**2 / (4 * trials**2)) ** 0.5 / shrunk
    return max(0.0, centre - width), min(1.0, centre + width)


def clustered_standard_error(values: FloatArray, clusters: IntArray) -> float:
    """Return sqrt(C/(C-1) * sum over clusters of (sum of residuals)^2) / n, for C clusters and n values.

    Miller 2024 (arXiv 2411.00640), with the finite-cluster factor; needs two clusters.
    """
    sums = cluster_sums(values - values.mean(), clusters)
    count = len(sums)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(values))


def clustered_interval(values: FloatArray, clusters: IntArray, level: float) -> tuple[float, float]:
    """Return the t interval of a mean with the clustered standard error and C - 1 degrees of freedom."""
    width = float(special.stdtrit(int(clusters.max()), (1 + level) / 2)) * clustered_standard_error(values, clusters)
    centre = float(values.mean())
    return centre - width, centre + width


def cluster_bootstrap(
    values: FloatArray, clusters: IntArray, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of a mean when whole clusters are drawn again."""
    return crossed_bootstrap(values[:, None], clusters, level, resamples, seed)


def crossed_bootstrap(
    values: FloatArray, clusters: IntArray, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of the grand mean of (prompts, seeds) when clusters and seeds are drawn again.

    Both axes are drawn independently with replacement (Owen 2007, arXiv 0712.1111, the product bootstrap): the
    residual is then counted three times, so that with no seed effect the interval is too wide, and with few seeds the
    seed effect's share is too small by (s - 1)/s. It stands beside the default test, not in its place.
    """
    means = bootstrap_means(values, clusters, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_means(values: FloatArray, clusters: IntArray, resamples: int, seed: int) -> FloatArray:
    """Return the grand means of (prompts, seeds) over whole clusters and seeds drawn again; see ``crossed_bootstrap``.

    Two arrays of one shape and the same seed are drawn alike, so that their means stay paired.
    """
    totals = cluster_sums(values.T, clusters).T
    sizes = np.bincount(clusters).astype(float)
    n_seeds = values.shape[1]
    means: list[FloatArray] = []
    pairs = zip(draws(len(sizes), resamples, seed), draws(n_seeds, resamples, seed + 1, of=len(sizes)), strict=True)
    for of_prompts, of_seeds in pairs:
        numerator = ((of_prompts @ totals) * of_seeds).sum(axis=1)
        means.append(numerator / (n_seeds * (of_prompts @ sizes)))
    return np.concatenate(means)


def draws(units: int, resamples: int, seed: int, of: int | None = None) -> Iterator[FloatArray]:
    """Yield blocks (rows, units) of how often each unit is drawn; ``of`` sets the block length of a sister axis."""
    rows = max(1, BLOCK // max(units, of or 0))
    for number, start in enumerate(range(0, resamples, rows)):
        yield _block(units, min(rows, resamples - start), seed, number)


@lru_cache(maxsize=16)
def _block(units: int, rows: int, seed: int, number: int) -> FloatArray:
    generator = np.random.default_rng([seed, number])
    drawn = generator.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(float)
    counts.flags.writeable = False
    return counts
