"""The lines between a run and the processes that compute for it: one JSON object each, and what else may arrive.

A process that dies may leave half a line, one that is broken anything at all. So a line is read up to a limit, a line
that is no event of ours is told and passed over, and every event begins on a line of its own.

A thread of each process sends a heartbeat. It shows that the process is there, that the system gives it time and that
its interpreter runs: a process that is stopped, or in code that never gives the interpreter back, sends none. It does
not show that the stage comes on: where the main thread waits for ever (a deadlock, a server without an answer, a
network drive) the heartbeat goes on, and only a ``timeout`` ends the stage.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import IO, Any, TextIO

from bench.core.stage import Progress
from bench.engine.events import Event

PROGRESS_EVERY_SECONDS = 0.2
# A process that has sent nothing for so long hangs; so many heartbeats belong into it.
PATIENCE_SECONDS = 600.0
BEATS = 60
LONGEST_LINE = 2**20


class Wire:
    """The channel back to the parent; one JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sent_at = 0.0
        self._one_at_a_time = threading.Lock()

    def send(self, **event: Any) -> None:
        """Send one event, behind the end of whatever line something else has begun."""
        with self._one_at_a_time:
            self._stream.write("\n" + json.dumps(event) + "\n")
            self._stream.flush()

    def send_event(self, event: Event) -> None:
        """Send an event that is a text."""
        self.send(event=event.name, key=event.key, text=event.text)

    def send_progress(self, key: str, progress: Progress) -> None:
        """Send a progress event, but not more often than a person can read; the last step always."""
        now = time.monotonic()
        if now - self._sent_at < PROGRESS_EVERY_SECONDS and progress.done < progress.total:
            return
        self._sent_at = now
        self.send(
            event="progress",
            key=key,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
            tokens=progress.tokens,
            note=progress.note,
        )

    def keep_beating(self, name: str, patience: float = PATIENCE_SECONDS) -> None:
        """Send a heartbeat from a thread, from now on, under the name of this process, often enough for a patience."""

        def beat() -> None:
            while True:
                try:
                    self.send(event="alive", key=name, text="")
                except OSError:  # whoever listened is gone, and this process ends with its standard input
                    return
                time.sleep(patience / BEATS)

        threading.Thread(target=beat, daemon=True).start()


def read_event(line: bytes) -> Event | None:
    """Return the event in a line; None for anything else, be it half a line, no JSON or an event with other fields."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match said:
        case {
            "event": "progress",
            "key": str(key),
            "done": int(done),
            "total": int(total),
            "unit": str(unit),
            "tokens": int(tokens),
            "note": str(note),
        }:
            return Event("progress", key, progress=Progress(done, total, unit, tokens, note))
        case {"event": "done", "key": str(key), "computed": bool(computed)}:
            return Event("done", key, computed=computed)
        case {"event": "warning" | "failed" | "halted" | "lost" | "alive" as name, "key": str(key), "text": str(text)}:
            return Event(name, key, text=text)
    return None


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream that are not empty, without their ends; of one that is too long its beginning."""
    while line := stream.readline(LONGEST_LINE):
        last = line
        while not last.endswith(b"\n") and (last := stream.readline(LONGEST_LINE)):
            pass  # the rest of a line that is too long
        if line.strip():
            yield line.rstrip(b"\n")
