from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics.orders import order_agreement


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
