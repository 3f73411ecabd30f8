"""The runner: order, side by side, failures that block only what rests on them, death and resumption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.engine.events import Engine, Slot, Together
from bench.engine.inline import InlineEngine
from bench.engine.processes import ProcessEngine, environment, slots_of_this_machine
from bench.engine.scheduler import heights, readers, run_stages
from bench.engine.store import Store
from bench.pipeline.plan import closure
from tests.fakes import DiesOnce, Fails, Number, Sum
from tests.notes import Notes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["inline", "processes"])
def make_engine(request: pytest.FixtureRequest) -> Iterator[Callable[[Store], Engine]]:
    opened: list[Engine] = []

    def make(store: Store) -> Engine:
        engine: Engine
        engine = InlineEngine(store) if request.param == "inline" else ProcessEngine(store, (Slot("cpu"), Slot("cpu")))
        opened.append(engine)
        return engine

    yield make
    for engine in opened:
        engine.close()


def test_everything_runs_once_inputs_first(tmp_path: Path, make_engine: Callable[[Store], Engine]) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    numbers = tuple(Number(value=value, journal=str(journal)) for value in range(4))
    whole = Sum(parts=(Sum(parts=numbers[:2]), Sum(parts=numbers)))
    stages = closure([whole])
    notes = Notes()
    outcome = run_stages(stages, store, make_engine(store), notes)
    assert outcome.computed == set(stages)
    assert (store.payload(whole) / "value.txt").read_text() == "7"
    assert sorted(journal.read_text().split()) == ["0", "1", "2", "3"]
    place = {key: index for index, key in enumerate(notes.order)}
    for key, stage in stages.items():
        assert all(place[step.key] < place[key] for step in stage.inputs())

    again = run_stages(stages, Store(tmp_path / "store"), make_engine(store), notes)
    assert again.found == set(stages)
    assert not again.computed


def test_a_failure_blocks_only_what_rests_on_it(tmp_path: Path, make_engine: Callable[[Store], Engine]) -> None:
    store = Store(tmp_path / "store")
    good = Sum(parts=(Number(value=1, journal=str(tmp_path / "journal")),))
    bad, bug = Fails(how="error"), Fails(how="bug")
    above = Sum(parts=(Sum(parts=(bad,)), good))
    notes = Notes()
    outcome = run_stages(closure([good, above, bug]), store, make_engine(store), notes)
    assert outcome.finished(good.key)
    assert set(outcome.failed) == {bad.key, bug.key}
    assert outcome.failed[bad.key] == "the water is cold. Heat it first."
    assert "ZeroDivisionError: one over nothing" in outcome.failed[bug.key]
    assert outcome.blocked == {above.key: bad.key, above.parts[0].key: bad.key}
    assert outcome.why_missing(above.key) == "the water is cold. Heat it first."
    assert outcome.why_missing(good.key) is None


def test_a_damaged_artefact_is_computed_again(tmp_path: Path, make_engine: Callable[[Store], Engine]) -> None:
    store = Store(tmp_path / "store")
    number = Number(value=5, journal=str(tmp_path / "journal"))
    run_stages(closure([number]), store, make_engine(store), Notes())
    (store.place(number) / "value.txt").write_text("6")
    notes, fresh = Notes(), Store(tmp_path / "store")
    outcome = run_stages(closure([number]), fresh, make_engine(fresh), notes)
    assert outcome.computed == {number.key}
    assert len(notes.warnings) == 1
    assert (fresh.payload(number) / "value.txt").read_text() == "5"


def test_a_worker_that_dies_is_replaced_and_its_stage_resumes(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / "store"), DiesOnce()
    engine = ProcessEngine(store, (Slot("cpu"),))
    outcome = run_stages(closure([stage]), store, engine, Notes())
    engine.close()
    assert outcome.computed == {stage.key}
    assert (store.payload(stage) / "value.txt").read_text() == "resumed at 5"


def test_a_stage_that_always_kills_its_worker_fails_with_the_signal(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / "store"), Fails(how="dies")
    engine = ProcessEngine(store, (Slot("cpu"),))
    outcome = run_stages(closure([stage]), store, engine, Notes())
    engine.close()
    assert "signal 9" in outcome.failed[stage.key]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bench.engine.store import Store;"
        "from bench.engine.processes import ProcessEngine; from bench.engine.events import Slot;"
        "from tests.fakes import Number;"
        "engine = ProcessEngine(Store(Path(sys.argv[1])), (Slot('cpu'),));"
        "engine.start(Number(value=1, journal=sys.argv[2], seconds=60), 0);"
        "print(engine._workers[0].process.pid, flush=True)\n"
        "while True: engine.next_event(60)"
    )
    journal = tmp_path / "journal"
    command = [sys.executable, "-c", code, str(tmp_path / "store"), str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        wait_for(journal.exists)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(worker))


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.is_file() and state.read_text().split()[2] == "Z")


def test_the_longest_chain_goes_first(tmp_path: Path) -> None:
    lone = Number(value=1, journal=str(tmp_path))
    deep = Number(value=2, journal=str(tmp_path))
    stages = closure([lone, Sum(parts=(Sum(parts=(deep,)),))])
    found = heights(stages, readers(stages))
    assert found[lone.key] == 1
    assert found[deep.key] == 3


@pytest.mark.parametrize(
    ("visible", "processes", "expected"),
    [
        ("", 1, [()]),
        ("0,1,2", 1, [(0,), (1,), (2,), ()]),
        ("0,1,2", 2, [(0, 1), ()]),
        ("0,1", 2, [(0, 1), ()]),
    ],
)
def test_slots_follow_the_devices(
    monkeypatch: pytest.MonkeyPatch, visible: str, processes: int, expected: list[tuple[int, ...]]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    slots = slots_of_this_machine(1, Together(processes))
    assert [slot.accelerators for slot in slots] == expected
    assert [slot.together.processes for slot in slots if slot.accelerators] == [processes] * (len(expected) - 1)
    assert environment(slots[0])["CUDA_VISIBLE_DEVICES"] == ",".join(map(str, expected[0]))
    assert environment(slots[-1])["OMP_NUM_THREADS"] == "1"


def test_too_few_devices_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(BenchError, match="Lower --processes"):
        slots_of_this_machine(None, Together(2))
