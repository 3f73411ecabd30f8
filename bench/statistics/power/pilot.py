"""From the variances of a pilot to the seeds or prompts that a given effect needs.

With ``Spread`` (standard deviations over seeds, over prompts, and of one cell beyond both) a crossing of n prompts and
s seeds has Var(mean) = V_seed/s + V_prompt/n + V_residual/(n s). For one seed this is Miller's formula (2024, arXiv
2411.00640): omega^2 = V_prompt is the variance of the true difference over prompts and V_residual the variance of both
responses to one prompt, divided by the draws. With several seeds the variance over seeds is known from s - 1 degrees of
freedom only; the power is then that of the confidence law that the data will be put through.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.statistics.power.detectable import LEVEL, Spread, planned_smallest_detectable

MOST_SEEDS = 1_000
MOST_PROMPTS = 10_000_000


def seeds_needed(effect: float, n_prompts: int, spread: Spread, level: float = LEVEL) -> int | None:
    """Return the fewest training seeds, two or more, that find ``effect`` with 80% power on ``n_prompts`` prompts.

    None where MOST_RUNS are not enough, because the prompts' part of the variance stays.
    """
    return _fewest(lambda n: planned_smallest_detectable(n_prompts, n, spread, level), effect, 2, MOST_SEEDS)


def prompts_needed(effect: float, n_seeds: int, spread: Spread, level: float = LEVEL) -> int | None:
    """Return the fewest independent prompts that find ``effect`` with 80% power over ``n_seeds`` training seeds.

    None where MOST_PROMPTS are not enough, because the seeds' part of the variance stays. With one seed the answer
    speaks about these trained models.
    """
    return _fewest(lambda n: planned_smallest_detectable(n, n_seeds, spread, level), effect, 2, MOST_PROMPTS)


def _fewest(reach: Callable[[int], float | None], effect: float, least: int, most: int) -> int | None:
    """Return the smallest count between ``least`` and ``most`` whose detectable effect is at most ``effect``.

    What is detectable falls about with the root of the count, so the next count to look at is where a line through the
    logarithms of both ends meets the effect. Where that has not halved what is left, the middle is looked at instead.
    """
    ends = {count: reach(count) for count in (least, most)}
    if not _is_enough(ends[most], effect):
        return None
    if _is_enough(ends[least], effect):
        return least
    low, high, middle = least, most, False
    while high - low > 1:
        between = None if middle else _where_met((low, ends[low]), (high, ends[high]), effect)
        count = (low + high) // 2 if between is None else min(max(int(between), low + 1), high - 1)
        before, ends[count] = high - low, reach(count)
        low, high = (low, count) if _is_enough(ends[count], effect) else (count, high)
        middle = 2 * (high - low) > before
    return high


def _is_enough(found: float | None, effect: float) -> bool:
    return found is not None and found <= effect


def _where_met(low: tuple[int, float | None], high: tuple[int, float | None], effect: float) -> float | None:
    """Return the count at which a line through two ends, both axes logarithms, is at the effect; None without one."""
    (few, wide), (many, narrow) = low, high
    if not wide or not narrow or not effect > 0 or wide <= narrow:
        return None
    share = math.log(wide / effect) / math.log(wide / narrow)
    return float(few * (many / few) ** share)
