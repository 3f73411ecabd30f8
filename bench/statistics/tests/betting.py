"""A test of a bounded mean that holds its level for any skewness and at any number of prompts: betting.

For independent values x_1..x_n in [lo, hi] and the hypothesis "their mean is at most m", whoever bets the share c of a
fortune on "above" at each value has in the end

    W(c) = product of (1 + c (x_i - m) / (m - lo)),     0 < c < 1

which is never negative and has a mean of at most 1 under the hypothesis: each factor's mean is 1 + c d_i with
sum of d_i <= 0, and so is the product of these means by that of arithmetic and geometric mean, also where the values
have different laws. So has any average E over bets that is fixed beforehand, and by Markov's inequality 1 / E is a
p-value (Waudby-Smith and Ramdas 2024, J. R. Stat. Soc. B 86:1, arXiv 2010.09686, the capital process; averages of
constant bets: Cover 1991, Math. Finance 1:1; Orabona and Jun 2021, arXiv 2110.14099). Here c is spread as
Beta(1/2, 1/2) (Cover and Ordentlich 1996, IEEE Trans. Inf. Theory 42:348), at BETS points of equal weight: the level
holds for any points. Every bet is constant, so the order of the prompts plays no part. E falls with m, so bounds are
found by a search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.roots import root
from bench.statistics.tests.support import DIGITS, Support, support_of

# The name of the test in a contrast.
BETTING = "betting on a bounded mean"
BETS = 128
# Quantiles of Beta(1/2, 1/2): the arcsine law.
SHARES = np.sin((np.arange(BETS) + 0.5) * np.pi / (2 * BETS)) ** 2


@dataclass(frozen=True)
class BettingLaw(Confidence):
    """What betting says about a mean, in the place of a confidence law; for one data set, of one seed.

    p-values and intervals come from ``support`` (values, shares, bounds; ``trials`` independent units). The variances
    are those seen, from which the test takes nothing; powers and standard errors are worked out with them.
    """

    def below(self, value: float) -> FloatArray:
        """Return the one-sided p of "mean > value"."""
        return np.asarray(min(1.0, float(np.exp(-self._log_evidence(value)))))

    def above(self, value: float) -> FloatArray:
        """Return the one-sided p of "mean < value"."""
        return np.asarray(min(1.0, float(np.exp(-self.mirrored()._log_evidence(-value)))))

    def p_value(self, null: float) -> FloatArray:
        """Return the two-sided p-value of "the true mean is ``null``": twice the smaller one-sided one."""
        return np.minimum(1.0, 2 * np.minimum(self.below(null), self.above(null)))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the values that neither one-sided test rejects at (1 - level) / 2; within the bounds."""
        wanted = -float(np.log((1 - level) / 2))
        turned = self.mirrored()
        return self._lowest(wanted), -turned._lowest(wanted)

    def half_width(self, level: float) -> float:
        """Return half the width of the interval."""
        low, high = self.interval(level)
        return (high - low) / 2

    def mirrored(self) -> BettingLaw:
        """Return the law of the mean with the other sign."""
        turned = super().mirrored()
        assert isinstance(turned, BettingLaw)  # dataclasses.replace keeps the class
        return turned

    def _known(self) -> Support:
        if self.support is None:
            raise ValueError("a betting law needs a support")
        return self.support

    def _log_evidence(self, value: float) -> float:
        """Return log E against "the mean is at most ``value``"; at the lower bound any gain is proof (infinite)."""
        support = self._known()
        low, high = float(support.values[0]), float(support.values[-1])
        weights = np.asarray(support.weights, dtype=float)
        if value >= high:
            return -np.inf
        if value <= low:
            return np.inf if value < low or float(weights[support.values > low].sum()) > 0 else 0.0
        gains = (support.values - value) / (value - low)
        fortunes = np.log1p(np.outer(SHARES, gains)) @ weights * float(np.asarray(support.trials))
        return float(special.logsumexp(fortunes)) - float(np.log(BETS))

    def _lowest(self, wanted: float) -> float:
        """Return the value below which the evidence exceeds ``wanted``; the bound where there is none."""
        low = float(self._known().values[0])
        mean = float(np.asarray(self.estimate))
        # At the mean the evidence is at most that of no bet.
        close = low + (mean - low) * 1e-9
        if mean <= low or self._log_evidence(close) <= wanted:
            return low
        return root(lambda value: self._log_evidence(value) - wanted, close, mean)


def betting_law(
    seen: Confidence, values: FloatArray, clusters: IntArray | None, bounds: tuple[float, float]
) -> BettingLaw:
    """Return the law by betting of values (prompts) with these bounds; ``seen`` is the law by their variance.

    Prompts of a cluster are one unit: its sum times clusters / prompts, so that the units' mean is that of the prompts;
    the bounds are those of the largest cluster. Raises ValueError for a value beyond the bounds.
    """
    low, high = bounds
    units, largest = values, 1.0
    if clusters is not None:
        sizes = np.bincount(clusters)
        scale = len(sizes) / len(values)
        units, largest = cluster_sums(values, clusters) * scale, float(sizes.max()) * scale
    within = round(min(low, low * largest), DIGITS), round(max(high, high * largest), DIGITS)
    return BettingLaw(
        estimate=seen.estimate,
        prompt_variance=seen.prompt_variance,
        prompt_df=seen.prompt_df,
        support=support_of(units, within, len(units)),
    )
