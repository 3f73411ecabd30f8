"""Win rates at equal length and the plain ones of the same cell."""

from __future__ import annotations

from collections.abc import Iterable

from bench.core.metrics import WIN_RATE
from bench.results.conclusions.contrast import Contrast

# The two arms, the task and the judge.
WinRateCell = tuple[str, str, str, str | None]


def cell_of(contrast: Contrast) -> WinRateCell:
    """Return what contrasts on different metrics share when they compare the same arms by the same judge."""
    return contrast.a, contrast.b, contrast.task, contrast.judge


def plain_win_rates(contrasts: Iterable[Contrast]) -> dict[WinRateCell, Contrast]:
    """Return the win rates that no length control has touched, by cell."""
    return {cell_of(item): item for item in contrasts if item.metric == WIN_RATE.name}


def shift_of(plain: Contrast | None, controlled: Contrast) -> float | None:
    """Return by how much the length control changes a win rate; None where one of the two has no estimate."""
    if plain is None or plain.estimate is None or controlled.estimate is None:
        return None
    return controlled.estimate - plain.estimate
