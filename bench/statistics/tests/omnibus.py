"""Is there any difference among several methods on the same prompts? Asked before, not instead of, pairwise contrasts.

Prompts must be independent: average clusters first. Both tests speak about these trained models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray


@dataclass(frozen=True)
class Omnibus:
    """A statistic, chi-square with ``df`` degrees of freedom where all methods are alike, and its p-value."""

    statistic: float
    df: int
    p: float


def friedman(values: FloatArray) -> Omnibus:
    """Return Friedman's test of (methods, prompts): ranks within each prompt, ties averaged and corrected for.

    Friedman 1937 (J. Am. Stat. Assoc. 32:675). For scores on an ordinal scale. Prompts on which all methods are alike
    have no part; p is 1 where there is no other. Raises DataError for fewer than three methods.
    """
    count = _checked(values)
    told = values[:, np.ptp(values, axis=0) > 0]
    if told.shape[1] == 0:
        return Omnibus(0.0, count - 1, 1.0)
    found = stats.friedmanchisquare(*told)
    return Omnibus(float(found.statistic), count - 1, float(found.pvalue))


def cochran_q(values: FloatArray) -> Omnibus:
    """Return Cochran's Q of 0/1 values (methods, prompts): McNemar's test for more than two methods.

    Q = (K - 1) (K sum C_k^2 - N^2) / (K N - sum R_i^2), with C_k the successes of a method, R_i those on a prompt and N
    all of them (Cochran 1950, Biometrika 37:256). Raises DataError for other values or fewer than three methods.
    """
    count = _checked(values)
    if not np.isin(values, (0.0, 1.0)).all():
        raise DataError("Cochran's Q needs values 0 and 1")
    by_method, by_prompt, total = values.sum(axis=1), values.sum(axis=0), float(values.sum())
    spread = count * total - float((by_prompt**2).sum())
    if spread == 0:
        return Omnibus(0.0, count - 1, 1.0)
    statistic = (count - 1) * (count * float((by_method**2).sum()) - total**2) / spread
    return Omnibus(statistic, count - 1, float(special.chdtrc(count - 1, statistic)))


def _checked(values: FloatArray) -> int:
    if values.ndim != 2 or len(values) < 3 or values.shape[1] == 0:
        raise DataError(f"an omnibus test needs three methods and a prompt; got an array of {values.shape}")
    return len(values)
