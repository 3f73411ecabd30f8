"""Differences between all pairs of methods, with p-values corrected for how many pairs there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.corrections import holm

LEVEL = 0.95
# A standard error below this, in percent or on any scale here, is none: sums differ by rounding only.
ROUNDING = 1e-9
Paired = dict[str, Any]


def law_of(law: Confidence) -> dict[str, float | None]:
    """Return a difference with its standard error, its 95% interval, and the p of "there is none".

    Where the units do not vary and have no bounds there is nothing to test with: all but the difference is None.
    """
    difference, error = float(np.asarray(law.estimate)), error_of(law)
    if error is None:
        return {"difference": difference, "standard_error": None, "low": None, "high": None, "p": None}
    low, high = law.interval(LEVEL)
    return {
        "difference": difference,
        "standard_error": error,
        "low": low,
        "high": high,
        "p": float(law.p_value(0.0)),
    }


def error_of(law: Confidence) -> float | None:
    """Return the standard error; of units with bounds that do not vary, the one that fits the interval; else None."""
    error = float(law.standard_error)
    if error > ROUNDING:
        return error
    return None if law.support is None else law.error_of_width(LEVEL)


def all_pairs(names: Sequence[str], compare: Callable[[int, int], Paired]) -> list[dict[str, Paired]]:
    """Return for each method its differences to the others by name, each tested law with ``p_adjusted``.

    ``compare`` gives what is known of one pair: ``n``, and a law or None by measure. The pairs of one measure are one
    family, corrected by Holm's steps (Holm 1979).
    """
    places = range(len(names))
    found = {(i, j): compare(i, j) for i in places for j in places if i != j}
    of_pairs = [(found[i, j], found[j, i]) for i, j in found if i < j]
    for measure in {name for one, _ in of_pairs for name, law in one.items() if _is_tested(law)}:
        tested = [pair for pair in of_pairs if _is_tested(pair[0][measure])]
        for pair, p in zip(tested, holm([there[measure]["p"] for there, _ in tested]), strict=True):
            for side in pair:
                side[measure]["p_adjusted"] = p
    return [{names[j]: found[i, j] for j in places if j != i} for i in places]


def corrected(contrasts: Sequence[Paired]) -> None:
    """Give each law of contrasts with one reference its ``p_adjusted``; the contrasts of a measure are one family."""
    for measure in {name for one in contrasts for name, law in one.items() if _is_tested(law)}:
        tested = [one[measure] for one in contrasts if _is_tested(one.get(measure))]
        for law, p in zip(tested, holm([law["p"] for law in tested]), strict=True):
            law["p_adjusted"] = p


def _is_tested(law: Any) -> bool:
    return isinstance(law, dict) and law.get("p") is not None
