"""Contrasts: what the statistics conclude about two methods on one metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.core.frozen import Frozen
from bench.core.metrics import WIN_RATE

# "Higher" where the metric has no better side: the difference is decided, and nobody is better by it.
VerdictOnPair = Literal["a better", "b better", "a higher", "b higher", "undecided"]
Role = Literal["primary", "secondary"]
SpeaksAbout = Literal["these trained models", "the training procedure"]


class Contrast(Frozen):
    """Method ``a`` against method ``b`` on one metric.

    ``estimate`` is on the metric's own scale: for ``win_rate`` the mean preference for a over b (null value 0.5),
    for every other metric the mean paired difference a - b (null value 0). ``low`` and ``high`` (the single
    interval) bound it at ``level``; ``adjusted_low`` and ``adjusted_high`` (the adjusted interval) are corrected within
    ``family`` as ``p_adjusted`` is, so that they exclude the null value exactly when the contrast is decided. ``p`` is
    two-sided and single; both p-values are None where no test is possible, with the reason in ``note``.
    ``smallest_detectable`` is found with 80% power at the first step of a family of ``tests_in_family`` tests; its
    ``_low`` and ``_high`` are those for the 80% limits of the seeds' variance (None with one seed).
    ``own_reward`` names those of the two that learnt from the judge. ``role`` says whether the question is about this
    metric and judge; None in a file of an earlier version. ``support`` holds (value, share) of the independent units
    where values have bounds, which are its first and last value: from it comes the variance that a tested value demands
    (``bench.statistics.tests.support``).
    """

    a: str
    b: str
    task: str
    metric: str
    judge: str | None
    estimate: float | None
    low: float | None
    high: float | None
    level: float
    null_value: float
    p: float | None
    p_adjusted: float | None
    test: str
    standard_error: float | None
    degrees_of_freedom: float | None
    smallest_detectable: float | None
    mean_a: float | None
    mean_b: float | None
    n_prompts: int
    n_runs: int
    n_missing: int
    speaks_about: SpeaksAbout
    verdict: VerdictOnPair
    family: str
    higher_is_better: bool | None
    is_control: bool = False
    per_run: tuple[float | None, ...] = ()
    also: dict[str, float | None] = {}
    components: dict[str, float] = {}
    support: tuple[tuple[float, float], ...] = ()
    adjusted_low: float | None = None
    adjusted_high: float | None = None
    smallest_detectable_low: float | None = None
    smallest_detectable_high: float | None = None
    tests_in_family: int = 1
    own_reward: tuple[str, ...] = ()
    role: Role | None = None
    note: str = ""


def shown_interval(contrast: Contrast) -> tuple[float, float] | None:
    """Return the adjusted interval, which agrees with the verdict; the single one where there is no adjusted one."""
    if contrast.adjusted_low is not None and contrast.adjusted_high is not None:
        return contrast.adjusted_low, contrast.adjusted_high
    return None if contrast.low is None or contrast.high is None else (contrast.low, contrast.high)


def primary_of(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Return the contrasts that the question is about.

    Of a file of an earlier version, without roles, the win rates, or those of the first metric where there are none.
    """
    if any(item.role is not None for item in contrasts):
        return tuple(item for item in contrasts if item.role == "primary")
    win_rates = tuple(item for item in contrasts if item.metric == WIN_RATE.name)
    if win_rates or not contrasts:
        return win_rates
    return tuple(item for item in contrasts if item.metric == contrasts[0].metric)
