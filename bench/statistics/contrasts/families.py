"""Corrections within families of contrasts, and the verdicts that rest on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.config.comparison import StatisticsSettings
from bench.results.conclusions.contrast import Contrast, VerdictOnPair
from bench.statistics.contrasts.primary import after_primary
from bench.statistics.contrasts.seed_variance import clipped
from bench.statistics.crossing.crossing import Crossing, codes
from bench.statistics.power.detectable import detectable_by
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.corrections import Correction, adjusted, alpha_of, first_step_level, step_levels
from bench.statistics.tests.margin_tests import law_of_contrast
from bench.statistics.tests.max_t import max_t, max_t_over_seeds
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.resampling import design_seed


def corrected(
    contrasts: Sequence[Contrast],
    crossings: Sequence[Crossing],
    labels: Mapping[str, Mapping[str, str]],
    settings: StatisticsSettings,
) -> list[Contrast]:
    """Return the contrasts with adjusted p-values, adjusted intervals and verdicts.

    They have their roles already. ``crossings`` are those of the contrasts; ``labels`` gives for each task the cluster
    of every prompt.
    """
    families: dict[str, list[int]] = {}
    for place, contrast in enumerate(contrasts):
        if contrast.p is not None:
            families.setdefault(contrast.family, []).append(place)
    p_adjusted: dict[int, float] = {}
    for members in families.values():
        raw = [p for place in members if (p := contrasts[place].p) is not None]
        if settings.correction == "max_t":
            family = [contrasts[place] for place in members]
            side_by_side = aligned(family, [crossings[place] for place in members], labels)
            found = _max_t(family, raw, side_by_side, settings.resamples)
        else:
            found = adjusted(raw, settings.correction)
        p_adjusted.update(zip(members, found, strict=True))
    steps: Sequence[tuple[list[int], Correction | Literal["max_t"]]]
    steps = [(members, settings.correction) for members in families.values()]
    if settings.secondary == "after_primary":
        within = [item.model_copy(update={"p_adjusted": p_adjusted.get(at)}) for at, item in enumerate(contrasts)]
        secondary = after_primary(within)
        p_adjusted |= secondary
        steps = [(list(secondary), "holm"), *(step for step in steps if step[0][0] not in secondary)]
    levels: dict[int, float] = {}
    for members, correction in steps:
        raw = [p for place in members if (p := contrasts[place].p) is not None]
        found = [p_adjusted[place] for place in members]
        levels.update(zip(members, step_levels(raw, found, correction, alpha_of(settings.level)), strict=True))
    result: list[Contrast] = []
    for place, contrast in enumerate(contrasts):
        p = p_adjusted.get(place)
        low, high = adjusted_interval(contrast, levels.get(place))
        update = {"p_adjusted": p, "adjusted_low": low, "adjusted_high": high, "verdict": verdict_of(contrast, p)}
        tests = len(families.get(contrast.family, ()))
        result.append(contrast.model_copy(update={**update, **_detectable(contrast, tests, settings)}))
    return result


def adjusted_interval(contrast: Contrast, alpha: float | None) -> tuple[float | None, float | None]:
    """Return the interval at 1 - alpha by the law behind the contrast's p; None without a law or without an interval.

    A contrast without an interval of its own (no variance) has no adjusted one either. Where p is at its level the
    interval ends at the null value, and the rounding of the search for its end decides nothing.
    """
    law = law_of_contrast(contrast)
    if alpha is None or law is None or contrast.low is None or contrast.p is None:
        return None, None
    low, high = clipped(contrast, law.interval(1 - alpha))
    null = contrast.null_value
    return (low, high) if contrast.p < alpha else (min(low, null), max(high, null))


def _detectable(contrast: Contrast, tests: int, settings: StatisticsSettings) -> dict[str, float | int | None]:
    """Return what could be detected at the first step of a family of so many tests; nothing without a spread."""
    law = law_of_contrast(contrast)
    if law is None or contrast.smallest_detectable is None or contrast.p is None:
        return {}
    level = first_step_level(settings.level, tests, settings.correction)
    reach, low, high = detectable_by(law, contrast.n_runs, level)
    return {
        "smallest_detectable": reach,
        "smallest_detectable_low": low,
        "smallest_detectable_high": high,
        "tests_in_family": 1 if settings.correction == "none" else tests,
    }


@dataclass(frozen=True)
class Aligned:
    """Contrasts side by side: ``values`` (contrasts, prompts), means over seeds minus the null value.

    Prompts of all tasks follow one another; a contrast has the value 0 for a prompt that is not ``there``.
    ``clusters`` has a code per prompt.
    """

    values: FloatArray
    there: NDArray[np.bool_]
    clusters: IntArray


def aligned(
    contrasts: Sequence[Contrast], crossings: Sequence[Crossing], labels: Mapping[str, Mapping[str, str]]
) -> Aligned:
    """Return the crossings of a family side by side."""
    pairs = list(zip(contrasts, crossings, strict=True))
    everywhere = sorted({(contrast.task, prompt) for contrast, crossing in pairs for prompt in crossing.prompts})
    place = {name: number for number, name in enumerate(everywhere)}
    values = np.zeros((len(pairs), len(everywhere)))
    there = np.zeros(values.shape, dtype=bool)
    for row, (contrast, crossing) in enumerate(pairs):
        at = [place[contrast.task, prompt] for prompt in crossing.prompts]
        values[row, at] = crossing.values.mean(axis=1) - contrast.null_value
        there[row, at] = True
    return Aligned(values, there, codes(f"{task}\0{labels[task][prompt]}" for task, prompt in everywhere))


def _max_t(contrasts: Sequence[Contrast], raw: Sequence[float], given: Aligned, resamples: int) -> list[float]:
    """Return max-T adjusted p-values, never below the raw ones; with one seed by signs of the prompts."""
    seeds = contrasts[0].n_runs
    seed = design_seed("max-T", int(given.clusters.max()) + 1, seeds, resamples)
    if seeds > 1:
        return max_t_over_seeds(raw, [_law(item) for item in contrasts], correlations(given), resamples, seed)
    found = max_t(given.values, given.clusters, resamples, seed)
    return [max(pair) for pair in zip(raw, found, strict=True)]


def correlations(given: Aligned) -> FloatArray:
    """Return the correlation (contrasts, contrasts) over clusters of prompts; 0 where nothing varies."""
    means = given.values.sum(axis=1) / np.maximum(given.there.sum(axis=1), 1)
    sums = cluster_sums(np.where(given.there, given.values - means[:, None], 0.0), given.clusters)
    length = np.sqrt((sums**2).sum(axis=1))
    scaled = sums / np.where(length > 0, length, 1.0)[:, None]
    found = scaled @ scaled.T
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _law(contrast: Contrast) -> Confidence:
    """Return the law behind a contrast's p; one unit of prompt variance where it had no variance to test with."""
    return law_of_contrast(contrast) or Confidence(0.0, 1.0, 1.0, 0.0, contrast.n_runs - 1)


def verdict_of(contrast: Contrast, p_adjusted: float | None) -> VerdictOnPair:
    """Return which of the two is better, or higher where no side is; undecided unless adjusted p is below 1 - level."""
    if p_adjusted is None or contrast.estimate is None:
        return "undecided"
    if p_adjusted >= alpha_of(contrast.level):
        return "undecided"
    a_is_higher = contrast.estimate > contrast.null_value
    if contrast.higher_is_better is None:
        return "a higher" if a_is_higher else "b higher"
    return "a better" if a_is_higher == contrast.higher_is_better else "b better"
