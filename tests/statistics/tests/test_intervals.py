from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from bench.statistics.tests import intervals
from bench.statistics.tests.confidence import FloatArray


def t_interval(values: FloatArray, level: float) -> tuple[float, float]:
    """Return the t interval of a mean of independent values; needs two values."""
    centre, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    width = float(special.stdtrit(len(values) - 1, (1 + level) / 2)) * error
    return centre - width, centre + width


def test_t_interval_is_scipys() -> None:
    values = np.random.default_rng(0).normal(size=25)
    bounds = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert t_interval(values, 0.9) == pytest.approx((bounds.low, bounds.high))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (3, 17), (250, 400)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    bounds = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert intervals.wilson_interval(successes, trials, 0.95) == pytest.approx((bounds.low, bounds.high), abs=1e-12)


def test_clustered_error_of_single_prompts_is_the_plain_one() -> None:
    values = np.random.default_rng(0).normal(size=25)
    assert intervals.clustered_standard_error(values, np.arange(25)) == pytest.approx(stats.sem(values))


def test_clustered_error_by_hand() -> None:
    values, clusters = np.array([1.0, 3.0, 2.0, 6.0]), np.array([0, 0, 1, 1])
    # Mean 3; sums of residuals -2 and 2; 2/1 * 8 = 16, root 4, over 4.
    assert intervals.clustered_standard_error(values, clusters) == pytest.approx(1.0)


def test_clustered_error_is_that_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    values, clusters = np.random.default_rng(0).normal(size=40), np.repeat(np.arange(8), 5)
    fit = api.OLS(values, np.ones(40)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert intervals.clustered_standard_error(values, clusters) == pytest.approx(fit.bse[0], rel=0.03)


def test_bootstrap_agrees_with_the_clustered_interval() -> None:
    values, clusters = np.random.default_rng(0).normal(size=300), np.repeat(np.arange(100), 3)
    low, high = intervals.cluster_bootstrap(values, clusters, 0.95, 4000, 1)
    expected = intervals.clustered_interval(values, clusters, 0.95)
    assert (low, high) == pytest.approx(expected, abs=0.015)


def test_crossed_bootstrap_sees_the_runs() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(0, 0.1, (200, 10)) + generator.normal(0, 1.0, (1, 10))
    low, high = intervals.crossed_bootstrap(values, np.arange(200), 0.95, 2000, 1)
    alone = intervals.cluster_bootstrap(values.mean(axis=1), np.arange(200), 0.95, 2000, 1)
    assert high - low > 10 * (alone[1] - alone[0])


def test_bootstrap_is_seeded_and_blocks_do_not_matter_for_the_seed() -> None:
    values, clusters = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50)
    first = intervals.crossed_bootstrap(values, clusters, 0.95, 1000, 5)
    assert first == intervals.crossed_bootstrap(values, clusters, 0.95, 1000, 5)
    assert first != intervals.crossed_bootstrap(values, clusters, 0.95, 1000, 6)


def test_bootstrap_works_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    values = np.random.default_rng(0).normal(size=(50, 3))
    low, high = intervals.crossed_bootstrap(values, np.arange(50), 0.95, 990, 5)
    assert low < values.mean() < high
