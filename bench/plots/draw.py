"""All pictures of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from bench.core.contrast import Contrast
from bench.core.summary import RunSummary
from bench.plots.costs import cost_bars, quality_against_cost
from bench.plots.curves import learning_curves
from bench.plots.forest import forest
from bench.plots.lengths import length_distributions
from bench.plots.style import Picture


def draw_all(summary: RunSummary, contrasts: Sequence[Contrast], records: pa.Table, folder: Path) -> list[Picture]:
    """Return the pictures written to the folder, in reading order; those that have nothing to show are left out.

    ``contrasts`` are those of the primary metric.
    """
    arms = list(summary.arms)
    drawn = (
        forest(contrasts, folder, "forest"),
        quality_against_cost([item for item in contrasts if not item.is_control], summary, folder, "quality_and_cost"),
        cost_bars(summary, folder, "cost"),
        length_distributions(records, arms, folder, "response_length"),
        learning_curves(summary, folder, "learning_curves"),
    )
    return [picture for picture in drawn if picture is not None]
