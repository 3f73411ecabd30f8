"""Several commands at once on one comparison and one store, and kills of those that write and prune."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from bench.core.files import PARTIAL
from bench.engine.store import Store
from bench.engine.uses import in_use, used
from bench.evaluation.judges._annotators import read_annotations
from bench.results.held import holder_of
from bench.results.records import RECORDS
from bench.results.writing import LOCK_FILE, writing
from tests import forked, spawned
from tests.engine.used_store import ROOT, comparison_beside, number, stored, with_numbers
from tests.faults._beside import (
    annotate,
    command,
    hold_results,
    prune_again_and_again,
    prune_without_asking,
    use_and_read,
    write_results,
)
from tests.faults.case import Case
from tests.whole import COMPARISON, write_whole

TITLE = "several commands on one comparison at once, and kills of a prune"
IN_SUITE = 1
SEED = 5
STAGES = 58  # of ``tests.whole``
MADE = ("records.parquet", "contrasts.json", "verdicts.parquet", "responses.parquet")


def ended(*processes: BaseProcess) -> None:
    """Wait for processes, each of which must end with 0."""
    for process in processes:
        process.join(600)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def nothing_left(folder: Path) -> None:
    """Hold that no lock and no half-written file is left in a results folder."""
    assert not [path.name for path in folder.rglob(f"*{PARTIAL}")]
    assert not (folder / LOCK_FILE).exists()


def until(there: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def writers_at_once(count: int, folder: Path) -> None:
    """Sets of files that belong together are never mixed, and no write fails."""
    folder.mkdir(exist_ok=True)
    ended(*(spawned.start(write_results, folder, 6, 8, letter) for letter in "abcdef"[:count]))
    assert len({(folder / f"{file}.json").read_text() for file in range(6)}) == 1
    nothing_left(folder)


def a_killed_writer(folder: Path) -> None:
    """Its lock is free at once, and the file that it had half written goes."""
    writer = spawned.start(hold_results, folder)
    until((folder / "ready").exists)
    holder = holder_of(folder / LOCK_FILE)
    assert holder is not None
    assert holder.process == writer.pid
    writer.kill()
    writer.join()
    began = time.monotonic()
    with writing(folder, lambda _line: None):
        assert time.monotonic() - began < 5
    nothing_left(folder)


def imports_at_once(count: int, folder: Path) -> None:
    """No answer of one annotator is lost to another."""
    ended(*(spawned.start(annotate, folder / "human.csv", f"person{number}", 25) for number in range(count)))
    assert len(read_annotations(folder / "human.csv")) == 25 * count
    nothing_left(folder)


def finished(folder: Path) -> Path:
    """Return a copy of a committed comparison, its results too."""
    names = shutil.ignore_patterns("plots", "report.*")
    return Path(shutil.copytree(ROOT / "results" / "quickstart", folder / "results" / "quickstart", ignore=names))


def reports_at_once(count: int, folder: Path) -> None:
    """Every one of them ends well, and the page is that of one of them alone."""
    copy = finished(folder)
    ended(forked.start(command, "report", str(copy)))
    alone = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    ended(*(forked.start(command, "report", str(copy)) for _ in range(count)))
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == alone
    nothing_left(copy)


def baselines_at_once(folder: Path) -> None:
    """The second finds that of the first and refuses to replace it."""
    copy = finished(folder)
    (copy / "baseline.json").unlink()
    both = [forked.start(command, "baseline", str(copy), "--reason", "a test") for _ in range(2)]
    for one in both:
        one.join(600)
    assert sorted(one.exitcode or 0 for one in both) == [0, 2]
    nothing_left(copy)


def run(folder: Path, *more: str) -> BaseProcess:
    """Start a run in one process."""
    return forked.start(command, "run", str(folder), "--engine", "inline", *more)


def whole_once(folder: Path) -> dict[str, bytes]:
    """Check that a comparison is finished, each stage once, and return its results."""
    nothing_left(folder)
    assert len(list((folder.parent / ".store").rglob("manifest.json"))) == STAGES
    return {name: (folder / name).read_bytes() for name in MADE}


def runs_at_once(count: int, folder: Path) -> None:
    """They share the stages and end in the bytes of one by itself."""
    mine, alone = write_whole(folder / "mine"), write_whole(folder / "alone")
    ended(*(run(mine) for _ in range(count)))
    ended(run(alone))
    assert whole_once(mine) == whole_once(alone)


def runs_with_other_seeds_at_once(folder: Path) -> None:
    """The results are of one of them, all files of the same one."""
    mine = write_whole(folder)
    ended(run(mine), run(mine, "--set", "given.seeds=[0]"))
    seeds = set(RECORDS.read(mine)["run"].to_pylist())
    assert {tuple(json.loads((mine / name).read_text())["seeds"]) for name in ("lock.json", "run.json")} == {
        tuple(sorted(seeds))
    }
    nothing_left(mine)


def reports_while_a_run_writes(folder: Path) -> None:
    """A report begins before, while and after a run writes; what lies there afterwards is one run's."""
    mine = write_whole(folder)
    ended(run(mine))
    before = whole_once(mine)
    ended(run(mine), *(forked.start(command, "report", str(mine)) for _ in range(3)))
    assert whole_once(mine) == before
    ended(forked.start(command, "verify", str(mine)))


def prunes_during_a_run(folder: Path) -> None:
    """The run ends as ever, and nothing of it has gone."""
    mine, other = write_whole(folder / "mine"), write_whole(folder / "other", COMPARISON.replace("dpo_lora", "lora"))
    store = mine.parent / ".store"
    going = run(mine)
    until(lambda: store.is_dir() and any(store.rglob("manifest.json")))
    stop = folder / "stop"
    pruner = spawned.start(prune_again_and_again, store, stop)
    going.join(600)
    stop.touch()
    ended(going, pruner)
    assert other.is_dir()
    whole_once(mine)
    prune_without_asking(store)
    whole_once(mine)


def prunes_while_runs_begin(folder: Path) -> None:
    """Runs of other stages begin and end while a prune follows the other: none lacks a stage that it has found."""
    store, stop = with_numbers(folder, 6), folder / "stop"
    pruner = spawned.start(prune_again_and_again, store.root, stop)
    runs = [
        spawned.start(use_and_read, store.root, comparison_beside(store, f"of{first}"), [first, first + 1, 5], 8)
        for first in (0, 2)
    ]
    for one in runs:
        one.join(600)
    stop.touch()
    ended(*runs, pruner)
    prune_without_asking(store.root)
    assert stored(store, 6) == [0, 1, 2, 3, 5]


def prunes_at_once(count: int, folder: Path) -> None:
    """Both end well, and what is used is there."""
    store = with_numbers(folder, 40)
    keep(store, 7)
    ended(*(spawned.start(prune_without_asking, store.root) for _ in range(count)))
    assert stored(store, 40) == list(range(7))
    assert not list((store.root / ".removed").iterdir())


def keep(store: Store, count: int) -> None:
    """Record that a comparison uses the first stages of a store."""
    stages = {number(value).key: number(value) for value in range(count)}
    with in_use(store, comparison_beside(store, "mine"), stages, lambda _line: None):
        pass


def kills_of_a_prune(times: int, folder: Path) -> None:
    """After every kill all that is left is whole; the next prune does the rest."""
    store, draws = with_numbers(folder, 60), np.random.default_rng(SEED)
    keep(store, 10)
    for value in range(10, 60):  # larger artefacts, so that removing one takes a moment
        for part in range(40):
            (store.place(number(value)) / f"part{part}").write_bytes(b"")
    for _ in range(times):
        pruner = spawned.start(prune_without_asking, store.root)
        until(lambda: (store.root / ".uses" / "pruning").exists() or pruner.exitcode is not None)  # noqa: B023
        time.sleep(float(draws.uniform(0, 0.01)))
        pruner.kill()
        pruner.join()
        for path in (store.root / "test" / "number").iterdir():
            assert len(list(path.iterdir())) in {2, 42}, "a part of an artefact in its place"
    prune_without_asking(store.root)
    assert stored(store, 60) == list(range(10))
    assert not list((store.root / ".removed").iterdir())
    assert not used(store).running


def a_killed_run_keeps_what_it_asked_for(folder: Path) -> None:
    """Its stages and its checkpoints outlive the next prune."""
    store = with_numbers(folder, 3)
    run_of = spawned.start(use_and_read, store.root, comparison_beside(store, "mine"), [0, 1], 100_000)
    until(lambda: used(store).running)
    run_of.kill()
    run_of.join()
    scratch = store.root / ".work" / number(1).key / "scratch"
    shutil.rmtree(store.place(number(1)))
    scratch.mkdir(parents=True, exist_ok=True)
    prune_without_asking(store.root)
    assert stored(store, 3) == [0]
    assert scratch.is_dir()
    assert [path.suffix for path in (store.root / ".uses").iterdir()] == [".json"]


def cases() -> list[Case]:
    """All of them; those of the suite, the first and the last, take no more than moments."""
    return [
        *(Case(f"{times} kills of a prune", partial(kills_of_a_prune, times)) for times in (2, 20)),
        *(Case(f"{count} reports", partial(reports_at_once, count)) for count in (2, 3)),
        *(Case(f"{count} runs", partial(runs_at_once, count)) for count in (2, 3)),
        Case("runs with other seeds", runs_with_other_seeds_at_once),
        Case("baselines", baselines_at_once),
        Case("prunes while runs begin", prunes_while_runs_begin),
        Case("reports while a run writes", reports_while_a_run_writes),
        Case("prunes during a run", prunes_during_a_run),
        *(Case(f"{count} prunes", partial(prunes_at_once, count)) for count in (2, 3)),
        *(Case(f"{count} imports of answers", partial(imports_at_once, count)) for count in (2, 4)),
        Case("a killed run keeps what it asked for", a_killed_run_keeps_what_it_asked_for),
        *(Case(f"{count} write results", partial(writers_at_once, count)) for count in (3, 6)),
        Case("a killed writer", a_killed_writer),
    ]
