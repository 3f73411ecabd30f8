"""After how many prompts a judge could have been dismissed: a confidence sequence over a win rate's prompts.

The prompts are taken in one random order, drawn from the design alone, and the sequence (``sequential``) is looked at
after each. Whoever buys judgements in such an order may stop where it excludes one half: it holds at all times at once.
It speaks about these trained models, because it knows of prompts only: runs are averaged.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.confidence import FloatArray
from bench.statistics.random_effects import IntArray, cluster_sums
from bench.statistics.sequential import confidence_sequence


def sequence_of(
    preferences: FloatArray, clusters: IntArray, null: float, level: float, seed: int
) -> dict[str, float | None]:
    """Return the sequence's last bounds and the prompts at which it excluded the null; None where it never did.

    ``preferences`` (prompts, runs) lie in [0, 1]. A cluster of prompts is one look. Nothing for clusters of unequal
    sizes, over which the mean of clusters is not the mean of prompts.
    """
    sizes = np.bincount(clusters)
    if len(set(sizes.tolist())) > 1:
        return {}
    looks = cluster_sums(preferences.mean(axis=1), clusters) / sizes
    order = np.random.default_rng([seed, len(looks)]).permutation(len(looks))
    found = confidence_sequence(np.clip(looks[order], 0.0, 1.0), level)
    side, needed = found.decision(null)
    return {
        "sequence_low": float(found.low[-1]),
        "sequence_high": float(found.high[-1]),
        "sequence_prompts": None if side == "undecided" else float(needed * sizes[0]),
    }
