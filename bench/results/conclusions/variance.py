"""Where the uncertainty of a contrast comes from, and what more seeds or prompts would buy."""

from __future__ import annotations

from typing import Literal

from bench.core.frozen import Frozen

Source = Literal["seeds", "prompts", "prompts x seeds", "draws", "judge"]


class VarianceSource(Frozen):
    """One source of variance of a contrast.

    ``sd`` is the standard deviation of a single value by this source, on the metric's scale (for prompts in clusters:
    of a cluster's mean; for the judge: of one call). ``of_mean`` is what it adds to the variance of the estimate, and
    ``share`` that as a share of the sum over all sources. All three are None where the data cannot separate this source
    from another; ``within`` then names the source that holds it.
    """

    source: Source
    sd: float | None
    of_mean: float | None
    share: float | None
    within: Source | None = None


class PlannedDesign(Frozen):
    """How many seeds and prompts, and what they are expected to give with the variances seen."""

    n_runs: int
    n_prompts: int
    standard_error: float
    smallest_detectable: float


class SampleSize(Frozen):
    """What it takes to find ``effect`` with 80% power; None where no number of that kind is enough.

    ``_low`` and ``_high``: the same at the 80% limits of the seeds' variance (as the point with one seed).
    """

    effect: float
    n_runs: int | None
    n_prompts: int | None
    n_runs_low: int | None = None
    n_runs_high: int | None = None
    n_prompts_low: int | None = None
    n_prompts_high: int | None = None


class SeedSpread(Frozen):
    """How far one arm's training seeds lie apart on the primary metric: ``sd`` of its means at the seeds, ``per_run``.

    ``of`` what: its own values; its preference over ``versus``, whose seeds are in it; or, for ``versus`` itself, what
    the others have in common. ``unlike_p``: of the widest arm, the p-value that its spread is the others'.
    """

    arm: str
    task: str
    metric: str
    judge: str | None
    per_run: tuple[float, ...]
    sd: float
    of: Literal["own values", "preference over versus", "what the others have in common"]
    unlike_p: float | None = None


class Decomposition(Frozen):
    """The variance of one contrast by source. ``effect`` is estimate minus null value; ``designs``: the present first.

    ``level`` is that of the first step of the family's correction, at which designs and needs are worked out.

    ``n_units`` counts clusters of prompts where prompts come in clusters.
    """

    a: str
    b: str
    task: str
    metric: str
    judge: str | None
    effect: float
    standard_error: float
    n_prompts: int
    n_units: int
    n_runs: int
    n_draws: int
    level: float = 0.95
    parts: tuple[VarianceSource, ...]
    designs: tuple[PlannedDesign, ...]
    needed: tuple[SampleSize, ...]
