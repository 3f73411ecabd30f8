"""Gumbel noise that depends on a seed, a position and a token id only: a counter hash, and no generator.

The noise of one token id at one position is made of 32-bit words, whose products and sums wrap::

    words   SplitMix64 (Steele, Lea & Flood 2014) of (seed, position) gives a, odd, and b; of the id, w
    x       a w + b, then mixed: x ^= x >> 16, x *= 0x85EBCA6B (the first half of MurmurHash3's last step)
    v       |x + 1/2| / 2^31 with x as a signed number: 2^31 values between 0 and 1
    E       -log(1 - v), exponential with mean 1
    G       -log E, the noise: standard Gumbel, between -2.8 and 22.2

The argmax over ids of score + G is a draw from the softmax of the scores (Gumbel 1954; Maddison et al. 2014,
arXiv:1411.0030), and the argmin of E / exp(score) is the same id. An id's noise does not depend on how many ids there
are. Small v are exact, so large G are too: an id of probability 1e-9 is drawn at the right rate within a hundredth.

``gumbels`` is the definition, in NumPy; ``bench.models.decoding.sampling.uniforms`` computes the same v on any device
of PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
# The mixing. The factor is signed, as PyTorch's int32 has it; the product is the same.
SHIFT, FACTOR = 16, 0x85EBCA6B - 2**32
# What |x + 1/2| is multiplied by: v stays below 1 when it is rounded.
UNIT = 2.0**-31 * (1 - 2.0**-22)


def keys(seeds: Sequence[int], positions: int) -> NDArray[np.int32]:
    """Return the words a and b of every seed and position. Shape: (seeds, positions, 2).

    Any integer is a seed; seeds equal modulo 2**64 are the same seed. A position's words do not depend on how many
    there are.
    """
    states = _mix(np.array([seed % 2**64 for seed in seeds], dtype=np.uint64))
    steps = np.arange(1, positions + 1, dtype=np.uint64) * _STEP
    words = _mix(states[:, None] + steps)[..., None] >> np.array([0, 32], dtype=np.uint64)
    return (words.astype(np.uint32) | np.array([1, 0], dtype=np.uint32)).view(np.int32)


@lru_cache(maxsize=8)
def token_words(count: int) -> NDArray[np.int32]:
    """Return the word w of every token id below ``count``. Shape: (count,); to be read only."""
    words = (_mix(np.arange(1, count + 1, dtype=np.uint64) * _STEP) >> np.uint64(32)).astype(np.uint32).view(np.int32)
    words.flags.writeable = False
    return words


def gumbels(seed: int, position: int, count: int) -> NDArray[np.float32]:
    """Return the noise G of every token id below ``count`` at one position, counted from 0. Shape: (count,)."""
    a, b = keys([seed], position + 1)[0, position]
    x = token_words(count) * a + b
    x ^= (x.view(np.uint32) >> np.uint32(SHIFT)).view(np.int32)
    x *= np.int32(FACTOR)
    uniform = np.abs(x.astype(np.float32) + np.float32(0.5)) * np.float32(UNIT)
    return -np.log(-np.log1p(-uniform))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))
