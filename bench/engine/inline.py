"""The inline engine: stages run one after the other in this process. For debugging and for tests."""

from __future__ import annotations

from collections import deque

from bench.core.stage import Progress, Stage
from bench.engine.events import Event, Slot
from bench.engine.execute import execute
from bench.engine.failures import failure
from bench.engine.store import Store


class InlineEngine:
    """One slot in this process; ``start`` returns when the stage is over."""

    def __init__(self, store: Store, device: str = "cpu") -> None:
        self.slots: tuple[Slot, ...] = (Slot(device),)
        self._store = store
        self._events: deque[Event] = deque()

    def start(self, stage: Stage, slot: int) -> None:
        """Run the stage now and queue what happened."""

        def progressed(progress: Progress) -> None:
            self._events.append(Event("progress", stage.key, progress=progress))

        def warned(text: str) -> None:
            self._events.append(Event("warning", stage.key, text=text))

        try:
            computed = execute(stage, self._store, self.slots[slot].device, progressed, warned)
        except Exception as error:  # noqa: BLE001 - a failing stage must not end the others, whatever it raises
            self._events.append(failure(error, stage.key, self._store.root))
        else:
            self._events.append(Event("done", stage.key, computed=computed))

    def next_event(self, timeout: float) -> Event | None:
        """Return the next queued event."""
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Forget what is queued."""
        self._events.clear()
