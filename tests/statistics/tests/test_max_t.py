from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.tests.corrections import holm
from bench.statistics.tests.max_t import max_t
from bench.statistics.tests.significance import sign_flip


def test_one_contrast_is_the_sign_flip_test() -> None:
    values = np.array([0.5, -0.2, 0.9, 0.4, 1.1, 0.3])
    assert max_t(values[None], np.arange(6), 100, 0) == [pytest.approx(sign_flip(values, np.arange(6), 0.0, 100, 0))]


def test_copies_of_a_contrast_cost_nothing() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 100)
    alone = max_t(values[None], np.arange(100), 5000, 0)[0]
    thrice = max_t(np.stack([values] * 3), np.arange(100), 5000, 0)
    assert thrice == pytest.approx([alone] * 3)
    assert holm([alone] * 3)[0] == pytest.approx(3 * alone)


def test_order_of_contrasts_does_not_matter_and_p_is_monotone() -> None:
    values = np.random.default_rng(1).normal([[0.0], [0.1], [0.3]], 1, (3, 150))
    found = max_t(values, np.arange(150), 2000, 0)
    assert max_t(values[::-1], np.arange(150), 2000, 0) == found[::-1]
    assert found[2] <= found[0]


def test_a_contrast_without_any_difference_has_p_1() -> None:
    values = np.vstack([np.zeros(30), np.random.default_rng(0).normal(1, 1, 30)])
    found = max_t(values, np.arange(30), 999, 0)
    assert found[0] == 1.0
    assert found[1] < 0.01
    with pytest.raises(ValueError, match="two clusters"):
        max_t(values, np.zeros(30, dtype=np.int64), 999, 0)


@pytest.mark.parametrize("clusters", [np.arange(40), np.repeat(np.arange(12), 4)[:40]])
def test_family_wise_error_and_power(clusters: np.ndarray) -> None:
    """400 families of five true nulls against one control, so correlated 1/2; exact below 16 clusters."""
    generator, false, found, by_holm = np.random.default_rng(2), 0, 0, 0
    codes = clusters.astype(np.int64)
    for _ in range(400):
        noise = generator.normal(size=(6, int(codes.max()) + 1))[:, codes] + generator.normal(size=(6, 40))
        null = noise[1:] - noise[0]
        false += min(max_t(null, codes, 499, 0)) <= 0.05
        shifted = null + np.array([1.0, 0, 0, 0, 0])[:, None]
        found += max_t(shifted, codes, 499, 0)[0] <= 0.05
        by_holm += holm([sign_flip(row, codes, 0.0, 499, 0) for row in shifted])[0] <= 0.05
    assert false / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert false / 400 >= 0.02
    assert found >= by_holm
