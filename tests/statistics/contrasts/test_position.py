from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics.contrasts.position import conservative_win_rate, order_agreement


def test_agreement_by_hand() -> None:
    first = np.array([1.0, 1.0, 0.0, 0.5, 1.0])
    second = np.array([1.0, 0.0, 0.0, 0.5, 0.5])
    found = order_agreement(first, second)
    assert found.conservative == pytest.approx((1 + 0.5 + 0 + 0.5 + 0.5) / 5)
    assert found.consistency == pytest.approx(3 / 5)
    assert found.position_p == 1.0


def test_position_bias() -> None:
    # 16 pairs flip towards the first position, 2 towards the second.
    first = np.array([1.0] * 16 + [0.0] * 2 + [0.5] * 10)
    second = np.array([0.0] * 16 + [1.0] * 2 + [0.5] * 10)
    assert order_agreement(first, second).position_p == pytest.approx(stats.binomtest(2, 18).pvalue)
    assert order_agreement(first, second).position_p == pytest.approx(0.00131, abs=5e-6)


def test_no_flip_has_no_position_test() -> None:
    assert order_agreement(np.array([0.7, 0.2]), np.array([0.9, 0.4])).position_p is None
    assert order_agreement(np.array([0.7, 0.2]), np.array([0.9, 0.4])).conservative == 0.5


def test_the_conservative_win_rate_has_the_interval_of_its_own_verdicts() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 3, (80, 1, 1)) / 2 for _ in range(2))
    found = conservative_win_rate(first, second, np.arange(80), 0.95)
    values = np.where(first == second, first, 0.5)[:, 0, 0]
    bounds = stats.ttest_1samp(values, 0.5).confidence_interval(0.95)
    assert (found.n, found.estimate) == (80, pytest.approx(values.mean()))
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    # A win in one order and a tie in the other is a tie; and what never varies is a share of so many prompts.
    ties = conservative_win_rate(np.ones((20, 1, 1)), np.full((20, 1, 1), 0.5), np.arange(20), 0.95)
    assert ties.estimate == 0.5
    assert ties.low is not None
    assert 0.2 < ties.low < 0.5
    wins = conservative_win_rate(np.ones((20, 2, 1)), np.ones((20, 2, 1)), np.arange(20), 0.95)
    assert (wins.estimate, wins.high) == (1.0, pytest.approx(1.0))
    assert wins.low == pytest.approx(stats.binomtest(20, 20).proportion_ci(method="wilson").low)
