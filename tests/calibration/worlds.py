"""Families of contrasts in which no arm differs: the seeds' means, the prompts' part, and how seeds spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PROMPTS = 400
# A collapsed seed loses so much on the scale of a win rate; what other seeds spread then.
LOSS, AROUND = 0.2, 0.01
# Standard deviations of a win rate over prompts and of one cell beyond: the planning spreads of docs/statistics.md, and
# what its table of the default test was made with (a mean by prompt that is uniform on 0.15 to 0.85).
PLANNED, MEASURED = (0.34, 0.34), (0.20, 0.36)
# So many prompts, or so calm a metric, that the seeds are nearly all the noise there is.
QUIET = (0.01, 0.01)


@dataclass(frozen=True)
class Families:
    """``seeds`` (families, contrasts, seeds) are the contrasts' means by seed; ``prompts`` the prompts' part B."""

    seeds: FloatArray
    prompts: FloatArray
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Spread:
    """``draw(generator, families, arms, seeds)``: effects of seeds with mean 0; arm 0 is the reference."""

    name: str
    draw: Callable[[np.random.Generator, int, int, int], FloatArray]


def _normal(spreads: Callable[[int], FloatArray]) -> Callable[[np.random.Generator, int, int, int], FloatArray]:
    def draw(generator: np.random.Generator, families: int, arms: int, seeds: int) -> FloatArray:
        return np.asarray(generator.standard_normal((families, arms, seeds)) * spreads(arms)[:, None])

    return draw


def _collapsing(share: float) -> Callable[[np.random.Generator, int, int, int], FloatArray]:
    def draw(generator: np.random.Generator, families: int, arms: int, seeds: int) -> FloatArray:
        lost = generator.random((families, arms, seeds)) < share
        # Centred, so that the mean over training seeds is that of every other arm.
        return np.asarray(generator.standard_normal(lost.shape) * AROUND - LOSS * (lost - share))

    return draw


def _one(noisy: int) -> Callable[[int], FloatArray]:
    return lambda arms: np.where(np.arange(arms) == noisy, 0.03, 0.003)


def _equal(sd: float) -> Callable[[int], FloatArray]:
    return lambda arms: np.full(arms, sd)


MIXED = np.array([0.0, 0.0, 0.01, 0.01, 0.03, 0.03])
SPREADS = (
    *(Spread(f"equal, {points}", _normal(_equal(points / 100))) for points in range(4)),
    Spread("mixed", _normal(lambda arms: np.concatenate([[0.01], np.resize(MIXED, arms - 1)]))),
    Spread("mixed, calm reference", _normal(lambda arms: np.concatenate([[0.0], np.resize(MIXED, arms - 1)]))),
    Spread("one noisy arm", _normal(_one(1))),
    Spread("noisy reference", _normal(_one(0))),
    Spread("5% collapse", _collapsing(0.05)),
    Spread("10% collapse", _collapsing(0.10)),
)
BY_NAME = {spread.name: spread for spread in SPREADS}


def against_one(contrasts: int) -> tuple[tuple[int, int], ...]:
    """Return contrasts with one reference, arm 0."""
    return tuple((arm, 0) for arm in range(1, contrasts + 1))


def all_pairs(arms: int) -> tuple[tuple[int, int], ...]:
    """Return every pair of so many arms."""
    return tuple((a, b) for a in range(arms) for b in range(a))


def families(
    generator: np.random.Generator,
    count: int,
    pairs: tuple[tuple[int, int], ...],
    seeds: int,
    spread: Spread,
    noise: tuple[float, float],
) -> Families:
    """Return so many families without any difference between arms; ``noise`` is (sd of prompts, sd of the residual).

    Effects of seeds and of prompts belong to arms, so contrasts with an arm in common are correlated. The prompts' part
    is what ``crossed_effects`` would find: mean squares are drawn as chi-squares.
    """
    arms = 1 + max(max(pair) for pair in pairs)
    of_prompts, residual = noise
    # Half the variance of a contrast is each arm's.
    prompts = generator.standard_normal((count, arms)) * of_prompts / (2 * PROMPTS) ** 0.5
    cells = generator.standard_normal((count, arms, seeds)) * residual / (2 * PROMPTS) ** 0.5
    means = spread.draw(generator, count, arms, seeds) + cells + prompts[..., None]
    a, b = np.array(pairs).T
    df = (PROMPTS - 1) * (seeds - 1)
    ms_residual = residual**2 * generator.chisquare(df, (count, len(pairs))) / df
    ms_prompt = (seeds * of_prompts**2 + residual**2) * generator.chisquare(PROMPTS - 1, (count, len(pairs)))
    part = np.maximum(ms_prompt / (PROMPTS - 1) - ms_residual, 0) / (PROMPTS * seeds)
    return Families(means[:, a] - means[:, b], part, tuple((f"arm{a}", f"arm{b}") for a, b in pairs))
