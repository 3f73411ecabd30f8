"""How hard a prompt is for every method: the term of the length control that makes it precise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray

# Half a win and half a loss are added per prompt, so that a prompt that all lose keeps a finite logit (Haldane 1956).
ADDED = 0.5
SHOWN = 3


def difficulty_by_prompt(prompts: Sequence[str], known: Mapping[str, float]) -> FloatArray:
    """Return the known difficulty of each prompt, by its text, in the order of ``prompts``.

    Raises DataError when any is unknown: difficulties of other prompts would be noise in the place of a covariate.
    """
    unknown = [prompt for prompt in prompts if prompt not in known]
    if unknown:
        shown = "; ".join(repr(prompt[:80]) for prompt in unknown[:SHOWN])
        raise DataError(
            f"{len(unknown)} of {len(prompts)} prompts have no known difficulty ({shown}). Difficulties belong to "
            "prompts: leave the file away, or estimate them from the methods of this run."
        )
    return np.array([known[prompt] for prompt in prompts], dtype=float)


def estimated_difficulty(preferences: ArrayLike, scored: int) -> FloatArray:
    """Return the logit of each prompt's mean preference over the other methods.

    ``preferences`` is (methods, prompts) in [0, 1], NaN where missing; ``scored`` is the method to leave out, so that
    its own verdicts do not explain themselves. A prompt that no other method answered gets the logit 0. Raises
    ValueError for fewer than two methods.
    """
    given = np.asarray(preferences, dtype=float)
    if given.ndim != 2 or len(given) < 2:
        raise ValueError("difficulty is estimated from the other methods: two methods are needed")
    others = np.delete(given, scored, axis=0)
    there = np.isfinite(others)
    wins = np.where(there, others, 0.0).sum(axis=0)
    return np.asarray(special.logit((wins + ADDED) / (there.sum(axis=0) + 2 * ADDED)))
