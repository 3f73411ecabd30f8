"""The alignment tax: what a method costs on benchmarks, against the policy that preference training starts from."""

from __future__ import annotations

from typing import Literal

from bench.core.frozen import Frozen
from bench.results.conclusions.contrast import SpeaksAbout

TaxVerdict = Literal["kept", "lost", "undecided"]


class Tax(Frozen):
    """Arm ``arm`` against ``versus`` on one metric of a benchmark, per document.

    ``advantage`` is positive where the arm is better, on the metric's scale; ``lower`` and ``upper`` are its one-sided
    bounds, each at ``level``. ``kept``: it is worse by less than ``margin`` (lower > -margin); ``lost``: it is worse by
    more (upper < -margin). ``p`` is that of non-inferiority at the margin. Numbers are None where there is nothing to
    test, with the reason in ``note``.
    """

    arm: str
    versus: str
    task: str
    metric: str
    margin: float
    level: float
    advantage: float | None
    lower: float | None
    upper: float | None
    p: float | None
    mean_arm: float | None
    mean_versus: float | None
    verdict: TaxVerdict
    n_prompts: int
    n_runs: int
    n_missing: int
    speaks_about: SpeaksAbout
    note: str = ""
