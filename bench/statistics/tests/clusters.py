"""Labels as whole numbers, which is how every test here takes clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.statistics.tests.random_effects import IntArray


def codes_of(labels: ArrayLike) -> IntArray:
    """Return one code 0..C-1 per label, in the order of the sorted labels."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def cluster_codes(clusters: ArrayLike | None, n: int) -> IntArray:
    """Return the codes of the clusters of ``n`` units; without clusters every unit stands alone."""
    return np.arange(n) if clusters is None else codes_of(clusters)
