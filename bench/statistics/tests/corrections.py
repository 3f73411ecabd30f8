"""Corrections of p-values for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

Correction = Literal["holm", "benjamini_hochberg", "none"]


def adjusted(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Return the adjusted p-values of one family, in the order given."""
    if correction == "holm":
        return holm(p_values)
    return benjamini_hochberg(p_values) if correction == "benjamini_hochberg" else list(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values: family-wise error under any dependence (Holm 1979)."""
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    result = np.empty_like(given)
    result[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in result]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the Benjamini-Hochberg adjusted p-values: false discovery rate under positive dependence."""
    return [float(p) for p in stats.false_discovery_control(p_values)] if p_values else []
