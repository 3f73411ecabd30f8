"""How resampling is done: its seed, a function of the design alone, and how much of it a number beside is worth."""

from __future__ import annotations

from bench.core.frozen import digest

# Numbers that decide nothing are made from at most this many drawn units (about a second), but FEWEST resamples.
MOST_DRAWN = 10_000_000
FEWEST = 1_000


def affordable(units: int, resamples: int) -> int:
    """Return how many resamples a number that decides nothing gets: all of them up to MOST_DRAWN units drawn.

    With so many units what is resampled is normal to the digits shown, and the test itself says it without resampling.
    """
    return min(resamples, max(FEWEST, MOST_DRAWN // units))


def design_seed(purpose: str, units: int, seeds: int, resamples: int) -> int:
    """Return the resampling seed of a design: the same for every contrast of that shape, in any process."""
    return int(digest({"purpose": purpose, "units": units, "runs": seeds, "resamples": resamples})[:12], 16)
