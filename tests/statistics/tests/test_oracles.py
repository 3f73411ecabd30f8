"""statsmodels as an oracle for what both compute: corrections, Wilson, McNemar, the power of a paired t test."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.power.detectable import power_of, smallest_detectable
from bench.statistics.tests.corrections import benjamini_hochberg, holm
from bench.statistics.tests.intervals import wilson_interval
from bench.statistics.tests.significance import mcnemar_exact

pytest.importorskip("statsmodels", reason="statsmodels is not installed: pip install alignment-bench[oracles]")


@pytest.mark.parametrize("seed", range(5))
def test_corrections(seed: int) -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(seed).beta(0.5, 3, size=3 + 4 * seed).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)
    assert benjamini_hochberg(p_values) == pytest.approx(
        multipletests(p_values, method="fdr_bh")[1].tolist(), abs=1e-12
    )


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 10), (50, 50), (400, 805)])
def test_wilson(successes: int, trials: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    wanted = proportion_confint(successes, trials, alpha=0.05, method="wilson")
    assert wilson_interval(successes, trials, 0.95) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_mcnemar(seed: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    a, b = np.random.default_rng(seed).integers(0, 2, size=(2, 40)).astype(float)
    table = [[int(((a == i) & (b == j)).sum()) for j in (1, 0)] for i in (1, 0)]
    assert mcnemar_exact(a, b) == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


def test_power_of_a_paired_t_test() -> None:
    from statsmodels.stats.power import TTestPower

    prompts, effect = 120, 0.25
    wanted = TTestPower().power(effect_size=effect, nobs=prompts, alpha=0.05)
    assert power_of(effect, 1 / np.sqrt(prompts), prompts - 1) == pytest.approx(wanted, abs=2e-3)
    reach = smallest_detectable(1 / np.sqrt(prompts), prompts - 1)
    assert reach == pytest.approx(TTestPower().solve_power(nobs=prompts, alpha=0.05, power=0.8), abs=2e-3)
