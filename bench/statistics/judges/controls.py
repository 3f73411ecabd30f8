"""How much of a win rate goes with the verdicts of a control judge.

With y the preference of the judge for a over b and c that of the control, both in [0, 1] and per prompt and seed (the
means over draws and orders), the least-squares line of y - 1/2 on c - 1/2 splits the excess of the win rate:

    y - 1/2 = r + beta (c - 1/2) + e
    mean(y) - 1/2 = beta (mean(c) - 1/2) + r
       excess     =      explained       + what remains

``r`` is what the line expects where the control prefers nobody; without ties, the win rate if the control preferred
each side equally often. A judge that is the control has r = 0: all is explained. One that knows nothing of the control
has beta = 0. The explained part is an association: where better answers are longer too, ``longer_wins`` explains what
the judge may have seen in the answers themselves. It is therefore the most that such a bias can account for by a
straight line, not what it did.

All three have intervals that cluster by prompt and cross with the seeds: a least-squares coefficient is the mean of its
pseudo-values, the coefficient plus N (X'X)^-1 x e of each of the N cells, and these go through the default test. The
share explained is a ratio of two such means with Fieller's interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.results.conclusions.judge_audit import ExplainedStatus, Measure
from bench.statistics.contrasts.gap_closed import fieller
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.proportions import ROUNDING, dense, mean, share
from bench.statistics.tests.random_effects import IntArray

NOTHING = Measure(n=0)
FEWEST_CLUSTERS = 3  # a line through two points has no residual


@dataclass(frozen=True)
class ControlSplit:
    """A win rate's excess, the part that is explained, and the one over the other; and the win rates by control."""

    status: ExplainedStatus
    excess: Measure
    explained: Measure
    share: Measure
    when_a: Measure
    when_tie: Measure
    when_b: Measure


def split(judge: FloatArray, control: FloatArray, clusters: IntArray, level: float) -> ControlSplit:
    """Return what the control explains of the judge's win rate; preferences (prompts, seeds), clusters (prompts)."""
    n = judge.size
    sides = [
        share(np.where(where, judge, 0.0), where.astype(float), clusters, level)
        for where in (control > 0.5, control == 0.5, control < 0.5)
    ]
    if n == 0 or len(np.unique(clusters)) < FEWEST_CLUSTERS:
        excess = Measure(n=n, estimate=float(judge.mean()) - 0.5) if n else NOTHING
        return ControlSplit("too few prompts", excess, NOTHING, NOTHING, *sides)
    y, c = judge - 0.5, control - 0.5
    excess = mean(y, clusters, level, n)
    if float(np.ptp(c)) <= ROUNDING:
        return ControlSplit("constant control", excess, NOTHING, NOTHING, *sides)
    remains = _remainder(y, c)
    explained = y - remains
    ratio = fieller(explained, y, dense(clusters), level)
    found = NOTHING
    if ratio is not None:
        found = Measure(n=n, estimate=ratio.share, low=ratio.low, high=ratio.high)
    return ControlSplit("ok", excess, mean(explained, clusters, level, n), found, *sides)


def _remainder(y: FloatArray, c: FloatArray) -> FloatArray:
    """Return the pseudo-values of r, of the shape of y."""
    features = np.column_stack([np.ones(y.size), c.ravel()])
    inverse = np.linalg.inv(features.T @ features)
    coefficients = inverse @ features.T @ y.ravel()
    residual = y.ravel() - features @ coefficients
    # Rounding only: a judge that is the control leaves nothing over.
    residual[np.abs(residual) <= ROUNDING] = 0.0
    intercept = float(coefficients[0]) if abs(float(coefficients[0])) > ROUNDING else 0.0
    pseudo = intercept + y.size * (features @ inverse[0]) * residual
    return np.asarray(pseudo.reshape(y.shape))
