"""Confidence sequences: intervals that hold at every number of judgements at once, so that buying may stop early.

The predictable plug-in empirical-Bernstein sequence of Waudby-Smith and Ramdas 2024 (J. R. Stat. Soc. B 86:1,
arXiv 2010.09686). For x_t in [0, 1] in an order that does not depend on the values, at level 1 - a:

    mu_t = (1/2 + sum x)/(t+1)      v_t = (1/4 + sum (x_i - mu_i)^2)/(t+1)
    lam_t = min( sqrt(2 log(2/a) / (v_{t-1} t log(1+t))), 1/2 )      psi(l) = (-log(1-l) - l)/4
    sum(lam x)/sum(lam)  +-  ( log(2/a) + sum 4 (x_t - mu_{t-1})^2 psi(lam_t) ) / sum(lam),    intersected over t
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray

LARGEST_BET = 0.5
SideOfNull = Literal["above", "below", "undecided"]


@dataclass(frozen=True)
class ConfidenceSequence:
    """Lower and upper bounds after 1, 2, ... values; each narrows or stays."""

    low: FloatArray
    high: FloatArray

    def decision(self, null: float) -> tuple[SideOfNull, int]:
        """Return on which side of ``null`` the mean lies, and after how many values that was certain.

        Undecided comes with the number of all values. Looking after every value does not raise the error rate.
        """
        outside = (self.low > null) | (self.high < null)
        if not outside.any():
            return "undecided", len(self.low)
        first = int(outside.argmax())
        return ("above" if self.low[first] > null else "below"), first + 1


def confidence_sequence(
    values: FloatArray, level: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)
) -> ConfidenceSequence:
    """Return the bounds of the mean of bounded values, valid at all times together with probability ``level``.

    ``values`` come in the order in which they were judged: a seeded random order of the prompts, fixed before. Prompts
    of one cluster are averaged first, in an order of clusters. ``bounds`` is the range a value can take: (-1, 1) for a
    difference of two preferences. Where the bounds would cross (the values drift), the last valid ones stay. Raises
    DataError for values outside the bounds.
    """
    low, high = bounds
    x = (np.asarray(values, dtype=float) - low) / (high - low)
    if len(x) == 0 or not (np.isfinite(x).all() and float(x.min()) >= 0 and float(x.max()) <= 1):
        raise DataError(f"a confidence sequence needs values from {low:g} to {high:g}")
    times = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (times + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (times + 1)
    mean_before, variance_before = np.append(0.5, mean[:-1]), np.append(0.25, variance[:-1])
    cost = np.log(2 / (1 - level))
    bet = np.minimum(np.sqrt(2 * cost / (variance_before * times * np.log1p(times))), LARGEST_BET)
    bets = np.cumsum(bet)
    surprise = np.cumsum(4 * (x - mean_before) ** 2 * (-np.log1p(-bet) - bet) / 4)
    centre, width = np.cumsum(bet * x) / bets, (cost + surprise) / bets
    lower = np.maximum.accumulate(np.maximum(centre - width, 0))
    upper = np.minimum.accumulate(np.minimum(centre + width, 1))
    crossed = lower > upper
    if crossed.any():
        last = max(int(crossed.argmax()) - 1, 0)
        lower[crossed], upper[crossed] = lower[last], upper[last]
    return ConfidenceSequence(low + (high - low) * lower, low + (high - low) * upper)
