from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.omnibus import Omnibus, friedman


def cochran_q(values: FloatArray) -> Omnibus:
    """Return Cochran's Q of 0/1 values (methods, prompts): McNemar's test for more than two methods.

    Q = (K - 1) (K sum C_k^2 - N^2) / (K N - sum R_i^2), with C_k the successes of a method, R_i those on a prompt and N
    all of them (Cochran 1950, Biometrika 37:256). Raises DataError for other values.
    """
    count = len(values)
    if not np.isin(values, (0.0, 1.0)).all():
        raise DataError("Cochran's Q needs values 0 and 1")
    by_method, by_prompt, total = values.sum(axis=1), values.sum(axis=0), float(values.sum())
    spread = count * total - float((by_prompt**2).sum())
    if spread == 0:
        return Omnibus(0.0, count - 1, 1.0)
    statistic = (count - 1) * (count * float((by_method**2).sum()) - total**2) / spread
    return Omnibus(statistic, count - 1, float(special.chdtrc(count - 1, statistic)))


def test_friedman_by_hand_without_ties() -> None:
    """Three methods, four prompts, rank sums 5, 7, 12: 12/(4*3*4) * (25+49+144) - 3*4*4 = 6.5."""
    values = np.array([[1.0, 2.0, 1.0, 1.0], [2.0, 1.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
    found = friedman(values)
    assert found.statistic == pytest.approx(6.5)
    assert (found.df, found.p) == (2, pytest.approx(stats.chi2.sf(6.5, 2)))


def test_prompts_without_any_difference_have_no_part() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(1, 6, (4, 30)).astype(float)
    tied = np.column_stack([values, np.full((4, 20), 3.0)])
    assert friedman(tied).statistic == pytest.approx(friedman(values).statistic)
    assert friedman(np.ones((3, 5))).p == 1.0


def test_cochran_is_that_of_statsmodels_and_mcnemars_for_a_repeated_method() -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables", reason="statsmodels is not installed")
    values = (np.random.default_rng(1).random((4, 60)) < np.array([[0.3], [0.4], [0.5], [0.5]])).astype(float)
    theirs = contingency.cochrans_q(values.T)
    ours = cochran_q(values)
    assert (ours.statistic, ours.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
    assert cochran_q(np.ones((3, 4))).p == 1.0


@pytest.mark.parametrize("prompts", [15, 100])
def test_five_equal_methods_are_told_apart_in_five_percent(prompts: int) -> None:
    generator = np.random.default_rng(2)
    hard = generator.normal(0, 1, (1000, 1, prompts))
    scores = np.round(hard + generator.normal(0, 1, (1000, 5, prompts)))
    right = (generator.normal(0, 1, (1000, 5, prompts)) > hard).astype(float)
    for values, test in ((scores, friedman), (right, cochran_q)):
        rate = np.mean([test(one).p < 0.05 for one in values])
        # The chi-square law is a little cautious for few prompts.
        assert 0.02 <= rate <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_what_has_no_test_is_refused() -> None:
    with pytest.raises(DataError, match="three methods"):
        friedman(np.zeros((2, 5)))
    with pytest.raises(DataError, match="0 and 1"):
        cochran_q(np.full((3, 5), 0.5))
