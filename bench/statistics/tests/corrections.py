"""Corrections of p-values for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Correction = Literal["holm", "benjamini_hochberg", "none"]


def adjusted(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Return the adjusted p-values of one family, in the order given."""
    if correction == "holm":
        return holm(p_values)
    return benjamini_hochberg(p_values) if correction == "benjamini_hochberg" else list(p_values)


def alpha_of(level: float) -> float:
    """Return 1 - level, rounded because 1 - 0.95 is a hair above 0.05 in binary."""
    return round(1 - level, 12)


def first_step_level(level: float, tests: int, correction: Correction | Literal["max_t"]) -> float:
    """Return the level at which the first of so many tests is decided: Holm's first step, alpha / tests.

    For max-T, which is sharper, and the false discovery rate, whose later steps are easier, it is the careful answer.
    """
    return level if correction == "none" or tests < 2 else 1 - alpha_of(level) / tests


def step_levels(
    p_values: Sequence[float], p_adjusted: Sequence[float], correction: Correction | Literal["max_t"], alpha: float
) -> list[float]:
    """Return for each test the error probability of its adjusted interval: p is below it exactly when it is decided.

    * ``holm``: that of the test's own step, alpha / (tests left); from the first undecided one on, that of this step.
    * ``max_t``: alpha p / p_adjusted where decided, and Holm's where that is larger: a p_adjusted is never below one
      over the number of resamples, however small p is. From the first undecided one on Holm's.
    * ``benjamini_hochberg``: alpha (decided) / (tests) for all, so that the rate of false coverage among those decided
      is alpha (Benjamini and Yekutieli 2005, J. Am. Stat. Assoc. 100:71).
    * ``none``: alpha, which is the single interval.

    A permutation's p_adjusted and a p of a t law may disagree at the edge; the interval then ends at the null value.
    """
    given, after = np.asarray(p_values, dtype=float), np.asarray(p_adjusted, dtype=float)
    order, decided = np.argsort(given, kind="stable"), after < alpha
    count, found = len(given), int(decided.sum())
    if correction == "benjamini_hochberg":
        levels = np.full(count, alpha * max(found, 1) / max(count, 1))
    elif correction == "none":
        levels = np.full(count, alpha)
    else:
        levels = np.empty(count)
        levels[order] = alpha / (count - np.minimum(np.arange(count), found))
        if correction == "max_t":
            gained = alpha * np.divide(given, after, out=levels / alpha, where=after > 0)
            levels = np.where(decided, np.maximum(levels, gained), levels)
    edge = np.where(decided, np.maximum(levels, np.nextafter(given, 1.0)), np.minimum(levels, given))
    return [float(one) for one in edge]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values: family-wise error under any dependence (Holm 1979)."""
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    result = np.empty_like(given)
    result[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in result]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the Benjamini-Hochberg adjusted p-values: false discovery rate under positive dependence."""
    from scipy import stats  # loads for half a second, which a plan has no use for

    return [float(p) for p in stats.false_discovery_control(p_values)] if p_values else []
