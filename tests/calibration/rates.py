"""How often a family of equal arms has a verdict, and how often one true effect is found."""

from __future__ import annotations

import numpy as np

from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.max_t import max_t_over_seeds
from bench.statistics.tests.moderation import FEWEST_CONTRASTS, FEWEST_SEEDS, effective_count, moderated
from tests.calibration.worlds import PROMPTS, Families, FloatArray

ALPHA = 0.05
RESAMPLES = 500
# The correlation of the prompts' parts of two contrasts with one arm in common.
SHARED = 0.5


def laws_of(given: Families, law: str) -> tuple[FloatArray, FloatArray]:
    """Return the seeds' part of each mean's variance and its degrees of freedom, (families, contrasts) each.

    ``law``: ``own``, ``moderated``, or ``pooled`` (plain: one mean square for all contrasts).
    """
    seeds = given.seeds.shape[-1]
    squares, df = given.seeds.var(axis=-1, ddof=1), seeds - 1
    effective = effective_count(given.pairs)
    if law == "pooled":
        pooled = np.broadcast_to(squares.mean(axis=-1, keepdims=True), squares.shape)
        return pooled / seeds, np.full(squares.shape, df * effective)
    if law == "own" or seeds < FEWEST_SEEDS or squares.shape[-1] < FEWEST_CONTRASTS:
        return squares / seeds, np.full(squares.shape, float(df))
    found = moderated(squares, df, effective)
    return found.variance / seeds, found.df


def p_values(given: Families, law: str, effect: float = 0.0) -> FloatArray:
    """Return (families, contrasts) p-values of "no difference"; ``effect`` is added to the first contrast.

    Only those that could be below ALPHA / contrasts are worked out; the others are 1.
    """
    seed_part, df = laws_of(given, law)
    estimate = given.seeds.mean(axis=-1)
    estimate[:, 0] += effect
    p = np.ones(estimate.shape)
    # Within 1.9 standard errors no law gives a p near ALPHA, let alone ALPHA / contrasts.
    possible = np.abs(estimate) > 1.9 * np.sqrt(given.prompts + seed_part)
    # To a fiftieth: few laws of many values each, instead of one for each value.
    df = np.round(df * 50) / 50
    for one in np.unique(df[possible]):
        here = possible & (df == one)
        p[here] = Confidence(estimate[here], given.prompts[here], PROMPTS - 1, seed_part[here], float(one)).p_value(0.0)
    return p


def errors(given: Families, law: str) -> tuple[int, int]:
    """Return in how many families some contrast is decided: by Holm, and by max-T."""
    p = p_values(given, law)
    count = p.shape[1]
    smallest = p.min(axis=1)
    holm = smallest * count < ALPHA
    seed_part, df = laws_of(given, law)
    correlation = np.array([[_shared(one, other) for other in given.pairs] for one in given.pairs])
    by_max_t = int(holm.sum())
    # Between p and Holm's p: only here the two can differ.
    for place in np.flatnonzero(~holm & (smallest < ALPHA)):
        laws = [
            Confidence(0.0, given.prompts[place, j], PROMPTS - 1, seed_part[place, j], float(df[place, j]))
            for j in range(count)
        ]
        by_max_t += min(max_t_over_seeds([float(one) for one in p[place]], laws, correlation, RESAMPLES, 0)) < ALPHA
    return int(holm.sum()), by_max_t


def power(given: Families, law: str, effect: float) -> float:
    """Return the share of families whose first contrast, with this true effect, is decided at Holm's first step."""
    return float((p_values(given, law, effect)[:, 0] * len(given.pairs) < ALPHA).mean())


def _shared(one: tuple[str, str], other: tuple[str, str]) -> float:
    if one == other:
        return 1.0
    sign = 1.0 if one[0] == other[0] or one[1] == other[1] else -1.0
    return sign * SHARED if set(one) & set(other) else 0.0
