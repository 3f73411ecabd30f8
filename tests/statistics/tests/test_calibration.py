"""A/A simulations of the menu: tests reject equal methods in 5%, intervals cover in 95%, few seeds included.

Rates are held to three standard errors of the simulation's own binomial law. An exact test on discrete values may
reject less often, never more. With simulations of their own: the default test (test_random_effects), length control,
rates, Davidson and Bradley-Terry (test_ranking, test_davidson, test_tournament), max-T (test_families,
test_simultaneous), clusters of right and wrong (test_paired_binary), the tax (test_tax), agreement, sequences.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from bench.statistics.contrasts.position import order_agreement
from bench.statistics.tests import intervals, significance
from bench.statistics.tests import margin_tests as margins
from bench.statistics.tests.bootstrap import resampled_means
from bench.statistics.tests.corrections import benjamini_hochberg, holm
from bench.statistics.tests.random_effects import crossed_effects
from tests.statistics.tests.test_intervals import t_interval

SETS = 1000
PROMPTS = 40
CLUSTERS = np.repeat(np.arange(20), 2)


def within(rate: float, sets: int = SETS, nominal: float = 0.05, least: float | None = None) -> bool:
    """Whether a rate is the nominal one within three binomial errors; ``least`` where a test may be cautious."""
    error = 3 * (nominal * (1 - nominal) / sets) ** 0.5
    return (nominal - error if least is None else least) <= rate <= nominal + error


def paired(kind: str, generator: np.random.Generator) -> np.ndarray:
    """Differences of two equal methods, (sets, prompts): scores, 1-10 ratings, or right and wrong."""
    hard = generator.normal(0, 1, (SETS, 1, PROMPTS))
    both = hard + generator.normal(0, 1, (SETS, 2, PROMPTS))
    if kind == "ratings":
        both = np.clip(np.round(5.5 + 2 * both), 1, 10)
    elif kind == "right":
        both = (both > 0).astype(float)
    elif kind == "clusters":
        both = both + generator.normal(0, 1, (SETS, 2, 20))[..., CLUSTERS]
    return np.asarray(both[:, 0] - both[:, 1])


TESTS: dict[str, tuple[str, Callable[[np.ndarray], float], float | None]] = {
    "paired t": ("scores", significance.paired_t, None),
    "paired t on ratings": ("ratings", significance.paired_t, None),
    "paired t on right and wrong": ("right", significance.paired_t, None),
    "clustered t": ("clusters", lambda d: significance.clustered_t(d, CLUSTERS), None),
    "sign flip": ("scores", lambda d: significance.sign_flip(d, np.arange(PROMPTS), 0.0, 300, 0), 0.02),
    "sign flip by cluster": ("clusters", lambda d: significance.sign_flip(d, CLUSTERS, 0.0, 300, 0), 0.02),
    "Wilcoxon": ("scores", lambda d: significance.wilcoxon(d, 0.0), None),
    "Wilcoxon on ratings": ("ratings", lambda d: significance.wilcoxon(d, 0.0), 0.02),
    "sign test": ("scores", lambda d: significance.sign_test(d, 0.0), 0.01),
    "exact McNemar": ("right", lambda d: significance.mcnemar_exact((d > 0) * 1.0, (d < 0) * 1.0), 0.005),
}


@pytest.mark.parametrize("name", TESTS)
def test_equal_methods_are_told_apart_in_five_percent(name: str) -> None:
    kind, test, least = TESTS[name]
    given = paired(kind, np.random.default_rng(0))
    assert within(float(np.mean([test(one) < 0.05 for one in given])), least=least)


@pytest.mark.parametrize("runs", [2, 3, 4, 6])
def test_tests_over_few_seeds_are_never_too_sure(runs: int) -> None:
    """Five percent for t over the run means; sign flips of fewer than six runs cannot reach 5% at all."""
    means = np.random.default_rng(1).normal(0, 0.02, (SETS, runs))
    assert within(float(np.mean([significance.paired_t(one) < 0.05 for one in means])))
    flips = np.mean([significance.sign_flip(one, np.arange(runs), 0.0, 300, 0) < 0.05 for one in means])
    assert flips == 0 if runs < 6 else within(float(flips), least=0.01)


@pytest.mark.parametrize("name", ["t", "clustered t", "percentile", "bca"])
def test_intervals_cover_in_95_percent(name: str) -> None:
    given = paired("clusters" if name == "clustered t" else "scores", np.random.default_rng(2))
    missed = 0
    for one in given[:600]:
        if name == "t":
            low, high = t_interval(one, 0.95)
        elif name == "clustered t":
            low, high = intervals.clustered_interval(one, CLUSTERS, 0.95)
        else:
            found = resampled_means(one[None], np.arange(PROMPTS), 400, 0)
            ends = found.bca(0.95) if name == "bca" else found.percentile(0.95)
            low, high = float(ends[0][0]), float(ends[1][0])
        missed += not low <= 0 <= high
    # With 40 prompts a bootstrap knows the spread less well than t does: up to one point more.
    assert within(missed / 600 - 0.01 * (name in ("percentile", "bca")), 600, least=0.0)


@pytest.mark.parametrize(("share", "trials"), [(0.5, 20), (0.1, 30), (0.02, 200), (0.9, 15)])
def test_wilson_covers_in_about_95_percent(share: float, trials: int) -> None:
    """Exactly, over the binomial law."""
    counts = np.arange(trials + 1)
    weights = special.binom(trials, counts) * share**counts * (1 - share) ** (trials - counts)
    ends = [intervals.wilson_interval(float(count), trials, 0.95) for count in counts]
    covered = sum(weight for weight, (low, high) in zip(weights, ends, strict=True) if low <= share <= high)
    assert 0.92 <= covered <= 0.985


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_margins_are_crossed_by_chance_in_at_most_five_percent(runs: int) -> None:
    """True advantages exactly at the margin: superiority, non-inferiority, equivalence, and proof of a regression."""
    generator = np.random.default_rng(3)
    noise = generator.normal(0, 0.3, (SETS, 60, 1)) + generator.normal(0, 0.02 * (runs > 1), (SETS, 1, runs))
    noise = noise + generator.normal(0, 0.2, (SETS, 60, runs))
    least = None if runs == 1 else 0.015
    up, down = (crossed_effects(noise + shift).confidence for shift in (0.05, -0.05))
    assert within(float((up.below(0.05) < 0.05).mean()), least=least)  # superior by 0.05
    assert within(float((down.below(-0.05) < 0.05).mean()), least=least)  # not worse by 0.05
    assert within(float((down.above(-0.05) < 0.05).mean()), least=least)  # worse by more than 0.05
    both = np.maximum(up.below(-0.05), up.above(0.05))
    assert within(float((both < 0.05).mean()), least=0.0)  # equivalent within 0.05
    one = margins.from_t(0.05, 0.05, 59)
    assert margins.superiority_p(one, 0.05) == pytest.approx(0.5)


def test_corrections_keep_their_error_rates() -> None:
    """Eight true nulls: any rejection in at most 5%. Four of eight true: false among found in at most 5% on average."""
    generator = np.random.default_rng(4)
    shared = generator.normal(0, 1, (SETS, 1))
    z = (shared + generator.normal(0, 1, (SETS, 8))) / 2**0.5
    nulls = 2 * special.ndtr(-np.abs(z))
    assert within(float(np.mean([min(holm(row)) < 0.05 for row in nulls.tolist()])), least=0.01)
    assert within(float(np.mean([min(benjamini_hochberg(row)) < 0.05 for row in nulls.tolist()])), least=0.01)
    half = 2 * special.ndtr(-np.abs(z + np.repeat([0.0, 3.0], 4)))
    found = np.array([benjamini_hochberg(row) for row in half.tolist()]) < 0.05
    false_share = found[:, :4].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    assert float(false_share.mean()) <= 0.05
    missed = np.array([holm(row) for row in half.tolist()])[:, :4].min(axis=1) < 0.05
    assert within(float(missed.mean()), least=0.0)


def test_a_judge_without_a_liking_for_a_position_is_told_of_one_in_at_most_five_percent() -> None:
    generator, told = np.random.default_rng(5), 0
    for _ in range(SETS):
        first, second = generator.choice([0.0, 0.5, 1.0], (2, 80, 1, 1))
        p = order_agreement(first, second).position_p
        told += p is not None and p < 0.05
    assert within(told / SETS, least=0.005)
