"""Reward models on pairs they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.reward import REWARD_MODEL_KIND
from bench.results.summary import RunSummary, StageFacts
from bench.results.wording import listed, shortened

HELD_OUT = "held_out"


@dataclass(frozen=True)
class RewardModelFacts:
    """A reward model that arms rest on: their names, and what it measured of itself, by training seed."""

    arms: tuple[str, ...]
    held_out: Mapping[str, Mapping[str, Any]]

    @property
    def title(self) -> str:
        """The arms it serves, in short."""
        return listed([shortened(arm, 20) for arm in self.arms])

    def mean_accuracy(self) -> float | None:
        """Return its held-out accuracy, averaged over the seeds."""
        return mean_of_known([found["accuracy"]["value"] for found in self.held_out.values()])


def reward_models(summary: RunSummary) -> list[RewardModelFacts]:
    """Return every reward model that measured itself on held-out pairs, each once with all arms that rest on it."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for arm in summary.arms:
        for keys in summary.alike(arm, _measured):
            found.setdefault(tuple(keys.items()), []).append(arm)
    return [
        RewardModelFacts(tuple(arms), {seed: summary.stages[key].diagnostics[HELD_OUT] for seed, key in keys})
        for keys, arms in found.items()
    ]


def _measured(stage: StageFacts) -> bool:
    held_out = stage.diagnostics.get(HELD_OUT)
    return stage.kind == REWARD_MODEL_KIND and isinstance(held_out, dict) and "accuracy" in held_out


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are known, None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
