"""The confidence distribution of a mean that varies over prompts and over training seeds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bench.statistics.tests.roots import root
from bench.statistics.tests.support import Support

FloatArray = NDArray[np.float64]

# The chi-square law of the seeds' mean square is cut where less than this probability lies outside, on a grid of its
# logarithm with this many points: the p-values are then exact to 1e-6 (relative) down to 1e-9, measured against t.
OUTSIDE = 1e-12
POINTS = 128
# For each of two laws; measured against POINTS for each: p-values agree to 1e-4 (relative) down to 1e-6.
POINTS_OF_TWO = 64
# A search for degrees of freedom stops here; beyond, t and normal agree to six digits.
MANY_DEGREES = 1e6
# A variance of seeds below this is the dust of rounding: all runs have the same mean.
DUST = 1e-24


@dataclass(frozen=True)
class Confidence:
    """What the data say about a mean: ``below(x)`` is the confidence that the true mean lies below x.

    The estimate's variance is ``seed_variance + prompt_variance``. ``seed_variance`` is the seeds' mean square divided
    by the number of cells: it rests on ``seed_df`` degrees of freedom (seeds - 1, a whole number unless the variance
    was estimated with others') and is 0 when there is one seed. ``seed_floor`` is what is known of it from elsewhere:
    it is not less than the residual's part, which rests on many cells. ``prompt_variance`` rests on ``prompt_df``.
    Numbers or arrays of one shape (many data sets at once); the two degrees of freedom are shared.
    Without any variance the law is a point: p is 1 at the estimate and 0 elsewhere.

    With seeds, the law is the generalised (fiducial) pivotal one: the mean square of the seeds is replaced by
    ``seed_variance * seed_df / c`` with c chi-square (Weerahandi 1993, J. Am. Stat. Assoc. 88:899; Burdick, Borror and
    Montgomery 2005, ch. 2). It is a scale mixture of t laws; with one seed it is t itself. Satterthwaite's
    approximation of the same law is too sure with few seeds (docs/statistics.md has the measured rates).

    ``earlier_seed_variance`` and ``earlier_seed_df`` are the same for a second, independent set of seeds, where the
    mean is a difference between two sets: two chi-square variables then, as in the Behrens-Fisher problem
    (docs/gate.md).

    With a ``support`` (values with bounds) the variance depends on the value that is tested: what the value demands
    beyond what was seen (``bench.statistics.tests.support``) is added. The seeds' parts take their shares of it, as if
    flips were independent from seed to seed, and the prompts' part the rest. ``variance``, ``half_width`` and
    ``effective_df`` are those of the variance seen; tests and ``interval`` are at the value.
    """

    estimate: ArrayLike
    prompt_variance: ArrayLike
    prompt_df: float
    seed_variance: ArrayLike = 0.0
    seed_df: float = 0
    earlier_seed_variance: ArrayLike = 0.0
    earlier_seed_df: float = 0
    support: Support | None = None
    seed_floor: ArrayLike = 0.0

    @property
    def variance(self) -> FloatArray:
        """The variance of the estimate, as seen."""
        here = np.maximum(np.asarray(self.seed_variance, dtype=float), self.seed_floor)
        of_seeds = here + np.asarray(self.earlier_seed_variance, dtype=float)
        return np.asarray(self.prompt_variance, dtype=float) + of_seeds

    @property
    def standard_error(self) -> FloatArray:
        """The standard error of the estimate, as seen."""
        return np.sqrt(self.variance)

    def below(self, value: float) -> FloatArray:
        """Return the confidence that the true mean is below ``value``: the one-sided p of "mean > value"."""
        return self.at(value)._tail(np.asarray(self.estimate, dtype=float) - value)

    def above(self, value: float) -> FloatArray:
        """Return the confidence that the true mean is above ``value``: the one-sided p of "mean < value"."""
        return self.at(value)._tail(value - np.asarray(self.estimate, dtype=float))

    def p_value(self, null: float) -> FloatArray:
        """Return the two-sided p-value of "the true mean is ``null``"."""
        return np.minimum(1.0, 2 * self.at(null)._tail(np.abs(np.asarray(self.estimate, dtype=float) - null)))

    def half_width(self, level: float) -> float:
        """Return half the width of the central interval at ``level`` with the variance seen; for one data set."""
        tail, top = (1 - level) / 2, float(self.standard_error)
        if top == 0:
            return 0.0
        scales, weights = self._mixture()
        while self._beyond(np.asarray(top), scales, weights) > tail:
            top *= 2

        def excess(width: float) -> float:
            return float(self._beyond(np.asarray(width), scales, weights)) - tail

        return root(excess, 0.0, top, tolerance=1e-14)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval at ``level``: the values that neither one-sided test rejects; for one data set.

        With a support it is not symmetric, and lies within the bounds.
        """
        if self.support is not None:
            tail, ends = (1 - level) / 2, self.support.values
            return self._end(float(ends[0]), tail), self._end(float(ends[-1]), tail)
        width, centre = self.half_width(level), float(np.asarray(self.estimate))
        return centre - width, centre + width

    def error_of_width(self, level: float) -> float:
        """Return the standard error whose t interval is as wide as ``interval(level)``, where no variance was seen."""
        low, high = self.interval(level)
        return (high - low) / 2 / float(special.stdtrit(self.prompt_df, (1 + level) / 2))

    def effective_df(self, level: float) -> float:
        """Return the degrees of freedom at which t * standard error is ``half_width(level)``."""
        if not (np.any(self.seed_variance) or np.any(self.earlier_seed_variance)):
            return self.prompt_df
        wanted = self.half_width(level) / float(self.standard_error)
        if wanted <= float(special.stdtrit(MANY_DEGREES, (1 + level) / 2)):
            return MANY_DEGREES

        def excess(log_df: float) -> float:
            return float(np.log(special.stdtrit(np.exp(log_df), (1 + level) / 2) / wanted))

        return float(np.exp(root(excess, np.log(0.2), np.log(MANY_DEGREES))))

    def at(self, value: float) -> Confidence:
        """Return the law with the variance at a tested value; itself without a support."""
        if self.support is None:
            return self
        prompt, seeds = np.asarray(self.prompt_variance, dtype=float), np.asarray(self.seed_variance, dtype=float)
        earlier = np.asarray(self.earlier_seed_variance, dtype=float)
        at_value = self.support.variance_at(value) / np.asarray(self.support.trials, dtype=float)
        demanded = np.maximum(at_value - self.variance, 0)
        here, there = self.support.seed_share, self.support.earlier_seed_share
        return dataclasses.replace(
            self,
            prompt_variance=prompt + demanded * (1 - here - there),
            seed_variance=seeds + demanded * here,
            earlier_seed_variance=earlier + demanded * there,
            support=None,
        )

    def minus(self, value: float) -> Confidence:
        """Return the law of the mean less a number."""
        moved = None if self.support is None else self.support.shifted(-value)
        return dataclasses.replace(self, estimate=np.asarray(self.estimate, dtype=float) - value, support=moved)

    def mirrored(self) -> Confidence:
        """Return the law of the mean with the other sign."""
        turned = None if self.support is None else self.support.mirrored()
        return dataclasses.replace(self, estimate=-np.asarray(self.estimate, dtype=float), support=turned)

    def _end(self, bound: float, tail: float) -> float:
        """Return the value between a bound and the estimate beyond which the one-sided p is below ``tail``."""
        centre = float(np.asarray(self.estimate))

        def beyond(value: float) -> float:
            return float(self.at(value)._tail(np.asarray(abs(centre - value)))) - tail

        return bound if beyond(bound) >= 0 else root(beyond, bound, centre)

    def _tail(self, distance: FloatArray) -> FloatArray:
        """Return the confidence beyond a distance from the estimate, on one side."""
        return self._beyond(distance, *self._mixture())

    def _beyond(self, distance: FloatArray, scales: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the confidence beyond a distance by a mixture that a search for a distance makes once."""
        tails = _lower_tail(self.prompt_df, -_ratio(distance[..., None], scales))
        return np.asarray(tails @ weights)

    def _mixture(self) -> tuple[FloatArray, FloatArray]:
        """Return the scales of the t laws that the law mixes, (data sets..., laws), and their weights (laws)."""
        square, weights = np.asarray(self.prompt_variance, dtype=float)[..., None], np.ones(1)
        sets = [
            (self.seed_variance, self.seed_df, self.seed_floor),
            (self.earlier_seed_variance, self.earlier_seed_df, 0.0),
        ]
        present = [one for one in sets if one[1] > 0 and (np.any(one[0]) or np.any(one[2]))]
        for seen, df, least in present:
            chi, here = _chi_square_grid(df, POINTS if len(present) == 1 else POINTS_OF_TWO)
            variance, floor = (np.asarray(one, dtype=float)[..., None, None] for one in (seen, least))
            of_seeds = np.maximum(variance * (df / chi), floor)
            square = (square[..., :, None] + of_seeds).reshape(*square.shape[:-1], -1)
            weights = np.outer(weights, here).ravel()
        return np.sqrt(square), weights


def satterthwaite_df(parts: tuple[tuple[float, float], ...]) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of mean squares.

    ``parts`` holds (term of the sum, its degrees of freedom); subtracted terms come with a minus sign
    (Satterthwaite 1946, Biometrics Bulletin 2:110). Infinite when every term is 0.
    """
    total = sum(term for term, _ in parts)
    spread = sum(term**2 / df for term, df in parts if df > 0)
    return total**2 / spread if spread > 0 else float("inf")


def _lower_tail(df: float, value: FloatArray) -> FloatArray:
    """Return Student's t probability below a value; the normal one, twenty times faster, for very many degrees."""
    return np.asarray(special.ndtr(value) if df >= MANY_DEGREES else special.stdtr(df, value))


def _ratio(distance: FloatArray, scale: FloatArray) -> FloatArray:
    """Return distance / scale, where a scale of 0 gives 0 for no distance and infinity for any."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / scale)


@lru_cache(maxsize=64)
def _chi_square_grid(df: float, points: int) -> tuple[FloatArray, FloatArray]:
    """Return points of a chi-square law and their weights (trapezoid rule in the logarithm).

    The law's ends and density are those of ``scipy.stats.chi2`` to the last digit, which takes half a second to load.
    """
    ends = np.log([2 * special.gammaincinv(df / 2, OUTSIDE), special.chdtri(df, OUTSIDE)])
    chi = np.exp(np.linspace(ends[0], ends[1], points))
    logarithm = special.xlogy(df / 2 - 1, chi) - chi / 2 - special.gammaln(df / 2) - np.log(2) * df / 2
    density = np.exp(logarithm) * chi
    return chi, density / density.sum()
