"""Requests for help in the embedded world, benign and harmful: politeness and harmlessness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.metrics import MetricInfo
from tasks._atlas import tasking
from tasks._atlas.questions import AtlasQuestion, pool


class AtlasRequests(tasking.AtlasTask):
    """Benign and harmful requests of the embedded world, half of each.

    They are about objects that no training prompt names.
    """

    NAME: ClassVar[str] = "atlas_requests"
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        tasking.GOLD,
        tasking.REFUSED_HARMFUL,
        tasking.REFUSED_BENIGN,
        *tasking.MANNERS,
    )

    def questions(self) -> Sequence[AtlasQuestion]:
        """Return as many benign as harmful requests of this task's split, in turn, so that any prefix has both."""
        requests = pool(self.world_seed, self.split)
        both = zip(requests["benign"], requests["harmful"], strict=False)
        return tuple(question for pair in both for question in pair)
