"""What training on representations measured of every layer, over the training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.results.summary import RunSummary

LAYERS = "layers"
QUANTITIES = ("difference_norm", "cosine_to_mean", "loss")


@dataclass(frozen=True)
class OverSeeds:
    """A quantity's mean over the training seeds, and its range."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Layer:
    """One layer's number, and every quantity that was measured of it by its name."""

    number: int
    measured: Mapping[str, OverSeeds]


def layers_of(summary: RunSummary) -> dict[str, list[Layer]]:
    """Return every layer of each arm that measured any, by arm."""
    found: dict[str, list[Layer]] = {}
    for arm, facts in summary.arms.items():
        tables = [
            summary.stages[key].diagnostics[LAYERS]
            for trained in facts.runs.values()
            for key in trained.stages
            if isinstance(summary.stages[key].diagnostics.get(LAYERS), list)
        ]
        if tables:
            numbers = sorted({int(row["layer"]) for table in tables for row in table})
            found[arm] = [
                _layer(number, [row for table in tables for row in table if row["layer"] == number])
                for number in numbers
            ]
    return found


def _layer(number: int, rows: Sequence[Mapping[str, float]]) -> Layer:
    values = {quantity: [float(row[quantity]) for row in rows] for quantity in QUANTITIES}
    return Layer(
        number, {name: OverSeeds(sum(some) / len(some), min(some), max(some)) for name, some in values.items()}
    )
