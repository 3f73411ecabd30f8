"""Many paired contrasts on the same prompts: max-T, sharper than Holm's correction where contrasts are correlated.

``max_t`` flips signs of prompts and speaks about these trained models. ``max_t_over_seeds`` serves contrasts over
several training seeds. Of what contrasts share, it uses the prompts only: their correlation is estimated from many
prompts, that of seed effects would rest on two or three seeds. Seed effects are taken as independent, which can only
make the largest of several statistics larger (Sidak 1967, J. Am. Stat. Assoc. 62:626), whatever their true correlation
is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.intervals import BLOCK
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.significance import EXACT_UNITS, TIE, all_signs, some_signs


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


def max_t_over_seeds(
    p_values: Sequence[float], laws: Sequence[Confidence], correlation: FloatArray, resamples: int, seed: int
) -> list[float]:
    """Return the step-down max-T adjusted p-values of contrasts over several seeds, at least p and at most Holm's.

    ``laws`` are those behind ``p_values``; ``correlation`` (contrasts, contrasts) is that of the prompts' parts of the
    estimates. The statistics T = (z + a) / sqrt(B + A c / df) are drawn under all nulls: z normal with variance B
    (prompts) and that correlation, a normal with variance A (seeds) and c chi-square with the law's own df, both
    independent of all else. Only the dependence of the draws counts: each is replaced by its rank within its contrast,
    so that one contrast alone keeps its p. Westfall and Young 1993, algorithm 2.8.
    """
    given = np.asarray(p_values, dtype=float)
    count = len(given)
    if count < 2:
        return [float(p) for p in given]
    generator = np.random.default_rng([seed, count])
    values, vectors = np.linalg.eigh(correlation)
    z = generator.standard_normal((resamples, count)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    prompt = np.array([float(np.asarray(law.prompt_variance)) for law in laws])
    between_seeds = np.array([float(np.asarray(law.seed_variance)) for law in laws])
    df = np.array([max(law.seed_df, 1.0) for law in laws])
    seen = between_seeds * generator.chisquare(df, (resamples, count)) / df
    drawn = z * np.sqrt(prompt) + generator.standard_normal((resamples, count)) * np.sqrt(between_seeds)
    size = np.abs(drawn) / np.sqrt(np.maximum(prompt + seen, np.finfo(float).tiny))
    chance = (np.argsort(np.argsort(-size, axis=0, kind="stable"), axis=0, kind="stable") + 0.5) / resamples
    order = np.argsort(given, kind="stable")
    # The smallest among this contrast and all with a larger p.
    smallest = np.minimum.accumulate(chance[:, order][:, ::-1], axis=1)[:, ::-1]
    simulated = (1 + (smallest <= given[order]).sum(axis=0)) / (1 + resamples)
    bounded = np.clip(simulated, given[order], np.minimum(1.0, given[order] * np.arange(count, 0, -1)))
    result = np.empty(count)
    result[order] = np.maximum.accumulate(bounded)
    return [float(value) for value in result]


def _patterns(units: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    if units <= EXACT_UNITS:
        yield all_signs(units)
        return
    rows = max(1, BLOCK // units)
    for number, start in enumerate(range(0, resamples, rows)):
        yield some_signs(units, min(rows, resamples - start), seed, number)
