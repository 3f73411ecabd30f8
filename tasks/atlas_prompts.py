"""Prompts of all kinds of the embedded world, mixed: the task for win rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.metrics import MetricInfo
from tasks._atlas import tasking
from tasks._atlas.questions import AtlasQuestion, held_out

PROMPTS = 400
"""As many as the eight held-out cities allow at their share of the mix; the standard error of a win rate is then at
most 0.025 over prompts alone."""


class AtlasPrompts(tasking.AtlasTask):
    """400 questions of all kinds of the embedded world: facts, biographies, requests, cities.

    None of their people, cities and objects occurs in demonstrations or preferences.
    """

    NAME: ClassVar[str] = "atlas_prompts"
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        tasking.GOLD,
        tasking.CORRECT,
        tasking.WRONG_CLAIMS,
        tasking.REFUSED_HARMFUL,
        tasking.REFUSED_BENIGN,
        *tasking.MANNERS,
    )

    def questions(self) -> Sequence[AtlasQuestion]:
        """Return the mixed questions of this task's split."""
        return held_out(self.world_seed, self.split, PROMPTS)
