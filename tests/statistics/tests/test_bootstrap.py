from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from bench.statistics.tests.bootstrap import resampled_means, resampled_ratios
from bench.statistics.tests.intervals import cluster_bootstrap, clustered_standard_error


def test_percentile_is_the_cluster_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=60)
    clusters = np.repeat(np.arange(20), 3)
    low, high = resampled_means(values[None], clusters, 2000, 5).percentile(0.95)
    assert (low[0], high[0]) == pytest.approx(cluster_bootstrap(values, clusters, 0.95, 2000, 5))


def test_standard_error_is_the_clustered_one() -> None:
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(100), 3)
    values = generator.normal(size=(3, 300)) + generator.normal(size=(3, 100))[:, clusters]
    found = resampled_means(values, clusters, 10_000, 0)
    assert found.standard_errors == pytest.approx([clustered_standard_error(row, clusters) for row in values], rel=0.03)


def test_bca_is_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=50)
    found = resampled_means(values[None], np.arange(50), 40_000, 0).bca(0.95)
    known = stats.bootstrap((values,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1))
    assert found[0][0] == pytest.approx(known.confidence_interval.low, abs=0.01)
    assert found[1][0] == pytest.approx(known.confidence_interval.high, abs=0.01)


def test_methods_are_resampled_together() -> None:
    values = np.random.default_rng(0).normal(size=200)
    found = resampled_means(np.stack([values, values + 1]), np.arange(200), 500, 0)
    assert found.replicates[:, 1] - found.replicates[:, 0] == pytest.approx(np.ones(500))


def test_no_variation_is_no_width() -> None:
    found = resampled_means(np.ones((1, 10)), np.arange(10), 100, 0)
    assert [bound[0] for bound in found.bca(0.95)] == [1.0, 1.0]
    with pytest.raises(ValueError, match="two clusters"):
        resampled_means(np.ones((1, 10)), np.zeros(10, dtype=np.int64), 100, 0)


def test_bca_covers_a_skewed_rate_in_small_samples() -> None:
    """600 samples of 40 responses with a rate near 0.1: BCa misses at most as often as the percentile interval."""
    generator, missed = np.random.default_rng(0), {"bca": 0, "percentile": 0}
    claims = generator.poisson(8, size=(600, 40)) + 1
    wrong = generator.binomial(claims, 0.1)
    for row in range(600):
        one = resampled_ratios(wrong[row : row + 1] * 1.0, claims[row : row + 1] * 1.0, np.arange(40), 1000, 0)
        for name in missed:
            low, high = getattr(one, name)(0.95)
            missed[name] += not low[0] <= 0.1 <= high[0]
    error = 3 * (0.05 * 0.95 / 600) ** 0.5
    assert missed["bca"] / 600 <= 0.05 + error + 0.01
    assert missed["bca"] <= missed["percentile"] + 6


def test_ten_thousand_resamples_of_twenty_methods_take_less_than_a_second() -> None:
    values = np.random.default_rng(0).random((20, 805))
    began = time.process_time()
    resampled_means(values, np.arange(805), 10_000, 12345).bca(0.95)
    assert time.process_time() - began < 1.0
