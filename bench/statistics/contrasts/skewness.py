"""Whether differences are so skewed that a normal law of their mean cannot be relied on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.results.wording import SKEWED
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_sums

# Cochran's rule: a 95% interval by the normal law errs by at most 6% where n > 25 skewness^2 (Cochran 1977, Sampling
# Techniques, 3rd ed., section 2.15; for t intervals Boos and Hughes-Oliver 2000, Am. Stat. 54:121).
COCHRAN = 25
# A skewness within so many of its standard errors under a normal law may be chance: a hundredth of samples exceed it.
BEYOND = 2.58


def skewness(values: FloatArray) -> float:
    """Return the sample skewness m3 / m2^1.5 of values (n,); 0 where nothing varies."""
    away = values - values.mean()
    second = float((away**2).mean())
    return float((away**3).mean()) / second**1.5 if second > 0 else 0.0


def too_skewed(values: FloatArray) -> tuple[float, float] | None:
    """Return the skewness of independent values (n,) and how many Cochran's rule wants; None where they are enough."""
    count = len(values)
    if count < 3:
        return None
    found = skewness(values)
    wanted = COCHRAN * found**2
    # Fisher 1930: the variance of the sample skewness of normal values.
    by_chance = (6 * (count - 2) / ((count + 1) * (count + 3))) ** 0.5
    return (found, wanted) if count < wanted and abs(found) > BEYOND * by_chance else None


def skew_notes(
    values: FloatArray, clusters: IntArray | None, bounds: tuple[float, float] | None, test: Literal["t", "betting"]
) -> tuple[str, ...]:
    """Return what to say beside the values (prompts,) of one seed: that they are too skewed, and what holds.

    Nothing where the test bets, and for wins, ties and losses, whose test is that of a score (``support``).
    """
    if test == "betting":
        return () if bounds is not None else ("betting needs values within declared bounds, so the t test stands in",)
    if bounds is not None and np.isin(values, (bounds[0], sum(bounds) / 2, bounds[1])).all():
        return ()
    found = too_skewed(cluster_sums(values - values.mean(), clusters))
    if found is None:
        return ()
    skew, wanted = found
    advice = "declare the metric's bounds and use" if bounds is None else "sure to hold is"
    return (
        f"{SKEWED} (skewness {skew:.1f}): fewer prompts than the {wanted:,.0f} that a normal law of the mean needs "
        f"(Cochran's rule), so the error rate may be far from the level: {advice} statistics.test: betting",
    )
