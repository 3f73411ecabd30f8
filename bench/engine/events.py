"""What engines report to the scheduler, and the protocol both engines fulfil."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from bench.core.stage import Progress, Stage, Weights


@dataclass(frozen=True)
class Event:
    """Something that happened to a stage.

    ``halted``: it failed for a reason that every further stage would meet (no room on the disk). ``computed`` is set
    with ``done``: False when another process had finished the stage already. ``text`` is the reason of a failure, or
    what people are warned of. ``lost`` and ``alive`` stay between a worker and its engine: processes that computed the
    stage together have died or hang, and the heartbeat of the process ``key``.
    """

    name: Literal["progress", "warning", "done", "failed", "halted", "lost", "alive"]
    key: str
    progress: Progress | None = None
    computed: bool = False
    text: str = ""


@dataclass(frozen=True)
class Together:
    """How many processes compute a stage together, and whether each holds all weights it trains or a part of them."""

    processes: int = 1
    weights: Weights = "replicated"


ALONE = Together()


@dataclass(frozen=True)
class Slot:
    """A place where one stage can run: a device name for torch, and which accelerators, if it has any.

    ``together``: how several processes train here, for stages that allow it; each has a device of its own.
    """

    device: str
    accelerators: tuple[int, ...] = ()
    together: Together = ALONE


class Engine(Protocol):
    """Where stages run."""

    slots: tuple[Slot, ...]

    def start(self, stage: Stage, slot: int) -> None:
        """Begin a stage on a free slot."""
        ...

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None when ``timeout`` seconds pass without one."""
        ...

    def close(self) -> None:
        """End all work at once."""
        ...
