from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics.power import detectable as power
from tests.statistics.power.miller import miller_prompts_needed, miller_smallest_detectable


def test_miller_known_values() -> None:
    assert miller_prompts_needed(0.03, 1 / 9) == pytest.approx(968.998, abs=1e-3)
    assert miller_prompts_needed(0.03, 1 / 9, 1 / 3) == pytest.approx(3875.99, abs=5e-3)
    assert miller_prompts_needed(0.03, 1 / 9, 1 / 30) == pytest.approx(1259.70, abs=5e-3)
    assert miller_smallest_detectable(968.998, 1 / 9) == pytest.approx(0.03, rel=1e-6)


def test_prompts_needed_known_value() -> None:
    assert power.prompts_needed(0.1, 1.0) == pytest.approx(786.81, abs=5e-3)


def test_smallest_detectable_has_the_power_asked_for() -> None:
    for df in (1.0, 2.0, 3.7, 399.0):
        found = power.smallest_detectable(0.5, df)
        assert power.power_of(found, 0.5, df) == pytest.approx(0.8, abs=2e-3)
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.5
    assert power.smallest_detectable(0.5, math.inf) == pytest.approx(normal)
    assert power.smallest_detectable(0.5, 1e5) == pytest.approx(normal, rel=1e-4)


def test_power_against_simulation() -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(0.5, 1, (20_000, 20))
    rate = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert power.power_of(0.5, 1 / 20**0.5, 19) == pytest.approx(rate, abs=0.01)


def test_planning_more_is_finer() -> None:
    found = [power.planned_smallest_detectable(400, runs) for runs in (2, 3, 5, 10)]
    assert all(value is not None for value in found)
    assert found == sorted(found, key=lambda value: -(value or 0))
    fewer, more = power.planned_smallest_detectable(100, 3), power.planned_smallest_detectable(1000, 3)
    assert fewer is not None and more is not None and fewer > more
    assert power.planned_smallest_detectable(1, 3) is None
    assert power.planned_smallest_detectable(10, 3, power.Spread(0, 0, 0)) == 0.0


def test_planning_one_run_is_the_paired_t_test() -> None:
    found = power.planned_smallest_detectable(400, 1, power.Spread(seed=9.0, prompt=0.3, residual=0.4))
    assert found == pytest.approx(power.smallest_detectable(0.5 / 20, 399))


@pytest.mark.parametrize("runs", [3, 5])
def test_planned_effect_is_found_about_that_often(runs: int) -> None:
    from bench.statistics.tests.random_effects import crossed_effects

    spread = power.Spread(seed=0.02, prompt=0.3, residual=0.3)
    effect = power.planned_smallest_detectable(200, runs, spread)
    assert effect is not None
    generator = np.random.default_rng(0)
    values = (
        effect
        + generator.normal(0, spread.seed, (1000, 1, runs))
        + generator.normal(0, spread.prompt, (1000, 200, 1))
        + generator.normal(0, spread.residual, (1000, 200, runs))
    )
    rate = float((crossed_effects(values).confidence.p_value(0.0) < 0.05).mean())
    assert 0.7 < rate < 0.95
