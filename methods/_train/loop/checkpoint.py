"""Checkpoints within a stage: what a killed training needs to go on to the same weights."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.core.meter import Meter
from bench.core.stage import StageIO
from methods._train.loop.kept import keep, kept

FILE = "checkpoint.pt"


@dataclass
class State:
    """Everything that changes while a model trains; random draws depend on (seed, step) and need no state.

    ``extra``: what a training keeps beside that, of tensors, numbers and texts.
    """

    step: int
    weights: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    log: list[dict[str, float]]
    meter: Meter
    extra: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(state: State, folder: Path) -> None:
    """Write the state so that a kill at any moment leaves either the old checkpoint or the new one."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            torch.save({**vars(state), "meter": asdict(state.meter)}, file)

    keep(folder / FILE, write)


def read_checkpoint(io: StageIO) -> State | None:
    """Return the last state in ``io.scratch``, or None where there is none as it was written: training starts anew.

    Only tensors, numbers and text are read (``weights_only``): a checkpoint cannot run code.
    """

    def read(path: Path) -> State:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return State(**{**found, "meter": Meter(**found["meter"])})

    return kept(io.scratch / FILE, io, read)


# A checkpoint every half minute loses little work; at most a twentieth of the time goes into writing them.
SECONDS_BETWEEN = 30.0
SHARE_OF_TIME = 1 / 20


class Pace:
    """When a checkpoint is due: after every ``steps`` steps, or by time when ``steps`` is None."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self._last = time.monotonic()
        self._cost = 0.0

    def due(self, step: int) -> bool:
        """Return whether a checkpoint should be written after ``step`` finished steps."""
        if self._steps is not None:
            return step % self._steps == 0
        return time.monotonic() - self._last >= max(SECONDS_BETWEEN, self._cost / SHARE_OF_TIME)

    def write(self, state: State, folder: Path) -> None:
        """Write a checkpoint and note how long it took."""
        begun = time.monotonic()
        write_checkpoint(state, folder)
        self._last = time.monotonic()
        self._cost = self._last - begun
