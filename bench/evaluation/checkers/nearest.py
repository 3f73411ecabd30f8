"""The highest of many scores in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np


def highest(scores: Any, most: int) -> list[int]:
    """Return the places of the highest scores, at most so many, the highest first; of equal ones the earliest first.

    Time grows with the number of scores and not with its logarithm: an encyclopaedia has tens of millions.
    """
    values = np.asarray(scores)
    if len(values) > most:
        least = np.partition(values, len(values) - most)[len(values) - most]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    order = np.argsort(-values[places], kind="stable")[:most]
    return [int(place) for place in places[order]]
