"""Small run summaries, of one arm."""

from __future__ import annotations

from typing import Any

from bench.results.summary import ArmAtSeed, ArmFacts, RunSummary, StageFacts


def stage(kind: str, data: str = "", **told: Any) -> StageFacts:
    return StageFacts(kind=kind, cost={"flops": 1.0}, provenance={}, data=data, **told)


def with_stages(runs: dict[str, tuple[str, ...]], stages: dict[str, StageFacts]) -> RunSummary:
    arm = ArmFacts(
        method="m", fields={}, lora=None, replicate=None, about="",
        runs={run: ArmAtSeed(stages=keys) for run, keys in runs.items()},
    )  # fmt: skip
    return RunSummary(
        name="n", question="q", base="b", data={}, seeds=(0, 1), arms={"arm": arm}, stages=stages, metrics={},
        versions={},
    )  # fmt: skip
