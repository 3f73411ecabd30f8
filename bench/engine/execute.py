"""Running one stage: lock, look, compute, commit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict

from bench.core.errors import DamagedArtefact, StageError
from bench.core.meter import Meter
from bench.core.stage import Progress, Stage, StageIO
from bench.engine.events import ALONE, Together
from bench.engine.kernels import kernels
from bench.engine.launch import run_in_processes
from bench.engine.provenance import provenance
from bench.engine.store import Store
from bench.results.computed_on import KERNELS, KERNELS_FROM


def execute(
    stage: Stage,
    store: Store,
    device: str,
    on_progress: Callable[[Progress], None],
    on_warning: Callable[[str], None],
    together: Together = ALONE,
) -> bool:
    """Return True when the stage was computed here, False when it was found finished.

    Takes the lock of the stage's key first, so of two processes one computes and the other waits and finds. What is
    in the store and is not that artefact, whole, is set aside and computed again; that, and what the stage itself
    warns of, is told and kept in the manifest, as ``told`` of its provenance. A stage whose resources say
    ``distributed`` is computed by several processes of this machine ``together``, which changes it by rounding.
    """
    _check_not_launched()
    together = together if stage.resources().distributed else ALONE
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        on_warning(text)

    def tell_of_the_store() -> None:
        for text in store.told():
            tell(text)

    with store.lock(stage):
        tell_of_the_store()
        try:
            if store.find(stage) is not None:
                return False
        except DamagedArtefact as damage:
            tell(f"{damage}; moved to {store.set_aside(stage)} and computed again")
        io = StageIO(
            out=store.fresh_payload_folder(stage),
            scratch=store.scratch(stage),
            read_payload=store.payload,
            device=device,
            answers=store.answers,
            tokens=store.tokens,
            meter=Meter(),
            on_progress=on_progress,
            on_warning=tell,
        )
        tell_of_the_store()
        started = time.perf_counter()
        began_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if together.processes > 1:
            run_in_processes(stage, io, store.root, together)
        else:
            stage.run(io)
        io.meter.seconds += time.perf_counter() - started
        chosen = {KERNELS: kernels(), KERNELS_FROM: "portable"} if store.holds_portable else {}
        made = {"started": began_at, "device": device, **asdict(together), **provenance(), **chosen}
        if told:
            made["told"] = told
        store.commit(stage, io.out, io.meter.as_dict(), made)
        return True


def _check_not_launched() -> None:
    """Raise StageError in one of several processes of a launch: each would wait for the others while one has the lock.

    The processes that compute a stage together are started by ``bench.engine.launch``, and do not come here.
    """
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched != "1":
        raise StageError(
            f"this process was launched as one of {launched} (WORLD_SIZE is set). Start `bench run` directly: it puts "
            "stages on devices by itself, and starts the processes that train together."
        )
