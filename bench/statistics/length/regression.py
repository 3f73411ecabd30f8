"""The win rate at equal length: AlpacaEval's regression, fitted without a penalty and with an honest error.

For prompt i with preference y_i for the method over the baseline (Dubois et al. 2024, arXiv 2404.04475):

    P(y_i) = sigma( w_length * tanh((baseline length_i - length_i) / s) + w_difficulty * difficulty_i + w_bias )
    win rate at equal length = mean over prompts of sigma( w_difficulty * difficulty_i + w_bias )

with s the standard deviation of the length differences. The fit as published (L1 penalty, cross-validated) stands
beside the tests; ``bench.statistics.length.ratio`` is another regression for the same question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bench.core.errors import DataError
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.logistic import LogisticFit, fit_logistic
from bench.statistics.tests.random_effects import IntArray, cluster_sums, codes_of

BoolArray = NDArray[np.bool_]

LENGTH, DIFFICULTY, BIAS = "length", "difficulty", "bias"
TIE = 0.5
# Half of AlpacaEval's lambda = 0.2: the weight of one calibration row beside a prompt's 1.
CALIBRATION_WEIGHT = 0.1
# Calibration rows weigh at most this share of the prompts (AlpacaEval: 1,610 rows of 0.1 beside 805 prompts), so that
# a subset of the prompts is not ruled by them.
CALIBRATION_SHARE = 0.2
# Below this many prompts, or with less than this share of them on one side of equal length, a warning is given.
FEW_PROMPTS = 100
POOR_OVERLAP = 0.1
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

WARNINGS = {
    "all_ties": "every prompt is a tie: 50 exactly",
    "separable": "wins and losses are separated, so the regression has no finite maximum",
    "no_finite_error": "a penalised fit stands in for the regression that has no maximum, and has no error",
    "no_length_variation": "the length differences do not vary: there is nothing to control, the raw win rate stands",
    "no_difficulty_variation": "the difficulties do not vary and were left out",
    "poor_overlap": f"fewer than {POOR_OVERLAP:.0%} of the pairs lie on one side of equal length: an extrapolation",
    "no_overlap": "no two pairs of like length difference go in opposite directions: the raw win rate stands",
    "few_prompts": f"fewer than {FEW_PROMPTS} prompts",
}


@dataclass(frozen=True)
class Diagnostics:
    """What the estimate rests on.

    ``share_longer`` and ``share_shorter``: of the pairs, the method's answer being longer or shorter than the
    baseline's. ``length_scale`` is s, in characters (0 for one pair). ``length_quantiles``: of (length - baseline
    length) / s at QUANTILES; empty without variation.
    ``calibration_weight``: of one calibration row; None without calibration. ``flags``: keys of WARNINGS.
    """

    share_longer: float
    share_shorter: float
    length_scale: float
    length_quantiles: tuple[float, ...]
    difficulty_used: bool
    calibration_weight: float | None
    flags: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The flags as sentences."""
        return tuple(WARNINGS[flag] for flag in self.flags)


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate, in percent.

    ``standard_error`` is None for fewer than two prompts or clusters, and where only a penalty keeps the fit finite.
    ``coefficients`` names those that were fitted
    (LENGTH, DIFFICULTY, BIAS); none where the raw win rate stands. ``raw`` and ``raw_standard_error`` are the win rate
    without control. ``influence`` (rows) is each row's share in the estimate's error, 0 for a row left out;
    ``clusters`` (rows) are codes 0..C-1. ``n`` rows were used, ``n_missing`` had no preference or no length.
    """

    estimate: float
    standard_error: float | None
    coefficients: dict[str, float]
    diagnostics: Diagnostics
    raw: float
    raw_standard_error: float | None
    n: int
    n_missing: int
    influence: FloatArray
    used: BoolArray
    clusters: IntArray | None

    @property
    def confidence(self) -> Confidence | None:
        """The t law around the estimate, in percent; None without a standard error."""
        if self.standard_error is None:
            return None
        return Confidence(self.estimate, self.standard_error**2, independent_units(self.used, self.clusters) - 1)


def length_controlled_win_rate(
    preference: ArrayLike,
    length: ArrayLike,
    baseline_length: ArrayLike,
    difficulty: ArrayLike | None = None,
    calibration: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> LengthControlled:
    """Return the win rate of a method over a baseline at equal length, in percent, by unpenalised Newton.

    ``preference`` (rows) is 1 for a win of the method, 0 for a loss, 0.5 for a tie, or between; NaN is a missing
    verdict: the row is left out of fit and mean, and counted. ``length`` and ``baseline_length`` are in characters.
    ``difficulty`` (rows) shifts every method's chance on a prompt: AlpacaEval's by instruction, or one estimated from
    the methods of a run (``bench.statistics.length.difficulty``); without it that column is not fitted. ``calibration``
    (any, 3) holds rows (tanh length feature, difficulty, preference) of answers whose length was changed on purpose;
    they enter without the bias, each with weight 0.1, or less so that all together weigh at most 0.2 per prompt.
    ``clusters`` (rows) are labels of prompts that are not independent.

    Without calibration the estimate is antisymmetric (both roles add up to 100), 50 when all are ties, raw when
    lengths are equal, and depends neither on the order of rows nor on the unit of length. The standard error is that
    of the influence function: the uncertainty of the coefficients and of s is in it (calibration rows count as fixed).
    Raises ValueError for shapes that do not match, DataError for values that cannot be and when no row is usable.
    """
    rows = _rows(preference, length, baseline_length, difficulty, clusters)
    extra = None if calibration is None else _calibration(calibration)
    kept, flags, coefficients = rows.used, list(rows.flags), {}
    weight: float | None = None
    if rows.settled:
        share, pull = float(rows.preference.mean()), rows.preference - rows.preference.mean()
    else:
        fit, features, weight = _fit(rows, extra)
        share, pull = _at_equal_length(fit, features, rows)
        names = (LENGTH, BIAS) if rows.difficulty is None else (LENGTH, DIFFICULTY, BIAS)
        coefficients = dict(zip(names, map(float, fit.coefficients), strict=True))
        flags += ["separable", "no_finite_error"] if fit.penalised else []
    influence = _spread(pull, kept)
    error = standard_error(influence, kept, rows.clusters)
    raw_error = standard_error(_spread(rows.preference - rows.preference.mean(), kept), kept, rows.clusters)
    if "no_finite_error" in flags:
        error = None
    elif "separable" in flags and error is not None:
        error = raw_error = _agresti_coull(share, independent_units(kept, rows.clusters))
    return LengthControlled(
        estimate=100 * share,
        standard_error=error,
        coefficients=coefficients,
        diagnostics=_diagnostics(rows, weight, tuple(flags)),
        raw=100 * float(rows.preference.mean()),
        raw_standard_error=raw_error,
        n=int(kept.sum()),
        n_missing=int((~kept).sum()),
        influence=influence,
        used=kept,
        clusters=rows.clusters,
    )


def paired_difference(a: LengthControlled, b: LengthControlled) -> Confidence:
    """Return the t law of a's estimate minus b's, in percentage points, from the two influence functions.

    Row i of both must be the same prompt, judged against the same baseline. Raises ValueError when the numbers of rows
    or the clusters differ, fewer than two prompts (clusters) were used, or one of the fits has no finite error.
    """
    same = (a.clusters is None) == (b.clusters is None) and (
        a.clusters is None or b.clusters is None or np.array_equal(a.clusters, b.clusters)
    )
    if len(a.used) != len(b.used) or not same:
        raise ValueError("a paired difference needs the same prompts, in the same order and clusters, on both sides")
    if "no_finite_error" in (*a.diagnostics.flags, *b.diagnostics.flags):
        raise ValueError("a fit that only a penalty keeps finite has no error, and neither has its difference")
    used = a.used | b.used
    error = standard_error(a.influence - b.influence, used, a.clusters)
    if error is None:
        raise ValueError("a paired difference needs two independent prompts")
    return Confidence(a.estimate - b.estimate, error**2, independent_units(used, a.clusters) - 1)


def standard_error(influence: FloatArray, used: BoolArray, clusters: IntArray | None) -> float | None:
    """Return sqrt( C/(C-1) * sum over clusters of (sum of influence)^2 ); None for fewer than two clusters."""
    units = independent_units(used, clusters)
    if units < 2:
        return None
    sums = cluster_sums(influence, clusters)
    return float(np.sqrt(units / (units - 1) * (sums**2).sum()))


def independent_units(used: BoolArray, clusters: IntArray | None) -> int:
    """Return how many clusters (rows, without clusters) hold a used row."""
    return int(used.sum()) if clusters is None else len(np.unique(clusters[used]))


@dataclass(frozen=True)
class _Rows:
    """The usable rows. ``delta`` is baseline length minus length, ``scale`` its s; settled: the raw win rate stands."""

    preference: FloatArray
    delta: FloatArray
    difficulty: FloatArray | None
    scale: float
    used: BoolArray
    clusters: IntArray | None
    settled: bool
    flags: tuple[str, ...]


def _rows(
    preference: ArrayLike,
    length: ArrayLike,
    baseline_length: ArrayLike,
    difficulty: ArrayLike | None,
    clusters: ArrayLike | None,
) -> _Rows:
    y, own, other = (np.asarray(value, dtype=float) for value in (preference, length, baseline_length))
    gamma = None if difficulty is None else np.asarray(difficulty, dtype=float)
    codes = None if clusters is None else codes_of(clusters)
    shapes = [value.shape for value in (y, own, other, gamma, codes) if value is not None]
    if y.ndim != 1 or any(shape != y.shape for shape in shapes):
        raise ValueError(f"preference, lengths, difficulty and clusters need one value per row; got shapes {shapes}")
    used = np.isfinite(y) & np.isfinite(own) & np.isfinite(other)
    if not used.any():
        raise DataError(f"none of {len(y)} rows has a preference and both lengths: there is nothing to estimate")
    y, delta = y[used], (other - own)[used]
    if float(y.min()) < 0 or float(y.max()) > 1:
        raise DataError(
            f"a preference lies outside [0, 1] (from {y.min():g} to {y.max():g}). On AlpacaEval's scale of 1 to 2 "
            "subtract 1; there a 0 means a tie."
        )
    if gamma is not None and not np.isfinite(gamma[used]).all():
        raise DataError(
            f"{int((~np.isfinite(gamma[used])).sum())} prompts have no difficulty. Difficulties belong to prompts: "
            "give one for each, estimate them from the methods of this run, or leave them out."
        )
    flags = ["few_prompts"] if len(y) < FEW_PROMPTS else []
    scale = float(delta.std(ddof=1)) if len(delta) > 1 else 0.0
    settled = _settled(y, scale)
    if settled is not None:
        flags.append(settled)
    elif min((delta < 0).mean(), (delta > 0).mean()) < POOR_OVERLAP:
        flags.append("poor_overlap")
    kept = None if gamma is None else gamma[used]
    if kept is not None and settled is None and float(np.ptp(kept)) == 0:
        kept = None
        flags.append("no_difficulty_variation")
    return _Rows(y, delta, kept, scale, used, codes, settled is not None, tuple(flags))


def _settled(preference: FloatArray, scale: float) -> str | None:
    """Return why the raw win rate stands without a fit; None where a fit is needed."""
    if np.all(preference == TIE):
        return "all_ties"
    if np.all(preference == 0) or np.all(preference == 1):
        return "separable"
    return "no_length_variation" if scale == 0 else None


def _calibration(given: ArrayLike) -> FloatArray:
    rows = np.asarray(given, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != 3 or len(rows) == 0:
        raise ValueError(f"calibration needs rows of (tanh length, difficulty, preference); got shape {rows.shape}")
    if not np.isfinite(rows).all() or np.abs(rows[:, 0]).max() > 1 or rows[:, 2].min() < 0 or rows[:, 2].max() > 1:
        raise DataError("calibration rows need finite values, a length feature in [-1, 1], a preference in [0, 1]")
    return rows


def _fit(rows: _Rows, extra: FloatArray | None) -> tuple[LogisticFit, FloatArray, float | None]:
    """Return the fit, the prompts' features (rows, 2 or 3), and the weight of a calibration row."""
    ones = np.ones(len(rows.preference))
    features = np.column_stack([np.tanh(rows.delta / rows.scale), ones])
    if rows.difficulty is not None:
        features = np.insert(features, 1, rows.difficulty, axis=1)
    if extra is None:
        return fit_logistic(features, rows.preference), features, None
    weight = min(CALIBRATION_WEIGHT, CALIBRATION_SHARE * len(ones) / len(extra))
    without_bias = np.zeros((len(extra), features.shape[1]))
    without_bias[:, :-1] = extra[:, : features.shape[1] - 1]
    weights = np.concatenate([ones, np.full(len(extra), weight)])
    target = np.concatenate([rows.preference, extra[:, 2]])
    return fit_logistic(np.vstack([features, without_bias]), target, weights), features, weight


def _at_equal_length(fit: LogisticFit, features: FloatArray, rows: _Rows) -> tuple[float, FloatArray]:
    """Return the mean prediction with the length feature at 0 and each row's influence on it.

    phi_i = (p0_i - mean p0) + n (y_i - sigma(eta_i)) x_i . H^-1 g,   g = mean of p0_i (1 - p0_i) (0, rest of x_i)

    plus the influence of s, ((delta_i - mean)^2 - s^2) / (2 s) times the estimate's derivative to s: small as a rule
    (1%), but a quarter of the error where one answer of a hundred thousand characters sets s.
    """
    equal = features.copy()
    equal[:, 0] = 0.0
    chance = special.expit(equal @ fit.coefficients)
    slope = (chance * (1 - chance)) @ equal / len(equal)
    direction = fit.inverse_hessian_times(slope)
    predicted = special.expit(features @ fit.coefficients)
    residual = rows.preference - predicted
    of_coefficients = len(equal) * residual * (features @ direction)
    # d tanh(delta/s) / ds, and through it the derivative of the score equations and of the coefficients.
    by_scale = -rows.delta / rows.scale**2 * (1 - features[:, 0] ** 2)
    score = -(predicted * (1 - predicted) * fit.coefficients[0] * by_scale) @ features
    score[0] += residual @ by_scale
    of_scale = ((rows.delta - rows.delta.mean()) ** 2 - rows.scale**2) / (2 * rows.scale)
    return float(chance.mean()), chance - chance.mean() + of_coefficients + float(direction @ score) * of_scale


def _spread(pull: FloatArray, used: BoolArray) -> FloatArray:
    """Return the influence by row, in percent: centred, divided by n, 0 for rows that were not used."""
    found = np.zeros(len(used))
    found[used] = 100 * (pull - pull.mean()) / len(pull)
    return found


def _agresti_coull(share: float, units: int) -> float:
    """Return the error of a share that has no variance, in percent (Agresti and Coull 1998, Am. Stat. 52:119)."""
    z2 = float(special.ndtri(0.975)) ** 2
    centre = (share * units + z2 / 2) / (units + z2)
    return 100 * float(np.sqrt(centre * (1 - centre) / (units + z2)))


def _diagnostics(rows: _Rows, weight: float | None, flags: tuple[str, ...]) -> Diagnostics:
    quantiles = np.quantile(-rows.delta / rows.scale, QUANTILES) if rows.scale > 0 else ()
    return Diagnostics(
        share_longer=float((rows.delta < 0).mean()),
        share_shorter=float((rows.delta > 0).mean()),
        length_scale=rows.scale,
        length_quantiles=tuple(float(value) for value in quantiles),
        difficulty_used=rows.difficulty is not None and not rows.settled,
        calibration_weight=weight,
        flags=flags,
    )
