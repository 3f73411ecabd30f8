"""A worker process: takes stages as JSON lines on standard input, sends events as JSON lines on standard output.

Started by the process engine as ``python -m bench.engine.worker PATIENCE``, the seconds within which the engine wants
to hear of it. It ends itself when its standard input closes, so a killed parent leaves no worker behind.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

from bench.core.errors import StageError
from bench.core.frozen import decode
from bench.core.stage import Stage
from bench.engine.events import Event, Together
from bench.engine.execute import execute
from bench.engine.failures import failure
from bench.engine.launch import ProcessesLost
from bench.engine.store import Store
from bench.engine.wire import Wire


def main() -> None:
    """Serve stages until standard input closes."""
    wire = Wire(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever a library prints belongs in the log and not on the wire
    wire.keep_beating("worker", float(sys.argv[1]))
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
    key, root = request["key"], Path(request["store"])
    try:
        stage = decode(request["stage"])
        if not isinstance(stage, Stage) or stage.key != key:
            raise StageError(
                "the stage has another key in the worker: the code has changed while the run was going on. Run again."
            )
        computed = execute(
            stage,
            Store(root),
            request["device"],
            lambda progress: wire.send_progress(key, progress),
            lambda text: wire.send_event(Event("warning", key, text=text)),
            Together(**request["together"]),
        )
    except ProcessesLost as lost:
        wire.send_event(Event("lost", key, text=str(lost)))
    except Exception as error:  # noqa: BLE001 - the parent decides what a failure means; the worker lives on
        wire.send_event(failure(error, key, root))
    else:
        wire.send(event="done", key=key, computed=computed)


if __name__ == "__main__":
    main()
