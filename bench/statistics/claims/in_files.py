"""Factual errors of free text: an error rate with its error, coverage, and FActScore.

A response makes claims; each is supported, not supported, or irrelevant. The error rate is a ratio of two sums over
responses, so its error is that of a ratio estimator (linearisation; Cochran 1977, Sampling Techniques, ch. 6): with E =
sum(wrong) / sum(claims), response j adds u_j = (wrong_j - E claims_j) / mean(claims), and Var(E) = Var(u) / n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.core.errors import DataError
from bench.core.metrics import FEWEST_FACTS
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.intervals import clustered_standard_error
from bench.statistics.tests.random_effects import IntArray, cluster_codes


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over responses: ``estimate`` and its linearised error (None for one cluster).

    ``influence`` is u_j (responses), ``clusters`` codes 0..C-1. ``n`` responses, ``total`` the sum below the line.
    """

    estimate: float
    standard_error: float | None
    influence: FloatArray
    clusters: IntArray
    n: int
    total: float

    @property
    def confidence(self) -> Confidence | None:
        """The t law around the estimate; None without a standard error."""
        if self.standard_error is None:
            return None
        return Confidence(self.estimate, self.standard_error**2, int(self.clusters.max()))


@dataclass(frozen=True)
class Reduction:
    """A relative reduction of an error rate, 1 - E_a / E_b, with an interval from the law of log(E_a / E_b)."""

    estimate: float
    low: float
    high: float
    log_ratio: Confidence


@dataclass(frozen=True)
class Coverage:
    """What the responses say, over all prompts: an abstention counts as a response without claims.

    ``correct`` and ``incorrect`` claims per prompt, ``responded``: the share of prompts that were answered.
    """

    correct: float
    incorrect: float
    responded: float


@dataclass(frozen=True)
class FactScore:
    """FActScore in [0, 1] over the answered prompts, its error (None for one), and the score without the penalty."""

    estimate: float
    standard_error: float | None
    without_penalty: float
    facts_per_response: float
    scores: FloatArray


def error_rate(wrong: ArrayLike, claims: ArrayLike, clusters: ArrayLike | None = None) -> Ratio:
    """Return sum(wrong) / sum(claims) over responses, with the linearised, clustered error.

    ``wrong`` and ``claims`` (responses) are counts, wrong <= claims; a response without claims has no share in the
    rate but is one of the n. ``clusters`` (responses) are labels, one per response by default. Raises DataError when
    no claim was made: then no rate exists.
    """
    numerator, below = np.asarray(wrong, dtype=float), np.asarray(claims, dtype=float)
    if numerator.shape != below.shape or numerator.ndim != 1:
        raise ValueError(f"wrong and claims need one count per response; got {numerator.shape} and {below.shape}")
    if not (np.isfinite(below).all() and np.all(numerator >= 0) and np.all(numerator <= below)):
        raise DataError("counts of claims must be finite, and of wrong claims between 0 and all")
    if below.sum() == 0:
        raise DataError(f"none of {len(below)} responses makes a claim: an error rate does not exist")
    codes = cluster_codes(clusters, len(below))
    rate = float(numerator.sum() / below.sum())
    influence = (numerator - rate * below) / below.mean()
    several = int(codes.max()) > 0
    error = clustered_standard_error(influence, codes) if several else None
    return Ratio(rate, error, influence, codes, len(below), float(below.sum()))


def paired_difference(a: Ratio, b: Ratio) -> Confidence:
    """Return the t law of a's rate minus b's on the same prompts (row j of both is one prompt).

    Raises ValueError when the rows differ, or for fewer than two clusters.
    """
    return _paired(a, b, a.estimate - b.estimate, a.influence - b.influence)


def relative_reduction(a: Ratio, b: Ratio, level: float = 0.95) -> Reduction:
    """Return how much lower a's rate is than b's, relative to b's, with an interval on the log scale.

    Delta method: Var(log(E_a/E_b)) = Var(u^a/E_a - u^b/E_b) / n. Raises DataError when either rate is 0, where the
    logarithm does not exist.
    """
    if a.estimate == 0 or b.estimate == 0:
        raise DataError("a relative reduction needs errors on both sides; report the difference instead")
    law = _paired(a, b, float(np.log(a.estimate / b.estimate)), a.influence / a.estimate - b.influence / b.estimate)
    low, high = law.interval(level)
    return Reduction(1 - a.estimate / b.estimate, float(1 - np.exp(high)), float(1 - np.exp(low)), law)


def coverage(supported: ArrayLike, unsupported: ArrayLike, answered: ArrayLike) -> Coverage:
    """Return correct and incorrect claims per prompt, abstentions as zeros, and the share answered."""
    there = np.asarray(answered, dtype=bool)
    right, wrong = (np.where(there, np.asarray(count, dtype=float), 0.0) for count in (supported, unsupported))
    return Coverage(float(right.mean()), float(wrong.mean()), float(there.mean()))


def factscore(supported: ArrayLike, facts: ArrayLike, fewest: float = FEWEST_FACTS) -> FactScore:
    """Return the mean over answered prompts of (supported / facts) * penalty.

    The penalty is 1 for more than ``fewest`` facts, else exp(1 - fewest / facts); ``fewest`` = 0 is none. A response
    without facts scores 0. Abstentions are not among the rows: report ``Coverage.responded`` beside the score. Raises
    DataError without any row.
    """
    right, all_of = np.asarray(supported, dtype=float), np.asarray(facts, dtype=float)
    if len(all_of) == 0:
        raise DataError("every response abstains: a FActScore does not exist")
    at_least_one = np.maximum(all_of, 1)
    share = np.where(all_of > 0, right / at_least_one, 0.0)
    scores = share * np.where(all_of > fewest, 1.0, np.exp(1 - fewest / at_least_one))
    error = float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else None
    return FactScore(float(scores.mean()), error, float(share.mean()), float(all_of.mean()), scores)


def _paired(a: Ratio, b: Ratio, estimate: float, influence: FloatArray) -> Confidence:
    if not np.array_equal(a.clusters, b.clusters):
        raise ValueError("a paired comparison needs the same prompts, in the same order and clusters, on both sides")
    if int(a.clusters.max()) == 0:
        raise ValueError("a paired comparison needs two independent prompts")
    error = clustered_standard_error(influence, a.clusters)
    return Confidence(estimate, error**2, int(a.clusters.max()))
