"""Workers that die, babble or hang under a stage: the run goes on, tells it, and never waits for ever.

The stages are small ones of the tests, in worker processes as every run has them. What a worker does wrong it does in
its first attempt, or in every one.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bench.engine.events import Slot
from bench.engine.processes import ProcessEngine
from bench.engine.scheduler import Outcome, run_stages
from bench.engine.store import Store
from bench.pipeline.plan import closure
from tests.fakes import Misbehaves, Number, Way
from tests.faults.case import Case
from tests.notes import Notes

TITLE = "workers that die, send what is no event, or hang under a stage"
IN_SUITE = 1
PATIENCE = 8.0  # seconds, in place of ten minutes
MOST_SECONDS = 120.0
ONCE: tuple[Way, ...] = (
    "half a line, then dead", "a line of another kind, then dead", "a megabyte without an end, then dead",
    "killed", "ended", "aborted", "stopped", "closes its pipe", "a child holds its pipe, and it is dead",
)  # fmt: skip
ALWAYS: tuple[Way, ...] = ("half a line, then dead", "killed", "stopped")
LIVING: tuple[Way, ...] = ("half a line", "junk", "a line of forty megabytes", "deep brackets", "events of others")


def cases() -> list[Case]:
    """Every way to go wrong once, those to go wrong every time, and those after which a worker lives on."""
    once = [Case(f"once: {way}", partial(recovers, way)) for way in ONCE]
    always = [
        Case(f"every time: {way}", partial(fails, way)) for way in ("half a line, then dead", "killed", "stopped")
    ]
    living = [Case(f"{way}, and goes on", partial(goes_on, way)) for way in LIVING]
    return [*once, *always, *living, Case("longer than the timeout", takes_too_long)]


def run(stage: Misbehaves, folder: Path, timeout: float | None = None) -> tuple[Outcome, Notes, Store]:
    """Return how a run of the stage and of one beside it ends, which must be soon."""
    store, notes = Store(folder / "store"), Notes()
    engine = ProcessEngine(store, (Slot("cpu"),), timeout, PATIENCE)
    began = time.monotonic()
    try:
        beside = Number(value=1, journal=str(folder / "journal"))
        outcome = run_stages(closure([stage, beside]), store, engine, notes)
    finally:
        engine.close()
    assert time.monotonic() - began < MOST_SECONDS, "it took too long"
    assert beside.key in outcome.computed, "the stage beside it was not computed"
    return outcome, notes, store


def recovers(way: Way, folder: Path) -> None:
    stage = Misbehaves(way=way, times=1, journal=str(folder / "attempts"))
    outcome, notes, _ = run(stage, folder)
    assert stage.key in outcome.computed, outcome.failed
    assert any("tried once more" in text for text in notes.warnings), notes.warnings


def fails(way: Way, folder: Path) -> None:
    stage = Misbehaves(way=way, times=9, journal=str(folder / "attempts"))
    outcome, _, _ = run(stage, folder)
    assert (folder / "attempts").read_text() == "xx"
    assert "the second time" in outcome.failed[stage.key]
    assert "\n" not in outcome.failed[stage.key]


def goes_on(way: Way, folder: Path) -> None:
    stage = Misbehaves(way=way, times=9, journal=str(folder / "attempts"))
    outcome, notes, _ = run(stage, folder)
    assert stage.key in outcome.computed, outcome.failed
    assert (folder / "attempts").read_text() == "x"
    assert any("no event" in text for text in notes.warnings), notes.warnings


def takes_too_long(folder: Path) -> None:
    """A stage that waits for ever, with a heartbeat all the while."""
    stage = Misbehaves(way="waits", times=9, journal=str(folder / "attempts"))
    outcome, _, _ = run(stage, folder, timeout=2 * PATIENCE)
    assert "timeout of the comparison" in outcome.failed[stage.key]
    assert (folder / "attempts").read_text() == "x"
