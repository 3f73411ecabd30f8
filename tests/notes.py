"""A watcher of a run that keeps what it is told."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.stage import Progress, Stage


class Notes:
    """The order of stages, warnings, and failures by key."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.warnings: list[str] = []
        self.failures: dict[str, str] = {}
        self.found = 0

    def planned(self, waiting: Mapping[str, Stage], found: int) -> None:
        self.found = found

    def started(self, stage: Stage, slot: int) -> None:
        self.order.append(stage.key)

    def progressed(self, stage: Stage, progress: Progress) -> None:
        pass

    def ended(self, stage: Stage, failure: str | None) -> None:
        if failure is not None:
            self.failures[stage.key] = failure

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def ticked(self) -> None:
        pass
