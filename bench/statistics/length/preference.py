"""Whether a judge likes length: how often the longer response wins, and how steeply preference rises with length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.results.conclusions.judge_audit import LengthStatus, Measure
from bench.statistics.crossing.verdicts import Verdicts
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.logistic import fit_logistic
from bench.statistics.tests.proportions import mean, share
from bench.statistics.tests.random_effects import codes_of

NOTHING = Measure(n=0)
FEWEST_CLUSTERS = 3


@dataclass(frozen=True)
class LengthPreference:
    """The mean preference for the longer response, the slope, and why there is no slope where there is none."""

    longer_wins: Measure
    status: LengthStatus
    slope: Measure


def length_preference(judged: Verdicts, own: FloatArray, other: FloatArray, level: float) -> LengthPreference:
    """Return how the preferences depend on the lengths of a's and b's responses (entries), in characters.

    A length that is not known is NaN, and that entry is left out, as are entries without a preference. ``longer_wins``
    leaves out pairs of equal length. The slope is that of AlpacaEval's length feature (Dubois et al. 2024,
    arXiv:2404.04475), turned so that it is positive where length is liked, beside one intercept per pair of arms::

        P(a wins) = sigma( bias of the pair + slope * tanh((length of a - length of b) / s) )

    with s the standard deviation of the differences. Its error is that of the coefficient's influence function.
    """
    preference = judged.preference
    usable = np.isfinite(preference) & np.isfinite(own) & np.isfinite(other)
    if not usable.any():
        return LengthPreference(NOTHING, "no lengths", NOTHING)
    judged, preference, gap = judged.where(usable), preference[usable], (own - other)[usable]
    clusters = judged.design.clusters
    longer = np.where(gap > 0, preference, 1 - preference)
    wins = share(judged.total(np.where(gap != 0, longer, 0.0)), judged.total(gap != 0), clusters, level)
    spread = float(gap.std(ddof=1)) if len(gap) > 1 else 0.0
    if spread == 0 or len(np.unique(clusters[judged.prompt])) < FEWEST_CLUSTERS:
        return LengthPreference(wins, "no variation", NOTHING)
    slope = _slope(judged, preference, np.tanh(gap / spread), level)
    return LengthPreference(wins, "separated" if slope is None else "ok", slope or NOTHING)


def _slope(judged: Verdicts, preference: FloatArray, feature: FloatArray, level: float) -> Measure | None:
    """Return the slope with its interval; None where no finite slope is the likeliest."""
    pairs = np.unique(judged.pair, return_inverse=True)[1]
    features = np.column_stack([feature, np.eye(int(pairs.max()) + 1)[pairs]])
    fit = fit_logistic(features, preference)
    if fit.penalised:
        return None
    direction = np.zeros(features.shape[1])
    direction[0] = 1.0
    scores = (features @ fit.inverse_hessian_times(direction)) * (
        preference - special.expit(features @ fit.coefficients)
    )
    design, there = judged.design, judged.total(np.ones(len(preference)))
    kept = there.sum(axis=1) > 0
    pseudo = float(fit.coefficients[0]) + kept.sum() * design.shape[1] * judged.total(scores)[kept]
    return mean(pseudo, codes_of(design.clusters[kept]), level, len(preference))
