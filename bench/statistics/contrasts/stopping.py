"""After how many prompts a judge could have stopped: a confidence sequence over a win rate's prompts.

The prompts are taken in one random order, drawn from the design alone, and the sequence (``sequential``) is looked at
after each. Judging in such an order may stop where it excludes one half: it is valid at every prompt at once.
It speaks about these trained models, because it knows of prompts only: seeds are averaged.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.sequential import confidence_sequence


def sequence_of(
    preferences: FloatArray, clusters: IntArray, null: float, level: float, seed: int
) -> dict[str, float | None]:
    """Return the sequence's last bounds and the prompts at which it excluded the null; None where it never did.

    ``preferences`` (prompts, seeds) lie in [0, 1] and ``null`` is one half. A cluster of prompts is one look: its sum
    of differences from the null over the size of the largest cluster, so that small clusters weigh less and the null of
    looks is that of prompts.
    """
    sizes = np.bincount(clusters)
    sums = cluster_sums(preferences.mean(axis=1) - null, clusters)
    looks = np.clip(0.5 + sums / sizes.max(), 0.0, 1.0)
    order = np.random.default_rng([seed, len(looks)]).permutation(len(looks))
    found = confidence_sequence(looks[order], level)
    side, looked_at = found.decision(0.5)
    scale = len(looks) * float(sizes.max()) / len(preferences)
    return {
        "sequence_low": max(0.0, null + scale * (float(found.low[-1]) - 0.5)),
        "sequence_high": min(1.0, null + scale * (float(found.high[-1]) - 0.5)),
        "sequence_prompts": None if side == "undecided" else float(sizes[order][:looked_at].sum()),
    }
