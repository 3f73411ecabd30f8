"""The variance of a contrast by source: seeds, prompts, their interaction, draws of a response, and the judge.

With r a training seed, p a prompt, k a draw and o the presentation order of the two responses,

    d[p, r, k, o] = mean + seed[r] + prompt[p] + (prompt x seed)[p, r] + draw[p, r, k] + judge[p, r, k, o]

The first three variances come from the crossed random effects of the cells (``random_effects``), whose residual holds
the interaction and, divided by the draws, what varies within a cell. Within cells, ``within_cells`` estimates

    V_judge = Var(d[first] - d[second]) / 2     over p, r, k: a constant position bias cancels
    V_draw  = MS_draw - V_judge / 2             MS_draw: between draws of one cell, orders averaged

each truncated at 0. Of a moderated contrast the seeds' variance is the moderated one, with which it is tested. With one
draw V_draw cannot be separated from the interaction, with one order V_judge not from the draws, and with one seed
neither the seeds nor the interaction from the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.variance import Decomposition, PlannedDesign, SampleSize, Source, VarianceSource
from bench.statistics.contrasts.seed_variance import RESIDUAL, UNITS, seed_component
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.power.detectable import Spread, planned_smallest_detectable, variance_limits
from bench.statistics.power.pilot import prompts_needed, seeds_needed
from bench.statistics.tests.betting import BETTING
from bench.statistics.tests.corrections import first_step_level
from bench.statistics.tests.margin_tests import SEED_DF, SEED_VARIANCE

# Names among a contrast's components; a variance that cannot be separated from another is not there.
DRAW, JUDGE, DRAWS = "draw", "judge", "draws"
ORDERS = 2


def within_cells(crossing: Crossing) -> dict[str, float]:
    """Return the variances of a draw and of a judge's call where they are separable, and the counts of both axes."""
    found = {UNITS: float(crossing.clusters.max()) + 1}
    if crossing.drawn is None:
        return found
    found[DRAWS] = float(crossing.drawn.shape[2])
    judge = 0.0
    if crossing.first is not None and crossing.second is not None:
        judge = found[JUDGE] = float(np.var(crossing.first - crossing.second, ddof=1)) / ORDERS
    if crossing.drawn.shape[2] > 1:
        between = float(crossing.drawn.var(axis=2, ddof=1).mean())
        found[DRAW] = max(0.0, between - judge / ORDERS)
    return found


def decompositions(contrasts: Sequence[Contrast], detect: float | None) -> tuple[Decomposition, ...]:
    """Return the decomposition of every contrast that has variances, in order.

    ``detect`` is the effect whose sample sizes are wanted; None takes half of the present minimum detectable effect.
    """
    return tuple(found for contrast in contrasts if (found := _decomposed(contrast, detect)) is not None)


def _decomposed(contrast: Contrast, detect: float | None) -> Decomposition | None:
    given, reach = contrast.components, contrast.smallest_detectable
    if contrast.estimate is None or not contrast.standard_error or DRAWS not in given or "prompt" not in given:
        return None
    effect = detect if detect is not None else (reach or 0.0) / 2
    units, seeds, draws = int(given[UNITS]), contrast.n_runs, int(given[DRAWS])
    # With one seed the prompts' component holds all that varies within a cell; the spread over seeds is not seen.
    spread = Spread(seed_component(contrast) ** 0.5, given["prompt"] ** 0.5, given.get(RESIDUAL, 0.0) ** 0.5)
    # What the betting test needs does not follow from the variances.
    by_variance = contrast.test != BETTING
    designs = _designs(contrast, units, spread) if by_variance else ()
    return Decomposition(
        a=contrast.a,
        b=contrast.b,
        task=contrast.task,
        metric=contrast.metric,
        judge=contrast.judge,
        effect=contrast.estimate - contrast.null_value,
        standard_error=contrast.standard_error,
        n_prompts=contrast.n_prompts,
        n_units=units,
        n_runs=seeds,
        n_draws=draws,
        parts=_parts(contrast, units, draws),
        designs=designs,
        needed=(_needed(contrast, effect, units, spread),) if by_variance else (),
        level=_level(contrast),
    )


def _level(contrast: Contrast) -> float:
    """Return the level of the first step of the contrast's family."""
    return first_step_level(contrast.level, contrast.tests_in_family, "holm")


def _needed(contrast: Contrast, effect: float, units: int, spread: Spread) -> SampleSize:
    """Return the sample sizes at the variance of seeds that was seen, and at its limits."""
    seeds, level, per_unit = contrast.n_runs, _level(contrast), contrast.n_prompts / units
    spreads = [spread, *_at_limits(contrast, units, spread)]
    runs = [seeds_needed(effect, units, one, level) if seeds > 1 else None for one in spreads]
    prompts = [
        None if (found := prompts_needed(effect, seeds, one, level)) is None else round(found * per_unit)
        for one in spreads
    ]
    return SampleSize(
        effect=effect,
        n_runs=runs[0],
        n_prompts=prompts[0],
        n_runs_low=runs[1],
        n_runs_high=runs[2],
        n_prompts_low=prompts[1],
        n_prompts_high=prompts[2],
    )


def _at_limits(contrast: Contrast, units: int, spread: Spread) -> tuple[Spread, Spread]:
    """Return the spreads at the lower and the upper limit of the seeds' mean square."""
    seeds, parts = contrast.n_runs, contrast.components
    of_mean = parts.get(SEED_VARIANCE, 0.0)
    if seeds < 2 or of_mean == 0:
        return spread, spread
    cell = spread.residual**2 / units
    low, high = variance_limits(of_mean * seeds, parts.get(SEED_DF, seeds - 1.0))
    calm, wild = (dataclasses.replace(spread, seed=max(one - cell, 0.0) ** 0.5) for one in (low, high))
    return calm, wild


def _parts(contrast: Contrast, units: int, draws: int) -> tuple[VarianceSource, ...]:
    """Return the sources in order, with shares of their sum."""
    given, seeds = contrast.components, contrast.n_runs
    cells = contrast.n_prompts * seeds
    judge = given.get(JUDGE)
    known: dict[Source, tuple[float, float]] = {}
    if judge is not None:
        known["judge"] = judge, judge / (ORDERS * draws * cells)
    if DRAW in given:
        known["draws"] = given[DRAW], given[DRAW] / (draws * cells)
    inside = sum(of_mean for _, of_mean in known.values())
    if seeds > 1:
        of_seeds = seed_component(contrast)
        known["seeds"] = of_seeds, of_seeds / seeds
        known["prompts"] = given["prompt"], given["prompt"] / units
        interaction = max(0.0, given[RESIDUAL] / (units * seeds) - inside)
        known["prompts x seeds"] = interaction * units * seeds, interaction
    else:
        beyond = max(0.0, given["prompt"] / units - inside)
        known["prompts"] = beyond * units, beyond
    return tuple(_listed(known))


def _listed(known: dict[Source, tuple[float, float]]) -> Iterator[VarianceSource]:
    total = sum(of_mean for _, of_mean in known.values())
    rest: Source = "prompts x seeds" if "prompts x seeds" in known else "prompts"
    holders: dict[Source, Source | None] = {
        "seeds": None,
        "prompts": None,
        "prompts x seeds": "prompts",
        "draws": rest,
        "judge": "draws" if "draws" in known else rest,
    }
    for source, holder in holders.items():
        if source in known:
            variance, of_mean = known[source]
            yield VarianceSource(
                source=source, sd=variance**0.5, of_mean=of_mean, share=of_mean / total if total > 0 else 0.0
            )
        else:
            yield VarianceSource(source=source, sd=None, of_mean=None, share=None, within=holder)


def _designs(contrast: Contrast, units: int, spread: Spread) -> tuple[PlannedDesign, ...]:
    """Return the present design, and those with twice and four times the prompts, the seeds, and both."""
    seeds = contrast.n_runs
    grid = [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (2, 2)] if seeds > 1 else [(1, 1), (2, 1), (4, 1)]
    found: list[PlannedDesign] = []
    for more_prompts, more_seeds in grid:
        n, s = units * more_prompts, seeds * more_seeds
        variance = spread.seed**2 / s + spread.prompt**2 / n + spread.residual**2 / (n * s)
        reach = planned_smallest_detectable(n, s, spread, _level(contrast))
        if reach is not None:
            found.append(
                PlannedDesign(
                    n_runs=s,
                    n_prompts=contrast.n_prompts * more_prompts,
                    standard_error=variance**0.5,
                    smallest_detectable=reach,
                )
            )
    return tuple(found)
