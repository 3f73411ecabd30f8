"""Two methods at equal length through the one that both were judged against: a paired difference of win rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from bench.statistics.crossing.crossing import Crossing, Request, codes
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.random_effects import crossed_effects

DIFFERENCE = "difference_over_versus"


def through_common(controlled: Mapping[Request, Crossing], request: Request, versus: str | None) -> Confidence | None:
    """Return the law of a's win rate over ``versus`` minus b's, both at equal length, on the scale of shares.

    ``controlled`` has the pseudo-values of each pair (``at_equal_length``); they are paired by prompt and seed. None
    where a or b is ``versus``, was not judged against it or has no finite error, or fewer than two independent prompts
    are shared.
    """
    if versus is None or versus in (request.a, request.b):
        return None
    sides = [_over(controlled, request, arm, versus) for arm in (request.a, request.b)]
    a, b = sides
    if a is None or b is None or a.untestable is not None or b.untestable is not None:
        return None
    places = [{prompt: number for number, prompt in enumerate(side.prompts)} for side in (a, b)]
    shared = sorted(set(a.prompts) & set(b.prompts))
    rows = [[place[prompt] for prompt in shared] for place in places]
    clusters = codes(str(cluster) for cluster in a.clusters[rows[0]])
    if not shared or int(clusters.max()) < 1:
        return None
    return crossed_effects(
        a.values[rows[0]] - b.values[rows[1]], clusters if int(clusters.max()) + 1 < len(shared) else None
    ).confidence


def difference_numbers(law: Confidence, level: float) -> dict[str, float | None]:
    """Return the difference, its interval and its p-value, as a contrast has them beside its own numbers."""
    low, high = law.interval(level)
    return {
        DIFFERENCE: float(np.asarray(law.estimate)),
        f"{DIFFERENCE}_low": low,
        f"{DIFFERENCE}_high": high,
        f"{DIFFERENCE}_p": float(law.p_value(0.0)),
    }


def _over(controlled: Mapping[Request, Crossing], request: Request, arm: str, versus: str) -> Crossing | None:
    """Return the pseudo-values of an arm over ``versus``, turned round where they were made the other way."""
    there = controlled.get(dataclasses.replace(request, a=arm, b=versus))
    if there is not None:
        return there
    back = controlled.get(dataclasses.replace(request, a=versus, b=arm))
    return None if back is None else dataclasses.replace(back, values=_turned(back.values))


def _turned(values: FloatArray) -> FloatArray:
    return 1.0 - values
