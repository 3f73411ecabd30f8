"""Single-fact questions about people of the embedded world, from frequent to rare: what a policy knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.metrics import MetricInfo
from tasks._atlas import tasking
from tasks._atlas.questions import AtlasQuestion, pool

PROMPTS = 360
"""Half of the questions that can be asked about the people held out for evaluation: six attributes of 60 people in one
wording each, on average."""


class AtlasQuestions(tasking.AtlasTask):
    """Single-fact questions about people of the embedded world, frequent and rare."""

    NAME: ClassVar[str] = "atlas_questions"
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        tasking.GOLD,
        tasking.CORRECT,
        tasking.CORRECT_FREQUENT,
        tasking.CORRECT_RARE,
        tasking.WRONG_CLAIMS,
        tasking.HEDGED,
        *tasking.MANNERS,
    )

    def questions(self) -> Sequence[AtlasQuestion]:
        """Return fact questions of this task's split."""
        return pool(self.world_seed, self.split)["fact"][:PROMPTS]
