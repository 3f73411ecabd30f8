"""The minimum detectable effect of a design, before and after the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics.tests.betting import BettingLaw
from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.roots import root

POWER = 0.8
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired value: over training seeds, over prompts, and of one cell beyond both.

    The defaults are for a win rate on the scale [0, 1]: measured on the embedded world with three seeds (about 0.02 to
    0.03 over seeds; 0.024 * sqrt(400) = 0.48 for one cell, split evenly in variance between prompt and residual).
    """

    seed: float = 0.025
    prompt: float = 0.34
    residual: float = 0.34


# What the seeds' standard deviation of a win rate may be, before a run: the 80% chi-square limits of the pooled mean
# square of the quickstart's nine contrasts (three seeds, 400 prompts of the embedded world), rounded outward.
ASSUMED_SEEDS = (0.009, 0.037)


def smallest_detectable(standard_error: float, df: float, level: float = LEVEL, power: float = POWER) -> float:
    """Return the minimum detectable effect: the true difference that the two-sided t test finds with ``power``.

    The far tail is left out (below 1e-4 of the power at 0.8). Uses the noncentral t law with ``df`` degrees of
    freedom; for more than a million the normal one.
    """
    if df > 1e6:
        return standard_error * float(special.ndtri((1 + level) / 2) + special.ndtri(power))
    return standard_error * shift_for(float(special.stdtrit(df, (1 + level) / 2)), df, power)


def shift_for(critical: float, df: float, power: float) -> float:
    """Return the true difference, in standard errors, at which a t statistic exceeds ``critical`` with that power."""

    def missing(shift: float) -> float:
        return float(special.nctdtr(df, shift, critical)) - (1 - power)

    top = critical + 2.0
    while missing(top) > 0:
        top *= 2
    return root(missing, 0.0, top)


# The share of chi-square limits around the seeds' variance: between them lies the true one in 80 of 100 pilots.
LIMITS = 0.8


def variance_limits(variance: float, df: float) -> tuple[float, float]:
    """Return the LIMITS of a true variance whose estimate rests on ``df`` degrees of freedom (chi-square)."""
    outside = (1 - LIMITS) / 2
    return variance * df / float(special.chdtri(df, outside)), variance * df / float(special.chdtri(df, 1 - outside))


def detectable_by(law: Confidence, seeds: int, level: float) -> tuple[float, float | None, float | None]:
    """Return the minimum detectable effect of a contrast at ``level``, and those at the limits of its seeds' variance.

    With ``seeds`` - 1 degrees of freedom whatever the law's own: a moderated contrast may next time have to stand by
    its own variance. None for the limits with one seed. The variances are taken as known for each of the three. Where
    none was seen, what the bounds of the values leave open takes its place.
    """
    if float(np.asarray(law.variance)) == 0 and law.support is not None and not isinstance(law, BettingLaw):
        return smallest_detectable(law.error_of_width(level), law.prompt_df, level), None, None

    def reach(of_seeds: float) -> float:
        planned = Confidence(0.0, law.prompt_variance, law.prompt_df, of_seeds, max(seeds - 1, 0))
        return smallest_detectable(float(planned.standard_error), planned.effective_df(level), level)

    if isinstance(law, BettingLaw):
        return betting_reach(law, level), None, None
    of_seeds = float(np.asarray(law.seed_variance))
    if seeds < 2 or of_seeds == 0:
        return reach(of_seeds), None, None
    low, high = variance_limits(of_seeds, law.seed_df)
    return reach(of_seeds), reach(low), reach(high)


def betting_reach(law: BettingLaw, level: float) -> float:
    """Return the minimum detectable effect by betting: half the interval at ``level``, and how far the mean may fall.

    The mean's law is taken as normal with the variance seen, and the interval there as wide as the present one.
    """
    return law.half_width(level) + float(special.ndtri(POWER)) * float(law.standard_error)


def power_of(difference: float, standard_error: float, df: float, level: float = LEVEL) -> float:
    """Return the probability that the two-sided t test finds a true difference."""
    critical, shift = float(special.stdtrit(df, (1 + level) / 2)), abs(difference) / standard_error
    return float(1 - special.nctdtr(df, shift, critical) + special.nctdtr(df, shift, -critical))


def prompts_needed(difference: float, sd: float, level: float = LEVEL, power: float = POWER) -> float:
    """Return how many independent prompts a paired t test needs to find ``difference`` (as a real number)."""

    def missing(log_n: float) -> float:
        n = float(np.exp(log_n))
        return power - power_of(difference, sd / n**0.5, n - 1, level)

    return float(np.exp(root(missing, np.log(2.01), np.log(1e9))))


def planned_smallest_detectable(
    n_prompts: int, n_seeds: int, spread: Spread | None = None, level: float = LEVEL
) -> float | None:
    """Return the minimum detectable effect of a crossing of prompts and seeds, at 80% power.

    The variance components are taken as known to be ``spread`` (default: a win rate) and put through the same
    confidence law as the data will be. With one seed the answer speaks about the trained models, so the spread over
    seeds does not enter. None for fewer than two prompts.
    """
    if n_prompts < 2:
        return None
    given = spread or Spread()
    cell = given.residual**2 / n_prompts
    if n_seeds == 1:
        confidence = Confidence(0.0, given.prompt**2 / n_prompts + cell, n_prompts - 1)
    else:
        confidence = Confidence(
            0.0, given.prompt**2 / n_prompts, n_prompts - 1, (given.seed**2 + cell) / n_seeds, n_seeds - 1
        )
    if float(confidence.variance) == 0:
        return 0.0
    return smallest_detectable(float(confidence.standard_error), confidence.effective_df(level), level)
