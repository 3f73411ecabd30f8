"""The variance that a tested value demands: known special cases, and error rates exactly at the margin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics.contrasts.earlier import earlier_effects
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import wilson_interval
from bench.statistics.tests.paired_binary import Discordant, tango_score
from bench.statistics.tests.random_effects import crossed_effects
from bench.statistics.tests.support import MOST_POINTS, support_of

SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
ALPHA, SETS = 0.05, 1000
LIMIT = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / SETS)


def outcomes(first: int, second: int, n: int) -> FloatArray:
    """Return paired 0/1 differences (n)."""
    return np.concatenate([np.ones(first), -np.ones(second), np.zeros(n - first - second)])


@pytest.mark.parametrize("wins", [0, 1, 25, 50])
def test_of_wins_and_losses_it_is_wilsons_variance(wins: int) -> None:
    found = support_of(outcomes(wins, 0, 50), SHARE, 50)
    for rate in (0.001, 0.3, 0.5, 0.97):
        assert float(found.variance_at(rate)) == pytest.approx(rate * (1 - rate), abs=1e-9)
    assert found.variance_at(0.0) == found.variance_at(1.0) == 0


@pytest.mark.parametrize(("first", "second", "n"), [(0, 0, 200), (3, 1, 50), (0, 7, 100), (20, 0, 20), (30, 30, 500)])
def test_of_paired_right_and_wrong_it_is_tangos_variance(first: int, second: int, n: int) -> None:
    found = support_of(outcomes(first, second, n), DIFFERENCE, n)
    counts = Discordant(first, second, n)
    for difference in (-0.999, -0.5, -0.05, -0.02, 0.013, 0.3, 0.9):
        score = tango_score(counts, difference)
        wanted = ((first - second - n * difference) / score) ** 2 / n
        assert float(found.variance_at(difference)) == pytest.approx(wanted, abs=1e-9)


def test_the_law_meets_its_constraint_and_many_sets_are_as_one() -> None:
    values = np.random.default_rng(0).beta(0.5, 2.0, (5, 40))
    together = support_of(values, SHARE, 40)
    assert len(together.values) <= MOST_POINTS
    means = together.weights @ together.values
    assert means == pytest.approx(values.mean(axis=-1), abs=1e-10)  # the grid keeps the means
    seen = (together.weights * (together.values - means[:, None]) ** 2).sum(axis=-1)
    for number, mean in enumerate(means):
        assert float(together.variance_at(float(mean))[number]) == pytest.approx(seen[number], rel=1e-9)
        alone = support_of(values[number], SHARE, 40)
        for tested in (0.02, 0.4, 0.9):
            got = float(together.variance_at(tested)[number])
            # A little more than without the grid, the more so where everything lies between two of its points.
            assert 0.97 <= got / float(alone.variance_at(tested)) <= 1.2
            assert got <= tested * (1 - tested) + 1e-12  # no law on [0, 1] has more


def test_mirrored_and_shifted_laws_are_the_same_laws() -> None:
    values = np.random.default_rng(1).choice([0.0, 0.5, 1.0], (30, 3), p=[0.1, 0.2, 0.7])
    law = crossed_effects(values, None, SHARE).confidence
    turned = law.minus(0.5).mirrored()
    assert float(turned.below(0.1)) == pytest.approx(float(law.above(0.4)), rel=1e-9)
    low, high = law.interval(0.9)
    assert turned.interval(0.9) == pytest.approx((0.5 - high, 0.5 - low), abs=1e-9)
    assert float(law.below(low)) == pytest.approx(0.05, abs=1e-7) or low == 0.0


def test_a_value_beyond_the_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the bounds"):
        support_of(np.array([0.2, 1.5]), SHARE, 2)


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_did_not_vary_is_no_evidence_of_sameness_and_a_collapse_is_one(seeds: int) -> None:
    few = crossed_effects(np.zeros((2, seeds)), None, DIFFERENCE).confidence
    assert float(few.below(-0.05)) > 0.3  # two prompts without a difference do not show "not worse by .05"
    many = crossed_effects(np.zeros((2000, seeds)), None, DIFFERENCE).confidence
    assert float(many.below(-0.05)) < 0.005
    collapse = crossed_effects(np.full((200, seeds), -1.0), None, DIFFERENCE).confidence
    assert float(collapse.p_value(0.0)) < 0.002 and float(collapse.above(-0.05)) < 0.002
    assert collapse.interval(0.95)[0] == -1.0 and collapse.interval(0.95)[1] < -0.9


@pytest.mark.parametrize(("now", "then"), [(1, 1), (3, 3), (1, 3)])
def test_an_unchanged_run_is_held_to_what_the_margin_demands(now: int, then: int) -> None:
    few, many = (
        earlier_effects(np.ones((prompts, now)), np.ones((prompts, then)), None, DIFFERENCE).confidence
        for prompts in (2, 3000)
    )
    assert float(few.below(-0.05)) > 0.3
    assert float(many.below(-0.05)) < 0.01


def test_runs_with_equal_means_by_chance_are_no_certainty() -> None:
    """Prompts and runs that cancel leave no variance in either part; what the value demands is counted instead."""
    values = np.array([[1.0, 0.0], [0.0, 1.0]] * 5)
    law = crossed_effects(values, None, SHARE).confidence
    assert float(law.standard_error) == 0
    assert float(law.below(0.4)) > 0.01


def flips(shape: tuple[int, int, int], margin: float, other: float, shared: bool) -> FloatArray:
    """Paired 0/1 differences (data sets, prompts, seeds): worse in margin + other of the cells, better in other."""
    drawn = np.random.default_rng(7).random((*shape[:2], 1 if shared else shape[2]))
    return np.broadcast_to((drawn < other) * 1.0 - ((drawn >= other) & (drawn < 2 * other + margin)), shape)


@pytest.mark.parametrize("other", [0.0, 0.02])
@pytest.mark.parametrize("margin", [0.02, 0.05])
@pytest.mark.parametrize(("seeds", "shared"), [(1, False), (3, False), (3, True), (5, False)])
def test_at_the_margin_right_and_wrong_pass_in_at_most_five_percent(
    seeds: int, shared: bool, margin: float, other: float
) -> None:
    """Truth at -margin: "not worse by the margin" passes in at most 5%, and so does "a regression beyond it"."""
    for prompts in (20, 50, 100, 200, 500):
        law = crossed_effects(flips((SETS, prompts, seeds), margin, other, shared), None, DIFFERENCE).confidence
        assert np.mean(law.below(-margin) < ALPHA) <= LIMIT
        assert np.mean(law.above(-margin) < ALPHA) <= LIMIT


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seeds", [1, 3])
def test_clusters_pass_at_the_margin_in_at_most_five_percent(seeds: int, alike: float) -> None:
    """Twenty clusters of five prompts, whose outcome is the cluster's in a share ``alike`` of the cells."""
    generator, shape = np.random.default_rng(3), (SETS, 20, 5, seeds)
    own, of_cluster = generator.random(shape), generator.random((SETS, 20, 1, 1))
    drawn = np.where(generator.random(shape) < alike, of_cluster, own).reshape(SETS, 100, seeds)
    clusters = np.repeat(np.arange(20), 5)
    for margin, other in ((0.02, 0.0), (0.05, 0.0), (0.05, 0.02)):
        values = (drawn < other) * 1.0 - ((drawn >= other) & (drawn < 2 * other + margin))
        law = crossed_effects(values.astype(np.float64), clusters, DIFFERENCE).confidence
        assert np.mean(law.below(-margin) < ALPHA) <= LIMIT
        assert np.mean(law.above(-margin) < ALPHA) <= LIMIT


def test_clusters_that_did_not_vary_are_single_prompts_and_those_that_did_are_what_they_showed() -> None:
    clusters = np.repeat(np.arange(8), 12)
    still = crossed_effects(np.zeros((96, 1)), clusters, DIFFERENCE).confidence.support
    values = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (96, 1))
    apart = crossed_effects(values, clusters, DIFFERENCE).confidence.support
    together = crossed_effects(values[::12].repeat(12, axis=0), clusters, DIFFERENCE).confidence.support
    assert still is not None and float(np.asarray(still.trials)) == pytest.approx(8)
    assert apart is not None and 40 < float(np.asarray(apart.trials)) <= 96
    assert together is not None and float(np.asarray(together.trials)) == pytest.approx(8, rel=0.15)


@pytest.mark.parametrize(("prompts", "rate"), [(20, 0.99), (50, 0.9), (50, 0.5), (805, 0.99)])
def test_each_end_of_a_win_rate_holds_its_level(prompts: int, rate: float) -> None:
    """Exactly, over the binomial law of wins; ties make both ends surer than their level."""
    wins = np.arange(prompts + 1)
    values = (np.arange(prompts) < wins[:, None]).astype(np.float64)
    law = crossed_effects(values[..., None], None, SHARE).confidence
    chance = stats.binom.pmf(wins, prompts, rate)
    for level in (0.05, 0.025):
        assert chance[law.below(rate) < level].sum() <= 1.2 * level + 0.002
        assert chance[law.above(rate) < level].sum() <= 1.2 * level + 0.002


def test_one_seed_interval_is_wilsons_with_t() -> None:
    law = crossed_effects(outcomes(45, 0, 50)[:, None], None, SHARE).confidence
    low, high = law.interval(0.95)
    wilson = wilson_interval(45, 50, 0.95)
    assert low == pytest.approx(wilson[0], abs=0.01) and low < wilson[0]
    assert high >= wilson[1]  # towards the bound the variance seen is the larger one
