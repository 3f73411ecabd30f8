"""Verdicts without an answer: what stands in their place keeps the mean and its error, whatever the position bias."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.crossing.failed_calls import filled
from bench.statistics.tests.random_effects import crossed_effects

ORDERS = ("first", "second")
TRUTH = 0.6


def drawn(generator: np.random.Generator, prompts: int = 200, runs: int = 5) -> np.ndarray:
    """Preferences (prompts, runs, orders): prompts differ in what they say and in how far the order sways them."""
    effect = generator.normal(0, 0.2, (prompts, 1, 1)) + generator.normal(0, 0.02, (1, runs, 1))
    sway = generator.uniform(0.0, 0.4, (prompts, 1, 1)) * np.array([0.5, -0.5])
    return TRUTH + effect + sway + generator.normal(0, 0.1, (prompts, runs, 2))


@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_the_mean_stays_and_so_does_its_error(rate: float) -> None:
    """Failures in the first order only, the worst for whoever lets the other order stand for both."""
    generator = np.random.default_rng(0)
    errors, alone, covered, dropped = [], [], [], []
    for _ in range(100):
        values = drawn(generator)
        failed = (generator.random(values.shape) < 2 * rate) & (np.arange(2) == 0)
        found = filled(np.where(failed, 0.0, values), ~failed, failed, ORDERS)
        kept = np.isfinite(found).all(axis=(1, 2))
        cells = found[kept].mean(axis=2)
        low, high = crossed_effects(cells, np.arange(len(cells))).confidence.interval(0.95)
        errors.append(cells.mean() - values.mean())
        covered.append(low <= TRUTH <= high)
        dropped.append(1 - kept.mean())
        alone.append(np.nanmean(np.where(failed, np.nan, values), axis=2).mean() - values.mean())
    assert abs(np.mean(errors)) < 0.0005
    assert np.mean(alone) == pytest.approx(-rate * 0.2, rel=0.2)  # half of the mean sway of .4 times 2 rate, turned
    assert np.mean(covered) > 0.88
    assert np.mean(dropped) < 0.001


def test_other_draws_of_the_run_come_before_other_runs_and_nothing_is_made_up() -> None:
    values = np.array([[[0.2, 0.4, 0.0], [0.8, 0.8, 0.8]], [[0.0, 0.0, 0.5], [0.0, 0.0, 0.9]]])
    failed = np.array([[[False, False, True], [False] * 3], [[True, True, False], [True, True, False]]])
    found = filled(values, ~failed, failed, ("first",) * 3)
    assert found[0, 0, 2] == pytest.approx(0.3)
    assert found[1, 0] == pytest.approx([0.5, 0.5, 0.5])
    none = filled(values, ~failed, failed, ("first", "first", "second"))
    assert none[0, 0, 2] == pytest.approx(0.8)
    assert np.isnan(none[1, :, :2]).all()
