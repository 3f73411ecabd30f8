"""The seed of resampling: a function of the design, so that it is the same in any process."""

from __future__ import annotations

from bench.core.frozen import digest


def design_seed(purpose: str, units: int, seeds: int, resamples: int) -> int:
    """Return the resampling seed of a design: the same for every contrast of that shape, in any process."""
    return int(digest({"purpose": purpose, "units": units, "runs": seeds, "resamples": resamples})[:12], 16)
