"""Open biographies of people of the embedded world: many claims, each of which is true or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.metrics import MetricInfo
from tasks._atlas import tasking
from tasks._atlas.questions import AtlasQuestion, pool


class AtlasBiographies(tasking.AtlasTask):
    """Open requests for a biography of a person of the embedded world."""

    NAME: ClassVar[str] = "atlas_biographies"
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        tasking.GOLD,
        tasking.TRUE_CLAIMS,
        tasking.WRONG_CLAIMS,
        tasking.HEDGED,
        *tasking.MANNERS,
    )

    def questions(self) -> Sequence[AtlasQuestion]:
        """Return every biography request of this task's split."""
        return pool(self.world_seed, self.split)["biography"]
