from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bench.core.errors import DataError
from bench.statistics.ranking.bradley_terry import bradley_terry
from bench.statistics.ranking.style import StyledBattles, style_controlled, style_differences


def simulated(
    generator: np.random.Generator, worth: float, prompts: int = 300, quality: float = 0.0
) -> StyledBattles:  # fmt: skip
    """Two equal methods of which b writes longer, a judge that likes length, and two battles per prompt."""
    a, b = generator.poisson(100, prompts * 2), generator.poisson(150, prompts * 2)
    length = style_differences(a, b)
    liking = np.repeat(generator.normal(0, 0.7, prompts), 2)
    chance = special.expit(quality + worth * length / length.std() + liking)
    outcome = (generator.random(len(length)) < chance).astype(float)
    clusters = np.repeat(np.arange(prompts), 2)
    return StyledBattles(["a"] * len(length), ["b"] * len(length), outcome, {"length": length}, clusters)


def test_without_features_it_is_bradley_terry() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 4, 300), generator.integers(0, 4, 300)
    kept = first != second
    names = [f"m{i}" for i in first[kept]], [f"m{i}" for i in second[kept]]
    outcome = generator.choice([0.0, 0.5, 1.0], int(kept.sum()))
    clusters, weights = generator.integers(0, 50, int(kept.sum())), generator.choice([1.0, 3.0], int(kept.sum()))
    plain = bradley_terry(*names, outcome, clusters, weights, "m2")
    styled = style_controlled(StyledBattles(*names, outcome, {}, clusters, weights), "m2")
    assert styled.strengths.theta == pytest.approx(plain.theta, abs=1e-6)
    assert styled.strengths.standard_errors == pytest.approx(plain.standard_errors, abs=1e-6)
    constant = style_controlled(
        StyledBattles(*names, outcome, {"bold": np.zeros(len(outcome))}, clusters, weights), "m2"
    )
    assert constant.coefficients == {"bold": 0.0}
    assert constant.strengths.theta == pytest.approx(plain.theta, abs=1e-6)


def test_it_is_the_logistic_regression_of_statsmodels() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    battles = simulated(np.random.default_rng(1), 0.8)
    length = battles.features["length"]
    design = np.column_stack([np.ones(len(length)), length / length.std()])
    theirs = models.GLM(battles.outcome, design, family=models.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": battles.clusters, "use_correction": False}
    )
    ours = style_controlled(battles, "b")
    assert ours.strengths.theta[0] == pytest.approx(theirs.params[0], abs=1e-6)
    assert ours.strengths.standard_errors[0] == pytest.approx(theirs.bse[0], rel=1e-5)
    assert ours.coefficients["length"] == pytest.approx(theirs.params[1], abs=1e-6)
    assert ours.standard_errors["length"] == pytest.approx(theirs.bse[1], rel=1e-5)


def test_equal_methods_of_unequal_length_are_told_apart_in_five_percent_only_at_equal_style() -> None:
    generator, plain, styled = np.random.default_rng(2), 0, 0
    for _ in range(400):
        battles = simulated(generator, 0.6)
        raw = bradley_terry(battles.first, battles.second, battles.outcome, battles.clusters).theta[1]
        found = style_controlled(battles).strengths
        plain += abs(raw) > 0.3
        styled += abs(found.theta[1]) > 1.97 * found.standard_errors[1]
    assert abs(styled / 400 - 0.05) <= 3 * (0.05 * 0.95 / 400) ** 0.5
    assert plain > 300


def test_wrong_features_are_refused() -> None:
    with pytest.raises(DataError, match="from 0 on"):
        style_differences([1, -1], [2, 2])
    with pytest.raises(DataError, match="one cluster"):
        style_controlled(StyledBattles(["a", "b"], ["b", "a"], [1, 1], {}, [0, 0]))
