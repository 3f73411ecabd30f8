"""A worker process: takes stages as JSON lines on standard input, sends events as JSON lines on standard output.

Started by the process engine as ``python -m bench.engine.worker``. It ends itself when its standard input closes, so
a killed parent leaves no worker behind.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from bench.core.frozen import decode
from bench.core.stage import Progress, Stage
from bench.engine.events import Together
from bench.engine.execute import execute
from bench.engine.inline import reason
from bench.engine.store import Store

PROGRESS_EVERY_SECONDS = 0.2


class Wire:
    """The channel back to the parent; one JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sent_at = 0.0

    def send(self, **event: Any) -> None:
        """Send one event."""
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()

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


def main() -> None:
    """Serve stages until standard input closes."""
    wire = Wire(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever a library prints belongs in the log and not on the wire
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    while True:
        serve(json.loads(requests.get()), wire)


def read_requests(requests: queue.Queue[str]) -> None:
    """Queue every line of standard input; end the whole process, in the middle of a stage too, when it closes."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def serve(request: dict[str, Any], wire: Wire) -> None:
    """Run one stage and send how it ended."""
    key = request["key"]
    try:
        stage = decode(request["stage"])
        if not isinstance(stage, Stage) or stage.key != key:
            raise RuntimeError(
                "the stage has another key in the worker: the code has changed while the run was going on"
            )
        computed = execute(
            stage,
            Store(Path(request["store"])),
            request["device"],
            lambda progress: wire.send_progress(key, progress),
            lambda text: wire.send(event="damage", key=key, text=text),
            Together(**request["together"]),
        )
    except Exception as error:  # noqa: BLE001 - the parent decides what a failure means; the worker lives on
        wire.send(event="failed", key=key, text=reason(error))
    else:
        wire.send(event="done", key=key, computed=computed)


if __name__ == "__main__":
    main()
