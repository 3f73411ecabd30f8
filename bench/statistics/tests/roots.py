"""Where a function of one number is zero, without ``scipy.optimize``, which takes half a second to load."""

from __future__ import annotations

import math
from collections.abc import Callable

# A root is known to half of ``tolerance + RELATIVE * |root|``. RELATIVE is as small as doubles allow.
RELATIVE = 4 * 2.0**-52
MOST_STEPS = 100


def root(function: Callable[[float], float], low: float, high: float, tolerance: float = 2e-12) -> float:
    """Return a zero between two ends at which the function has different signs; raises ValueError for equal signs.

    Brent's method (1973, Algorithms for Minimization without Derivatives, ch. 4), step by step as
    ``scipy.optimize.brentq`` does it, so that the results are the same to the last digit.
    """
    before, best = float(low), float(high)
    f_before, f_best = function(before), function(best)
    if f_before == 0:
        return before
    if f_best == 0:
        return best
    if not (f_before < 0 < f_best or f_best < 0 < f_before):
        raise ValueError(f"no root between {low:g} and {high:g}: the function is {f_before:g} and {f_best:g} there")
    across, f_across, last, step = before, f_before, 0.0, 0.0
    for _ in range(MOST_STEPS):
        if f_before < 0 < f_best or f_best < 0 < f_before:
            across, f_across = before, f_before
            last = step = best - before
        if abs(f_across) < abs(f_best):
            before, best, across = best, across, best
            f_before, f_best, f_across = f_best, f_across, f_best
        enough = (tolerance + RELATIVE * abs(best)) / 2
        half = (across - best) / 2
        if f_best == 0 or abs(half) < enough:
            return best
        tried = math.inf
        if abs(last) > enough and abs(f_best) < abs(f_before):
            tried = _interpolated((before, f_before), (best, f_best), (across, f_across))
        # A step that is too long, or none at all: halve the interval instead.
        good = 2 * abs(tried) < min(abs(last), 3 * abs(half) - enough)
        last, step = (step, tried) if good else (half, half)
        before, f_before = best, f_best
        best += step if abs(step) > enough else math.copysign(enough, half)
        f_best = function(best)
    raise ValueError(f"no root found between {low:g} and {high:g} in {MOST_STEPS} steps")


def _interpolated(before: tuple[float, float], best: tuple[float, float], across: tuple[float, float]) -> float:
    """Return the step from ``best`` to where a line, or with three points an inverse parabola, is zero."""
    (x_before, f_before), (x, f), (x_across, f_across) = before, best, across
    if x_before == x_across:
        return -f * (x - x_before) / (f - f_before)
    slope, slope_across = (f_before - f) / (x_before - x), (f_across - f) / (x_across - x)
    below = slope_across * slope * (f_across - f_before)
    return -f * (f_across * slope_across - f_before * slope) / below if below else math.inf
