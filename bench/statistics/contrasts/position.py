"""How the verdicts of one judge agree over the two presentation orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.results.conclusions.judge_audit import Measure
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.proportions import ROUNDING, mean, share
from bench.statistics.tests.random_effects import IntArray


@dataclass(frozen=True)
class OrderAgreement:
    """``conservative`` is the win rate when a disagreement of the orders counts as a tie.

    ``consistency`` is the share of pairs judged alike in both orders. ``position_p`` is the exact binomial p-value of
    "among pairs whose winner flips with the order, the first position wins as often as the second"; None without any.
    """

    conservative: float
    consistency: float
    position_p: float | None


def order_agreement(when_first: FloatArray, when_second: FloatArray) -> OrderAgreement:
    """Return the agreement of preferences for a method shown first and shown second; arrays of one shape.

    The rule for the conservative value is FastChat's (equal verdicts stand, unequal ones are a tie); a preference
    between 0 and 1 is first rounded to win, tie or loss.
    """
    first, second = np.sign(when_first - 0.5), np.sign(when_second - 0.5)
    same = first == second
    flipped = first * second < 0
    flips = int(flipped.sum())
    favoured_first = int((flipped & (first > 0)).sum())
    return OrderAgreement(
        conservative=float(conservative(when_first, when_second).mean()),
        consistency=float(same.mean()),
        position_p=float(stats.binomtest(favoured_first, flips, 0.5).pvalue) if flips else None,
    )


def conservative(when_first: FloatArray, when_second: FloatArray) -> FloatArray:
    """Return 1 where both orders name the method, 0 where both name the other, and 0.5 elsewhere, of the same shape."""
    first, second = np.sign(when_first - 0.5), np.sign(when_second - 0.5)
    return np.where(first == second, 0.5 + first / 2, 0.5)


def conservative_win_rate(
    when_first: FloatArray, when_second: FloatArray, clusters: IntArray, level: float
) -> Measure:  # fmt: skip
    """Return the mean of the conservative verdicts, (prompts, seeds, draws), with the interval of the default test.

    The bounds stay within [0, 1]; verdicts that are all alike have the interval of a share.
    """
    values = conservative(when_first, when_second).mean(axis=2)
    if float(np.ptp(values)) <= ROUNDING:
        return share(values, np.ones(values.shape), clusters, level)
    found = mean(values, clusters, level, values.size)
    if found.low is None or found.high is None:
        return found
    return found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})
