"""The run summary: what the report needs beside records and contrasts. Plain data, written by the runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.files import replacing
from bench.core.frozen import Frozen


class StageFacts(Frozen):
    """What a finished stage cost and where it ran, from its manifest."""

    kind: str
    cost: dict[str, float]
    provenance: dict[str, Any]


class ArmRun(Frozen):
    """One arm at one training seed: the keys of all stages its policy rests on, and its learning curve.

    ``log`` holds the rows that the arm's last training stage logged, thinned to at most 200:
    ``{"step": int, "loss": float, ...}``.
    """

    stages: tuple[str, ...]
    log: tuple[dict[str, float], ...] = ()


class ArmFacts(Frozen):
    """What an arm is: the method's name, its hyper-parameters, the first line of its documentation."""

    method: str
    fields: dict[str, Any]
    lora: dict[str, Any] | None
    replicate: str | None
    about: str
    runs: dict[str, ArmRun]


class Missing(Frozen):
    """A cell of the crossing that has no rows, and why."""

    arm: str
    run: int
    task: str
    reason: str


class RunSummary(Frozen):
    """Everything about a run that is not a record or a contrast."""

    name: str
    question: str
    base: str
    data: dict[str, str]
    seeds: tuple[int, ...]
    arms: dict[str, ArmFacts]
    stages: dict[str, StageFacts]
    metrics: dict[str, dict[str, Any]]
    versions: dict[str, str]
    missing: tuple[Missing, ...] = ()

    def cost_of(self, arm: str, run: int) -> dict[str, float]:
        """Return the summed cost of every stage that one arm's policy rests on at one seed, shared stages in full."""
        total: dict[str, float] = {}
        for key in self.arms[arm].runs[str(run)].stages:
            for axis, amount in self.stages[key].cost.items():
                total[axis] = total.get(axis, 0.0) + amount
        return total


def write_summary(summary: RunSummary, path: Path) -> None:
    """Write the summary as JSON."""
    with replacing(path) as partial:
        partial.write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_summary(path: Path) -> RunSummary:
    """Return the summary in a file; raises DataError when there is none."""
    if not path.is_file():
        raise DataError(f"{path}: no run summary there. Run `bench run {path.parent}` first.")
    return RunSummary.model_validate_json(path.read_text(encoding="utf-8"))
