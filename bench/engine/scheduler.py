"""The scheduler: every stage of a plan once, inputs first, as many side by side as there are slots."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bench.core.errors import DamagedArtefact
from bench.core.machine_limits import MachineError
from bench.core.stage import Progress, Stage
from bench.engine.events import Engine, Event
from bench.engine.store import Store

POLL_SECONDS = 0.25


class Watcher(Protocol):
    """What shows the progress of a run."""

    def planned(self, waiting: Mapping[str, Stage], found: int) -> None:
        """Show which stages will be computed and how many are finished already."""
        ...

    def started(self, stage: Stage, slot: int) -> None:
        """Show that a stage begins."""
        ...

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """Show how far a running stage has come."""
        ...

    def ended(self, stage: Stage, failure: str | None) -> None:
        """Show that a stage is over; ``failure`` is the reason when it failed."""
        ...

    def warned(self, text: str) -> None:
        """Show a warning."""
        ...

    def ticked(self) -> None:
        """Show that time passes."""
        ...


@dataclass
class Outcome:
    """How a run ended: keys of stages found finished, computed now, failed (with reason), and blocked (by which)."""

    found: set[str] = field(default_factory=set)
    computed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    def finished(self, key: str) -> bool:
        """Tell whether the artefact of that key is there."""
        return key in self.found or key in self.computed

    def why_missing(self, key: str) -> str | None:
        """Return why an artefact is not there, or None when it is."""
        cause = self.blocked.get(key, key)
        return self.failed.get(cause)


def run_stages(stages: Mapping[str, Stage], store: Store, engine: Engine, watcher: Watcher) -> Outcome:
    """Return the outcome of running every stage that the store does not hold yet.

    A failing stage blocks only what rests on it. Whatever ends this process, what is finished stays finished. Raises
    MachineError where a stage failed for a reason that every further one would meet.
    """
    run = _Schedule(stages, store, engine, watcher)
    return run.to_the_end()


class _Schedule:
    """The state of one run."""

    def __init__(self, stages: Mapping[str, Stage], store: Store, engine: Engine, watcher: Watcher) -> None:
        self._stages = stages
        self._engine = engine
        self._watcher = watcher
        self._outcome = Outcome()
        self._readers = readers(stages)
        self._height = heights(stages, self._readers)
        self._busy: dict[str, int] = {}
        self._free = list(range(len(engine.slots)))
        for key, stage in stages.items():
            # Whoever computes a damaged artefact again sets it aside, while it has the lock, and tells it.
            with contextlib.suppress(DamagedArtefact):
                if store.find(stage) is not None:
                    self._outcome.found.add(key)
        self._open = {
            key: {step.key for step in stage.inputs() if not self._outcome.finished(step.key)}
            for key, stage in stages.items()
            if not self._outcome.finished(key)
        }

    def to_the_end(self) -> Outcome:
        """Start what can start and handle what happens, until nothing is open."""
        self._watcher.planned({key: self._stages[key] for key in self._open}, len(self._outcome.found))
        self._start_ready()
        while self._busy:
            event = self._engine.next_event(POLL_SECONDS)
            if event is None:
                self._watcher.ticked()
                continue
            self._handle(event)
            self._start_ready()
        return self._outcome

    def _start_ready(self) -> None:
        """Give free slots to ready stages, those with the longest chain of work behind them first."""
        ready = [key for key, waits_for in self._open.items() if not waits_for and key not in self._busy]
        ready.sort(key=lambda key: (-self._height[key], key))
        for key in ready:
            slot = self._slot_for(self._stages[key])
            if slot is None:
                continue
            self._free.remove(slot)
            self._busy[key] = slot
            self._watcher.started(self._stages[key], slot)
            self._engine.start(self._stages[key], slot)

    def _slot_for(self, stage: Stage) -> int | None:
        """Return a free slot of the kind the stage wants: a device of its own where the machine has any."""
        has_devices = any(slot.accelerators for slot in self._engine.slots)
        wants_device = has_devices and stage.resources().accelerator
        fitting = [index for index in self._free if bool(self._engine.slots[index].accelerators) == wants_device]
        return fitting[0] if fitting else None

    def _handle(self, event: Event) -> None:
        stage = self._stages[event.key]
        if event.name == "progress" and event.progress is not None:
            self._watcher.progressed(stage, event.progress)
        elif event.name == "warning":
            self._watcher.warned(event.text)
        elif event.name == "done":
            self._release(event.key)
            self._outcome.computed.add(event.key)
            self._watcher.ended(stage, None)
            for reader in self._readers[event.key]:
                self._open.get(reader, set()).discard(event.key)
        elif event.name == "failed":
            self._release(event.key)
            self._outcome.failed[event.key] = event.text
            self._watcher.ended(stage, event.text)
            self._block_readers(event.key, event.key)
        elif event.name == "halted":
            self._watcher.ended(stage, event.text)
            raise MachineError(event.text)

    def _release(self, key: str) -> None:
        self._free.append(self._busy.pop(key))
        self._free.sort()
        del self._open[key]

    def _block_readers(self, key: str, cause: str) -> None:
        for reader in self._readers[key]:
            if reader in self._open:
                del self._open[reader]
                self._outcome.blocked[reader] = cause
                self._block_readers(reader, cause)


def readers(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    """Return for every stage the keys of the stages that read it."""
    found: dict[str, set[str]] = {key: set() for key in stages}
    for key, stage in stages.items():
        for step in stage.inputs():
            found[step.key].add(key)
    return found


def heights(stages: Mapping[str, Stage], read_by: Mapping[str, set[str]]) -> dict[str, int]:
    """Return for every stage the length of the longest chain of stages that waits for it.

    ``stages`` has inputs before readers, so one pass from the end suffices.
    """
    found: dict[str, int] = {}
    for key in reversed(list(stages)):
        found[key] = 1 + max((found[reader] for reader in read_by[key]), default=0)
    return found
