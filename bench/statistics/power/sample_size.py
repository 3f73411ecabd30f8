"""How many prompts, or how many training seeds, a one-sided test would need: the spread seen, the design changed.

From the parts of a mean's variance at n prompts and s seeds, those at f n prompts and g s seeds are

    prompts:  (V_prompt / n) / f          each set of seeds:  (V_seed + (M - V_seed) / f) / (g s)

with M = V_seed + V_res/n the variance of one seed's mean, and the degrees of freedom change with the counts. The law is
the one that the data themselves are put through (``bench.statistics.tests.confidence``), with the spread taken as
known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.seed_variance import seed_component
from bench.statistics.power.detectable import shift_for
from bench.statistics.tests.betting import BETTING
from bench.statistics.tests.confidence import MANY_DEGREES, Confidence, satterthwaite_df
from bench.statistics.tests.margin_tests import (
    EARLIER_DF,
    EARLIER_VARIANCE,
    PRIOR_DF,
    PROMPT_DF,
    PROMPT_VARIANCE,
    SEED_DF,
    SEED_VARIANCE,
)

# Name among a contrast's components: the variance of an earlier run's seed effects.
EARLIER_SEED_COMPONENT = "earlier_run"
MOST_PROMPTS, MOST_SEEDS = 1_000_000, 1_000


@dataclass(frozen=True)
class Seeds:
    """One set of training seeds: the variance that they add to the mean, V_seed, and the degrees of freedom."""

    variance: float
    component: float
    df: int

    def scaled(self, more_prompts: float, more_seeds: float) -> tuple[float, int]:
        """Return the variance and the degrees of freedom with so many times the prompts and the seeds."""
        count = self.df + 1
        one = self.variance * count
        kept = min(self.component, one)
        return (kept + (one - kept) / more_prompts) / (count * more_seeds), round(count * more_seeds) - 1


@dataclass(frozen=True)
class VarianceParts:
    """A mean's variance by its parts, at a number of prompts and of seeds. ``sets`` is empty with one seed."""

    prompts: int
    seeds: int
    prompt_variance: float
    prompt_df: float
    sets: tuple[Seeds, ...]

    def law(self, prompts: float, seeds: float) -> Confidence:
        """Return the law around 0 at other numbers of prompts and seeds."""
        more = prompts / self.prompts
        parts = [one.scaled(more, seeds / self.seeds) for one in self.sets] + [(0.0, 0)] * 2
        df = max(1.0, (self.prompt_df + 1) * more - 1)
        (now, now_df), (earlier, earlier_df) = parts[:2]
        return Confidence(0.0, self.prompt_variance / more, df, now, now_df, earlier, earlier_df)

    def reach(self, prompts: float, seeds: float, level: float, power: float) -> float:
        """Return the smallest true difference that a one-sided test at ``level`` finds with that power."""
        return detectable(self.law(prompts, seeds), level, power)


def design_of(contrast: Contrast) -> VarianceParts | None:
    """Return the design behind a contrast; None where it carries no parts of its variance, or no variance.

    None too where the test bets: its interval does not follow from the variance.
    """
    parts = contrast.components
    if contrast.test == BETTING:
        return None
    seen = [parts.get(name, 0.0) for name in (PROMPT_VARIANCE, SEED_VARIANCE, EARLIER_VARIANCE)]
    if PROMPT_DF not in parts or contrast.n_prompts < 2 or not any(seen):
        return None
    sets = []
    # A moderated contrast may have to stand by its own seeds the next time.
    df = contrast.n_runs - 1 if PRIOR_DF in parts else int(parts.get(SEED_DF, contrast.n_runs - 1))
    if df > 0:
        sets.append(Seeds(parts[SEED_VARIANCE], seed_component(contrast), df))
    if parts.get(EARLIER_DF):
        sets.append(Seeds(parts[EARLIER_VARIANCE], parts.get(EARLIER_SEED_COMPONENT, 0.0), int(parts[EARLIER_DF])))
    return VarianceParts(contrast.n_prompts, contrast.n_runs, parts[PROMPT_VARIANCE], parts[PROMPT_DF], tuple(sets))


def detectable(law: Confidence, level: float, power: float) -> float:
    """Return the smallest true difference that a one-sided test at ``level`` finds with that power.

    The estimated standard error varies with Satterthwaite's degrees of freedom, and is held against the law's own
    critical value: P(T > critical) = power for a noncentral t. Simulated power is within 3 points (docs/gate.md).
    """
    error = float(law.standard_error)
    if error == 0:
        return law.half_width(2 * level - 1)
    critical = law.half_width(2 * level - 1) / error
    parts = [
        (float(np.asarray(variance)), df)
        for variance, df in (
            (law.prompt_variance, law.prompt_df),
            (law.seed_variance, law.seed_df),
            (law.earlier_seed_variance, law.earlier_seed_df),
        )
    ]
    return error * shift_for(critical, min(satterthwaite_df(tuple(parts)), MANY_DEGREES), power)


def prompts_needed(design: VarianceParts, distance: float, level: float, power: float) -> int | None:
    """Return the fewest prompts, seeds as they are, that find a true difference of ``distance``; None for too many."""
    return _fewest(lambda count: design.reach(count, design.seeds, level, power) <= distance, 2, MOST_PROMPTS)


def seeds_needed(design: VarianceParts, distance: float, level: float, power: float) -> int | None:
    """Return the fewest seeds, prompts as they are, that find ``distance``; None for too many, and with one seed.

    One seed says nothing about how much seeds differ. An earlier run's seeds grow in the same proportion.
    """
    if not design.sets or design.seeds < 2:
        return None
    return _fewest(lambda count: design.reach(design.prompts, count, level, power) <= distance, 2, MOST_SEEDS)


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the smallest count that is enough, where every larger one is too; None when ``most`` is not."""
    if not enough(most):
        return None
    low, high = least - 1, most
    while high - low > 1:
        middle = math.isqrt(low * high) if low > 0 and high > 4 * low else (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
