"""Many paired contrasts on the same prompts: the max-T test, sharper than Holm where contrasts are correlated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.statistics.confidence import FloatArray
from bench.statistics.intervals import BLOCK
from bench.statistics.random_effects import IntArray, cluster_sums
from bench.statistics.significance import EXACT_UNITS, TIE, all_signs, some_signs


def max_t(values: FloatArray, clusters: IntArray, resamples: int, seed: int) -> list[float]:
    """Return the step-down max-T adjusted p-values of "the mean of each contrast is 0".

    ``values`` is (contrasts, prompts), differences from the null value; ``clusters`` (prompts) are codes 0..C-1, whose
    signs are flipped as a whole and together for all contrasts, which keeps their correlation. Westfall and Young 1993;
    Romano and Wolf 2005 (Econometrica 73:1237). All patterns for at most EXACT_UNITS clusters, else ``resamples``
    seeded ones with the observed one counted among them. Family-wise error under every subset of true nulls whose
    differences are symmetric. Raises ValueError for fewer than two clusters.
    """
    sums = cluster_sums(values, clusters)
    units = sums.shape[1]
    if units < 2:
        raise ValueError("a sign-flip test needs two clusters")
    # The sum of squares does not change when signs flip, so it is the denominator of every pattern's statistic.
    length = np.sqrt((sums**2).sum(axis=1))
    scaled = sums / np.where(length > 0, length, 1.0)[:, None]
    observed = np.abs(scaled.sum(axis=1))
    order = np.argsort(-observed, kind="stable")
    beyond, patterns = np.zeros(len(order)), 0
    for signs in _patterns(units, resamples, seed):
        flipped = np.abs(signs @ scaled.T)[:, order]
        # The largest among this contrast and all weaker ones.
        largest = np.maximum.accumulate(flipped[:, ::-1], axis=1)[:, ::-1]
        beyond += (largest >= observed[order] - TIE * units**0.5).sum(axis=0)
        patterns += len(signs)
    exact = units <= EXACT_UNITS
    p = beyond / patterns if exact else (1 + beyond) / (1 + patterns)
    result = np.empty(len(order))
    result[order] = np.maximum.accumulate(p)
    return [float(value) for value in result]


def _patterns(units: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    if units <= EXACT_UNITS:
        yield all_signs(units)
        return
    rows = max(1, BLOCK // units)
    for number, start in enumerate(range(0, resamples, rows)):
        yield some_signs(units, min(rows, resamples - start), seed, number)
