"""One method now against itself in an earlier run: paired by prompt, two independent samples of training seeds.

With a matrix of values (prompts, seeds) on each side, and effects as in ``bench.statistics.tests.random_effects``,

    now[prompt, seed] - mean = seed effect + prompt effect + residual            (the same for then)
    Var(mean now - mean then) = V_seed/s + V_seed'/s' + V_difference/n + V_res/(n s) + V_res'/(n s')

where V_difference is the variance over prompts of the difference of the two prompt effects, which is small because the
prompts are the same. Each side's ``V_seed/s + V_res/(n s)`` is its seeds' mean square / (n s), with s - 1 degrees of
freedom; what remains is the variance over prompts of the difference of means, less both residual terms.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from bench.statistics.tests.confidence import DUST, Confidence, FloatArray
from bench.statistics.tests.random_effects import CrossedEffects, IntArray, crossed_effects, independent_prompts
from bench.statistics.tests.support import Support


@dataclass(frozen=True)
class EarlierEffects:
    """The law of (mean now - mean then), and each side's variance of seed effects (None with single seeds)."""

    confidence: Confidence
    seed_component: FloatArray | None
    earlier_seed_component: FloatArray | None


def earlier_effects(
    now: FloatArray,
    then: FloatArray,
    clusters: IntArray | None = None,
    bounds: tuple[float, float] | None = None,
) -> EarlierEffects:
    """Return the estimates for values of shapes (..., prompts, seeds) and (..., prompts, earlier seeds).

    With one seed on both sides the law is the paired t over prompts and speaks about these trained models. With one
    seed on one side, its variance over seeds is taken to be that of the other side. ``bounds`` are those of a
    difference now - then, and give the law a support. Raises ValueError for fewer than two clusters.
    """
    seeds, earlier_seeds = now.shape[-1], then.shape[-1]
    difference = now.mean(axis=-1) - then.mean(axis=-1)
    paired = crossed_effects(difference[..., None], clusters, bounds).confidence
    here = crossed_effects(now, clusters) if seeds > 1 else None
    there = crossed_effects(then, clusters) if earlier_seeds > 1 else None
    unvaried = np.asarray(paired.variance) <= DUST
    if paired.support is not None and unvaried.any():
        trials = np.where(unvaried, independent_prompts((now, then), clusters), paired.support.trials)
        paired = dataclasses.replace(paired, support=dataclasses.replace(paired.support, trials=trials))
    if here is None and there is None:
        return EarlierEffects(paired, None, None)
    one = here is None or there is None
    here_part, here_residual = _parts(here) if here is not None else _borrowed(there, earlier_seeds)
    there_part, there_residual = _parts(there) if there is not None else _borrowed(here, seeds)
    left = np.maximum(np.asarray(paired.variance) - here_residual - there_residual, 0)
    confidence = Confidence(
        estimate=paired.estimate,
        prompt_variance=left,
        prompt_df=paired.prompt_df,
        # A borrowed variance is the same estimate a second time: one chi-square variable for the sum of both.
        seed_variance=here_part + there_part if one else here_part,
        seed_df=(seeds if here is not None else earlier_seeds) - 1,
        earlier_seed_variance=0.0 if one else there_part,
        earlier_seed_df=0 if one else earlier_seeds - 1,
        support=_shared(paired.support, seeds, earlier_seeds, one),
    )
    component, earlier_component = _component(here), _component(there)
    return EarlierEffects(
        confidence,
        component if component is not None else earlier_component,
        earlier_component if earlier_component is not None else component,
    )


def _shared(support: Support | None, seeds: int, earlier_seeds: int, one: bool) -> Support | None:
    """Return the support with the shares of both sets of seeds; of one variable where a side has borrowed."""
    if support is None:
        return None
    whole = max(1.0, 1 / seeds + 1 / earlier_seeds)
    here, there = 1 / seeds / whole, 1 / earlier_seeds / whole
    return dataclasses.replace(
        support, seed_share=here + there if one else here, earlier_seed_share=0.0 if one else there
    )


def _parts(effects: CrossedEffects) -> tuple[FloatArray, FloatArray]:
    """Return what one side's seeds add to the variance, and the residual's share in it."""
    return np.asarray(effects.confidence.seed_variance, dtype=float), effects.residual_term


def _borrowed(effects: CrossedEffects | None, seeds: int) -> tuple[FloatArray, FloatArray]:
    """Return the same for a single seed, from the other side's ``seeds`` seeds."""
    if effects is None:
        raise ValueError("no side has two runs")
    part, residual = _parts(effects)
    return part * seeds, residual * seeds


def _component(effects: CrossedEffects | None) -> FloatArray | None:
    return None if effects is None else effects.seed_component
