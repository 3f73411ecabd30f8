from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from bench.statistics.tests import significance


def test_paired_t_is_scipys() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.3, 1, 20), generator.normal(0, 1, 20)
    assert significance.paired_t(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)


def test_clustered_t_of_single_prompts_is_the_paired_one() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 20)
    assert significance.clustered_t(values, np.arange(20)) == pytest.approx(significance.paired_t(values))


def test_sign_flip_is_exact_for_few_units() -> None:
    values = np.array([0.5, -0.2, 0.9, 0.4, 1.1])
    flipped = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=5)]
    expected = np.mean(np.array(flipped) >= abs(values.sum()) - 1e-9)
    assert significance.sign_flip(values, np.arange(5), 0.0, 500, 0) == pytest.approx(expected)
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert significance.sign_flip(values, np.arange(5), 0.0, 500, 0) == pytest.approx(exact.pvalue)


def test_three_runs_of_one_sign_give_a_quarter() -> None:
    assert significance.sign_flip(np.array([0.1, 0.2, 0.3]), np.arange(3), 0.0, 500, 0) == 0.25


def test_sign_flip_by_resampling_is_close_to_t() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 300)
    p = significance.sign_flip(values, np.arange(300), 0.0, 20_000, 3)
    assert p == pytest.approx(significance.paired_t(values), abs=0.01)
    assert p == significance.sign_flip(values, np.arange(300), 0.0, 20_000, 3)


def test_sign_flip_never_gives_zero_and_knows_ties() -> None:
    assert significance.sign_flip(np.ones(100), np.arange(100), 0.0, 999, 0) == 0.001
    assert significance.sign_flip(np.full(100, 0.5), np.arange(100), 0.5, 999, 0) == 1.0


def test_sign_flip_turns_whole_clusters() -> None:
    values = np.tile([0.3, 0.5, 0.4], 2)
    assert significance.sign_flip(values, np.repeat([0, 1], 3), 0.0, 500, 0) == 0.5


def test_sign_test_and_mcnemar_are_the_binomial() -> None:
    values = np.array([1.0] * 9 + [0.0] * 2 + [0.5] * 10)
    assert significance.sign_test(values, 0.5) == pytest.approx(stats.binomtest(9, 11).pvalue)
    a = np.array([1.0] * 79 + [1.0] * 185 + [0.0] * 113 + [0.0] * 440)
    b = np.array([1.0] * 79 + [0.0] * 185 + [1.0] * 113 + [0.0] * 440)
    assert significance.mcnemar_exact(a, b) == pytest.approx(3.602e-5, rel=1e-3)
    assert significance.sign_test(np.full(5, 0.5), 0.5) == 1.0


def test_wilcoxon_is_scipys() -> None:
    values = np.random.default_rng(0).normal(0.5, 1, 40)
    assert significance.wilcoxon(values, 0.0) == pytest.approx(stats.wilcoxon(values).pvalue)
    assert significance.wilcoxon(np.zeros(5), 0.0) == 1.0
    few = np.array([0.5, 1.0, 1.0, -0.5, 0.0, 0.5, 1.0, 0.5])
    assert significance.wilcoxon(few, 0.0) == pytest.approx(stats.wilcoxon(few[few != 0]).pvalue)


def test_sign_flip_is_calibrated_on_ties() -> None:
    generator = np.random.default_rng(1)
    draws = generator.choice([-1.0, 0.0, 1.0], p=[0.3, 0.4, 0.3], size=(600, 14))
    rate = np.mean([significance.sign_flip(one, np.arange(14), 0.0, 200, 0) < 0.05 for one in draws])
    assert rate <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
