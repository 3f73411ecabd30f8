"""The win rate among pairs of matched length: no model of what length does, and no extrapolation.

Pairs are put into bins of |length - baseline length|. Within a bin the method's answer is longer in some pairs and
shorter in others; the mean of the two groups' preferences is free of any liking for length that is the same in both
directions. Bins count by overlap weights (Li, Morgan and Zaslavsky 2018, J. Am. Stat. Assoc. 113:390, arXiv
1404.1785), with "the method's answer is the longer one" as the treatment:

    W_b = 4 n_longer n_shorter / (n_longer + n_shorter)
    estimate = sum_b W_b (mean_longer + mean_shorter) / 2 / sum_b W_b

so that a bin with one direction only counts nothing and a balanced one counts its pairs; equal lengths are a bin whose
pairs all count. What it cannot take away: that longer answers of the method may be truly better or worse ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.core.errors import DataError
from bench.statistics.length.regression import FEW_PROMPTS, POOR_OVERLAP, BoolArray, standard_error
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, codes_of

# Bins of equal size: with 400 pairs 40 in each, enough for both directions where there is overlap at all.
BINS = 10


@dataclass(frozen=True)
class LengthMatched:
    """A win rate among pairs of matched length, in percent.

    ``share_matched`` is sum_b W_b / n: the share of the pairs that the estimate rests on. ``flags``: keys of
    ``length_control.WARNINGS``; with "no_overlap" nothing could be matched and the raw win rate stands.
    ``standard_error`` is None for fewer than two prompts or clusters. The rest is as in ``LengthControlled``.
    """

    estimate: float
    standard_error: float | None
    share_matched: float
    flags: tuple[str, ...]
    n: int
    n_missing: int
    influence: FloatArray
    used: BoolArray
    clusters: IntArray | None


def length_matched_win_rate(
    preference: ArrayLike, length: ArrayLike, baseline_length: ArrayLike, clusters: ArrayLike | None = None
) -> LengthMatched:
    """Return the overlap-weighted win rate, in percent, with its influence-function (clustered) error.

    ``preference`` (rows) is in [0, 1], NaN for a missing verdict; lengths (rows) are in characters. The bins count as
    fixed. Antisymmetric: both roles add up to 100. Raises DataError when no row is usable.
    """
    y, own, other = (np.asarray(value, dtype=float) for value in (preference, length, baseline_length))
    codes = None if clusters is None else codes_of(clusters)
    used = np.isfinite(y) & np.isfinite(own) & np.isfinite(other)
    if not used.any():
        raise DataError(f"none of {len(y)} rows has a preference and both lengths: there is nothing to match")
    kept, delta = y[used], (own - other)[used]
    bins = [_matched(kept, delta, member) for member in _bins(np.abs(delta))]
    total = sum(one.weight for one in bins)
    flags = ["few_prompts"] if len(kept) < FEW_PROMPTS else []
    if total > 0:
        share = sum(one.weight * one.mean for one in bins) / total
        pull = np.sum([one.pull + one.weight_pull * (one.mean - share) for one in bins], axis=0) * len(kept) / total
        flags += ["poor_overlap"] if total / len(kept) < POOR_OVERLAP else []
    else:
        share, pull = float(kept.mean()), kept - kept.mean()
        flags.append("no_overlap")
    influence = np.zeros(len(used))
    influence[used] = 100 * pull / len(kept)
    return LengthMatched(
        estimate=100 * share,
        standard_error=standard_error(influence, used, codes),
        share_matched=total / len(kept),
        flags=tuple(flags),
        n=len(kept),
        n_missing=int((~used).sum()),
        influence=influence,
        used=used,
        clusters=codes,
    )


@dataclass(frozen=True)
class _Bin:
    """One bin's weight and mean; per row, the influence of its preference on weight * mean, and of itself on weight."""

    weight: float
    mean: float
    pull: FloatArray
    weight_pull: FloatArray


def _bins(size: FloatArray) -> list[BoolArray]:
    """Return which rows are in each bin: equal lengths first, then bins of about equally many rows."""
    differ = size > 0
    if not differ.any():
        return [~differ]
    edges = np.unique(np.quantile(size[differ], np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [~differ, *(differ & (place == number) for number in range(max(len(edges) - 1, 1)))]


def _matched(preference: FloatArray, delta: FloatArray, member: BoolArray) -> _Bin:
    """Return the weight and mean of a bin, with the derivatives of both to each row's share."""
    longer, shorter = member & (delta > 0), member & (delta < 0)
    equal = member & (delta == 0)
    pull, weight_pull = np.zeros(len(preference)), np.zeros(len(preference))
    if equal.any():
        mean = float(preference[equal].mean())
        pull[equal], weight_pull[equal] = preference[equal] - mean, 1.0
        return _Bin(float(equal.sum()), mean, pull, weight_pull)
    n_longer, n_shorter = int(longer.sum()), int(shorter.sum())
    if n_longer == 0 or n_shorter == 0:
        return _Bin(0.0, 0.0, pull, weight_pull)
    weight = 4.0 * n_longer * n_shorter / (n_longer + n_shorter)
    means = float(preference[longer].mean()), float(preference[shorter].mean())
    for rows, n, n_other, mean in ((longer, n_longer, n_shorter, means[0]), (shorter, n_shorter, n_longer, means[1])):
        pull[rows] = weight * (preference[rows] - mean) / (2 * n)
        weight_pull[rows] = 4.0 * n_other**2 / (n_longer + n_shorter) ** 2
    return _Bin(weight, sum(means) / 2, pull, weight_pull)
