"""The win rate at equal length by one regression on the ratio of lengths, as in the RLAIF paper.

Lee et al. 2023 (arXiv 2309.00267, appendix on response length): logistic regression of the preference on
length / baseline length, with an intercept, evaluated at ratio 1. The ratio has a heavy right tail (one short baseline
answer dominates the fit), so it adjusts little; ``log_ratio`` behaves much more like AlpacaEval's control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.core.errors import DataError
from bench.statistics.length.regression import BoolArray, standard_error
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.logistic import fit_logistic
from bench.statistics.tests.random_effects import IntArray, codes_of

Feature = Literal["ratio", "log_ratio"]
Target = Literal["soft", "hard"]
SEPARATED = ("separable", "no_finite_error")


@dataclass(frozen=True)
class LengthRatio:
    """A win rate at equal length, in percent; ``coefficients`` are (intercept, slope), empty where raw stands.

    ``standard_error`` is None for fewer than two prompts or clusters, and where there is no finite one. ``n`` rows were
    used, ``n_missing`` left out. ``flags``: "separable", with "no_finite_error" where a small ridge was added (else all
    preferences are equal: raw), "no_length_variation" (all ratios equal: raw).
    """

    estimate: float
    standard_error: float | None
    coefficients: tuple[float, ...]
    mean_ratio: float
    flags: tuple[str, ...]
    n: int
    n_missing: int
    influence: FloatArray
    used: BoolArray
    clusters: IntArray | None


def length_ratio_win_rate(
    preference: ArrayLike,
    length: ArrayLike,
    baseline_length: ArrayLike,
    feature: Feature,
    target: Target = "soft",
    clusters: ArrayLike | None = None,
) -> LengthRatio:
    """Return sigma(b0 + b1 * x) at equal length, in percent, with its influence-function (clustered) error.

    ``preference`` (rows) is in [0, 1], NaN for a missing verdict. ``feature``: x is the ratio (1 at equal length) or
    its logarithm (0). ``target``: the preference itself, or "hard": ties dropped and the rest rounded to win and
    loss, as published. Rows without a preference or with an empty answer on either side (for ``ratio``: of the
    baseline) are left out and counted. Raises DataError when no row is left.
    """
    y, own, other = (np.asarray(value, dtype=float) for value in (preference, length, baseline_length))
    codes = None if clusters is None else codes_of(clusters)
    used = np.isfinite(y) & np.isfinite(own) & (other > 0)
    if feature == "log_ratio":
        used &= own > 0
    if target == "hard":
        used &= y != 0.5
        y = np.where(used, np.where(y > 0.5, 1.0, 0.0), y)
    if not used.any():
        raise DataError(f"none of {len(y)} rows has a preference and lengths to take a ratio of")
    ratio, kept = own[used] / other[used], y[used]
    x, equal = (ratio, np.array([1.0, 1.0])) if feature == "ratio" else (np.log(ratio), np.array([1.0, 0.0]))
    coefficients: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    if float(np.ptp(x)) == 0 or float(np.ptp(kept)) == 0:
        share, pull = float(kept.mean()), kept - kept.mean()
        flags = ("no_length_variation",) if float(np.ptp(x)) == 0 else ("separable",)
    else:
        features = np.column_stack([np.ones(len(x)), x])
        fit = fit_logistic(features, kept)
        share = float(special.expit(equal @ fit.coefficients))
        direction = fit.inverse_hessian_times(share * (1 - share) * equal)
        pull = len(x) * (kept - special.expit(features @ fit.coefficients)) * (features @ direction)
        coefficients, flags = tuple(map(float, fit.coefficients)), SEPARATED if fit.penalised else ()
    influence = np.zeros(len(used))
    influence[used] = 100 * (pull - pull.mean()) / len(pull)
    return LengthRatio(
        estimate=100 * share,
        standard_error=None if flags == SEPARATED else standard_error(influence, used, codes),
        coefficients=coefficients,
        mean_ratio=float(ratio.mean()),
        flags=flags,
        n=len(kept),
        n_missing=int((~used).sum()),
        influence=influence,
        used=used,
        clusters=codes,
    )
