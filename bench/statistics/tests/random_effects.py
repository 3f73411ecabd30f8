"""Crossed random effects of prompts and training seeds: components of variance, and the default test.

The model of a matrix of paired values is

    d[prompt, seed] = mean + seed effect + prompt effect + residual

with independent effects. From the three mean squares of the balanced two-way layout (Searle, Casella and McCulloch,
Variance Components, 1992, ch. 4; n prompts, s seeds):

    E MS_seed = n V_seed + V_res      E MS_prompt = s V_prompt + V_res      E MS_res = V_res
    Var(mean of d) = V_seed/s + V_prompt/n + V_res/(n s) = (MS_seed + MS_prompt - MS_res) / (n s)

Prompts that share a cluster are not independent: the unit is then the cluster. The estimate stays the mean over
prompts; MS_prompt and MS_res are made from the cluster sums of residuals, scaled as in the delete-one-cluster
jackknife (equal clusters: exactly the clustered standard error with its factor C/(C-1)), and their degrees of freedom
are Kish's effective number of clusters, (sum m)^2 / sum m^2, minus 1. See docs/statistics.md for what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.statistics.tests.confidence import DUST, Confidence, FloatArray, satterthwaite_df
from bench.statistics.tests.support import support_of

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class CrossedEffects:
    """Estimates of the crossed model; arrays over the leading axes of the values.

    ``seed_component`` and ``residual_component`` are None with one seed, where they cannot be separated from the rest.
    Components are truncated at 0. ``residual_term`` is MS_res / (n s), the part that is subtracted in Var(mean).
    """

    seed_means: FloatArray
    seed_component: FloatArray | None
    prompt_component: FloatArray
    residual_component: FloatArray | None
    residual_term: FloatArray
    confidence: Confidence

    def satterthwaite(self) -> float:
        """Return the Satterthwaite degrees of freedom of the mean's variance; for one data set."""
        given = self.confidence
        of_seeds, residual = float(np.asarray(given.seed_variance)), float(self.residual_term)
        prompt = float(np.asarray(given.prompt_variance)) + residual
        return satterthwaite_df(
            ((of_seeds, given.seed_df), (prompt, given.prompt_df), (-residual, given.prompt_df * max(given.seed_df, 1)))
        )


def crossed_effects(
    values: FloatArray, clusters: IntArray | None = None, bounds: tuple[float, float] | None = None
) -> CrossedEffects:
    """Return the estimates for ``values`` of shape (..., prompts, seeds).

    ``clusters`` holds one code 0..C-1 per prompt; None means that every prompt stands alone. With one seed the result
    is the (clustered) t test over prompts. Where MS_prompt falls below MS_res the prompts' part of the variance is 0
    and the seeds alone carry the test. Values that are known to lie within ``bounds`` give a law with a support: its
    variance is never less than what the tested mean demands. Raises ValueError for fewer than two clusters, and for a
    value beyond the bounds.
    """
    n, s = values.shape[-2:]
    sizes = np.ones(n) if clusters is None else np.bincount(clusters).astype(float)
    count = len(sizes)
    if count < 2:
        raise ValueError("fewer than two independent prompts: no variance over prompts can be estimated")
    seed_means = values.mean(axis=-2)
    mean = seed_means.mean(axis=-1)
    of_prompt = values.mean(axis=-1)
    # Delete-one-cluster scaling; exactly 1 for equal clusters.
    scale = (count / n) * ((count - 1) / count) / (1 - sizes / n)
    prompt = scale * cluster_sums(of_prompt - mean[..., None], clusters)
    prompt_df = n**2 / float((sizes**2).sum()) - 1
    ms_prompt = s * (prompt**2).sum(axis=-1) / (count - 1)
    cells = count * s
    support = None
    if bounds is not None:
        trials = _independent(of_prompt, ms_prompt / cells, prompt_df + 1)
        support = support_of(of_prompt, bounds, trials, 1 / s if s > 1 else 0.0)
    if s == 1:
        confidence = Confidence(mean, ms_prompt / cells, prompt_df, support=support)
        return CrossedEffects(seed_means, None, ms_prompt, None, np.zeros_like(mean), confidence)
    residual = values - seed_means[..., None, :] - of_prompt[..., None] + mean[..., None, None]
    of_cell = scale[:, None] * np.moveaxis(cluster_sums(np.moveaxis(residual, -1, -2), clusters), -1, -2)
    ms_residual = (of_cell**2).sum(axis=(-2, -1)) / ((count - 1) * (s - 1))
    ms_seed = count * ((seed_means - mean[..., None]) ** 2).sum(axis=-1) / (s - 1)
    return CrossedEffects(
        seed_means=seed_means,
        seed_component=np.maximum(ms_seed - ms_residual, 0) / count,
        prompt_component=np.maximum(ms_prompt - ms_residual, 0) / s,
        residual_component=ms_residual,
        residual_term=ms_residual / cells,
        confidence=Confidence(
            estimate=mean,
            prompt_variance=np.maximum(ms_prompt - ms_residual, 0) / cells,
            prompt_df=prompt_df,
            seed_variance=ms_seed / cells,
            seed_df=s - 1,
            support=support,
        ),
    )


def _independent(of_prompt: FloatArray, variance: FloatArray, least: float) -> FloatArray:
    """Return how many independent prompts have a mean of this variance: all of them, or fewer in clusters.

    No fewer than ``least``, the effective number of clusters, which it is where nothing varies.
    """
    n = of_prompt.shape[-1]
    spread = of_prompt.var(axis=-1, ddof=1)
    found = np.divide(spread, variance, out=np.full_like(spread, least), where=variance > DUST)
    return np.clip(found, least, n)


def independent_prompts(sides: Sequence[FloatArray], clusters: IntArray | None) -> FloatArray:
    """Return how many independent prompts the fewer of several sides' own values are worth.

    ``sides`` are values of shape (..., prompts, seeds). Where the difference of two sides does not vary, nothing in it
    shows how alike the prompts of a cluster are, and their own values are the next best witness.
    """
    found = []
    for values in sides:
        of_prompt = values.mean(axis=-1)
        paired = crossed_effects(of_prompt[..., None], clusters).confidence
        found.append(_independent(of_prompt, np.asarray(paired.variance), paired.prompt_df + 1))
    return np.asarray(np.minimum.reduce(found))


def cluster_sums(values: FloatArray, clusters: IntArray | None) -> FloatArray:
    """Return the sums over clusters along the last axis, in order of the clusters' codes."""
    if clusters is None:
        return values
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 1))
    return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1))


def codes_of(labels: ArrayLike) -> IntArray:
    """Return one code 0..C-1 per label, in the order of the sorted labels: how every test here takes clusters."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def cluster_codes(clusters: ArrayLike | None, n: int) -> IntArray:
    """Return the codes of the clusters of ``n`` units; without clusters every unit stands alone."""
    return np.arange(n) if clusters is None else codes_of(clusters)
