"""Moderated mean squares of seeds: the published estimates, what they may never do, six cells of the calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bench.statistics.tests.moderation import SHARE, effective_count, moderated, trigamma_inverse, widest_p
from tests.calibration.__main__ import HIGHEST_RATE, NOISES
from tests.calibration.rates import ALPHA, p_values, power
from tests.calibration.worlds import BY_NAME, against_one, families

SPREAD_OUT = np.array([0.2, 0.9, 1.4, 0.05, 6.0, 2.1, 0.7, 12.0])


def test_trigamma_is_inverted() -> None:
    values = np.array([1e-5, 0.01, 0.3, 1.0, 4.9, 200.0, 1e6])
    assert special.polygamma(1, trigamma_inverse(values)) == pytest.approx(values, rel=1e-6)


def test_the_prior_has_the_moments_of_the_logarithms() -> None:
    found = moderated(SPREAD_OUT, 4, 1e9)
    d0, s0 = float(found.prior_df), float(found.prior_variance)
    logs = np.log(SPREAD_OUT)
    # E log m = log s0^2 + digamma(d/2) - log(d/2) - digamma(d0/2) + log(d0/2); Var log m = trigamma(d/2) + that of d0/2
    assert special.polygamma(1, 2.0) + special.polygamma(1, d0 / 2) == pytest.approx(logs.var(ddof=1))
    mean = np.log(s0) + special.digamma(2.0) - np.log(2.0) - special.digamma(d0 / 2) + np.log(d0 / 2)
    assert mean == pytest.approx(logs.mean())


def test_no_mean_square_gets_smaller_and_the_own_law_stays_for_those_above() -> None:
    generator = np.random.default_rng(0)
    squares = generator.chisquare(2, (200, 6)) * generator.gamma(1.0, 1.0, (200, 6))
    found = moderated(squares, 2, effective_count([(f"{j}", "ref") for j in range(6)]))
    assert (found.variance >= squares).all()
    own = found.variance == squares
    assert (found.df[own] == 2).all() and (found.df[~own] > 2).all()
    assert found.df.max() <= 2 + SHARE * 2 * (6 / (1 + 5 / 4) - 1) + 1e-9
    scaled = moderated(1e-6 * squares, 2, 6 / (1 + 5 / 4))
    assert scaled.variance == pytest.approx(1e-6 * found.variance) and scaled.df == pytest.approx(found.df)


def test_how_many_independent_mean_squares_there_are() -> None:
    against = [(f"{j}", "ref") for j in range(10)]
    assert effective_count(against) == pytest.approx(10 / (1 + 9 / 4))
    everything = [(a, b) for a in "abcde" for b in "abcde" if a < b]
    assert effective_count(everything) == pytest.approx(4)
    assert effective_count([("a", "b")] * 3) == pytest.approx(1)
    assert effective_count([("a", "b"), ("c", "d")]) == pytest.approx(2)


def test_what_cannot_be_moderated_is_refused_and_one_zero_is_not() -> None:
    with pytest.raises(ValueError, match="needs 3"):
        moderated(np.ones(2), 2, 2.0)
    with pytest.raises(ValueError, match="all are 0"):
        moderated(np.zeros(3), 2, 2.0)
    found = moderated(np.array([0.0, 1.0, 1.0, 1.0]), 2, 3.0)
    assert np.isfinite(found.variance).all() and found.variance[0] > 0


def test_a_seed_spread_that_is_not_like_the_others_is_named() -> None:
    assert widest_p(np.array([1.0, 1.2, 40.0, 0.7]), 4)[0] == 2
    assert widest_p(np.array([1.0, 1.2, 40.0, 0.7]), 4)[1] < 0.01
    assert widest_p(np.array([1.0, 1.2, 1.1, 0.7]), 4)[1] > 0.3
    rng = np.random.default_rng(3)
    rate = np.mean([widest_p(row, 2)[1] < 0.05 for row in rng.chisquare(2, (2000, 6))])
    assert 0.03 < rate < 0.065


@pytest.mark.parametrize(
    ("noise", "spread", "contrasts", "seeds"),
    [
        ("measured", "equal, 3", 3, 3), ("measured", "one noisy arm", 10, 3), ("measured", "noisy reference", 6, 3),
        ("quiet", "mixed", 10, 3), ("measured", "10% collapse", 6, 2), ("quiet", "equal, 1", 3, 5),
    ],
)  # fmt: skip
def test_family_wise_error(noise: str, spread: str, contrasts: int, seeds: int) -> None:
    """Six cells of ``python -m tests.calibration``, 1,500 families each."""
    given = families(np.random.default_rng(4), 1500, against_one(contrasts), seeds, BY_NAME[spread], NOISES[noise])
    rate = float((p_values(given, "moderated").min(axis=1) * contrasts < ALPHA).mean())
    assert rate <= HIGHEST_RATE + 2 * (0.05 * 0.95 / 1500) ** 0.5


def test_three_seeds_are_no_longer_powerless() -> None:
    """One true effect of four standard errors among ten contrasts with three seeds."""
    given = families(np.random.default_rng(5), 800, against_one(10), 3, BY_NAME["equal, 2"], NOISES["measured"])
    error = float(np.sqrt((given.prompts + given.seeds.var(axis=-1, ddof=1) / 3).mean()))
    own, shared, pooled = (power(given, law, 4 * error) for law in ("own", "moderated", "pooled"))
    assert own < 0.16
    assert shared > own + (pooled - own) / 3
