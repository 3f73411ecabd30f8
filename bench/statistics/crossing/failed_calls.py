"""A judge's calls without a usable answer, filled from the same prompt's other calls in the same order.

A prompt is judged in two orders, several draws and several runs, and one call in two hundred may give nothing: over
five runs and two orders that is one prompt in twenty, whose nine other verdicts would be thrown away with it. The cell
of one prompt and run is the mean of both orders. Where one of them is lacking, the other one alone is no estimate of
it: a judge that likes what stands first gives .7 and .3 to equal responses. What is lacking is therefore taken from
where the same prompt was shown in the same order: the mean over the other draws of the run, and where there are none
over the other runs. Where failures do not depend on the verdict this is unbiased, whatever the position bias and
however it differs between prompts. A filled value varies less than a verdict would, by a share of the failed calls,
which are at most one in twenty. A prompt that has nothing in that order is left to be dropped.

Measured (200 prompts, 5 runs, both orders, a position bias of .2 that differs between prompts, 1,000 repetitions): see
``docs/judges.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.statistics.tests.confidence import FloatArray


def filled(
    values: FloatArray, usable: NDArray[np.bool_], failed: NDArray[np.bool_], orders: Sequence[str]
) -> FloatArray:
    """Return values (prompts, runs, calls) with those of failed calls filled, NaN where there is nothing to fill from.

    ``usable`` and ``failed`` are masks of that shape; ``orders`` says in which order each call showed the responses.
    """
    found = values.copy()
    for order in dict.fromkeys(orders):
        places = np.flatnonzero(np.asarray(orders) == order)
        known, lacking = usable[:, :, places], failed[:, :, places]
        sums, counts = np.where(known, values[:, :, places], 0.0).sum(axis=2), known.sum(axis=2)
        in_run = _divided(sums, counts)
        over_runs = _divided(sums.sum(axis=1), counts.sum(axis=1))
        fill = np.where(np.isfinite(in_run), in_run, over_runs[:, None])
        found[:, :, places] = np.where(lacking, fill[:, :, None], found[:, :, places])
    return found


def _divided(sums: FloatArray, counts: NDArray[np.int64]) -> FloatArray:
    """Return means, NaN where nothing is counted."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
