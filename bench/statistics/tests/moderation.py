"""Moderated mean squares of training seeds: each of several alike borrows from the others, as in limma.

Mean squares m_1..m_J, each on d = seeds - 1 degrees of freedom, are taken as draws around true variances that vary as
s0^2 d0 / chi-square(d0) (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3; Lonnstedt and Speed 2002, Stat. Sin. 12:31).
``s0^2`` and ``d0`` are fitted to the logarithms of the m_j, and

    moderated m_j = (d0 s0^2 + d m_j) / (d0 + d)        on d0 + d degrees of freedom

Two changes, both needed for the level (docs/statistics.md has what was tried, and the rates):

* A mean square above its moderated value keeps its own law, m_j on d: no interval is narrowed by arms that are calmer.
* d0 is at most SHARE of what the *others* can tell. Contrasts that share an arm share its seeds, so J mean squares are
  worth ``effective_count`` independent ones, of which one is the contrast's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics.tests.confidence import FloatArray

# Of the degrees of freedom that the other contrasts have, those that the prior may claim; 1 gives up to 5.8% instead of
# 5.3% family-wise errors where seeds are all the noise there is, one half costs a sixth of the gain in power.
SHARE = 0.75
# With fewer mean squares, or fewer seeds, the spread of the true variances cannot be seen, and no cap holds the level.
FEWEST_CONTRASTS, FEWEST_SEEDS = 3, 3
# limma's floor of a mean square as a share of their median (its ``fitFDist``): a logarithm needs more than 0.
FLOOR = 1e-5
# Squared correlation of the mean squares of two contrasts that share one arm (arms of equal spread: correlation 1/2).
OF_A_SHARED_ARM = 0.25


@dataclass(frozen=True)
class Moderated:
    """Mean squares and the degrees of freedom of each, (..., J), after moderation; ``prior_*`` of shape (...).

    Where own mean squares are kept, ``variance`` and ``df`` are the own ones.
    """

    variance: FloatArray
    df: FloatArray
    prior_variance: FloatArray
    prior_df: FloatArray


def moderated(mean_squares: FloatArray, df: int, effective: float) -> Moderated:
    """Return the moderated form of mean squares (..., J), each on ``df`` degrees of freedom, in the units given.

    ``effective``: how many independent mean squares they are worth (``effective_count``). Scaling all mean squares
    scales the result. Raises ValueError for fewer than FEWEST_CONTRASTS, and where all are 0.
    """
    if mean_squares.shape[-1] < FEWEST_CONTRASTS:
        raise ValueError(f"moderation needs {FEWEST_CONTRASTS} mean squares; got {mean_squares.shape[-1]}")
    if not np.all(np.any(mean_squares > 0, axis=-1)):
        raise ValueError("moderation needs a mean square above 0; all are 0")
    prior_variance, prior_df = _prior(mean_squares, df)
    prior_df = np.minimum(prior_df, SHARE * df * max(effective - 1.0, 0.0))
    of_prior, of_all = prior_df[..., None], prior_df[..., None] + df
    shrunk = (of_prior * prior_variance[..., None] + df * mean_squares) / of_all
    own = mean_squares > shrunk
    return Moderated(
        variance=np.where(own, mean_squares, shrunk),
        df=np.where(own, float(df), of_all),
        prior_variance=prior_variance,
        prior_df=prior_df,
    )


def effective_count(pairs: Sequence[tuple[str, str]]) -> float:
    """Return how many independent mean squares those of these pairs of arms are worth: J^2 / sum of rho^2.

    rho is the correlation of two contrasts' seed effects: 1 for the same pair, 1/2 with one arm in common. J contrasts
    with one reference are worth J / (1 + (J - 1) / 4), all pairs of K arms K - 1.
    """
    shared = [
        1.0 if set(one) == set(other) else OF_A_SHARED_ARM * len(set(one) & set(other))
        for one in pairs
        for other in pairs
    ]
    return len(pairs) ** 2 / sum(shared)


def widest_p(mean_squares: FloatArray, df: int) -> tuple[int, float]:
    """Return which of the mean squares (J,) is the largest, and the p-value that it belongs to the others.

    Cochran 1941 (Ann. Eugen. 11:47) by its F form: the largest over the mean of the others against F(df, (J - 1) df),
    times J. For independent mean squares; those of contrasts with a shared arm vary less among themselves, so that p
    is then too large rather than too small. Raises ValueError for fewer than two.
    """
    count = len(mean_squares)
    if count < 2:
        raise ValueError("fewer than two mean squares cannot be compared")
    place = int(np.argmax(mean_squares))
    others = (float(mean_squares.sum()) - float(mean_squares[place])) / (count - 1)
    if others <= 0:
        return place, 0.0 if mean_squares[place] > 0 else 1.0
    ratio = float(mean_squares[place]) / others
    return place, min(1.0, count * float(special.fdtrc(df, (count - 1) * df, ratio)))


def _prior(mean_squares: FloatArray, df: int) -> tuple[FloatArray, FloatArray]:
    """Return s0^2 and d0 by the moments of the logarithms (Smyth 2004, section 6.2); d0 is infinite without spread."""
    floored = np.maximum(mean_squares, FLOOR * _middle(mean_squares)[..., None])
    logs = np.log(floored) - special.digamma(df / 2) + np.log(df / 2)
    centre = logs.mean(axis=-1)
    beyond = logs.var(axis=-1, ddof=1) - float(special.polygamma(1, df / 2))
    half = trigamma_inverse(np.maximum(beyond, 1e-6))
    finite = beyond > 1e-6
    variance = np.exp(np.where(finite, centre + special.digamma(half) - np.log(half), centre))
    return variance, np.where(finite, 2 * half, np.inf)


def _middle(mean_squares: FloatArray) -> FloatArray:
    """Return the median, or the mean where that is 0."""
    median = np.median(mean_squares, axis=-1)
    return np.asarray(np.where(median > 0, median, mean_squares.mean(axis=-1)))


def trigamma_inverse(values: FloatArray) -> FloatArray:
    """Return x with trigamma(x) = value, for values above 0, to 1e-8: Newton on 1 / trigamma (Smyth 2004, appendix)."""
    found = 0.5 + 1 / values
    for _ in range(50):
        at = special.polygamma(1, found)
        step = at * (1 - at / values) / special.polygamma(2, found)
        found = found + step
        if float(np.max(-step / found)) < 1e-9:
            break
    return np.asarray(found)
