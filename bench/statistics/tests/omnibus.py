"""Is there any difference among several methods on the same prompts? Asked before, not instead of, pairwise contrasts.

Prompts must be independent: average clusters first. The test speaks about these trained models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

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
    count = len(values)
    if values.ndim != 2 or count < 3 or values.shape[1] == 0:
        raise DataError(f"an omnibus test needs three methods and a prompt; got an array of {values.shape}")
    varying = values[:, np.ptp(values, axis=0) > 0]
    if varying.shape[1] == 0:
        return Omnibus(0.0, count - 1, 1.0)
    found = stats.friedmanchisquare(*varying)
    return Omnibus(float(found.statistic), count - 1, float(found.pvalue))
