"""A mean of expensive labels (annotators', gold's) that cheap predictions of all of them (a judge's) make more precise.

Prediction-powered inference (Angelopoulos et al. 2023, Science 382:669, arXiv 2301.09633; with tuning, arXiv
2311.01453): with labels y_i on a random n of N units and predictions f_i on all,

    estimate = mean_labelled( y - t f ) + t mean_all( f ),      t = cov(y, f) / var(f) over the labelled, within [0, 1]

The first mean takes the judge's bias away, whatever its cause, so the estimate needs no model of what length does to
the judge. In survey sampling it is the regression estimator (Cochran 1977, ch. 7).

``calibrated_predictions`` makes a judge's verdicts better predictions of the labels: its verdict and the difference of
lengths, weighed as the labels say. A length bias then no longer hurts the precision either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bench.core.errors import DataError
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.logistic import fit_logistic
from bench.statistics.tests.random_effects import IntArray, cluster_sums, codes_of

# A line through the labelled units takes two of their degrees of freedom.
LINE = 2
# Certain verdicts are put at odds of 99 to 1, so that their logit is finite.
CERTAIN = 0.01


@dataclass(frozen=True)
class PredictionPowered:
    """A mean on the labels' own scale, with its t law.

    ``tuning`` is t: 0 where predictions say nothing about the labels, 1 for a judge that errs by a constant only.
    ``labels_only`` is the mean of the labels alone, with the law ``of_labels``. ``influence`` (units) is each unit's
    share in the estimate's error, for differences between methods labelled on the same units.
    """

    estimate: float
    confidence: Confidence
    labels_only: float
    of_labels: Confidence
    tuning: float
    n: int
    n_labelled: int
    influence: FloatArray
    clusters: IntArray | None
    degrees_of_freedom: float


def prediction_powered_mean(
    labels: ArrayLike, predictions: ArrayLike, clusters: ArrayLike | None = None
) -> PredictionPowered:
    """Return the mean label of all units from the labels of some and the predictions of all.

    ``labels`` (units) is NaN where there is none; which units are labelled must have been drawn at random, not chosen
    by how they look. ``predictions`` (units) must all be finite. ``clusters`` (units) are labels of units that are not
    independent; whole clusters should be labelled. Raises ValueError for shapes that do not match, DataError for fewer
    than four labelled units (clusters) or a missing prediction.
    """
    y, f = np.asarray(labels, dtype=float), np.asarray(predictions, dtype=float)
    codes = None if clusters is None else codes_of(clusters)
    if y.ndim != 1 or y.shape != f.shape or (codes is not None and codes.shape != y.shape):
        raise ValueError(f"labels, predictions and clusters need one value per unit; got {y.shape} and {f.shape}")
    if not np.isfinite(f).all():
        raise DataError(f"{int((~np.isfinite(f)).sum())} of {len(f)} units have no prediction; every unit needs one")
    known = np.isfinite(y)
    units, all_units = _units(known, codes), _units(np.ones(len(y), dtype=bool), codes)
    if units <= LINE + 1:
        raise DataError(f"{units} independent units are labelled: label at least {LINE + 2}, drawn at random")
    tuning = _tuning(y[known], f[known])
    residual = y[known] - tuning * f[known]
    centred = residual - residual.mean()
    # The line was fitted to the labelled units, which makes their residuals too small by this factor.
    influence = tuning * (f - f.mean()) / len(f) * np.sqrt(all_units / (all_units - 1))
    influence[known] += centred / known.sum() * np.sqrt(units / (units - LINE))
    estimate = float(residual.mean() + tuning * f.mean())
    own = np.zeros(len(y))
    own[known] = (y[known] - y[known].mean()) / known.sum() * np.sqrt(units / (units - 1))
    return PredictionPowered(
        estimate=estimate,
        confidence=Confidence(estimate, _variance(influence, codes), units - LINE),
        labels_only=float(y[known].mean()),
        of_labels=Confidence(float(y[known].mean()), _variance(own, codes), units - 1),
        tuning=tuning,
        n=len(y),
        n_labelled=int(known.sum()),
        influence=influence,
        clusters=codes,
        degrees_of_freedom=units - LINE,
    )


def paired_difference(a: PredictionPowered, b: PredictionPowered) -> Confidence:
    """Return the t law of a's mean minus b's; both on the same units, in the same order, labelled alike."""
    if len(a.influence) != len(b.influence) or a.n_labelled != b.n_labelled:
        raise ValueError("a paired difference needs the same units on both sides, labelled alike")
    variance = _variance(a.influence - b.influence, a.clusters)
    return Confidence(a.estimate - b.estimate, variance, a.degrees_of_freedom)


def calibrated_predictions(labels: ArrayLike, verdicts: ArrayLike, lengths: ArrayLike) -> FloatArray:
    """Return what the labels are expected to be, given a judge's verdicts and the differences of lengths.

    All three have one shape (methods, or methods and seeds, by units, in any order): labels NaN where there is none and
    in [0, 1]; verdicts in [0, 1]; lengths the method's minus the baseline's. One fit for all:

        P(label) = sigma( a logit(verdict) + c length / s ),     s = root mean square of the lengths

    without a constant, so that equal answers are a tie. Raises DataError when nothing is labelled.
    """
    y, p, delta = (np.asarray(value, dtype=float) for value in (labels, verdicts, lengths))
    known: NDArray[np.bool_] = np.isfinite(y)
    if not known.any():
        raise DataError("no label at all: there is nothing to calibrate the judge with")
    scale = float(np.sqrt((delta**2).mean()))
    columns = [special.logit(np.clip(p, CERTAIN, 1 - CERTAIN))]
    if scale > 0:
        columns.append(delta / scale)
    features = np.stack(columns, axis=-1)
    fit = fit_logistic(features[known], y[known])
    return np.asarray(special.expit(features @ fit.coefficients))


def _units(which: NDArray[np.bool_], clusters: IntArray | None) -> int:
    return int(which.sum()) if clusters is None else len(np.unique(clusters[which]))


def _tuning(labels: FloatArray, predictions: FloatArray) -> float:
    if float(np.ptp(predictions)) == 0:
        return 0.0
    spread = float(predictions.var())
    together = float(((labels - labels.mean()) * (predictions - predictions.mean())).mean())
    return min(1.0, max(0.0, together / spread))


def _variance(influence: FloatArray, clusters: IntArray | None) -> float:
    return float((cluster_sums(influence, clusters) ** 2).sum())
