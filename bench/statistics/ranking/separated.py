"""Methods between which one side won everything: told apart by the battles between the sides, not by strengths.

Where every battle between two sets of methods went to one of them, the strengths between the sets have no finite
value and no error. What is known is that the better set won every prompt on which they met: that share of 1 is tested
against one half by the law of a mean with bounds (``bench.statistics.tests.support``), as a win rate is. Sets that did
not meet are ordered through those that they both met; each step must hold, so the largest p on the way counts, and of
several ways the best (an intersection-union test, Berger 1982, Technometrics 24:295).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, crossed_effects

EVEN, SHARES = 0.5, (0.0, 1.0)


@dataclass(frozen=True)
class Across:
    """Which methods' strengths can be compared, and who is better where they cannot; both (methods, methods).

    ``p`` is that of "the first is no better than the second" for methods that are not ``comparable``; 1 where no chain
    of battles orders them, and for those that are.
    """

    comparable: NDArray[np.bool_]
    p: FloatArray


def across_groups(
    groups: Sequence[Sequence[str]],
    names: Sequence[str],
    sides: tuple[Sequence[str], Sequence[str]],
    outcome: FloatArray,
    units: IntArray,
    seeds: int,
) -> Across:
    """Return what the battles say about methods of different ``groups``, in the order of ``names``.

    ``groups`` are the sets between which one side won everything. ``sides`` and ``outcome`` (battles) are as in
    ``bradley_terry``; ``units`` (battles) are codes of the independent units, clusters of prompts, that the battles
    belong to, each seen at ``seeds`` seeds.
    """
    group = {name: number for number, members in enumerate(groups) for name in members}
    met: dict[tuple[int, int], set[int]] = {}
    for one, other, won, unit in zip(*sides, outcome.tolist(), units.tolist(), strict=True):
        if group[one] != group[other]:
            better, worse = (one, other) if won == 1 else (other, one)
            met.setdefault((group[better], group[worse]), set()).add(unit)
    p = np.ones((len(groups), len(groups)))
    for pair, shared in met.items():
        p[pair] = all_won_p(len(shared), seeds)
    for via in range(len(groups)):
        p = np.minimum(p, np.maximum(p[:, [via]], p[[via], :]))
    place = np.array([group[name] for name in names])
    return Across(place[:, None] == place, p[np.ix_(place, place)])


def all_won_p(units: int, seeds: int) -> float:
    """Return the one-sided p-value of "at most half are won", where all of ``units`` x ``seeds`` were won.

    1 for a single unit, which no test can rest on.
    """
    if units < 2:
        return 1.0
    return float(crossed_effects(np.ones((units, seeds)), None, SHARES).confidence.below(EVEN))
