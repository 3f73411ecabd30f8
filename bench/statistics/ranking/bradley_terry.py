"""Bradley-Terry strengths from battles, with errors over prompts, and intervals on ranks.

P(a beats b) = sigma(theta_a - theta_b); a tie is half a win for each side (Bradley and Terry 1952, Biometrika 39:324).
Battles over one prompt are not independent, nor are copies of one battle: the errors are those of the sandwich with
scores summed by cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.sparse import csgraph

from bench.core.errors import DataError, did_you_mean
from bench.statistics.ranking.separated import Across
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_codes

# Arena-Hard's scale: 400 points are odds of ten to one, the anchor stands at 1,000.
ELO_CENTRE, ELO_SCALE = 1000.0, 400 / np.log(10)
RIDGE = 1e-3
STEPS = 100
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Strengths:
    """Bradley-Terry strengths. ``theta`` (methods) is 0 for the anchor; ``covariance`` by sandwich.

    ``influence`` (clusters, methods) is what each cluster, in order of its label, adds to ``theta``: it sums to 0, and
    its squares to the covariance. ``tie_strength`` is Davidson's nu (``davidson``), None where ties are half wins.
    ``groups`` are sets of methods within which everyone can be compared with everyone (strong components of "has
    scored against"). With more than one group the maximum likelihood is not finite: a small ridge was added, and
    differences between groups say little.
    """

    names: tuple[str, ...]
    anchor: str
    theta: FloatArray
    influence: FloatArray
    groups: tuple[tuple[str, ...], ...]
    battles: int
    tie_strength: float | None = None

    @property
    def covariance(self) -> FloatArray:
        """The sandwich covariance of ``theta`` (methods, methods)."""
        return np.asarray(self.influence.T @ self.influence)

    @property
    def clusters(self) -> int:
        """How many independent units there were."""
        return len(self.influence)

    @property
    def connected(self) -> bool:
        """Whether the maximum-likelihood strengths exist."""
        return len(self.groups) == 1

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of ``theta``; 0 for the anchor."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def elo(self) -> FloatArray:
        """Strengths on Arena-Hard's scale, the anchor at 1,000."""
        return ELO_CENTRE + ELO_SCALE * self.theta

    @property
    def win_probability(self) -> FloatArray:
        """Expected score against the anchor, a tie one half: without a tie parameter the probability of a win."""
        if self.tie_strength is None:
            return np.asarray(special.expit(self.theta))
        half = np.exp(self.theta / 2)
        return np.asarray((half + self.tie_strength / 2) / (half + 1 / half + self.tie_strength))


def bradley_terry(
    first: Sequence[str],
    second: Sequence[str],
    outcome: ArrayLike,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    anchor: str | None = None,
) -> Strengths:
    """Return the strengths behind battles; ``outcome`` (battles) is 1 when ``first`` won, 0 when it lost, 0.5 a tie.

    ``clusters`` (battles) are labels, such as the prompt; by default every battle stands alone. ``weights`` (battles)
    count a decisive win more than once (Arena-Hard: 3) without making it several observations. ``anchor`` defaults to
    the alphabetically first name. Raises DataError for outcomes outside [0, 1], a method against itself, an unknown
    anchor and fewer than two clusters.
    """
    y = np.asarray(outcome, dtype=float)
    share = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    names = sorted({*first, *second})
    check_battles(first, second, y, share)
    anchored = anchor_among(names, anchor)
    a, b = (np.searchsorted(names, list(side)) for side in (first, second))
    wins = np.zeros((len(names), len(names)))
    np.add.at(wins, (a, b), share * y)
    np.add.at(wins, (b, a), share * (1 - y))
    groups = strong_components(wins)
    theta, hessian = _fit(wins, anchored, 0.0 if len(groups) == 1 else RIDGE)
    residual = share * (y - special.expit(theta[a] - theta[b]))
    scores = battle_scores(residual, (a, b), cluster_codes(clusters, len(y)), len(names))
    free = np.arange(len(names)) != anchored
    influence = np.zeros_like(scores)
    influence[:, free] = scores[:, free] @ np.linalg.inv(hessian[np.ix_(free, free)])
    return Strengths(tuple(names), names[anchored], theta, influence, named(groups, names), len(y))


def anchor_among(names: Sequence[str], anchor: str | None) -> int:
    """Return the anchor's place, the first one for None; raises DataError for a name that is not there."""
    if anchor is None:
        return 0
    if anchor not in names:
        raise DataError(f"no battle has the anchor {anchor!r}. {did_you_mean(anchor, names)}")
    return list(names).index(anchor)


def battle_scores(residual: FloatArray, sides: tuple[IntArray, IntArray], codes: IntArray, count: int) -> FloatArray:
    """Return the score (clusters, methods): residuals added for the first side and taken from the second.

    Raises DataError for fewer than two clusters.
    """
    units = int(codes.max()) + 1
    if units < 2:
        raise DataError("all battles are in one cluster: no error can be estimated")
    scores = np.zeros((units, count))
    np.add.at(scores, (codes, sides[0]), residual)
    np.add.at(scores, (codes, sides[1]), -residual)
    return scores


def named(groups: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return groups of places as groups of names."""
    return tuple(tuple(names[number] for number in group) for group in groups)


def rank_intervals(
    estimates: ArrayLike,
    covariance: ArrayLike,
    level: float = 0.95,
    across: Across | None = None,
    draws: int = 20_000,
    seed: int = 0,
) -> list[tuple[int, int]]:
    """Return for each method the ranks it may hold, all at once with probability ``level``; rank 1 is the best.

    Rank j may be as good as 1 + the number of methods surely better than j, and as bad as K - the number surely
    worse; "surely" by simultaneous intervals for all pairwise differences, whose critical value is the quantile of the
    largest studentised difference under the estimates' normal law (Mogstad, Romano, Shaikh and Wilhelm 2024, Rev.
    Econ. Stud. 91:476). ``draws`` and ``seed`` are those of that quantile. Methods whose strengths cannot be compared
    are told apart by ``across``, at the level of all ordered pairs together.
    """
    centre, spread = np.asarray(estimates, dtype=float), np.asarray(covariance, dtype=float)
    count = len(centre)
    upper = np.triu_indices(count, 1)
    variances = np.diag(spread)
    errors = np.sqrt(np.maximum(variances[upper[0]] + variances[upper[1]] - 2 * spread[upper], 0))
    varies = errors > 0
    if across is not None:
        varies &= across.comparable[upper]
    values, vectors = np.linalg.eigh(spread)
    noise = _normal(draws, count, seed) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    largest = np.zeros(draws)
    for i, j, error in zip(upper[0][varies], upper[1][varies], errors[varies], strict=True):
        np.maximum(largest, np.abs(noise[:, i] - noise[:, j]) / error, out=largest)
    critical = float(np.quantile(largest, level))
    better, worse = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
    for i, j, error, compared in zip(*upper, errors, varies, strict=True):
        gap = centre[i] - centre[j]
        if compared and abs(gap) > critical * error:
            winner, loser = (i, j) if gap > 0 else (j, i)
            worse[winner] += 1
            better[loser] += 1
    if across is not None:
        sure = across.p * count * (count - 1) < 1 - level
        worse, better = worse + sure.sum(axis=1), better + sure.sum(axis=0)
    return [(1 + int(above), count - int(below)) for above, below in zip(better, worse, strict=True)]


def check_battles(first: Sequence[str], second: Sequence[str], outcome: FloatArray, weights: FloatArray) -> None:
    """Raise DataError for battles that no strength can be estimated from."""
    if not len(first) == len(second) == len(outcome) == len(weights) or len(outcome) == 0:
        raise DataError(f"battles need two names and an outcome each; got {len(first)}, {len(second)}, {len(outcome)}")
    if not (np.all(outcome >= 0) and np.all(outcome <= 1)):
        raise DataError("an outcome is not a number from 0 (second won) to 1 (first won)")
    if not (np.all(weights > 0) and np.isfinite(weights).all()):
        raise DataError("weights of battles must be positive")
    itself = next((name for name, other in zip(first, second, strict=True) if name == other), None)
    if itself is not None:
        raise DataError(f"{itself!r} battles itself: no strength can be told from that")


def strong_components(wins: FloatArray) -> list[list[int]]:
    """Return the sets of methods within which everyone can be compared with everyone; ``wins[a, b]``: a scored on b."""
    count, labels = csgraph.connected_components((wins > 0).astype(float), directed=True, connection="strong")
    return sorted(np.flatnonzero(labels == label).tolist() for label in range(int(count)))


def _fit(wins: FloatArray, anchor: int, ridge: float) -> tuple[FloatArray, FloatArray]:
    """Return the strengths (the anchor 0) and the Hessian of the negative log-likelihood, by damped Newton."""
    count = len(wins)
    games = wins + wins.T
    theta = np.zeros(count)
    free = np.arange(count) != anchor

    def loss(at: FloatArray) -> float:
        gap = at[:, None] - at[None, :]
        return float((wins * np.logaddexp(0.0, -gap)).sum() + ridge / 2 * at @ at)

    hessian = np.zeros((count, count))
    for _ in range(STEPS):
        chance = special.expit(theta[:, None] - theta[None, :])
        gradient = (games * chance - wins).sum(axis=1) + ridge * theta
        curvature = games * chance * (1 - chance)
        hessian = np.diag(curvature.sum(axis=1) + ridge) - curvature
        step = np.zeros(count)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        size, value = 1.0, loss(theta)
        while loss(theta - size * step) > value and size > TOLERANCE:
            size /= 2
        theta = theta - size * step
        if float(np.abs(step).max()) < TOLERANCE**0.5:
            break
    return theta, hessian


@lru_cache(maxsize=4)
def _normal(draws: int, count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng([seed, count]).standard_normal((draws, count))
