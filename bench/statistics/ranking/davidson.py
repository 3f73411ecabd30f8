"""Davidson's model of battles with ties: Bradley-Terry strengths and one parameter for how common a tie is.

    P(a wins) = sqrt(pi_a/pi_b) / D    P(b wins) = sqrt(pi_b/pi_a) / D    P(tie) = nu / D
    D = sqrt(pi_a/pi_b) + sqrt(pi_b/pi_a) + nu,    theta = log pi

(Davidson 1970, J. Am. Stat. Assoc. 65:317.) As in Bradley and Terry's model theta_a - theta_b is the log of the odds of
a win against a loss; unlike with ties as half wins, more ties between two methods do not draw them together. It is a
multinomial logit in theta and log nu, so the likelihood is concave. Errors: sandwich, scores summed by cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.core.errors import DataError
from bench.statistics.ranking.bradley_terry import (
    RIDGE,
    STEPS,
    TOLERANCE,
    Strengths,
    anchor_among,
    battle_scores,
    check_battles,
    named,
    strong_components,
)
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import cluster_codes

TIE = 0.5


def davidson(
    first: Sequence[str],
    second: Sequence[str],
    outcome: ArrayLike,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    anchor: str | None = None,
) -> Strengths:
    """Return the strengths behind battles; ``outcome`` (battles) is 1 when ``first`` won, 0 when it lost, 0.5 a tie.

    Arguments are those of ``bradley_terry``. Raises DataError as that does, for other outcomes, where there is no tie
    or nothing but ties (nu would be 0 or infinite), and where strengths and nu grow without end together, which takes
    few battles without any upset.
    """
    y = np.asarray(outcome, dtype=float)
    share = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    names = sorted({*first, *second})
    check_battles(first, second, y, share)
    tied = y == TIE
    if not np.isin(y, (0.0, TIE, 1.0)).all() or tied.all() or not tied.any():
        raise DataError("Davidson's model needs wins (1), losses (0) and ties (0.5), some decided and some tied")
    anchored = anchor_among(names, anchor)
    a, b = (np.searchsorted(names, list(side)) for side in (first, second))
    wins, ties = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    np.add.at(wins, (a, b), share * (y == 1))
    np.add.at(wins, (b, a), share * (y == 0))
    np.add.at(ties, (a, b), share * tied / 2)
    np.add.at(ties, (b, a), share * tied / 2)
    groups = strong_components(wins + ties)
    free = np.append(np.arange(len(names)) != anchored, True)
    at, hessian = _fit(wins, ties, free, 0.0 if len(groups) == 1 else RIDGE)
    win, tie = _chances(at[a] - at[b], at[-1])
    loss = 1 - win - tie
    codes = cluster_codes(clusters, len(y))
    of_methods = battle_scores(share * ((y - 0.5) - (win - loss) / 2), (a, b), codes, len(names))
    of_ties = np.bincount(codes, weights=share * (tied - tie))
    scores = np.column_stack([of_methods, of_ties])
    influence = np.zeros_like(scores)
    influence[:, free] = scores[:, free] @ np.linalg.inv(hessian[np.ix_(free, free)])
    return Strengths(
        names=tuple(names),
        anchor=names[anchored],
        theta=at[:-1],
        influence=influence[:, :-1],
        groups=named(groups, names),
        battles=len(y),
        tie_strength=float(np.exp(at[-1])),
    )


def _chances(gap: FloatArray, log_nu: float) -> tuple[FloatArray, FloatArray]:
    """Return P(first wins) and P(tie) for differences of strength."""
    logits = np.stack([gap / 2, -gap / 2, np.full_like(gap, log_nu)])
    found = np.exp(logits - logits.max(axis=0))
    found /= found.sum(axis=0)
    return found[0], found[2]


def _fit(wins: FloatArray, ties: FloatArray, free: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    """Return (theta, log nu) and the Hessian of the negative log-likelihood, by damped Newton.

    ``ties`` is symmetric, half of the ties of a pair at each place; ``wins[a, b]`` counts the wins of a over b.
    """
    count = len(wins)
    games = wins + wins.T + 2 * ties
    penalty = np.append(np.full(count, ridge), 0.0)

    def loss(at: FloatArray) -> float:
        gap = at[:count, None] - at[None, :count]
        logits = np.stack([gap / 2, -gap / 2, np.full_like(gap, at[-1])])
        total = np.logaddexp.reduce(logits, axis=0)
        # Every pair stands twice among the ties, once among the wins of each side.
        terms = wins * (total - logits[0]) + ties * (total - logits[2])
        return float(terms.sum() + (penalty * at * at).sum() / 2)

    at, step = np.zeros(count + 1), np.ones(count + 1)
    hessian = np.zeros((count + 1, count + 1))
    for _ in range(STEPS):
        win, tie = _chances(at[:count, None] - at[None, :count], at[-1])
        lead = win - (1 - win - tie)
        # Half of the sum over ordered pairs, because games[a, b] and games[b, a] are the same games.
        gradient = np.append(
            ((games * lead - wins + wins.T) / 2).sum(axis=1), (games * tie).sum() / 2 - ties.sum()
        ) + penalty * at  # fmt: skip
        curvature = games * ((1 - tie) - lead**2) / 4
        across = -(games * lead * tie / 2).sum(axis=1)
        hessian[:count, :count] = np.diag(curvature.sum(axis=1)) - curvature
        hessian[-1, :count] = hessian[:count, -1] = across
        hessian[-1, -1] = (games * tie * (1 - tie)).sum() / 2
        hessian += np.diag(penalty)
        try:
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        except np.linalg.LinAlgError:
            break
        step[np.logical_not(free)] = 0.0
        size, value = 1.0, loss(at)
        while loss(at - size * step) > value and size > TOLERANCE:
            size /= 2
        at = at - size * step
        if float(np.abs(step).max()) < TOLERANCE**0.5:
            return at, hessian
    raise DataError("Davidson's likelihood has no maximum for these battles: count ties as half wins")
