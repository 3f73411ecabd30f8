from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bench.statistics.tests.intervals import clustered_standard_error
from bench.statistics.tests.random_effects import cluster_sums, crossed_effects


def win_rates(
    generator: np.random.Generator, sets: int, prompts: int, runs: int, run_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return preferences in {0, .5, 1} of shape (sets, prompts, runs) with mean 0.5, and the run effects."""
    of_prompt = generator.uniform(-0.35, 0.35, (sets, prompts, 1))
    of_run = np.clip(generator.normal(0, run_sd, (sets, 1, runs)), -0.1, 0.1)
    mean = 0.5 + of_prompt + of_run
    tie = 0.8 * np.minimum(mean, 1 - mean)
    drawn = generator.random((sets, prompts, runs))
    return (drawn < mean - tie / 2) + 0.5 * ((drawn >= mean - tie / 2) & (drawn < mean + tie / 2)), of_run[:, 0, :]


def test_components_by_hand() -> None:
    values = np.array([[1.0, 2.0], [3.0, 6.0], [2.0, 7.0]])
    found = crossed_effects(values)
    # Grand mean 3.5; run means 2, 5; prompt means 1.5, 4.5, 4.5.
    ms_run = 3 * (1.5**2 + 1.5**2)
    ms_prompt = 2 * (4 + 1 + 1) / 2
    residual = values - np.array([[2.0, 5.0]]) - np.array([[1.5], [4.5], [4.5]]) + 3.5
    ms_residual = (residual**2).sum() / 2
    assert found.seed_component == pytest.approx((ms_run - ms_residual) / 3)
    assert found.prompt_component == pytest.approx((ms_prompt - ms_residual) / 2)
    assert found.residual_component == pytest.approx(ms_residual)
    assert float(found.confidence.variance) == pytest.approx((ms_run + ms_prompt - ms_residual) / 6)
    assert found.seed_means == pytest.approx([2.0, 5.0])


def test_components_are_found_again() -> None:
    generator = np.random.default_rng(3)
    values = (
        generator.normal(0, 0.3, (200, 1, 10))
        + generator.normal(0, 0.5, (200, 100, 1))
        + generator.normal(0, 0.4, (200, 100, 10))
    )
    found = crossed_effects(values)
    assert found.seed_component is not None and found.residual_component is not None
    assert found.seed_component.mean() == pytest.approx(0.09, rel=0.1)
    assert found.prompt_component.mean() == pytest.approx(0.25, rel=0.05)
    assert found.residual_component.mean() == pytest.approx(0.16, rel=0.02)


def test_many_data_sets_at_once_are_each_alone() -> None:
    values = np.random.default_rng(0).normal(size=(4, 20, 3))
    together = crossed_effects(values).confidence.p_value(0.1)
    alone = [float(crossed_effects(one).confidence.p_value(0.1)) for one in values]
    assert together == pytest.approx(alone, rel=1e-12)


def test_equal_runs_are_the_prompt_test() -> None:
    one = np.random.default_rng(0).normal(0.3, 1, 40)
    law = crossed_effects(np.repeat(one[:, None], 3, axis=1)).confidence
    assert float(law.p_value(0.0)) == pytest.approx(stats.ttest_1samp(one, 0).pvalue, rel=1e-9)
    assert law.effective_df(0.95) == pytest.approx(39)


def test_one_run_with_equal_clusters_is_the_clustered_t_test() -> None:
    values = np.random.default_rng(1).normal(0.2, 1, 60)
    clusters = np.repeat(np.arange(12), 5)
    law = crossed_effects(values[:, None], clusters).confidence
    error = clustered_standard_error(values, clusters)
    assert float(law.standard_error) == pytest.approx(error, rel=1e-12)
    assert law.prompt_df == pytest.approx(11)


def test_clusters_of_one_prompt_change_nothing() -> None:
    values = np.random.default_rng(1).normal(0.2, 1, (30, 3))
    plain, single = crossed_effects(values), crossed_effects(values, np.arange(30))
    assert float(single.confidence.p_value(0.0)) == pytest.approx(float(plain.confidence.p_value(0.0)), rel=1e-12)


def test_estimate_is_the_mean_over_prompts_whatever_the_clusters() -> None:
    values = np.random.default_rng(1).normal(0.2, 1, (30, 3))
    clusters = np.array([0] * 20 + [1] * 6 + [2] * 3 + [3])
    assert float(np.asarray(crossed_effects(values, clusters).confidence.estimate)) == pytest.approx(values.mean())


def test_one_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        crossed_effects(np.zeros((5, 2)), np.zeros(5, dtype=np.int64))


def test_cluster_sums_in_order_of_codes() -> None:
    assert list(cluster_sums(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1, 0, 1, 2]))) == [2.0, 5.0, 8.0]


@pytest.mark.parametrize("run_sd", [0.0, 0.01, 0.02])
def test_one_run_is_calibrated_for_these_trained_models(run_sd: float) -> None:
    """A/A rate and coverage are nominal about the trained models' own mean; about the procedure they are not."""
    generator = np.random.default_rng(11)
    inside = procedure = total = 0
    for _ in range(10):
        values, effects = win_rates(generator, 400, 400, 1, run_sd)
        law = crossed_effects(values).confidence
        about_models = dataclasses.replace(law, estimate=np.asarray(law.estimate) - effects[:, 0])
        inside += int((about_models.p_value(0.5) >= 0.05).sum())
        procedure += int((law.p_value(0.5) < 0.05).sum())
        total += 400
    assert abs(inside / total - 0.95) < 3.5 * (0.05 * 0.95 / total) ** 0.5
    if run_sd == 0.02:
        assert procedure / total > 0.10


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("run_sd", [0.0, 0.01, 0.02])
def test_several_runs_are_calibrated_for_the_training_procedure(runs: int, run_sd: float) -> None:
    """Two identical methods: the false-positive rate, hence 1 - coverage, is at most nominal and not idle."""
    generator = np.random.default_rng(100 * runs + int(1000 * run_sd))
    rejected = total = 0
    for _ in range(10):
        values, _ = win_rates(generator, 400, 400, runs, run_sd)
        rejected += int((crossed_effects(values).confidence.p_value(0.5) < 0.05).sum())
        total += 400
    error = (0.05 * 0.95 / total) ** 0.5
    assert rejected / total <= 0.05 + 3 * error
    assert rejected / total >= (0.015 if runs == 3 else 0.025)


def test_several_runs_keep_their_power() -> None:
    """A true advantage of eight points with 400 prompts and three runs is found nearly always."""
    values, _ = win_rates(np.random.default_rng(5), 400, 400, 3, 0.01)
    shifted = crossed_effects(values + 0.08).confidence
    assert float((shifted.p_value(0.5) < 0.05).mean()) > 0.85


@pytest.mark.parametrize(
    "sizes", [[20] * 10, [4 * (i + 1) for i in range(10)], [50] + [5] * 9, [4 * (i + 1) for i in range(40)]]
)
@pytest.mark.parametrize("within", [0.0, 0.3])
def test_unequal_clusters_do_not_reject_too_often(sizes: list[int], within: float) -> None:
    generator = np.random.default_rng(2)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    sets = 4000
    shared = generator.normal(0, within**0.5, (sets, len(sizes)))[:, clusters]
    values = shared + generator.normal(0, (1 - within) ** 0.5, (sets, len(clusters)))
    rate = float((crossed_effects(values[:, :, None], clusters).confidence.p_value(0.0) < 0.05).mean())
    assert rate <= 0.06


def test_clustered_crossing_is_calibrated() -> None:
    generator = np.random.default_rng(4)
    sets, clusters = 2000, np.repeat(np.arange(20), 5)
    values = (
        generator.normal(0, 0.05, (sets, 1, 3))
        + generator.normal(0, 0.3, (sets, 20, 1))[:, clusters]
        + generator.normal(0, 0.3, (sets, 20, 3))[:, clusters]
        + generator.normal(0, 0.5, (sets, 100, 3))
    )
    rate = float((crossed_effects(values, clusters).confidence.p_value(0.0) < 0.05).mean())
    assert 0.01 < rate <= 0.05 + 3 * (0.05 * 0.95 / sets) ** 0.5
