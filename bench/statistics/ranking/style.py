"""Strengths at equal style: Bradley-Terry with the answers' length and markup as further columns.

P(a beats b) = sigma(theta_a - theta_b + sum over features of w_f x_f), x_f = (f_a - f_b) / (f_a + f_b + 1), divided by
its standard deviation over battles: the style control of Chatbot Arena and Arena-Hard (Li, Angelopoulos and Chiang
2024, "Does style matter?"), with three differences. It is fitted without their penalty (scikit-learn's C = 1, which
draws strengths together), x_f is not centred (a constant would say that the first of two equal answers is better), and
errors are those of the sandwich with scores summed by cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.core.errors import DataError
from bench.statistics.ranking.bradley_terry import Strengths, anchor_among, check_battles, named, strong_components
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.logistic import fit_logistic
from bench.statistics.tests.random_effects import IntArray, cluster_codes


@dataclass(frozen=True)
class StyleControlled:
    """Strengths at equal style, and what style is worth: per standard deviation of a feature, with its error."""

    strengths: Strengths
    coefficients: Mapping[str, float]
    standard_errors: Mapping[str, float]
    penalised: bool


def style_differences(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Return (f_a - f_b) / (f_a + f_b + 1) of counts of two answers; raises DataError for negative counts."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if not (np.isfinite(a).all() and np.isfinite(b).all() and (a >= 0).all() and (b >= 0).all()):
        raise DataError("style features are counts: numbers from 0 on")
    return np.asarray((a - b) / (a + b + 1))


@dataclass(frozen=True)
class StyledBattles:
    """Battles as ``bradley_terry`` takes them, with ``features``: differences (battles) by name."""

    first: Sequence[str]
    second: Sequence[str]
    outcome: ArrayLike
    features: Mapping[str, FloatArray]
    clusters: ArrayLike | None = None
    weights: ArrayLike | None = None


def style_controlled(battles: StyledBattles, anchor: str | None = None) -> StyleControlled:
    """Return the strengths at equal style.

    A feature that is the same in all battles is left out, with the coefficient 0. ``penalised``: there was no finite
    maximum, a small ridge was added. Raises DataError as ``bradley_terry`` does.
    """
    y = np.asarray(battles.outcome, dtype=float)
    share = np.ones(len(y)) if battles.weights is None else np.asarray(battles.weights, dtype=float)
    names = sorted({*battles.first, *battles.second})
    check_battles(battles.first, battles.second, y, share)
    anchored = anchor_among(names, anchor)
    sides = np.searchsorted(names, list(battles.first)), np.searchsorted(names, list(battles.second))
    free = np.arange(len(names)) != anchored
    varying = {name: values / values.std() for name, values in battles.features.items() if float(values.std()) > 0}
    design = np.column_stack([_signs(sides, len(names))[:, free], *varying.values()])
    fit = fit_logistic(design, y, share)
    codes = cluster_codes(battles.clusters, len(y))
    if int(codes.max()) < 1:
        raise DataError("all battles are in one cluster: no error can be estimated")
    scores = np.zeros((int(codes.max()) + 1, design.shape[1]))
    residual = share * (y - special.expit(design @ fit.coefficients))
    np.add.at(scores, codes, residual[:, None] * design)
    influence = fit.inverse_hessian_times(scores.T).T
    methods = int(free.sum())
    theta, of_methods = np.zeros(len(names)), np.zeros((len(scores), len(names)))
    theta[free], of_methods[:, free] = fit.coefficients[:methods], influence[:, :methods]
    errors = np.sqrt((influence[:, methods:] ** 2).sum(axis=0))
    groups = strong_components(_wins(sides, share, y, len(names)))
    unseen = dict.fromkeys(battles.features, 0.0)
    return StyleControlled(
        strengths=Strengths(tuple(names), names[anchored], theta, of_methods, named(groups, names), len(y)),
        coefficients={**unseen, **_by_name(varying, fit.coefficients[methods:])},
        standard_errors={**unseen, **_by_name(varying, errors)},
        penalised=fit.penalised,
    )


def _signs(sides: tuple[IntArray, IntArray], count: int) -> FloatArray:
    """Return (battles, methods): 1 for the first side, -1 for the second."""
    found = np.zeros((len(sides[0]), count))
    found[np.arange(len(found)), sides[0]] = 1.0
    found[np.arange(len(found)), sides[1]] = -1.0
    return found


def _wins(sides: tuple[IntArray, IntArray], share: FloatArray, y: FloatArray, count: int) -> FloatArray:
    found = np.zeros((count, count))
    np.add.at(found, sides, share * y)
    np.add.at(found, sides[::-1], share * (1 - y))
    return found


def _by_name(names: Mapping[str, FloatArray], values: FloatArray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
