"""The variance that a mean would need to have another value than the one seen, for values that have bounds.

A sample without variation, or with one rare loss, has a small variance because the values that would make it large were
not met. Where the values have bounds e, the law of a prompt's value is estimated under the tested mean m instead: the
multinomial maximum-likelihood law on the values seen and the two bounds (empirical likelihood, Owen 1988, Biometrika
75:237, with the bounds as possible values that were not seen),

    p_i = w_i / (1 + lambda (u_i - m)),   sum p_i (u_i - m) = 0,   1 + lambda (e - m) >= 0 at both bounds

with w_i the share of prompts at u_i. Where no lambda within these ends meets the constraint, lambda sits at the end and
the rest of the mass lies on that bound. For 0/1 values the variance is m (1 - m), that of Wilson's score test; for
paired 0/1 values it is that of Tango's (1998, Stat. Med. 17:891).

The mean's variance is this over the number of independent prompts. Where prompts come in clusters that is their number
over the design effect that was seen, as in Rao and Scott's correction (1992, Biometrics 48:577), and no less than
Kish's effective number of clusters, which it is where nothing varied: how alike the prompts of a cluster are is then
not known.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# So many different values are kept as they are; more are put on a grid of so many points over the bounds.
MOST_POINTS = 65
# Values closer than this are one value: sums of draws differ by rounding only.
DIGITS = 12
# Newton's method, halving where it would leave the bracket, ends when lambda moves less than this share of its range.
STEP, MOST_STEPS = 1e-14, 100


@dataclass(frozen=True, eq=False)
class Support:
    """The values of prompts and how often each was seen, between bounds.

    ``values`` (points) ascend; the first and the last are the bounds. ``weights`` (..., points) are shares of the
    prompts; 0 for a bound that was not seen. ``trials`` is how many independent prompts they are worth. Of what a
    tested mean demands beyond what was seen, ``seed_share`` is the seeds' (1 / seeds; 0 with one seed) and
    ``earlier_seed_share`` that of an earlier run's seeds; the rest is the prompts'.
    """

    values: FloatArray
    weights: FloatArray
    trials: ArrayLike
    seed_share: float = 0.0
    earlier_seed_share: float = 0.0

    def variance_at(self, mean: float) -> FloatArray:
        """Return the variance of a prompt's value were the mean ``mean``; 0 at a bound and beyond."""
        low, high = self.values[0], self.values[-1]
        if not low < mean < high:
            return np.zeros(self.weights.shape[:-1])
        away = self.values - mean
        share = self._restricted(away)
        left = share @ away
        # What the constraint still lacks lies on the bound on the other side.
        of_bound = np.where(left > 0, left * -away[0], -left * away[-1])
        return np.asarray(share @ away**2 + of_bound)

    def _restricted(self, away: FloatArray) -> FloatArray:
        """Return the shares p_i, without the mass on a bound that was not seen; ``away`` is u_i - m."""
        low, high = -1 / away[-1], -1 / away[0]
        weights = self.weights.reshape(-1, len(away))
        at_low = (weights[:, -1] == 0) & ((weights[:, :-1] * away[:-1] / (1 + low * away[:-1])).sum(axis=1) <= 0)
        at_high = (weights[:, 0] == 0) & ((weights[:, 1:] * away[1:] / (1 + high * away[1:])).sum(axis=1) >= 0)
        shares = np.zeros(weights.shape)
        # At an end the denominator of the bound itself is 0, and so is its weight.
        shares[at_low, :-1] = weights[at_low, :-1] / (1 + low * away[:-1])
        shares[at_high, 1:] = weights[at_high, 1:] / (1 + high * away[1:])
        between = ~(at_low | at_high)
        if between.any():
            shares[between] = weights[between] / (1 + _multipliers(weights[between], away)[:, None] * away)
        return shares.reshape(self.weights.shape)

    def pairs(self) -> tuple[tuple[float, float], ...]:
        """Return (value, share) of one data set, as a contrast keeps them."""
        return tuple(zip(self.values.tolist(), self.weights.tolist(), strict=True))

    def shifted(self, by: float) -> Support:
        """Return the support with ``by`` added to every value."""
        return dataclasses.replace(self, values=self.values + by)

    def mirrored(self) -> Support:
        """Return the support of the values with the other sign."""
        return dataclasses.replace(self, values=-self.values[::-1], weights=self.weights[..., ::-1])


def _multipliers(weights: FloatArray, away: FloatArray) -> FloatArray:
    """Return (rows): the lambda between its two ends that meets the constraint, by Newton's method in a bracket."""
    low, high = -1 / away[-1], -1 / away[0]
    floor, top, multiplier = np.full(len(weights), low), np.full(len(weights), high), np.zeros(len(weights))
    of_low, of_high = weights[:, -1] > 0, weights[:, 0] > 0
    for _ in range(MOST_STEPS):
        denominator = 1 + multiplier[:, None] * away
        term = weights * away / denominator
        lacking, slope = term.sum(axis=1), (term * away / denominator).sum(axis=1)
        floor, top = np.where(lacking >= 0, multiplier, floor), np.where(lacking <= 0, multiplier, top)
        # Newton's step for the constraint times the distances from its poles, which is nearly straight.
        bend = slope - lacking * (of_low / (multiplier - low) - of_high / (high - multiplier))
        tried = multiplier + np.divide(lacking, bend, out=np.full_like(bend, np.inf), where=bend > 0)
        good = (tried >= floor) & (tried <= top) & (tried > low) & (tried < high)
        following = np.where(good, tried, (floor + top) / 2)
        following = np.where(lacking == 0, multiplier, following)
        moved = float(np.abs(following - multiplier).max())
        multiplier = following
        if moved <= STEP * (high - low):
            break
    return multiplier


def difference_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the bounds of the difference of two values that have these bounds."""
    return bounds[0] - bounds[1], bounds[1] - bounds[0]


def zero_or_one(values: FloatArray) -> bool:
    """Return whether all values are 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def support_of(prompts: FloatArray, bounds: tuple[float, float], trials: ArrayLike, seed_share: float = 0.0) -> Support:
    """Return the support of values (..., prompts) that are worth so many independent ``trials``.

    More than MOST_POINTS different values are put on a grid, each value's weight split between its two neighbours, so
    that the mean stays and the variance grows a little. Raises ValueError for a value beyond the bounds.
    """
    low, high = bounds
    rounded = np.round(prompts, DIGITS)
    if float(rounded.min()) < low or float(rounded.max()) > high:
        raise ValueError(f"a value lies beyond the bounds [{low:g}, {high:g}]: {rounded.min():g} to {rounded.max():g}")
    points = np.unique(np.concatenate([rounded.ravel(), [low, high]]))
    if len(points) > MOST_POINTS:
        points = np.linspace(low, high, MOST_POINTS)
    below = np.clip(np.searchsorted(points, rounded, side="right") - 1, 0, len(points) - 2)
    part = (rounded - points[below]) / (points[below + 1] - points[below])
    share = np.full(prompts.shape, 1 / prompts.shape[-1])
    rows = np.arange(prompts[..., 0].size)[:, None] * len(points)
    flat = (below.reshape(-1, prompts.shape[-1]) + rows).ravel()
    count = prompts[..., 0].size * len(points)
    weights = np.bincount(flat, (share * (1 - part)).ravel(), count)
    weights = weights + np.bincount(flat + 1, (share * part).ravel(), count + 1)[:count]
    table: FloatArray = weights.astype(float).reshape(*prompts.shape[:-1], len(points))
    kept = np.asarray((table > 0).reshape(-1, len(points)).any(axis=0))
    kept[[0, -1]] = True
    return Support(points[kept], table[..., kept], trials, seed_share)
