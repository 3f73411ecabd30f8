"""Uniform numbers that depend on a seed and a position only, so that no row's noise depends on another row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Constants of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def uniforms(seeds: Sequence[int], count: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1), row i drawn from ``seeds[i]`` alone. Shape: (seeds, count).

    Row i, column t is the t-th output of a SplitMix64 generator whose state is the hash of the seed; the top 53 bits
    make the float. Any integer is a seed; seeds equal modulo 2**64 are the same seed.
    """
    states = _mix(np.array([seed % 2**64 for seed in seeds], dtype=np.uint64))
    steps = np.arange(1, count + 1, dtype=np.uint64) * _STEP
    return (_mix(states[:, None] + steps) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))
