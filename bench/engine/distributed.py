"""One of several processes that run a stage together; ``bench.engine.launch`` starts them.

``accelerate launch ... -m bench.engine.distributed FOLDER``, with the request in the folder. The main process leaves
the meter there, a process that fails its reason.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from bench.core.errors import StageError
from bench.core.frozen import decode
from bench.core.stage import Stage, StageIO
from bench.engine.events import Event
from bench.engine.failures import failure
from bench.engine.launch import FAILURES, METER, REQUEST
from bench.engine.store import Store
from bench.engine.wire import Wire


def main() -> None:
    """Run this process's part of the stage that the folder asks for."""
    folder = Path(sys.argv[1])
    wire = Wire(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever a library prints belongs in the log and not on the wire
    threading.Thread(target=end_with_parent, daemon=True).start()
    rank = os.environ.get("RANK", "0")
    wire.keep_beating(rank)
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        take_part(request, folder, wire)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear the reason
        failed = failure(error, request["key"], Path(request["store"]), f"-{rank}")
        (folder / FAILURES.replace("*", rank)).write_text(f"{failed.name} {failed.text}", encoding="utf-8")
        sys.exit(1)


def end_with_parent() -> None:
    """End this process, in the middle of a step too, when the parent closes its end of standard input."""
    while os.read(0, 1):
        pass
    os._exit(1)


def take_part(request: dict[str, Any], folder: Path, wire: Wire) -> None:
    """Join the other processes and run the stage; all but the main process write to a folder that is thrown away.

    Raises StageError when another number of processes came together than was asked for: a launcher that starts a
    single one, or several that do not know of each other, would pass for a success.
    """
    from accelerate import PartialState  # here: it takes seconds to import

    state = PartialState(cpu=request["device"] == "cpu")
    if state.num_processes != request["processes"]:
        raise StageError(
            f"{request['processes']} processes were asked for, but {state.num_processes} came together. "
            "Is there an accelerator for each of them?"
        )
    stage = decode(request["stage"])
    if not isinstance(stage, Stage) or stage.key != request["key"]:
        raise StageError("the stage has another key here: the code has changed while the run was going on. Run again.")
    store = Store(Path(request["store"]))
    with tempfile.TemporaryDirectory() as thrown_away:
        io = StageIO(
            out=Path(request["out"] if state.is_main_process else thrown_away),
            scratch=Path(request["scratch"]),
            read_payload=store.payload,
            answers=store.answers,
            tokens=store.tokens,
            device="cpu" if request["device"] == "cpu" else str(state.device),
            weights=request["weights"],
        )
        if state.is_main_process:
            io.on_progress = lambda progress: wire.send_progress(request["key"], progress)
            io.on_warning = lambda text: wire.send_event(Event("warning", request["key"], text=text))
        stage.run(io)
        state.wait_for_everyone()
    if state.is_main_process:
        (folder / METER).write_text(json.dumps(io.meter.as_dict()), encoding="utf-8")
    state.destroy_process_group()


if __name__ == "__main__":
    main()
