from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bench.statistics.tests.confidence import Confidence, satterthwaite_df
from bench.statistics.tests.random_effects import crossed_effects


def test_with_one_run_it_is_the_t_test_of_scipy() -> None:
    values = np.random.default_rng(0).normal(0.2, 1.0, 30)
    law = crossed_effects(values[:, None]).confidence
    expected = stats.ttest_1samp(values, 0.0)
    assert float(law.p_value(0.0)) == pytest.approx(expected.pvalue, rel=1e-12)
    bounds = expected.confidence_interval(0.95)
    assert law.interval(0.95) == pytest.approx((bounds.low, bounds.high), rel=1e-9)
    assert law.effective_df(0.95) == 29


@pytest.mark.parametrize("runs", [2, 3, 5, 21])
@pytest.mark.parametrize("distance", [0.5, 2.0, 5.0])
def test_without_prompt_variance_it_is_t_over_runs(runs: int, distance: float) -> None:
    law = Confidence(distance, 0.0, 1e12, 1.0, runs - 1)
    assert float(law.p_value(0.0)) == pytest.approx(2 * stats.t.sf(distance, runs - 1), rel=2e-6)


def test_with_many_runs_it_is_normal() -> None:
    law = Confidence(2.0, 0.5, 1e9, 0.5, 100_000)
    assert float(law.p_value(0.0)) == pytest.approx(2 * stats.norm.sf(2.0), rel=1e-3)


def test_p_and_interval_are_two_views_of_one_law() -> None:
    law = Confidence(0.1, 0.0004, 399, 0.0003, 2)
    for level in (0.8, 0.95, 0.99):
        low, high = law.interval(level)
        assert float(law.p_value(low)) == pytest.approx(1 - level, rel=1e-8)
        assert float(law.p_value(high)) == pytest.approx(1 - level, rel=1e-8)
        assert float(law.below(0.3)) + float(law.above(0.3)) == pytest.approx(1.0)


def test_effective_df_gives_back_the_interval() -> None:
    law = Confidence(0.0, 0.0004, 399, 0.0003, 2)
    width = stats.t.ppf(0.975, law.effective_df(0.95)) * float(law.standard_error)
    assert law.interval(0.95)[1] == pytest.approx(width, rel=1e-9)
    assert 2 < law.effective_df(0.95) < 399


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("runs", [2, 3, 5])
def test_effective_df_serve_a_one_sided_test_too(share: float, runs: int) -> None:
    """Effective degrees belong to one level; at the 90% of a one-sided test they are within 1% or err to be wide."""
    law = Confidence(0.0, 1 - share, 399, share, runs - 1)
    width = stats.t.ppf(0.95, law.effective_df(0.95))
    assert width >= law.half_width(0.90) * 0.99


def test_no_variance_is_a_point() -> None:
    law = Confidence(0.0, 0.0, 9, 0.0, 2)
    assert float(law.p_value(0.0)) == 1.0
    assert float(law.p_value(0.1)) == 0.0
    assert law.interval(0.95) == (0.0, 0.0)


def test_satterthwaite_by_hand() -> None:
    # (2 + 3)^2 / (4/2 + 9/10)
    assert satterthwaite_df(((2.0, 2), (3.0, 10))) == pytest.approx(25 / 2.9)
    assert satterthwaite_df(((0.0, 2),)) == float("inf")


@pytest.mark.parametrize("runs", [2, 3, 5, 10])
def test_never_rejects_too_often_whatever_the_shares_of_variance(runs: int) -> None:
    """Mean squares drawn from their exact laws, prompts' variance known: 20,000 data sets per point."""
    generator = np.random.default_rng(7)
    sets, prompts = 20_000, 400
    for prompt, residual in ((0.06, 0.10), (0.0, 0.15), (0.15, 0.05), (0.02, 0.12)):
        for run in (0.0, 0.01, 0.03, 0.1):
            of_run = run**2 / runs + residual / prompts / runs
            drawn = of_run * generator.chisquare(runs - 1, sets) / (runs - 1)
            means = generator.normal(0, (of_run + prompt / prompts) ** 0.5, sets)
            law = Confidence(means, np.full(sets, prompt / prompts), 1e6, drawn, runs - 1)
            p_values = law.p_value(0.0)
            for alpha in (0.1, 0.05, 0.01):
                error = (alpha * (1 - alpha) / sets) ** 0.5
                assert float((p_values < alpha).mean()) <= alpha + 3.5 * error, (prompt, residual, run, alpha)


def test_seeds_that_lie_close_together_by_chance_do_not_make_a_mean_certain() -> None:
    lucky = Confidence(0.5, 0.0, 99, seed_variance=1e-8, seed_df=2)
    floored = dataclasses.replace(lucky, seed_floor=0.01)
    assert lucky.standard_error < 0.001 < floored.standard_error == pytest.approx(0.1)
    low, high = floored.interval(0.95)
    assert high - low == pytest.approx(2 * 0.1 * stats.t.ppf(0.975, 99), rel=1e-3)
    wide = Confidence(0.5, 0.0, 99, seed_variance=1.0, seed_df=2)
    assert dataclasses.replace(wide, seed_floor=0.01).p_value(0.0) == pytest.approx(wide.p_value(0.0), rel=1e-2)
