"""Miller's formula for the number of prompts (2024, arXiv 2411.00640): what power for one run is held against."""

from __future__ import annotations

import numpy as np
from scipy import special

from bench.statistics.power.detectable import LEVEL, POWER


def miller_prompts_needed(
    difference: float, omega2: float, noise: float = 0.0, level: float = LEVEL, power: float = POWER
) -> float:
    """Return n = (z_{alpha/2} + z_beta)^2 (omega^2 + noise) / difference^2.

    ``omega2`` is the variance over prompts of the true difference, ``noise`` the sum over both methods of the
    response variance divided by the number of draws: sigma_A^2/K_A + sigma_B^2/K_B. Miller 2024 (arXiv 2411.00640).
    """
    z = float(special.ndtri((1 + level) / 2) + special.ndtri(power))
    return z**2 * (omega2 + noise) / difference**2


def miller_smallest_detectable(
    n: float, omega2: float, noise: float = 0.0, level: float = LEVEL, power: float = POWER
) -> float:
    """Return ``miller_prompts_needed`` solved for the difference."""
    return float(np.sqrt(miller_prompts_needed(1.0, omega2, noise, level, power) / n))
