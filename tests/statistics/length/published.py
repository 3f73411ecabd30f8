"""AlpacaEval's length-controlled win rate exactly as published: L1 penalty, cross-validated, difficulty by row.

To compare with the leaderboard only. The published standard error leaves the coefficients' uncertainty out, and the
penalty breaks the symmetry of the two roles: ``bench.statistics.length.regression`` is the estimate to use. Source:
alpaca_eval, metrics/glm_winrate.py at cd543a1 (scikit-learn's liblinear, here solved to a tighter tolerance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.statistics.length.regression import CALIBRATION_WEIGHT
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.logistic import HALVINGS, STEPS, TOLERANCE, _derivatives, _loss

INVERSE_PENALTIES = np.logspace(-4, 4, 10)
FOLDS = 5
CLIP = 1e-15


class PublishedWeights(NamedTuple):
    """The three coefficients; AlpacaEval stores one such row per model."""

    length: float
    difficulty: float
    bias: float


@dataclass(frozen=True)
class PublishedFit:
    """A win rate in percent with the error as AlpacaEval prints it, which is several times too small."""

    estimate: float
    published_standard_error: float
    weights: PublishedWeights
    inverse_penalty: float


def from_weights(weights: PublishedWeights, difficulty: ArrayLike) -> tuple[float, float]:
    """Return the win rate and the published error, in percent, that stored weights give over these prompts."""
    chance = special.expit(weights.difficulty * np.asarray(difficulty, dtype=float) + weights.bias)
    return 100 * float(chance.mean()), 100 * float(chance.std(ddof=1)) / len(chance) ** 0.5


def published_win_rate(
    preference: ArrayLike,
    length: ArrayLike,
    baseline_length: ArrayLike,
    difficulty: ArrayLike,
    calibration: ArrayLike,
    inverse_penalty: float | None = None,
) -> PublishedFit:
    """Return AlpacaEval's refit. ``preference`` is in [0, 1]; ``calibration`` as in ``length_controlled_win_rate``.

    ``inverse_penalty`` is scikit-learn's C; None chooses it from ten by five-fold cross-validation as published.
    scikit-learn deals rows into folds in an order that differs between numpy builds, so another C may be chosen
    (up to 0.15 points). Missing preferences leave the fit but not the mean, as published.
    """
    y, gamma, extra = (np.asarray(value, dtype=float) for value in (preference, difficulty, calibration))
    delta = np.asarray(baseline_length, dtype=float) - np.asarray(length, dtype=float)
    own = np.column_stack([np.tanh(delta / delta.std(ddof=1)), gamma, np.ones(len(y))])[np.isfinite(y)]
    features = np.vstack([np.column_stack([extra[:, :2], np.zeros(len(extra))]), own])
    target = np.concatenate([extra[:, 2], y[np.isfinite(y)]])
    weights = np.concatenate([np.full(len(extra), CALIBRATION_WEIGHT), np.ones(len(own))])
    chosen = _cross_validated(features, target, weights) if inverse_penalty is None else inverse_penalty
    found = PublishedWeights(*(float(w) for w in fit_l1(features, target, weights, chosen)))
    return PublishedFit(*from_weights(found, gamma), found, chosen)


def _cross_validated(features: FloatArray, target: FloatArray, weights: FloatArray) -> float:
    """Return the C with the best mean score over folds; the last group goes to the first fold, as in GroupKFold."""
    fold = np.arange(len(target))[::-1] % FOLDS
    scores = np.zeros((FOLDS, len(INVERSE_PENALTIES)))
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        found: FloatArray | None = None
        for place, inverse_penalty in enumerate(INVERSE_PENALTIES):
            found = fit_l1(features[train], target[train], weights[train], float(inverse_penalty), found)
            chance = np.clip(special.expit(features[test] @ found), CLIP, 1 - CLIP)
            gain = target[test] * np.log(chance) + (1 - target[test]) * np.log(1 - chance)
            scores[number, place] = float((weights[test] * gain).mean())
    return float(INVERSE_PENALTIES[int(scores.mean(axis=0).argmax())])


def fit_l1(
    features: FloatArray,
    target: FloatArray,
    weights: FloatArray,
    inverse_penalty: float,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return argmin of |b|_1 + C * sum of weights * log-loss, by proximal Newton steps; liblinear's L1 objective."""
    coefficients = np.zeros(features.shape[1]) if start is None else start.copy()
    scaled = weights * inverse_penalty
    value = _loss(features, target, scaled, coefficients) + float(np.abs(coefficients).sum())
    for _ in range(STEPS):
        gradient, hessian = _derivatives(features, target, scaled, coefficients)
        hessian[np.diag_indices_from(hessian)] += TOLERANCE
        step = _lasso(gradient, hessian, coefficients) - coefficients
        size = 1.0
        for _ in range(HALVINGS):
            tried = coefficients + size * step
            found = _loss(features, target, scaled, tried) + float(np.abs(tried).sum())
            if found <= value:
                break
            size /= 2
        else:
            return coefficients
        coefficients, value = tried, found
        if float(np.abs(size * step).max()) < TOLERANCE**0.5:
            return coefficients
    return coefficients


def _lasso(gradient: FloatArray, hessian: FloatArray, centre: FloatArray) -> FloatArray:
    """Return argmin of |b|_1 + gradient . (b - centre) + (b - centre) H (b - centre) / 2, by coordinate descent."""
    found = centre.copy()
    for _ in range(STEPS):
        largest = 0.0
        for place in range(len(found)):
            curvature = hessian[place, place]
            pull = curvature * found[place] - gradient[place] - float(hessian[place] @ (found - centre))
            value = np.sign(pull) * max(abs(pull) - 1.0, 0.0) / curvature
            largest = max(largest, abs(value - found[place]))
            found[place] = value
        if largest < TOLERANCE:
            break
    return found
