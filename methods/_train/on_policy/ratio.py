"""Exponentials of log-ratios that stay finite, however far a policy has moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Beyond so many nats exp is continued by its tangent: float32 ends at 88, and the square of a gradient at half of it.
MOST_NATS = 30.0


def bounded_exp(nats: Tensor) -> Tensor:
    """Return exp(x) up to 30 nats and its tangent at 30 beyond, e^30 (1 + x - 30). Shape: the input's.

    Exact where it matters (a ratio of e^30 = 1e13 is far outside every clip), increasing, of finite value and gradient
    for every log-ratio that is finite. A plain exp would be infinite from 88 nats on, and a gradient of 0 times
    infinity is not a number, even where the clipped branch of a loss is the one that counts.
    """
    return nats.clamp_max(MOST_NATS).exp() + _tangent(nats)


def bounded_expm1(nats: Tensor) -> Tensor:
    """Return ``bounded_exp`` minus 1, which keeps the digits near 0. Shape: the input's."""
    return nats.clamp_max(MOST_NATS).expm1() + _tangent(nats)


def _tangent(nats: Tensor) -> Tensor:
    return math.exp(MOST_NATS) * (nats - MOST_NATS).clamp_min(0)
