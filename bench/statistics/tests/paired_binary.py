"""Two methods that are right or wrong on the same prompts: Tango's interval, and McNemar's test for clusters.

With b the prompts that only the first has right and c those that only the second has, of n, the difference of the two
rates is (b - c)/n. What both have right, or wrong, says nothing about their difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.roots import root


@dataclass(frozen=True)
class Discordant:
    """Counts of a paired table: ``first`` only the first right, ``second`` only the second, of ``n``."""

    first: int
    second: int
    n: int

    @property
    def difference(self) -> float:
        """The first rate minus the second."""
        return (self.first - self.second) / self.n


def discordant(a: FloatArray, b: FloatArray) -> Discordant:
    """Return the counts of two paired 0/1 samples."""
    return Discordant(int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum()), len(a))


def tango_score(counts: Discordant, difference: float) -> float:
    """Return the score statistic of "the rates differ by ``difference``", normal under that null.

    T = (b - c - n d) / sqrt(n (2 q + d (1 - d))), with q the maximum-likelihood rate of "only the second is right"
    under the null: the larger root of 2n q^2 + B q + C, B = -b - c + (2n - b + c) d, C = -c d (1 - d) (Tango 1998,
    Stat. Med. 17:891).
    """
    b, c, n, d = counts.first, counts.second, counts.n, difference
    linear, constant = -b - c + (2 * n - b + c) * d, -c * d * (1 - d)
    rate = (np.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * rate + d * (1 - d))
    above = b - c - n * d
    if variance <= 0:
        return 0.0 if above == 0 else float(np.copysign(np.inf, above))
    return float(above / np.sqrt(variance))


def tango_interval(counts: Discordant, level: float) -> tuple[float, float]:
    """Return Tango's score interval of the difference of two paired rates, within [-1, 1].

    It has a width where no prompt is discordant, which a t interval has not. Prompts must be independent.
    """
    z = float(special.ndtri((1 + level) / 2))
    centre = counts.difference

    def end(direction: float) -> float:
        def beyond(difference: float) -> float:
            return direction * tango_score(counts, difference) + z

        if beyond(direction) > 0:
            return direction
        return root(beyond, centre, direction, tolerance=1e-12)

    return end(-1.0), end(1.0)


def clustered_mcnemar(a: FloatArray, b: FloatArray, clusters: IntArray) -> float:
    """Return the p-value of equal rates of two paired 0/1 samples whose prompts come in K clusters.

    With e_k the sum of a - b over cluster k of n_k prompts and d the overall difference,
    (K - 1)/K (sum e_k)^2 / (sum of ((e_k - n_k d)^2 + e_k^2) / 2) is chi-square with one degree of freedom (Yang, Sun
    and Hardin 2010, Stat. Med. 29: Obuchowski's test with the mean of the variances with and without the null). With
    few clusters use the sign-flip test of the same sums.
    """
    sums, sizes = cluster_sums(a - b, clusters), np.bincount(clusters)
    apart = float((a - b).mean())
    spread = float(((sums - sizes * apart) ** 2 + sums**2).sum()) / 2
    shrunk = (len(sums) - 1) / len(sums)
    return 1.0 if spread == 0 else float(special.chdtrc(1, shrunk * float(sums.sum()) ** 2 / spread))
