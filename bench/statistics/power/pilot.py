"""From the variances of a pilot to the seeds or prompts that a given effect needs.

With ``Spread`` (standard deviations over seeds, over prompts, and of one cell beyond both) a crossing of n prompts and
s seeds has Var(mean) = V_seed/s + V_prompt/n + V_residual/(n s). For one seed this is Miller's formula (2024, arXiv
2411.00640): omega^2 = V_prompt is the variance of the true difference over prompts and V_residual the variance of both
responses to one prompt, divided by the draws. With several seeds the variance over seeds is known from s - 1 degrees of
freedom only; the power is then that of the confidence law that the data will be put through.
"""

from __future__ import annotations

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
    """Return the smallest count between ``least`` and ``most`` whose detectable effect is at most ``effect``."""

    def enough(count: int) -> bool:
        found = reach(count)
        return found is not None and found <= effect

    if not enough(most):
        return None
    low, high = least, most
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low
