"""The whole path of one comparison: plan, run, records, contrasts, summary, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.engine.events import Engine
from bench.engine.scheduler import Outcome, Watcher, run_stages
from bench.engine.store import Store, require_writable
from bench.engine.uses import in_use
from bench.pipeline.collect import collect
from bench.pipeline.conclude import conclude
from bench.pipeline.lock import lock_of
from bench.pipeline.plan import Plan
from bench.pipeline.summarise import summarise
from bench.report.page.markdown import write_report
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.lock import LOCK, digests_in
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, RunSummary
from bench.results.writing import require_locks, writing


@dataclass(frozen=True)
class Result:
    """What a comparison came to."""

    plan: Plan
    outcome: Outcome
    summary: RunSummary
    contrasts: tuple[Contrast, ...]
    report: Path


def compare(plan: Plan, store: Store, engine: Engine, watcher: Watcher) -> Result:
    """Return the result of running a comparison's plan, its files written beside the comparison file.

    A stage that fails leaves its cells out, and the contrasts that need them; the summary says which and why. Runs side
    by side share their stages, and one writes its results at a time. Raises MachineError, before anything is computed,
    where the results or the store cannot be written or locked.
    """
    comparison = plan.comparison
    folder = Path(comparison.path).parent
    require_writable(folder)
    require_locks(folder)
    store.make_ready(plan.stages.values())
    for text in store.told():
        watcher.warned(text)
    with in_use(store, Path(comparison.path), plan.stages, watcher.warned):
        outcome = run_stages(plan.stages, store, engine, watcher)
        tables = collect(plan, outcome, store)
        summary = summarise(plan, outcome, store)
    with writing(folder, watcher.warned):
        for table, rows in tables.items():
            table.write(rows, folder)
        SUMMARY.write(summary, folder)
        lock, written = lock_of(plan, summary), digests_in(folder, [table.name for table in tables])
        LOCK.write(lock.model_copy(update={"written": written}), folder)
        contrasts = conclude(comparison, summary, tables[RECORDS], folder)
        LOCK.write(lock.model_copy(update={"written": written | digests_in(folder, [CONCLUSIONS.name])}), folder)
        report = write_report(folder, comparison)
    return Result(plan, outcome, summary, contrasts, report)
