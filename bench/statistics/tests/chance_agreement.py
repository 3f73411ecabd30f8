"""Agreement of raters beyond chance: Cohen's kappa and Krippendorff's alpha, with intervals over units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import draws
from bench.statistics.tests.random_effects import IntArray, cluster_sums, codes_of

Scale = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True)
class Agreement:
    """1 for perfect agreement, 0 for chance; None where only one value was ever given, so that chance is certain.

    ``low`` and ``high`` are the percentile interval when units are drawn again; None where the estimate is.
    """

    estimate: float | None
    low: float | None
    high: float | None
    units: int


def cohen_kappa(
    a: Sequence[str] | FloatArray,
    b: Sequence[str] | FloatArray,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: IntArray | None = None,
) -> Agreement:
    """Return kappa = (observed - chance) / (1 - chance) of two raters (Cohen 1960, Educ. Psych. Meas. 20:37).

    ``a`` and ``b`` (units) are categories. ``clusters`` (units): codes of units that are not independent, which are
    drawn again together. Raises DataError for different lengths or no unit.
    """
    if len(a) != len(b) or len(a) == 0:
        raise DataError(f"kappa needs two ratings of each unit; got {len(a)} and {len(b)}")
    codes = np.unique(np.concatenate([np.asarray(a), np.asarray(b)]), return_inverse=True)[1]
    first, second = codes[: len(a)], codes[len(a) :]
    count = int(codes.max()) + 1
    cells = np.zeros((len(a), count, count))
    cells[np.arange(len(a)), first, second] = 1.0

    def kappa(table: FloatArray) -> FloatArray:
        share = table / table.sum(axis=(-2, -1), keepdims=True)
        observed = np.trace(share, axis1=-2, axis2=-1)
        chance = (share.sum(axis=-1) * share.sum(axis=-2)).sum(axis=-1)
        return _beyond(1 - observed, 1 - chance)

    return _agreement(kappa(cells.sum(axis=0)), kappa(_again(cells, clusters, resamples, seed)), level, len(a))


def krippendorff_alpha(
    ratings: ArrayLike,
    scale: Scale,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: IntArray | None = None,
) -> Agreement:
    """Return alpha = 1 - observed / expected disagreement (Krippendorff 2011, Computing Krippendorff's Alpha).

    ``ratings`` is (raters, units) of numbers, NaN where a rater did not rate; units with one rating have no part.
    ``clusters`` as for kappa. Raises DataError when no unit has two ratings.
    """
    given = np.asarray(ratings, dtype=float)
    several = np.isfinite(given).sum(axis=0) >= 2
    given = given[:, several]
    if given.ndim != 2 or given.shape[1] == 0:
        raise DataError("alpha needs a unit with two ratings")
    values = np.unique(given[np.isfinite(given)])
    # How often each value was given to each unit, and from it the pairs of values within a unit.
    counts = np.stack([(given == value).sum(axis=0) for value in values], axis=1).astype(float)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(len(values)), np.arange(len(values))] -= counts
    pairs /= (counts.sum(axis=1) - 1)[:, None, None]

    def alpha(table: FloatArray) -> FloatArray:
        total = table.sum(axis=-1)
        distance = _distance(values, total, scale)
        observed = (table * distance).sum(axis=(-2, -1))
        expected = (total[..., :, None] * total[..., None, :] * distance).sum(axis=(-2, -1)) / (total.sum(axis=-1) - 1)
        return _beyond(observed, expected)

    again = _again(pairs, None if clusters is None else clusters[several], resamples, seed)
    return _agreement(alpha(pairs.sum(axis=0)), alpha(again), level, given.shape[1])


def _distance(values: FloatArray, total: FloatArray, scale: Scale) -> FloatArray:
    """Return the squared distance of every two values, (..., values, values)."""
    if scale == "nominal":
        return 1 - np.eye(len(values))
    if scale == "interval":
        return np.asarray((values[:, None] - values[None, :]) ** 2)
    # Ordinal: ranks between the two, the ends counted half.
    middle = np.cumsum(total, axis=-1) - total / 2
    return np.asarray((middle[..., :, None] - middle[..., None, :]) ** 2)


def _again(cells: FloatArray, clusters: IntArray | None, resamples: int, seed: int) -> FloatArray:
    """Return the tables (resamples, values, values) of units, or of whole clusters of them, drawn again."""
    flat = cells.reshape(len(cells), -1)
    if clusters is not None:
        codes = codes_of(clusters)
        flat = cluster_sums(flat.T, codes.astype(np.int64)).T
    blocks = [counts @ flat for counts in draws(len(flat), resamples, seed)]
    return np.concatenate(blocks).reshape(-1, *cells.shape[1:])


def _beyond(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Return 1 - observed / expected; not a number where chance allows no disagreement."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def _agreement(estimate: FloatArray, replicates: FloatArray, level: float, units: int) -> Agreement:
    if not np.isfinite(estimate):
        return Agreement(None, None, None, units)
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Agreement(float(estimate), float(low), float(high), units)
