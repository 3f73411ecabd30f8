"""Betting on a bounded mean: the level for rare losses shared by five contrasts, and one law for p and interval."""

from __future__ import annotations

import numpy as np
import pytest

from bench.results.wording import skewed
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.skewness import skewness, too_skewed
from bench.statistics.power.detectable import detectable_by
from bench.statistics.tests.betting import BETTING, SHARES, BettingLaw, betting_law
from bench.statistics.tests.margin_tests import advantage, inferiority_p, law_of_contrast, non_inferiority_p
from bench.statistics.tests.random_effects import crossed_effects
from tests.statistics.build import METRICS, SCORE, comparison, rows, table

BOUNDS = (-1.0, 1.0)
BOUNDED = {**METRICS, "score": SCORE.model_copy(update={"bounds": (0.0, 1.0)})}


def law(values: np.ndarray, clusters: np.ndarray | None = None) -> BettingLaw:
    return betting_law(crossed_effects(values[:, None], clusters).confidence, values, clusters, BOUNDS)


def shared_losses(generator: np.random.Generator, families: int, prompts: int, rate: float) -> np.ndarray:
    """Return (families, 5, prompts) differences from a reference that loses .8 on few prompts; the means are equal."""
    noise = 0.02 * np.clip(generator.standard_normal((families, 6, prompts)), -4, 4)
    lost = generator.random((families, 1, prompts)) < rate
    return np.asarray(0.8 * (1 - rate) + noise[:, 1:] - (0.8 * ~lost + noise[:, :1]))


def test_the_evidence_is_an_average_over_constant_bets() -> None:
    values = np.array([0.5, -0.25, 0.75, 0.0, 0.5])
    wins = np.prod(1 + SHARES[:, None] * (values - 0.1) / 1.1, axis=1).mean()
    found = law(values)
    assert float(found.below(0.1)) == pytest.approx(min(1, 1 / wins))
    assert float(law(values[::-1]).below(0.1)) == float(found.below(0.1))


@pytest.mark.parametrize(("prompts", "rate"), [(50, 0.02), (20, 0.05)])
def test_rare_shared_losses_hold_the_familys_level_where_t_does_not(prompts: int, rate: float) -> None:
    given = shared_losses(np.random.default_rng(0), 200, prompts, rate)
    by_t = crossed_effects(given[..., None]).confidence.p_value(0.0).min(axis=1) * 5 < 0.05
    assert by_t.mean() > 0.2
    betting = [min(float(law(one).p_value(0.0)) for one in family) * 5 < 0.05 for family in given]
    assert np.mean(betting) <= 0.05


def test_a_true_difference_is_found_and_p_and_interval_agree() -> None:
    values = np.clip(np.random.default_rng(1).normal(0.12, 0.3, 200), -1, 1)
    found = law(values)
    low, high = found.interval(0.95)
    assert -1 < low < values.mean() < high < 1
    for end in (low, high):
        assert float(found.p_value(end)) == pytest.approx(0.05, rel=1e-3)
    assert float(found.p_value(0.0)) < 0.05 and low > 0
    assert float(found.minus(0.05).p_value(0.0)) == pytest.approx(float(found.p_value(0.05)))
    mirrored = found.mirrored().interval(0.95)
    assert mirrored == pytest.approx((-high, -low))
    # No more than 1.7 times the t interval here: what is paid for holding at any skewness.
    assert high - low < 1.7 * 2 * crossed_effects(values[:, None]).confidence.half_width(0.95)


def test_values_at_a_bound_and_without_variation_have_a_law() -> None:
    equal = law(np.zeros(30))
    assert float(equal.p_value(0.0)) == 1.0
    low, high = equal.interval(0.95)
    assert low == pytest.approx(-high, abs=1e-6) and 0 < high < 0.5
    always = law(np.ones(30))
    assert float(always.p_value(0.0)) < 1e-5 and always.interval(0.95)[1] == 1.0


def test_clusters_count_once() -> None:
    values = np.repeat(np.clip(np.random.default_rng(2).normal(0.1, 0.3, 40), -1, 1), 5)
    clusters = np.repeat(np.arange(40), 5)
    found, alone = law(values, clusters), law(values[::5])
    assert float(found.p_value(0.0)) == pytest.approx(float(alone.p_value(0.0)))
    uneven = law(values[:150], clusters[:150] // np.array(2))
    assert float(np.asarray(uneven.estimate)) == pytest.approx(values[:150].mean())


def test_contrasts_bet_where_the_metric_has_bounds_and_say_so_where_not() -> None:
    generator = np.random.default_rng(3)
    a, b = (np.clip(generator.normal(mean, 0.1, (60, 1)), 0, 1) for mean in (0.6, 0.4))
    given = table(rows("a", a) + rows("b", b))
    settings = comparison(seeds=[0], test="betting")
    (found,) = compute_contrasts(given, settings, BOUNDED)
    assert (found.test, found.verdict) == (BETTING, "a better")
    again = law_of_contrast(found)
    assert isinstance(again, BettingLaw)
    assert float(again.p_value(0.0)) == pytest.approx(found.p)
    assert found.smallest_detectable == pytest.approx(detectable_by(again, 1, 0.95)[0])
    gate = advantage(found)
    assert gate is not None and non_inferiority_p(gate, 0.02) < found.p < inferiority_p(gate)  # type: ignore[operator]
    (plain,) = compute_contrasts(given, settings, METRICS)
    assert plain.test == "paired t over prompts" and "so the t test stands in" in plain.note


def test_skewed_differences_are_told_with_what_holds() -> None:
    generator = np.random.default_rng(4)
    b = np.clip(generator.normal(0.8, 0.02, (100, 1)), 0, 1)
    a = np.where(np.arange(100)[:, None] < 2, 0.0, np.clip(generator.normal(0.8, 0.02, (100, 1)), 0, 1))
    given = table(rows("a", a) + rows("b", b))
    (bounded,), (unbounded,) = (compute_contrasts(given, comparison(seeds=[0]), kind) for kind in (BOUNDED, METRICS))
    assert "skewed differences (skewness -6." in bounded.note
    (line,) = skewed([bounded])
    assert line.startswith("a vs b: skewed differences (skewness -6.") and line.endswith("statistics.test: betting")
    assert "sure to hold is statistics.test: betting" in bounded.note
    assert "declare the metric's bounds and use statistics.test: betting" in unbounded.note
    (betting,) = compute_contrasts(given, comparison(seeds=[0], test="betting"), BOUNDED)
    assert "skew" not in betting.note
    # Right and wrong has a score test of its own, and several seeds another law.
    binary = table(rows("a", (a > 0).astype(float)) + rows("b", np.ones((100, 1))))
    assert "skew" not in compute_contrasts(binary, comparison(seeds=[0]), METRICS)[0].note
    assert too_skewed(generator.standard_normal(40)) is None
    assert skewness(np.array([0.0, 0.0, 3.0])) == pytest.approx(2**-0.5)
