"""Logistic regression with soft targets: unpenalised, by Newton's method, for inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from bench.statistics.tests.confidence import FloatArray

# Curvature left in the flattest direction, relative to the weights, below which the maximum is not finite: Newton's
# method then walks outwards until its decrement is below TOLERANCE, where the curvature is about TOLERANCE / rows.
SEPARATED = 1e-9
# The ridge that stands in where the maximum is not finite. Chosen here; small beside one observation.
SMALL_RIDGE = 1e-3
STEPS = 100
HALVINGS = 40
TOLERANCE = 1e-10


@dataclass(frozen=True)
class LogisticFit:
    """Maximum-likelihood coefficients (k) with the Hessian of the negative log-likelihood (k, k).

    ``penalised`` says that the data are separable (or the columns collinear), so that a ridge of SMALL_RIDGE was
    added; the Hessian contains it.
    """

    coefficients: FloatArray
    hessian: FloatArray
    penalised: bool

    def inverse_hessian_times(self, direction: FloatArray) -> FloatArray:
        """Return H^-1 ``direction``."""
        return np.asarray(np.linalg.solve(self.hessian, direction))


def fit_logistic(features: FloatArray, target: FloatArray, weights: FloatArray | None = None) -> LogisticFit:
    """Return the fit of P(target) = sigma(features @ coefficients) by Newton's method; no intercept is added.

    ``features`` is (rows, k), ``target`` in [0, 1] (rows), ``weights`` (rows) or None for 1 each. Where the maximum is
    not finite, or not unique, the fit with a small ridge is returned and says so.
    """
    given = np.ones(len(target)) if weights is None else weights
    coefficients, hessian = _newton(features, target, given, 0.0)
    if coefficients is not None and _flattest(features, given, hessian) > SEPARATED:
        return LogisticFit(coefficients, hessian, penalised=False)
    coefficients, hessian = _newton(features, target, given, SMALL_RIDGE)
    if coefficients is None:
        raise FloatingPointError("a penalised logistic regression did not converge")
    return LogisticFit(coefficients, hessian, penalised=True)


def _newton(
    features: FloatArray, target: FloatArray, weights: FloatArray, ridge: float
) -> tuple[FloatArray | None, FloatArray]:
    """Return the coefficients and the Hessian; no coefficients where Newton's method finds no maximum."""
    width = features.shape[1]
    coefficients, penalty = np.zeros(width), ridge * np.eye(width)
    value = _loss(features, target, weights, coefficients)
    for _ in range(STEPS):
        gradient, hessian = _derivatives(features, target, weights, coefficients)
        gradient, hessian = gradient + ridge * coefficients, hessian + penalty
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None, hessian
        # The Newton decrement bounds what is left to gain.
        if float(gradient @ step) < TOLERANCE:
            return coefficients - step, hessian
        size = 1.0
        for _ in range(HALVINGS):
            tried = coefficients - size * step
            found = _loss(features, target, weights, tried) + ridge / 2 * float(tried @ tried)
            if found <= value:
                break
            size /= 2
        coefficients, value = tried, found
    return None, hessian


def _flattest(features: FloatArray, weights: FloatArray, hessian: FloatArray) -> float:
    """Return the least curvature of the log-likelihood over all directions, relative to that at weight p(1-p) = 1."""
    whole = (features * weights[:, None]).T @ features
    try:
        return float(linalg.eigh(hessian, whole, eigvals_only=True)[0])
    except linalg.LinAlgError:  # collinear columns: a direction without any curvature
        return 0.0


def _loss(features: FloatArray, target: FloatArray, weights: FloatArray, coefficients: FloatArray) -> float:
    predictor = features @ coefficients
    return float(weights @ (np.logaddexp(0.0, predictor) - target * predictor))


def _derivatives(
    features: FloatArray, target: FloatArray, weights: FloatArray, coefficients: FloatArray
) -> tuple[FloatArray, FloatArray]:
    chance = special.expit(features @ coefficients)
    gradient = (weights * (chance - target)) @ features
    return gradient, (features * (weights * chance * (1 - chance))[:, None]).T @ features
